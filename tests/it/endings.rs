//! SIGTERM, whatever goes on: the exporter ends by itself, with code 0, and leaves nothing half done.

use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use wiremock::ResponseTemplate;

use crate::support::drs::page;
use crate::support::drs::{Drs, failure, row, whole};
use crate::support::eventually;
use crate::support::exporter::Exporter;

/// What a stop may take, by the contract.
const STOP: Duration = Duration::from_secs(5);

/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(3600);

/// Asks it to stop, and waits until it has.
async fn stops(mut exporter: Exporter, while_what: &str) {
    let asked = Instant::now();
    exporter.signal("TERM");
    assert_eq!(exporter.ended().await.code(), Some(0), "{while_what}: {}", exporter.log());
    assert!(asked.elapsed() < STOP, "{while_what}: {:?}", asked.elapsed());
    let log = exporter.log();
    assert!(log.contains("SIGTERM: stopping") && log.contains("message=stopped"), "{while_what}: {log}");
    assert!(!log.contains("level=error") && !log.contains("panic"), "{while_what}: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_whatever_a_poll_waits_for() {
    // A change of the configuration, what DRS and IAM answer, and a word of the log that tells that it has come to that.
    let (none, one) = (ResponseTemplate::new(404), page(1, &[row("t", 10)]));
    let never = |status| ResponseTemplate::new(status).set_delay(NEVER);
    let slow = ("timeout: 2s", "timeout: 10m");
    let cases = [
        ("before the first poll", ("types: [table]", "types: [table], interval: 30d"), &one, &none, "listening"),
        ("in a log-in", slow, &one, &never(201), "followed from now on"),
        ("in a poll", slow, &never(200), &none, "followed from now on"),
        ("in the wait before another attempt", slow, &ResponseTemplate::new(503), &none, "followed from now on"),
        (
            "in a pause",
            slow,
            &failure(429, "APIGW.0308").insert_header("Retry-After", "120"),
            &none,
            "followed from now on",
        ),
        ("between two polls", slow, &one, &none, "message=poll"),
    ];
    for (phase, (from, to), answer, log_in, word) in cases {
        let (answer, token) = (answer.clone(), log_in.clone());
        let drs = Drs::answering_all(move |_| answer.clone(), move |_| token.clone()).await;
        let config = drs.config(&["{id: j, types: [table]}"]).replace(from, to);
        let password =
            format!("auth: {{password: {{user: u, domain: d, password: p}}}}\n    iam_endpoint: {}", drs.uri());
        let logs_in = phase == "in a log-in";
        let config = if logs_in { config.replace("auth: {token: the-token}", &password) } else { config };
        let exporter = Exporter::start(&config).await;
        let waits_for_drs = phase != "before the first poll";
        let asked = || !waits_for_drs || drs.all_asked().len() + drs.others().len() > 0;
        eventually(phase, || async { (asked() && exporter.log().contains(word)).then_some(()) }).await;
        assert_eq!(exporter.get("/metrics").await.status(), 200, "{phase}");
        stops(exporter, phase).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_while_the_state_is_written_and_the_state_is_whole() {
    const OBJECTS: u64 = 60_000;
    let drs = Drs::answering(|ask| whole(ask, OBJECTS)).await;
    let folder = TempDir::new().unwrap();
    let config = drs.config(&["{id: j, types: [table], interval: 5s}"]).replace("timeout: 2s", "timeout: 1m");
    let config = format!("{config}state_file: {}\n", folder.path().join("state").display());
    let exporter = Exporter::start(&config).await;
    exporter.polled("j", "table", "success", 1.0).await;
    stops(exporter, "with all that was seen").await;
    for _ in 0..3 {
        // It begins to save before it listens.
        let exporter = Exporter::start(&config).await;
        assert!(exporter.log().contains("message=\"state read\""), "{}", exporter.log());
        stops(exporter, "while it saves").await;
        let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["state"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_while_a_scrape_is_read_slowly_however_often_it_is_asked() {
    let drs = Drs::answering(|ask| whole(ask, 20_000)).await;
    let config = drs.config(&["{id: j, types: [table], interval: 5s}"]).replace("timeout: 2s", "timeout: 1m");
    let mut exporter = Exporter::start(&config).await;
    exporter.polled("j", "table", "success", 1.0).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut reader = socket.connect(exporter.address()).await.unwrap();
    reader.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    reader.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let asked = Instant::now();
    exporter.signal("TERM");
    eventually("the first signal", || async { exporter.log().contains("SIGTERM: stopping").then_some(()) }).await;
    // The reader holds it up, so it is there to hear them.
    exporter.signal("TERM");
    exporter.signal("INT");
    assert_eq!(exporter.ended().await.code(), Some(0));
    assert!(asked.elapsed() < STOP, "{:?}", asked.elapsed());
}
