//! What the cloud lends for a while: kept while it is good, renewed ahead of its end, by one request at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::{info, warn};

use super::attempts::{Attempts, SPACING};
use super::{Error, Metrics};

/// A token or a temporary key, and when it ends by the cloud's word.
pub(super) struct Lent<C> {
    pub(super) credential: C,
    pub(super) ends: SystemTime,
}

/// Keeps the newest credential of an account.
#[derive(Debug)]
pub(super) struct Lease<C> {
    account: String,
    /// How long before its end a credential is renewed; after half its life at the earliest.
    ahead: Duration,
    metrics: Metrics,
    state: Mutex<State<C>>,
    renewing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State<C> {
    held: Option<Held<C>>,
    generation: u64,
}

#[derive(Debug)]
struct Held<C> {
    credential: Arc<C>,
    renew_at: Instant,
    ends: Instant,
}

/// A credential as it is used: with its generation, by which a refusal names it.
pub(super) struct InUse<C> {
    pub(super) credential: Arc<C>,
    pub(super) generation: u64,
}

impl<C> Lease<C> {
    pub(super) fn new(account: &str, ahead: Duration, metrics: Metrics) -> Self {
        let state = Mutex::new(State { held: None, generation: 0 });
        Self { account: account.to_owned(), ahead, metrics, state, renewing: tokio::sync::Mutex::default() }
    }

    /// The credential, renewed by `renew` where there is none or its end is near. `made_of` tells what it is asked for with.
    ///
    /// # Errors
    /// When there is none and it cannot be had, or not yet.
    pub(super) async fn get(
        &self,
        attempts: &Attempts,
        made_of: u64,
        renew: impl Future<Output = Result<Lent<C>, Error>>,
    ) -> Result<InUse<C>, Error> {
        let now = Instant::now();
        if let Some(good) = self.held(|held| now < held.renew_at) {
            return Ok(good);
        }
        let still_good = || self.held(|held| Instant::now() < held.ends);
        let _turn = match (self.renewing.try_lock(), still_good()) {
            (Ok(turn), _) => turn,
            // Somebody else renews it already.
            (Err(_), Some(good)) => return Ok(good),
            (Err(_), None) => self.renewing.lock().await,
        };
        if let Some(renewed) = self.held(|held| Instant::now() < held.renew_at) {
            return Ok(renewed);
        }
        let renewed = match attempts.log_in(made_of) {
            Ok(()) => renew.await.and_then(|lent| self.keep(lent)),
            Err(error) => Err(error),
        };
        let Err(error) = renewed else { return renewed };
        let asked = !matches!(error, Error::Held { .. });
        if asked {
            self.metrics.renewed(&self.account, None);
        }
        match still_good() {
            Some(good) => {
                warn!(account = self.account, %error, "cannot renew the log-in ahead of its end; it is tried again while the present one is good");
                self.renew_later();
                Ok(good)
            }
            None => {
                if asked {
                    attempts.log_in_failed(made_of, &error.to_string());
                }
                Err(error)
            }
        }
    }

    /// Drops a credential that was refused, unless it was renewed meanwhile.
    pub(super) fn refused(&self, generation: u64) {
        let mut state = self.state();
        if state.generation == generation {
            state.held = None;
        }
    }

    fn keep(&self, Lent { credential, ends }: Lent<C>) -> Result<InUse<C>, Error> {
        let Ok(life) = ends.duration_since(SystemTime::now()) else {
            let what = "what the cloud lent has ended already by the clock of this host".to_owned();
            return Err(Error::Refused { what, advice: "set the clock right" });
        };
        self.metrics.renewed(&self.account, Some(ends));
        info!(account = self.account, good_for = %humantime::format_duration(Duration::from_secs(life.as_secs())), "logged in");
        let now = Instant::now();
        let credential = Arc::new(credential);
        let mut state = self.state();
        state.generation += 1;
        let renew_at = now + life.saturating_sub(self.ahead).max(life / 2);
        state.held = Some(Held { credential: Arc::clone(&credential), renew_at, ends: now + life });
        Ok(InUse { credential, generation: state.generation })
    }

    fn renew_later(&self) {
        if let Some(held) = &mut self.state().held {
            held.renew_at = Instant::now() + SPACING;
        }
    }

    fn held(&self, is_good: impl Fn(&Held<C>) -> bool) -> Option<InUse<C>> {
        let state = self.state();
        let held = state.held.as_ref().filter(|held| is_good(held))?;
        Some(InUse { credential: Arc::clone(&held.credential), generation: state.generation })
    }

    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(lease: &Lease<u32>, attempts: &Attempts, next: u32) -> (u32, u64) {
        let ends = SystemTime::now() + Duration::from_secs(3600);
        let lent = async { Ok(Lent { credential: next, ends }) };
        let InUse { credential, generation } = lease.get(attempts, 0, lent).await.unwrap();
        (*credential, generation)
    }

    #[tokio::test]
    async fn a_late_refusal_of_what_was_renewed_meanwhile_drops_nothing() {
        let (lease, attempts) = (Lease::new("a", Duration::ZERO, Metrics::default()), Attempts::default());
        let (first, old) = get(&lease, &attempts, 1).await;
        assert_eq!(get(&lease, &attempts, 2).await, (first, old), "it is kept while it is good");
        lease.refused(old);
        let (second, new) = get(&lease, &attempts, 2).await;
        lease.refused(old);
        assert_eq!((second, get(&lease, &attempts, 3).await), (2, (2, new)));
    }

    #[tokio::test]
    async fn what_ended_before_it_came_is_told_and_not_used() {
        let (lease, attempts) = (Lease::new("a", Duration::ZERO, Metrics::default()), Attempts::default());
        let ended = async { Ok(Lent { credential: 1, ends: SystemTime::UNIX_EPOCH }) };
        let error = lease.get(&attempts, 0, ended).await.err().unwrap();
        assert!(error.to_string().contains("set the clock right"), "{error}");
    }
}
