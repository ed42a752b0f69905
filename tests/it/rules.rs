//! The rules for Prometheus and the example for Alertmanager: judged by promtool and amtool, loaded into both, and seen to fire.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use figment::Figment;
use figment::providers::{Format, Yaml};
use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::alertmanager::Alertmanager;
use crate::support::drs::{Drs, page, row};
use crate::support::exporter::{Exporter, program};
use crate::support::prometheus::Prometheus;
use crate::support::samples::Samples;
use crate::support::simulator::Simulator;
use crate::support::{eventually, eventually_within, metrics, tools};

const RULES: &str = include_str!("../../deploy/prometheus/drs-exporter.rules.yml");
const FIRING: &str = include_str!("../../deploy/prometheus/tests/firing.yml");
const ALERTMANAGER: &str = include_str!("../../deploy/prometheus/alertmanager.yml");
const RUNBOOK: &str = include_str!("../../deploy/prometheus/RUNBOOK.md");

/// Recording rules that have nothing to say of the demo: no job of it is halted in its first minute, and none is refused.
const SILENT_IN_THE_DEMO: [&str; 2] = ["job:drs_job_status:halted1h", "job:drs_polls_refused:increase10m"];

fn shipped(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus").join(file)
}

fn yaml(text: &str) -> Value {
    Figment::from(Yaml::string(text)).extract().unwrap()
}

