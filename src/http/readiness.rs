//! Whether what was known at the start has been tried once.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What the first polls still have to bring.
#[derive(Debug)]
pub struct Readiness {
    waiting: Mutex<BTreeSet<String>>,
    until: Instant,
}

impl Readiness {
    /// Waits for what is expected, but no longer than `at_most`: a cloud that does not answer must not keep the exporter's own
    /// metrics from being read.
    pub fn new(at_most: Duration) -> Self {
        Self { waiting: Mutex::default(), until: Instant::now() + at_most }
    }

    /// Something is to be tried before the exporter is ready.
    pub fn expect(&self, what: String) {
        self.lock().insert(what);
    }

    /// It was tried, whatever came of it.
    pub fn tried(&self, what: &str) {
        self.lock().remove(what);
    }

    /// How much is still waited for; 0 means ready.
    pub fn waiting(&self) -> usize {
        if Instant::now() >= self.until { 0 } else { self.lock().len() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
