//! The simulated world: what each service would answer at a time. What there is follows from the seed and the time, whatever
//! was asked before; only the quota, the faults, and the tokens and keys that were given out remember.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};

use super::iam::{Iam, LoggedIn};
use super::jobs::Job;
use super::objects::{self, Page, TYPES};
use super::refusal::Refusal;
use super::statistics::Statistics;
use super::{Config, Request};

/// Which page of what progress data, as it was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProgressData<'a> {
    pub(super) job: &'a str,
    pub(super) object_type: &'a str,
    pub(super) limit: Option<&'a str>,
    pub(super) offset: Option<&'a str>,
}

/// Which page of which jobs, as it was asked for. A filter that is empty or left out lets all through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Jobs<'a> {
    pub(super) job_type: Option<&'a str>,
    pub(super) status: Option<&'a str>,
    /// A part of the name, or an id.
    pub(super) name: Option<&'a str>,
    pub(super) enterprise_project_id: Option<&'a str>,
    pub(super) limit: Option<&'a str>,
    pub(super) offset: Option<&'a str>,
}

/// The simulated world.
#[derive(Debug)]
pub(super) struct World {
    config: Config,
    epoch: Duration,
    jobs: Vec<Job>,
    iam: Iam,
    statistics: Statistics,
    faults: fastrand::Rng,
}

impl World {
    /// A world whose time begins `epoch` after 1970.
    pub(super) fn new(config: Config, epoch: Duration) -> Self {
        Self {
            epoch,
            jobs: Job::all(config.seed, config.jobs, config.stands_for),
            iam: Iam::new(config.clone()),
            statistics: Statistics::default(),
            faults: fastrand::Rng::with_seed(config.seed),
            config,
        }
    }

    /// The ids of all jobs and their children, deleted or not.
    pub(super) fn job_ids(&self) -> Vec<String> {
        self.jobs.iter().flat_map(Job::family).map(|job| job.id.clone()).collect()
    }

    /// A page of the progress of a job's objects, `elapsed` after the beginning.
    pub(super) fn progress_data(
        &mut self,
        request: &Request,
        project: &str,
        asked: &ProgressData<'_>,
        elapsed: Duration,
    ) -> Result<Page, Refusal> {
        let elapsed = self.enter(request, project, elapsed)?;
        let page = page(asked.limit, asked.offset)?;
        let Some(&(object_type, tables_each)) = TYPES.iter().find(|(name, _)| *name == asked.object_type) else {
            return Err(invalid("type"));
        };
        let job = self.job(asked.job, elapsed)?;
        if job.fails(elapsed) {
            return Err(abnormal());
        }
        Ok(objects::page(job, object_type, self.config.objects / tables_each, page, self.epoch, elapsed))
    }

    /// A page of the jobs that are still there, the newest first.
    pub(super) fn jobs(
        &mut self,
        request: &Request,
        project: &str,
        asked: &Jobs<'_>,
        elapsed: Duration,
    ) -> Result<Value, Refusal> {
        let elapsed = self.enter(request, project, elapsed)?;
        let (limit, offset) = page(asked.limit, asked.offset)?;
        let wanted = |filter: Option<&str>, is: &str| filter.is_none_or(|filter| filter.is_empty() || filter == is);
        let matching = |job: &&Job| {
            !job.deleted(elapsed)
                && wanted(asked.job_type, job.job_type())
                && wanted(asked.status, job.status(elapsed))
                && wanted(asked.enterprise_project_id, job.enterprise_project())
                && asked.name.is_none_or(|name| job.name.contains(name) || job.id == name)
        };
        let jobs: Vec<&Job> = self.jobs.iter().filter(matching).collect();
        let (limit, offset) = (usize::try_from(limit), usize::try_from(offset));
        let listed = jobs.iter().skip(offset.unwrap_or(usize::MAX)).take(limit.unwrap_or(usize::MAX));
        let listed: Vec<Value> = listed.map(|job| job.listed(self.epoch, elapsed)).collect();
        Ok(json!({"total_count": jobs.len(), "jobs": listed}))
    }

    /// The details of a job; there are only those of the type `progress`.
    pub(super) fn job_detail(
        &mut self,
        request: &Request,
        (project, job): (&str, &str),
        detail_type: Option<&str>,
        elapsed: Duration,
    ) -> Result<Value, Refusal> {
        let elapsed = self.enter(request, project, elapsed)?;
        if detail_type != Some("progress") {
            return Err(invalid("type"));
        }
        let job = self.job(job, elapsed)?;
        Ok(job.detail(self.config.objects, self.epoch, elapsed))
    }

