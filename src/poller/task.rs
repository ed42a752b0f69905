//! The loop that follows one job and type for as long as the process lives.

use std::future::{Future, pending};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::Start;
use super::complaint::{Complaint, News};
use super::intake::Intake;
use super::memory::{Memory, Recollection};
use super::round::{self, Listed, Round};
use super::schedule::{self, Pace};
use super::settings::{Settings, View};
use crate::model::{Change, GroupKey, JobReport, ObjectType, Objects, Outcome, PollStatus, Report, Shown};

/// Where reports go; clones lead to the same place.
pub trait Publish: Clone + Send + Sync + 'static {
    /// The objects of a listing, as they are drawn up for readers. Nobody sees them before they are published.
    type Draft: Draft;

    /// Begins to draw up a listing.
    fn draft(&self, key: &GroupKey, shown: Shown) -> Self::Draft;

    /// Takes a report, and with a listing its objects. Readers can see it when this returns.
    fn publish(&self, report: Report, draft: Option<Self::Draft>);

    /// Takes a report of a job as a whole. Readers can see it when this returns.
    fn publish_job(&self, report: JobReport);
}

/// The objects of a listing, as they are drawn up for readers page by page. It takes time in proportion to the pages.
pub trait Draft: Send + 'static {
    /// Adds the objects of the next page.
    fn add(&mut self, objects: &Objects);

    /// Takes out the objects at these places, which are counted from 0 in the order they were added, and stand in order.
    fn remove(&mut self, places: &[usize]);
}

/// Rings when one type of a job finds the job gone, or back again, so that the other types look as well.
///
/// Each type believes only what it was told itself: the answer to one type may not hold for another.
#[derive(Clone, Debug)]
pub struct JobBell(watch::Sender<bool>);

impl Default for JobBell {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl JobBell {
    /// Hears it ring from now on.
    pub(super) fn listen(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }

    /// Says that a type found the job gone, or found it back; rings where that is news, and says whether it was.
    fn tell(&self, gone: bool) -> bool {
        self.0.send_if_modified(|known| mem::replace(known, gone) != gone)
    }
}

/// What the tasks of one job share, and part of it with those of other jobs.
#[derive(Clone, Debug)]
pub struct Ties<P> {
    /// Where reports go.
    pub publisher: P,
    /// The bell of the job.
    pub bell: JobBell,
    /// What all tasks remember.
    pub memory: Memory,
}

/// Follows one job and type.
#[derive(Debug)]
pub struct Task<P> {
    key: GroupKey,
    settings: View,
    ties: Ties<P>,
    recollection: Recollection,
    status: PollStatus,
    /// When the listing that is shown was read; nothing where none is shown.
    shown_since: Option<Instant>,
    complaint: Complaint,
}

impl<P: Publish> Task<P> {
    /// Prepares to follow a type of the job that the settings are of.
    pub fn new(object_type: ObjectType, settings: watch::Receiver<Arc<Settings>>, ties: Ties<P>) -> Self {
        let settings = View::new(settings);
        let key = GroupKey { job: settings.get().job.id().clone(), object_type };
        let recollection = ties.memory.of(&key);
        let (status, complaint) = (PollStatus::default(), Complaint::default());
        Self { key, settings, ties, recollection, status, shown_since: None, complaint }
    }

    /// The job and type that are followed.
    pub fn key(&self) -> &GroupKey {
        &self.key
    }

