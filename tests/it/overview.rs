//! What is told of a job as a whole: what it is called, its state, and the cloud's own view of its progress.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use crate::support::drs::{Drs, failure, whole};
use crate::support::exporter::Exporter;
use crate::support::project::{Project, job};
use crate::support::samples::Samples;
use crate::support::simulator::Simulator;
use crate::support::{PATIENCE, eventually, eventually_within};

/// What the cloud answers when it is asked for the view of a job, as it is now; clones share it.
#[derive(Clone, Default)]
struct Views(Arc<Mutex<HashMap<String, ResponseTemplate>>>);

impl Views {
    fn set(&self, job: &str, answer: ResponseTemplate) {
        self.0.lock().unwrap().insert(job.to_owned(), answer);
    }

    fn answer(&self, request: &Request) -> ResponseTemplate {
        let (path, job) = request.url.path().rsplit_once('/').unwrap();
        assert_eq!((path, request.url.query()), ("/v5/the-project/jobs", Some("type=progress")));
        self.0.lock().unwrap()[job].clone()
    }
}

fn view(progress_info: &Value) -> ResponseTemplate {
    let base_info =
        json!({"name": "of-the-cloud", "job_type": "sync", "engine_type": "mysql", "task_type": "FULL_TRANS"});
    let job = json!({"id": "j", "base_info": base_info, "progress_info": progress_info});
    ResponseTemplate::new(200).set_body_json(json!({"job": job}))
}

fn half_done(status: &str) -> ResponseTemplate {
    view(&json!({"progress": "50", "transfer_status": status}))
}

async fn drs_with(views: &Views) -> Drs {
    let views = views.clone();
    Drs::answering_all(|ask| whole(ask, 1), move |request| views.answer(request)).await
}

fn config(drs: &Drs, jobs: &[&str]) -> String {
    drs.config(jobs).replace("job_view: false", "job_view: true")
}

