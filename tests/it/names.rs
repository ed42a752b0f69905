//! Names of objects that no test should be without, all the way to Prometheus's API, in both formats.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::support::drs::{Drs, page, row};
use crate::support::eventually;
use crate::support::exporter::Exporter;
use crate::support::prometheus::Prometheus;

/// The limit of a label's value, by default.
const MAX_BYTES: usize = 1024;

fn names() -> Vec<String> {
    let long = "x".repeat(64 * 1024);
    let mut names: Vec<String> = [
        r#"a"b"#,
        r"a\b",
        r"a\nb",
        "a\nb",
        "a}b",
        "a{b=\"c\"} 1",
        "a,b",
        " a ",
        "a\tb",
        "a\r\nb",
        "a\0b",
        "🐘",
        "表",
        "# EOF",
        "\\",
        "\"",
        "",
        "'",
    ]
    .map(str::to_owned)
    .into();
    names.extend([
        format!("{long}1"),
        format!("{long}2"),
        "🐘".repeat(16 * 1024),
        "y".repeat(MAX_BYTES),
        "y".repeat(MAX_BYTES + 1),
    ]);
    // A name that is what another becomes.
    names.push(shown(&format!("{long}1")));
    names
}

/// What a reader must find for a name, worked out anew.
fn shown(name: &str) -> String {
    let looks_cut =
        name.rsplit_once('~').is_some_and(|(_, end)| end.len() == 32 && end.bytes().all(|b| b.is_ascii_hexdigit()));
    if name.len() <= MAX_BYTES && !looks_cut {
        return name.to_owned();
    }
    let hash: String = Sha256::digest(name.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let end = (0..=MAX_BYTES - 33).rev().find(|&end| name.is_char_boundary(end)).unwrap();
    format!("{}~{hash}", &name[..end.min(name.len())])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_comes_out_of_prometheus_byte_for_byte() {
    let rows: Vec<_> = names().iter().enumerate().map(|(number, name)| row(name, number as u64)).collect();
    let drs = Drs::answering(move |_| page(rows.len() as u64, &rows)).await;
    let exporter = Exporter::start(&drs.config(&["{id: j, types: [table]}"])).await;
    exporter.polled("j", "table", "success", 1.0).await;

    let text = relay(exporter.address(), "text/plain;version=0.0.4").await;
    let openmetrics = relay(exporter.address(), "application/openmetrics-text;version=1.0.0").await;
    for target in [text, openmetrics] {
        let prometheus = Prometheus::start(&Prometheus::scraping(&target.to_string())).await;
        eventually("a scrape", || async { prometheus.value("up").await.filter(|&up| up == 1.0) }).await;
        let expected: BTreeMap<String, u64> = (0..).zip(names()).map(|(number, name)| (shown(&name), number)).collect();
        assert_eq!(expected.len(), names().len(), "two names became one");
        let mut found = BTreeMap::new();
        for series in prometheus.query("drs_object_progress").await {
            // A label without a value is no label to Prometheus.
            let label = |name: &str| series["metric"][name].as_str().unwrap_or_default().to_owned();
            assert_eq!(label("src_tb"), label("dst_tb"));
            let value: u64 = series["value"][1].as_str().unwrap().parse().unwrap();
            assert_eq!(found.insert(label("src_tb"), value), None);
        }
        assert_eq!(found, expected);
    }
}

/// A way to the metrics that asks for one format, whatever the client would like.
async fn relay(exporter: SocketAddr, accept: &'static str) -> SocketAddr {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let fetch = async move |State(client): State<reqwest::Client>| {
        let answer = client.get(format!("http://{exporter}/metrics")).header(ACCEPT, accept).send().await.unwrap();
        let format = answer.headers()[CONTENT_TYPE].clone();
        ([(CONTENT_TYPE, format)], answer.bytes().await.unwrap()).into_response()
    };
    let router = axum::Router::new().route("/metrics", get(fetch)).with_state(client);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}
