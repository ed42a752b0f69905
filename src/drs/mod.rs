//! The DRS API: reads the listing of one job and type, whole or not at all; lists the jobs; and asks for one job as a whole.
//!
//! Reading order: `listing` (all pages of one type), `jobs` (which jobs there are, and one as a whole), `client` (one request
//! and the attempts at it), `wire` (the JSON), `error` (what an answer means), `budget` and `retry` (when to ask, and when to
//! ask again), `tenure` (how long an account's metrics are told).

mod budget;
mod client;
mod error;
mod jobs;
mod listing;
mod retry;
mod tenure;
mod wire;

pub use client::{Account, AccountError, Metrics, Past, interpret};
pub use error::{ApiError, Class};
pub use jobs::{Found, JobType, UnknownJobType, Wanted};
pub use listing::{Intake, Job, ListError, Reading};
pub use wire::Page;

use std::collections::BTreeMap;

use crate::auth;
use crate::cloud::{Endpoint, Network};
use crate::model::{ErrorCode, Shard};

/// One account: where its DRS is, how to log in, and how much to ask of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The account's name in the configuration, the value of the label `account`.
    pub account: String,
    /// Where the API is.
    pub endpoint: Endpoint,
    /// The way there.
    pub network: Network,
    /// The language of error messages.
    pub language: Language,
    /// What the API's `offset` counts.
    pub offset_counts: OffsetCounts,
    /// How to log in, and whose data to read.
    pub auth: auth::Config,
    /// How much to ask.
    pub limits: Limits,
}

impl Config {
    /// The same with what the vendor's chain finds in its place, if that is the way in.
    ///
    /// # Errors
    /// When the chain finds something that cannot be used.
    pub async fn resolved(self) -> Result<Self, AccountError> {
        match self.auth.clone().resolved(&self.account).await {
            Ok(auth) => Ok(Self { auth, ..self }),
            Err(error) => Err(AccountError::Login { account: self.account, error }),
        }
    }

    /// Whether the other one asks the same cloud by the same way, as whoever it is that logs in, so that what was learned with one
    /// holds for the other.
    pub fn asks_as(&self, other: &Self) -> bool {
        (&self.endpoint, &self.network, &self.auth) == (&other.endpoint, &other.network, &other.auth)
    }
}

/// What a poll has asked.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests, each attempt.
    pub requests: u64,
    /// Those that failed, by reason; also those that another attempt made up for.
    pub errors: BTreeMap<ErrorCode, u64>,
}

/// How much is asked of the API at once, and how much of an answer is taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Requests a second, in the long run; more than 0.
    pub requests_per_second: f64,
    /// Requests that may follow each other at once after a rest; at least 1.
    pub burst: u32,
    /// Requests under way at once; at least 1.
    pub concurrency: usize,
    /// Largest response in bytes, after decompression.
    pub max_response_bytes: u64,
}

impl Limits {
    /// The part of one exporter, where several share the account. The cloud is asked no more by all of them together, unless there are
    /// more of them than requests that may follow or accompany each other.
    pub fn share(self, shard: Shard) -> Self {
        let concurrency = u32::try_from(self.concurrency).unwrap_or(u32::MAX);
        Self {
            requests_per_second: self.requests_per_second / f64::from(shard.total()),
            burst: shard.share(self.burst),
            concurrency: shard.share(concurrency) as usize,
            max_response_bytes: self.max_response_bytes,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests_per_second: 5.0, burst: 5, concurrency: 4, max_response_bytes: 16 * 1024 * 1024 }
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
