//! The newest published group of each job, or of each job and type. A group is swapped whole, so a reader sees the old one or
//! the new one.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What is published, by key. What a group holds is the business of whoever publishes and reads it.
#[derive(Debug)]
pub struct Store<K, G> {
    groups: RwLock<BTreeMap<K, Arc<G>>>,
}

impl<K, G> Default for Store<K, G> {
    fn default() -> Self {
        Self { groups: RwLock::default() }
    }
}

impl<K: Ord, G> Store<K, G> {
    /// Puts a group in the place of the one before.
    pub fn publish(&self, key: K, group: G) {
        self.write().insert(key, Arc::new(group));
    }

    /// Lets the groups go whose key is not wanted any more.
    pub fn retain(&self, wanted: impl Fn(&K) -> bool) {
        self.write().retain(|key, _| wanted(key));
    }

    /// The group of one key.
    pub fn get(&self, key: &K) -> Option<Arc<G>> {
        self.read().get(key).map(Arc::clone)
    }

    /// The groups whose key is wanted, as they stand at this moment, ordered by key.
    pub fn select(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<G>> {
        self.read().iter().filter(|(key, _)| wanted(key)).map(|(_, group)| Arc::clone(group)).collect()
    }

    /// Whether any group's key is wanted.
    pub fn any(&self, wanted: impl Fn(&K) -> bool) -> bool {
        self.read().keys().any(wanted)
    }

    // A panic cannot leave the map half changed; so a poisoned lock is as good as any.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<K, Arc<G>>> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<K, Arc<G>>> {
        self.groups.write().unwrap_or_else(PoisonError::into_inner)
    }
}
