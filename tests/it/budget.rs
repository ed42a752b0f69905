//! What an account asks of the cloud: no more than its budget, and nothing for as long as the cloud says.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use wiremock::ResponseTemplate;

use crate::support::drs::{Drs, failure, whole};
use crate::support::eventually_within;
use crate::support::exporter::Exporter;
use crate::support::simulator::Simulator;

/// When each request came, of all these jobs.
fn times(drs: &Drs, jobs: &[&str]) -> Vec<Instant> {
    let mut times: Vec<Instant> = jobs.iter().flat_map(|job| drs.asked(job)).map(|ask| ask.at).collect();
    times.sort();
    times
}

fn waited(samples: &crate::support::samples::Samples) -> f64 {
    samples.get(r#"drs_api_budget_wait_seconds_total{account="test"}"#).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_account_pauses_as_long_as_it_is_told_and_then_goes_on() {
    let drs = Drs::answering(|ask| match (&ask.job[..], ask.nth) {
        ("refused", 0) => failure(429, "APIGW.0308").insert_header("Retry-After", "3"),
        _ => whole(ask, 1),
    })
    .await;
    let config = drs.config(&["{id: refused, types: [table]}", "{id: other, types: [table]}"]);
    // One at a time, so that nothing is under way when the pause begins.
    let exporter = Exporter::start(&config.replace("timeout: 2s", "timeout: 2s, concurrency: 1")).await;
    let samples = exporter.polled("refused", "table", "success", 1.0).await;
    exporter.polled("other", "table", "success", 2.0).await;
    assert_eq!(samples.polls("refused", "table", "throttled"), 0.0, "the poll waited and went on");
    assert_eq!(samples.errors("refused", "table", "APIGW.0308"), 1.0);
    assert!(waited(&samples) >= 2.0, "{}", waited(&samples));
    let refused = drs.asked("refused")[0].at;
    let after: Vec<Instant> = times(&drs, &["refused", "other"]).into_iter().filter(|at| *at > refused).collect();
    let first = *after.first().expect("requests after the pause") - refused;
    assert!(first >= Duration::from_secs(3), "the first request came {first:?} after it was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_outlasts_a_poll_is_told_and_nothing_is_asked() {
    for (code, status, header) in
        [("APIGW.0308", 429, "3600"), ("DRS.M01503", 400, "3600"), ("APIG.0308", 429, "99999999")]
    {
        let drs = Drs::answering(move |_| failure(status, code).insert_header("Retry-After", header)).await;
        let exporter = Exporter::start(&drs.config(&["{id: one, types: [table]}", "{id: two, types: [table]}"])).await;
        exporter.polled("one", "table", "throttled", 2.0).await;
        let samples = exporter.polled("two", "table", "throttled", 2.0).await;
        let later =
            exporter.polled("two", "table", "throttled", samples.polls("two", "table", "throttled") + 2.0).await;
        let told =
            exporter.log().lines().filter(|line| line.contains("level=warn") && line.contains("job=two ")).count();
        assert!(told <= 2, "told {told} times in {} polls", later.polls("two", "table", "throttled"));
        let asked = times(&drs, &["one", "two"]).len();
        assert!(asked <= 2, "{asked} requests, though the account pauses");
        let errors = samples.errors("one", "table", code) + samples.errors("two", "table", code);
        assert_eq!(errors, asked as f64, "what was not asked is no error of the API");
        assert_eq!(samples.of("drs_poll_success", "two", "table"), Some(0.0));
        let log = exporter.log();
        assert!(log.contains("the account makes no request before 20") && log.contains("requests_per_second"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_can_silence_an_account_for_more_than_an_hour() {
    let words = "policy user over ratelimit,limit:1,time:4000000000 hours";
    let refusal = serde_json::json!({"error_code": "APIGW.0308", "error_msg": words});
    let drs = Drs::answering(move |_| ResponseTemplate::new(429).set_body_json(&refusal)).await;
    let exporter = Exporter::start(&drs.config(&["{id: j, types: [table]}"])).await;
    exporter.polled("j", "table", "throttled", 2.0).await;
    let log = exporter.log();
    let until = log.split_once("makes no request before ").expect(&log).1.split_once(',').unwrap().0;
    let until = humantime::parse_rfc3339(until).unwrap();
    assert!(until <= SystemTime::now() + Duration::from_secs(60 * 60), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cloud_never_sees_more_than_the_budget() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let jobs = ["{id: one}", "{id: two}", "{id: three}"];
    let config =
        drs.config(&jobs).replace("requests_per_second: 1000, burst: 1000", "requests_per_second: 10, burst: 5");
    let exporter = Exporter::start(&config).await;
    for job in ["one", "two", "three"] {
        for object_type in ["table", "event", "table_indexs"] {
            exporter.polled(job, object_type, "success", 2.0).await;
        }
    }
    let times = times(&drs, &["one", "two", "three"]);
    // A burst, then one each 100 ms: fifteen requests in any second, and those under way before, if they were held up.
    let most = times
        .iter()
        .map(|begin| times.iter().filter(|at| **at >= *begin && **at - *begin < Duration::from_secs(1)).count())
        .max();
    assert!(most <= Some(19), "{most:?} requests in a second");
    let samples = exporter.samples().await;
    let later = exporter.until("more waiting", |later| waited(later) > waited(&samples)).await;
    assert!(waited(&later) > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_many_pages_does_not_starve_the_others() {
    let drs = Drs::answering(|ask| whole(ask, if &ask.job == "large" { 80 } else { 1 })).await;
    let config = drs.config(&["{id: large, types: [table]}", "{id: small, types: [table]}"]);
    let config = config.replace("requests_per_second: 1000, burst: 1000", "requests_per_second: 20, burst: 1");
    let exporter = Exporter::start(&config.replace("interval: 1s, ", "interval: 1s, page_size: 1, ")).await;
    let samples = exporter.polled("large", "table", "success", 1.0).await;
    let small = samples.polls("small", "table", "success");
    assert!(small >= 3.0, "while the large job took four seconds at least, the small one was polled {small} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn for_as_long_as_it_was_told_to_wait_nothing_is_asked() {
    let drs = Drs::answering(|ask| match ask.nth {
        0 => failure(429, "APIGW.0308").insert_header("Retry-After", "20"),
        _ => whole(ask, 1),
    })
    .await;
    let config = drs.config(&["{id: refused, types: [table]}", "{id: other, interval: 1m}"]);
    let exporter = Exporter::start(&config.replace("timeout: 2s", "timeout: 2s, concurrency: 1")).await;
    exporter.polled("refused", "table", "success", 1.0).await;
    let times = times(&drs, &["refused", "other"]);
    let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(longest >= Some(Duration::from_secs(20)), "the longest silence was {longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_jobs_of_nine_types_fit_into_ten_requests_a_second() {
    let simulator = Simulator::start(&["--jobs", "36", "--requests-per-second", "10"]).await;
    let limits = "limits: {requests_per_second: 9, burst: 1}";
    let config = simulator.config.replace("limits: {requests_per_second: 1000, burst: 1000}", limits);
    // With children there are 46 jobs; 40 of them are followed, each minute, and never taken for settled.
    let config: Vec<String> = config.lines().map(|line| line.replace("interval: 1s", "interval: 1m")).collect();
    let followed = config.iter().position(|line| line.contains("- {id:")).unwrap() + 40;
    let config = config[..followed].join("\n") + "\npoll: {settled_interval: 1m}\n";
    let exporter = Exporter::start(&config).await;
    let waited = r#"drs_api_budget_wait_seconds_total{account="simulated"}"#;
    let half_way = exporter.until("waiting", |samples| samples.get(waited) > Some(0.0)).await;
    let enough = Duration::from_secs(3 * 60);
    // The polls of the first minute, and nearly all of the second one.
    let samples = eventually_within(enough, "every type twice", || async {
        let samples = exporter.samples().await;
        let polled = samples.beginning("drs_polls_total");
        let polls: f64 = polled.iter().map(|(_, polls)| polls).sum();
        (polls >= 2.0 * 360.0 - 40.0).then_some(samples)
    })
    .await;
    let polled =
        |(series, polls): &(&str, f64)| (*polls > 0.0).then(|| series.split(",outcome").next().unwrap().to_owned());
    let types: BTreeSet<String> = samples.beginning("drs_polls_total").iter().filter_map(polled).collect();
    assert_eq!(types.len(), 360, "every type was refreshed");
    assert!(samples.get(waited) > half_way.get(waited), "the wait is told");
    let statistics = simulator.statistics().await;
    let seconds = statistics["seconds"].as_array().unwrap();
    let number = |second: &serde_json::Value, what: &str| second[what].as_u64().unwrap();
    assert!(seconds.len() > 100, "{}", seconds.len());
    assert!(seconds.iter().all(|second| number(second, "requests") <= 10), "{seconds:?}");
    assert!(seconds.iter().all(|second| number(second, "refused") == 0), "{seconds:?}");
    let busy = seconds.iter().filter(|second| number(second, "requests") >= 8).count();
    assert!(busy > 40, "the budget is used: {busy} seconds of {}", seconds.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_that_do_not_fit_the_budget_are_told_once_with_what_they_need() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let jobs: Vec<String> = (0..40).map(|n| format!("{{id: j{n}, types: [table]}}")).collect();
    let config = drs.config(&jobs.iter().map(String::as_str).collect::<Vec<_>>());
    let config = config.replace("requests_per_second: 1000, burst: 1000", "requests_per_second: 5, burst: 5");
    let exporter = Exporter::start(&config).await;
    // Each is late each time.
    for job in ["j0", "j20", "j39"] {
        exporter.polled(job, "table", "success", 3.0).await;
    }
    let log = exporter.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("polls need")).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    let needed: f64 = told[0].split_once("polls need ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert!(told[0].contains("level=warn") && needed >= 40.0, "forty listings a second: {}", told[0]);
    assert!(told[0].contains("allows 5; raise it"), "{}", told[0]);
}
