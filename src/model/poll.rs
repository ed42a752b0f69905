//! What became of a poll, and what is known of all polls of one job and type.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::{GroupKey, Listing, Progress};

/// How a poll ended. The value of the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The listing was read whole.
    Success,
    /// The listing kept changing while it was read; what was read last is shown.
    Inconsistent,
    /// The listing ended before as many objects as DRS had announced; nothing of it is shown.
    Incomplete,
    /// DRS or the API gateway asked for fewer requests.
    Throttled,
    /// The request was not authenticated or not permitted.
    Auth,
    /// DRS does not know the job, or has deleted it.
    Gone,
    /// The job cannot list this type, or not in its present state.
    Unsupported,
    /// Anything else.
    Error,
}

impl Outcome {
    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Inconsistent => "inconsistent",
            Self::Incomplete => "incomplete",
            Self::Throttled => "throttled",
            Self::Auth => "auth",
            Self::Gone => "gone",
            Self::Unsupported => "unsupported",
            Self::Error => "error",
        }
    }

    /// Whether the poll brought a listing that is shown.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Success | Self::Inconsistent)
    }
}

/// Why a row of a listing is not shown. The value of the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropReason {
    /// The same object stands in the listing again.
    Duplicate,
    /// A field is missing or of the wrong type, or the percent is outside 0 to 100.
    Malformed,
}

impl DropReason {
    /// The value of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Malformed => "malformed",
        }
    }
}

/// Longest error code that is kept, in bytes. The specification says 12, its own example has 10, and other services have more.
const MAX_ERROR_CODE_BYTES: usize = 64;

/// A reason why a request failed: DRS's own code (`DRS.M05003`), or a word of ours where there is none (`timeout`, `http_502`).
/// The value of the label `error_code`; always one short token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(Box<str>);

impl ErrorCode {
    /// The code as it came; `other` where it is not one token of at most 64 letters, digits, `.`, `_` or `-`.
    pub fn new(code: &str) -> Self {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if code.is_empty() || code.len() > MAX_ERROR_CODE_BYTES || !code.bytes().all(allowed) {
            return Self::other();
        }
        Self(code.into())
    }

    /// The code that stands for every code that is not kept.
    pub fn other() -> Self {
        Self("other".into())
    }

    /// The value of the label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is known of all polls of one job and type since the start.
#[derive(Clone, Debug)]
pub struct PollStatus {
    /// How many polls ended in each way. `success` and `error` are there from the start.
    pub polls: BTreeMap<Outcome, u64>,
    /// Polls that were due and left out, because the one before was still running.
    pub skipped: u64,
    /// Requests that failed, by reason.
    pub errors: BTreeMap<ErrorCode, u64>,
    /// Rows of published listings that were left out, by reason.
    pub dropped: BTreeMap<DropReason, u64>,
    /// How the last poll ended; none before the first.
    pub last: Option<Outcome>,
    /// When a poll last brought a listing.
    pub last_success: Option<SystemTime>,
    /// How long the last poll took.
    pub last_duration: Option<Duration>,
    /// What was wrong with the last poll, where it was, and what to do.
    pub problem: Option<String>,
    /// Times that a percent fell; nothing before there was an object.
    pub regressions: Option<u64>,
    /// Objects below 100 that were not listed any more; nothing before there was an object.
    pub disappeared: Option<u64>,
}

impl Default for PollStatus {
    fn default() -> Self {
        Self {
            polls: BTreeMap::from([(Outcome::Success, 0), (Outcome::Error, 0)]),
            skipped: 0,
            errors: BTreeMap::new(),
            dropped: BTreeMap::new(),
            last: None,
            last_success: None,
            last_duration: None,
            problem: None,
            regressions: None,
            disappeared: None,
        }
    }
}

/// What a poll does to the listing that is shown.
#[derive(Clone, Debug)]
pub enum Change {
    /// Show this listing from now on, and how its objects move; nothing of that where it has none.
    Listing(Listing, Option<Progress>),
    /// Go on showing the one before.
    Keep,
    /// Show none: the job is gone, or the last good listing is too old.
    Drop,
}

/// What the poller says of one job and type after each poll, and before the first.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which job and type.
    pub key: GroupKey,
    /// The polls so far, this one included.
    pub status: PollStatus,
    /// What becomes of the listing that is shown.
    pub change: Change,
}
