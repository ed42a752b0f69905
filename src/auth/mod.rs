//! Ways in: what proves to the cloud who is asking. One file per way; secrets never print.
//!
//! Reading order: [`Login`] (what an account uses), `attempts` (when it may try; pure), then the ways: `token`, `password`,
//! `access_key` with its `signer` (pure), `agency`, and `chain`, which chooses one. `lease` keeps what ends and is renewed,
//! `iam` asks the vendor's service, `secret` says where secrets come from.

mod access_key;
mod agency;
mod attempts;
mod chain;
mod iam;
mod lease;
mod login;
mod password;
mod secret;
mod signer;
mod token;

pub use access_key::AccessKey;
pub use agency::Agency;
pub use login::{Login, Pass};
pub use password::Password;
pub use secret::Secret;
pub use signer::{Key, ToSign, authorization};

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::time::SystemTime;
use std::{fmt, io};

use futures_util::future::BoxFuture;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use reqwest::Request;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use crate::cloud::{BuildError, Endpoint, InvalidEndpoint, ProjectId, Region, Service};
use attempts::Attempts;

/// How an account logs in, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The way in.
    pub way: Way,
    /// The region, which gives the address of IAM and the name of its project.
    pub region: Option<Region>,
    /// Where IAM is, if not where the region says.
    pub iam_endpoint: Option<Endpoint>,
    /// The project whose data is read; left out, IAM is asked for the one of the region.
    pub project_id: Option<ProjectId>,
}

/// A way in.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// A token that somebody else obtains and renews.
    Token(Secret),
    /// An IAM user, who gets a token and renews it.
    Password(Password),
    /// An access key, which signs each request.
    AccessKey(AccessKey),
    /// The agency of the host, which gives temporary access keys.
    Agency(Agency),
    /// What the vendor's SDK would find: its environment variables, else its file of credentials, else the host's agency.
    Chain,
}

impl Config {
    /// The same with what the vendor's chain finds in its place. It has to be done before there can be a [`Login`].
    ///
    /// # Errors
    /// When the chain finds something that cannot be used.
    pub async fn resolved(self, account: &str) -> Result<Self, Error> {
        if matches!(self.way, Way::Chain) { chain::resolve(account, self).await } else { Ok(self) }
    }
}

/// What an account uses to log in, once it is known where.
#[derive(Clone, Debug)]
struct Place {
    iam: Option<Endpoint>,
    region: Option<Region>,
    project: Option<ProjectId>,
}

impl Place {
    /// Where IAM is.
    fn iam(&self) -> Result<Endpoint, Error> {
        let of_region = || self.region.as_ref()?.endpoint(Service::Iam).ok();
        self.iam.clone().or_else(of_region).ok_or(Error::NoIam)
    }
}

/// One way of making the proof.
trait Prove: fmt::Debug + Send + Sync {
    /// Adds to a request what proves who is asking, and logs in before where that is needed.
    fn prove<'a>(&'a self, request: &'a mut Request, attempts: &'a Attempts) -> BoxFuture<'a, Result<Proof, Error>>;

    /// What the proof is made of, as it stands now: another number once a secret was changed.
    fn made_of(&self) -> BoxFuture<'_, Result<u64, Error>>;

    /// The cloud refused this proof. Whether there will be another one, which is worth a try.
    fn refused(&self, proof: Proof) -> bool {
        let _ = proof;
        false
    }

    /// What each refusal costs: whether it counts towards the lock of an access key.
    fn is_key(&self) -> bool {
        false
    }

    /// How many attempts it takes to learn whether a refused account is let in again.
    fn attempts_to_learn(&self) -> usize {
        1
    }
}

/// Which proof a request carried.
#[derive(Clone, Copy, Debug, Default)]
struct Proof {
    /// What it was made of.
    made_of: u64,
    /// Of what is renewed, how many came before.
    generation: u64,
}

