//! What the vendor's SDK would find where no way in is named: its environment variables, else its file of credentials, else
//! the agency of the host.

use std::env;
use std::path::{Path, PathBuf};

use tracing::info;

use super::access_key::Profile;
use super::{AccessKey, Agency, Config, Error, Secret, Way};

/// The vendor's own names, from its SDK.
const AK: &str = "HUAWEICLOUD_SDK_AK";
const SK: &str = "HUAWEICLOUD_SDK_SK";
const SECURITY_TOKEN: &str = "HUAWEICLOUD_SDK_SECURITY_TOKEN";
const PROJECT_ID: &str = "HUAWEICLOUD_SDK_PROJECT_ID";
const IAM_ENDPOINT: &str = "HUAWEICLOUD_SDK_IAM_ENDPOINT";
const CREDENTIALS_FILE: &str = "HUAWEICLOUD_SDK_CREDENTIALS_FILE";

/// Puts the way that is found in the place of the chain, and the project and IAM that come with it where none are named.
///
/// # Errors
/// When a variable or the file has something that cannot be used.
pub(super) async fn resolve(account: &str, mut config: Config) -> Result<Config, Error> {
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let secret = |value: String| Secret::Value(value.into());
    if let Some(endpoint) = variable(IAM_ENDPOINT).filter(|_| config.iam_endpoint.is_none()) {
        config.iam_endpoint = Some(endpoint.parse().map_err(|error| wrong(IAM_ENDPOINT, error))?);
    }
    if let (Some(id), Some(key)) = (variable(AK), variable(SK)) {
        info!(account, "the access key of the environment is used");
        if let Some(project) = variable(PROJECT_ID).filter(|_| config.project_id.is_none()) {
            config.project_id = Some(project.parse().map_err(|error| wrong(PROJECT_ID, error))?);
        }
        let security_token = variable(SECURITY_TOKEN).map(secret);
        config.way = Way::AccessKey(AccessKey::Given { id: secret(id), secret: secret(key), security_token });
        return Ok(config);
    }
    match credentials_file().filter(|path| path.exists()) {
        Some(path) => of_file(account, config, &path).await,
        None => {
            info!(
                account,
                "no access key in the environment and no file of credentials: the agency of this host is used"
            );
            Ok(Config { way: Way::Agency(Agency::default()), ..config })
        }
    }
}

async fn of_file(account: &str, mut config: Config, path: &Path) -> Result<Config, Error> {
    let profile = Profile::read(path).await?;
    let wrong = |reason: String| Error::Profile { path: path.to_owned(), reason };
    info!(account, file = %path.display(), "the access key of the credentials file is used");
    if let Some(project) = profile.project_id.filter(|_| config.project_id.is_none()) {
        config.project_id = Some(project.parse().map_err(|error| wrong(format!("`project_id`: {error}")))?);
    }
    if let Some(endpoint) = profile.iam_endpoint.filter(|_| config.iam_endpoint.is_none()) {
        config.iam_endpoint = Some(endpoint.parse().map_err(|error| wrong(format!("`iam_endpoint`: {error}")))?);
    }
    config.way = Way::AccessKey(AccessKey::Profile(path.to_owned()));
    Ok(config)
}

fn credentials_file() -> Option<PathBuf> {
    let named = env::var_os(CREDENTIALS_FILE).filter(|name| !name.is_empty()).map(PathBuf::from);
    let home = || env::home_dir().map(|home| home.join(".huaweicloud").join("credentials"));
    named.or_else(home)
}

fn wrong(variable: &str, error: impl std::fmt::Display) -> Error {
    Error::Refused { what: format!("the variable {variable}: {error}"), advice: "correct it or take it away" }
}
