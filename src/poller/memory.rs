//! What is remembered of every job and type from one listing to the next, and how it is kept over a restart.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::progress::{Look, Observation, Tracker};
use super::snapshot::{self, Unusable};
use super::timeline::Timeline;
use crate::model::{GroupKey, JobId};

/// For how long what nobody follows is kept after its last listing, in seconds: a job that was found before a restart and is
/// not listed again yet, or one that was taken out of the configuration and may come back.
const KEPT: u32 = 7 * 24 * 60 * 60;

/// What all tasks remember; clones share it.
#[derive(Clone, Debug)]
pub struct Memory {
    timeline: Timeline,
    groups: Arc<Mutex<BTreeMap<GroupKey, Group>>>,
    changes: watch::Sender<()>,
}

/// What is remembered of one job and type.
#[derive(Debug, Default)]
struct Group {
    tracker: Arc<Mutex<Tracker>>,
    /// Whether somebody follows it, or has done so since the start.
    followed: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self { timeline: Timeline::start(), groups: Arc::default(), changes: watch::Sender::new(()) }
    }
}

impl Memory {
    /// Forgets a job that is not followed any more.
    pub fn forget(&self, job: &JobId) {
        lock(&self.groups).retain(|key, _| key.job != *job);
        self.changes.send_replace(());
    }

    /// Forgets one type of a job, which is not followed any more.
    pub fn forget_type(&self, key: &GroupKey) {
        lock(&self.groups).remove(key);
        self.changes.send_replace(());
    }

    /// Forgets how fast things go, as is right where the time changes over which that is a mean.
    pub fn forget_paces(&self) {
        for group in lock(&self.groups).values() {
            let mut tracker = lock(&group.tracker);
            *tracker = mem::take(&mut *tracker).without_pace();
        }
        self.changes.send_replace(());
    }

    /// Hears from now on when there is something new to save.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Writes all that is remembered. Meanwhile it goes on: what is written is shared with those who look at the next
    /// listing, and copied only if they take it in first. Paces are means over about `stall_after`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, out: impl Write, stall_after: Duration) -> io::Result<()> {
        let mut writer = snapshot::Writer::begin(out, stall_after)?;
        for (key, tracker) in self.worth_keeping() {
            let copy = lock(&tracker).clone();
            if !copy.is_empty() {
                writer.group(&key, &copy.shifted(self.timeline.now().drift))?;
            }
        }
        writer.end()
    }

    /// Takes in what was saved by a process before, for those that will follow the same jobs. Gives how many groups it had.
    ///
    /// # Errors
    /// When it cannot be used; then nothing of it is.
    pub fn restore(&self, saved: &[u8], stall_after: Duration) -> Result<usize, Unusable> {
        // At its start, a timeline agrees with the system's clock.
        let restored = snapshot::read(saved, stall_after, self.timeline.now().seconds())?;
        let count = restored.len();
        let group = |tracker| Group { tracker: Arc::new(Mutex::new(tracker)), followed: false };
        lock(&self.groups).extend(restored.into_iter().map(|(key, tracker)| (key, group(tracker))));
        Ok(count)
    }

    /// What is remembered of one job and type, for somebody who follows it.
    pub(super) fn of(&self, key: &GroupKey) -> Recollection {
        let mut groups = lock(&self.groups);
        let group = groups.entry(key.clone()).or_default();
        group.followed = true;
        let (tracker, changes) = (Arc::clone(&group.tracker), self.changes.clone());
        Recollection { timeline: self.timeline, tracker, changes }
    }

    /// All but what nobody has followed for long, which is forgotten.
    fn worth_keeping(&self) -> Vec<(GroupKey, Arc<Mutex<Tracker>>)> {
        let oldest = self.timeline.now().seconds().saturating_sub(KEPT);
        let mut groups = lock(&self.groups);
        groups.retain(|_, group| group.followed || lock(&group.tracker).looked() >= oldest);
        groups.iter().map(|(key, group)| (key.clone(), Arc::clone(&group.tracker))).collect()
    }
}

/// What is remembered of one job and type.
#[derive(Clone, Debug)]
pub(super) struct Recollection {
    timeline: Timeline,
    tracker: Arc<Mutex<Tracker>>,
    changes: watch::Sender<()>,
}

impl Recollection {
    /// Begins to look at a listing that is read from now on.
    pub(super) fn look(&self, stall_after: Duration) -> Look {
        lock(&self.tracker).look(self.timeline.now(), stall_after)
    }

    /// Takes in the listing that was looked at, which is whole now, without the objects at the places that are `superseded`.
    /// Takes time in proportion to the listing.
    pub(super) fn observe(&self, look: Look, superseded: &[usize]) -> Observation {
        let observation = lock(&self.tracker).observe(look, superseded);
        self.changes.send_replace(());
        observation
    }

    /// DRS says that there is nothing to list any more; gives how many objects below 100 are gone with that.
    pub(super) fn lose_all(&self) -> u64 {
        let lost = lock(&self.tracker).lose_all();
        self.changes.send_replace(());
        lost
    }
}

