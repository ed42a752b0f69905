//! What the README says is true: its examples run, and its tables are complete.

use std::collections::BTreeSet;

use drs_exporter::exposition::families;
use tempfile::TempDir;

use crate::support::drs::{Drs, failure, whole};
use crate::support::exporter::{Exporter, program};

const README: &str = include_str!("../../README.md");

/// The code blocks in one language.
fn blocks(language: &str) -> Vec<&'static str> {
    let begins = format!("```{language}\n");
    README.split(&begins).skip(1).map(|rest| rest.split_once("```").unwrap().0).collect()
}

/// A series without its value.
fn series(line: &str) -> &str {
    line.rsplit_once(' ').unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_runs() {
    let config = blocks("yaml").into_iter().find(|block| block.starts_with("accounts:")).unwrap();
    let drs = Drs::answering(|ask| match &ask.headers["x-auth-token"][..] {
        "the-token" => whole(ask, 1),
        _ => failure(403, "DRS.M00100"),
    })
    .await;
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "the-token\n").unwrap();
    // Only where it leads to is changed, and how long it takes.
    let mut here = config.to_owned();
    let changes = [
        ("https://drs.ap-southeast-3.myhuaweicloud.com", drs.uri()),
        ("/run/secrets/drs-token", token.display().to_string()),
        ("interval: 30s", "interval: 1s".to_owned()),
    ];
    for (example, changed) in changes {
        assert_eq!(here.matches(example).count(), 1, "{example}");
        here = here.replace(example, &changed);
    }
    let exporter = Exporter::start(&here).await;
    exporter.polled("7a1f5b52-0b52-4bd8-9a43-2d1b7c1fjb502", "view", "success", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_excerpt_is_what_the_demo_serves() {
    let excerpt = blocks("text").into_iter().find(|block| block.starts_with("drs_object_progress")).unwrap();
    let mut command = program();
    command.args(["demo", "--web.listen-address=127.0.0.1:0"]);
    let exporter = Exporter::run(command, TempDir::new().unwrap()).await;
    let samples = exporter.polled("moving-a833bdcd", "table", "success", 1.0).await;
    for line in excerpt.lines() {
        assert!(samples.get(series(line)).is_some(), "the demo has no {}", series(line));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_name_every_metric_and_no_other() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let exporter = Exporter::start(&drs.config(&["{id: j, types: [table]}"])).await;
    exporter.polled("j", "table", "success", 1.0).await;
    let body = String::from_utf8(exporter.body("text/plain", "").await).unwrap();
    let served = body.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut metrics: BTreeSet<(String, String)> =
        served.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
    metrics.extend(families().map(|family| (family.name.to_owned(), format!("{:?}", family.kind).to_lowercase())));
    metrics.retain(|(name, _)| !name.starts_with("process_"));

    let rows = README.lines().filter(|line| line.starts_with("| `drs_"));
    let told: BTreeSet<(String, String)> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let name = cells[1].trim_matches('`').split('{').next().unwrap();
            (name.to_owned(), cells[2].to_owned())
        })
        .collect();
    assert_eq!(told, metrics);
}

#[test]
fn the_scrape_configuration_keeps_the_label() {
    let shipped: Vec<&str> = blocks("yaml").into_iter().filter(|block| block.starts_with("scrape_configs:")).collect();
    assert_eq!(shipped.len(), 1);
    assert!(shipped.iter().all(|block| block.contains("honor_labels: true")));
}
