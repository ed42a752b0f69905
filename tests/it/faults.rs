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

/// What must be counted for each job, an error code or a reason why rows were dropped, and what the log tells to do.
const COUNTED: [(&str, &str, &str, &str); 40] = [
    ("html", "error", "decode", NO_DRS),
    ("empty", "error", "decode", NO_DRS),
    ("json-null", "error", "decode", NO_DRS),
    ("list", "error", "decode", NO_DRS),
    ("truncated", "error", "decode", NO_DRS),
    ("twice", "error", "decode", NO_DRS),
    ("byte-order-mark", "error", "decode", NO_DRS),
    ("not-utf8", "error", "decode", NO_DRS),
    ("deep", "error", "decode", NO_DRS),
    ("no-count", "error", "decode", NO_DRS),
    ("negative-count", "error", "decode", NO_DRS),
    ("text-count", "error", "decode", NO_DRS),
    ("no-rows", "error", "decode", NO_DRS),
    ("rows-no-list", "error", "decode", NO_DRS),
    ("text-percent", "success", "malformed", NO_OBJECTS),
    ("null-percent", "success", "malformed", NO_OBJECTS),
    ("huge-percent", "success", "malformed", NO_OBJECTS),
    ("deep-percent", "success", "malformed", NO_OBJECTS),
    ("negative-percent", "success", "malformed", NO_OBJECTS),
    ("over-percent", "success", "malformed", NO_OBJECTS),
    ("broken-percent", "success", "malformed", NO_OBJECTS),
    ("missing-field", "success", "malformed", NO_OBJECTS),
    ("null-field", "success", "malformed", NO_OBJECTS),
    ("null-row", "success", "malformed", NO_OBJECTS),
    ("text-row", "success", "malformed", NO_OBJECTS),
    ("bomb", "error", "too_large", "raise `limits.max_response_bytes` or lower `poll.page_size`"),
    ("endless", "error", "too_large", "raise `limits.max_response_bytes` or lower `poll.page_size`"),
    ("not-gzip", "error", "decode", NO_DRS),
    ("half-gzip", "error", "connect", WAY),
    ("drip", "error", "timeout", SLOW),
    ("silent", "error", "timeout", SLOW),
    ("reset", "error", "connect", WAY),
    ("cut", "error", "connect", WAY),
    ("closed", "error", "connect", WAY),
    ("half-head", "error", "connect", WAY),
    ("no-http", "error", "connect", WAY),
    ("huge-head", "error", "connect", WAY),
    ("bad-chunk", "error", "connect", WAY),
    ("no-last-chunk", "error", "connect", WAY),
    ("too-many", "error", "", "check that `endpoint` is DRS"),
];

const NO_DRS: &str = "check that `endpoint` is DRS and not a proxy or a log-in page";
const NO_OBJECTS: &str = "rows that are no objects are left out";
const SLOW: &str = "raise `limits.timeout` if DRS is just slow";
const WAY: &str = "check `region` or `endpoint`, DNS, the proxy and the network; the next poll tries again";

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
    let config = config(&format!("http://{}", serve().await), &jobs);
    let exporter = Exporter::start(&config.replace("timeout: 2s", "timeout: 2s, concurrency: 16")).await;
    exporter.polled("good", "table", "success", 1.0).await;
    for (job, outcome, reason, advice) in COUNTED {
        let samples = exporter.polled(job, "table", outcome, 1.0).await;
        let counted = match outcome {
            "success" => samples.dropped(job, "table", reason),
            // Each page is as it should be; it is their number that is not believed.
            _ if reason.is_empty() => 1.0,
            _ => samples.errors(job, "table", reason),
        };
        assert!(counted >= 1.0, "{job}: {:?} {}", samples.beginning("drs_api_errors_total"), exporter.log());
        let others: f64 =
            samples.beginning(&format!("drs_api_errors_total{{job=\"{job}\"")).iter().map(|(_, n)| n).sum();
        assert!(outcome == "success" || reason.is_empty() || counted == others, "{job} is counted under one reason");
        let log = exporter.log();
        let told = log.lines().find(|line| line.contains(&format!(" job={job} ")) && line.contains("problem="));
        assert!(told.is_some_and(|told| told.contains(advice) && told.contains("level=warn")), "{job}: {told:?}");
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
        "empty" => String::new(),
        "json-null" => "null".to_owned(),
        "list" => "[]".to_owned(),
        "twice" => GOOD.repeat(2),
        "byte-order-mark" => format!("\u{feff}{GOOD}"),
        "not-utf8" => {
            return send(
                &mut stream,
                "",
                &GOOD.as_bytes().iter().map(|b| if *b == b'c' { 0xff } else { *b }).collect::<Vec<_>>(),
            )
            .await;
        }
        "negative-count" => GOOD.replace("\"count\":1", "\"count\":-1"),
        "text-count" => GOOD.replace("\"count\":1", "\"count\":\"1\""),
        "no-rows" => r#"{"count":1}"#.to_owned(),
        "rows-no-list" => r#"{"count":1,"flow_compare_data":{}}"#.to_owned(),
        "too-many" => GOOD.replace("\"count\":1", "\"count\":5000001"),
        "no-count" => r#"{"flow_compare_data":[]}"#.to_owned(),
        "text-percent" => percent("\"7\""),
        "null-percent" => percent("null"),
        "huge-percent" => percent("1e400"),
        "deep-percent" => percent(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
        "negative-percent" => percent("-1"),
        "over-percent" => percent("101"),
        "broken-percent" => percent("7.5"),
        "null-field" => row(r#"{"src_db":"a","src_tb":null,"dst_db":"c","dst_tb":"d","progress":7}"#),
        "null-row" => row("null"),
        "text-row" => row("\"a.b\""),
        "missing-field" => row(r#"{"src_db":"a","src_tb":"b","dst_db":"c","progress":7}"#),
        "bomb" => return send(&mut stream, "Content-Encoding: gzip\r\n", &BOMB).await,
        "not-gzip" => return send(&mut stream, "Content-Encoding: gzip\r\n", GOOD.as_bytes()).await,
        "half-gzip" => return send(&mut stream, "Content-Encoding: gzip\r\n", &BOMB[..100]).await,
        "endless" => return endless(&mut stream).await,
        "silent" => return silent(&mut stream).await,
        "cut" => {
            return say(&mut stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{{", GOOD.len())).await;
        }
        "closed" => return Ok(()),
        "half-head" => return say(&mut stream, "HTTP/1.1 200 OK\r\nContent-").await,
        "no-http" => return say(&mut stream, "SSH-2.0-OpenSSH_9.2\r\n").await,
        "huge-head" => {
            return say(&mut stream, &format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1024 * 1024))).await;
        }
        "bad-chunk" => return say(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n").await,
        "no-last-chunk" => {
            return say(
                &mut stream,
                &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{GOOD}\r\n", GOOD.len()),
            )
            .await;
        }
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

/// These bytes, and then nothing any more.
async fn say(stream: &mut TcpStream, bytes: &str) -> std::io::Result<()> {
    stream.write_all(bytes.as_bytes()).await?;
    stream.shutdown().await
}

/// Blanks without end, and without a word of how many.
async fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await?;
    let blanks = [b' '; 64 * 1024];
    loop {
        stream.write_all(&blanks).await?;
    }
}

/// Nothing, until the client goes away.
async fn silent(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.read_u8().await.map(drop)
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
