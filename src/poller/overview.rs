//! The loop that follows one job as a whole: what it is called, its state, and the cloud's own view of its progress.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, info, warn};

use super::complaint::{Complaint, News};
use super::demand::Demand;
use super::schedule::{self, Pace};
use super::{Config, Publish, Start};
use crate::drs::{Class, Job, Tally};
use crate::model::{JobDetails, JobReport, JobStatus, JobView};

/// What a list of jobs says of one, and when it was read.
#[derive(Clone, Debug, Default)]
pub struct Sighting {
    /// What it is called and what it does.
    pub details: JobDetails,
    /// Its state, and until when it is believed.
    pub status: Option<(JobStatus, Instant)>,
}

/// Which job is followed, and as whose.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The account's name.
    pub account: String,
    /// The account's region; empty where none is named.
    pub region: String,
    /// The name that is shown instead of the cloud's; empty where none is named.
    pub name: String,
    /// Time between two looks at the job as a whole.
    pub interval: Duration,
    /// Whether the cloud is asked for its view of the job.
    pub view: bool,
}

/// Follows one job as a whole.
#[derive(Debug)]
pub struct Overview<P> {
    job: Arc<Job>,
    followed: Followed,
    config: Config,
    publisher: P,
    demand: Demand,
    sightings: watch::Receiver<Sighting>,
    seen: Option<Seen>,
    complaint: Complaint,
}

/// What the last look brought.
#[derive(Debug)]
struct Seen {
    details: JobDetails,
    view: JobView,
    at: Instant,
}

impl<P: Publish> Overview<P> {
    /// Prepares to follow a job. What a list says of it comes by `sightings`.
    pub fn new(
        job: Arc<Job>,
        followed: Followed,
        config: Config,
        publisher: P,
        demand: Demand,
        sightings: watch::Receiver<Sighting>,
    ) -> Self {
        Self { job, followed, config, publisher, demand, sightings, seen: None, complaint: Complaint::default() }
    }

    /// Follows it until `stop`, and reports nothing after that.
    pub async fn run(mut self, start: Start, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut due = Instant::now() + schedule::first_delay(start, self.job.id(), self.followed.interval);
        loop {
            self.publish().await;
            let too_old = self.next_too_old();
            let mut sightings = self.sightings.clone();
            tokio::select! {
                // The sender lives as long as somebody lists the jobs.
                Ok(()) = sightings.changed() => self.sightings = sightings,
                () = sleep_until(due), if self.followed.view => {
                    let round = tokio::select! {
                        pace = self.look() => pace,
                        () = &mut stop => break,
                    };
                    let period = schedule::period(round, self.followed.interval, self.followed.interval);
                    due = schedule::next(due, period, Instant::now()).due;
                }
                () = wait_until(too_old) => {}
                () = &mut stop => break,
            }
        }
        self.demand.ended(&self.key());
    }

    /// Looks once where the cloud is asked at all, and says whether that went well.
    pub async fn once(mut self) -> bool {
        let pace = if self.followed.view { Some(self.look().await) } else { None };
        self.publish().await;
        pace.is_none() || self.seen.is_some()
    }

    /// Asks the cloud for its view, and says how much hurry there is with the next look.
    async fn look(&mut self) -> Pace {
        let started = Instant::now();
        let deadline = started + self.followed.interval.max(self.config.stale_after);
        let mut tally = Tally::default();
        let (pace, problem) = match timeout_at(deadline, self.job.view(deadline, &mut tally)).await {
            Ok(Ok(answer)) => {
                let (details, view) = answer.map(|(listed, view)| (listed.details, view)).unwrap_or_default();
                self.seen = Some(Seen { details, view, at: Instant::now() });
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
        if tally.errors.is_empty() {
            self.demand.polled(&self.key(), tally.requests, started.elapsed(), self.followed.interval);
        }
        let job = self.job.id();
        match self.complaint.hear(problem) {
            News::Bad(problem) => warn!(%job, problem, "the cloud's view of the job is not to be had"),
            News::BadAsBefore(problem) => debug!(%job, problem, "again no view of the job"),
            News::GoodAgain => info!(%job, "the cloud's view of the job is to be had again"),
            News::Good => debug!(%job, "view"),
        }
        pace
    }

    /// Tells what is known and not too old.
    async fn publish(&mut self) {
        let now = Instant::now();
        let sighting = self.sightings.borrow_and_update().clone();
        let listed = sighting.status.filter(|(_, until)| now < *until);
        let seen = self.seen.as_ref().filter(|seen| now < seen.at + self.believed_for());
        let mut view = seen.map(|seen| seen.view.clone()).unwrap_or_default();
        let listed_at = listed.as_ref().map(|(_, until)| *until);
        let seen_until = seen.map(|seen| seen.at + self.believed_for());
        if view.status.is_none() || listed_at > seen_until {
            view.status = listed.map(|(status, _)| status).or(view.status);
        }
        let named = JobDetails { name: self.followed.name.clone(), ..JobDetails::default() };
        let looked = self.seen.as_ref().map(|seen| seen.details.clone()).unwrap_or_default();
        let report = JobReport {
            job: self.job.id().clone(),
            account: self.followed.account.clone(),
            region: self.followed.region.clone(),
            details: named.or(sighting.details).or(looked),
            view,
        };
        self.publisher.publish_job(report).await;
    }

    /// When something that is shown becomes too old.
    fn next_too_old(&self) -> Option<Instant> {
        let now = Instant::now();
        let listed = self.sightings.borrow().status.as_ref().map(|(_, until)| *until);
        let seen = self.seen.as_ref().map(|seen| seen.at + self.believed_for());
        listed.into_iter().chain(seen).filter(|at| *at > now).min()
    }

    /// How long a look is believed: while the next ones fail, as long as a listing is; but never only until the next is due.
    fn believed_for(&self) -> Duration {
        self.config.stale_after.max(self.followed.interval * 2)
    }

    fn key(&self) -> (&'static str, &crate::model::JobId) {
        ("overview", self.job.id())
    }
}

async fn wait_until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
