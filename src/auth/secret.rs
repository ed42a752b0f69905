//! Where a secret comes from.

use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::Error;

/// Longest secret that is read from a file, in bytes. A token of the cloud has a few thousand.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// A secret, or the file that holds it.
#[derive(Clone, Debug)]
pub enum Secret {
    /// The secret itself.
    Value(SecretString),
    /// A file that holds the secret and nothing else but white space around it.
    File(PathBuf),
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(mine), Self::Value(other)) => mine.expose_secret() == other.expose_secret(),
            (Self::File(mine), Self::File(other)) => mine == other,
            (Self::Value(_), Self::File(_)) | (Self::File(_), Self::Value(_)) => false,
        }
    }
}

impl Secret {
    /// The secret as it is now. A file is read each time, so that a renewed secret is used by the next request.
    pub(crate) async fn read(&self) -> Result<SecretString, Error> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => Ok(read_file(path).await?.trim().into()),
        }
    }
}

/// The text of a file that holds secrets.
pub(super) async fn read_file(path: &Path) -> Result<String, Error> {
    let unreadable = |error| Error::unreadable(path, &error);
    let file = File::open(path).await.map_err(unreadable)?;
    let mut text = String::new();
    file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text).await.map_err(unreadable)?;
    if text.len() as u64 > MAX_SECRET_BYTES {
        return Err(Error::TooLong { path: path.to_owned(), limit: MAX_SECRET_BYTES });
    }
    Ok(text)
}

/// A header that carries a secret and does not print it.
pub(super) fn header(secret: &SecretString, what: &'static str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(secret.expose_secret()).map_err(|_| Error::NotASecret { what })?;
    if value.is_empty() {
        return Err(Error::NotASecret { what });
    }
    value.set_sensitive(true);
    Ok(value)
}
