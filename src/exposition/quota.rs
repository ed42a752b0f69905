//! How many series each type of a job may have, so that a job never has more than it may. Pure.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{JobId, ObjectType};

/// What the types of each job want.
#[derive(Debug)]
pub(super) struct Quota {
    most: AtomicU64,
    jobs: Mutex<BTreeMap<JobId, Arc<Mutex<Shares>>>>,
}

/// What the types of one job want.
#[derive(Debug, Default)]
pub(super) struct Shares(BTreeMap<ObjectType, Wanted>);

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

impl Quota {
    /// Gives each job so many series at most.
    pub(super) fn new(most: u64) -> Self {
        Self { most: most.into(), jobs: Mutex::default() }
    }

    /// Gives each job so many from now on. What its types have beyond it goes with the next listing of one of them.
    pub(super) fn set_most(&self, most: u64) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// How many series each job has at most.
    pub(super) fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }

    /// What the types of a job want. Whoever changes what is shown of them holds it locked meanwhile.
    pub(super) fn of(&self, job: &JobId) -> Arc<Mutex<Shares>> {
        // A panic cannot leave the map half changed; so a poisoned lock is as good as any.
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(jobs.entry(job.clone()).or_default())
    }

    /// A job is not followed any more.
    pub(super) fn forget(&self, job: &JobId) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).remove(job);
    }
}

impl Shares {
    /// A type wants so many; nothing any more where that is left out.
    pub(super) fn set(&mut self, object_type: ObjectType, wanted: Option<Wanted>) {
        match wanted {
            Some(wanted) => drop(self.0.insert(object_type, wanted)),
            None => drop(self.0.remove(&object_type)),
        }
    }

    /// How `most` are shared out: objects below 100 go before those at 100, and of each the types in their order.
    pub(super) fn fair(&self, most: u64) -> BTreeMap<ObjectType, u64> {
        let mut left = most;
        let mut fair: BTreeMap<ObjectType, u64> = BTreeMap::new();
        for count in [|wanted: Wanted| wanted.unfinished, |wanted: Wanted| wanted.finished] {
            for (object_type, wanted) in &self.0 {
                let given = count(*wanted).min(left);
                left -= given;
                *fair.entry(*object_type).or_default() += given;
            }
        }
        fair
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_unfinished_goes_first_and_then_the_types_in_their_order() {
        let mut shares = Shares::default();
        let mut fair = |tables, views| {
            let wanted = |(unfinished, finished)| Wanted { unfinished, finished };
            shares.set(ObjectType::Table, Option::map(tables, wanted));
            shares.set(ObjectType::View, Option::map(views, wanted));
            shares.fair(100).into_values().collect::<Vec<_>>()
        };
        assert_eq!(fair(Some((10, 50)), None), [60]);
        assert_eq!(fair(Some((10, 50)), Some((0, 30))), [60, 30]);
        assert_eq!(fair(Some((10, 50)), Some((0, 90))), [60, 40]);
        assert_eq!(fair(Some((10, 50)), Some((60, 30))), [40, 60]);
        assert_eq!(fair(Some((300, 0)), Some((60, 30))), [100, 0]);
        assert_eq!(fair(None, Some((60, 30))), [90]);
        assert_eq!(fair(None, None), [0; 0]);
    }

    proptest! {
        #[test]
        fn all_that_may_be_is_given_and_nobody_has_more_than_it_wants(
            most in 0_u64..300,
            wanted in prop::collection::btree_map(0_usize..9, (0_u64..60, 0_u64..60), 0..9),
        ) {
            let mut shares = Shares::default();
            for (place, (unfinished, finished)) in &wanted {
                shares.set(ObjectType::ALL[*place], Some(Wanted { unfinished: *unfinished, finished: *finished }));
            }
            let fair = shares.fair(most);
            let all: u64 = wanted.values().map(|(unfinished, finished)| unfinished + finished).sum();
            prop_assert_eq!(fair.values().sum::<u64>(), all.min(most));
            for (place, (unfinished, finished)) in wanted {
                prop_assert!(fair[&ObjectType::ALL[place]] <= unfinished + finished);
            }
        }
    }
}
