//! Points in time as numbers, as Prometheus has them.

use std::time::SystemTime;

/// Seconds since 1970, negative before.
pub(crate) fn seconds(time: SystemTime) -> f64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}
