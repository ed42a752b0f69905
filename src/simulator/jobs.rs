//! The jobs that there are, and what the cloud tells of each as a whole: in the list of jobs, and in a job's details.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::objects::{average, done, mixed, word};

/// When a disappearing job is deleted.
const DELETED_AFTER: Duration = Duration::from_secs(120);

/// A failing job works for a while, then fails for a while, and so on.
const FAILING_CYCLE: Duration = Duration::from_secs(60);
const WORKS_FOR: Duration = Duration::from_secs(20);

/// How long a job whose objects are all done is still there before its resources are released.
const RELEASED_AFTER: Duration = Duration::from_secs(60);

/// How long before the next one a job was created.
const CREATED_EVERY: Duration = Duration::from_secs(60);

/// Every so many jobs is a parent of so many.
const PARENT_EVERY: u64 = 7;
const CHILDREN: u64 = 2;

/// What becomes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its objects move, for half an hour.
    Moving,
    /// A third of its objects stand still on the way, for ever or for a while.
    Stalling,
    /// The service fails for 40 s of each minute.
    Failing,
    /// All is done within a minute and a half.
    Finishing,
    /// One object after the other is dropped, and after two minutes the job is deleted.
    Disappearing,
}

impl Fate {
    const ALL: [Self; 5] = [Self::Moving, Self::Stalling, Self::Failing, Self::Finishing, Self::Disappearing];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Moving => "moving",
            Self::Stalling => "stalling",
            Self::Failing => "failing",
            Self::Finishing => "finishing",
            Self::Disappearing => "disappearing",
        }
    }
}

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) fate: Fate,
    pub(super) seed: u64,
    /// Whether it goes on with what changes after all was copied: a synchronization, not a migration.
    follows_changes: bool,
    /// How long before the world began it was created.
    age: Duration,
    enterprise_project: &'static str,
    /// For how long objects that stall stand still, from the beginning of the world; for ever where nothing is said.
    pub(super) stands_for: Option<Duration>,
    pub(super) children: Vec<Job>,
}

impl Job {
    /// The jobs of a world, the newest first.
    pub(super) fn all(seed: u64, jobs: usize, stands_for: Option<Duration>) -> Vec<Self> {
        let fates = Fate::ALL.into_iter().cycle().take(jobs);
        fates.zip(0..).map(|(fate, index)| Self::new(fate, mixed(seed, index), index, stands_for)).collect()
    }

    fn new(fate: Fate, seed: u64, index: u64, stands_for: Option<Duration>) -> Self {
        let purpose = if index % 3 == 2 { "test" } else { "prod" };
        let mut job = Self {
            id: format!("{}-{:08x}", fate.as_str(), seed >> 32),
            name: format!("{purpose}-{}-{:04}", word(index), index + 1),
            fate,
            seed,
            follows_changes: index % 2 == 1,
            age: CREATED_EVERY.saturating_mul(u32::try_from(index + 1).unwrap_or(u32::MAX)),
            enterprise_project: if index % 4 == 3 { "simulated-enterprise-project" } else { "0" },
            stands_for,
            children: Vec::new(),
        };
        if index % PARENT_EVERY == PARENT_EVERY - 1 {
            job.children = (1..=CHILDREN).map(|number| job.child(number)).collect();
        }
        job
    }

    fn child(&self, number: u64) -> Self {
        let seed = mixed(self.seed, number);
        Self {
            id: format!("{}-{:08x}", self.fate.as_str(), seed >> 32),
            name: format!("{}-{number}", self.name),
            seed,
            children: Vec::new(),
            ..*self
        }
    }

