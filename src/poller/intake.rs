//! A listing on its way in: each page is looked at and drawn up for readers, and then let go.

use std::time::Duration;

use super::memory::Recollection;
use super::progress::{Look, Observation};
use super::task::{Draft, Publish};
use crate::drs;
use crate::model::{GroupKey, Objects, Shown};

/// Takes in one listing, however often it is read.
#[derive(Debug)]
pub(super) struct Intake<P: Publish> {
    key: GroupKey,
    shown: Shown,
    stall_after: Duration,
    recollection: Recollection,
    publisher: P,
    look: Look,
    draft: P::Draft,
}

impl<P: Publish> Intake<P> {
    /// Prepares to take in a listing.
    pub(super) fn new(
        key: GroupKey,
        shown: Shown,
        stall_after: Duration,
        recollection: Recollection,
        publisher: P,
    ) -> Self {
        let (look, draft) = (recollection.look(stall_after), publisher.draft(&key, shown));
        Self { key, shown, stall_after, recollection, publisher, look, draft }
    }

    /// The listing is whole, and the objects at the places that are `superseded` do not count. Gives what it brought, and its objects.
    pub(super) fn finish(self, superseded: &[usize]) -> (Observation, P::Draft) {
        let Self { recollection, look, mut draft, .. } = self;
        draft.remove(superseded);
        (recollection.observe(look, superseded), draft)
    }
}

impl<P: Publish> drs::Intake for Intake<P> {
    fn start_over(&mut self) {
        self.look = self.recollection.look(self.stall_after);
        self.draft = self.publisher.draft(&self.key, self.shown);
    }

    fn take(&mut self, objects: &Objects) {
        self.look.page(objects);
        self.draft.add(objects);
    }

    fn superseded(&self) -> Vec<usize> {
        self.look.superseded()
    }
}
