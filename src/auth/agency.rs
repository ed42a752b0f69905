//! The agency of the host: its metadata service gives temporary access keys to whoever asks from there.

use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Request, StatusCode};
use secrecy::SecretString;
use serde::Deserialize;

use super::access_key::Keys;
use super::attempts::Attempts;
use super::iam;
use super::lease::{Lease, Lent};
use super::signer::Key;
use super::{Error, Proof, Prove, secret};
use crate::cloud::{Endpoint, Http, Reply};

/// Where the metadata service is on every host of the cloud.
const METADATA: &str = "http://169.254.169.254";

/// How long before its end a key is renewed, as the vendor's SDK does.
pub(super) const AHEAD: Duration = Duration::from_secs(40 * 60);

/// Largest answer that is read, in bytes.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024;

/// What opens a session with a metadata service that wants one, and how long it is to last, in seconds.
const X_METADATA_TOKEN: HeaderName = HeaderName::from_static("x-metadata-token");
const X_METADATA_TOKEN_TTL_SECONDS: HeaderName = HeaderName::from_static("x-metadata-token-ttl-seconds");
const SESSION_SECONDS: &str = "21600";

/// The agency of the host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agency {
    /// Where the metadata service is, if not where it is on every host of the cloud.
    pub endpoint: Option<Endpoint>,
}

impl Agency {
    /// Where the metadata service is.
    pub(super) fn endpoint(&self) -> Result<Endpoint, Error> {
        match &self.endpoint {
            Some(endpoint) => Ok(endpoint.clone()),
            None => Ok(METADATA.parse()?),
        }
    }
}

/// The way in with an agency.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) http: Http,
    pub(super) metadata: Endpoint,
    pub(super) lease: Lease<Keys>,
}

#[derive(Deserialize)]
struct Answer {
    credential: Credential,
}

#[derive(Deserialize)]
struct Credential {
    access: String,
    secret: String,
    securitytoken: String,
    expires_at: String,
}

impl Host {
    async fn ask(&self) -> Result<Lent<Keys>, Error> {
        let mut reply = self.security_key(None).await?;
        // A service that wants a session says so; most do not.
        if reply.status == StatusCode::UNAUTHORIZED
            && let Some(session) = self.session().await?
        {
            reply = self.security_key(Some(session)).await?;
        }
        if !reply.status.is_success() {
            let said = reply.refusal().message.map(|message| format!(": {message}")).unwrap_or_default();
            let what = format!("the metadata service answered HTTP {}{said}", reply.status.as_u16());
            return Err(Error::Refused {
                what,
                advice: "give this host an agency that may read DRS, or choose another way in",
            });
        }
        let answer: Option<Answer> = serde_json::from_slice(&reply.body).ok();
        let lent = answer.and_then(|Answer { credential }| {
            let ends = iam::time(&credential.expires_at)?;
            let key = Key { id: credential.access.into(), secret: credential.secret.into() };
            let security_token = Some(SecretString::from(credential.securitytoken));
            Some(Lent { credential: Keys { key, security_token }, ends })
        });
        lent.ok_or_else(|| Error::Refused {
            what: "the metadata service gave something that is no key".to_owned(),
            advice: "check the `endpoint` of the agency",
        })
    }

    async fn security_key(&self, session: Option<HeaderValue>) -> Result<Reply, Error> {
        let mut request = Request::new(Method::GET, self.metadata.at("/openstack/latest/securitykey", &[]));
        if let Some(session) = session {
            request.headers_mut().insert(X_METADATA_TOKEN, session);
        }
        self.send(request).await
    }

    async fn session(&self) -> Result<Option<HeaderValue>, Error> {
        let mut request = Request::new(Method::PUT, self.metadata.at("/meta-data/latest/api/token", &[]));
        request.headers_mut().insert(X_METADATA_TOKEN_TTL_SECONDS, HeaderValue::from_static(SESSION_SECONDS));
        let reply = self.send(request).await?;
        if !reply.status.is_success() {
            return Ok(None);
        }
        let token = String::from_utf8_lossy(&reply.body).trim().into();
        secret::header(&token, "session of the metadata service").map(Some)
    }

    async fn send(&self, request: Request) -> Result<Reply, Error> {
        self.http.send("metadata", request, MAX_RESPONSE_BYTES).await.map_err(|failure| Error::Refused {
            what: format!("the metadata service cannot be asked: {failure}"),
            advice: "an agency works on hosts of the cloud only; elsewhere name another way in under `auth`",
        })
    }
}

impl Prove for Host {
    fn prove<'a>(&'a self, request: &'a mut Request, attempts: &'a Attempts) -> BoxFuture<'a, Result<Proof, Error>> {
        Box::pin(async move {
            let keys = self.lease.get(attempts, 0, self.ask()).await?;
            keys.credential.sign(request)?;
            Ok(Proof { made_of: 0, generation: keys.generation })
        })
    }

    fn made_of(&self) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(async { Ok(0) })
    }

    fn refused(&self, proof: Proof) -> bool {
        self.lease.refused(proof.generation);
        true
    }

    fn is_key(&self) -> bool {
        true
    }

    /// A new key, and the request that shows whether it is taken.
    fn attempts_to_learn(&self) -> usize {
        2
    }
}
