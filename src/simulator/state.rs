//! The simulated world: what the API would answer at a time. Everything follows from the seed and the time, whatever was
//! asked before; only the quota and the faults remember how many requests there were.

use std::time::Duration;

use serde::Serialize;

use super::Config;

/// The API's object types, and of how many tables there is one such object.
const TYPES: [(&str, u64); 9] = [
    ("table", 1),
    ("event", 50),
    ("table_structure", 1),
    ("procedure", 20),
    ("view", 8),
    ("function", 20),
    ("database", 1000),
    ("trigger", 10),
    ("table_indexs", 1),
];

/// What objects are called.
const WORDS: [&str; 8] = ["orders", "customers", "invoices", "payments", "stock", "shipments", "returns", "audit"];

/// When the first object of a disappearing job is dropped, and how long after that each of the next.
const FIRST_DROP: Duration = Duration::from_secs(15);
const DROP_EVERY: Duration = Duration::from_secs(5);

/// When a disappearing job is deleted.
const DELETED_AFTER: Duration = Duration::from_secs(120);

/// A failing job works for a while, then fails for a while, and so on.
const FAILING_CYCLE: Duration = Duration::from_secs(60);
const WORKS_FOR: Duration = Duration::from_secs(20);

/// What becomes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its objects move, for half an hour.
    Moving,
    /// A third of its objects stand still on the way.
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

/// A request for one page of progress data, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `X-Auth-Token`.
    pub token: Option<&'a str>,
    /// From the path.
    pub project: &'a str,
    /// From the path.
    pub job: &'a str,
    /// From the path.
    pub object_type: &'a str,
    /// From the query.
    pub limit: Option<&'a str>,
    /// From the query.
    pub offset: Option<&'a str>,
}

/// A page of progress data.
#[derive(Debug, Serialize)]
pub struct Page {
    count: u64,
    create_time: String,
    flow_compare_data: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    src_db: String,
    src_tb: String,
    dst_db: String,
    dst_tb: String,
    progress: u8,
}

/// A request that is not answered with a page.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// Seconds for `Retry-After`.
    #[serde(skip)]
    pub retry_after: Option<u64>,
    error_code: &'static str,
    error_msg: String,
}

impl Refusal {
    fn new(status: u16, error_code: &'static str, error_msg: impl Into<String>) -> Self {
        Self { status, retry_after: None, error_code, error_msg: error_msg.into() }
    }
}

#[derive(Debug)]
struct Job {
    id: String,
    fate: Fate,
    seed: u64,
}

/// The simulated world.
#[derive(Debug)]
pub struct World {
    config: Config,
    epoch: Duration,
    jobs: Vec<Job>,
    /// The second that is counted, and the requests in it.
    second: (u64, u32),
    faults: fastrand::Rng,
}

impl World {
    /// A world whose time begins `epoch` after 1970.
    pub fn new(config: Config, epoch: Duration) -> Self {
        let jobs = Fate::ALL.into_iter().cycle().take(config.jobs).enumerate().map(|(index, fate)| {
            let seed = mixed(config.seed, index as u64);
            Job { id: format!("{}-{:08x}", fate.as_str(), seed >> 32), fate, seed }
        });
        Self { jobs: jobs.collect(), epoch, second: (0, 0), faults: fastrand::Rng::with_seed(config.seed), config }
    }

    /// The ids of all jobs, deleted or not.
    pub fn job_ids(&self) -> Vec<String> {
        self.jobs.iter().map(|job| job.id.clone()).collect()
    }

    /// What the API answers to a request, `elapsed` after the beginning.
    ///
    /// # Errors
    /// When the request is refused.
    pub fn progress_data(&mut self, request: &Request<'_>, elapsed: Duration) -> Result<Page, Refusal> {
        self.admit(elapsed)?;
        match request.token {
            None => return Err(Refusal::new(401, "APIGW.0301", "Incorrect IAM authentication information")),
            Some(token) if token != self.config.token => {
                return Err(Refusal::new(403, "DRS.M00100", "The token is invalid."));
            }
            Some(_) if request.project != self.config.project_id => {
                return Err(Refusal::new(403, "DRS.M00261", "The project ID is invalid."));
            }
            Some(_) => {}
        }
        let limit = number(request.limit, 10, 1..=1000, "limit")?;
        let offset = number(request.offset, 0, 0..=u64::MAX, "offset")?;
        let Some(&(object_type, tables_each)) = TYPES.iter().find(|(name, _)| *name == request.object_type) else {
            return Err(Refusal::new(400, "DRS.M00202", "The value of type is invalid."));
        };
        let Some(job) = self.jobs.iter().find(|job| job.id == request.job) else {
            return Err(Refusal::new(400, "DRS.M05003", "Task information not found."));
        };
        if job.fate == Fate::Disappearing && elapsed >= DELETED_AFTER {
            return Err(Refusal::new(400, "DRS.M05004", "The task has been deleted or its resources released."));
        }
        let in_cycle = elapsed.as_secs() % FAILING_CYCLE.as_secs();
        let fails = job.fate == Fate::Failing && in_cycle >= WORKS_FOR.as_secs();
        if fails || self.faults.u8(0..100) < self.config.fault_percent {
            return Err(Refusal::new(500, "DRS.M00004", "The service is abnormal. Try again later."));
        }
        Ok(page(job, object_type, self.config.objects / tables_each, limit, offset, self.epoch, elapsed))
    }

