//! The newest published group of each job and type. A group is swapped whole, so a reader sees the old one or the new one.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::model::GroupKey;

/// What is published, by job and type. What a group holds is the business of whoever publishes and reads it.
#[derive(Debug)]
pub struct Store<G> {
    groups: RwLock<BTreeMap<GroupKey, Arc<G>>>,
}

impl<G> Default for Store<G> {
    fn default() -> Self {
        Self { groups: RwLock::default() }
    }
}

impl<G> Store<G> {
    /// Puts a group in the place of the one before.
    pub fn publish(&self, key: GroupKey, group: G) {
        self.write().insert(key, Arc::new(group));
    }

    /// The group of one job and type.
    pub fn get(&self, key: &GroupKey) -> Option<Arc<G>> {
        self.read().get(key).map(Arc::clone)
    }

    /// The groups whose key is wanted, as they stand at this moment, ordered by job and type.
    pub fn select(&self, wanted: impl Fn(&GroupKey) -> bool) -> Vec<Arc<G>> {
        self.read().iter().filter(|(key, _)| wanted(key)).map(|(_, group)| Arc::clone(group)).collect()
    }

    /// Whether any group's key is wanted.
    pub fn any(&self, wanted: impl Fn(&GroupKey) -> bool) -> bool {
        self.read().keys().any(wanted)
    }

    // A panic cannot leave the map half changed, since inserting is the only change; so a poisoned lock is as good as any.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<GroupKey, Arc<G>>> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<GroupKey, Arc<G>>> {
        self.groups.write().unwrap_or_else(PoisonError::into_inner)
    }
}
