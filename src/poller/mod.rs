//! Follows the jobs: decides when each (job, type) is asked for, asks, and reports what came of it.
//!
//! Reading order: `schedule` (when; pure), `settings` (what may change meanwhile), `round` (one poll), `intake` (a listing, page by page), `progress` and `ranking` (what
//! several listings tell together; pure), `memory`, `snapshot` and `timeline` (what that needs to know of the past and the time), `task`
//! (the loop of one job and type), `overview` (the loop of one job as a whole), `discovery` (which jobs there are), `demand`
//! (whether all of it fits the budget), `complaint` (what is news in the log).

mod complaint;
mod demand;
mod discovery;
mod intake;
mod memory;
mod overview;
mod progress;
mod ranking;
mod round;
mod schedule;
mod settings;
mod snapshot;
mod task;
mod timeline;

pub use complaint::{Complaint, News};
pub use demand::Demand;
pub use discovery::{Discovery, Filter, InvalidPattern, Lister, Metrics, NoRoster, Pattern, Roster};
pub use memory::Memory;
pub use overview::{Overview, Sighting};
pub use settings::Settings;
pub use snapshot::Unusable;
pub use task::{Draft, JobBell, Publish, Task, Ties};

use std::time::Duration;

/// How the jobs of all accounts are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Rows asked for in one request, 1 to 1000.
    pub page_size: u32,
    /// How old the last good listing may become before it goes, once polls fail.
    pub stale_after: Duration,
    /// Time between polls of a type that has nothing left to move.
    pub settled_interval: Duration,
    /// For how long an object on its way may stand still before it is stalled.
    pub stall_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            page_size: 1000,
            stale_after: Duration::from_secs(5 * 60),
            settled_interval: Duration::from_secs(10 * 60),
            stall_after: Duration::from_secs(30 * 60),
        }
    }
}

/// When something that is followed is looked at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Somewhere in its interval, since many others begin as well.
    Spread,
    /// At once.
    AtOnce,
}