    /// Polls until `stop`, and reports nothing after that. Two polls never overlap, and between two there is an interval,
    /// unless one was late. A poll ends with the settings it began with, unless somebody else is to be asked.
    pub async fn run(mut self, start: Start, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut settings = Arc::clone(self.settings.get());
        settings.demand.expects(&self.key, settings.interval);
        self.publish(Change::Keep, None);
        let mut ring = self.ties.bell.listen();
        let (mut started, mut pace) = (Instant::now(), Pace::Usual);
        let mut due = started + schedule::first_delay(start, &self.key, settings.interval);
        loop {
            if let Some(changed) = self.settings.look() {
                settings.demand.ended(&self.key);
                settings = Arc::clone(self.settings.get());
                settings.demand.expects(&self.key, settings.interval);
                if changed.shows_anew && pace == Pace::Settled {
                    pace = Pace::Usual;
                }
                due = self.settings.due(due, started, pace, &self.key);
                // What somebody else was refused, or could not find, is asked for at once.
                if changed.asks_anew && !self.status.last.is_some_and(Outcome::is_success) {
                    due = Instant::now();
                }
            }
            let view = self.settings.clone();
            let Some(event) = self.attend(wait(sleep_until(due), &mut ring, view.change()), stop.as_mut()).await else {
                break;
            };
            match event {
                Event::Due => {}
                Event::Changed => continue,
                Event::Rung => {
                    // A ring cannot make two polls follow each other faster than the interval.
                    due = due.min(Instant::now().max(started + settings.interval));
                    continue;
                }
            }
            started = Instant::now();
            let intake = self.intake();
            let (page_size, deadline) = (settings.config.page_size, self.deadline());
            let poll = round::run(&settings.job, self.key.object_type, page_size, deadline, intake);
            let poll = async {
                tokio::select! { round = poll => Some(round), () = view.cut() => None }
            };
            let Some(round) = self.attend(poll, stop.as_mut()).await else { break };
            // Nobody waits for the answer any more; somebody else is asked at once.
            let Some(round) = round else {
                due = started;
                continue;
            };
            let now = Instant::now();
            pace = round.pace;
            let period = schedule::period(pace, settings.interval, settings.config.settled_interval);
            // A poll that was held up by faults says so itself.
            if round.tally.errors.is_empty() {
                settings.demand.polled(&self.key, round.tally.requests, now - due, period);
            }
            let next = schedule::next(due, period, now);
            // What an account's log-in held up is made up for as soon as the account may try again.
            due = round.again_at.map_or(next.due, |at| next.due.min(at.max(now)));
            self.status.skipped += next.skipped;
            if self.record(round, started, now) {
                ring.mark_unchanged();
            }
        }
        settings.demand.ended(&self.key);
    }

    /// Polls once, and says how that ended.
    pub async fn once(mut self) -> PollStatus {
        let started = Instant::now();
        let (settings, intake) = (Arc::clone(self.settings.get()), self.intake());
        let (page_size, deadline) = (settings.config.page_size, self.deadline());
        let round = round::run(&settings.job, self.key.object_type, page_size, deadline, intake).await;
        self.record(round, started, Instant::now());
        self.status
    }

    fn intake(&self) -> Intake<P> {
        let (recollection, publisher) = (self.recollection.clone(), self.ties.publisher.clone());
        let Settings { shown, config, .. } = &**self.settings.get();
        Intake::new(self.key.clone(), *shown, config.stall_after, recollection, publisher)
    }

    fn deadline(&self) -> Duration {
        let Settings { interval, config, .. } = &**self.settings.get();
        config.stale_after.max(*interval)
    }

