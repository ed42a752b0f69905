//! How much an account asks of the cloud: so many requests a second, so many at once, and none at all for a while when the
//! cloud has asked for fewer.
//!
//! Requests wait in one line. Since a job never has more than a few in it, jobs take turns, however many pages they have.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, sleep_until};

use super::Limits;

/// How long the first pause is where the cloud names no time, before jitter; each that follows at once is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause where the cloud names no time, before jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);

/// One account's budget.
#[derive(Debug)]
pub(super) struct Budget {
    rate: DefaultDirectRateLimiter,
    /// Who may take the next request; first come, first served.
    line: Semaphore,
    under_way: Semaphore,
    pause: Arc<Mutex<Pause>>,
}

#[derive(Debug, Default)]
struct Pause {
    until: Option<Instant>,
    /// The same by the wall clock, for people.
    shown_until: Option<SystemTime>,
    /// How many pauses there were since the last good answer.
    strikes: u32,
}

/// The account pauses for longer than the request can wait.
#[derive(Debug)]
pub(super) struct Paused {
    /// When it goes on, by the wall clock. The same for all that ask during one pause, so that it is not news each time.
    pub(super) until: SystemTime,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        // A rate is checked where it is read; one that is no number of times a second would mean one request a second.
        let period = Duration::try_from_secs_f64(1.0 / limits.requests_per_second).unwrap_or(Duration::from_secs(1));
        let quota = Quota::with_period(period).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        let burst = NonZeroU32::new(limits.burst).unwrap_or(NonZeroU32::MIN);
        Self {
            rate: DefaultDirectRateLimiter::direct(quota.allow_burst(burst)),
            line: Semaphore::new(1),
            under_way: Semaphore::new(limits.concurrency),
            pause: Arc::default(),
        }
    }

    /// The same for other limits. What makes this one pause makes that one pause.
    pub(super) fn with(&self, limits: &Limits) -> Self {
        Self { pause: Arc::clone(&self.pause), ..Self::new(limits) }
    }

    /// Whether the account pauses.
    pub(super) fn is_paused(&self) -> bool {
        self.paused_until().is_some()
    }

    /// Waits until a request may be sent, and counts it as under way for as long as what is returned lives.
    ///
    /// # Errors
    /// At once, when the account pauses until after `deadline`.
    pub(super) async fn admit(&self, deadline: Instant) -> Result<Option<SemaphorePermit<'_>>, Paused> {
        loop {
            self.wait_out_pause(deadline).await?;
            // The semaphores are never closed; were they, a request without a permit would still be a right one.
            let _turn = self.line.acquire().await.ok();
            let permit = self.under_way.acquire().await.ok();
            while let Err(not_yet) = self.rate.check() {
                sleep(not_yet.wait_time_from(DefaultClock::default().now())).await;
            }
            // It may have begun while this request stood in line.
            if self.paused_until().is_none() {
                return Ok(permit);
            }
        }
    }

    /// The cloud asked for fewer requests, and perhaps said for how long.
    pub(super) fn throttled(&self, named: Option<Duration>) {
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // What was under way when the pause began is refused as well; that is the same strike.
        if pause.until.is_none_or(|until| until <= now) {
            pause.strikes = pause.strikes.saturating_add(1);
        }
        let length = pause_for(pause.strikes, named, fastrand::f64());
        if pause.until.is_none_or(|until| until < now + length) {
            pause.until = Some(now + length);
            pause.shown_until = Some(SystemTime::now() + length);
        }
    }

    /// The cloud answered a request.
    pub(super) fn answered(&self) {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner).strikes = 0;
    }

    async fn wait_out_pause(&self, deadline: Instant) -> Result<(), Paused> {
        while let Some((until, shown_until)) = self.paused_until() {
            if until > deadline {
                return Err(Paused { until: shown_until });
            }
            sleep_until(until).await;
        }
        Ok(())
    }

    fn paused_until(&self) -> Option<(Instant, SystemTime)> {
        let pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        pause.until.filter(|until| *until > Instant::now()).zip(pause.shown_until)
    }
}

