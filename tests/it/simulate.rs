//! The simulated DRS alone, and the exporter on it by the configuration that it prints.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::support::exporter::{Exporter, program};

/// Starts the simulator; gives the configuration that it printed, which polls each second.
async fn simulate(flags: &[&str]) -> (Child, String) {
    let mut command = program();
    command.args(["simulate", "--listen", "127.0.0.1:0"]).args(flags).stderr(Stdio::inherit());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut config = String::new();
    let jobs = flags.iter().position(|flag| *flag == "--jobs").map_or(5, |place| flags[place + 1].parse().unwrap());
    while config.matches("- {id:").count() < jobs {
        config += &lines.next_line().await.unwrap().expect("the whole configuration");
        config.push('\n');
    }
    (child, config.replace("interval: 5s", "interval: 1s"))
}

fn jobs(config: &str) -> Vec<String> {
    config.split("{id: ").skip(1).map(|rest| rest.split_once(',').unwrap().0.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exporter_runs_on_what_it_prints() {
    let (_simulator, config) = simulate(&["--objects", "2500"]).await;
    let exporter = Exporter::start(&config).await;
    let moving = jobs(&config).remove(0);
    let samples = exporter.polled(&moving, "table", "success", 1.0).await;
    assert_eq!(samples.objects(&moving, "table"), 2500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_a_quota_and_faults_are_what_they_say() {
    let (_simulator, config) = simulate(&["--jobs", "1"]).await;
    let exporter = Exporter::start(&config.replace("token: simulated-token", "token: other")).await;
    let job = jobs(&config).remove(0);
    let samples = exporter.polled(&job, "table", "auth", 1.0).await;
    assert!(samples.errors(&job, "table", "DRS.M00100") >= 1.0);

    let (_simulator, config) = simulate(&["--jobs", "1", "--requests-per-second", "2"]).await;
    let exporter = Exporter::start(&config).await;
    let refused = r#"drs_api_requests_total{account="simulated",operation="progress_data",status="429"}"#;
    exporter.until("throttling", |samples| samples.get(refused).is_some_and(|requests| requests >= 3.0)).await;
    let job = jobs(&config).remove(0);
    exporter.polled(&job, "table", "success", 1.0).await;

    let (_simulator, config) = simulate(&["--jobs", "1", "--fault-percent", "100", "--latency", "10ms"]).await;
    let exporter = Exporter::start(&config).await;
    let job = jobs(&config).remove(0);
    let samples = exporter.polled(&job, "table", "error", 1.0).await;
    let polls = samples.polls(&job, "table", "error");
    assert_eq!(samples.errors(&job, "table", "DRS.M00004"), 3.0 * polls, "three attempts in each poll");
}

#[tokio::test]
async fn wrong_flags_are_refused() {
    let folder = TempDir::new().unwrap();
    for wrong in [["--fault-percent", "101"], ["--listen", "nowhere"], ["--latency", "5"]] {
        let output = program().current_dir(&folder).arg("simulate").args(wrong).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}
