//! An access key, permanent or temporary, that signs each request.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use configparser::ini::{Ini, IniDefault};
use futures_util::future::BoxFuture;
use reqwest::Request;
use reqwest::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use secrecy::SecretString;

use super::attempts::Attempts;
use super::signer::{Key, ToSign, authorization};
use super::{Error, Proof, Prove, Secret, fingerprint, secret};

/// When the request was signed.
const X_SDK_DATE: HeaderName = HeaderName::from_static("x-sdk-date");

/// What makes a temporary key good.
const X_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-security-token");

/// The section of the vendor's file of credentials for services of a region.
const SECTION: &str = "basic";

/// Where an access key is.
#[derive(Clone, Debug, PartialEq)]
pub enum AccessKey {
    /// Each part is given.
    Given {
        /// The id (AK).
        id: Secret,
        /// The secret (SK).
        secret: Secret,
        /// The security token, which temporary keys have.
        security_token: Option<Secret>,
    },
    /// The vendor's file of credentials, which is read anew for each request.
    Profile(PathBuf),
}

/// An access key as it is used.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) key: Key,
    pub(super) security_token: Option<SecretString>,
}

impl AccessKey {
    async fn read(&self) -> Result<Keys, Error> {
        match self {
            Self::Given { id, secret, security_token } => {
                let security_token = match security_token {
                    Some(token) => Some(token.read().await?),
                    None => None,
                };
                Ok(Keys { key: Key { id: id.read().await?, secret: secret.read().await? }, security_token })
            }
            Self::Profile(path) => Ok(Profile::read(path).await?.keys),
        }
    }
}

/// What the vendor's file of credentials holds.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) keys: Keys,
    pub(super) project_id: Option<String>,
    pub(super) iam_endpoint: Option<String>,
}

impl Profile {
    /// Reads the file: INI, section `basic`, keys `ak`, `sk`, `security_token`, `project_id` and `iam_endpoint`.
    pub(super) async fn read(path: &Path) -> Result<Self, Error> {
        let text = secret::read_file(path).await?;
        let mut form = IniDefault::default();
        // A secret may have a `;` or `#` in it; only a whole line is a comment.
        form.inline_comment_symbols = Some(Vec::new());
        let mut ini = Ini::new_from_defaults(form);
        let wrong = |reason: &str| Error::Profile { path: path.to_owned(), reason: reason.to_owned() };
        // The parser's own words would repeat the line, which may hold a secret.
        ini.read(text).map_err(|_| wrong("is not in INI form; write `key = value` below `[basic]`"))?;
        let get = |key| ini.get(SECTION, key).filter(|value| !value.is_empty());
        let (Some(id), Some(secret)) = (get("ak"), get("sk")) else {
            return Err(wrong("has no `ak` and `sk` below `[basic]`"));
        };
        let key = Key { id: id.into(), secret: secret.into() };
        let keys = Keys { key, security_token: get("security_token").map(Into::into) };
        Ok(Self { keys, project_id: get("project_id"), iam_endpoint: get("iam_endpoint") })
    }
}

impl Keys {
    pub(super) fn fingerprint(&self) -> u64 {
        fingerprint([&self.key.id, &self.key.secret].into_iter().chain(&self.security_token))
    }

    /// Signs all that the request has: its headers too, so it has to be the last that is done to it.
    pub(super) fn sign(&self, request: &mut Request) -> Result<(), Error> {
        let date = sdk_date(SystemTime::now());
        let url = request.url().clone();
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let plain = |text: &str| HeaderValue::from_str(text).map_err(|_| Error::NotASecret { what: "host" });
        let headers = request.headers_mut();
        headers.insert(HOST, plain(&host)?);
        headers.insert(X_SDK_DATE, plain(&date)?);
        if let Some(token) = &self.security_token {
            headers.insert(X_SECURITY_TOKEN, secret::header(token, "security token")?);
        }
        let signed = request.headers().iter();
        let signed = signed.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        let to_sign = ToSign {
            method: request.method().as_str(),
            path: url.path(),
            query: url.query_pairs().into_owned().collect(),
            headers: signed.collect(),
            body: request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default(),
            date: &date,
        };
        let proof = secret::header(&authorization(&self.key, &to_sign).into(), "access key")?;
        request.headers_mut().insert(AUTHORIZATION, proof);
        Ok(())
    }
}

/// `20060102T150405Z`.
fn sdk_date(time: SystemTime) -> String {
    super::rfc3339(time).to_string().replace(['-', ':'], "")
}

impl Prove for AccessKey {
    fn prove<'a>(&'a self, request: &'a mut Request, _: &'a Attempts) -> BoxFuture<'a, Result<Proof, Error>> {
        Box::pin(async move {
            let keys = self.read().await?;
            keys.sign(request)?;
            Ok(Proof { made_of: keys.fingerprint(), generation: 0 })
        })
    }

    fn made_of(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async { Ok(self.read().await?.fingerprint()) })
    }

    fn is_key(&self) -> bool {
        true
    }
}
