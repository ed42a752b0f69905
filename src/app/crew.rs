//! Who follows the jobs of an account: starts the tasks of a job that is to be followed, and ends those of one that is not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{debug, info, warn};

use super::publisher::Publisher;
use crate::board::Board;
use crate::config::{Account, Job};
use crate::drs;
use crate::exposition::Exposition;
use crate::http::Readiness;
use crate::model::{GroupKey, JobId};
use crate::poller::{
    self, Demand, Discovery, Followed, JobBell, Memory, Overview, Roster, Sighting, Start, Task, Ties,
};

/// What all accounts share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) poller: poller::Config,
    pub(super) exposition: Arc<Exposition>,
    pub(super) board: Arc<Board>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) publisher: Publisher,
    /// The jobs that somebody follows: a job that two accounts see is followed once.
    pub(super) taken: Arc<Mutex<BTreeSet<JobId>>>,
    /// What the tasks remember from one listing to the next.
    pub(super) memory: Memory,
}

/// The jobs of one account, and who follows them.
#[derive(Debug)]
pub(super) struct Crew {
    account: Account,
    client: Arc<drs::Account>,
    demand: Demand,
    shared: Shared,
    crews: BTreeMap<JobId, JobCrew>,
    tasks: JoinSet<()>,
    names: HashMap<Id, (JobId, String)>,
    /// Jobs that another account follows, so that it is told once.
    foreign: BTreeSet<JobId>,
    /// Whether the first list was tried; what later ones bring was not known at the start.
    tried: bool,
    /// Whether there was a list.
    listed: bool,
}

/// Who follows one job.
#[derive(Debug)]
struct JobCrew {
    stop: watch::Sender<bool>,
    sightings: watch::Sender<Sighting>,
    running: usize,
    /// Whether the configuration names the job; then no list ends it.
    by_hand: bool,
}

/// What follows one job, and how it is told what the lists say.
pub(super) struct JobTasks {
    pub(super) groups: Vec<Task<Publisher>>,
    pub(super) overview: Overview<Publisher>,
    pub(super) sightings: watch::Sender<Sighting>,
}

/// Prepares to follow a job.
pub(super) fn tasks(
    account: &Account,
    client: &Arc<drs::Account>,
    demand: &Demand,
    shared: &Shared,
    job: &Job,
) -> JobTasks {
    let client = Arc::new(drs::Job::new(Arc::clone(client), job.id.clone()));
    let ties = Ties {
        config: shared.poller.clone(),
        publisher: shared.publisher.clone(),
        bell: JobBell::default(),
        demand: demand.clone(),
        memory: shared.memory.clone(),
    };
    let task = |&object_type| Task::new(Arc::clone(&client), object_type, job.interval, job.shown, ties.clone());
    let groups = job.types.iter().map(task).collect();
    let followed = Followed {
        account: account.drs.account.clone(),
        region: account.drs.auth.region.as_ref().map(ToString::to_string).unwrap_or_default(),
        name: job.name.clone().unwrap_or_default(),
        interval: job.interval,
        view: account.job_view,
    };
    let (sightings, seen) = watch::channel(Sighting::default());
    let overview = Overview::new(client, followed, ties, seen);
    JobTasks { groups, overview, sightings }
}

/// A job that a list has and the configuration does not name.
pub(super) fn found(id: JobId, discovery: &Discovery) -> Job {
    let Discovery { types, poll_interval, shown, .. } = discovery;
    Job { id, name: None, types: types.clone(), interval: *poll_interval, shown: *shown }
}

impl Crew {
    /// Prepares to follow the jobs that the configuration names.
    pub(super) fn new(account: Account, client: Arc<drs::Account>, shared: Shared) -> Self {
        let demand = Demand::new(&account.drs.account, account.drs.limits.requests_per_second);
        for job in &account.jobs {
            expect(&shared.readiness, job);
            shared.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(job.id.clone());
        }
        if account.discovery.is_some() {
            shared.readiness.expect(list_of(&account.drs.account));
        }
        let (crews, tasks, names) = (BTreeMap::new(), JoinSet::new(), HashMap::new());
        Self {
            account,
            client,
            demand,
            shared,
            crews,
            tasks,
            names,
            foreign: BTreeSet::new(),
            tried: false,
            listed: false,
        }
    }

    /// How long the first polls may take, by the configuration.
    pub(super) fn longest_interval(account: &Account) -> Duration {
        let of_discovery = account.discovery.iter().map(|discovery| discovery.poll_interval);
        account.jobs.iter().map(|job| job.interval).chain(of_discovery).max().unwrap_or_default()
    }

