//! Readers who stall, and those who never ask: they hold their places and nothing else, and not for long.

use std::cell::Cell;
use std::fs;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::support::drs::{Drs, page, row, whole};
use crate::support::exporter::{Exporter, program};
use crate::support::{PATIENCE, eventually, eventually_within};

/// Rows whose names make a body that no buffer of the system holds.
const ROWS: u64 = 5_000;
const NAME_BYTES: usize = 1_000;

/// An exporter with a body of 20 MB, which allows so many requests at once.
async fn with_much_to_read(max_requests: usize) -> (Drs, Exporter) {
    let drs = Drs::answering(|ask| {
        let name = |number: u64| format!("{number:0>NAME_BYTES$}");
        let rows: Vec<_> = (ask.offset..(ask.offset + ask.limit).min(ROWS)).map(|n| row(&name(n), 100)).collect();
        page(ROWS, &rows)
    })
    .await;
    let config = drs.config(&["{id: large, types: [table]}"]).replace("settled_interval: 1s", "settled_interval: 1h");
    let config = config.replace("timeout: 2s", "timeout: 30s");
    let exporter = Exporter::start_with(&config, &[&format!("--web.max-requests={max_requests}")]).await;
    let samples = exporter.polled("large", "table", "success", 1.0).await;
    assert_eq!(samples.objects("large", "table"), ROWS as usize);
    (drs, exporter)
}

/// Asks for the metrics, and reads no more than that the answer has begun.
async fn stalls(exporter: &Exporter) -> TcpStream {
    // Somebody who has read an answer to its end may be back sooner than its place is free.
    eventually("a place to stall in", async || {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(exporter.address()).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        (&first == b"HTTP/1.1 200").then_some(stream)
    })
    .await
}

async fn status(exporter: &Exporter, path: &str) -> u16 {
    exporter.get(path).await.status().as_u16()
}