/// A panic while it was held leaves at worst a listing half taken in, which the next one mends.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::time::advance;

    use super::*;
    use crate::model::{LastChange, ObjectType, States};
    use crate::poller::progress::page;

    const STALL_AFTER: Duration = Duration::from_secs(1800);
    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn key(job: &str) -> GroupKey {
        GroupKey { job: job.parse().unwrap(), object_type: ObjectType::Table }
    }

    fn observe(memory: &Memory, job: &str, objects: &[(&str, u8)]) -> Observation {
        let recollection = memory.of(&key(job));
        let mut look = recollection.look(STALL_AFTER);
        look.page(&page(objects));
        recollection.observe(look, &[])
    }

    fn saved(memory: &Memory) -> Vec<u8> {
        let mut bytes = Vec::new();
        memory.save(&mut bytes, STALL_AFTER).unwrap();
        bytes
    }

    /// What the next process remembers.
    fn restarted(memory: &Memory) -> Memory {
        let next = Memory::default();
        next.restore(&saved(memory), STALL_AFTER).unwrap();
        next
    }

    fn jobs(memory: &Memory) -> Vec<String> {
        let next = restarted(memory);
        lock(&next.groups).keys().map(|key| key.job.to_string()).collect()
    }

    /// Time that a test lets go by is not the system's, as if the system's clock were set back by as much. So times that are
    /// read have to be 20 minutes earlier than those that were measured.
    #[tokio::test(start_paused = true)]
    async fn what_stood_before_a_restart_goes_on_standing() {
        let before = SystemTime::now();
        let memory = Memory::default();
        let objects = [("stands", 50), ("falls", 60), ("moves", 70), ("goes", 80), ("done", 100)];
        observe(&memory, "a", &objects);
        advance(20 * MINUTE).await;
        let last = observe(&memory, "a", &objects).progress.unwrap().last_change;
        let LastChange::NotSince(began) = last else { panic!("nothing has moved: {last:?}") };
        // By the clock that was set back, it began 20 minutes before the test.
        let earlier = before.duration_since(began).unwrap();
        assert!((19 * MINUTE..=20 * MINUTE).contains(&earlier), "{earlier:?}");
        let progress = observe(&restarted(&memory), "a", &objects).progress.unwrap();
        assert_eq!((progress.last_change, progress.states.stalled), (last, 0));

        let next = restarted(&memory);
        advance(9 * MINUTE).await;
        let seen = observe(&next, "a", &[("stands", 50), ("falls", 59), ("moves", 71), ("done", 100)]);
        assert_eq!((seen.regressions, seen.disappeared), (1, 1));
        let progress = seen.progress.unwrap();
        assert_eq!(progress.states, States { not_started: 0, in_progress: 3, stalled: 0, completed: 1 });
        assert!(matches!(progress.last_change, LastChange::Seen(_)));
        advance(2 * MINUTE).await;
        let progress =
            observe(&next, "a", &[("stands", 50), ("falls", 59), ("moves", 71), ("done", 100)]).progress.unwrap();
        assert_eq!(progress.states, States { not_started: 0, in_progress: 2, stalled: 1, completed: 1 });
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_follows_is_kept_for_a_week() {
        let memory = Memory::default();
        observe(&memory, "a", &[("t", 50)]);
        observe(&memory, "b", &[("t", 50)]);
        observe(&memory, "empty", &[]);
        let next = restarted(&memory);
        next.of(&key("a"));
        advance(6 * DAY).await;
        assert_eq!(jobs(&next), ["a", "b"]);
        advance(2 * DAY).await;
        assert_eq!(jobs(&next), ["a"], "nobody has followed b for eight days");
        next.forget(&"a".parse().unwrap());
        assert_eq!(jobs(&next), [""; 0], "a has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_is_learned_is_news() {
        let memory = Memory::default();
        let mut changes = memory.changes();
        let mut is_news = || {
            let is_news = changes.has_changed().unwrap();
            changes.mark_unchanged();
            is_news
        };
        assert!(!is_news());
        observe(&memory, "a", &[("t", 50)]);
        assert!(is_news() && !is_news());
        memory.of(&key("a")).lose_all();
        assert!(is_news());
        memory.forget(&"a".parse().unwrap());
        assert!(is_news());
        saved(&memory);
        assert!(!is_news());
    }

    /// Looks whether anything is held up whenever it is written to.
    struct Watchful<'a>(&'a Memory, usize);

    impl Write for Watchful<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let groups = self.0.groups.try_lock().expect("the groups");
            self.1 += groups.values().filter(|group| group.tracker.try_lock().is_ok()).count();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_held_up_while_it_is_written() {
        let memory = Memory::default();
        observe(&memory, "a", &[("t", 50)]);
        observe(&memory, "b", &[("t", 50)]);
        let mut out = Watchful(&memory, 0);
        memory.save(&mut out, STALL_AFTER).unwrap();
        // Head, version, memory of the paces, two groups, checksum: two free groups each time.
        assert_eq!(out.1, 6 * 2);
    }
}
