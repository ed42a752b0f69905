//! How long the metrics of an account are told: as long as anybody may still ask for it. One that comes in its place by the same
//! name goes on with them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Who may ask, by the account's name; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Tenures(Arc<Mutex<HashMap<String, Weak<Tenure>>>>);

/// Held by whoever may ask for the account. With the last one its series go.
pub(super) struct Tenure {
    account: String,
    tenures: Tenures,
    forget: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Tenure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenure({})", self.account)
    }
}

impl Tenures {
    /// The one of this account, which is the same while anybody holds it. `forget` lets the series go.
    pub(super) fn of(&self, account: &str, forget: impl Fn() + Send + Sync + 'static) -> Arc<Tenure> {
        let mut tenures = self.lock();
        if let Some(held) = tenures.get(account).and_then(Weak::upgrade) {
            return held;
        }
        let begun = Tenure { account: account.to_owned(), tenures: self.clone(), forget: Box::new(forget) };
        let begun = Arc::new(begun);
        tenures.insert(account.to_owned(), Arc::downgrade(&begun));
        begun
    }

    // A panic cannot leave the map half changed; so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Weak<Tenure>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        let mut tenures = self.tenures.lock();
        // Another one may have begun by this name, and counts already.
        if tenures.get(&self.account).is_some_and(|held| held.strong_count() > 0) {
            return;
        }
        tenures.remove(&self.account);
        (self.forget)();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn the_series_go_with_the_last_one_who_may_ask() {
        let (tenures, forgotten) = (Tenures::default(), Arc::new(AtomicU32::new(0)));
        let hold = |account| {
            let forgotten = Arc::clone(&forgotten);
            tenures.of(account, move || _ = forgotten.fetch_add(1, Ordering::Relaxed))
        };
        let (first, other) = (hold("a"), hold("b"));
        let second = hold("a");
        drop(first);
        assert_eq!(forgotten.load(Ordering::Relaxed), 0);
        drop(second);
        assert_eq!(forgotten.load(Ordering::Relaxed), 1);
        drop((hold("a"), other));
        assert_eq!((forgotten.load(Ordering::Relaxed), tenures.lock().len()), (3, 0));
    }
}
