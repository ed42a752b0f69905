//! The loop that follows one job and type for as long as the process lives.

use std::future::{Future, pending};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::complaint::{Complaint, News};
use super::demand::Demand;
use super::intake::Intake;
use super::memory::{Memory, Recollection};
use super::round::{self, Listed, Round};
use super::{Config, Start, schedule};
use crate::drs::Job;
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
    /// How jobs are followed.
    pub config: Config,
    /// Where reports go.
    pub publisher: P,
    /// The bell of the job.
    pub bell: JobBell,
    /// What the polls of the account ask for.
    pub demand: Demand,
    /// What all tasks remember.
    pub memory: Memory,
}

/// Follows one job and type.
#[derive(Debug)]
pub struct Task<P> {
    key: GroupKey,
    job: Arc<Job>,
    interval: Duration,
    shown: Shown,
    ties: Ties<P>,
    recollection: Recollection,
    status: PollStatus,
    /// When the listing that is shown was read; nothing where none is shown.
    shown_since: Option<Instant>,
    complaint: Complaint,
}

impl<P: Publish> Task<P> {
    /// Prepares to follow `object_type` of `job`.
    pub fn new(job: Arc<Job>, object_type: ObjectType, interval: Duration, shown: Shown, ties: Ties<P>) -> Self {
        let key = GroupKey { job: job.id().clone(), object_type };
        let recollection = ties.memory.of(&key);
        let (status, complaint) = (PollStatus::default(), Complaint::default());
        Self { key, job, interval, shown, ties, recollection, status, shown_since: None, complaint }
    }

    /// The job and type that are followed.
    pub fn key(&self) -> &GroupKey {
        &self.key
    }

    /// Polls until `stop`, and reports nothing after that. Two polls never overlap, and between two there is an interval,
    /// unless one was late.
    pub async fn run(mut self, start: Start, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        self.ties.demand.expects(&self.key, self.interval);
        self.publish(Change::Keep, None);
        let mut ring = self.ties.bell.listen();
        let mut started = Instant::now();
        let mut due = started + schedule::first_delay(start, &self.key, self.interval);
        loop {
            let Some(rung) = self.attend(wait(due, &mut ring), stop.as_mut()).await else { break };
            if rung {
                // A ring cannot make two polls follow each other faster than the interval.
                due = due.min(Instant::now().max(started + self.interval));
                continue;
            }
            started = Instant::now();
            let (job, config) = (Arc::clone(&self.job), self.ties.config.clone());
            let intake = self.intake();
            let poll = round::run(&job, self.key.object_type, config.page_size, self.deadline(), intake);
            let Some(round) = self.attend(poll, stop.as_mut()).await else { break };
            let now = Instant::now();
            let period = schedule::period(round.pace, self.interval, config.settled_interval);
            // A poll that was held up by faults says so itself.
            if round.tally.errors.is_empty() {
                self.ties.demand.polled(&self.key, round.tally.requests, now - due, period);
            }
            let next = schedule::next(due, period, now);
            // What an account's log-in held up is made up for as soon as the account may try again.
            due = round.again_at.map_or(next.due, |at| next.due.min(at.max(now)));
            self.status.skipped += next.skipped;
            if self.record(round, started, now) {
                ring.mark_unchanged();
            }
        }
        self.ties.demand.ended(&self.key);
    }

    /// Polls once, and says how that ended.
    pub async fn once(mut self) -> PollStatus {
        let started = Instant::now();
        let (page_size, intake) = (self.ties.config.page_size, self.intake());
        let round = round::run(&self.job, self.key.object_type, page_size, self.deadline(), intake).await;
        self.record(round, started, Instant::now());
        self.status
    }

    fn intake(&self) -> Intake<P> {
        let (recollection, publisher) = (self.recollection.clone(), self.ties.publisher.clone());
        Intake::new(self.key.clone(), self.shown, self.ties.config.stall_after, recollection, publisher)
    }

    fn deadline(&self) -> Duration {
        self.interval.max(self.ties.config.stale_after)
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
        self.shown_since.filter(|_| failing).map(|since| since + self.ties.config.stale_after)
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

/// Waits until `due`, or for a ring; says whether it rang.
async fn wait(due: Instant, ring: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = sleep_until(due) => false,
        // The bell outlives the receiver: the task holds both.
        _ = ring.changed() => true,
    }
}