    /// Counts the request against the quota, by whole seconds as the gateway does.
    fn admit(&mut self, elapsed: Duration) -> Result<(), Refusal> {
        let Some(quota) = self.config.requests_per_second else { return Ok(()) };
        let (second, requests) = &mut self.second;
        if *second != elapsed.as_secs() {
            (*second, *requests) = (elapsed.as_secs(), 0);
        }
        *requests = requests.saturating_add(1);
        if *requests <= quota {
            return Ok(());
        }
        let message = format!(
            "The throttling threshold has been reached: policy user over ratelimit,limit:{quota},time:1 second"
        );
        Err(Refusal { retry_after: Some(1), ..Refusal::new(429, "APIGW.0308", message) })
    }
}

fn number(text: Option<&str>, default: u64, range: std::ops::RangeInclusive<u64>, name: &str) -> Result<u64, Refusal> {
    let Some(text) = text else { return Ok(default) };
    let value = text.parse().ok().filter(|value| range.contains(value));
    value.ok_or_else(|| Refusal::new(400, "DRS.M00202", format!("The value of {name} is invalid.")))
}

/// The data is made anew each second, so that all that is told of one second is the same.
fn page(
    job: &Job,
    object_type: &str,
    objects: u64,
    limit: u64,
    offset: u64,
    epoch: Duration,
    elapsed: Duration,
) -> Page {
    let now = Duration::from_secs(elapsed.as_secs());
    let dropped = match job.fate {
        Fate::Disappearing => dropped(now).min(objects),
        _ => 0,
    };
    let rows = (dropped.saturating_add(offset)..objects).take(usize::try_from(limit).unwrap_or(usize::MAX));
    Page {
        count: objects - dropped,
        create_time: (epoch + now).as_millis().to_string(),
        flow_compare_data: rows.map(|index| row(job, object_type, index, now)).collect(),
    }
}

/// How many objects of each type a disappearing job has lost.
fn dropped(now: Duration) -> u64 {
    match now.checked_sub(FIRST_DROP) {
        Some(since) => 1 + since.as_secs() / DROP_EVERY.as_secs(),
        None => 0,
    }
}

fn row(job: &Job, object_type: &str, index: u64, now: Duration) -> Row {
    let word = WORDS.into_iter().cycle().nth((index % WORDS.len() as u64) as usize).unwrap_or_default();
    let name = match object_type {
        "table" | "table_structure" => format!("{word}_{index:04}"),
        _ => format!("{word}_{index:04}_{object_type}"),
    };
    let seed = object_type.bytes().fold(mixed(job.seed, index), |seed, byte| mixed(seed, byte.into()));
    Row {
        src_db: "shop".to_owned(),
        src_tb: name.clone(),
        dst_db: "shop_cloud".to_owned(),
        dst_tb: name,
        progress: progress(job.fate, seed, now),
    }
}

/// How far an object is: it waits, moves at its own pace, and may stop on the way.
fn progress(fate: Fate, seed: u64, now: Duration) -> u8 {
    let mut chance = fastrand::Rng::with_seed(seed);
    let (waits, takes) = match fate {
        Fate::Finishing => (chance.u64(0..30), chance.u64(5..60)),
        _ => (chance.u64(0..300), chance.u64(60..1500)),
    };
    let moved = now.as_secs().saturating_sub(waits) * 100 / takes;
    let percent = u8::try_from(moved.min(100)).unwrap_or(100);
    if fate == Fate::Stalling && chance.u8(0..3) == 0 {
        // It had come some way before the world began, so that it is seen standing from the first second.
        return chance.u8(5..95);
    }
    percent
}

