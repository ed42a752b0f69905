//! A token that somebody else obtains and renews, sent as `X-Auth-Token`.

use futures_util::future::BoxFuture;
use reqwest::Request;
use reqwest::header::HeaderName;

use super::attempts::Attempts;
use super::{Error, Proof, Prove, Secret, fingerprint, secret};

/// The header that carries a token, by the specification of `progress-data`.
pub(super) const X_AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// The way in with a token that is given. A file is read anew for each request, so a token that was changed there is used.
#[derive(Debug)]
pub(super) struct Token(pub(super) Secret);

impl Prove for Token {
    fn prove<'a>(&'a self, request: &'a mut Request, _: &'a Attempts) -> BoxFuture<'a, Result<Proof, Error>> {
        Box::pin(async move {
            let token = self.0.read().await?;
            request.headers_mut().insert(X_AUTH_TOKEN, secret::header(&token, "token")?);
            Ok(Proof { made_of: fingerprint([&token]), generation: 0 })
        })
    }

    fn made_of(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async { Ok(fingerprint([&self.0.read().await?])) })
    }
}
