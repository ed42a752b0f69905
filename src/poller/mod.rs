//! Follows the jobs: decides when each (job, type) is asked for, asks, and reports what came of it.
//!
//! Reading order: `schedule` (when; pure), `round` (one poll), `task` (the loop).

mod round;
mod schedule;
mod task;

pub use task::{JobBell, Publish, Task};

use std::time::Duration;

/// How the jobs of all accounts are followed.
#[derive(Clone, Debug)]
pub struct Config {
    /// Rows asked for in one request, 1 to 1000.
    pub page_size: u32,
    /// How old the last good listing may become before it goes, once polls fail.
    pub stale_after: Duration,
    /// Time between polls of a type that has nothing left to move.
    pub settled_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            page_size: 1000,
            stale_after: Duration::from_secs(5 * 60),
            settled_interval: Duration::from_secs(10 * 60),
        }
    }
}
