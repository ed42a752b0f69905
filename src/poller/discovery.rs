//! Which jobs of an account are to be followed: asked of the cloud again and again, and told when that changes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use regex::{Regex, RegexBuilder};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, info, warn};

use super::complaint::{Complaint, News};
use super::overview::{Dated, Sighting};
use super::schedule;
use crate::drs::{Account, Class, Tally, Wanted};
use crate::model::{JobId, JobStatus, ListedJob, ObjectType, Shard, Shown};

/// Largest memory of a compiled pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;

/// How soon a list that failed is tried again, at the latest.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Which jobs are looked for, and how those that are found are followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovery {
    /// Which jobs the cloud is asked for.
    pub wanted: Wanted,
    /// Which of them are followed.
    pub filter: Filter,
    /// Time between two lists.
    pub interval: Duration,
    /// The types of objects that are listed of a job that is found.
    pub types: Vec<ObjectType>,
    /// Time between two polls of one type of such a job.
    pub poll_interval: Duration,
    /// Which of its objects have a series of their own.
    pub shown: Shown,
    /// Whose jobs are followed, where several exporters share them.
    pub shard: Shard,
}

/// Which of the listed jobs are followed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Jobs in one of these states; all that are not over where none is named.
    pub statuses: Vec<JobStatus>,
    /// Jobs whose name matches; all where there is none.
    pub include: Option<Pattern>,
    /// And not those whose name matches.
    pub exclude: Option<Pattern>,
}

/// A regular expression for the names of jobs; it may match anywhere in the name.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// The text is no pattern.
#[derive(Debug, thiserror::Error)]
#[error("expected a regular expression, such as `^prod-`: {0}")]
pub struct InvalidPattern(String);

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let built = RegexBuilder::new(text).size_limit(MAX_PATTERN_BYTES).build();
        // The parser draws where it went wrong, on lines of their own; the last line says what.
        let reason = |error: regex::Error| error.to_string().lines().last().unwrap_or_default().trim().to_owned();
        built.map(Self).map_err(|error| InvalidPattern(reason(error)))
    }
}

impl Filter {
    /// Whether the job is followed.
    fn takes(&self, job: &ListedJob) -> bool {
        let name = &job.details.name;
        let status = match &job.status {
            Some(status) if self.statuses.is_empty() => !status.is_ended(),
            Some(status) => self.statuses.contains(status),
            None => self.statuses.is_empty(),
        };
        status
            && self.include.as_ref().is_none_or(|Pattern(include)| include.is_match(name))
            && !self.exclude.as_ref().is_some_and(|Pattern(exclude)| exclude.is_match(name))
    }
}

/// The jobs of an account, as one list has them.
#[derive(Debug)]
pub struct Roster {
    /// Every job of the list, whether it is to be followed or not.
    pub listed: BTreeMap<JobId, ListedJob>,
    /// Whether these are all; if not, one that is missing may still be there.
    pub complete: bool,
    /// When it was asked for.
    pub at: Instant,
    /// Until when the states in it are believed.
    pub believed_until: Instant,
}

/// There is no list.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct NoRoster {
    /// Whether the account was not let in, so that nothing else will be answered either.
    pub is_refusal: bool,
    problem: String,
}

impl Roster {
    /// Tells the one who follows a job what the list says of it, if anything.
    pub fn tell(&self, job: &JobId, sightings: &watch::Sender<Sighting>) {
        if let Some(listed) = self.listed.get(job) {
            let status = listed.status.clone();
            let status = status.map(|status| Dated { what: status, at: self.at, until: self.believed_until });
            sightings.send_replace(Sighting { details: listed.details.clone(), status });
        }
    }
}

impl Discovery {
    /// Whether the other one lists the same jobs at the same pace, whichever of them it takes.
    pub fn lists_as(&self, other: &Self) -> bool {
        (&self.wanted, self.interval) == (&other.wanted, other.interval)
    }

    /// Whether a job of the roster is to be followed.
    pub fn takes(&self, job: &ListedJob) -> bool {
        self.filter.takes(job) && self.shard.takes(&job.id)
    }
}

/// Lists the jobs of one account.
#[derive(Debug)]
pub struct Lister {
    account: Arc<Account>,
    discovery: Discovery,
    stale_after: Duration,
    metrics: Metrics,
    complaint: Complaint,
}

impl Lister {
    /// Prepares to list the jobs of an account; the states of a list are believed for two intervals, or for `stale_after` if
    /// that is longer.
    pub fn new(account: Arc<Account>, discovery: Discovery, stale_after: Duration, metrics: Metrics) -> Self {
        Self { account, discovery, stale_after, metrics, complaint: Complaint::default() }
    }

    /// Lists them for ever. `tell` takes each roster, and nothing where a list could not be had.
    pub async fn run<F: Future<Output = ()>>(mut self, mut tell: impl FnMut(Option<Roster>) -> F) -> Infallible {
        let mut due = Instant::now();
        loop {
            sleep_until(due).await;
            let roster = self.list().await.ok();
            // After a failure the next try comes sooner, or a new job might be seen late.
            let period = if roster.is_some() { self.interval() } else { self.interval().min(RETRY_AFTER) };
            tell(roster).await;
            due = schedule::next(due, period, Instant::now()).due;
        }
    }

