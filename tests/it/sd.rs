//! One target per job: what the exporter lists, and that Prometheus servers who share the targets miss nothing and have nothing twice.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::drs::{Drs, whole};
use crate::support::exporter::Exporter;
use crate::support::project::{Project, job};
use crate::support::prometheus::Prometheus;
use crate::support::{eventually, tools};

const SHIPPED: &str = include_str!("../../deploy/prometheus/prometheus-by-job.yml");

async fn targets(exporter: &Exporter) -> Value {
    exporter.get("/sd").await.json().await.unwrap()
}

/// What is listed for a job of the account `test`, which has no region.
fn target(exporter: &Exporter, path: &str, job: &str, name: Option<&str>) -> Value {
    let host = exporter.address().to_string();
    let mut labels = json!({
        "__metrics_path__": path, "__param_job": job, "instance": format!("{host}/{job}"),
        "__meta_drs_job": job, "__meta_drs_account": "test",
    });
    if let Some(name) = name {
        labels["__meta_drs_job_name"] = name.into();
    }
    json!({"targets": [host], "labels": labels})
}

/// What the exporter answers to these bytes.
async fn answer(exporter: &Exporter, request: &str) -> String {
    let mut stream = TcpStream::connect(exporter.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_targets_are_the_jobs_as_they_come_and_go() {
    let project = Project::default();
    let list = project.clone();
    let drs = Drs::answering_all(|ask| whole(ask, 1), move |request| list.page(request)).await;
    let config =
        drs.config(&[]).replace("    jobs:\n", "    discovery: {interval: 1s, types: [table, view]}\n    jobs: []\n");
    let exporter = Exporter::start_with(&config, &["--web.telemetry-path=/some/path"]).await;
    let list = "drs_discovery_last_success_timestamp_seconds";
    eventually("a list", async || exporter.get("/some/path").await.text().await.unwrap().contains(list).then_some(()))
        .await;
    let none = exporter.get("/sd").await;
    assert_eq!((none.status().as_u16(), &none.headers()[CONTENT_TYPE]), (200, &"application/json".parse().unwrap()));
    assert_eq!(none.text().await.unwrap(), "[]");

    for id in ["c", "a", "b"] {
        project.add(job(id, "sync"));
    }
    let listed = |ids: &[&str]| -> Value {
        ids.iter().map(|id| target(&exporter, "/some/path", id, Some(&format!("name-of-{id}")))).collect()
    };
    let until = async |expected: Value| {
        eventually(&format!("{expected}"), async || (targets(&exporter).await == expected).then_some(())).await;
    };
    until(listed(&["a", "b", "c"])).await;
    project.remove("b");
    project.add(job("d", "migration"));
    until(listed(&["a", "c", "d"])).await;
    for id in ["a", "c", "d"] {
        assert_eq!(exporter.get(&format!("/some/path?job={id}")).await.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_targets_are_at_the_host_that_was_asked() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let exporter = Exporter::start(&drs.config(&["{id: j, types: [table]}"])).await;
    let here = target(&exporter, "/metrics", "j", None);
    eventually("the job", async || (targets(&exporter).await == json!([here])).then_some(())).await;

    let of_host =
        async |host: &str| answer(&exporter, &format!("GET /sd HTTP/1.1\r\n{host}Connection: close\r\n\r\n")).await;
    let named = of_host("Host: drs.example.com\r\n").await;
    let body: Value = serde_json::from_str(named.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(body[0]["targets"], json!(["drs.example.com"]));
    assert_eq!(body[0]["labels"]["instance"], "drs.example.com/j");
    for host in ["", "Host:\r\n", "Host: a/b\r\n", "Host: user@a:1\r\n", "Host: a\r\nHost: b\r\n"] {
        let refused = of_host(host).await;
        assert!(refused.starts_with("HTTP/1.1 400 "), "{host:?}: {refused}");
    }
    let refused = answer(&exporter, "GET /sd HTTP/1.0\r\n\r\n").await;
    assert!(refused.ends_with("it names none: expected one field `Host: NAME` or `Host: NAME:PORT`.\n"), "{refused}");
}

#[test]
fn promtool_is_content_with_the_configuration() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/prometheus-by-job.yml");
    let output = tools::run("prometheus", "promtool", &["check", "config", file], b"");
    let words = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{words}");
}

/// What the shipped configuration scrapes, of this exporter, as one of so many servers.
fn scraping(exporter: &Exporter, shard: usize, shards: usize) -> String {
    let mut scraping = SHIPPED.split_at(SHIPPED.find("scrape_configs:").unwrap()).1.to_owned();
    for (shipped, here, times) in [
        ("localhost:10058", exporter.address().to_string(), 2),
        ("modulus: 1\n", format!("modulus: {shards}\n"), 1),
        ("regex: '0'\n", format!("regex: '{shard}'\n"), 1),
    ] {
        assert_eq!(scraping.matches(shipped).count(), times, "{shipped}");
        scraping = scraping.replace(shipped, &here);
    }
    scraping
}

/// Every series of the exporter without its `instance`, and how often it is there.
async fn series(prometheus: &[&Prometheus]) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for server in prometheus {
        for mut sample in server.query(r#"{__name__=~"(drs|process)_.+"}"#).await {
            sample["metric"].as_object_mut().unwrap().remove("instance").expect("an instance");
            *counted.entry(sample["metric"].to_string()).or_default() += 1;
        }
    }
    counted
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_share_the_targets_have_together_what_one_has() {
    let drs = Drs::answering(|ask| whole(ask, 3)).await;
    let ids = ["a", "b", "c", "d", "e", "f", "g"];
    let lines = ids.map(|id| format!("{{id: {id}, types: [table, view]}}"));
    let exporter = Exporter::start(&drs.config(&lines.each_ref().map(String::as_str))).await;
    for id in ids {
        exporter.polled(id, "table", "success", 1.0).await;
        exporter.polled(id, "view", "success", 1.0).await;
    }
    let plain = Prometheus::start(&Prometheus::scraping(&exporter.address().to_string())).await;
    let one = Prometheus::start(&scraping(&exporter, 0, 1)).await;
    let first = Prometheus::start(&scraping(&exporter, 0, 2)).await;
    let second = Prometheus::start(&scraping(&exporter, 1, 2)).await;

    let wanted = eventually("a scrape", async || Some(series(&[&plain]).await).filter(|all| all.len() > 100)).await;
    let objects = wanted.keys().filter(|series| series.contains("drs_object_progress")).count();
    assert_eq!(objects, ids.len() * 2 * 3);
    assert!(wanted.values().all(|&times| times == 1), "{wanted:?}");
    for servers in [&[&one][..], &[&first, &second]] {
        let what = format!("the same series from {} servers", servers.len());
        // What a poll that fails would add is in all of them.
        eventually(&what, async || (series(servers).await == series(&[&plain]).await).then_some(())).await;
        // What Prometheus says of each target is told apart by the instance alone.
        let (mut up, mut shares) = (BTreeSet::new(), Vec::new());
        for server in servers {
            let targets = server.query(r#"up{job="drs"} == 1"#).await;
            shares.push(targets.len());
            up.extend(targets.iter().map(|target| target["metric"]["instance"].as_str().unwrap().to_owned()));
            assert_eq!(server.query(r#"up{job!="drs"} or up == 0"#).await, Vec::<Value>::new());
        }
        let host = exporter.address();
        let expected = ids.iter().map(|id| format!("{host}/{id}")).chain([host.to_string()]);
        assert_eq!(up, expected.collect());
        assert_eq!(shares.iter().sum::<usize>(), ids.len() + 1, "a target twice: {shares:?}");
        assert!(shares.iter().all(|&share| share > 0), "a server without any: {shares:?}");
    }
}
