//! The text that Prometheus reads: both formats, gzip, and parts of it, judged by tools that others wrote.

use std::collections::{BTreeSet, HashSet};

use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};

use crate::support::drs::{Drs, failure, page, row, whole};
use crate::support::exporter::Exporter;
use crate::support::prometheus::Prometheus;
use crate::support::samples::Samples;
use crate::support::{eventually, tools};

const TEXT: &str = "text/plain";
const OPENMETRICS: &str = "application/openmetrics-text";

/// An exporter with every family: two good types, an empty one, and failures.
async fn with_everything() -> (Drs, Exporter) {
    let drs = Drs::answering(|ask| match (&ask.job[..], &ask.object_type[..]) {
        ("orders", "table") => page(3, &[row("a \"quoted\" name", 10), row("b", 100), serde_json::json!({})]),
        ("orders", "view") => page(0, &[]),
        // It moves once, so that there is a pace and a time left.
        ("stock", "table") if ask.nth == 0 => page(2, &[row("t0", 5), row("t1", 5)]),
        ("stock", "table") => whole(ask, 2),
        _ => failure(400, "DRS.M05003"),
    })
    .await;
    let jobs = ["{id: orders, types: [table, view]}", "{id: stock, types: [table]}", "{id: unknown, types: [event]}"];
    let exporter = Exporter::start(&drs.config(&jobs)).await;
    for (job, object_type, polls) in [("orders", "table", 1.0), ("orders", "view", 1.0), ("stock", "table", 2.0)] {
        exporter.polled(job, object_type, "success", polls).await;
    }
    exporter.polled("unknown", "event", "gone", 1.0).await;
    (drs, exporter)
}

