//! Which jobs there are, and what the cloud says of one as a whole.

use std::collections::BTreeMap;
use std::str::FromStr;

use tokio::time::Instant;

use super::client::{Account, Call};
use super::error::ApiError;
use super::wire;
use super::{Job, Tally};
use crate::model::{JobId, JobView, ListedJob};

/// How often a list is read at the most: once, and twice again.
const MAX_READINGS: u32 = 3;

/// Jobs asked for in one request.
const PAGE_SIZE: u64 = 100;

/// Most jobs of an account. The cloud's `total_count` is not believed beyond it, so that no answer can fill the memory.
const MAX_JOBS: u64 = 100_000;

/// Which jobs the cloud is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Types of jobs; the cloud lists one at a time.
    pub job_types: Vec<JobType>,
    /// Jobs of this enterprise project only.
    pub enterprise_project_id: Option<String>,
}

/// What kind of work a job does: the values of `job_type` that the vendor's SDK knows for jobs that move data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobType {
    /// Real-time migration.
    Migration,
    /// Real-time synchronization.
    Sync,
    /// Real-time disaster recovery.
    DisasterRecovery,
}

impl JobType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Migration, Self::Sync, Self::DisasterRecovery];

    /// The type as DRS spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Migration => "migration",
            Self::Sync => "sync",
            Self::DisasterRecovery => "cloudDataGuard",
        }
    }
}

/// The text names none of the types of jobs.
#[derive(Debug, thiserror::Error)]
#[error("expected one of {}", JobType::ALL.map(JobType::as_str).join(", "))]
pub struct UnknownJobType;

impl FromStr for JobType {
    type Err = UnknownJobType;

    fn from_str(text: &str) -> Result<Self, UnknownJobType> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or(UnknownJobType)
    }
}

/// The jobs that the cloud lists.
#[derive(Debug)]
pub struct Found {
    /// Each once, those within others too.
    pub jobs: BTreeMap<JobId, ListedJob>,
    /// Whether these are all: whether the pages held together as many as the cloud had announced.
    pub complete: bool,
}

impl Account {
    /// Lists the jobs of the project.
    ///
    /// # Errors
    /// When a page cannot be had. At once when the account pauses until after `deadline`, at which the caller will cut this
    /// call short.
    pub async fn jobs(&self, wanted: &Wanted, deadline: Instant, tally: &mut Tally) -> Result<Found, ApiError> {
        let mut found = Found { jobs: BTreeMap::new(), complete: true };
        for &job_type in &wanted.job_types {
            let mut seen = BTreeMap::new();
            for reading in 1..=MAX_READINGS {
                let ask = Ask { job_type, wanted, deadline, to_the_end: reading == MAX_READINGS };
                let (listed, complete) = self.read_jobs(ask, tally).await?;
                if complete {
                    seen = listed;
                    break;
                }
                // Jobs that come and go move the others from page to page, so a list that does not add up is read again.
                // What none of the readings shows whole is shown by all of them together.
                seen.extend(listed);
                found.complete &= reading < MAX_READINGS;
            }
            found.add(seen);
        }
        Ok(found)
    }

    /// Reads the list of one type once; says whether it added up. One that does not is read on only where it is to be read to
    /// the end, so that what is wrong with one page does not hide the others.
    async fn read_jobs(&self, ask: Ask<'_>, tally: &mut Tally) -> Result<(Listed, bool), ApiError> {
        let mut listed = Listed::new();
        let (mut rows, mut total, mut adds_up) = (0, None, true);
        loop {
            let mut query = vec![("job_type", ask.job_type.as_str().to_owned())];
            query.extend(ask.wanted.enterprise_project_id.clone().map(|id| ("enterprise_project_id", id)));
            query.extend([("offset", rows.to_string()), ("limit", PAGE_SIZE.to_string())]);
            let call =
                Call { operation: "list_jobs", path: "/jobs".to_owned(), query, deadline: ask.deadline, lane: None };
            let page = self.ask(&call, wire::jobs, tally).await?.unwrap_or_default();
            let came = page.jobs.len() as u64 + page.malformed;
            rows += came;
            listed.extend(page.jobs.into_iter().map(|job| (job.job.id.clone(), job)));
            adds_up &= *total.get_or_insert(page.total_count) == page.total_count && page.malformed == 0;
            let given_up = !adds_up && !ask.to_the_end;
            if given_up || came == 0 || rows >= page.total_count || rows > MAX_JOBS {
                let complete = adds_up && listed.len() as u64 == page.total_count;
                return Ok((listed, complete));
            }
        }
    }
}

/// The jobs of one type.
type Listed = BTreeMap<JobId, wire::JobWithChildren>;

/// What one reading asks for.
#[derive(Clone, Copy)]
struct Ask<'a> {
    job_type: JobType,
    wanted: &'a Wanted,
    deadline: Instant,
    to_the_end: bool,
}

impl Found {
    fn add(&mut self, listed: Listed) {
        for (id, wire::JobWithChildren { job, children }) in listed {
            self.jobs.insert(id, job);
            self.jobs.extend(children.into_iter().map(|child| (child.id.clone(), child)));
        }
    }
}

impl Job {
    /// What the cloud says of the job as a whole; nothing where it says that there is nothing to say.
    ///
    /// # Errors
    /// When the cloud does not answer.
    pub async fn view(&self, deadline: Instant, tally: &mut Tally) -> Result<Option<(ListedJob, JobView)>, ApiError> {
        let call = Call {
            operation: "job_progress",
            path: format!("/jobs/{}", self.id),
            query: vec![("type", "progress".to_owned())],
            deadline,
            lane: Some(&self.lane),
        };
        let answer = self.account.ask(&call, wire::view, tally).await?;
        Ok(answer.map(|wire::View { details, view }| {
            let listed = ListedJob { id: self.id.clone(), details, status: view.status.clone() };
            (listed, view)
        }))
    }
}
