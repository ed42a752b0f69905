//! An IAM user, who logs in with a password for a token and renews it ahead of its end.

use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::Request;
use secrecy::{ExposeSecret, SecretString};

use super::attempts::Attempts;
use super::iam::{self, Credentials, Scope};
use super::lease::{Lease, Lent};
use super::token::X_AUTH_TOKEN;
use super::{Error, Place, Proof, Prove, Secret, fingerprint, secret};
use crate::cloud::Http;

/// How long before its end a token is renewed. Tokens are good for a day.
pub(super) const AHEAD: Duration = Duration::from_secs(60 * 60);

/// An IAM user.
#[derive(Clone, Debug, PartialEq)]
pub struct Password {
    /// The user's name.
    pub user: String,
    /// The name of the account that the user belongs to.
    pub domain: String,
    /// The password. A file is read anew for each log-in.
    pub password: Secret,
}

/// The way in with a password.
#[derive(Debug)]
pub(super) struct User {
    pub(super) user: Password,
    pub(super) http: Http,
    pub(super) place: Place,
    pub(super) lease: Lease<SecretString>,
}

impl User {
    async fn log_in(&self, password: &SecretString) -> Result<Lent<SecretString>, Error> {
        let iam = self.place.iam()?;
        let scope = match (&self.place.project, &self.place.region) {
            (Some(project), _) => Scope::Id(project),
            (None, Some(region)) => Scope::Region(region),
            (None, None) => return Err(Error::NoIam),
        };
        let Password { user, domain, .. } = &self.user;
        let credentials = Credentials { user, domain, password: password.expose_secret() };
        iam::log_in(&self.http, &iam, credentials, scope).await
    }
}

impl Prove for User {
    fn prove<'a>(&'a self, request: &'a mut Request, attempts: &'a Attempts) -> BoxFuture<'a, Result<Proof, Error>> {
        Box::pin(async move {
            let password = self.user.password.read().await?;
            let made_of = fingerprint([&password]);
            let token = self.lease.get(attempts, made_of, self.log_in(&password)).await?;
            request.headers_mut().insert(X_AUTH_TOKEN, secret::header(&token.credential, "token that IAM gave")?);
            Ok(Proof { made_of, generation: token.generation })
        })
    }

    fn made_of(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async { Ok(fingerprint([&self.user.password.read().await?])) })
    }

    fn refused(&self, proof: Proof) -> bool {
        self.lease.refused(proof.generation);
        true
    }

    /// A log-in, and the request that shows whether its token is taken.
    fn attempts_to_learn(&self) -> usize {
        2
    }
}