    /// A log-in with a password.
    pub(super) fn log_in(&mut self, request: &Request, elapsed: Duration) -> Result<LoggedIn, Refusal> {
        let answer = self.iam.log_in(request.body(), self.epoch + elapsed);
        match &answer {
            Ok(_) => self.statistics.log_in(elapsed),
            Err(refusal) if refusal.status == 400 => {}
            Err(_) => self.statistics.authentication_failure(elapsed),
        }
        answer
    }

    /// The projects of this name.
    pub(super) fn projects(
        &mut self,
        request: &Request,
        name: Option<&str>,
        elapsed: Duration,
    ) -> Result<Value, Refusal> {
        if let Err(stranger) = self.iam.authenticate(request, self.epoch + elapsed) {
            self.statistics.authentication_failure(elapsed);
            return Err(stranger.to_iam());
        }
        Ok(self.iam.projects(name))
    }

    /// A token of the metadata service.
    pub(super) fn metadata_token(&mut self, request: &Request, elapsed: Duration) -> Result<String, Refusal> {
        self.iam.metadata_token(request, self.epoch + elapsed)
    }

    /// New temporary keys from the metadata service.
    pub(super) fn security_key(&mut self, request: &Request, elapsed: Duration) -> Result<Value, Refusal> {
        self.iam.security_key(request, self.epoch + elapsed)
    }

    /// What happened so far.
    pub(super) fn statistics(&mut self, elapsed: Duration) -> Statistics {
        self.statistics.report(elapsed)
    }

    /// What each request to DRS must pass: the quota, who it is from, the project, and the faults. Gives the time at which it sees the
    /// jobs, which stand still in a frozen world, while whoever asks goes on.
    fn enter(&mut self, request: &Request, project: &str, elapsed: Duration) -> Result<Duration, Refusal> {
        if !self.statistics.request(elapsed, self.config.requests_per_second) {
            let quota = self.config.requests_per_second.unwrap_or_default();
            let message = format!(
                "The throttling threshold has been reached: policy user over ratelimit,limit:{quota},time:1 second"
            );
            return Err(Refusal { retry_after: Some(1), ..Refusal::drs(429, "APIGW.0308", message) });
        }
        if let Err(stranger) = self.iam.authenticate(request, self.epoch + elapsed) {
            self.statistics.authentication_failure(elapsed);
            return Err(stranger.to_drs());
        }
        if project != self.config.project_id {
            return Err(Refusal::drs(403, "DRS.M00261", "The project ID is invalid."));
        }
        if self.faults.u8(0..100) < self.config.fault_percent {
            return Err(abnormal());
        }
        Ok(self.config.frozen_at.unwrap_or(elapsed))
    }

    fn job(&self, id: &str, elapsed: Duration) -> Result<&Job, Refusal> {
        match self.jobs.iter().flat_map(Job::family).find(|job| job.id == id) {
            None => Err(Refusal::drs(400, "DRS.M05003", "Task information not found.")),
            Some(job) if job.deleted(elapsed) => {
                Err(Refusal::drs(400, "DRS.M05004", "The task has been deleted or its resources released."))
            }
            Some(job) => Ok(job),
        }
    }
}

/// Limit and offset.
fn page(limit: Option<&str>, offset: Option<&str>) -> Result<(u64, u64), Refusal> {
    Ok((number(limit, 10, 1..=1000, "limit")?, number(offset, 0, 0..=u64::MAX, "offset")?))
}

fn number(text: Option<&str>, default: u64, range: RangeInclusive<u64>, name: &str) -> Result<u64, Refusal> {
    let Some(text) = text else { return Ok(default) };
    text.parse().ok().filter(|value| range.contains(value)).ok_or_else(|| invalid(name))
}

fn invalid(name: &str) -> Refusal {
    Refusal::drs(400, "DRS.M00202", format!("The value of {name} is invalid."))
}

