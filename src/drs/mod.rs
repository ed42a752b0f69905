//! The DRS API: reads the listing of one job and type, whole or not at all.
//!
//! Reading order: `listing` (all pages of one type), `client` (one attempt at one page), `wire` (the JSON), `error`
//! (what an answer means), `budget` and `retry` (when to ask, and when to ask again).

mod budget;
mod client;
mod error;
mod listing;
mod retry;
mod wire;

pub use client::{Account, ClientError, Metrics};
pub use error::{ApiError, Class};
pub use listing::{Errors, Job, ListError, Reading};

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

use crate::auth;
use crate::model::is_cloud_id;

/// One account: where its DRS is, how to log in, and how much to ask of it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The account's name in the configuration, the value of the label `account`.
    pub account: String,
    /// Where the API is.
    pub endpoint: Endpoint,
    /// The project whose jobs are read.
    pub project_id: ProjectId,
    /// The language of error messages.
    pub language: Language,
    /// What the API's `offset` counts.
    pub offset_counts: OffsetCounts,
    /// How to log in.
    pub auth: auth::Config,
    /// How much to ask, and how long to wait.
    pub limits: Limits,
}

/// How much is asked of the API at once, and how much of an answer is taken.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests a second, in the long run; more than 0.
    pub requests_per_second: f64,
    /// Requests that may follow each other at once after a rest; at least 1.
    pub burst: u32,
    /// Requests under way at once; at least 1.
    pub concurrency: usize,
    /// How long one request may take, its body included.
    pub timeout: Duration,
    /// Largest response in bytes, after decompression.
    pub max_response_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_second: 5.0,
            burst: 5,
            concurrency: 4,
            timeout: Duration::from_secs(10),
            max_response_bytes: 16 * 1024 * 1024,
        }
    }
}

/// The base address of an API: `http` or `https`, with a host, perhaps a path, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// The address below the base, for a path that begins with `/`, and its query.
    fn at(&self, path: &str, query: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url.set_query(Some(query));
        url
    }

    /// Whether the host is this machine; a proxy is of no use then.
    fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Whether a token sent there crosses a network that anybody may read.
    pub fn is_exposed(&self) -> bool {
        self.0.scheme() == "http" && !self.is_loopback()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is no base address.
#[derive(Debug, thiserror::Error)]
#[error("expected an address such as `https://drs.ap-southeast-3.myhuaweicloud.com`, without user, query or fragment")]
pub struct InvalidEndpoint;

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let url = Url::parse(text).map_err(|_| InvalidEndpoint)?;
        let plain = url.username().is_empty() && url.password().is_none() && url.query().or(url.fragment()).is_none();
        if !matches!(url.scheme(), "http" | "https") || !plain {
            return Err(InvalidEndpoint);
        }
        Ok(Self(url))
    }
}

/// The id of a project: 1 to 64 ASCII letters, digits, `-` or `_`. It goes into the path of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectId(String);

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no project id.
#[derive(Debug, thiserror::Error)]
#[error("expected a project id: 1 to 64 letters, digits, `-` or `_`, as the console shows it under My Credentials")]
pub struct InvalidProjectId;

impl FromStr for ProjectId {
    type Err = InvalidProjectId;

    fn from_str(text: &str) -> Result<Self, InvalidProjectId> {
        if is_cloud_id(text) { Ok(Self(text.to_owned())) } else { Err(InvalidProjectId) }
    }
}

/// The language of DRS's messages: the two values of `X-Language` in the specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// `en-us`.
    #[default]
    English,
    /// `zh-cn`.
    Chinese,
}

impl Language {
    const fn as_str(self) -> &'static str {
        match self {
            Self::English => "en-us",
            Self::Chinese => "zh-cn",
        }
    }
}

/// What the API's `offset` counts. The vendor's Terraform provider counts rows; the specification's own example asks
/// `offset=1` and shows the only row, which fits pages counted from 1 or an offset that is ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffsetCounts {
    /// Rows: the second page of 1000 is at 1000.
    #[default]
    Rows,
    /// Pages: the second page is at 1.
    Pages,
}
