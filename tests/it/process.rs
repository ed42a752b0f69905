//! The process: when it is ready, how it ends, and what it does about flags that are wrong.

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::support::drs::{Drs, whole};
use crate::support::eventually;
use crate::support::exporter::{Exporter, program};

/// What a stop may take, by the contract.
const STOP: Duration = Duration::from_secs(5);

async fn exits(arguments: &[&str]) -> (Option<i32>, String) {
    let output: Output = program().args(arguments).output().await.unwrap();
    let words = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(words).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_with_code_0_also_in_the_middle_of_a_poll() {
    for signal in ["TERM", "INT"] {
        let drs = Drs::answering(|ask| whole(ask, 1).set_delay(Duration::from_secs(60))).await;
        let mut exporter = Exporter::start(&drs.config(&["{id: j, types: [table]}"])).await;
        eventually("a poll under way", || async { (!drs.asked("j").is_empty()).then_some(()) }).await;
        let asked = Instant::now();
        exporter.signal(signal);
        assert_eq!(exporter.ended().await.code(), Some(0), "{signal}");
        assert!(asked.elapsed() < STOP, "{signal}: {:?}", asked.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_go_away_cannot_hold_up_the_end() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let mut exporter = Exporter::start(&drs.config(&["{id: j, types: [table]}"])).await;
    let mut idle = TcpStream::connect(exporter.address()).await.unwrap();
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let mut half = TcpStream::connect(exporter.address()).await.unwrap();
    half.write_all(b"GET /metr").await.unwrap();
    let asked = Instant::now();
    exporter.signal("TERM");
    assert_eq!(exporter.ended().await.code(), Some(0));
    assert!(asked.elapsed() < STOP, "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_once_each_type_was_polled_and_healthy_before() {
    let answers = Arc::new(AtomicBool::new(false));
    let let_go = Arc::clone(&answers);
    let drs = Drs::answering(move |ask| {
        let waits = &ask.job == "slow" && !let_go.load(Ordering::SeqCst);
        if waits { whole(ask, 1).set_delay(Duration::from_secs(60)) } else { whole(ask, 1) }
    })
    .await;
    // Two intervals of an hour are longer than any test.
    let jobs = ["{id: slow, types: [table], interval: 1s}", "{id: other, types: [table], interval: 1s}"];
    let config = drs
        .config(&[&jobs[..], &["{id: third, types: [table], interval: 1h}"]].concat())
        .replace("timeout: 2s", "timeout: 10m");
    let exporter = Exporter::start(&config).await;
    exporter.polled("other", "table", "success", 1.0).await;
    let answer = exporter.get("/-/ready").await;
    assert_eq!(answer.status(), 503);
    let words = answer.text().await.unwrap();
    assert_eq!(words, "Not ready: 2 first polls are still to come.\n");
    assert_eq!(exporter.get("/-/healthy").await.status(), 200);

    let quick = Exporter::start(&drs.config(&["{id: other, types: [table, view]}"])).await;
    quick.until_ready().await;
    assert!(quick.samples().await.polls("other", "view", "success") > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_does_not_answer_keeps_it_unready_for_two_intervals_only() {
    let drs = Drs::answering(|ask| whole(ask, 1).set_delay(Duration::from_secs(60))).await;
    let config = drs.config(&["{id: j, types: [table]}"]).replace("timeout: 2s", "timeout: 10m");
    let exporter = Exporter::start(&config).await;
    exporter.until_ready().await;
    assert_eq!(exporter.samples().await.polls("j", "table", "error"), 0.0, "the first poll is still under way");
}

#[tokio::test]
async fn the_command_line_explains_itself() {
    let (code, version) = exits(&["--version"]).await;
    assert_eq!((code, &version[..]), (Some(0), concat!("drs-exporter ", env!("CARGO_PKG_VERSION"), "\n")));
    let (code, help) = exits(&["-h"]).await;
    assert_eq!(code, Some(0));
    let flags = [
        "--config.file",
        "--web.listen-address",
        "--web.telemetry-path",
        "--web.enable-lifecycle",
        "--web.disable-exporter-metrics",
        "--log.level",
        "--log.format",
    ];
    for words in flags.into_iter().chain(["demo", "simulate"]) {
        assert!(help.contains(words), "{words}: {help}");
    }
    for wrong in
        [&["--web.listen-address=10058"][..], &["--web.telemetry-path=metrics"], &["--log.level=loud"], &["--nonsense"]]
    {
        let (code, words) = exits(wrong).await;
        assert_eq!(code, Some(2), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_told() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let first = Exporter::start(&drs.config(&["{id: j}"])).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a.yml");
    std::fs::write(&file, drs.config(&["{id: j}"])).unwrap();
    let address = first.address().to_string();
    let (code, words) = exits(&["--config.file", file.to_str().unwrap(), "--web.listen-address", &address]).await;
    assert_eq!(code, Some(1));
    assert!(
        words.contains(&format!("cannot listen on {address}")) && words.contains("--web.listen-address"),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_may_be_json() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a.yml");
    std::fs::write(&file, drs.config(&["{id: j}"])).unwrap();
    let mut command = program();
    command.args(["--config.file", file.to_str().unwrap(), "--web.listen-address=127.0.0.1:0", "--log.format=json"]);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut last = String::new();
    while last != "listening" {
        let line = lines.next_line().await.unwrap().expect("a line of the log");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["level"], "INFO");
        last = event["fields"]["message"].as_str().unwrap().to_owned();
    }
    child.kill().await.unwrap();
}
