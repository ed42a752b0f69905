//! What people look at: each job with its types, how they stand, and what is wrong with them. The status page and the API are
//! both made from these values, so they cannot differ.
//!
//! Reading order: `shown` (the values), `condition` (what they come to, in one word), `summary` (several types as one).

mod condition;
mod shown;
mod summary;

pub use condition::Condition;
pub use shown::{Document, Job, Part, Poll, Standing, Type, schema};
pub use summary::{States, Summary};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use crate::model::{GroupKey, JobId, JobReport, Report, Shard, seconds};
use crate::store::Store;

/// What is known of every job that is followed. It keeps no listing.
#[derive(Debug, Default)]
pub struct Board {
    types: Store<GroupKey, (JobId, Arc<Type>)>,
    jobs: Store<JobId, JobReport>,
    part: RwLock<Option<Part>>,
}

impl Board {
    /// Shows what a report says from now on.
    pub fn publish(&self, report: &Report) {
        let before = self.types.get(&report.key);
        let shown = Type::new(report, before.as_ref().map(|before| &*before.1));
        self.types.publish(report.key.clone(), (report.key.job.clone(), Arc::new(shown)));
    }

    /// Shows what a report says of a job as a whole from now on.
    pub fn publish_job(&self, report: JobReport) {
        self.jobs.publish(report.job.clone(), report);
    }

    /// Shows which of several exporters this one is, if it shares the jobs with others.
    pub fn share(&self, shard: Shard) {
        let part = Part { index: shard.index(), total: shard.total() };
        *self.part.write().unwrap_or_else(PoisonError::into_inner) = shard.is_one_of_many().then_some(part);
    }

    /// Which part of the jobs this is; nothing where it is all of them.
    pub fn part(&self) -> Option<Part> {
        *self.part.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows nothing of one type of a job any more.
    pub fn forget_type(&self, key: &GroupKey) {
        self.types.retain(|known| known != key);
    }

    /// Shows nothing of a job any more.
    pub fn forget(&self, job: &JobId) {
        self.types.retain(|key| key.job != *job);
        self.jobs.retain(|known| known != job);
    }

    /// Whether the job is followed.
    pub fn follows(&self, job: &JobId) -> bool {
        self.types.any(|key| key.job == *job)
    }

    /// Every job that is followed, by id, with what is known of it as a whole.
    pub fn followed(&self) -> Vec<(JobId, Option<Arc<JobReport>>)> {
        let mut jobs: Vec<JobId> = self.types.select(|_| true).iter().map(|group| group.0.clone()).collect();
        // They are ordered by job, and by type within it.
        jobs.dedup();
        let with_report = |job| {
            let report = self.jobs.get(&job);
            (job, report)
        };
        jobs.into_iter().map(with_report).collect()
    }

    /// These jobs as they stand at this moment, or all where none is named; by id.
    pub fn jobs(&self, wanted: &BTreeSet<JobId>) -> Vec<Job> {
        let wanted = |job: &JobId| wanted.is_empty() || wanted.contains(job);
        let mut types: BTreeMap<JobId, Vec<Arc<Type>>> = BTreeMap::new();
        for group in self.types.select(|key| wanted(&key.job)) {
            let (job, shown) = &*group;
            types.entry(job.clone()).or_default().push(Arc::clone(shown));
        }
        types.into_iter().map(|(job, types)| Job::new(&job, self.jobs.get(&job).as_deref(), types)).collect()
    }

    /// The same with the present time, as the API gives it.
    pub fn document(&self, wanted: &BTreeSet<JobId>) -> Document {
        Document { timestamp_seconds: seconds(SystemTime::now()), shard: self.part(), jobs: self.jobs(wanted) }
    }
}
