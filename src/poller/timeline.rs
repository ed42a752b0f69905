//! The time that standing still is measured in. It runs on when somebody sets the system's clock, which would otherwise make
//! everything stalled, or nothing.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// How far the system's clock may be from ours before it is taken for set, in seconds. Less than that is our own rounding.
const TOLERANCE: u64 = 2;

/// Seconds since 1970 as the system's clock had it at the start, counted on by a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeline {
    start: Instant,
    base: Duration,
}

/// A moment of the timeline, and how it stands to the system's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    /// Seconds on the timeline.
    pub(super) now: f64,
    /// What has to be added to have the system's time, in seconds.
    pub(super) drift: i64,
}

impl Timeline {
    /// A timeline that agrees with the system's clock.
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), base: since_1970(SystemTime::now()) }
    }

    /// The present moment.
    pub(super) fn now(&self) -> Moment {
        Moment::new(self.base + self.start.elapsed(), since_1970(SystemTime::now()))
    }
}

impl Moment {
    fn new(ours: Duration, system: Duration) -> Self {
        let apart = system.abs_diff(ours).as_secs();
        let drift = if apart < TOLERANCE { 0 } else { i64::try_from(apart).unwrap_or(i64::MAX) };
        Self { now: ours.as_secs_f64(), drift: if system < ours { -drift } else { drift } }
    }

    /// Whole seconds on the timeline; they last until 2106.
    pub(super) fn seconds(self) -> u32 {
        self.now as u32
    }

    /// What the system's clock says of a second on the timeline.
    pub(super) fn system(self, second: u32) -> SystemTime {
        let since = u64::from(second).saturating_add_signed(self.drift);
        SystemTime::UNIX_EPOCH + Duration::from_secs(since)
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_clock_that_is_set_moves_what_is_told_and_not_what_is_measured() {
        let (ours, second) = (Duration::from_millis(1_000_500), Duration::from_secs(1));
        let moment = |system| Moment::new(ours, system);
        assert_eq!(moment(ours), Moment { now: 1000.5, drift: 0 });
        assert_eq!(moment(ours + second).drift, 0);
        let ahead = moment(ours + 3600 * second);
        assert_eq!((ahead.seconds(), ahead.system(900)), (1000, at(4500)));
        let behind = moment(ours - 600 * second);
        assert_eq!((behind.seconds(), behind.system(900), behind.system(1)), (1000, at(300), at(0)));
    }
}
