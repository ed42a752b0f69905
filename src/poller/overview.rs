//! The loop that follows one job as a whole: what it is called, its state, and the cloud's own view of its progress.

use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, info, warn};

use super::complaint::{Complaint, News};
use super::schedule::{self, Pace};
use super::settings::{Settings, View};
use super::task::{Event, wait};
use super::{Publish, Start, Ties};
use crate::drs::{ApiError, Class, Job, Tally};
use crate::model::{JobDetails, JobId, JobReport, JobStatus, JobView, ListedJob};

/// What a list of jobs says of one, and when it was read.
#[derive(Clone, Debug, Default)]
pub struct Sighting {
    /// What it is called and what it does.
    pub details: JobDetails,
    /// Its state.
    pub status: Option<Dated<JobStatus>>,
}

/// Something that is believed for a while.
#[derive(Clone, Debug)]
pub struct Dated<T> {
    /// What it is.
    pub what: T,
    /// When the cloud was asked.
    pub at: Instant,
    /// Until when it is believed.
    pub until: Instant,
}

/// Follows one job as a whole.
#[derive(Debug)]
pub struct Overview<P> {
    settings: View,
    ties: Ties<P>,
    sightings: watch::Receiver<Sighting>,
    seen: Option<Seen>,
    told: Option<JobReport>,
    complaint: Complaint,
}

/// What the last look brought.
#[derive(Debug)]
struct Seen {
    details: JobDetails,
    view: Dated<JobView>,
}

/// What the cloud answered to a look, if it did in time.
type Answer = Result<Result<Option<(ListedJob, JobView)>, ApiError>, Elapsed>;

/// A look at a job.
#[derive(Debug)]
struct Look {
    answer: Answer,
    tally: Tally,
    started: Instant,
}

impl<P: Publish> Overview<P> {
    /// Prepares to follow the job that the settings are of. What a list says of it comes by `sightings`.
    pub fn new(settings: watch::Receiver<Arc<Settings>>, ties: Ties<P>, sightings: watch::Receiver<Sighting>) -> Self {
        let settings = View::new(settings);
        Self { settings, ties, sightings, seen: None, told: None, complaint: Complaint::default() }
    }

    /// Follows it until `stop`, and reports nothing after that. A look ends with the settings it began with, unless somebody else
    /// is to be asked.
    pub async fn run(mut self, start: Start, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut settings = Arc::clone(self.settings.get());
        self.expect(&settings);
        let mut ring = self.ties.bell.listen();
        let (mut started, mut pace, mut failed) = (Instant::now(), Pace::Usual, false);
        let mut due = started + schedule::first_delay(start, settings.job.id(), settings.interval);
        loop {
            if let Some(changed) = self.settings.look() {
                let before = mem::replace(&mut settings, Arc::clone(self.settings.get()));
                before.demand.ended(&key(&before));
                self.expect(&settings);
                due = self.settings.due(due, started, pace, settings.job.id());
                if changed.asks_anew && failed || settings.view && !before.view {
                    due = Instant::now();
                }
                if !settings.view {
                    self.seen = None;
                    self.complaint = Complaint::default();
                }
            }
            let view = self.settings.clone();
            let rest = wait(wait_until(settings.view.then_some(due)), &mut ring, view.change());
            let Some(event) = self.telling(rest, stop.as_mut()).await else { break };
            match event {
                Event::Due => {}
                Event::Changed => continue,
                Event::Rung => {
                    // A ring cannot make two looks follow each other faster than the interval.
                    due = due.min(Instant::now().max(started + settings.interval));
                    continue;
                }
            }
            started = Instant::now();
            let look = look(&settings.job, self.patience());
            let look = async {
                tokio::select! { look = look => Some(look), () = view.cut() => None }
            };
            let Some(look) = self.telling(look, stop.as_mut()).await else { break };
            // Nobody waits for the answer any more; somebody else is asked at once.
            let Some(look) = look else {
                due = started;
                continue;
            };
            failed = !matches!(look.answer, Ok(Ok(_)));
            pace = self.take(look);
            let period = schedule::period(pace, settings.interval, settings.interval);
            due = schedule::next(due, period, Instant::now()).due;
        }
        settings.demand.ended(&key(&settings));
    }

    /// Looks once where the cloud is asked at all, and says whether that went well.
    pub async fn once(mut self) -> bool {
        let settings = Arc::clone(self.settings.get());
        if settings.view {
            let look = look(&settings.job, self.patience()).await;
            self.take(look);
        }
        self.publish();
        !settings.view || self.seen.is_some()
    }

    fn expect(&self, settings: &Settings) {
        if settings.view {
            settings.demand.expects(&key(settings), settings.interval);
        }
    }

