//! Answers that no API should give. None of them ends the exporter, blanks another job, or goes uncounted.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::drs::{Drs, config, whole};
use crate::support::exporter::Exporter;

const GOOD: &str = r#"{"count":1,"create_time":"1","flow_compare_data":[{"src_db":"a","src_tb":"b","dst_db":"c","dst_tb":"d","progress":7}]}"#;

/// What must be counted for each job: an error code, or a reason why rows were dropped.
const COUNTED: [(&str, &str, &str); 13] = [
    ("html", "error", "decode"),
    ("truncated", "error", "decode"),
    ("deep", "error", "decode"),
    ("no-count", "error", "decode"),
    ("text-percent", "success", "malformed"),
    ("null-percent", "success", "malformed"),
    ("huge-percent", "success", "malformed"),
    ("deep-percent", "success", "malformed"),
    ("missing-field", "success", "malformed"),
    ("bomb", "error", "too_large"),
    ("not-gzip", "error", "decode"),
    ("drip", "error", "timeout"),
    ("reset", "error", "connect"),
];

/// 1 GiB of blanks, as it is on the wire.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let blanks = vec![b' '; 1024 * 1024];
    for _ in 0..1024 {
        encoder.write_all(&blanks).unwrap();
    }
    encoder.finish().unwrap()
});

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_answer_is_counted_and_hurts_nobody_else() {
    LazyLock::force(&BOMB);
    let jobs: Vec<String> = COUNTED.iter().map(|(job, ..)| format!("{{id: {job}, types: [table]}}")).collect();
    let mut jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
    jobs.push("{id: good, types: [table], interval: 3s}");
    let exporter = Exporter::start(&config(&format!("http://{}", serve().await), &jobs)).await;
    exporter.polled("good", "table", "success", 1.0).await;
    for (job, outcome, reason) in COUNTED {
        let samples = exporter.polled(job, "table", outcome, 1.0).await;
        let counted = match outcome {
            "success" => samples.dropped(job, "table", reason),
            _ => samples.errors(job, "table", reason),
        };
        assert!(counted >= 1.0, "{job}: {:?} {}", samples.beginning("drs_api_errors_total"), exporter.log());
        let others: f64 =
            samples.beginning(&format!("drs_api_errors_total{{job=\"{job}\"")).iter().map(|(_, n)| n).sum();
        assert!(outcome == "success" || counted == others, "{job} is counted under one reason");
        assert_eq!(samples.objects(job, "table"), 0, "{job}");
        assert_eq!(samples.objects("good", "table"), 1, "while {job}");
    }
    let before = exporter.samples().await.polls("good", "table", "success");
    let samples = exporter.polled("good", "table", "success", before + 2.0).await;
    assert_eq!(samples.of("drs_polls_skipped_total", "good", "table"), Some(0.0), "the good job was polled on time");
    let resident = samples.get("process_resident_memory_bytes").unwrap();
    assert!(resident < 256.0 * 1024.0 * 1024.0, "a bomb of 1 GiB filled the memory: {resident}");
    assert!(!exporter.log().contains("panic"), "{}", exporter.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_and_one_that_is_not_there_are_told_apart() {
    let plain = Drs::answering(|ask| whole(ask, 1)).await;
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let first = config(&plain.uri().replace("http:", "https:"), &["{id: good, types: [table]}"]);
    let second = config(&format!("http://{unused}"), &["{id: nowhere, types: [table]}"]);
    let second = second.split_once("accounts:\n").unwrap().1.replace("name: test", "name: other");
    let both = format!("{}{}", first.split_once("poll:").unwrap().0, second);
    let exporter = Exporter::start(&both).await;
    let samples = exporter.polled("good", "table", "error", 1.0).await;
    assert!(samples.errors("good", "table", "tls") >= 3.0, "{:?}", samples.beginning("drs_api_errors"));
    let samples = exporter.polled("nowhere", "table", "error", 1.0).await;
    assert!(samples.errors("nowhere", "table", "connect") >= 3.0, "{:?}", samples.beginning("drs_api_errors"));
}

/// A DRS whose answer depends on the job's id, byte for byte.
async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that breaks off is none of our business.
            tokio::spawn(async move { answer(stream).await.ok() });
        }
    });
    address
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 || request.len() > 64 * 1024 {
            return Ok(());
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let job = request.split('/').nth(4).unwrap_or_default();
    let row = |row: &str| format!(r#"{{"count":1,"flow_compare_data":[{row}]}}"#);
    let percent = |percent: &str| {
        row(&format!(r#"{{"src_db":"a","src_tb":"b","dst_db":"c","dst_tb":"d","progress":{percent}}}"#))
    };
    let body = match job {
        "html" => "<html><body>Log in</body></html>".to_owned(),
        "truncated" => GOOD[..GOOD.len() / 2].to_owned(),
        "deep" => "[".repeat(10_000),
        "no-count" => r#"{"flow_compare_data":[]}"#.to_owned(),
        "text-percent" => percent("\"7\""),
        "null-percent" => percent("null"),
        "huge-percent" => percent("1e400"),
        "deep-percent" => percent(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
        "missing-field" => row(r#"{"src_db":"a","src_tb":"b","dst_db":"c","progress":7}"#),
        "bomb" => return send(&mut stream, "Content-Encoding: gzip\r\n", &BOMB).await,
        "not-gzip" => return send(&mut stream, "Content-Encoding: gzip\r\n", GOOD.as_bytes()).await,
        "drip" => return drip(&mut stream).await,
        "reset" => return reset(stream).await,
        _ => GOOD.to_owned(),
    };
    send(&mut stream, "", body.as_bytes()).await
}

async fn send(stream: &mut TcpStream, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await
}

/// One byte a second, for longer than anybody should wait.
async fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", GOOD.len()).as_bytes()).await?;
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    for byte in GOOD.bytes() {
        seconds.tick().await;
        stream.write_all(&[byte]).await?;
    }
    Ok(())
}

/// Half the body, then a reset.
async fn reset(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", GOOD.len()).as_bytes()).await?;
    stream.write_all(&GOOD.as_bytes()[..20]).await?;
    stream.set_zero_linger()
}
