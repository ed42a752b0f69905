//! How many requests are answered in a time.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota};

/// Longest time in which a whole burst may come back: governor counts nanoseconds in 64 bits.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// Tokens that each request needs one of: one comes each interval, and as many are kept as make a burst.
#[derive(Debug)]
pub(super) struct Rate(DefaultDirectRateLimiter);

impl Rate {
    /// Nothing where the interval is too short to be one, or the burst would not come back in a lifetime.
    pub(super) fn new(interval: Duration, burst: NonZeroU32) -> Option<Self> {
        interval.checked_mul(burst.get()).filter(|whole| *whole <= LONGEST)?;
        Quota::with_period(interval).map(|quota| Self(DefaultDirectRateLimiter::direct(quota.allow_burst(burst))))
    }

    /// Whether one more may be answered now.
    pub(super) fn allows(&self) -> bool {
        self.0.check().is_ok()
    }
}

/// Reads a length of time as Go writes it: `1s`, `1m30s`, `1.5h`, `0`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 8] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let (number, unit) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, after) = unit.split_at(unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len()));
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        seconds += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    // Nothing at all is no time.
    Duration::try_from_secs_f64(seconds).ok().filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_go_writes_them() {
        for (text, milliseconds) in [
            ("1s", 1000),
            ("300ms", 300),
            ("1.5s", 1500),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("0", 0),
            ("0s", 0),
            (".5s", 500),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "1", "s", "1 s", "1d", "-1s", "1s1", "1..5s", "1e9s", "9999999999999999999999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
    #[test]
    fn a_burst_comes_back_in_a_lifetime() {
        let rate = |hours, burst| Rate::new(Duration::from_hours(hours), NonZeroU32::new(burst).unwrap());
        assert!(rate(1, 876_000).is_some());
        assert!(rate(1, 876_001).is_none());
        assert!(rate(1, u32::MAX).is_none());
        assert!(rate(u64::MAX / 3600, u32::MAX).is_none());
    }
}
