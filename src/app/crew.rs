//! Who follows the jobs of all accounts: starts the tasks of what is to be followed, and ends those of what is not, whether the
//! configuration changes or the list of an account's jobs. A job that stays goes on as it was, by whatever account.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{debug, info, warn};

use super::plan::{Office, Plan};
use super::publisher::Publisher;
use crate::board::Board;
use crate::config::{Account, Job};
use crate::drs;
use crate::exposition::Exposition;
use crate::http::Readiness;
use crate::model::{GroupKey, JobId, ObjectType};
use crate::poller::{
    self, Discovery, JobBell, Lister, Memory, Overview, Roster, Settings, Sighting, Start, Task, Ties,
};

/// What all jobs share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) exposition: Arc<Exposition>,
    pub(super) board: Arc<Board>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) publisher: Publisher,
    /// What the tasks remember from one listing to the next.
    pub(super) memory: Memory,
    /// Whether the jobs of each account are to be had.
    pub(super) discovery: poller::Metrics,
}

/// Another plan is to hold.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) plan: Plan,
    /// Told when it does, and all that has to go by it has gone.
    pub(super) done: oneshot::Sender<()>,
}

/// All jobs, and who follows them.
#[derive(Debug)]
pub(super) struct Crew {
    plan: Plan,
    shared: Shared,
    /// What is known of the jobs of each account that has discovery.
    desks: BTreeMap<String, Desk>,
    jobs: BTreeMap<JobId, JobCrew>,
    tasks: JoinSet<()>,
    members: HashMap<Id, Member>,
    lists: mpsc::Sender<List>,
    listed: mpsc::Receiver<List>,
    /// How many have been stopped and have not ended.
    leaving: usize,
    /// Those who wait until nobody is leaving.
    waiting: Vec<oneshot::Sender<()>>,
}

/// What the lists of one account have brought.
#[derive(Debug)]
struct Desk {
    lister: watch::Sender<bool>,
    /// What the lister was told to do.
    does: (Arc<drs::Account>, Discovery, Duration),
    /// Which of the account's listers it is, so that nothing counts that one before it brings late.
    serial: u64,
    roster: Option<Roster>,
    /// Jobs that another account follows, so that it is told once.
    foreign: BTreeSet<JobId>,
    /// Whether somebody waits for what the first list brings, as it is at the start.
    awaited: bool,
}

/// What a lister brought.
#[derive(Debug)]
struct List {
    account: String,
    serial: u64,
    roster: Option<Roster>,
}

/// Who follows one job.
#[derive(Debug)]
struct JobCrew {
    account: String,
    client: Arc<drs::Account>,
    settings: watch::Sender<Arc<Settings>>,
    ties: Ties<Publisher>,
    sightings: watch::Sender<Sighting>,
    /// Those who follow it, and how they are stopped.
    parts: BTreeMap<Part, watch::Sender<bool>>,
}

/// What one task follows of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Type(ObjectType),
    Overview,
}

/// One task.
#[derive(Debug)]
struct Member {
    does: Duty,
    stop: watch::Sender<bool>,
}

#[derive(Clone, Debug)]
enum Duty {
    Follow(JobId, Part),
    List(String),
}

/// Why the jobs are looked through.
#[derive(Clone, Copy, Debug)]
enum Occasion<'a> {
    /// The process has started.
    Start,
    /// The list of an account came; the first one, or another.
    List { account: &'a str, first: bool },
    /// The configuration has changed, or what had to go has gone.
    Change,
}

/// What follows one job, and how it is told what the lists say.
pub(super) struct JobTasks {
    pub(super) groups: Vec<Task<Publisher>>,
    pub(super) overview: Overview<Publisher>,
    pub(super) sightings: watch::Sender<Sighting>,
}

/// Prepares to follow a job.
pub(super) fn tasks(office: &Office, poller: &poller::Config, shared: &Shared, job: &Job) -> JobTasks {
    let client = Arc::new(drs::Job::new(Arc::clone(&office.client), job.id.clone()));
    let (_, settings) = watch::channel(Arc::new(settings(office, poller, client, job)));
    let ties = ties(shared);
    let groups = job.types.iter().map(|&kind| Task::new(kind, settings.clone(), ties.clone())).collect();
    let (sightings, seen) = watch::channel(Sighting::default());
    let overview = Overview::new(settings, ties, seen);
    JobTasks { groups, overview, sightings }
}

