//! The configuration is reread while the exporter runs: what changes changes, what stays does not notice, and a file that is wrong
//! changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;
use wiremock::ResponseTemplate;

use crate::support::drs::{Ask, Drs, failure, page, row, whole};
use crate::support::eventually;
use crate::support::exporter::{Exporter, program};
use crate::support::samples::Samples;

const LIFECYCLE: &[&str] = &["--web.enable-lifecycle"];
const SUCCESSFUL: &str = "drs_exporter_config_last_reload_successful";
const SUCCESS_TIMESTAMP: &str = "drs_exporter_config_last_reload_success_timestamp_seconds";

/// A job whose only object is done. It is polled once, and not again within the hour.
const DONE: &str = "{id: done, types: [table]}";
const CLOCK: &str = "{id: clock, types: [table]}";

fn answer(ask: &Ask) -> ResponseTemplate {
    match ask.job.as_str() {
        "done" => page(1, &[row("t", 100)]),
        "stands" => page(1, &[row("t", 50)]),
        _ => whole(ask, 3),
    }
}

/// What is done is polled again in an hour.
fn config(drs: &Drs, jobs: &[&str]) -> String {
    drs.config(jobs).replace("settled_interval: 1s", "settled_interval: 1h")
}

async fn start(config: &str) -> Exporter {
    Exporter::start_with(config, LIFECYCLE).await
}