    /// The job and its children.
    pub(super) fn family(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.children)
    }

    /// Whether it is no longer there.
    pub(super) fn deleted(&self, elapsed: Duration) -> bool {
        self.fate == Fate::Disappearing && elapsed >= DELETED_AFTER
    }

    /// Whether the service fails for it.
    pub(super) fn fails(&self, elapsed: Duration) -> bool {
        self.fate == Fate::Failing && elapsed.as_secs() % FAILING_CYCLE.as_secs() >= WORKS_FOR.as_secs()
    }

    /// `migration` or `sync`.
    pub(super) fn job_type(&self) -> &'static str {
        if self.follows_changes { "sync" } else { "migration" }
    }

    /// Whose costs it is, in the enterprise's view.
    pub(super) fn enterprise_project(&self) -> &'static str {
        self.enterprise_project
    }

    /// The state, as the API names it.
    pub(super) fn status(&self, elapsed: Duration) -> &'static str {
        match done(self.fate) {
            _ if self.fails(elapsed) => "FULL_TRANSFER_FAILED",
            Some(done) if elapsed >= done + RELEASED_AFTER => "RELEASE_RESOURCE_COMPLETE",
            Some(done) if elapsed >= done && self.follows_changes => "INCRE_TRANSFER_STARTED",
            Some(done) if elapsed >= done => "FULL_TRANSFER_COMPLETE",
            _ => "FULL_TRANSFER_STARTED",
        }
    }

    /// The job in the list of jobs.
    pub(super) fn listed(&self, epoch: Duration, elapsed: Duration) -> Value {
        let mut job = self.base_info();
        let children = self.children.iter().map(|child| child.listed(epoch, elapsed)).collect();
        job.extend(fields([
            ("id", json!(self.id)),
            ("status", json!(self.status(elapsed))),
            ("create_time", json!(self.create_time(epoch))),
            ("children", children),
        ]));
        Value::Object(job)
    }

    /// The job's details with its progress, as an average of its tables.
    pub(super) fn detail(&self, tables: u64, epoch: Duration, elapsed: Duration) -> Value {
        json!({
            "job": {
                "id": self.id,
                "status": self.status(elapsed),
                "create_time": self.create_time(epoch),
                "base_info": self.base_info(),
                "progress_info": self.progress_info(tables, elapsed),
            }
        })
    }

    fn base_info(&self) -> Map<String, Value> {
        let base_info = [
            ("name", json!(self.name)),
            ("job_type", json!(self.job_type())),
            ("engine_type", json!("mysql")),
            ("task_type", json!(self.task_type())),
            ("net_type", json!("vpn")),
            ("job_direction", json!("up")),
            ("enterprise_project_id", json!(self.enterprise_project)),
        ];
        fields(base_info).collect()
    }

    /// All strings: `-1` where a number does not apply; a disappearing job says nothing, and a synchronization `94%`.
    fn progress_info(&self, tables: u64, elapsed: Duration) -> Value {
        let status = self.status(elapsed);
        let percent = average(self, tables, elapsed);
        let left = done(self.fate).map(|done| done.saturating_sub(elapsed).as_secs().to_string());
        let not_applicable = || "-1".to_owned();
        let (progress, remaining_time) = match self.fate {
            Fate::Disappearing => (String::new(), String::new()),
            Fate::Failing if self.fails(elapsed) => (not_applicable(), not_applicable()),
            _ if self.follows_changes => (format!("{percent}%"), left.unwrap_or_else(not_applicable)),
            _ => (percent.to_string(), left.unwrap_or_else(not_applicable)),
        };
        let follows = self.follows_changes && matches!(status, "FULL_TRANSFER_STARTED" | "INCRE_TRANSFER_STARTED");
        let (delay, delay_millis) = if follows { ("3", "3214") } else { ("-1", "-1") };
        json!({
            "progress": progress,
            "incr_trans_delay": delay,
            "incr_trans_delay_millis": delay_millis,
            "task_mode": self.task_type(),
            "transfer_status": status,
            "remaining_time": remaining_time,
        })
    }

    fn task_type(&self) -> &'static str {
        if self.follows_changes { "FULL_INCR_TRANS" } else { "FULL_TRANS" }
    }

    fn create_time(&self, epoch: Duration) -> String {
        epoch.saturating_sub(self.age).as_millis().to_string()
    }
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> impl Iterator<Item = (String, Value)> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::objects::page;

    const EPOCH: Duration = Duration::from_secs(1_700_000_000);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_seventh_job_has_two_children_that_share_its_fate() {
        let jobs = Job::all(1, 14, None);
        let parents: Vec<usize> = (0..14).filter(|&place| !jobs[place].children.is_empty()).collect();
        assert_eq!(parents, [6, 13]);
        let parent = &jobs[6];
        let [one, other] = &parent.children[..] else { panic!("{:?}", parent.children) };
        assert_eq!((one.fate, other.fate), (parent.fate, parent.fate));
        assert_eq!((&one.name[..], &other.name[..]), ("prod-returns-0007-1", "prod-returns-0007-2"));
        let listed = parent.listed(EPOCH, seconds(1));
        assert_eq!(listed["children"][1]["id"], json!(other.id));
        assert_eq!(jobs[0].listed(EPOCH, seconds(1))["children"], json!([]));
    }

    #[test]
    fn a_status_follows_from_fate_and_time() {
        let jobs = Job::all(1, 9, None);
        let status = |index: usize, at| jobs[index].status(seconds(at));
        assert_eq!(status(0, 1797), "FULL_TRANSFER_STARTED");
        assert_eq!(status(1, 100_000), "FULL_TRANSFER_STARTED");
        assert_eq!([status(2, 19), status(2, 20)], ["FULL_TRANSFER_STARTED", "FULL_TRANSFER_FAILED"]);
        let sync = [status(3, 87), status(3, 88), status(3, 148)];
        assert_eq!(sync, ["FULL_TRANSFER_STARTED", "INCRE_TRANSFER_STARTED", "RELEASE_RESOURCE_COMPLETE"]);
        assert_eq!(status(8, 89), "FULL_TRANSFER_COMPLETE");
    }

    #[test]
    fn objects_that_stall_stand_for_ever_or_for_as_long_as_is_wanted() {
        let percents = |stands_for, at| -> Vec<u8> {
            let job = &Job::all(1, 2, stands_for)[1];
            let page = page(job, "table", 40, (40, 0), EPOCH, seconds(at));
            page.flow_compare_data.iter().map(|row| row.progress).collect()
        };
        let standing = |now: &[u8], then: &[u8]| now.iter().zip(then).filter(|(now, then)| now == then).count();
        let (begin, end) = (percents(None, 0), percents(None, 100_000));
        let stand = begin.iter().filter(|&&percent| percent > 0).count();
        assert_eq!(
            (standing(&begin, &end), end.iter().filter(|&&percent| percent == 100).count()),
            (stand, 40 - stand)
        );
        assert!(stand > 5);
        let wanted = Some(seconds(60));
        assert!(standing(&begin, &percents(wanted, 60)) >= stand);
        assert_eq!(percents(wanted, 100_000), [100; 40]);
    }

    #[test]
    fn progress_is_told_in_each_of_the_ways_that_the_cloud_has() {
        let jobs = Job::all(1, 5, None);
        let told = |index: usize, at| {
            let detail = jobs[index].detail(40, EPOCH, seconds(at));
            let info = &detail["job"]["progress_info"];
            let text = |key: &str| info[key].as_str().unwrap().to_owned();
            [text("progress"), text("incr_trans_delay"), text("incr_trans_delay_millis"), text("remaining_time")]
        };
        assert_eq!(told(0, 300)[1..], ["-1", "-1", "1498"]);
        assert!((1..100).contains(&told(0, 300)[0].parse::<u8>().unwrap()));
        assert!(told(1, 300)[0].ends_with('%'));
        assert_eq!(told(1, 300)[1..], ["3", "3214", "-1"]);
        assert_eq!(told(2, 30), ["-1", "-1", "-1", "-1"]);
        assert_eq!(told(3, 100), ["100%", "3", "3214", "0"]);
        assert_eq!(told(3, 200), ["100%", "-1", "-1", "0"]);
        assert_eq!(told(4, 30), ["", "-1", "-1", ""]);
    }
}