fn ties(shared: &Shared) -> Ties<Publisher> {
    let (publisher, memory) = (shared.publisher.clone(), shared.memory.clone());
    Ties { publisher, bell: JobBell::default(), memory }
}

fn settings(office: &Office, poller: &poller::Config, client: Arc<drs::Job>, job: &Job) -> Settings {
    let Account { drs, job_view, .. } = &office.account;
    Settings {
        job: client,
        demand: office.demand.clone(),
        config: poller.clone(),
        interval: job.interval,
        shown: job.shown,
        account: drs.account.clone(),
        region: drs.auth.region.as_ref().map(ToString::to_string).unwrap_or_default(),
        name: job.name.clone().unwrap_or_default(),
        view: *job_view,
    }
}

/// A job that a list has and the configuration does not name.
pub(super) fn found(id: JobId, discovery: &Discovery) -> Job {
    let Discovery { types, poll_interval, shown, .. } = discovery;
    Job { id, name: None, types: types.clone(), interval: *poll_interval, shown: *shown }
}

/// How long the first polls of an account may take, by the configuration.
pub(super) fn longest_interval(account: &Account) -> Duration {
    let of_discovery = account.discovery.iter().map(|discovery| discovery.poll_interval);
    account.jobs.iter().map(|job| job.interval).chain(of_discovery).max().unwrap_or_default()
}

impl Crew {
    /// Prepares to follow what the plan says.
    pub(super) fn new(plan: Plan, shared: Shared) -> Self {
        for office in &plan.offices {
            office.account.jobs.iter().for_each(|job| expect(&shared.readiness, job));
            if office.account.discovery.is_some() {
                shared.readiness.expect(list_of(office.name()));
            }
        }
        // One list at a time: no lister asks for the next one before the last one was taken in.
        let (lists, listed) = mpsc::channel(1);
        Self {
            plan,
            shared,
            desks: BTreeMap::new(),
            jobs: BTreeMap::new(),
            tasks: JoinSet::new(),
            members: HashMap::new(),
            lists,
            listed,
            leaving: 0,
            waiting: Vec::new(),
        }
    }

