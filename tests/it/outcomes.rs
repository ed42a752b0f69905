//! What each way a poll can end does to the series, and when the next poll comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::support::drs::{Drs, failure, page, row, whole};
use crate::support::eventually;
use crate::support::exporter::Exporter;
use crate::support::samples::Samples;
use wiremock::ResponseTemplate;

const JOB: &str = "{id: j, types: [table]}";

#[tokio::test(flavor = "multi_thread")]
async fn a_good_listing_is_told_in_full() {
    let drs = Drs::answering(|_| page(4, &[row("a", 0), row("b", 1), row("c", 99), row("d", 100)])).await;
    let exporter = Exporter::start(&drs.config(&[JOB])).await;
    let samples = exporter.polled("j", "table", "success", 1.0).await;
    let of = |name| samples.of(name, "j", "table");
    let state = |state| samples.labelled("drs_objects_by_state", "j", "table", "state", state);
    assert_eq!((state("not_started"), state("in_progress"), state("completed")), (Some(1.0), Some(2.0), Some(1.0)));
    assert_eq!((of("drs_progress_average"), of("drs_progress_minimum")), (Some(50.0), Some(0.0)));
    assert_eq!((of("drs_objects"), of("drs_poll_success")), (Some(4.0), Some(1.0)));
    assert_eq!(of("drs_data_timestamp_seconds"), Some(1_686_038_576.882));
    assert!(of("drs_poll_last_success_timestamp_seconds").unwrap() > 1.7e9);
    assert!(of("drs_poll_duration_seconds").unwrap() > 0.0);
    assert_eq!(samples.polls("j", "table", "error"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_listing_is_a_listing() {
    let answers = [("zero", 0), ("nothing", 1)];
    let drs = Drs::answering(move |ask| match answers.iter().find(|(job, _)| *job == ask.job) {
        Some((_, 0)) => page(0, &[]),
        _ => failure(422, "DRS.M00002"),
    })
    .await;
    let exporter = Exporter::start(&drs.config(&["{id: zero, types: [view]}", "{id: nothing, types: [view]}"])).await;
    for (job, _) in answers {
        let samples = exporter.polled(job, "view", "success", 1.0).await;
        assert_eq!(samples.of("drs_objects", job, "view"), Some(0.0), "{job}");
        assert_eq!(samples.of("drs_poll_success", job, "view"), Some(1.0), "{job}");
        for absent in
            ["drs_object_progress", "drs_objects_by_state", "drs_progress_", "drs_data_timestamp", "drs_api_errors"]
        {
            assert_eq!(samples.beginning(&format!("{absent}{{job=\"{job}\"")), [], "{job}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_poll_nothing_is_invented() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let exporter = Exporter::start(&drs.config(&["{id: j, types: [table], interval: 30d}"])).await;
    let begun =
        |samples: &Samples| ["drs_polls_total", "drs_job_info"].iter().all(|name| !samples.beginning(name).is_empty());
    let samples = exporter.until("the counters", begun).await;
    let told: Vec<_> = samples.beginning("drs_").into_iter().filter(|(series, _)| series.contains("job=")).collect();
    let expected = [
        (r#"drs_job_info{job="j",name="",account="test",region="",job_type="",engine_type="",task_type=""}"#, 1.0),
        (r#"drs_polls_skipped_total{job="j",type="table"}"#, 0.0),
        (r#"drs_polls_total{job="j",type="table",outcome="error"}"#, 0.0),
        (r#"drs_polls_total{job="j",type="table",outcome="success"}"#, 0.0),
    ];
    assert_eq!(told, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_gone_loses_its_series_and_is_hardly_asked_again() {
    for code in ["DRS.M05004", "DRS.M05003", "DRS.M00289", "DRS.10000010"] {
        let gone = Arc::new(AtomicU8::new(0));
        let is_gone = Arc::clone(&gone);
        let drs = Drs::answering(move |ask| match (is_gone.load(Ordering::SeqCst), &ask.job[..]) {
            (1, "j") => failure(400, code),
            _ => page(1, &[row("a", 100)]),
        })
        .await;
        // The settled type would not be asked for an hour, were it not for its sibling.
        let config = drs
            .config(&["{id: j, types: [table, view]}", "{id: other, types: [table]}"])
            .replace("settled_interval: 1s", "settled_interval: 1s, stale_after: 1h");
        let exporter = Exporter::start(&config).await;
        exporter.polled("j", "table", "success", 1.0).await;
        exporter.polled("j", "view", "success", 1.0).await;
        gone.store(1, Ordering::SeqCst);
        exporter.polled("j", "table", "gone", 1.0).await;
        let samples = exporter.polled("j", "view", "gone", 1.0).await;
        assert_eq!((samples.objects("j", "table"), samples.objects("j", "view")), (0, 0), "{code}");
        assert_eq!(samples.of("drs_objects", "j", "table"), None);
        assert_eq!(samples.of("drs_poll_success", "j", "table"), Some(0.0));
        assert_eq!(samples.errors("j", "table", code), 1.0);
        let asked = drs.asked("j").len();
        let polls = samples.polls("other", "table", "success");
        let later = exporter.polled("other", "table", "success", polls + 3.0).await;
        assert_eq!(drs.asked("j").len(), asked, "asked again within three intervals");
        assert_eq!(later.objects("other", "table"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_type_that_finds_the_job_gone_makes_a_settled_one_look() {
    let gone = Arc::new(AtomicU8::new(0));
    let is_gone = Arc::clone(&gone);
    let drs = Drs::answering(move |ask| match (is_gone.load(Ordering::SeqCst), &ask.object_type[..]) {
        (1, _) => failure(400, "DRS.M05004"),
        (_, "table") => page(1, &[row("a", 50)]),
        _ => page(1, &[row("a", 100)]),
    })
    .await;
    let config = drs.config(&["{id: j, types: [table, view]}"]).replace("settled_interval: 1s", "settled_interval: 1h");
    let exporter = Exporter::start(&config).await;
    exporter.polled("j", "view", "success", 1.0).await;
    exporter.polled("j", "table", "success", 1.0).await;
    gone.store(1, Ordering::SeqCst);
    let samples = exporter.polled("j", "view", "gone", 1.0).await;
    assert_eq!((samples.objects("j", "view"), samples.polls("j", "view", "success")), (0, 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_cannot_be_listed_is_no_error_and_hardly_asked_again() {
    let drs = Drs::answering(|ask| match &ask.job[..] {
        "j" => failure(400, "DRS.M00304"),
        _ => whole(ask, 1),
    })
    .await;
    let exporter = Exporter::start(&drs.config(&[JOB, "{id: other, types: [table]}"])).await;
    exporter.polled("j", "table", "unsupported", 1.0).await;
    let samples = exporter.polled("other", "table", "success", 4.0).await;
    assert_eq!(samples.of("drs_poll_success", "j", "table"), None);
    assert_eq!(samples.polls("j", "table", "error"), 0.0);
    assert_eq!(drs.asked("j").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_too_old_goes_and_the_poll_metrics_stay() {
    let drs = Drs::answering(|ask| if ask.nth == 0 { whole(ask, 5) } else { failure(400, "DRS.M00202") }).await;
    let config = drs.config(&[JOB]).replace("settled_interval: 1s", "settled_interval: 1s, stale_after: 4s");
    let exporter = Exporter::start(&config).await;
    let samples = exporter.polled("j", "table", "error", 1.0).await;
    assert_eq!(samples.objects("j", "table"), 5, "kept for now");
    let samples = exporter.until("the series to go", |samples| samples.objects("j", "table") == 0).await;
    let failed = samples.polls("j", "table", "error");
    assert!(failed >= 2.0, "after {failed} failed polls, one a second, with stale_after 4s");
    assert_eq!(samples.of("drs_objects", "j", "table"), None);
    assert_eq!(samples.polls("j", "table", "success"), 1.0);
    assert!(samples.of("drs_poll_last_success_timestamp_seconds", "j", "table").is_some());
    assert!(exporter.log().contains("the last good listing is older than `poll.stale_after`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_settled_is_polled_less_often_and_is_not_stale() {
    let drs = Drs::answering(|ask| match &ask.job[..] {
        "done" => page(1, &[row("a", 100)]),
        "empty" => page(0, &[]),
        "unreadable" => page(1, &["no object".into()]),
        _ => whole(ask, 1),
    })
    .await;
    let jobs = ["done", "empty", "unreadable", "moving"].map(|job| format!("{{id: {job}, types: [table]}}"));
    let jobs = jobs.each_ref().map(String::as_str);
    let config = drs.config(&jobs).replace("settled_interval: 1s", "settled_interval: 1h, stale_after: 1s");
    let exporter = Exporter::start(&config).await;
    for job in ["done", "empty", "moving"] {
        exporter.polled(job, "table", "success", 1.0).await;
    }
    let samples = exporter.polled("moving", "table", "success", 5.0).await;
    assert_eq!((drs.asked("done").len(), drs.asked("empty").len()), (1, 1));
    exporter.polled("unreadable", "table", "success", 2.0).await;
    assert_eq!(samples.objects("done", "table"), 1, "older than stale_after, but no poll has failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_apart() {
    let drs = Drs::answering(|ask| match &ask.job[..] {
        "permission" => failure(403, "DRS.M00102"),
        "long-code" => failure(400, "SOME.SERVICE.OF.THE.CLOUD.4000003"),
        "strange-code" => failure(400, "two words"),
        "code-in-200" => failure(200, "DRS.M05099"),
        "redirect" => ResponseTemplate::new(302).insert_header("Location", "http://127.0.0.1:1/log-in?ticket=s3cret"),
        _ => ResponseTemplate::new(404).set_body_string("<html>not here</html>"),
    })
    .await;
    let table = [
        ("permission", "auth", "DRS.M00102", "permission to read DRS jobs"),
        ("long-code", "error", "SOME.SERVICE.OF.THE.CLOUD.4000003", "about SOME.SERVICE"),
        ("strange-code", "error", "other", "about two words"),
        ("code-in-200", "error", "DRS.M05099", "about DRS.M05099"),
        ("redirect", "error", "redirect", "correct `endpoint`"),
        ("html", "error", "http_404", "check `endpoint`"),
    ];
    let jobs: Vec<String> = table.iter().map(|(job, ..)| format!("{{id: {job}, types: [table]}}")).collect();
    let exporter = Exporter::start(&drs.config(&jobs.iter().map(String::as_str).collect::<Vec<_>>())).await;
    for (job, outcome, code, advice) in table {
        let samples = exporter.polled(job, "table", outcome, 1.0).await;
        assert!(samples.errors(job, "table", code) >= 1.0, "{job}: {:?}", samples.beginning("drs_api_errors"));
        let told = eventually("a word in the log", || async {
            let log = exporter.log();
            log.lines().find(|line| line.contains(&format!("job={job} "))).map(str::to_owned)
        });
        let told = told.await;
        assert!(told.contains(advice) && told.contains("level=warn"), "{job}: {told}");
    }
    exporter.polled("html", "table", "error", 4.0).await;
    assert!(exporter.log().contains("a redirect to http://127.0.0.1:1/log-in;") && !exporter.log().contains("s3cret"));
    assert_eq!(drs.asked("permission").len(), 1, "what is not permitted is not asked for again and again");
    let counted = exporter.samples().await;
    let requests = r#"drs_api_requests_total{account="test",operation="progress_data",status="302"}"#;
    assert!(counted.get(requests).unwrap() >= counted.polls("redirect", "table", "error"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_file_is_read_anew_for_each_request() {
    let drs = Drs::answering(|ask| match ask.headers.get("x-auth-token").map(String::as_str) {
        Some("new") => whole(ask, 1),
        _ => failure(403, "DRS.M00100"),
    })
    .await;
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("token");
    let config = drs.config(&[JOB]).replace("{token: the-token}", &format!("{{token: {{file: {}}}}}", file.display()));
    let exporter = Exporter::start(&config).await;
    let samples = exporter.polled("j", "table", "auth", 1.0).await;
    assert_eq!(
        samples.errors("j", "table", "log_in"),
        samples.polls("j", "table", "auth"),
        "the file is not there yet"
    );
    assert!(exporter.log().contains("check that the file exists"), "{}", exporter.log());
    assert!(drs.asked("j").is_empty(), "asked without a token");
    std::fs::write(&file, "old\n").unwrap();
    exporter.until("the old token", |samples| samples.errors("j", "table", "DRS.M00100") > 0.0).await;
    std::fs::write(&file, "  new\n").unwrap();
    exporter.polled("j", "table", "success", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_job_uses_half_of_the_requests_under_way_and_leaves_the_rest_to_others() {
    let slow = Duration::from_millis(400);
    let drs =
        Drs::answering(move |ask| if &ask.job == "slow" { whole(ask, 1).set_delay(slow) } else { whole(ask, 1) }).await;
    let config = drs.config(&["{id: slow}", "{id: quick, types: [table]}"]);
    let exporter = Exporter::start(&config.replace("timeout: 2s", "timeout: 10s, concurrency: 2")).await;
    exporter.polled("slow", "table", "success", 2.0).await;
    let samples = exporter.samples().await;
    let asked = drs.asked("slow");
    assert!(asked.windows(2).all(|pair| pair[1].at - pair[0].at >= slow), "two requests of the slow job at once");
    assert!(samples.polls("quick", "table", "success") > samples.polls("slow", "table", "success"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_no_more_requests_under_way_than_it_may() {
    let slow = Duration::from_millis(200);
    let drs = Drs::answering(move |ask| whole(ask, 1).set_delay(slow)).await;
    let config = drs.config(&["{id: one, types: [table, view]}", "{id: two, types: [table, view]}"]);
    let exporter = Exporter::start(&config.replace("timeout: 2s", "timeout: 10s, concurrency: 1")).await;
    exporter.polled("one", "view", "success", 2.0).await;
    exporter.polled("two", "view", "success", 2.0).await;
    let mut asked: Vec<_> = [drs.asked("one"), drs.asked("two")].concat().iter().map(|ask| ask.at).collect();
    asked.sort();
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= slow), "two requests of the account at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_never_overlap_and_those_left_out_are_counted() {
    let drs = Drs::answering(|ask| whole(ask, 1).set_delay(Duration::from_millis(1500))).await;
    let exporter = Exporter::start(&drs.config(&[JOB])).await;
    let samples = exporter.polled("j", "table", "success", 3.0).await;
    let skipped = samples.of("drs_polls_skipped_total", "j", "table").unwrap();
    assert!(skipped >= samples.polls("j", "table", "success"), "each poll takes the time of two: {skipped}");
    let asked = drs.asked("j").len() as f64;
    assert!(asked <= samples.polls("j", "table", "success") + 1.0, "no poll beside another: {asked}");
}