/// A number that follows from both and looks like neither.
fn mixed(seed: u64, number: u64) -> u64 {
    fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).u64(..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn world(config: Config) -> World {
        World::new(config, Duration::from_secs(1_700_000_000))
    }

    fn request<'a>(job: &'a str, object_type: &'a str) -> Request<'a> {
        Request {
            token: Some("simulated-token"),
            project: "simulated-project",
            job,
            object_type,
            limit: Some("1000"),
            offset: None,
        }
    }

    fn percents(world: &mut World, job: &str, at: Duration) -> Vec<u8> {
        let page = world.progress_data(&request(job, "table"), at).unwrap();
        page.flow_compare_data.iter().map(|row| row.progress).collect()
    }

    fn code(answer: Result<Page, Refusal>) -> (u16, &'static str) {
        let refusal = answer.unwrap_err();
        (refusal.status, refusal.error_code)
    }

    #[test]
    fn the_same_seed_gives_the_same_world() {
        let (mut one, mut two) = (world(Config::default()), world(Config::default()));
        let mut other = world(Config { seed: 2, ..Config::default() });
        let job = one.job_ids().remove(0);
        assert_eq!(one.job_ids(), two.job_ids());
        assert_ne!(one.job_ids(), other.job_ids());
        assert_eq!(percents(&mut one, &job, 100 * SECOND), percents(&mut two, &job, 100 * SECOND));
        let others = other.job_ids().remove(0);
        assert_ne!(percents(&mut one, &job, 100 * SECOND), percents(&mut other, &others, 100 * SECOND));
    }

    #[test]
    fn every_fate_is_what_it_says() {
        let mut world = world(Config::default());
        let ids = world.job_ids();
        let [moving, stalling, failing, finishing, disappearing] =
            ids.iter().map(String::as_str).collect::<Vec<_>>()[..]
        else {
            panic!("five jobs: {ids:?}")
        };
        let (early, late) = (percents(&mut world, moving, 10 * SECOND), percents(&mut world, moving, 300 * SECOND));
        assert!(early.iter().zip(&late).all(|(early, late)| early <= late) && early != late);

        let (early, late) = (percents(&mut world, stalling, SECOND), percents(&mut world, stalling, 3000 * SECOND));
        assert!(early.iter().zip(&late).any(|(early, late)| early == late && *late < 100), "{late:?}");
        assert!(late.contains(&100));

        assert!(world.progress_data(&request(failing, "table"), 19 * SECOND).is_ok());
        assert_eq!(code(world.progress_data(&request(failing, "table"), 20 * SECOND)), (500, "DRS.M00004"));
        assert!(world.progress_data(&request(failing, "table"), 60 * SECOND).is_ok());

        assert!(percents(&mut world, finishing, 90 * SECOND).iter().all(|&percent| percent == 100));

        assert_eq!(percents(&mut world, disappearing, 14 * SECOND).len(), 40);
        assert_eq!(percents(&mut world, disappearing, 20 * SECOND).len(), 38);
        assert_eq!(code(world.progress_data(&request(disappearing, "table"), 120 * SECOND)), (400, "DRS.M05004"));
    }

    #[test]
    fn pages_follow_one_another() {
        let mut world = world(Config { objects: 2_345, ..Config::default() });
        let job = world.job_ids().remove(0);
        let mut names = Vec::new();
        for offset in ["0", "1000", "2000", "3000"] {
            let request = Request { offset: Some(offset), ..request(&job, "table") };
            let page = world.progress_data(&request, SECOND).unwrap();
            assert_eq!(page.count, 2_345);
            names.extend(page.flow_compare_data.into_iter().map(|row| row.src_tb));
        }
        assert_eq!(names.len(), 2_345);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 2_345);
        let first = Request { limit: None, ..request(&job, "table") };
        assert_eq!(world.progress_data(&first, SECOND).unwrap().flow_compare_data.len(), 10);
    }

    #[test]
    fn what_is_wrong_is_refused_with_the_right_code() {
        let mut world = world(Config::default());
        let job = world.job_ids().remove(0);
        let good = request(&job, "table");
        let table = [
            (Request { token: None, ..good }, (401, "APIGW.0301")),
            (Request { token: Some("other"), ..good }, (403, "DRS.M00100")),
            (Request { project: "other", ..good }, (403, "DRS.M00261")),
            (Request { job: "other", ..good }, (400, "DRS.M05003")),
            (Request { object_type: "index", ..good }, (400, "DRS.M00202")),
            (Request { limit: Some("0"), ..good }, (400, "DRS.M00202")),
            (Request { limit: Some("1001"), ..good }, (400, "DRS.M00202")),
            (Request { offset: Some("-1"), ..good }, (400, "DRS.M00202")),
        ];
        for (request, expected) in table {
            assert_eq!(code(world.progress_data(&request, SECOND)), expected, "{request:?}");
        }
    }

    #[test]
    fn the_quota_is_by_the_second_and_faults_are_by_the_hundred() {
        let mut throttled = world(Config { requests_per_second: Some(2), ..Config::default() });
        let job = throttled.job_ids().remove(0);
        let mut ask = |at| throttled.progress_data(&request(&job, "table"), at);
        assert!(ask(SECOND).is_ok() && ask(SECOND).is_ok());
        assert_eq!(code(ask(SECOND)), (429, "APIGW.0308"));
        assert!(ask(2 * SECOND).is_ok());

        let mut faulty = world(Config { fault_percent: 30, ..Config::default() });
        let faults = (0..1_000).filter(|_| faulty.progress_data(&request(&job, "table"), SECOND).is_err()).count();
        assert!((250..350).contains(&faults), "{faults}");
    }
}
