//! How the objects of one job and type move, which no single listing tells.

use std::time::{Duration, SystemTime};

use super::{ObjectName, Percent};

/// How the objects of a listing stand, seen together with the listings before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// How many objects are in each state.
    pub states: States,
    /// Mean progress of all objects in percent, each object counting once.
    pub average: f64,
    /// Progress of the slowest object.
    pub minimum: Percent,
    /// When any of them last moved.
    pub last_change: LastChange,
    /// How fast the average has risen lately, in percent an hour; nothing where nothing was seen to rise.
    pub pace: Option<f64>,
    /// The time that is left for all objects that are not stalled, at the recent pace; nothing where it cannot be known.
    pub left: Option<Duration>,
    /// Objects that are stalled, the one that has stood longest first; not all where there are many.
    pub stalled: Vec<Standing>,
    /// Objects that are on their way, the one that is least far first; not all where there are many.
    pub slowest: Vec<Standing>,
}

/// How many objects are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct States {
    /// At 0.
    pub not_started: u64,
    /// At 1 to 99, and moving.
    pub in_progress: u64,
    /// At 1 to 99, and not moved for a while.
    pub stalled: u64,
    /// At 100.
    pub completed: u64,
}

/// When something last moved, as far as it was watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastChange {
    /// It was seen to move then.
    Seen(SystemTime),
    /// It has not moved since it was first looked at, which was then; it may have stood for longer.
    NotSince(SystemTime),
}

impl LastChange {
    /// The time, whichever it is.
    pub const fn time(self) -> SystemTime {
        match self {
            Self::Seen(time) | Self::NotSince(time) => time,
        }
    }
}

/// One object, and since when it is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is called on both sides.
    pub name: ObjectName,
    /// How far it is.
    pub progress: Percent,
    /// When it came there, or was first looked at.
    pub since: SystemTime,
}