/// All that is told of a job.
fn all_of(samples: &Samples, job: &str) -> BTreeMap<String, f64> {
    let label = format!(r#"job="{job}""#);
    let of_job = samples.beginning("").into_iter().filter(|(series, _)| series.contains(&label));
    of_job.map(|(series, value)| (series.to_owned(), value)).collect()
}

/// Lets three polls of another job pass, each a second after the one before.
async fn time_passes(exporter: &Exporter) {
    let polls = exporter.samples().await.polls("clock", "table", "success");
    exporter.polled("clock", "table", "success", polls + 3.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_come_and_go_and_those_that_stay_do_not_notice() {
    let drs = Drs::answering(answer).await;
    let exporter = start(&config(&drs, &[DONE, CLOCK, "{id: goes, types: [table, view]}"])).await;
    exporter.polled("goes", "view", "success", 1.0).await;
    let before = exporter.polled("done", "table", "success", 1.0).await;

    exporter.takes(&config(&drs, &["{id: comes, types: [table, event]}", CLOCK, DONE])).await;
    assert_eq!(all_of(&exporter.samples().await, "goes"), BTreeMap::new(), "what left goes with the answer");
    let clock = before.polls("clock", "table", "success");
    let after = exporter.polled("comes", "event", "success", 1.0).await;
    assert!(after.polls("clock", "table", "success") >= clock, "a counter began anew");
    let asked = drs.asked("goes").len();
    time_passes(&exporter).await;
    assert_eq!(drs.asked("goes").len(), asked, "asked for after it had left");
    assert_eq!(drs.asked("done").len(), 1, "an extra poll of what stayed");
    assert_eq!(all_of(&exporter.samples().await, "done"), all_of(&before, "done"));

    // By the signal, and back again; what comes back has begun anew.
    exporter.configure(&config(&drs, &[DONE, "{id: goes, types: [view]}"]));
    exporter.signal("HUP");
    let samples = exporter.until("what the signal brings", |samples| all_of(samples, "comes").is_empty()).await;
    assert!(samples.polls("goes", "view", "success") <= 1.0);
    assert_eq!(all_of(&samples, "done"), all_of(&before, "done"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_new_is_polled_at_once() {
    let drs = Drs::answering(answer).await;
    let exporter = start(&config(&drs, &[DONE])).await;
    exporter.takes(&config(&drs, &[DONE, "{id: new, types: [table, view], interval: 6h}"])).await;
    exporter.polled("new", "view", "success", 1.0).await;
    exporter.polled("new", "table", "success", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn types_come_and_go_and_the_others_stay() {
    let drs = Drs::answering(answer).await;
    let config = |types: &str| config(&drs, &[&format!("{{id: done, types: [{types}]}}"), CLOCK]);
    let exporter = start(&config("table")).await;
    let before = exporter.polled("done", "table", "success", 1.0).await;
    exporter.takes(&config("table, view")).await;
    let both = exporter.polled("done", "view", "success", 1.0).await;
    let of = |samples: &Samples, kind: &str| -> BTreeMap<String, f64> {
        let label = format!(r#"type="{kind}""#);
        all_of(samples, "done").into_iter().filter(|(series, _)| series.contains(&label)).collect()
    };
    assert_eq!(of(&both, "table"), of(&before, "table"));
    exporter.takes(&config("view")).await;
    let view = exporter.samples().await;
    assert_eq!(of(&view, "table"), BTreeMap::new());
    assert_eq!(of(&view, "view"), of(&both, "view"));
    exporter.takes(&config("view, table")).await;
    let again = exporter.polled("done", "table", "success", 1.0).await;
    assert_eq!(again.polls("done", "table", "success"), 1.0, "it has begun anew");
    assert_eq!(of(&again, "view"), of(&both, "view"));
    time_passes(&exporter).await;
    assert_eq!(drs.asked("done").len(), 3, "one for each time that a type came");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_interval_holds_at_once_and_counts_on() {
    let drs = Drs::answering(answer).await;
    let config = |interval: &str, settled: &str| {
        let jobs = [DONE, CLOCK, &format!("{{id: j, types: [table], interval: {interval}}}")];
        config(&drs, &jobs).replace("settled_interval: 1h", &format!("settled_interval: {settled}"))
    };
    let exporter = start(&config("1s", "1h")).await;
    exporter.polled("done", "table", "success", 1.0).await;
    let polls = exporter.polled("j", "table", "success", 2.0).await.polls("j", "table", "success");
    exporter.takes(&config("6h", "1h")).await;
    time_passes(&exporter).await;
    let asked = drs.asked("j").len();
    assert!(asked as f64 <= polls + 2.0, "{asked} polls where {polls} were made before");
    time_passes(&exporter).await;
    assert_eq!((drs.asked("j").len(), drs.asked("done").len()), (asked, 1));

    exporter.takes(&config("1s", "2s")).await;
    exporter.polled("j", "table", "success", polls + 3.0).await;
    let samples = exporter.polled("done", "table", "success", 3.0).await;
    let skipped = |job: &str| samples.of("drs_polls_skipped_total", job, "table");
    assert_eq!((skipped("j"), skipped("done")), (Some(0.0), Some(0.0)), "nothing was left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_and_limits_of_series_hold_from_the_next_listing() {
    let drs = Drs::answering(answer).await;
    let config = |objects: &str, most: u32| {
        let jobs = [format!("{{id: j, types: [table], objects: {objects}}}")];
        format!("{}exposition: {{max_series_per_job: {most}}}\n", config(&drs, &[&jobs[0]]))
    };
    let exporter = start(&config("all", 100)).await;
    exporter.until("three objects", |samples| samples.objects("j", "table") == 3).await;
    exporter.takes(&config("all", 2)).await;
    let samples = exporter.until("two objects", |samples| samples.objects("j", "table") == 2).await;
    assert_eq!(samples.of("drs_objects_suppressed", "j", "table"), Some(1.0));
    exporter.takes(&config("none", 2)).await;
    exporter.until("no object", |samples| samples.objects("j", "table") == 0).await;
    exporter.takes(&config("unfinished", 100)).await;
    exporter.until("three objects again", |samples| samples.objects("j", "table") == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_poll_holds_as_well() {
    let drs = Drs::answering(|ask| if ask.limit == 7 { failure(500, "") } else { answer(ask) }).await;
    let config = |poll: &str| {
        config(&drs, &["{id: stands, types: [table]}", CLOCK]).replace("poll: {", &format!("poll: {{{poll}, "))
    };
    let exporter = start(&config("stall_after: 1h")).await;
    let before = exporter.polled("stands", "table", "success", 2.0).await;
    exporter.takes(&config("stall_after: 1s")).await;
    let stalled = |samples: &Samples| samples.labelled("drs_objects_by_state", "stands", "table", "state", "stalled");
    let after = exporter.until("a stalled object", |samples| stalled(samples) == Some(1.0)).await;
    let last_change = |samples: &Samples| samples.of("drs_last_change_timestamp_seconds", "stands", "table").unwrap();
    assert_eq!(last_change(&after), last_change(&before), "the clock goes on");
    // The size of a page, with which polls fail here, and how long the last good listing is shown then.
    exporter.takes(&config("stall_after: 1s, page_size: 7, stale_after: 1h")).await;
    let failing = exporter.polled("stands", "table", "error", 1.0).await;
    assert_eq!(failing.objects("stands", "table"), 1);
    exporter.takes(&config("stall_after: 1s, page_size: 7, stale_after: 1s")).await;
    exporter.until("it to be too old", |samples| samples.objects("stands", "table") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_under_way_ends_as_it_began() {
    let drs = Drs::answering(|ask| match ask.job.as_str() {
        "slow" => page(1, &[row("t", 100)]).set_delay(Duration::from_secs(4)),
        _ => answer(ask),
    })
    .await;
    let config = |jobs: &[&str]| config(&drs, jobs).replace("timeout: 2s", "timeout: 30s");
    let exporter = start(&config(&["{id: slow, types: [table]}"])).await;
    eventually("a poll under way", || async { (drs.asked("slow").len() == 1).then_some(()) }).await;
    exporter.takes(&config(&["{id: slow, types: [table], interval: 6h, objects: none}", CLOCK])).await;
    assert_eq!(exporter.samples().await.polls("slow", "table", "success"), 0.0, "it is under way");
    let samples = exporter.polled("slow", "table", "success", 1.0).await;
    assert_eq!((samples.objects("slow", "table"), drs.asked("slow").len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_changes_nothing_and_is_told() {
    let drs = Drs::answering(answer).await;
    let good = config(&drs, &[DONE, CLOCK]);
    let exporter = start(&good).await;
    let before = exporter.polled("done", "table", "success", 1.0).await;
    assert_eq!(before.get(SUCCESSFUL), Some(1.0));
    let started = before.get(SUCCESS_TIMESTAMP).unwrap();
    let broken = good.replace("the-token", "s3cret").replace("interval: 1s", "interval: 1x, nonsense: 1") + "more: 1\n";
    exporter.configure(&broken);
    let (status, words) = exporter.reload().await;
    assert_eq!(status, 500, "{words}");
    for told in ["poll.interval", "nonsense", "more", "problems in the configuration; nothing was changed\n"] {
        assert!(words.contains(told), "no {told}: {words}");
    }
    let log = exporter.log();
    assert!(log.contains("nonsense") && log.contains("the one before holds"), "{log}");
    let after = exporter.samples().await;
    assert_eq!((after.get(SUCCESSFUL), after.get(SUCCESS_TIMESTAMP)), (Some(0.0), Some(started)));
    time_passes(&exporter).await;
    assert_eq!(all_of(&exporter.samples().await, "done"), all_of(&before, "done"));
    assert_eq!(drs.asked("done").len(), 1);

    // The same by the signal; and a file that is gone.
    exporter.takes(&good).await;
    assert!(exporter.samples().await.get(SUCCESS_TIMESTAMP).unwrap() > started);
    exporter.configure(&broken);
    exporter.signal("HUP");
    exporter.until("the signal to fail", |samples| samples.get(SUCCESSFUL) == Some(0.0)).await;
    exporter.configure(&good);
    exporter.signal("HUP");
    exporter.until("it to be well again", |samples| samples.get(SUCCESSFUL) == Some(1.0)).await;
    for text in [words, exporter.log()] {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_cannot_be_used_changes_nothing() {
    let drs = Drs::answering(answer).await;
    let good = config(&drs, &[DONE]);
    let exporter = start(&good).await;
    let before = exporter.polled("done", "table", "success", 1.0).await;
    let no_file = |name: &str| {
        format!("  - name: {name}\n    region: somewhere-1\n    discovery: {{}}\n    ca_file: /no/{name}\n")
    };
    let other = good.replace("done", "other").replace("poll:", &format!("{}{}poll:", no_file("b"), no_file("c")));
    exporter.configure(&other);
    let (status, words) = exporter.reload().await;
    assert!(status == 500 && words.contains("/no/b") && words.contains("/no/c"), "{status} {words}");
    let after = exporter.samples().await;
    assert_eq!(all_of(&after, "done"), all_of(&before, "done"));
    assert!(all_of(&after, "other").is_empty() && drs.asked("other").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_change_while_it_runs_is_refused_whole() {
    let drs = Drs::answering(answer).await;
    let (good, other) = (config(&drs, &[DONE]), config(&drs, &["{id: other, types: [table]}"]));
    let exporter = start(&good).await;
    exporter.polled("done", "table", "success", 1.0).await;
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let keys = [
        ("exposition.job_label", "exposition: {job_label: drs_job}\n".to_owned()),
        ("exposition.max_label_bytes", "exposition: {max_label_bytes: 100}\n".to_owned()),
        ("state_file", format!("state_file: {}\n", state.display())),
    ];
    for (key, line) in keys {
        exporter.configure(&format!("{other}{line}"));
        let (status, words) = exporter.reload().await;
        assert_eq!(status, 500, "{key}");
        assert!(
            words.contains(&format!("drs-exporter.yml: {key}: cannot change")) && words.contains("restart"),
            "{words}"
        );
        assert!(words.ends_with("1 problem in the configuration; nothing was changed\n"), "{words}");
    }
    assert!(drs.asked("other").is_empty() && !state.exists());
    assert_eq!(exporter.samples().await.get(SUCCESSFUL), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_asked_over_http_only_where_that_is_allowed() {
    let drs = Drs::answering(answer).await;
    let exporter = Exporter::start(&config(&drs, &[DONE])).await;
    exporter.configure("nonsense");
    let (status, words) = exporter.reload().await;
    assert_eq!(status, 403);
    assert!(words.contains("--web.enable-lifecycle"), "{words}");
    assert_eq!(exporter.samples().await.get(SUCCESSFUL), Some(1.0), "nothing was reread");
    let exporter = start(&config(&drs, &[DONE])).await;
    assert_eq!(exporter.get("/-/reload").await.status(), 405);
    let put = exporter.client().put(exporter.url("/-/reload")).send().await.unwrap();
    assert_eq!(put.status(), 405);
    assert!(!exporter.log().contains("reread"));
    let without = Exporter::start_with(&config(&drs, &[DONE]), &["--web.disable-exporter-metrics"]).await;
    assert!(without.samples().await.beginning("drs_exporter_config").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_served_by_a_few() {
    let drs = Drs::answering(answer).await;
    let exporter = start(&config(&drs, &[DONE, CLOCK])).await;
    let before = exporter.polled("done", "table", "success", 1.0).await;
    exporter.configure(&config(&drs, &[DONE, CLOCK, "{id: new, types: [table]}"]));
    let answers = join_all((0..50).map(|_| exporter.reload())).await;
    let count = |wanted: u16| answers.iter().filter(|(status, _)| *status == wanted).count();
    assert!(count(200) >= 1 && count(200) + count(503) == 50, "{answers:?}");
    for _ in 0..20 {
        exporter.signal("HUP");
    }
    exporter.polled("new", "table", "success", 2.0).await;
    time_passes(&exporter).await;
    let after = exporter.samples().await;
    assert_eq!(all_of(&after, "done"), all_of(&before, "done"));
    assert_eq!((drs.asked("done").len(), after.get(SUCCESSFUL)), (1, Some(1.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_phase_is_ended_by_the_signal() {
    let drs = Drs::answering(answer).await;
    let folder = TempDir::new().unwrap();
    let (file, pipe) = (folder.path().join("real.yml"), folder.path().join("drs-exporter.yml"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::write(&file, config(&drs, &[DONE])).unwrap();
    let mut command = program();
    command.arg("--config.file").arg(&pipe).args(["--web.listen-address=127.0.0.1:0"]);
    // It waits at its start for somebody to write the configuration.
    let hung_up = Arc::new(Mutex::new(0));
    let count = Arc::clone(&hung_up);
    std::thread::spawn(move || {
        let mut writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        let own = std::process::id();
        let children = Command::new("pgrep").args(["-P", &own.to_string(), "-f", &pipe.display().to_string()]).output();
        let children = String::from_utf8(children.unwrap().stdout).unwrap();
        for id in children.lines() {
            assert!(Command::new("kill").args(["-HUP", id]).status().unwrap().success());
            *count.lock().unwrap() += 1;
        }
        std::io::Write::write_all(&mut writer, &fs::read(&file).unwrap()).unwrap();
        fs::rename(file, pipe).unwrap();
    });
    let mut exporter = Exporter::run(command, folder).await;
    assert_eq!(*hung_up.lock().unwrap(), 1);
    eventually("what was asked for at the start", || async { exporter.log().contains("reread").then_some(()) }).await;
    exporter.signal("TERM");
    for _ in 0..10 {
        exporter.signal("HUP");
    }
    assert_eq!(exporter.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_has_nothing_to_reread() {
    let mut command = program();
    command.args(["demo", "--web.listen-address=127.0.0.1:0", "--web.enable-lifecycle"]);
    let exporter = Exporter::run(command, TempDir::new().unwrap()).await;
    let nothing = "There is nothing to reread: the demo has no configuration file.\n";
    assert_eq!(exporter.reload().await, (200, nothing.to_owned()));
    exporter.signal("HUP");
    eventually("the signal to be heard", || async { exporter.log().contains("SIGHUP").then_some(()) }).await;
    assert_eq!(exporter.samples().await.get(SUCCESSFUL), Some(1.0));
}
