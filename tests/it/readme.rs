//! What the README says is true: its examples run, and its tables are complete.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::exporter::{Exporter, program};
use crate::support::metrics;
use crate::support::simulator::Simulator;

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

/// Runs the exporter on an example, of which only what is named is changed, with a key in these variables.
async fn run(example: &str, changes: &[(&str, &str)], key: [&str; 2]) -> Exporter {
    let mut here = example.to_owned();
    for (example, changed) in changes {
        assert_eq!(here.matches(example).count(), 1, "{example}");
        here = here.replace(example, changed);
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("drs-exporter.yml");
    std::fs::write(&file, here).unwrap();
    let mut command = program();
    command.args(["--web.listen-address=127.0.0.1:0", "--config.file"]).arg(&file);
    command.env(key[0], "SIMULATEDACCESSKEY").env(key[1], "simulated-secret-key");
    Exporter::run(command, folder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configurations_run() {
    let simulator = Simulator::start(&[]).await;
    let address = simulator.url("");
    let region = format!("region: simulated-1\n    endpoint: {address}\n    iam_endpoint: {address}");
    let region = ("region: ap-southeast-3", region.as_str());
    let job = simulator.jobs().remove(0);
    let configurations: Vec<&str> = blocks("yaml").into_iter().filter(|block| block.starts_with("accounts:")).collect();
    let [short, long] = configurations[..] else { panic!("expected two configurations") };
    let exporter = run(short, &[region], ["HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"]).await;
    exporter.until("the jobs", |samples| samples.beginning("drs_job_info").len() == 5).await;
    let id = ("163b98e8-6088-46c3-8b86-c18fea6jb502", job.as_str());
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let state = ("/var/lib/drs-exporter/state", state.to_str().unwrap());
    let exporter = run(long, &[region, id, state, ("interval: 30s", "interval: 1s")], ["DRS_AK", "DRS_SK"]).await;
    exporter.polled(&job, "view", "success", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_configuration_lets_in_who_knows_the_password() {
    let example = blocks("yaml").into_iter().find(|block| block.starts_with("tls_server_config:")).unwrap();
    let folder = TempDir::new().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (name, text) in [("server.crt", made.cert.pem()), ("server.key", made.signing_key.serialize_pem())] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let file = folder.path().join("web.yml");
    fs::write(&file, example).unwrap();
    let mut command = program();
    command.args(["demo", "--web.listen-address=127.0.0.1:0"]).arg(format!("--web.config.file={}", file.display()));
    let exporter = Exporter::run(command, folder).await;
    let client = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true).build().unwrap();
    let ask = async |password| {
        let request = client.get(format!("https://{}/metrics", exporter.address()));
        request.basic_auth("prometheus", Some(password)).send().await.unwrap().status().as_u16()
    };
    assert_eq!((ask("change-me").await, ask("another").await), (200, 401));
}

#[tokio::test]
async fn every_way_in_of_the_table_can_be_configured() {
    let rows: Vec<&str> = README.lines().skip_while(|line| !line.starts_with("| way in |")).skip(2).take(4).collect();
    for row in rows {
        let way = row.split('`').nth(1).unwrap();
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("drs-exporter.yml");
        let config = format!("accounts: [{{name: a, region: ap-southeast-3, discovery: {{}}, auth: {{{way}}}}}]");
        std::fs::write(&file, config).unwrap();
        let output = program().args(["check", "--config.file"]).arg(&file).output().await.unwrap();
        assert!(output.status.success(), "{way}: {}", String::from_utf8_lossy(&output.stderr));
    }
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
    let mut metrics = metrics::with_kinds().await;
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
fn the_pictures_are_there_and_so_is_what_makes_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pictures = fs::read_dir(root.join("pictures")).unwrap();
    let pictures: BTreeSet<String> = pictures.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let shown: BTreeSet<String> = README
        .split("pictures/")
        .skip(1)
        .filter_map(|rest| Some(format!("{}.png", rest.split_once(".png")?.0)))
        .filter(|name| !name.contains(char::is_whitespace))
        .collect();
    assert_eq!(shown, pictures);
    for picture in pictures {
        let bytes = fs::read(root.join("pictures").join(&picture)).unwrap();
        assert!(bytes.starts_with(b"\x89PNG\r\n"), "{picture}");
    }
    assert!(README.contains("`tests/pictures`") && root.join("tests/pictures").is_file());
}

#[test]
fn the_scrape_configuration_keeps_the_label() {
    let shipped: Vec<&str> = blocks("yaml").into_iter().filter(|block| block.starts_with("scrape_configs:")).collect();
    assert_eq!(shipped.len(), 1);
    assert!(shipped.iter().all(|block| block.contains("honor_labels: true")));
}