    /// Follows jobs for ever, those of the plan and those that the lists bring; returns only if a task ends by itself.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) -> anyhow::Error {
        self.list(true);
        self.reconcile(Occasion::Start);
        loop {
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => {
                    if let Some(error) = self.ended(ended) {
                        return error;
                    }
                }
                Some(list) = self.listed.recv() => self.take(list),
                Some(order) = orders.recv() => self.change(order),
            }
            if self.leaving == 0 {
                for done in self.waiting.drain(..) {
                    // Whoever ordered it may have gone.
                    let _ = done.send(());
                }
            }
        }
    }

    /// Another plan holds from now on.
    fn change(&mut self, Order { plan, done }: Order) {
        self.plan = plan;
        // An account that has another name now goes on with what its lists have brought.
        for office in &self.plan.offices {
            let Some(before) = office.formerly.as_ref().filter(|name| self.plan.office(name).is_none()) else {
                continue;
            };
            if let Some(desk) = self.desks.remove(before) {
                self.desks.insert(office.name().to_owned(), desk);
            }
            let its_jobs = self.jobs.values_mut().filter(|crew| crew.account == *before);
            its_jobs.for_each(|crew| office.name().clone_into(&mut crew.account));
        }
        self.list(false);
        self.reconcile(Occasion::Change);
        self.waiting.push(done);
    }

    /// Sees that the jobs of each account with discovery are listed, and no others.
    fn list(&mut self, at_start: bool) {
        let plan = self.plan.clone();
        let discovers = |account: &str| plan.office(account).is_some_and(|office| office.account.discovery.is_some());
        for (account, desk) in self.desks.extract_if(.., |account, _| !discovers(account)) {
            self.leaving += usize::from(!desk.lister.send_replace(true));
            self.shared.readiness.tried(&list_of(&account));
        }
        for office in &plan.offices {
            let Some(discovery) = &office.account.discovery else { continue };
            let (does, stale_after) =
                ((Arc::clone(&office.client), discovery.clone(), plan.poller.stale_after), plan.poller.stale_after);
            let mut before = self.desks.remove(office.name());
            if let Some(desk) = before.take_if(|desk| {
                Arc::ptr_eq(&desk.does.0, &office.client)
                    && desk.does.1.lists_as(discovery)
                    && desk.does.2 == stale_after
            }) {
                self.desks.insert(office.name().to_owned(), Desk { does, ..desk });
                continue;
            }
            let serial = before.as_ref().map_or(0, |desk| desk.serial + 1);
            let lister = self.send_lister(office, discovery, stale_after, serial);
            let mut desk = Desk { lister, does, serial, roster: None, foreign: BTreeSet::new(), awaited: at_start };
            if let Some(before) = before {
                self.leaving += usize::from(!before.lister.send_replace(true));
                // What was listed by other wishes says nothing of what these would bring.
                desk.roster = before.roster.filter(|_| before.does.1.wanted == discovery.wanted);
                desk.awaited = before.awaited;
                desk.foreign = before.foreign;
            }
            self.desks.insert(office.name().to_owned(), desk);
        }
    }

    fn send_lister(
        &mut self,
        office: &Office,
        discovery: &Discovery,
        stale_after: Duration,
        serial: u64,
    ) -> watch::Sender<bool> {
        let (client, metrics) = (Arc::clone(&office.client), self.shared.discovery.clone());
        let lister = Lister::new(client, discovery.clone(), stale_after, metrics);
        let (lists, account) = (self.lists.clone(), office.name().to_owned());
        let (stop, stopped) = watch::channel(false);
        let tell = move |roster| {
            let (lists, list) = (lists.clone(), List { account: account.clone(), serial, roster });
            // A send fails only where the crew has ended, which is told then.
            async move { drop(lists.send(list).await) }
        };
        let handle = self.tasks.spawn(async move {
            tokio::select! {
                never = lister.run(tell) => match never {},
                () = until(stopped) => {}
            }
        });
        self.members.insert(handle.id(), Member { does: Duty::List(office.name().to_owned()), stop: stop.clone() });
        stop
    }

    /// Brings what is followed in line with a list.
    fn take(&mut self, List { account, serial, roster }: List) {
        let Some(desk) = self.desks.get_mut(&account).filter(|desk| desk.serial == serial) else { return };
        if let Some(roster) = roster {
            let first = desk.roster.replace(roster).is_none();
            self.reconcile(Occasion::List { account: &account, first });
        }
        if let Some(desk) = self.desks.get_mut(&account) {
            desk.awaited = false;
        }
        self.shared.readiness.tried(&list_of(&account));
    }

    /// Brings what is followed in line with what is to be followed.
    fn reconcile(&mut self, occasion: Occasion<'_>) {
        let wanted = self.wanted();
        let gone: Vec<JobId> = self.jobs.keys().filter(|id| !wanted.contains_key(*id)).cloned().collect();
        for id in gone {
            self.dismiss(&id, &BTreeSet::new());
        }
        for (id, (office, job)) in wanted {
            match self.jobs.get(&id) {
                None => self.welcome(&office, &job, occasion),
                Some(crew) if crew.is_followed() => {}
                // It comes anew once all of it has left.
                Some(_) => continue,
            }
            let parts = job.types.iter().map(|&kind| Part::Type(kind)).chain([Part::Overview]).collect();
            self.dismiss(&id, &parts);
            self.adjust(&office, &job, &parts, occasion);
        }
    }

    /// Which jobs are to be followed, by which account, and how: those that the configuration names, and those that the lists have.
    fn wanted(&mut self) -> BTreeMap<JobId, (Arc<Office>, Job)> {
        let mut wanted = BTreeMap::new();
        for office in &self.plan.offices {
            let named = office.account.jobs.iter();
            wanted.extend(named.map(|job| (job.id.clone(), (Arc::clone(office), job.clone()))));
        }
        // A job that two accounts see is followed once, by the one that does already.
        for (id, crew) in self.jobs.iter().filter(|(_, crew)| crew.is_followed()) {
            let office = self.plan.office(&crew.account);
            let stays = |office: &&Arc<Office>| self.desks.get(office.name()).is_some_and(|desk| desk.keeps(id));
            if let Some((office, discovery)) = office.filter(stays).and_then(with_discovery) {
                wanted.entry(id.clone()).or_insert_with(|| (Arc::clone(office), found(id.clone(), discovery)));
            }
        }
        for (office, discovery) in self.plan.offices.iter().filter_map(with_discovery) {
            let Some(desk) = self.desks.get_mut(office.name()) else { continue };
            let Desk { roster: Some(roster), foreign, .. } = desk else { continue };
            for (id, _) in roster.listed.iter().filter(|(_, job)| discovery.takes(job)) {
                let (by, _) =
                    wanted.entry(id.clone()).or_insert_with(|| (Arc::clone(office), found(id.clone(), discovery)));
                if by.name() != office.name() && foreign.insert(id.clone()) {
                    let account = office.name();
                    warn!(account, job = %id, "the list has a job that another account follows; it is followed once");
                }
            }
        }
        wanted
    }

    /// Prepares to follow a job that was not followed before.
    fn welcome(&mut self, office: &Office, job: &Job, occasion: Occasion<'_>) {
        let by_list = office.account.jobs.iter().all(|named| named.id != job.id);
        let account = office.name();
        match self.desks.get(account).and_then(|desk| desk.roster.as_ref()?.listed.get(&job.id)) {
            Some(listed) if by_list => info!(account, job = %job.id, name = listed.details.name, "found"),
            _ => debug!(account, job = %job.id, "followed from now on"),
        }
        if by_list && self.desks.get(account).is_some_and(|desk| desk.awaited) && !matches!(occasion, Occasion::Change)
        {
            expect(&self.shared.readiness, job);
        }
        let client = Arc::new(drs::Job::new(Arc::clone(&office.client), job.id.clone()));
        let settings = watch::Sender::new(Arc::new(settings(office, &self.plan.poller, client, job)));
        let crew = JobCrew {
            account: account.to_owned(),
            client: Arc::clone(&office.client),
            settings,
            ties: ties(&self.shared),
            sightings: watch::Sender::new(Sighting::default()),
            parts: BTreeMap::new(),
        };
        self.jobs.insert(job.id.clone(), crew);
    }

    /// Stops all who follow a job, but those of these parts.
    fn dismiss(&mut self, id: &JobId, but: &BTreeSet<Part>) {
        let Some(crew) = self.jobs.get(id) else { return };
        let leave = crew.parts.iter().filter(|(part, _)| !but.contains(part));
        let left = leave.filter(|(_, stop)| !stop.send_replace(true)).count();
        self.leaving += left;
        if left > 0 && but.is_empty() {
            info!(account = crew.account, job = %id, "ended, or not in the list or the configuration any more; its series go");
        }
    }

    /// Sees that a job is followed as it is to be, and in all its parts.
    fn adjust(&mut self, office: &Office, job: &Job, parts: &BTreeSet<Part>, occasion: Occasion<'_>) {
        let Some(crew) = self.jobs.get_mut(&job.id) else { return };
        let moved = !Arc::ptr_eq(&crew.client, &office.client);
        let client = if moved {
            Arc::new(drs::Job::new(Arc::clone(&office.client), job.id.clone()))
        } else {
            Arc::clone(&crew.settings.borrow().job)
        };
        let settings = settings(office, &self.plan.poller, client, job);
        crew.settings.send_if_modified(|now| {
            let differs = **now != settings;
            if differs {
                *now = Arc::new(settings);
            }
            differs
        });
        office.name().clone_into(&mut crew.account);
        crew.client = Arc::clone(&office.client);
        let news = matches!(occasion, Occasion::List { account, .. } if account == office.name());
        let roster = self.desks.get(office.name()).and_then(|desk| desk.roster.as_ref());
        if let Some(roster) = roster.filter(|_| news || moved || crew.parts.is_empty()) {
            roster.tell(&job.id, &crew.sightings);
        }
        // Those of the start and of a first list are many; what comes later is new, and somebody may wait for it.
        let start = match occasion {
            Occasion::Start | Occasion::List { first: true, .. } => Start::Spread,
            Occasion::List { .. } | Occasion::Change => Start::AtOnce,
        };
        // One that is leaving is missed when it has left.
        for &part in parts {
            if crew.parts.contains_key(&part) {
                continue;
            }
            let (stop, stopped) = watch::channel(false);
            let (settings, ties) = (crew.settings.subscribe(), crew.ties.clone());
            let handle = match part {
                Part::Type(kind) => self.tasks.spawn(Task::new(kind, settings, ties).run(start, until(stopped))),
                Part::Overview => {
                    let overview = Overview::new(settings, ties, crew.sightings.subscribe());
                    self.tasks.spawn(overview.run(start, until(stopped)))
                }
            };
            let does = Duty::Follow(job.id.clone(), part);
            self.members.insert(handle.id(), Member { does, stop: stop.clone() });
            crew.parts.insert(part, stop);
        }
    }

    /// Takes note of a task that ended; gives an error where it should not have.
    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) -> Option<anyhow::Error> {
        let (id, error) = match ended {
            Ok((id, ())) => (id, None),
            Err(error) => (error.id(), Some(error)),
        };
        let Member { does, stop } = self.members.remove(&id)?;
        if error.is_some() || !*stop.borrow() {
            let error = error.map(|error| error.to_string()).unwrap_or_default();
            let what = match does {
                Duty::Follow(job, part) => format!("follows {}", part.of(&job)),
                Duty::List(account) => format!("lists the jobs of {account}"),
            };
            return Some(anyhow!("the task that {what} ended ({error}); please report this"));
        }
        self.leaving -= 1;
        match does {
            Duty::Follow(job, part) => self.left(&job, part),
            Duty::List(account) if !self.desks.contains_key(&account) => self.shared.discovery.forget(&account),
            Duty::List(_) => {}
        }
        if self.leaving == 0 {
            // What was to leave may be wanted again by now.
            self.reconcile(Occasion::Change);
        }
        None
    }

    /// Nobody follows a part of a job any more, so nothing can be shown of it after this.
    fn left(&mut self, job: &JobId, part: Part) {
        let Some(crew) = self.jobs.get_mut(job) else { return };
        crew.parts.remove(&part);
        // Nobody waits any more for a first poll that never comes.
        self.shared.readiness.tried(&part.of(job));
        let Shared { exposition, board, memory, .. } = &self.shared;
        if crew.parts.is_empty() {
            self.jobs.remove(job);
            exposition.forget(job);
            board.forget(job);
            memory.forget(job);
            debug!(%job, "not followed any more");
        } else if let (Part::Type(object_type), true) = (part, crew.is_followed()) {
            let key = GroupKey { job: job.clone(), object_type };
            exposition.forget_type(&key);
            board.forget_type(&key);
            memory.forget_type(&key);
            debug!(%job, %object_type, "not followed any more");
        }
    }
}

impl Desk {
    /// Whether the job, which is followed, stays by what is known: also while there is no list that could end it.
    fn keeps(&self, job: &JobId) -> bool {
        let Some(roster) = &self.roster else { return true };
        match roster.listed.get(job) {
            Some(listed) => self.does.1.takes(listed),
            None => !roster.complete,
        }
    }
}

impl JobCrew {
    /// Whether it is not leaving as a whole.
    fn is_followed(&self) -> bool {
        self.parts.get(&Part::Overview).is_some_and(|stop| !*stop.borrow())
    }
}

impl Part {
    fn of(self, job: &JobId) -> String {
        match self {
            Self::Type(object_type) => GroupKey { job: job.clone(), object_type }.to_string(),
            Self::Overview => format!("{job}/overview"),
        }
    }
}

fn with_discovery(office: &Arc<Office>) -> Option<(&Arc<Office>, &Discovery)> {
    Some((office, office.account.discovery.as_ref()?))
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