fn abnormal() -> Refusal {
    Refusal::drs(500, "DRS.M00004", "The service is abnormal. Try again later.")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PROJECT: &str = "simulated-project";

    fn world(config: Config) -> World {
        World::new(config, Duration::from_secs(1_700_000_000))
    }

    fn with_token(token: &str) -> Request {
        axum::http::Request::get("/").header("x-auth-token", token).body(Bytes::new()).unwrap()
    }

    fn first_page<'a>(job: &'a str, object_type: &'a str) -> ProgressData<'a> {
        ProgressData { job, object_type, limit: Some("1000"), offset: None }
    }

    fn ask(world: &mut World, asked: &ProgressData<'_>, at: Duration) -> Result<Page, Refusal> {
        world.progress_data(&with_token("simulated-token"), PROJECT, asked, at)
    }

    fn list(world: &mut World, asked: &Jobs<'_>, at: Duration) -> (u64, Vec<Value>) {
        let list = world.jobs(&with_token("simulated-token"), PROJECT, asked, at).unwrap();
        (list["total_count"].as_u64().unwrap(), list["jobs"].as_array().unwrap().clone())
    }

    fn percents(world: &mut World, job: &str, at: Duration) -> Vec<u8> {
        let page = ask(world, &first_page(job, "table"), at).unwrap();
        page.flow_compare_data.iter().map(|row| row.progress).collect()
    }

    #[test]
    fn a_seed_makes_a_world() {
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
        assert!(percents(&mut world, moving, 1798 * SECOND).iter().all(|&percent| percent == 100));

        let (early, late) = (percents(&mut world, stalling, SECOND), percents(&mut world, stalling, 3000 * SECOND));
        assert!(early.iter().zip(&late).any(|(early, late)| early == late && *late < 100), "{late:?}");
        assert!(late.contains(&100));

        let failing = first_page(failing, "table");
        assert!(ask(&mut world, &failing, 19 * SECOND).is_ok());
        assert_eq!(ask(&mut world, &failing, 20 * SECOND).unwrap_err().code(), (500, "DRS.M00004"));
        assert!(ask(&mut world, &failing, 60 * SECOND).is_ok());

        assert!(percents(&mut world, finishing, 88 * SECOND).iter().all(|&percent| percent == 100));

        assert_eq!(percents(&mut world, disappearing, 14 * SECOND).len(), 40);
        assert_eq!(percents(&mut world, disappearing, 20 * SECOND).len(), 38);
        let disappearing = first_page(disappearing, "table");
        assert_eq!(ask(&mut world, &disappearing, 120 * SECOND).unwrap_err().code(), (400, "DRS.M05004"));
    }

    #[test]
    fn pages_follow_one_another() {
        let mut world = world(Config { objects: 2_345, ..Config::default() });
        let job = world.job_ids().remove(0);
        let mut names = Vec::new();
        for offset in ["0", "1000", "2000", "3000"] {
            let asked = ProgressData { offset: Some(offset), ..first_page(&job, "table") };
            let page = ask(&mut world, &asked, SECOND).unwrap();
            assert_eq!(page.count, 2_345);
            names.extend(page.flow_compare_data.into_iter().map(|row| row.src_tb));
        }
        assert_eq!(names.len(), 2_345);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 2_345);
        let first = ProgressData { limit: None, ..first_page(&job, "table") };
        assert_eq!(ask(&mut world, &first, SECOND).unwrap().flow_compare_data.len(), 10);
    }

    #[test]
    fn jobs_are_listed_by_rows_the_newest_first_until_they_are_deleted() {
        let mut world = world(Config { jobs: 25, ..Config::default() });
        assert_eq!(world.job_ids().len(), 31, "three of them have two children each");
        let mut ids = Vec::new();
        let mut times = Vec::new();
        for offset in ["0", "10", "20", "30"] {
            let asked = Jobs { limit: Some("10"), offset: Some(offset), ..Jobs::default() };
            let (total, jobs) = list(&mut world, &asked, SECOND);
            assert_eq!(total, 25);
            ids.extend(jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()));
            times.extend(jobs.iter().map(|job| job["create_time"].as_str().unwrap().parse::<u64>().unwrap()));
        }
        assert_eq!(ids.len(), 25);
        assert!(times.is_sorted_by(|newer, older| newer > older));
        assert!(ids.iter().all(|id| world.job_ids().contains(id)));
        let (total, _) = list(&mut world, &Jobs::default(), 119 * SECOND);
        let (left, jobs) = list(&mut world, &Jobs { limit: Some("1000"), ..Jobs::default() }, 120 * SECOND);
        assert_eq!((total, left), (25, 20));
        assert!(jobs.iter().all(|job| !job["id"].as_str().unwrap().starts_with("disappearing")));
    }

    #[test]
    fn the_list_can_be_filtered() {
        let mut world = world(Config { jobs: 25, ..Config::default() });
        let mut count = |asked: Jobs<'_>| list(&mut world, &asked, 100 * SECOND).0;
        assert_eq!(count(Jobs { job_type: Some("migration"), ..Jobs::default() }), 13);
        assert_eq!(count(Jobs { job_type: Some("sync"), ..Jobs::default() }), 12);
        assert_eq!(count(Jobs { job_type: Some("cloudDataGuard"), ..Jobs::default() }), 0);
        assert_eq!(count(Jobs { job_type: Some(""), name: Some(""), ..Jobs::default() }), 25);
        assert_eq!(count(Jobs { status: Some("FULL_TRANSFER_FAILED"), ..Jobs::default() }), 5);
        assert_eq!(count(Jobs { name: Some("test-"), ..Jobs::default() }), 8);
        assert_eq!(count(Jobs { name: Some("moving-a833bdcd"), ..Jobs::default() }), 1);
        assert_eq!(count(Jobs { enterprise_project_id: Some("0"), ..Jobs::default() }), 19);
    }

    #[test]
    fn a_child_is_a_job_of_its_own_and_not_at_the_top() {
        let mut world = world(Config { jobs: 7, ..Config::default() });
        let (total, jobs) = list(&mut world, &Jobs::default(), SECOND);
        assert_eq!(total, 7);
        let child = jobs[6]["children"][1]["id"].as_str().unwrap();
        assert!(jobs.iter().all(|job| job["id"] != child));
        let (child_at, parent_at) =
            (percents(&mut world, child, SECOND), percents(&mut world, jobs[6]["id"].as_str().unwrap(), SECOND));
        assert_ne!(child_at, parent_at);
        let request = with_token("simulated-token");
        let detail = world.job_detail(&request, (PROJECT, child), Some("progress"), SECOND).unwrap();
        assert_eq!(detail["job"]["id"], child);
        assert_eq!(detail["job"]["base_info"]["name"], jobs[6]["children"][1]["name"]);
    }

    #[test]
    fn what_is_wrong_is_refused_with_the_right_code() {
        let mut world = world(Config::default());
        let ids = world.job_ids();
        let good = first_page(&ids[0], "table");
        for (asked, expected) in [
            (ProgressData { job: "other", ..good }, (400, "DRS.M05003")),
            (ProgressData { object_type: "index", ..good }, (400, "DRS.M00202")),
            (ProgressData { limit: Some("0"), ..good }, (400, "DRS.M00202")),
            (ProgressData { limit: Some("1001"), ..good }, (400, "DRS.M00202")),
            (ProgressData { offset: Some("-1"), ..good }, (400, "DRS.M00202")),
        ] {
            assert_eq!(ask(&mut world, &asked, SECOND).unwrap_err().code(), expected, "{asked:?}");
        }
        let nobody = axum::http::Request::get("/").body(Bytes::new()).unwrap();
        let known = with_token("simulated-token");
        for (request, project, expected) in [
            (&nobody, PROJECT, (401, "APIGW.0301")),
            (&with_token("other"), PROJECT, (403, "DRS.M00100")),
            (&known, "other", (403, "DRS.M00261")),
        ] {
            assert_eq!(world.progress_data(request, project, &good, SECOND).unwrap_err().code(), expected);
            assert_eq!(world.jobs(request, project, &Jobs::default(), SECOND).unwrap_err().code(), expected);
            let detail = world.job_detail(request, (project, &ids[0]), Some("progress"), SECOND);
            assert_eq!(detail.unwrap_err().code(), expected);
        }
        let detail = |world: &mut World, job: &str, detail_type, at| {
            world.job_detail(&known, (PROJECT, job), detail_type, at).unwrap_err().code().1.to_owned()
        };
        assert_eq!(detail(&mut world, &ids[0], Some("log"), SECOND), "DRS.M00202");
        assert_eq!(detail(&mut world, &ids[0], None, SECOND), "DRS.M00202");
        assert_eq!(detail(&mut world, "other", Some("progress"), SECOND), "DRS.M05003");
        assert_eq!(detail(&mut world, &ids[4], Some("progress"), 120 * SECOND), "DRS.M05004");
        let statistics = serde_json::to_value(world.statistics(SECOND)).unwrap();
        assert_eq!(statistics["authentication_failures"], json!([1000, 1000, 1000, 1000, 1000, 1000]));
    }

    #[test]
    fn the_quota_is_by_the_second_over_all_calls_and_faults_are_by_the_hundred() {
        let mut throttled = world(Config { requests_per_second: Some(2), ..Config::default() });
        let ids = throttled.job_ids();
        let asked = first_page(&ids[0], "table");
        assert!(ask(&mut throttled, &asked, SECOND).is_ok());
        list(&mut throttled, &Jobs::default(), SECOND);
        let refusal = ask(&mut throttled, &asked, SECOND).unwrap_err();
        assert_eq!((refusal.code(), refusal.retry_after), ((429, "APIGW.0308"), Some(1)));
        let detail = throttled.job_detail(&with_token("simulated-token"), (PROJECT, &ids[0]), Some("progress"), SECOND);
        assert_eq!(detail.unwrap_err().status, 429);
        assert!(throttled.projects(&with_token("simulated-token"), None, SECOND).is_ok());
        assert!(ask(&mut throttled, &asked, 2 * SECOND).is_ok());
        let statistics = serde_json::to_value(throttled.statistics(2 * SECOND)).unwrap();
        assert_eq!(statistics["seconds"][1], json!({"requests": 4, "refused": 2}));

        let mut faulty = world(Config { fault_percent: 30, ..Config::default() });
        let faults = (0..1_000).filter(|_| ask(&mut faulty, &asked, SECOND).is_err()).count();
        assert!((250..350).contains(&faults), "{faults}");
    }
}
