//! What is known of a job as a whole, beside the progress of its objects.

use std::str::FromStr;
use std::time::Duration;

use super::JobId;

/// Longest status that is kept, in bytes. The longest that is known has 31.
const MAX_STATUS_BYTES: usize = 64;

/// The state of a job, in the cloud's own word, such as `FULL_TRANSFER_STARTED`. The value of the label `status`; always one
/// short token. New ones may come at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStatus(Box<str>);

impl JobStatus {
    /// The word as it came; nothing where it is not one token of at most 64 letters, digits, `_` or `-`.
    pub fn new(word: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        let is_token = (1..=MAX_STATUS_BYTES).contains(&word.len()) && word.bytes().all(allowed);
        is_token.then(|| Self(word.into()))
    }

    /// The value of the label.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the job is over: it was ended or deleted, or never came to be.
    pub fn is_ended(&self) -> bool {
        matches!(
            self.as_str(),
            "RELEASE_RESOURCE_COMPLETE" | "RELEASE_CHILD_TRANSFER_COMPLETE" | "DELETED" | "CREATE_FAILED"
        )
    }
}

/// The text is no state of a job.
#[derive(Debug, thiserror::Error)]
#[error("expected a state of a job, such as `FULL_TRANSFER_STARTED`")]
pub struct InvalidJobStatus;

impl FromStr for JobStatus {
    type Err = InvalidJobStatus;

    fn from_str(text: &str) -> Result<Self, InvalidJobStatus> {
        Self::new(text).ok_or(InvalidJobStatus)
    }
}

/// What a job is called and what it does, as the cloud or the configuration says; empty where nobody does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobDetails {
    /// Its name.
    pub name: String,
    /// `migration`, `sync` or `cloudDataGuard`.
    pub job_type: String,
    /// From which engine to which, such as `mysql-to-gaussdbv5`.
    pub engine_type: String,
    /// `FULL_TRANS`, `FULL_INCR_TRANS` or `INCR_TRANS`.
    pub task_type: String,
}

impl JobDetails {
    /// These details, and those of `other` where there are none.
    pub fn or(self, other: Self) -> Self {
        let first = |mine: String, others| if mine.is_empty() { others } else { mine };
        Self {
            name: first(self.name, other.name),
            job_type: first(self.job_type, other.job_type),
            engine_type: first(self.engine_type, other.engine_type),
            task_type: first(self.task_type, other.task_type),
        }
    }
}

/// A job that the cloud lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedJob {
    /// Its id.
    pub id: JobId,
    /// What it is called and what it does.
    pub details: JobDetails,
    /// Its state, where the cloud says one.
    pub status: Option<JobStatus>,
}

/// The cloud's own view of a job as a whole. What the cloud says does not apply is not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobView {
    /// The state of the job.
    pub status: Option<JobStatus>,
    /// How much has arrived, in percent, 0 to 100.
    pub progress: Option<f64>,
    /// How far the increments are behind.
    pub incremental_delay: Option<Duration>,
    /// The time that is left, by the cloud's reckoning.
    pub remaining: Option<Duration>,
}

/// What is shown of a job as a whole from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct JobReport {
    /// The job.
    pub job: JobId,
    /// The account it belongs to, by its name in the configuration.
    pub account: String,
    /// The region of the account; empty where the configuration names none.
    pub region: String,
    /// What it is called and what it does.
    pub details: JobDetails,
    /// What is known of its state and progress, and not too old.
    pub view: JobView,
}