/// How long to pause at the n-th strike in a row: as long as the cloud says, or longer where that was not enough.
/// `jitter`, 0 to 1, spreads what it does not say over ±50 %.
fn pause_for(strikes: u32, named: Option<Duration>, jitter: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(strikes.saturating_sub(1)));
    let backoff = doubled.min(LONGEST_PAUSE).mul_f64(0.5 + jitter);
    match named {
        Some(named) if strikes <= 1 => named,
        Some(named) => named.max(backoff),
        None => backoff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn budget(requests_per_second: f64, burst: u32) -> Budget {
        Budget::new(&Limits { requests_per_second, burst, ..Limits::default() })
    }

    #[test]
    fn a_pause_is_as_long_as_the_cloud_says_and_longer_when_that_was_not_enough() {
        assert_eq!(pause_for(1, Some(20 * SECOND), 1.0), 20 * SECOND);
        assert_eq!(pause_for(2, Some(20 * SECOND), 0.5), 20 * SECOND);
        assert_eq!(pause_for(4, Some(SECOND), 0.5), 8 * SECOND);
        assert_eq!(pause_for(1, None, 0.0), SECOND / 2);
        assert_eq!(pause_for(3, None, 1.0), 6 * SECOND);
        assert_eq!(pause_for(u32::MAX, None, 0.5), LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_admitted_while_the_account_pauses() {
        let budget = budget(1000.0, 1000);
        let (begun, far) = (Instant::now(), Instant::now() + 3600 * SECOND);
        drop(budget.admit(far).await.unwrap());
        assert_eq!(begun.elapsed(), Duration::ZERO);
        budget.throttled(Some(20 * SECOND));
        budget.throttled(Some(3 * SECOND));
        drop(budget.admit(far).await.unwrap());
        assert!(begun.elapsed() >= 20 * SECOND, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn other_limits_do_not_end_a_pause() {
        let budget = budget(1000.0, 1000);
        budget.throttled(Some(20 * SECOND));
        let other = budget.with(&Limits { requests_per_second: 10.0, ..Limits::default() });
        let begun = Instant::now();
        drop(other.admit(begun + 3600 * SECOND).await.unwrap());
        assert!(begun.elapsed() >= 20 * SECOND, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_cannot_wait_so_long_is_told_at_once() {
        let budget = budget(1000.0, 1000);
        budget.throttled(Some(20 * SECOND));
        let begun = Instant::now();
        let paused = budget.admit(begun + 10 * SECOND).await.unwrap_err();
        let again = budget.admit(begun + 10 * SECOND).await.unwrap_err();
        assert_eq!((begun.elapsed(), paused.until), (Duration::ZERO, again.until));
        assert!(paused.until > SystemTime::now() + 10 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn strikes_add_up_until_an_answer_comes() {
        let budget = budget(1000.0, 1000);
        let far = Instant::now() + 3600 * SECOND;
        let strikes = || budget.pause.lock().unwrap().strikes;
        budget.throttled(None);
        budget.throttled(None);
        assert_eq!(strikes(), 1, "refused while pausing is no second strike");
        drop(budget.admit(far).await.unwrap());
        budget.throttled(None);
        assert_eq!(strikes(), 2);
        budget.answered();
        assert_eq!(strikes(), 0);
    }

    #[tokio::test]
    async fn a_burst_is_followed_by_the_rate() {
        let budget = budget(50.0, 5);
        let far = Instant::now() + 3600 * SECOND;
        let begun = Instant::now();
        for _ in 0..15 {
            drop(budget.admit(far).await.unwrap());
        }
        // Five at once, then one each 20 ms; it can only be slower on a busy machine.
        assert!(begun.elapsed() >= Duration::from_millis(195), "{:?}", begun.elapsed());
    }
}
