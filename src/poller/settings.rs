//! What may change while a job is followed, and how those who follow it hear of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::demand::Demand;
use super::schedule::{self, Pace};
use super::{Config, Start};
use crate::drs::Job;
use crate::model::Shown;

/// How one job is followed, and as whose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The job, as its account asks for it.
    pub job: Arc<Job>,
    /// What the polls of the account ask for.
    pub demand: Demand,
    /// How jobs are followed.
    pub config: Config,
    /// Time between two polls of one type, and between two looks at the job as a whole.
    pub interval: Duration,
    /// Which objects have a series of their own.
    pub shown: Shown,
    /// The account's name.
    pub account: String,
    /// The account's region; empty where none is named.
    pub region: String,
    /// The name that is shown instead of the cloud's; empty where none is named.
    pub name: String,
    /// Whether the cloud is asked for its view of the job.
    pub view: bool,
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        let Self { job, demand, config, interval, shown, account, region, name, view } = self;
        Arc::ptr_eq(job, &other.job)
            && demand.is(&other.demand)
            && (config, interval, shown, view) == (&other.config, &other.interval, &other.shown, &other.view)
            && (account, region, name) == (&other.account, &other.region, &other.name)
    }
}

impl Settings {
    /// Whether what is under way by these settings is worth waiting for once there are the other ones.
    fn go_on_with(&self, other: &Self) -> bool {
        self.job.is_asked_as(&other.job)
    }
}

/// The settings as one of those sees them who follow a job: they change when it looks, and not before.
#[derive(Clone, Debug)]
pub(super) struct View {
    news: watch::Receiver<Arc<Settings>>,
    now: Arc<Settings>,
}

/// What a change of the settings means for the next poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    /// Whether another cloud, or another user, is asked from now on.
    pub(super) asks_anew: bool,
    /// Whether other objects are to be shown, which takes a listing.
    pub(super) shows_anew: bool,
}

impl View {
    pub(super) fn new(mut news: watch::Receiver<Arc<Settings>>) -> Self {
        let now = Arc::clone(&news.borrow_and_update());
        Self { news, now }
    }

    /// The settings that are worked by.
    pub(super) fn get(&self) -> &Arc<Settings> {
        &self.now
    }

    /// Works by the newest settings from now on; nothing where they are the same as before.
    pub(super) fn look(&mut self) -> Option<Changed> {
        let newest = Arc::clone(&self.news.borrow_and_update());
        if Arc::ptr_eq(&newest, &self.now) {
            return None;
        }
        let changed = Changed { asks_anew: !self.now.go_on_with(&newest), shows_anew: self.now.shown != newest.shown };
        self.now = newest;
        Some(changed)
    }

    /// Waits until there are other settings, or for ever where nobody is left to change them.
    pub(super) async fn change(&self) {
        let mut news = self.news.clone();
        if news.wait_for(|newest| !Arc::ptr_eq(newest, &self.now)).await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits until there are such settings that what is under way is not worth waiting for.
    pub(super) async fn cut(&self) {
        let mut news = self.news.clone();
        if news.wait_for(|newest| !self.now.go_on_with(newest)).await.is_err() {
            std::future::pending().await
        }
    }

    /// When something is due once the settings have changed that was `due` before and last began at `started`: not later than these
    /// settings want it. What they would have wanted by now already is spread over the interval, since others changed as well.
    pub(super) fn due(&self, due: Instant, started: Instant, pace: Pace, key: &impl std::hash::Hash) -> Instant {
        let Settings { interval, config, .. } = &*self.now;
        let wanted = started + schedule::period(pace, *interval, config.settled_interval);
        let now = Instant::now();
        if wanted > now { due.min(wanted) } else { due.min(now + schedule::first_delay(Start::Spread, key, *interval)) }
    }
}
