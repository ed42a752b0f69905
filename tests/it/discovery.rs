//! Which jobs are followed: those that the cloud lists and the filters take, as they come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::support::drs::{Drs, page, row, whole};
use crate::support::eventually;
use crate::support::exporter::Exporter;
use crate::support::project::{Fault, Project, job};
use crate::support::samples::Samples;

const SUCCESS: &str = r#"drs_discovery_success{account="test"}"#;
const LAST_SUCCESS: &str = r#"drs_discovery_last_success_timestamp_seconds{account="test"}"#;

/// A DRS with this project, whose jobs have one object each.
async fn drs_with(project: &Project) -> Drs {
    let project = project.clone();
    Drs::answering_all(|ask| whole(ask, 1), move |request| project.page(request)).await
}

/// A configuration that looks for jobs, beside those that it names.
fn config(drs: &Drs, jobs: &[&str], discovery: &str) -> String {
    drs.config(jobs).replace("    jobs:\n", &format!("    discovery: {{{discovery}}}\n    jobs:\n"))
}

/// The whole body, in which a job that is not followed is not named.
async fn body(exporter: &Exporter) -> String {
    String::from_utf8(exporter.body("text/plain", "").await).unwrap()
}

fn names(body: &str, job: &str) -> bool {
    body.contains(&format!(r#"job="{job}""#))
}

/// How many lists were begun.
fn lists(drs: &Drs) -> usize {
    let begin = |query: &str| query.contains("job_type=migration") && query.contains("offset=0");
    drs.others().iter().filter(|(_, request)| request.url.query().is_some_and(begin)).count()
}

async fn two_lists_more(drs: &Drs) {
    let before = lists(drs);
    // The second one is asked for after the first was taken in.
    eventually("two lists more", || async { (lists(drs) >= before + 2).then_some(()) }).await;
}

fn status(samples: &Samples, job: &str) -> Vec<String> {
    let series = samples.beginning(&format!(r#"drs_job_status{{job="{job}","#));
    series.into_iter().map(|(series, _)| series.split('"').nth(3).unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_a_large_project_come_and_go_with_its_lists() {
    let first = (0..1200).map(|n| job(&format!("j{n:04}"), if n < 700 { "migration" } else { "sync" }));
    let project = Project::with(first);
    let drs = drs_with(&project).await;
    let config =
        config(&drs, &[], "interval: 10s, types: [table]").replace("poll: {interval: 1s", "poll: {interval: 20s");
    let exporter = Exporter::start(&config).await;
    let all = |samples: &Samples| {
        ["drs_job_info{", "drs_job_status{", "drs_objects{", "drs_object_progress{"]
            .iter()
            .all(|name| samples.beginning(name).len() == 1200)
    };
    exporter.until("all 1,200 jobs", all).await;
    let pages = drs.others().into_iter().map(|(_, request)| request.url.query().unwrap().to_owned());
    let asked = (0..7).map(|page| ("migration", page)).chain((0..5).map(|page| ("sync", page)));
    let asked = asked.map(|(job_type, page)| format!("job_type={job_type}&offset={}&limit=100", page * 100));
    assert_eq!(pages.collect::<BTreeSet<_>>(), asked.collect());

    let mut left = Vec::new();
    for round in 0..3 {
        let (new, ended, vanished) = (format!("new{round}"), format!("j{round:04}"), format!("j{:04}", 1000 + round));
        project.add(job(&new, "sync"));
        project.set_status(&ended, "RELEASE_RESOURCE_COMPLETE");
        project.remove(&vanished);
        let lists =
            || drs.others().iter().filter(|(_, ask)| ask.url.query().unwrap().contains("sync&offset=0&")).count();
        let before = lists();
        eventually("what changed", || async {
            let body = body(&exporter).await;
            let polled = body.contains(&format!(r#"drs_object_progress{{job="{new}""#));
            (polled && !names(&body, &ended) && !names(&body, &vanished)).then_some(())
        })
        .await;
        // One that was being read may have missed it; the next one has it, and all is seen before there is another.
        let lists = lists() - before;
        assert!(lists <= 2, "{lists} lists until it was seen");
        left.extend([ended, vanished]);
    }

    let asked = || left.iter().map(|job| drs.asked(job).len()).collect::<Vec<_>>();
    let before = asked();
    let polls = exporter.samples().await.polls("j0500", "table", "success");
    exporter.polled("j0500", "table", "success", polls + 2.0).await;
    assert_eq!(asked(), before, "asked for after they had left");
    let body = body(&exporter).await;
    assert!(left.iter().all(|job| !names(&body, job)), "something lingers of {left:?}");
    assert_eq!(Samples::parse(&body).beginning("drs_job_info{").len(), 1197);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_filters_take_is_followed() {
    let named = |id: &str, name: &str, status: &str| {
        let mut job = job(id, "sync");
        (job["name"], job["status"]) = (name.into(), status.into());
        job
    };
    let project = Project::with([
        named("taken", "prod-orders", "FULL_TRANSFER_STARTED"),
        named("paused", "prod-events", "PAUSING"),
        named("other-state", "prod-views", "INCRE_TRANSFER_STARTED"),
        named("other-name", "orders-prod-", "PAUSING"),
        named("excluded", "prod-test-orders", "PAUSING"),
        job("other-type", "migration"),
    ]);
    let drs = drs_with(&project).await;
    let filters = r#"interval: 1s, types: [view], job_types: [sync, cloudDataGuard], statuses: [FULL_TRANSFER_STARTED, PAUSING],
      include: "^prod-", exclude: test, enterprise_project_id: the-enterprise"#;
    let exporter = Exporter::start(&config(&drs, &[], filters)).await;
    exporter.polled("taken", "view", "success", 3.0).await;
    exporter.polled("paused", "view", "success", 3.0).await;
    let followed = body(&exporter).await;
    for job in ["other-state", "other-name", "excluded", "other-type"] {
        assert!(!names(&followed, job) && drs.asked(job).is_empty(), "{job}");
    }
    assert!(drs.all_asked().iter().all(|ask| ask.object_type == "view"));
    let queries: BTreeSet<String> =
        drs.others().iter().map(|(_, request)| request.url.query().unwrap().to_owned()).collect();
    let query = |job_type| format!("job_type={job_type}&enterprise_project_id=the-enterprise&offset=0&limit=100");
    assert_eq!(queries, BTreeSet::from(["sync", "cloudDataGuard"].map(query)));

    project.set_status("paused", "INCRE_TRANSFER_STARTED");
    eventually("a job in another state to go", || async { (!names(&body(&exporter).await, "paused")).then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn children_are_jobs_of_their_own_that_do_what_their_parent_does() {
    let mut parent = job("parent", "sync");
    parent["children"] = json!([
        {"id": "one", "name": "orders-1", "status": "CHILD_TRANSFER_STARTED"},
        {"id": "two", "task_type": "INCR_TRANS", "status": "RELEASE_CHILD_TRANSFER_COMPLETE"},
        {"id": "three", "task_type": "INCR_TRANS"},
    ]);
    let project = Project::with([parent]);
    let drs = drs_with(&project).await;
    let exporter = Exporter::start(&config(&drs, &[], "interval: 1s, types: [table]")).await;
    for job in ["parent", "one", "three"] {
        exporter.polled(job, "table", "success", 1.0).await;
    }
    let info = |job, name, task| {
        format!(
            r#"drs_job_info{{job="{job}",name="{name}",account="test",region="",job_type="sync",engine_type="mysql",task_type="{task}"}}"#
        )
    };
    let samples = exporter.samples().await;
    let infos: Vec<String> =
        samples.beginning("drs_job_info{").into_iter().map(|(series, _)| series.to_owned()).collect();
    let expected = [
        info("one", "orders-1", "FULL_TRANS"),
        info("parent", "name-of-parent", "FULL_TRANS"),
        info("three", "", "INCR_TRANS"),
    ];
    assert_eq!(infos, expected, "and the child that is over is not followed");
    assert_eq!(status(&samples, "one"), ["CHILD_TRANSFER_STARTED"]);
    project.remove("parent");
    eventually("the children to go", || async {
        let body = body(&exporter).await;
        ["parent", "one", "three"].iter().all(|job| !names(&body, job)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_listed_by_hand_keep_their_settings_and_no_list_ends_them() {
    let project = Project::with([job("named", "migration"), job("over", "migration"), job("found", "migration")]);
    project.set_status("over", "RELEASE_RESOURCE_COMPLETE");
    let drs = drs_with(&project).await;
    let by_hand = [
        "{id: named, name: orders, types: [view], interval: 1s}",
        "{id: over, types: [table], interval: 1s}",
        "{id: unlisted, types: [table], interval: 1s}",
    ];
    let config =
        config(&drs, &by_hand, "interval: 1s, types: [event]").replace("poll: {interval: 1s", "poll: {interval: 1h");
    let exporter = Exporter::start(&config).await;
    exporter
        .until("the job that is found", |samples| !samples.beginning(r#"drs_job_info{job="found""#).is_empty())
        .await;
    two_lists_more(&drs).await;
    for (job, object_type) in [("named", "view"), ("over", "table"), ("unlisted", "table")] {
        let polls = exporter.samples().await.polls(job, object_type, "success");
        exporter.polled(job, object_type, "success", polls + 2.0).await;
        assert!(drs.asked(job).iter().all(|ask| ask.object_type == object_type), "{job}");
    }
    let samples = exporter.samples().await;
    assert_eq!(status(&samples, "named"), ["FULL_TRANSFER_STARTED"]);
    assert_eq!(status(&samples, "over"), ["RELEASE_RESOURCE_COMPLETE"]);
    assert_eq!(status(&samples, "unlisted"), [""; 0]);
    assert_eq!(samples.beginning(r#"drs_job_info{job="named",name="orders","#).len(), 1);
    assert_eq!(samples.beginning(r#"drs_job_info{job="over",name="name-of-over","#).len(), 1);
    assert!(drs.asked("found").is_empty(), "the interval is the one that holds for all");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_the_known_jobs_are_followed_on() {
    let project = Project::with([job("j", "migration")]);
    let drs = drs_with(&project).await;
    let exporter = Exporter::start(&config(&drs, &[], "interval: 1s, types: [table]")).await;
    exporter.polled("j", "table", "success", 1.0).await;
    project.set_fault(Fault::Fails);
    let failed = exporter.until("a list that fails", |samples| samples.get(SUCCESS) == Some(0.0)).await;
    two_lists_more(&drs).await;
    let later = exporter.polled("j", "table", "success", failed.polls("j", "table", "success") + 2.0).await;
    assert_eq!((later.get(SUCCESS), later.get(LAST_SUCCESS)), (Some(0.0), failed.get(LAST_SUCCESS)));
    let log = exporter.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("no whole list of the jobs")).collect();
    assert!(told.len() == 1 && told[0].contains("level=warn") && told[0].contains("DRS.M00202"), "{told:#?}");
    project.set_fault(Fault::None);
    let again = exporter.until("a list", |samples| samples.get(SUCCESS) == Some(1.0)).await;
    assert!(again.get(LAST_SUCCESS) > failed.get(LAST_SUCCESS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_does_not_add_up_ends_nobody_and_shows_all_that_it_has() {
    let project = Project::with((0..120).map(|n| job(&format!("j{n:03}"), "migration")));
    let drs = drs_with(&project).await;
    let config =
        config(&drs, &[], "interval: 1s, types: [table]").replace("poll: {interval: 1s", "poll: {interval: 3s");
    let exporter = Exporter::start(&config).await;
    exporter.until("all jobs", |samples| samples.beginning("drs_job_info{").len() == 120).await;
    for fault in [Fault::KeepsChanging, Fault::TooMany, Fault::TooFew, Fault::Malformed, Fault::NoId] {
        project.set_fault(fault);
        project.remove("j000");
        let new = format!("new-{fault:?}");
        project.add(job(&new, "migration"));
        // It stands on the second page.
        exporter.until(&new, |samples| samples.objects(&new, "table") == 1).await;
        two_lists_more(&drs).await;
        assert!(names(&body(&exporter).await, "j000"), "{fault:?} ended a job");
        assert_eq!(exporter.samples().await.get(SUCCESS), Some(1.0), "{fault:?}");
        project.set_fault(Fault::None);
        eventually("the job to go", || async { (!names(&body(&exporter).await, "j000")).then_some(()) }).await;
        project.add(job("j000", "migration"));
        exporter.until("the job again", |samples| samples.objects("j000", "table") == 1).await;
    }
    let told = exporter
        .log()
        .lines()
        .filter(|line| line.contains("level=warn") && line.contains("the list kept changing"))
        .count();
    assert_eq!(told, 5, "once for each fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_no_list_confirms_goes_after_two_intervals() {
    let project = Project::with([job("j", "migration")]);
    let drs = drs_with(&project).await;
    let config = config(&drs, &[], "interval: 2s, types: [table], job_types: [migration]");
    let config = config.replace("settled_interval: 1s", "settled_interval: 1s, stale_after: 1s");
    let exporter = Exporter::start(&config).await;
    exporter.until("its state", |samples| status(samples, "j") == ["FULL_TRANSFER_STARTED"]).await;
    project.set_fault(Fault::Fails);
    let confirmed = drs.others().last().unwrap().0;
    let samples = exporter.until("the state to go", |samples| status(samples, "j").is_empty()).await;
    assert!(confirmed.elapsed() >= Duration::from_secs(3), "longer than an interval, and than `stale_after`");
    assert_eq!(samples.beginning(r#"drs_job_info{job="j",name="name-of-j""#).len(), 1);
    exporter.polled("j", "table", "success", samples.polls("j", "table", "success") + 1.0).await;
    project.set_fault(Fault::None);
    project.set_status("j", "INCRE_TRANSFER_STARTED");
    exporter.until("its new state", |samples| status(samples, "j") == ["INCRE_TRANSFER_STARTED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_two_accounts_list_is_followed_once() {
    let (one, other) =
        (Project::with([job("shared", "sync")]), Project::with([job("shared", "sync"), job("own", "sync")]));
    let projects = [one.clone(), other.clone()];
    let drs = Drs::answering_all(
        |ask| whole(ask, 1),
        move |request| projects[usize::from(request.url.path().contains("/other-project/"))].page(request),
    )
    .await;
    let config = config(&drs, &["{id: own-of-one, types: [table]}"], "interval: 1s, types: [table]");
    let (head, poll) = config.split_once("poll:").unwrap();
    let second =
        head.replace("accounts:\n", "").replace("the-project", "other-project").replace("own-of-one", "own-of-other");
    let exporter = Exporter::start(&format!("{head}{}poll:{poll}", second.replace("name: test", "name: other"))).await;
    exporter.polled("own", "table", "success", 3.0).await;
    let samples = exporter.polled("shared", "table", "success", 3.0).await;
    let owner = drs.asked("shared")[0].project.clone();
    assert!(drs.asked("shared").iter().all(|ask| ask.project == owner), "followed twice");
    assert_eq!(samples.beginning(r#"drs_job_info{job="shared""#).len(), 1);
    let log = exporter.log();
    let told = log.lines().filter(|line| line.contains("another account follows") && line.contains("job=shared"));
    assert!(told.clone().count() == 1 && told.clone().all(|line| line.contains("level=warn")), "{log}");
    // Who has it on the list still takes it over.
    let owner_is_first = owner == "the-project";
    if owner_is_first { &one } else { &other }.remove("shared");
    eventually("the other account to take it over", || async {
        (drs.asked("shared").last()?.project != owner).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_when_the_jobs_of_the_first_list_were_tried() {
    let project = Project::with(["a", "b", "c"].map(|id| job(id, "migration")));
    let pages = project.clone();
    let slow = Duration::from_millis(700);
    let drs = Drs::answering_all(|ask| whole(ask, 1), move |request| pages.page(request).set_delay(slow)).await;
    let config =
        config(&drs, &[], "interval: 1h, types: [table]").replace("poll: {interval: 1s", "poll: {interval: 20s");
    let exporter = Exporter::start(&config).await;
    assert_eq!(exporter.get("/-/ready").await.status(), 503, "before the first list");
    exporter.until_ready().await;
    let samples = exporter.samples().await;
    for job in ["a", "b", "c"] {
        assert_eq!(samples.polls(job, "table", "success"), 1.0, "ready before {job} was polled");
    }

    let pages = project.clone();
    let never = Duration::from_secs(600);
    let script = move |_: &_| page(1, &[row("a", 1)]).set_delay(never);
    let drs = Drs::answering_all(script, move |request| pages.page(request)).await;
    let config = self::config(&drs, &[], "interval: 1h, types: [table]").replace("timeout: 2s", "timeout: 10m");
    let exporter = Exporter::start(&config).await;
    exporter.until("the jobs", |samples| samples.beginning("drs_job_info{").len() == 3).await;
    exporter.until_ready().await;
    assert_eq!(exporter.samples().await.beginning("drs_poll_success"), [], "two intervals, though no poll has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_does_not_wait_for_what_ended_nor_for_what_came_later() {
    let project = Project::with([job("a", "migration")]);
    let drs = drs_with(&project).await;
    // The first poll is somewhere in the next thirty days.
    let config =
        config(&drs, &[], "interval: 1s, types: [table]").replace("poll: {interval: 1s", "poll: {interval: 30d");
    let exporter = Exporter::start(&config).await;
    exporter.until("the job", |samples| !samples.beginning("drs_job_info{").is_empty()).await;
    assert_eq!(exporter.get("/-/ready").await.status(), 503);
    project.remove("a");
    exporter.until_ready().await;

    project.set_fault(Fault::Fails);
    let exporter = Exporter::start(&config).await;
    exporter.until_ready().await;
    project.add(job("b", "migration"));
    project.set_fault(Fault::None);
    exporter.until("the job", |samples| !samples.beginning("drs_job_info{").is_empty()).await;
    assert_eq!(exporter.get("/-/ready").await.status(), 200, "it was ready, and nothing that was known has changed");
}
