//! When a job and type is asked for next. Pure: values in, values out.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

use super::Start;

/// How often a job that is gone, or a type that it does not support, is looked at.
const RARELY: Duration = Duration::from_secs(60 * 60);

/// How often what is not permitted is tried again: a permission that was given shows soon, and nobody is hammered.
const PATIENTLY: Duration = Duration::from_secs(5 * 60);

/// How much hurry there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Things move, or may move again at any time.
    Usual,
    /// Nothing is left to move.
    Settled,
    /// It is not permitted.
    Forbidden,
    /// The job is gone, or cannot do this.
    Hopeless,
}

/// How long after the start something is polled first: somewhere in the interval, at a place that depends on nothing but its
/// key, so that the first polls of many are spread evenly, and again so after a restart.
pub(super) fn first_delay(start: Start, key: &impl Hash, interval: Duration) -> Duration {
    if start == Start::AtOnce {
        return Duration::ZERO;
    }
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    interval.mul_f64(hasher.finish() as f64 / u64::MAX as f64)
}

/// The time between a poll and the next one.
pub(super) fn period(pace: Pace, interval: Duration, settled_interval: Duration) -> Duration {
    match pace {
        Pace::Usual => interval,
        Pace::Settled => interval.max(settled_interval),
        Pace::Forbidden => interval.max(PATIENTLY),
        Pace::Hopeless => interval.max(RARELY),
    }
}

/// When a group is due again, and how many polls are left out because their time passed while the last one ran.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) due: Instant,
    pub(super) skipped: u64,
}

/// The first moment after `now` that is a whole number of periods from `due`: a late poll is never followed by a burst.
pub(super) fn next(due: Instant, period: Duration, now: Instant) -> Next {
    let late = now.saturating_duration_since(due);
    // Configured periods are a second at least; a zero would only mean "at once".
    let periods = late.as_nanos().checked_div(period.as_nanos()).unwrap_or(0);
    let skipped = u32::try_from(periods).unwrap_or(u32::MAX - 1);
    Next { due: due + period * (skipped + 1), skipped: skipped.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GroupKey, ObjectType};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn first_polls_are_spread_over_the_interval() {
        let interval = Duration::from_secs(60);
        let mut tenths = [0_u32; 10];
        for job in 0..200 {
            for object_type in ObjectType::ALL {
                let key = GroupKey { job: format!("job-{job}").parse().unwrap(), object_type };
                let delay = first_delay(Start::Spread, &key, interval);
                assert!(delay <= interval);
                assert_eq!(delay, first_delay(Start::Spread, &key, interval));
                assert_eq!(first_delay(Start::AtOnce, &key, interval), Duration::ZERO);
                tenths[(delay.as_secs() / 6).min(9) as usize] += 1;
            }
        }
        assert!(tenths.iter().all(|&polls| (120..=240).contains(&polls)), "{tenths:?}");
    }

    #[test]
    fn a_poll_in_time_is_followed_one_period_after_it_was_due() {
        let due = Instant::now();
        let expected = Next { due: due + 10 * SECOND, skipped: 0 };
        assert_eq!(next(due, 10 * SECOND, due), expected);
        assert_eq!(next(due, 10 * SECOND, due + 9 * SECOND), expected);
    }

    #[test]
    fn a_late_poll_is_not_followed_by_a_burst() {
        let due = Instant::now();
        assert_eq!(next(due, 10 * SECOND, due + 10 * SECOND), Next { due: due + 20 * SECOND, skipped: 1 });
        assert_eq!(next(due, 10 * SECOND, due + 35 * SECOND), Next { due: due + 40 * SECOND, skipped: 3 });
    }

    #[test]
    fn what_will_not_change_soon_is_asked_for_less_often() {
        let of = |pace| period(pace, 60 * SECOND, 600 * SECOND);
        assert_eq!(of(Pace::Usual), 60 * SECOND);
        assert_eq!(of(Pace::Settled), 600 * SECOND);
        assert_eq!(of(Pace::Forbidden), 300 * SECOND);
        assert_eq!(of(Pace::Hopeless), 3600 * SECOND);
        assert_eq!(period(Pace::Settled, 900 * SECOND, 600 * SECOND), 900 * SECOND);
    }
}