    /// Waits for `event`, and meanwhile lets the listing go when it becomes too old; nothing after `stop`.
    async fn attend<T>(
        &mut self,
        event: impl Future<Output = T>,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Option<T> {
        let mut event = pin!(event);
        loop {
            let too_old = self.shown_until();
            tokio::select! {
                happened = &mut event => return Some(happened),
                () = &mut stop => return None,
                () = async { match too_old { Some(at) => sleep_until(at).await, None => pending().await } } => {
                    warn!(
                        job = %self.key.job, r#type = %self.key.object_type,
                        "the last good listing is older than `poll.stale_after`: its series go until a poll succeeds"
                    );
                    self.publish(Change::Drop, None);
                }
            }
        }
    }

    /// When the listing that is shown has to go; nothing while polls succeed, however rare they are.
    fn shown_until(&self) -> Option<Instant> {
        let failing = self.status.last.is_some_and(|outcome| !outcome.is_success());
        self.shown_since.filter(|_| failing).map(|since| since + self.settings.get().config.stale_after)
    }

    /// Takes the round into account; says whether that rang the bell.
    fn record(&mut self, round: Round<P::Draft>, started: Instant, now: Instant) -> bool {
        let Round { outcome, listing, tally, dropped, problem, .. } = round;
        let before = self.status.last.replace(outcome);
        *self.status.polls.entry(outcome).or_default() += 1;
        for (code, times) in tally.errors {
            *self.status.errors.entry(code).or_default() += times;
        }
        for (reason, rows) in dropped {
            *self.status.dropped.entry(reason).or_default() += rows;
        }
        self.status.last_duration = Some(now - started);
        if outcome.is_success() {
            self.status.last_success = Some(SystemTime::now());
        }
        self.status.problem = problem.clone();
        self.log(outcome, problem, now - started);
        let (change, draft) = match listing {
            Some(Listed { listing, observation, draft }) => {
                if observation.progress.is_some() {
                    *self.status.regressions.get_or_insert_default() += observation.regressions;
                    self.status.disappeared.get_or_insert_default();
                }
                self.disappeared(observation.disappeared);
                (Change::Listing(listing, observation.progress), Some(draft))
            }
            None if outcome == Outcome::Gone => {
                self.disappeared(self.recollection.lose_all());
                (Change::Drop, None)
            }
            None => (Change::Keep, None),
        };
        self.publish(change, draft);
        let (gone, was_gone) = (outcome == Outcome::Gone, before == Some(Outcome::Gone));
        gone != was_gone && self.ties.bell.tell(gone)
    }

    fn disappeared(&mut self, objects: u64) {
        if objects > 0 {
            *self.status.disappeared.get_or_insert_default() += objects;
            warn!(
                job = %self.key.job, r#type = %self.key.object_type, objects,
                "objects that were not at 100 yet are not listed any more"
            );
        }
    }

    fn log(&mut self, outcome: Outcome, problem: Option<String>, took: Duration) {
        let is_fault = outcome != Outcome::Unsupported;
        let (job, kind, outcome) = (&self.key.job, self.key.object_type, outcome.as_str());
        match self.complaint.hear(problem) {
            News::Bad(problem) if is_fault => {
                warn!(%job, r#type = %kind, outcome, problem, "a poll brought no clean listing");
            }
            News::Bad(problem) => info!(%job, r#type = %kind, outcome, problem, "there is no such listing"),
            News::BadAsBefore(problem) => debug!(%job, r#type = %kind, outcome, problem, "again no clean listing"),
            News::GoodAgain => info!(%job, r#type = %kind, outcome, "polls bring clean listings again"),
            News::Good => debug!(%job, r#type = %kind, outcome, ?took, "poll"),
        }
    }

    fn publish(&mut self, change: Change, draft: Option<P::Draft>) {
        match change {
            Change::Listing(..) => self.shown_since = Some(Instant::now()),
            Change::Drop => self.shown_since = None,
            Change::Keep => {}
        }
        let report = Report { key: self.key.clone(), status: self.status.clone(), change };
        self.ties.publisher.publish(report, draft);
    }
}

/// What ends a rest.
pub(super) enum Event {
    /// It is time.
    Due,
    /// The bell of the job rings.
    Rung,
    /// There are other settings.
    Changed,
}

/// Waits until it is `due`, for a ring, or for a change.
pub(super) async fn wait(
    due: impl Future<Output = ()>,
    ring: &mut watch::Receiver<bool>,
    change: impl Future<Output = ()>,
) -> Event {
    tokio::select! {
        () = due => Event::Due,
        // The bell outlives the receiver: whoever waits holds both.
        _ = ring.changed() => Event::Rung,
        () = change => Event::Changed,
    }
}
