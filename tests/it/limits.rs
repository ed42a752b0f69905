//! Readers who stall: they hold their places and nothing else, and not for long.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::drs::{Drs, page, row};
use crate::support::exporter::Exporter;
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