    /// Waits for `event`, and meanwhile tells what the lists say and lets go what becomes too old; nothing where it has to stop.
    async fn telling<T>(
        &mut self,
        event: impl Future<Output = T>,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Option<T> {
        let mut event = pin!(event);
        loop {
            // To its end, also when it has to stop: what is rendered late would show a job that is not followed any more.
            let too_old = self.publish();
            let mut sightings = self.sightings.clone();
            tokio::select! {
                happened = &mut event => return Some(happened),
                // The sender lives as long as somebody lists the jobs.
                Ok(()) = sightings.changed() => {}
                () = wait_until(too_old) => {}
                () = &mut stop => return None,
            }
        }
    }

    /// Takes a look into account, and says how much hurry there is with the next one.
    fn take(&mut self, look: Look) -> Pace {
        let Look { answer, tally, started } = look;
        let (pace, problem) = match answer {
            Ok(Ok(answer)) => {
                let (details, view) = answer.map(|(listed, view)| (listed.details, view)).unwrap_or_default();
                let until = Instant::now() + self.believed_for();
                self.seen = Some(Seen { details, view: Dated { what: view, at: started, until } });
                (Pace::Usual, None)
            }
            Ok(Err(error)) => {
                let pace = match error.class {
                    Class::Gone => Pace::Hopeless,
                    Class::NotCallable | Class::Forbidden => Pace::Forbidden,
                    Class::Permanent => Pace::Forbidden,
                    Class::Throttled { .. } | Class::Auth { .. } | Class::Transient => Pace::Usual,
                };
                if error.class == Class::Gone {
                    self.seen = None;
                }
                (pace, Some(error.to_string()))
            }
            Err(_) => (Pace::Usual, Some("the cloud did not say in time how the job as a whole stands".to_owned())),
        };
        let settings = self.settings.get();
        if tally.errors.is_empty() {
            settings.demand.polled(&key(settings), tally.requests, started.elapsed(), settings.interval);
        }
        let job = settings.job.id();
        match self.complaint.hear(problem) {
            News::Bad(problem) => warn!(%job, problem, "the cloud's view of the job is not to be had"),
            News::BadAsBefore(problem) => debug!(%job, problem, "again no view of the job"),
            News::GoodAgain => info!(%job, "the cloud's view of the job is to be had again"),
            News::Good => debug!(%job, "view"),
        }
        pace
    }

    /// Tells what is known and not too old, and says when the first of it will be.
    fn publish(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let sighting = self.sightings.borrow_and_update().clone();
        let listed = sighting.status.filter(|status| now < status.until);
        let seen = self.seen.as_ref().map(|seen| &seen.view).filter(|view| now < view.until);
        let too_old = listed.iter().map(|status| status.until).chain(seen.map(|view| view.until)).min();
        let mut view = seen.map(|view| view.what.clone()).unwrap_or_default();
        // Of two states the newer one counts.
        let (listed_at, seen_at) = (listed.as_ref().map(|status| status.at), seen.map(|view| view.at));
        if view.status.is_none() || listed_at > seen_at {
            view.status = listed.map(|status| status.what).or(view.status);
        }
        let settings = self.settings.get();
        let named = JobDetails { name: settings.name.clone(), ..JobDetails::default() };
        let looked = self.seen.as_ref().map(|seen| seen.details.clone()).unwrap_or_default();
        let report = JobReport {
            job: settings.job.id().clone(),
            account: settings.account.clone(),
            region: settings.region.clone(),
            details: named.or(sighting.details).or(looked),
            view,
        };
        // Most lists and looks bring nothing new, and rendering takes time.
        if self.told.as_ref() != Some(&report) {
            self.ties.publisher.publish_job(report.clone());
            self.told = Some(report);
        }
        too_old
    }

    /// How long a look may take.
    fn patience(&self) -> Duration {
        let Settings { interval, config, .. } = &**self.settings.get();
        config.stale_after.max(*interval)
    }

    /// How long a look is believed: while the next ones fail, as long as a listing is; but never only until the next is due.
    fn believed_for(&self) -> Duration {
        let Settings { interval, config, .. } = &**self.settings.get();
        config.stale_after.max(*interval * 2)
    }
}

/// What the demand of an overview goes by.
fn key(settings: &Settings) -> (&'static str, &JobId) {
    ("overview", settings.job.id())
}

/// Asks the cloud for its view.
async fn look(job: &Job, patience: Duration) -> Look {
    let started = Instant::now();
    let deadline = started + patience;
    let mut tally = Tally::default();
    let answer = timeout_at(deadline, job.view(deadline, &mut tally)).await;
    Look { answer, tally, started }
}

async fn wait_until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
