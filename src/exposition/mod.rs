//! What Prometheus reads: groups rendered and compressed once per poll, joined at each scrape.
//!
//! Reading order: `families` (what there is), `segment` (one job and type, rendered), `draft` and `pages` (its objects, page by page),
//! `quota` (how many of them), `gzip` (blocks that join), `scrape` (joining), `body` (sending), `text` and `openmetrics` (what differs
//! between the formats), `negotiation`, `process`.

mod body;
mod draft;
mod families;
mod gzip;
mod labels;
mod negotiation;
mod openmetrics;
mod pages;
mod process;
mod quota;
mod scrape;
mod segment;
mod text;

pub use body::Body;
pub use draft::Draft;
pub use families::{Family, Kind, families};
pub use negotiation::{Encoding, Format};
pub use scrape::{Exposition, Selection};

use std::fmt;
use std::str::FromStr;

/// How the metrics look.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name of the label that holds the job's id.
    pub job_label: JobLabel,
    /// Longest value of a label, in bytes; a longer one is cut and ends in a hash.
    pub max_label_bytes: usize,
    /// Most series of objects that a job has, all its types together.
    pub max_series_per_job: u32,
}

impl Config {
    /// Shortest limit for a label's value: room for the hash, and for a few letters before it.
    pub const MIN_LABEL_BYTES: usize = 64;
}

impl Default for Config {
    fn default() -> Self {
        Self { job_label: JobLabel("job".to_owned()), max_label_bytes: 1024, max_series_per_job: 100_000 }
    }
}

/// The name of the label that holds a job's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLabel(String);

impl fmt::Display for JobLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text cannot be the name of the job label.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected a label name such as `drs_job`: letters, digits and `_`, no digit first, no `__` first, and none of {}", TAKEN.join(", "))]
pub struct InvalidJobLabel;

/// Labels that the metrics have beside the job.
const TAKEN: [&str; 18] = [
    "type",
    "src_db",
    "src_tb",
    "dst_db",
    "dst_tb",
    "state",
    "outcome",
    "reason",
    "error_code",
    "account",
    "operation",
    "name",
    "region",
    "job_type",
    "engine_type",
    "task_type",
    "status",
    "version",
];

impl FromStr for JobLabel {
    type Err = InvalidJobLabel;

    fn from_str(text: &str) -> Result<Self, InvalidJobLabel> {
        let letters = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let digit_first = text.bytes().next().is_none_or(|b| b.is_ascii_digit());
        if !letters || digit_first || text.starts_with("__") || TAKEN.contains(&text) {
            return Err(InvalidJobLabel);
        }
        Ok(Self(text.to_owned()))
    }
}