/// A number that tells secrets apart and tells nothing of them.
fn fingerprint<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> u64 {
    let mut hasher = DefaultHasher::new();
    secrets.into_iter().for_each(|secret| secret.expose_secret().hash(&mut hasher));
    hasher.finish()
}

/// Nothing could be made that proves who is asking, or it is too early to try again; DRS was not asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The file of a secret could not be read.
    #[error("cannot read the secret in {}: {reason}; check that the file exists and that this process may read it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file of a secret is larger than any secret.
    #[error("{} holds more than {limit} bytes, which is no secret; name the file that holds only the secret", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// How much is read at the most.
        limit: u64,
    },
    /// The secret is empty, or has characters that a header cannot carry.
    #[error("the {what} is empty or has characters that none has; write it alone, on one line")]
    NotASecret {
        /// Which one.
        what: &'static str,
    },
    /// The vendor's file of credentials has no key.
    #[error("the credentials file {}: {reason}", path.display())]
    Profile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// IAM, or the metadata service, did not give what was asked for.
    #[error("{what}; {advice}")]
    Refused {
        /// What it answered.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// It is not known where IAM is.
    #[error("it is not known where IAM is; name the account's `region` or `iam_endpoint`")]
    NoIam,
    /// The account was refused, and another attempt now could lock it.
    #[error("nothing is asked before {}, since the account was refused ({why}); check its `auth`, the key or user, and the clock of this host", rfc3339(*until))]
    Held {
        /// When the next attempt may be made.
        until: SystemTime,
        /// The same by the clock that cannot be set.
        at: Instant,
        /// What the last refusal said.
        why: String,
    },
    /// The HTTP client for IAM could not be made.
    #[error("{0}")]
    Client(String),
}

impl Error {
    fn unreadable(path: &std::path::Path, error: &io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), reason: error.to_string() }
    }
}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        Self::Client(error.to_string())
    }
}

impl From<InvalidEndpoint> for Error {
    fn from(error: InvalidEndpoint) -> Self {
        Self::Client(error.to_string())
    }
}

fn rfc3339(time: SystemTime) -> impl fmt::Display {
    // There is no such text for a time before 1970, which a wrong clock may show.
    humantime::format_rfc3339_seconds(time.max(SystemTime::UNIX_EPOCH))
}

/// How a renewal can end.
const OUTCOMES: [&str; 2] = ["success", "failure"];

/// What is known of the log-ins of all accounts.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    renewals: Family<RenewalLabels, Counter>,
    expiry: Family<AccountLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RenewalLabels {
    account: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AccountLabels {
    account: String,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "drs_auth_renewals",
            "Tokens and temporary keys that were asked for, the first one included, by what came of it",
            metrics.renewals.clone(),
        );
        registry.register(
            "drs_auth_expiry_timestamp_seconds",
            "When the token or temporary key in use ends, by the cloud's word",
            metrics.expiry.clone(),
        );
        metrics
    }

    fn renewed(&self, account: &str, ends: Option<SystemTime>) {
        let outcome = if ends.is_some() { "success" } else { "failure" };
        for known in OUTCOMES {
            let labels = RenewalLabels { account: account.to_owned(), outcome: known };
            self.renewals.get_or_create(&labels).inc_by(u64::from(known == outcome));
        }
        let since_1970 = ends.and_then(|ends| ends.duration_since(SystemTime::UNIX_EPOCH).ok());
        if let Some(seconds) = since_1970.and_then(|since| i64::try_from(since.as_secs()).ok()) {
            self.expiry.get_or_create(&AccountLabels { account: account.to_owned() }).set(seconds);
        }
    }

    /// Tells nothing of an account any more. It does not log in now.
    pub fn forget(&self, account: &str) {
        for outcome in OUTCOMES {
            self.renewals.remove(&RenewalLabels { account: account.to_owned(), outcome });
        }
        self.forget_expiry(account);
    }

    /// What the account had does not count any more, whenever it would have ended.
    pub fn forget_expiry(&self, account: &str) {
        self.expiry.remove(&AccountLabels { account: account.to_owned() });
    }
}
