//! What is remembered of every job and type from one listing to the next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::progress::{Observation, Tracker};
use super::timeline::Timeline;
use crate::model::{GroupKey, JobId, Listing};

/// What all tasks remember; clones share it.
#[derive(Clone, Debug)]
pub struct Memory {
    timeline: Timeline,
    trackers: Arc<Mutex<BTreeMap<GroupKey, Arc<Mutex<Tracker>>>>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { timeline: Timeline::start(), trackers: Arc::default() }
    }
}

impl Memory {
    /// Forgets a job that is not followed any more.
    pub fn forget(&self, job: &JobId) {
        lock(&self.trackers).retain(|key, _| key.job != *job);
    }

    /// What is remembered of one job and type.
    pub(super) fn of(&self, key: &GroupKey) -> Recollection {
        let tracker = Arc::clone(lock(&self.trackers).entry(key.clone()).or_default());
        Recollection { timeline: self.timeline, tracker }
    }
}

/// What is remembered of one job and type.
#[derive(Clone, Debug)]
pub(super) struct Recollection {
    timeline: Timeline,
    tracker: Arc<Mutex<Tracker>>,
}

impl Recollection {
    /// Takes in a listing that was read just now. Takes time in proportion to the listing.
    pub(super) fn observe(&self, listing: &Listing, stall_after: Duration) -> Observation {
        lock(&self.tracker).observe(listing, self.timeline.now(), stall_after)
    }

    /// DRS says that there is nothing to list any more; gives how many objects below 100 are gone with that.
    pub(super) fn lose_all(&self) -> u64 {
        lock(&self.tracker).lose_all()
    }
}

/// A panic while it was held leaves at worst a listing half taken in, which the next one mends.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