/// Asks once more over the same connection, and reads the answer to its end.
async fn asks_again(stream: &mut BufReader<TcpStream>) -> String {
    stream.write_all(b"GET /api/v1/schema HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    head
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_stall_hold_their_places_until_they_are_closed() {
    let (_drs, exporter) = with_much_to_read(2).await;
    let mut idle = BufReader::new(TcpStream::connect(exporter.address()).await.unwrap());
    assert!(asks_again(&mut idle).await.starts_with("HTTP/1.1 200"));
    let readers = [stalls(&exporter).await, stalls(&exporter).await];

    let refused = exporter.get("/metrics").await;
    assert_eq!(refused.status(), 503);
    let words = "2 requests are being answered, which is the limit; try again later. --web.max-requests changes it.\n";
    assert_eq!(refused.text().await.unwrap(), words);
    for (path, expected) in [
        ("/", 503),
        ("/metrics?job=large", 503),
        ("/api/v1/jobs", 503),
        ("/api/v1/schema", 503),
        ("/sd", 503),
        ("/-/healthy", 200),
        ("/-/ready", 200),
        ("/nothing", 404),
    ] {
        assert_eq!(status(&exporter, path).await, expected, "{path}");
    }

    // One that began to stall later is closed later, and whoever reads before that does not stall.
    let closed = async || (exporter.log().matches("takes nothing").count() == 2).then_some(());
    eventually_within(2 * PATIENCE, "both to be closed", closed).await;
    eventually("a place", async || (status(&exporter, "/api/v1/schema").await == 200).then_some(())).await;
    for mut reader in readers {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut rest)).await.expect("the end");
        assert!(read.is_err(), "it got {} bytes and a proper end", rest.len());
        assert!(rest.len() < NAME_BYTES * ROWS as usize, "{}", rest.len());
    }
    assert_eq!(exporter.samples().await.objects("large", "table"), ROWS as usize);
    assert!(asks_again(&mut idle).await.starts_with("HTTP/1.1 200"), "a connection may be idle");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_leaves_its_place_at_once() {
    let (_drs, exporter) = with_much_to_read(1).await;
    let reader = stalls(&exporter).await;
    assert_eq!(status(&exporter, "/metrics").await, 503);
    drop(reader);
    eventually("a place", async || (status(&exporter, "/metrics").await == 200).then_some(())).await;
    assert!(!exporter.log().contains("takes nothing"), "it was closed for another reason");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_leaves_its_place() {
    let (_drs, exporter) = with_much_to_read(1).await;
    let mut client = eventually("a place", async || {
        let mut client = BufReader::new(TcpStream::connect(exporter.address()).await.unwrap());
        asks_again(&mut client).await.starts_with("HTTP/1.1 200").then_some(client)
    })
    .await;
    for _ in 0..20 {
        assert!(asks_again(&mut client).await.starts_with("HTTP/1.1 200"));
    }
    // A length that is known is told, as without a limit.
    for path in ["/", "/metrics", "/api/v1/jobs"] {
        let answer = eventually("a place", async || {
            Some(exporter.client().head(exporter.url(path)).send().await.unwrap()).filter(|head| head.status() == 200)
        });
        assert!(answer.await.headers().contains_key("content-length"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_limit_nobody_is_refused() {
    let (_drs, exporter) = with_much_to_read(0).await;
    let mut readers = Vec::new();
    for _ in 0..41 {
        readers.push(stalls(&exporter).await);
    }
    let scrape = tokio::time::timeout(Duration::from_secs(60), exporter.samples()).await.unwrap();
    assert_eq!(scrape.objects("large", "table"), ROWS as usize);
    drop(readers);
}

/// Connects and sends half the head of a request.
async fn asks_by_half(exporter: &Exporter) -> TcpStream {
    let mut stream = TcpStream::connect(exporter.address()).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    stream
}

/// An exporter that may open so many files.
async fn with_open_files(most: u32, drs: &Drs) -> Exporter {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("drs-exporter.yml");
    fs::write(&file, drs.config(&["{id: good, types: [table]}"])).unwrap();
    let inner = program();
    let mut command = Command::new("sh");
    command.kill_on_drop(true).stderr(std::process::Stdio::piped());
    command.arg("-c").arg(format!("ulimit -n {most} && exec \"$0\" \"$@\"")).arg(inner.as_std().get_program());
    command.arg("--config.file").arg(&file).args(["--web.listen-address=127.0.0.1:0", "--log.level=debug"]);
    Exporter::run(command, folder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_send_half_a_head_are_closed_and_hold_nobody_up() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let exporter = with_open_files(1024, &drs).await;
    let mut waiting = JoinSet::new();
    for _ in 0..500 {
        let mut stream = asks_by_half(&exporter).await;
        waiting.spawn(async move { stream.read_to_end(&mut Vec::new()).await });
    }
    let scrapes = Cell::new(0);
    eventually("the first of them to be closed", || async {
        // On a connection of its own, as one who comes new.
        let mut reader = BufReader::new(TcpStream::connect(exporter.address()).await.unwrap());
        assert!(asks_again(&mut reader).await.starts_with("HTTP/1.1 200"));
        scrapes.set(scrapes.get() + 1);
        exporter.log().contains("closing a connection").then_some(())
    })
    .await;
    assert!(scrapes.get() > 10, "{} scrapes while all of them were there", scrapes.get());
    let all = tokio::time::timeout(PATIENCE, waiting.join_all()).await.expect("all of them to be closed");
    assert_eq!(all.len(), 500);
    // The log comes by another way than the end of a connection.
    let told = async || (exporter.log().matches("no whole head of a request came").count() == 500).then_some(());
    eventually("the log to tell of all of them", told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_room_those_who_wait_longest_have_to_go() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let exporter = with_open_files(1024, &drs).await;
    let mut first = asks_by_half(&exporter).await;
    let mut others = Vec::new();
    for _ in 1..512 {
        others.push(asks_by_half(&exporter).await);
    }
    assert_eq!(status(&exporter, "/metrics").await, 200);
    assert_eq!(first.read_to_end(&mut Vec::new()).await.unwrap_or_default(), 0);
    let told = async || (exporter.log().matches("others needed the room").count() == 1).then_some(());
    eventually("the log to tell of it", told).await;
    drop(others);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_too_many_open_files_those_who_wait_longest_have_to_go() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let exporter = with_open_files(100, &drs).await;
    let mut waiting = Vec::new();
    for _ in 0..150 {
        waiting.push(asks_by_half(&exporter).await);
    }
    assert_eq!(status(&exporter, "/metrics").await, 200);
    let told = async || {
        let log = exporter.log();
        (log.contains("raise their limit") && log.contains("others needed the room")).then_some(())
    };
    eventually("the log to tell of it", told).await;
    drop(waiting);
    eventually("the end of it", async || exporter.log().contains("connections are taken again").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused_and_a_body_is_not_waited_for() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let exporter = with_open_files(1024, &drs).await;
    let answer = async |request: &[u8]| {
        let mut stream = TcpStream::connect(exporter.address()).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        String::from_utf8(answer.to_vec()).unwrap()
    };
    let large = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(60 * 1024));
    assert_eq!(answer(large.as_bytes()).await, "HTTP/1.1 200");
    let larger = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(100 * 1024));
    assert_eq!(answer(larger.as_bytes()).await, "HTTP/1.1 431");
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "x: x\r\n".repeat(200));
    assert_eq!(answer(many.as_bytes()).await, "HTTP/1.1 431");
    assert_eq!(answer(b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx").await, "HTTP/1.1 200");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_browsers_to_make_nothing_else_of_it() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let exporter = Exporter::start(&drs.config(&["{id: good, types: [table]}"])).await;
    for path in ["/", "/metrics", "/api/v1/jobs", "/api/v1/schema", "/sd", "/-/healthy", "/-/ready", "/nothing"] {
        let answer = exporter.get(path).await;
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        assert_eq!(header("x-frame-options").as_deref(), Some("deny"), "{path}");
        assert_eq!(header("referrer-policy").as_deref(), Some("no-referrer"), "{path}");
        let policy = header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
    }
}