    /// Lists them once.
    ///
    /// # Errors
    /// What went wrong, and what to do. It was logged too, where it was news.
    pub async fn list(&mut self) -> Result<Roster, NoRoster> {
        let now = Instant::now();
        let deadline = now + self.interval().max(self.stale_after);
        let mut tally = Tally::default();
        let listing = self.account.jobs(&self.discovery.wanted, deadline, &mut tally);
        let roster = match timeout_at(deadline, listing).await {
            Ok(Ok(found)) => {
                let believed_until = now + self.stale_after.max(self.interval() * 2);
                Ok(Roster { listed: found.jobs, complete: found.complete, at: now, believed_until })
            }
            Ok(Err(error)) => {
                Err(NoRoster { is_refusal: matches!(error.class, Class::Auth { .. }), problem: error.to_string() })
            }
            Err(_) => {
                let problem = "no whole list in time; DRS or the account's budget is too slow".to_owned();
                Err(NoRoster { is_refusal: false, problem })
            }
        };
        let problem = match &roster {
            Ok(roster) if roster.complete => None,
            Ok(_) => Some(
                "the list kept changing while it was read, or has rows that are no jobs; what is missing in it is not taken for ended".to_owned(),
            ),
            Err(none) => Some(none.problem.clone()),
        };
        let account = &self.account.config().account;
        self.metrics.listed(account, roster.is_ok());
        match self.complaint.hear(problem) {
            News::Bad(problem) => {
                warn!(account, problem, "no whole list of the jobs; those that are known are followed on")
            }
            News::BadAsBefore(problem) => debug!(account, problem, "again no list of the jobs"),
            News::GoodAgain => info!(account, "the jobs are listed again"),
            News::Good => debug!(account, jobs = roster.as_ref().map_or(0, |roster| roster.listed.len()), "listed"),
        }
        roster
    }

    fn interval(&self) -> Duration {
        self.discovery.interval
    }
}

/// Whether the jobs of each account are to be had.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    success: Family<AccountLabels, Gauge>,
    last_success: Family<AccountLabels, Gauge<f64, AtomicU64>>,
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
            "drs_discovery_success",
            "Whether the last list of the account's jobs was to be had",
            metrics.success.clone(),
        );
        registry.register(
            "drs_discovery_last_success_timestamp_seconds",
            "When the account's jobs were last listed",
            metrics.last_success.clone(),
        );
        metrics
    }

    /// Tells nothing of an account any more, whose jobs are not listed now.
    pub fn forget(&self, account: &str) {
        let labels = AccountLabels { account: account.to_owned() };
        self.success.remove(&labels);
        self.last_success.remove(&labels);
    }

    fn listed(&self, account: &str, success: bool) {
        let labels = AccountLabels { account: account.to_owned() };
        self.success.get_or_create(&labels).set(success.into());
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        if let (true, Ok(since)) = (success, since_1970) {
            self.last_success.get_or_create(&labels).set(since.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::JobDetails;

    fn listed(name: &str, status: Option<&str>) -> ListedJob {
        let details = JobDetails { name: name.to_owned(), ..JobDetails::default() };
        ListedJob { id: "a".parse().unwrap(), details, status: status.map(|status| status.parse().unwrap()) }
    }

    #[test]
    fn a_filter_takes_what_its_parts_take() {
        let all = Filter::default();
        assert!(all.takes(&listed("x", Some("FULL_TRANSFER_STARTED"))) && all.takes(&listed("", None)));
        assert!(all.takes(&listed("x", Some("A_NEW_STATE"))));
        for over in ["RELEASE_RESOURCE_COMPLETE", "RELEASE_CHILD_TRANSFER_COMPLETE", "DELETED", "CREATE_FAILED"] {
            assert!(!all.takes(&listed("x", Some(over))), "{over}");
        }
        let pattern = |text: &str| Some(text.parse().unwrap());
        let named = Filter { include: pattern("^prod-"), exclude: pattern("test"), ..Filter::default() };
        assert!(named.takes(&listed("prod-a", None)));
        assert!(!named.takes(&listed("prod-test", None)) && !named.takes(&listed("my-prod-a", None)));
        let paused = Filter { statuses: vec!["PAUSING".parse().unwrap()], ..Filter::default() };
        assert!(paused.takes(&listed("x", Some("PAUSING"))));
        assert!(!paused.takes(&listed("x", Some("DELETED"))) && !paused.takes(&listed("x", None)));
    }

    #[test]
    fn a_pattern_that_is_none_or_too_large_is_told() {
        for wrong in ["(", "a{99999}{99999}"] {
            let error = wrong.parse::<Pattern>().unwrap_err().to_string();
            assert!(error.starts_with("expected a regular expression") && !error.contains('\n'), "{error}");
        }
    }
}
