//! How many requests the polls of an account need, so that one who has configured more than fits is told how much would.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

/// What all polls of one account ask for.
#[derive(Clone, Debug)]
pub struct Demand(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    account: String,
    requests_per_second: f64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Requests a second of each poll that repeats, by the hash of its key.
    needed: HashMap<u64, f64>,
    /// Those whose last poll took longer than the time to the next.
    late: HashSet<u64>,
    told: bool,
}

impl Demand {
    /// Nothing is asked for yet, of an account that may make so many requests a second.
    pub fn new(account: &str, requests_per_second: f64) -> Self {
        Self(Arc::new(Shared { account: account.to_owned(), requests_per_second, state: Mutex::default() }))
    }

    /// Whether both are of the same account's polls.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A poll is to be repeated each `period`, and needs one request at least. Said before it was polled, or those that wait for
    /// their turn would be missing in what all of them need.
    pub(super) fn expects(&self, key: &impl Hash, period: Duration) {
        self.lock().needed.insert(hash(key), a_second(1, period));
    }

    /// A poll took so many requests and so long, and is to be repeated after `period`. Where that is not long enough, says so
    /// once for the account, until its polls fit again.
    pub(super) fn polled(&self, key: &impl Hash, requests: u64, took: Duration, period: Duration) {
        let key = hash(key);
        let mut state = self.lock();
        state.needed.insert(key, a_second(requests, period));
        if took > period {
            state.late.insert(key);
        } else {
            state.late.remove(&key);
        }
        let (account, allowed) = (&self.0.account, self.0.requests_per_second);
        if !state.late.is_empty() && !state.told {
            state.told = true;
            let needed = state.needed.values().sum::<f64>();
            warn!(
                account,
                "a poll took {}, and its next one was due after {}: the account's polls need {needed:.1} requests a second, and \
                 `limits.requests_per_second` allows {allowed}; {}",
                humantime::format_duration(Duration::from_millis(took.as_millis() as u64)),
                humantime::format_duration(period),
                if needed > allowed * 0.9 {
                    "raise it as far as DRS allows, or poll less often or fewer `types`"
                } else {
                    "DRS answers slowly or made the account pause: poll less often, or raise `limits.concurrency`"
                }
            );
        } else if state.late.is_empty() && state.told {
            state.told = false;
            info!(account, "polls end before their next one is due again");
        }
    }

    /// The poll is not repeated any more.
    pub(super) fn ended(&self, key: &impl Hash) {
        let (key, mut state) = (hash(key), self.lock());
        state.needed.remove(&key);
        state.late.remove(&key);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn a_second(requests: u64, period: Duration) -> f64 {
    requests as f64 / period.as_secs_f64().max(f64::MIN_POSITIVE)
}