    /// Follows jobs for ever, those of the configuration and those that the lists bring; returns only if a task ends by itself.
    pub(super) async fn run(mut self, mut lists: mpsc::Receiver<Option<Roster>>) -> anyhow::Error {
        for job in self.account.jobs.clone() {
            self.follow(&job, Start::Spread, true);
        }
        loop {
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => {
                    if let Some(error) = self.ended(ended) {
                        return error;
                    }
                }
                Some(list) = lists.recv() => {
                    if let Some(roster) = list {
                        self.take(&roster);
                    }
                    self.tried = true;
                    self.shared.readiness.tried(&list_of(&self.account.drs.account));
                }
                // Only a crew without a job and without discovery comes here, and no configuration has that.
                else => std::future::pending().await,
            }
        }
    }

    /// Brings what is followed in line with a list.
    fn take(&mut self, roster: &Roster) {
        let Some(discovery) = self.account.discovery.clone() else { return };
        for (id, listed) in &roster.listed {
            if !discovery.takes(listed) || self.crews.contains_key(id) || !self.claim(id) {
                continue;
            }
            let job = found(id.clone(), &discovery);
            info!(account = self.account.drs.account, job = %id, name = listed.details.name, "found");
            // Those of the first list are many; a later one is new, and somebody may wait for it.
            let start = if self.listed { Start::AtOnce } else { Start::Spread };
            if !self.tried {
                expect(&self.shared.readiness, &job);
            }
            self.follow(&job, start, false);
        }
        self.listed = true;
        for (id, crew) in &self.crews {
            let listed = roster.listed.get(id);
            roster.tell(id, &crew.sightings);
            let left = match listed {
                Some(listed) => !discovery.takes(listed),
                None => roster.complete,
            };
            if left && !crew.by_hand && !crew.stop.send_replace(true) {
                info!(account = self.account.drs.account, job = %id, "ended or gone from the list; its series go");
            }
        }
    }

    /// Whether no other account follows the job.
    fn claim(&mut self, id: &JobId) -> bool {
        let free = self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        if !free && self.foreign.insert(id.clone()) {
            warn!(account = self.account.drs.account, job = %id, "the list has a job that another account follows; it is followed once");
        }
        free
    }

    fn follow(&mut self, job: &Job, start: Start, by_hand: bool) {
        let JobTasks { groups, overview, sightings } =
            tasks(&self.account, &self.client, &self.demand, &self.shared, job);
        let (stop, stopped) = watch::channel(false);
        let running = groups.len() + 1;
        for task in groups {
            let name = task.key().object_type.to_string();
            let handle = self.tasks.spawn(task.run(start, until(stopped.clone())));
            self.names.insert(handle.id(), (job.id.clone(), name));
        }
        let handle = self.tasks.spawn(overview.run(start, until(stopped)));
        self.names.insert(handle.id(), (job.id.clone(), "overview".to_owned()));
        self.crews.insert(job.id.clone(), JobCrew { stop, sightings, running, by_hand });
    }

    /// Takes note of a task that ended; gives an error where it should not have.
    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) -> Option<anyhow::Error> {
        let (id, error) = match ended {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), Some(error)),
        };
        let (job, name) = self.names.remove(&id)?;
        let crew = self.crews.get_mut(&job)?;
        if error.is_some() || !*crew.stop.borrow() {
            let error = error.map(|error| error.to_string()).unwrap_or_default();
            return Some(anyhow!("the task that follows {job}/{name} ended ({error}); please report this"));
        }
        // Nobody waits any more for a first poll that never comes.
        self.shared.readiness.tried(&format!("{job}/{name}"));
        crew.running -= 1;
        if crew.running == 0 {
            // All of them have ended, so nothing can be shown of the job after this.
            self.crews.remove(&job);
            self.shared.exposition.forget(&job);
            self.shared.board.forget(&job);
            self.shared.memory.forget(&job);
            self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
            debug!(%job, "not followed any more");
        }
        None
    }
}

fn expect(readiness: &Readiness, job: &Job) {
    for &object_type in &job.types {
        readiness.expect(GroupKey { job: job.id.clone(), object_type }.to_string());
    }
}

fn list_of(account: &str) -> String {
    format!("the list of {account}")
}

/// Ends when the word is given, or when nobody is left to give it.
async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