/// The families of jobs and types, the same at each time: what hangs on the clock VARIES, and counters that have counted have counted SOME.
fn steady(body: &[u8]) -> String {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let own = text.find("# HELP drs_api_requests").expect("the exporter's own metrics");
    let varies = [
        "_duration_seconds{",
        "_success_timestamp_seconds{",
        "_change_timestamp_seconds{",
        "_eta_seconds{",
        "_skipped_total{",
    ];
    let varies = |series: &str| varies.iter().any(|part| series.contains(part));
    let lines = text[..own].lines().map(|line| match line.rsplit_once(' ') {
        Some((series, _)) if varies(series) => format!("{series} VARIES\n"),
        Some((series, value)) if series.contains("_total{") && value != "0" => format!("{series} SOME\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_formats_are_as_they_should_be() {
    let (_drs, exporter) = with_everything().await;
    insta::assert_snapshot!("text", steady(&exporter.body(TEXT, "").await));
    insta::assert_snapshot!("openmetrics", steady(&exporter.body(OPENMETRICS, "").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_has_nothing_to_say_of_the_text() {
    let (_drs, exporter) = with_everything().await;
    let body = exporter.body(TEXT, "").await;
    let checked = tools::run("prometheus", "promtool", &["check", "metrics"], &body);
    let words = [checked.stdout, checked.stderr].concat();
    assert_eq!((checked.status.code(), String::from_utf8_lossy(&words)), (Some(0), "".into()));
    Samples::parse(&String::from_utf8(body).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_parser_takes_the_openmetrics() {
    let (_drs, exporter) = with_everything().await;
    let body = exporter.body(OPENMETRICS, "").await;
    assert!(body.ends_with(b"\n# EOF\n"));
    let script = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.buffer.read().decode()))
print(len(families), sum(len(family.samples) for family in families))
";
    let counted = tools::python("python3-prometheus-client", script, &body);
    let text = String::from_utf8(body).unwrap();
    let families = text.lines().filter(|line| line.starts_with("# TYPE")).count();
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(counted.trim(), format!("{families} {samples}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_it_and_the_names_of_jobs_stay() {
    let (_drs, exporter) = with_everything().await;
    let prometheus = Prometheus::start(&Prometheus::scraping(&exporter.address().to_string())).await;
    eventually("a scrape", || async { prometheus.value("up").await.filter(|&up| up == 1.0) }).await;
    let samples = exporter.samples().await;
    let scraped = prometheus.value("scrape_samples_scraped").await.unwrap();
    assert_eq!(scraped as usize, samples.beginning("").len(), "Prometheus dropped some as duplicates");
    assert_eq!(prometheus.value(r#"drs_object_progress{job="orders",type="table",src_tb="b"}"#).await, Some(100.0));
    assert_eq!(prometheus.value("count(drs_object_progress)").await, Some(4.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_is_one_member_that_holds_the_same_text() {
    // What is settled is not polled again while the test runs, so each scrape is the same.
    let drs = Drs::answering(|_| page(2, &[row("a \"quoted\" name", 100), row("🐘", 100)])).await;
    let config =
        drs.config(&["{id: orders, types: [table, view]}"]).replace("settled_interval: 1s", "settled_interval: 1h");
    let exporter = Exporter::start(&config).await;
    exporter.until_ready().await;
    let path = "/metrics?job=orders";
    let identity = exporter.get(path).await.bytes().await.unwrap();

    let curl =
        tools::run("curl", "curl", &["--silent", "--show-error", "--fail", "--compressed", &exporter.url(path)], b"");
    assert_eq!((curl.status.code(), curl.stdout), (Some(0), identity.to_vec()), "{:?}", curl.stderr);

    let request = exporter.client().get(exporter.url(path)).header(ACCEPT_ENCODING, "gzip");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()[CONTENT_ENCODING], "gzip");
    assert_eq!(answer.headers()[VARY], "accept, accept-encoding");
    let length: usize = answer.headers()[CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
    let compressed = answer.bytes().await.unwrap();
    assert_eq!(compressed.len(), length);
    let script = "
import sys, zlib
one = zlib.decompressobj(wbits=31)
data = one.decompress(sys.stdin.buffer.read())
assert one.eof and not one.unused_data, 'more than one member'
sys.stdout.buffer.write(data)
";
    assert_eq!(tools::python("python3", script, &compressed).as_bytes(), identity);
    let script = "import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";
    assert_eq!(tools::python("python3", script, &compressed).as_bytes(), identity);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_wish_for_gzip_the_text_is_plain() {
    let (_drs, exporter) = with_everything().await;
    for accept_encoding in ["", "gzip;q=0", "identity", "br"] {
        let body = exporter.body(TEXT, accept_encoding).await;
        assert!(body.starts_with(b"# HELP drs_object_progress "), "{accept_encoding}");
    }
    let gzip = exporter.body(TEXT, "gzip").await;
    assert!(gzip.starts_with(&[0x1f, 0x8b]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_what_was_asked_for() {
    let (_drs, exporter) = with_everything().await;
    let part = async |query: &str| {
        let text = exporter.get(&format!("/metrics{query}")).await.text().await.unwrap();
        let groups: HashSet<(String, String)> = Samples::parse(&text)
            .beginning("")
            .into_iter()
            // What is told of a job as a whole has no type.
            .filter(|(series, _)| series.contains(",type=\""))
            .map(|(series, _)| {
                let rest = series.split_once("{job=\"").expect(series).1;
                let (job, rest) = rest.split_once("\",type=\"").unwrap();
                (job.to_owned(), rest.split_once('"').unwrap().0.to_owned())
            })
            .collect();
        let mut groups: Vec<String> =
            groups.into_iter().map(|(job, object_type)| format!("{job}/{object_type}")).collect();
        groups.sort();
        groups
    };
    let wholes = async |query: &str| {
        let text = exporter.get(&format!("/metrics{query}")).await.text().await.unwrap();
        Samples::parse(&text).beginning("drs_job_info").len()
    };
    let whole_jobs = [wholes("").await, wholes("?job=orders").await, wholes("?type=table").await];
    assert_eq!(whole_jobs, [3, 1, 0]);
    assert_eq!(part("?job=orders").await, ["orders/table", "orders/view"]);
    assert_eq!(part("?job=orders&job=stock").await, ["orders/table", "orders/view", "stock/table"]);
    assert_eq!(part("?type=table").await, ["orders/table", "stock/table"]);
    assert_eq!(part("?job=orders&type=view&other=1").await, ["orders/view"]);
    assert_eq!(part("?job=orders&type=event").await, [""; 0]);
    for (query, status, words) in [
        ("?job=nobody", 404, "The job nobody is not followed."),
        ("?job=a/b", 400, "expected a job id"),
        ("?type=index", 400, "expected one of table, event"),
        ("?part=jobs", 400, "?part=jobs: expected `exporter`"),
        ("?part=exporter&job=orders", 400, "ask for one or the other"),
        ("?type=table&part=exporter", 400, "ask for one or the other"),
    ] {
        let answer = exporter.get(&format!("/metrics{query}")).await;
        assert_eq!(answer.status(), status, "{query}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(words), "{query}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exporter_and_its_jobs_are_the_whole() {
    let (_drs, exporter) = with_everything().await;
    let part = async |query: &str| {
        let text = exporter.get(&format!("/metrics{query}")).await.text().await.unwrap();
        let samples = Samples::parse(&text);
        let series = samples.beginning("").into_iter().map(|(series, _)| series.to_owned());
        // The time left comes and goes between two scrapes.
        series.filter(|series| !series.starts_with("drs_eta_seconds")).collect::<BTreeSet<String>>()
    };
    let (own, jobs) = (part("?part=exporter").await, part("?job=orders&job=stock&job=unknown").await);
    assert!(own.contains("drs_exporter_build_info{version=\"0.1.0\"}"), "{own:?}");
    assert!(own.iter().any(|series| series.starts_with("process_")), "{own:?}");
    assert!(own.iter().any(|series| series.starts_with("drs_api_requests_total{account=")), "{own:?}");
    assert_eq!(own.intersection(&jobs).count(), 0);
    let both: BTreeSet<String> = own.union(&jobs).cloned().collect();
    assert_eq!(both, part("").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_are_answered_as_http_has_it() {
    let (_drs, exporter) = with_everything().await;
    let ask = async |method: &Method, path: &str| {
        exporter.client().request(method.clone(), exporter.url(path)).send().await.unwrap()
    };
    for path in ["/metrics", "/", "/api/v1/jobs", "/api/v1/schema", "/sd", "/-/healthy", "/-/ready"] {
        assert_eq!(ask(&Method::GET, path).await.status(), 200, "{path}");
        assert_eq!(ask(&Method::HEAD, path).await.status(), 200, "{path}");
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let answer = ask(&method, path).await;
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()[ALLOW]),
                (405, &"GET,HEAD".parse().unwrap()),
                "{path}"
            );
        }
    }
    // It is there, and says to POST alone whether it may be used.
    assert_eq!(ask(&Method::GET, "/-/reload").await.status(), 405);
    for path in ["/nothing", "/metrics/", "/-/"] {
        assert_eq!(ask(&Method::GET, path).await.status(), 404, "{path}");
    }
    let format = async |accept: &str| {
        let request = exporter.client().get(exporter.url("/metrics")).header("accept", accept);
        request.send().await.unwrap().headers()[CONTENT_TYPE].to_str().unwrap().to_owned()
    };
    assert_eq!(format("*/*").await, "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(format(OPENMETRICS).await, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let request = exporter.client().get(exporter.url("/metrics"));
    let request = request.header("accept", "text/plain;q=0.1").header("accept", OPENMETRICS);
    let answer = request.send().await.unwrap();
    assert!(answer.headers()[CONTENT_TYPE].to_str().unwrap().starts_with(OPENMETRICS));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_label_and_the_own_metrics_are_the_users_choice() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let config = format!("{}exposition: {{job_label: drs_job}}\n", drs.config(&["{id: j, types: [table]}"]));
    let exporter = Exporter::start_with(&config, &["--web.disable-exporter-metrics"]).await;
    let series = r#"drs_polls_total{drs_job="j",type="table",outcome="success"}"#;
    let samples = exporter.until("a poll", |samples| samples.get(series).is_some_and(|polls| polls > 0.0)).await;
    assert_eq!(samples.beginning("process_"), []);
    assert_eq!(samples.beginning("drs_exporter_build"), []);
    assert!(!samples.beginning("drs_api_requests_total").is_empty());
    assert!(!samples.beginning("drs_object_progress{drs_job=\"j\",").is_empty());
}
