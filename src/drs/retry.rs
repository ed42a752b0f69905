//! Whether a failed attempt at a page is followed by another one, and when.

use std::time::Duration;

use super::error::Class;

/// How often a page is tried at the most.
const MAX_ATTEMPTS: u32 = 3;

/// How long to wait after the first failed attempt, before jitter; twice as long after the second.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// How long to wait before attempt `made + 1`; nothing where there is to be none.
///
/// Only a failure that may pass by itself is tried again, and one that another proof of who is asking may mend. For one that was throttled the whole account pauses, so nothing is
/// added to that. `jitter`, 0 to 1, spreads the wait over ±50 %, so that polls which failed together do not come back together.
pub(super) fn delay(made: u32, class: Class, jitter: f64) -> Option<Duration> {
    if made >= MAX_ATTEMPTS {
        return None;
    }
    let doubled = FIRST_DELAY * 2_u32.pow(made.saturating_sub(1));
    match class {
        Class::Transient => Some(doubled.mul_f64(0.5 + jitter)),
        Class::Throttled { .. } | Class::Auth { renewed: true } => Some(Duration::ZERO),
        Class::Auth { renewed: false } | Class::Forbidden | Class::Gone | Class::NotCallable | Class::Permanent => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_may_pass_is_tried_three_times() {
        assert_eq!(delay(1, Class::Transient, 0.5), Some(Duration::from_millis(500)));
        assert_eq!(delay(2, Class::Transient, 0.0), Some(Duration::from_millis(500)));
        assert_eq!(delay(2, Class::Transient, 1.0), Some(Duration::from_millis(1500)));
        assert_eq!(delay(3, Class::Transient, 0.5), None);
    }

    #[test]
    fn what_was_throttled_waits_for_the_account_alone() {
        let throttled = Class::Throttled { named: None };
        assert_eq!(delay(2, throttled, 1.0), Some(Duration::ZERO));
        assert_eq!(delay(3, throttled, 1.0), None);
    }

    #[test]
    fn a_renewed_proof_is_tried_at_once() {
        assert_eq!(delay(1, Class::Auth { renewed: true }, 1.0), Some(Duration::ZERO));
    }

    #[test]
    fn nothing_else_is_tried_again() {
        let refused = Class::Auth { renewed: false };
        for class in [refused, Class::Forbidden, Class::Gone, Class::NotCallable, Class::Permanent] {
            assert_eq!(delay(1, class, 0.5), None, "{class:?}");
        }
    }
}
