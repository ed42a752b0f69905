//! How many series each type of a job may have, so that a job never has more than it may. Pure.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{GroupKey, JobId, ObjectType};

/// What the types of each job have and want.
#[derive(Debug)]
pub(super) struct Quota {
    most: u64,
    jobs: Mutex<BTreeMap<JobId, BTreeMap<ObjectType, Share>>>,
}

/// How many objects of a type want a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Those below 100, which go first.
    pub(super) unfinished: u64,
    /// Those at 100.
    pub(super) finished: u64,
}

impl Wanted {
    pub(super) const fn total(self) -> u64 {
        self.unfinished + self.finished
    }
}

/// What one type wants, and how many series it has or may have in a moment.
#[derive(Debug, Default)]
struct Share {
    wanted: Wanted,
    taken: u64,
}

impl Quota {
    /// Gives each job so many series at most.
    pub(super) fn new(most: u64) -> Self {
        Self { most, jobs: Mutex::default() }
    }

    /// How many series a type may have now. It is what is fair, as far as other types leave it: what one has to give up, it gives up
    /// with its own next listing.
    pub(super) fn grant(&self, key: &GroupKey, wanted: Wanted) -> u64 {
        let mut jobs = self.lock();
        let shares = jobs.entry(key.job.clone()).or_default();
        shares.entry(key.object_type).or_default().wanted = wanted;
        let others: u64 =
            shares.iter().filter(|(other, _)| **other != key.object_type).map(|(_, share)| share.taken).sum();
        let granted = fair(self.most, key.object_type, shares).min(self.most.saturating_sub(others));
        let share = shares.entry(key.object_type).or_default();
        // What is still shown counts until it is replaced.
        share.taken = share.taken.max(granted);
        granted
    }

    /// A type shows so many series from now on.
    pub(super) fn settle(&self, key: &GroupKey, series: u64) {
        let mut jobs = self.lock();
        if let Some(share) = jobs.get_mut(&key.job).and_then(|shares| shares.get_mut(&key.object_type)) {
            share.taken = series;
        }
    }

    /// A type shows and wants nothing any more.
    pub(super) fn give_back(&self, key: &GroupKey) {
        let mut jobs = self.lock();
        if let Some(shares) = jobs.get_mut(&key.job) {
            shares.remove(&key.object_type);
        }
    }

    /// A job is not followed any more.
    pub(super) fn forget(&self, job: &JobId) {
        self.lock().remove(job);
    }

    // A panic cannot leave the map half changed; so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, BTreeMap<ObjectType, Share>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is fair: objects below 100 go before those at 100, and of each the types in their order.
fn fair(most: u64, object_type: ObjectType, shares: &BTreeMap<ObjectType, Share>) -> u64 {
    let mut left = most;
    let mut granted = 0;
    for count in [|wanted: Wanted| wanted.unfinished, |wanted: Wanted| wanted.finished] {
        for (other, share) in shares {
            let given = count(share.wanted).min(left);
            left -= given;
            granted += if *other == object_type { given } else { 0 };
        }
    }
    granted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(object_type: ObjectType) -> GroupKey {
        GroupKey { job: "a".parse().unwrap(), object_type }
    }

    const TABLES: ObjectType = ObjectType::Table;
    const VIEWS: ObjectType = ObjectType::View;

    fn shows(quota: &Quota, object_type: ObjectType, unfinished: u64, finished: u64) -> u64 {
        let granted = quota.grant(&key(object_type), Wanted { unfinished, finished });
        quota.settle(&key(object_type), granted);
        granted
    }

    #[test]
    fn what_is_unfinished_goes_first_and_then_the_types_in_their_order() {
        let quota = Quota::new(100);
        assert_eq!(shows(&quota, TABLES, 10, 50), 60);
        assert_eq!(shows(&quota, VIEWS, 0, 30), 30);
        // Views below 100 are worth more than tables at 100, which give way with their next listing.
        assert_eq!(shows(&quota, VIEWS, 60, 30), 40);
        assert_eq!(shows(&quota, TABLES, 10, 50), 40);
        assert_eq!(shows(&quota, VIEWS, 60, 30), 60);
        assert_eq!(shows(&quota, TABLES, 300, 0), 40);
        assert_eq!(shows(&quota, VIEWS, 60, 30), 0);
        assert_eq!(shows(&quota, TABLES, 300, 0), 100);
        quota.give_back(&key(TABLES));
        assert_eq!(shows(&quota, VIEWS, 60, 30), 90);
        quota.forget(&key(VIEWS).job);
        assert_eq!(shows(&quota, TABLES, 300, 0), 100);
    }

    #[test]
    fn what_is_still_shown_counts_until_it_is_replaced() {
        let quota = Quota::new(100);
        shows(&quota, TABLES, 80, 0);
        // Its next listing is being rendered, and has less.
        assert_eq!(quota.grant(&key(TABLES), Wanted { unfinished: 10, finished: 0 }), 10);
        assert_eq!(shows(&quota, VIEWS, 50, 0), 20);
        quota.settle(&key(TABLES), 10);
        assert_eq!(shows(&quota, VIEWS, 50, 0), 50);
    }

    proptest! {
        /// Never more than there may be, and once all types were listed again it is as much as there can be.
        #[test]
        fn the_most_is_kept_and_used(
            most in 0_u64..100,
            listings in prop::collection::vec((0_usize..9, 0_u64..60, 0_u64..60), 1..40),
        ) {
            let quota = Quota::new(most);
            let (mut wanted, mut shown) = (BTreeMap::new(), BTreeMap::new());
            for (place, unfinished, finished) in listings {
                wanted.insert(place, (unfinished, finished));
                shown.insert(place, shows(&quota, ObjectType::ALL[place], unfinished, finished));
                prop_assert!(shown.values().sum::<u64>() <= most);
            }
            for _ in ObjectType::ALL {
                for (place, (unfinished, finished)) in &wanted {
                    shown.insert(*place, shows(&quota, ObjectType::ALL[*place], *unfinished, *finished));
                }
            }
            let all: u64 = wanted.values().map(|(unfinished, finished)| unfinished + finished).sum();
            prop_assert_eq!(shown.values().sum::<u64>(), all.min(most));
        }
    }
}