fn of(samples: &Samples, name: &str, job: &str) -> Option<f64> {
    samples.get(&format!(r#"{name}{{job="{job}"}}"#))
}

/// The states that a job is shown in.
fn status(samples: &Samples, job: &str) -> Vec<String> {
    let series = samples.beginning(&format!(r#"drs_job_status{{job="{job}","#));
    series.into_iter().map(|(series, _)| series.split('"').nth(3).unwrap().to_owned()).collect()
}

fn info(job: &str, name: &str) -> String {
    format!(
        r#"drs_job_info{{job="{job}",name="{name}",account="test",region="",job_type="sync",engine_type="mysql",task_type="FULL_TRANS"}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_is_told_where_there_is_something_to_tell() {
    let table = [
        (
            "strings",
            json!({"progress": "94%", "incr_trans_delay": "3", "incr_trans_delay_millis": "3250", "remaining_time": "754"}),
            [Some(94.0), Some(3.25), Some(754.0)],
        ),
        (
            "numbers",
            json!({"progress": 37.5, "incr_trans_delay": 2, "remaining_time": 0}),
            [Some(37.5), Some(2.0), Some(0.0)],
        ),
        (
            "nothing",
            json!({"progress": "-1", "incr_trans_delay": "-1", "incr_trans_delay_millis": "-1", "remaining_time": -1}),
            [None; 3],
        ),
        ("empty", json!({"progress": "", "incr_trans_delay": "", "remaining_time": ""}), [None; 3]),
        ("absent", json!({}), [None; 3]),
    ];
    let views = Views::default();
    for (job, info, _) in &table {
        let mut info = info.clone();
        info["transfer_status"] = "FULL_TRANSFER_STARTED".into();
        views.set(job, view(&info));
    }
    let drs = drs_with(&views).await;
    let jobs = table.each_ref().map(|(job, ..)| match *job {
        "numbers" => "{id: numbers, types: [table], name: of-the-file}".to_owned(),
        job => format!("{{id: {job}, types: [table]}}"),
    });
    let exporter = Exporter::start(&config(&drs, &jobs.each_ref().map(String::as_str))).await;
    for (job, _, expected) in table {
        let samples = exporter.until(job, |samples| !status(samples, job).is_empty()).await;
        let told = ["drs_job_progress", "drs_job_incremental_delay_seconds", "drs_job_remaining_seconds"]
            .map(|name| of(&samples, name, job));
        assert_eq!(told, expected, "{job}");
        assert_eq!(status(&samples, job), ["FULL_TRANSFER_STARTED"]);
        let name = if job == "numbers" { "of-the-file" } else { "of-the-cloud" };
        assert_eq!(samples.get(&info(job, name)), Some(1.0), "{:?}", samples.beginning("drs_job_info"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_in_one_state_and_the_newest_that_was_told() {
    let (views, project) = (Views::default(), Project::with([job("j", "sync")]));
    views.set("j", half_done("FULL_TRANSFER_STARTED"));
    let (script, pages) = (views.clone(), project.clone());
    let other = move |request: &Request| match request.url.path().ends_with("/jobs") {
        true => pages.page(request),
        false => script.answer(request),
    };
    let drs = Drs::answering_all(|ask| whole(ask, 1), other).await;
    // A list once an hour is believed for two, but a look each second is newer.
    let config =
        config(&drs, &["{id: j, types: [table]}"]).replace("    jobs:\n", "    discovery: {interval: 1h}\n    jobs:\n");
    let exporter = Exporter::start(&config).await;
    for state in ["FULL_TRANSFER_STARTED", "INCRE_TRANSFER_STARTED", "A_STATE_OF_TOMORROW"] {
        views.set("j", half_done(state));
        let shown = |samples: &Samples| {
            let states = status(samples, "j");
            assert!(states.len() <= 1, "{states:?}");
            states == [state]
        };
        exporter.until(state, shown).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_where_no_view_is_wanted() {
    let drs = Drs::answering_all(|ask| whole(ask, 1), |_| failure(400, "DRS.M00202")).await;
    let exporter = Exporter::start(&drs.config(&["{id: j, types: [table]}"])).await;
    let samples = exporter.polled("j", "table", "success", 3.0).await;
    assert_eq!(drs.others().len(), 0);
    assert_eq!(samples.beginning("drs_job_info{").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_is_not_to_be_had_goes_when_it_is_too_old_and_delays_no_listing() {
    let views = Views::default();
    views.set("j", half_done("FULL_TRANSFER_STARTED"));
    let drs = drs_with(&views).await;
    let config = config(&drs, &["{id: j, types: [table]}"])
        .replace("settled_interval: 1s", "settled_interval: 1s, stale_after: 6s");
    let exporter = Exporter::start(&config).await;
    exporter.until("a view", |samples| of(samples, "drs_job_progress", "j") == Some(50.0)).await;
    views.set("j", failure(400, "DRS.M00202"));
    let told = eventually("a word in the log", || async {
        exporter.log().lines().find(|line| line.contains("view of the job is not to be had")).map(str::to_owned)
    });
    let told = told.await;
    assert!(told.contains("level=warn") && told.contains("DRS.M00202"), "{told}");
    let samples = exporter.samples().await;
    assert_eq!(of(&samples, "drs_job_progress", "j"), Some(50.0), "kept for now");
    let gone = |samples: &Samples| of(samples, "drs_job_progress", "j").is_none() && status(samples, "j").is_empty();
    let later = exporter.until("the view to go", gone).await;
    assert_eq!(later.get(&info("j", "of-the-cloud")), Some(1.0), "what it is called does not become too old");
    let polls = later.polls("j", "table", "success");
    assert!(polls >= samples.polls("j", "table", "success") + 3.0, "{polls} polls, one a second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_gone_loses_its_view_at_once() {
    let views = Views::default();
    views.set("j", half_done("FULL_TRANSFER_STARTED"));
    let drs = drs_with(&views).await;
    let config = config(&drs, &["{id: j, types: [table]}"])
        .replace("settled_interval: 1s", "settled_interval: 1s, stale_after: 1h");
    let exporter = Exporter::start(&config).await;
    exporter.until("a view", |samples| of(samples, "drs_job_progress", "j") == Some(50.0)).await;
    views.set("j", failure(400, "DRS.M05004"));
    let gone = |samples: &Samples| of(samples, "drs_job_progress", "j").is_none() && status(samples, "j").is_empty();
    let samples = exporter.until("the view to go", gone).await;
    assert_eq!(samples.beginning(r#"drs_job_info{job="j","#).len(), 1);
    let asked = drs.others().len();
    exporter.polled("j", "table", "success", samples.polls("j", "table", "success") + 3.0).await;
    assert_eq!(drs.others().len(), asked, "a job that is gone is hardly asked for again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_does_not_come_holds_back_neither_listings_nor_what_the_lists_say() {
    let (views, project) = (Views::default(), Project::with([job("slow", "sync")]));
    views.set("slow", half_done("PAUSING").set_delay(Duration::from_secs(600)));
    views.set("other", half_done("PAUSING"));
    let (script, pages) = (views.clone(), project.clone());
    let other = move |request: &Request| match request.url.path().ends_with("/jobs") {
        true => pages.page(request),
        false => script.answer(request),
    };
    let drs = Drs::answering_all(|ask| whole(ask, 1), other).await;
    let config = config(&drs, &["{id: slow, types: [table]}", "{id: other, types: [table]}"])
        .replace("    jobs:\n", "    discovery: {interval: 1s}\n    jobs:\n")
        .replace("timeout: 2s", "timeout: 10m");
    let exporter = Exporter::start(&config).await;
    let asked =
        || async { drs.others().iter().any(|(_, request)| request.url.path().ends_with("/slow")).then_some(()) };
    eventually("a look at the slow job", asked).await;
    for job in ["slow", "other"] {
        let polls = exporter.samples().await.polls(job, "table", "success");
        exporter.polled(job, "table", "success", polls + 3.0).await;
    }
    project.set_status("slow", "INCRE_TRANSFER_STARTED");
    exporter
        .until("the state that the list has", |samples| status(samples, "slow") == ["INCRE_TRANSFER_STARTED"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_jobs_are_found_and_followed_to_their_end() {
    let simulator = Simulator::start(&["--jobs", "7"]).await;
    let jobs = simulator.jobs();
    let account = simulator.config.split_once("    jobs:\n").unwrap().0;
    let discovery =
        "    discovery: {interval: 1s, types: [table]}\npoll: {interval: 1s, settled_interval: 1s, stale_after: 5s}\n";
    let exporter = Exporter::start(&format!("{account}{discovery}")).await;
    assert_eq!(jobs.len(), 9, "the seventh has two children");
    let known = |samples: &Samples, job: &str| samples.beginning(&format!(r#"drs_job_info{{job="{job}","#)).len() == 1;
    let all = |samples: &Samples| jobs.iter().all(|job| known(samples, job) && samples.objects(job, "table") > 0);
    exporter.until("all jobs, and the children too", all).await;
    let moving = &jobs[0];
    exporter.until("a view", |samples| of(samples, "drs_job_remaining_seconds", moving).is_some()).await;

    // All is copied after a minute and a half, and a minute later the job is over.
    let finishing = jobs.iter().find(|job| job.starts_with("finishing")).unwrap();
    let states = Mutex::new(Vec::new());
    eventually_within(4 * PATIENCE, "the end of a job", || async {
        let samples = exporter.samples().await;
        let now = status(&samples, finishing);
        assert!(now.len() <= 1, "{now:?}");
        let mut states = states.lock().unwrap();
        states.extend(now);
        states.dedup();
        (!known(&samples, finishing) && known(&samples, moving)).then_some(())
    })
    .await;
    let states = states.into_inner().unwrap();
    assert!(
        states.starts_with(&["FULL_TRANSFER_STARTED".to_owned(), "INCRE_TRANSFER_STARTED".to_owned()]),
        "{states:?}"
    );
    let body = String::from_utf8(exporter.body("text/plain", "").await).unwrap();
    let over = jobs.iter().filter(|job| job.starts_with("finishing") || job.starts_with("disappearing"));
    assert!(over.into_iter().all(|job| !body.contains(&format!(r#"job="{job}""#))), "something lingers");
}