/// All rules, recording and alerting.
fn rules() -> Vec<Value> {
    let groups = yaml(RULES)["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// The rules that have a name under this key, by name.
fn named(key: &str) -> BTreeMap<String, Value> {
    rules().into_iter().filter_map(|rule| Some((rule[key].as_str()?.to_owned(), rule))).collect()
}

/// Runs a tool that has to be content.
fn content(package: &str, program: &str, arguments: &[&str]) {
    let output = tools::run(package, program, arguments, b"");
    let words = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {words}");
}

/// The shipped rules with these changes, looked at each second, and what loads them into Prometheus.
fn hurried(folder: &TempDir, changes: &[(&str, &str)]) -> String {
    let mut rules = RULES.replace("    rules:\n", "    interval: 1s\n    rules:\n");
    for (text, changed) in changes {
        assert!(rules.contains(text), "no {text}");
        rules = rules.replace(text, changed);
    }
    let file = folder.path().join("drs-exporter.rules.yml");
    fs::write(&file, rules).unwrap();
    format!("rule_files: ['{}']\n", file.display())
}

#[test]
fn promtool_and_amtool_are_content() {
    let rules = shipped("drs-exporter.rules.yml");
    content("prometheus", "promtool", &["check", "rules", "--lint=all", "--lint-fatal", rules.to_str().unwrap()]);
    content("prometheus", "promtool", &["check", "config", shipped("prometheus.yml").to_str().unwrap()]);
    content("prometheus-alertmanager", "amtool", &["check-config", shipped("alertmanager.yml").to_str().unwrap()]);
}

#[test]
fn the_tests_of_the_rules_pass() {
    let tests: Vec<PathBuf> = fs::read_dir(shipped("tests")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(tests.len() >= 2, "{tests:?}");
    for test in tests {
        content("prometheus", "promtool", &["test", "rules", test.to_str().unwrap()]);
    }
}

#[test]
fn every_alert_says_what_to_do_and_is_tested_where_it_fires() {
    let tests = yaml(FIRING)["tests"].as_array().unwrap().clone();
    let cases = tests.iter().flat_map(|test| test["alert_rule_test"].as_array().unwrap());
    let fires = cases.filter(|case| !case["exp_alerts"].as_array().unwrap().is_empty());
    let tested: BTreeSet<&str> = fires.map(|case| case["alertname"].as_str().unwrap()).collect();
    let sections: BTreeMap<&str, &str> =
        RUNBOOK.split("\n## ").skip(1).map(|section| section.split_once("\n\n").unwrap()).collect();
    let alerts = named("alert");
    let names: BTreeSet<&str> = alerts.keys().map(String::as_str).collect();
    assert_eq!(tested, names);
    assert_eq!(sections.keys().copied().collect::<BTreeSet<_>>(), names);
    for (name, rule) in &alerts {
        let annotations = rule["annotations"].as_object().unwrap();
        let mut keys: Vec<&str> = annotations.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["description", "runbook_url", "summary"], "{name}");
        let url = format!("https://example.com/drs-exporter/RUNBOOK.md#{}", name.to_lowercase());
        assert_eq!(annotations["runbook_url"], url);
        let opening = match rule["labels"]["severity"].as_str() {
            Some("critical") => "**Critical.** ",
            Some("warning") => "**Warning.** ",
            other => panic!("{name}: {other:?}"),
        };
        assert!(sections[&name[..]].starts_with(opening), "{name}");
    }
    for link in RUNBOOK.split("](#").skip(1).map(|rest| rest.split_once(')').unwrap().0) {
        assert!(names.iter().any(|name| name.to_lowercase() == link), "no section {link}");
    }
}

#[test]
fn the_changes_that_the_head_offers_are_made_in_one_go() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("drs-exporter.rules.yml");
    fs::write(&file, RULES).unwrap();
    let offered: Vec<&str> = RULES.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
    let commands: Vec<&str> = offered.into_iter().filter(|line| line.starts_with("sed -i ")).collect();
    assert_eq!(commands.len(), 3);
    for command in commands {
        content("sed", "sh", &["-c", &format!("cd '{}' && {command}", folder.path().display())]);
    }
    content("prometheus", "promtool", &["check", "rules", file.to_str().unwrap()]);
    let changed = fs::read_to_string(file).unwrap();
    for (before, after) in
        [("> 3600", "> 21600"), ("job=\"drs\"", "job=\"another\""), ("https://example.com", "https://wiki/drs")]
    {
        assert_eq!(changed.matches(before).count(), 0, "{before}");
        assert!(changed.matches(after).count() >= RULES.matches(before).count(), "{after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_is_named_exists() {
    let mut known = metrics::all().await;
    known.extend(named("record").into_keys());
    // Made by Prometheus itself.
    known.insert("up".to_owned());
    for rule in rules() {
        metrics::check(rule["expr"].as_str().unwrap(), &known);
    }
    // In templates and on the page as well.
    let metric = Regex::new(r"\b(?:[a-z_]+:)?drs_[a-z_]+(?::[a-z0-9]+)?").unwrap();
    let annotations = rules().iter().map(|rule| rule["annotations"].to_string()).collect::<String>();
    for found in metric.find_iter(&format!("{annotations}{RUNBOOK}")) {
        assert!(known.contains(found.as_str()), "no metric {}", found.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_expression_works_on_the_demo() {
    let mut command = program();
    command.args(["demo", "--web.listen-address=127.0.0.1:0"]);
    let exporter = Exporter::run(command, TempDir::new().unwrap()).await;
    let folder = TempDir::new().unwrap();
    let scraping = Prometheus::scraping(&exporter.address().to_string());
    let prometheus = Prometheus::start(&format!("{}{scraping}", hurried(&folder, &[]))).await;
    for record in named("record").keys().filter(|name| !SILENT_IN_THE_DEMO.contains(&name.as_str())) {
        let values = eventually_within(crate::support::PATIENCE * 2, record, || async {
            Some(prometheus.query(record).await).filter(|series| !series.is_empty())
        });
        for series in values.await {
            let value: f64 = series["value"][1].as_str().unwrap().parse().unwrap();
            assert!(value.is_finite(), "{series}");
            let labels: Vec<&str> = series["metric"].as_object().unwrap().keys().map(String::as_str).collect();
            assert!(labels.contains(&"job") && !labels.contains(&"instance"), "{series}");
        }
    }
    // All rules were looked at, those that have nothing to say too, and Prometheus has no complaint.
    let groups = prometheus.ask("rules").await["groups"].as_array().unwrap().clone();
    let looked_at: Vec<Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
    assert_eq!(looked_at.len(), rules().len());
    for rule in looked_at {
        assert_eq!((rule["health"].as_str(), rule["lastError"].as_str()), (Some("ok"), None), "{rule}");
    }
    let blocks = RUNBOOK.split("```promql\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let spans = RUNBOOK.split('`').skip(1).step_by(2).filter(|span| span.contains('{') && !span.contains('\n'));
    let queries: Vec<&str> = blocks.chain(spans).collect();
    assert!(queries.len() >= 6, "{queries:?}");
    for query in queries {
        prometheus.query(query).await;
    }
}

/// The alerts that fire now, by name.
async fn firing(prometheus: &Prometheus) -> BTreeMap<String, Value> {
    let alerts = prometheus.ask("alerts").await["alerts"].as_array().unwrap().clone();
    let firing = alerts.into_iter().filter(|alert| alert["state"] == "firing");
    firing.map(|alert| (alert["labels"]["alertname"].as_str().unwrap().to_owned(), alert)).collect()
}

/// The slowest objects of the simulated DRS take 15 s for a percent, so whoever waits longer stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_stall_in_the_simulated_drs_fires_also_after_a_kill_and_ends_when_it_moves_on() {
    let simulator = Simulator::start(&["--jobs", "2", "--objects", "12", "--stands-for", "60s"]).await;
    let job = simulator.jobs().into_iter().find(|job| job.starts_with("stalling")).unwrap();
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let this_job = simulator.config.lines().filter(|line| !line.contains("- {id:") || line.contains(&job));
    let config = this_job.collect::<Vec<_>>().join("\n").replace("interval: 1s", "interval: 1s, types: [table]");
    let config = format!("{config}\npoll: {{stall_after: 20s}}\nstate_file: {}\n", state.display());
    let stalled = |samples: &Samples| samples.labelled("drs_objects_by_state", &job, "table", "state", "stalled");

    let killed = Exporter::start(&config).await;
    // One a second: by then it has stood for most of the time, of which a clock that began anew would know nothing.
    let samples = killed.polled(&job, "table", "success", 12.0).await;
    assert_eq!(stalled(&samples), Some(0.0));
    // The first listing is saved at once, and those that stand do so since then.
    eventually("the state", || async { fs::metadata(&state).ok().filter(|file| file.len() > 200) }).await;
    killed.kill().await;

    let exporter = Exporter::start(&config).await;
    let samples = exporter.until("the stall", |samples| stalled(samples) > Some(0.0)).await;
    let age = samples.of("drs_poll_last_success_timestamp_seconds", &job, "table").unwrap()
        - samples.get("process_start_time_seconds").unwrap();
    assert!(age < 18.0, "the clock began anew with the process, which has lived for {age} s");

    let windows = [("for: 1h", "for: 1s"), ("keep_firing_for: 5m", "keep_firing_for: 1s")];
    let scraping = Prometheus::scraping(&exporter.address().to_string());
    let prometheus = Prometheus::start(&format!("{}{scraping}", hurried(&folder, &windows))).await;
    let stalls = async || firing(&prometheus).await.remove("DrsObjectsStalled");
    let alert = eventually("the alert", &stalls).await;
    assert_eq!(alert["labels"]["job"], job);
    exporter.until("the end of the stall", |samples| stalled(samples) == Some(0.0)).await;
    eventually("the end of the alert", || async { stalls().await.is_none().then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_still_fires_and_what_moves_on_ends_it() {
    // One table stands at 50 until it is let go; another one moves at each poll until it is told to be done.
    let (stands, others_move) = (Arc::new(AtomicU64::new(50)), Arc::new(AtomicBool::new(true)));
    let (table, others) = (Arc::clone(&stands), Arc::clone(&others_move));
    let drs = Drs::answering(move |ask| {
        let at = match table.load(Ordering::Relaxed) {
            50 => 50,
            _ => table.fetch_add(1, Ordering::Relaxed).min(100),
        };
        let other = if others.load(Ordering::Relaxed) { ask.nth as u64 % 100 } else { 100 };
        page(2, &[row("stands", at), row("other", other)])
    })
    .await;
    let config = drs.config(&["{id: j, types: [table], name: orders}"]).replace("poll: {", "poll: {stall_after: 3s, ");
    let exporter = Exporter::start(&config).await;
    let folder = TempDir::new().unwrap();
    let windows = [("> 3600", "> 3"), ("for: 1h", "for: 1s"), ("keep_firing_for: 5m", "keep_firing_for: 1s")];
    let scraping = Prometheus::scraping(&exporter.address().to_string());
    let prometheus = Prometheus::start(&format!("{}{scraping}", hurried(&folder, &windows))).await;

    let until = async |what: &str, names: &[&str]| {
        eventually(what, || async { Some(firing(&prometheus).await).filter(|alerts| alerts.keys().eq(names)) }).await
    };
    let alerts = until("the object's alert alone", &["DrsObjectsStalled"]).await;
    let labels = serde_json::json!({
        "alertname": "DrsObjectsStalled", "severity": "warning", "job": "j", "type": "table", "account": "test", "name": "orders",
    });
    assert_eq!(alerts["DrsObjectsStalled"]["labels"], labels);
    assert_eq!(
        alerts["DrsObjectsStalled"]["annotations"]["summary"],
        "1 objects of type table stand still in migration orders"
    );

    others_move.store(false, Ordering::Relaxed);
    let alerts = until("the job's alert too", &["DrsJobStalled", "DrsObjectsStalled"]).await;
    let labels = serde_json::json!({
        "alertname": "DrsJobStalled", "severity": "critical", "job": "j", "account": "test", "name": "orders",
    });
    assert_eq!(alerts["DrsJobStalled"]["labels"], labels);
    let description = alerts["DrsJobStalled"]["annotations"]["description"].as_str().unwrap();
    assert!(description.ends_with("1 objects are below 100 percent."), "{description}");

    stands.store(51, Ordering::Relaxed);
    until("an end of both", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alertmanager_wakes_somebody_for_the_job_and_is_silent_about_its_objects() {
    let receivers = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&receivers).await;
    let config = ALERTMANAGER
        .replace("https://pager.example.com", &format!("{}/pager", receivers.uri()))
        .replace("https://chat.example.com", &format!("{}/chat", receivers.uri()))
        .replace("group_wait: 30s", "group_wait: 1s")
        .replace("group_interval: 5m", "group_interval: 1s");
    assert!(!config.contains("example.com"));
    let alertmanager = Alertmanager::start(&config).await;
    let fire = async |name: &str, severity: &str, labels: &[(&str, &str)]| {
        alertmanager.fire(&[&[("alertname", name), ("severity", severity)], labels].concat()).await;
    };
    // Alertmanager is told the causes first, so that nothing goes out before they are known.
    let (j, k, l) = (("job", "j"), ("job", "k"), ("job", "l"));
    let (prod, test, table) = (("account", "prod"), ("account", "test"), ("type", "table"));
    fire("DrsJobStalled", "critical", &[j, prod]).await;
    fire("DrsObjectsStalled", "warning", &[j, prod, table]).await;
    fire("DrsObjectsStalled", "warning", &[k, prod, table]).await;
    fire("DrsJobFailed", "critical", &[l, prod]).await;
    fire("DrsJobStalled", "critical", &[l, prod]).await;
    fire("DrsAccessDenied", "critical", &[test]).await;
    fire("DrsDataStale", "warning", &[("job", "m"), test, table]).await;
    fire("DrsDataStale", "warning", &[j, prod, table]).await;
    fire("DrsScrapeLabelsWrong", "warning", &[("job", "drs")]).await;
    fire("DrsJobStalled", "critical", &[("job", "drs")]).await;

    let shown = async || -> BTreeSet<(String, bool)> {
        let alerts = alertmanager.alerts().await;
        let shown =
            alerts.iter().map(|alert| (title(alert), !alert["status"]["inhibitedBy"].as_array().unwrap().is_empty()));
        shown.collect()
    };
    let expected = [
        ("DrsJobStalled j", false),
        ("DrsObjectsStalled j", true),
        ("DrsObjectsStalled k", false),
        ("DrsJobFailed l", false),
        ("DrsJobStalled l", true),
        ("DrsAccessDenied", false),
        ("DrsDataStale m", true),
        ("DrsDataStale j", false),
        ("DrsScrapeLabelsWrong drs", false),
        ("DrsJobStalled drs", true),
    ];
    let expected = expected.map(|(alert, silent)| (alert.to_owned(), silent)).into();
    assert_eq!(shown().await, expected);

    let told = eventually("every message", || async {
        let requests = receivers.received_requests().await.unwrap();
        let told: BTreeSet<(String, String)> = requests
            .iter()
            .flat_map(|request| {
                let message: Value = request.body_json().unwrap();
                let alerts = message["alerts"].as_array().unwrap().clone();
                alerts.into_iter().map(|alert| (request.url.path().to_owned(), title(&alert)))
            })
            .collect();
        Some(told).filter(|told| told.len() >= 6)
    });
    let expected = [
        ("/chat/drs", "DrsDataStale j"),
        ("/chat/drs", "DrsObjectsStalled k"),
        ("/chat/drs", "DrsScrapeLabelsWrong drs"),
        ("/pager/drs", "DrsAccessDenied"),
        ("/pager/drs", "DrsJobFailed l"),
        ("/pager/drs", "DrsJobStalled j"),
    ];
    assert_eq!(told.await, expected.map(|(path, alert)| (path.to_owned(), alert.to_owned())).into());

    fire("DrsExporterDown", "critical", &[("job", "drs")]).await;
    let loud: Vec<String> = shown().await.into_iter().filter(|(_, silent)| !silent).map(|(alert, _)| alert).collect();
    assert_eq!(loud, ["DrsExporterDown drs"]);
}

/// An alert by its name and job.
fn title(alert: &Value) -> String {
    let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default();
    format!("{} {}", label("alertname"), label("job")).trim_end().to_owned()
}
