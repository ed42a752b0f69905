//! Whether every job and type that was known at the start has been polled once.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::GroupKey;

/// What the first polls still have to bring.
#[derive(Debug)]
pub struct Readiness {
    waiting: Mutex<BTreeSet<GroupKey>>,
    until: Instant,
}

impl Readiness {
    /// Waits for a poll of each of these, but no longer than `at_most`: a cloud that does not answer must not keep the
    /// exporter's own metrics from being read.
    pub fn new(known: impl IntoIterator<Item = GroupKey>, at_most: Duration) -> Self {
        Self { waiting: Mutex::new(known.into_iter().collect()), until: Instant::now() + at_most }
    }

    /// A poll of this one has ended, whatever it brought.
    pub fn tried(&self, key: &GroupKey) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// How many are still waited for; 0 means ready.
    pub fn waiting(&self) -> usize {
        if Instant::now() >= self.until {
            return 0;
        }
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
