//! A token that somebody else obtains and renews, sent as `X-Auth-Token`.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use super::{Error, Secret};

/// The header that carries the token, by the specification of `progress-data`.
const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// The way in with a token that is given.
#[derive(Debug)]
pub struct Token {
    secret: Secret,
}

impl Token {
    /// Uses the token that is found in `secret` at the time of each request.
    pub fn new(secret: Secret) -> Self {
        Self { secret }
    }

    /// Adds to a request's headers what proves who is asking.
    ///
    /// # Errors
    /// When the secret cannot be read, or is no token.
    pub async fn authenticate(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        let token = self.secret.read().await?;
        let mut value = HeaderValue::from_str(token.expose_secret()).map_err(|_| Error::NotAToken)?;
        if value.is_empty() {
            return Err(Error::NotAToken);
        }
        value.set_sensitive(true);
        headers.insert(X_AUTH_TOKEN, value);
        Ok(())
    }
}
