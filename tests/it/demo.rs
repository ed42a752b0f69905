//! The demo for a minute, under a real Prometheus: whatever it shows is what the simulated DRS said.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use crate::support::exporter::{Exporter, program};
use crate::support::prometheus::Prometheus;
use crate::support::{PATIENCE, eventually_within};

/// How many scrapes are watched, one a second.
const SCRAPES: f64 = 60.0;

/// The progress of each object, by name.
type Listing = BTreeMap<String, u64>;

/// What the simulated DRS said at each of its times, in milliseconds.
type Said = Arc<Mutex<HashMap<u64, Listing>>>;

/// What it prints before it serves.
async fn introduction(folder: &TempDir) -> (Exporter, String) {
    let mut command = program();
    let printed = folder.path().join("printed");
    command
        .args(["demo", "--web.listen-address=127.0.0.1:0"])
        .stdout(Stdio::from(std::fs::File::create(&printed).unwrap()));
    let exporter = Exporter::run(command, TempDir::new().unwrap()).await;
    let mut text = String::new();
    tokio::fs::File::open(printed).await.unwrap().read_to_string(&mut text).await.unwrap();
    (exporter, text)
}

/// Asks the simulated DRS again and again, and writes down what it says.
async fn write_down(url: String, said: Said) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    loop {
        ticks.tick().await;
        let answer = client.get(&url).header("x-auth-token", "simulated-token").send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let rows = answer["flow_compare_data"].as_array().unwrap().iter();
        let listing = rows.map(|row| (row["src_tb"].as_str().unwrap().to_owned(), row["progress"].as_u64().unwrap()));
        let time = answer["create_time"].as_str().unwrap().parse().unwrap();
        said.lock().unwrap().insert(time, listing.collect());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn for_a_minute_prometheus_sees_what_the_simulated_drs_says() {
    let folder = TempDir::new().unwrap();
    let (mut exporter, printed) = introduction(&folder).await;
    let scrape_config = printed.split_once("scrape_configs:").expect("a scrape configuration to paste").1;
    let scrape_config =
        scrape_config.split_once("\n\n").unwrap().0.replace("scrape_interval: 5s", "scrape_interval: 1s");
    assert!(scrape_config.contains("honor_labels: true") && scrape_config.contains(&exporter.address().to_string()));
    let prometheus = Prometheus::start(&format!("scrape_configs:{scrape_config}")).await;

    let jobs: Vec<&str> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| line.ends_with(|c: char| c.is_ascii_hexdigit()) && !line.contains(' '))
        .collect();
    assert_eq!(jobs.len(), 5, "{printed}");
    let job_of = |fate: &str| jobs.iter().find(|job| job.starts_with(fate)).unwrap().to_string();
    let simulated = printed.split_once("DRS runs at ").unwrap().1.split_once(',').unwrap().0;
    let mut watched = Vec::new();
    for (job, object_type) in
        [(job_of("moving"), "table"), (job_of("finishing"), "view"), (job_of("disappearing"), "table_indexs")]
    {
        let said = Said::default();
        let url = format!("{simulated}/v5/simulated-project/jobs/{job}/progress-data/{object_type}?limit=1000");
        tokio::spawn(write_down(url, Arc::clone(&said)));
        watched.push((job, object_type, said));
    }
    eventually_within(3 * PATIENCE, "a minute of scrapes", || async {
        prometheus.value("count_over_time(up[1h])").await.filter(|&scrapes| scrapes >= SCRAPES)
    })
    .await;
    assert_eq!(prometheus.value("min_over_time(up[1h])").await, Some(1.0), "a scrape failed");
    for (job, object_type, said) in watched {
        let said = said.lock().unwrap().clone();
        compare(&prometheus, &job, object_type, &said).await;
    }
    exporter.signal("INT");
    assert_eq!(exporter.ended().await.code(), Some(0));
}

/// At each scrape, the objects and their progress are those of the time that the scrape names.
async fn compare(prometheus: &Prometheus, job: &str, object_type: &str, said: &HashMap<u64, Listing>) {
    let selector = format!(r#"{{job="{job}",type="{object_type}"}}"#);
    let mut scraped: BTreeMap<u64, Listing> = BTreeMap::new();
    for series in prometheus.query(&format!("drs_object_progress{selector}[1h]")).await {
        let name = series["metric"]["src_tb"].as_str().unwrap();
        for (scrape, value) in samples(&series) {
            scraped.entry(scrape).or_default().insert(name.to_owned(), value as u64);
        }
    }
    let times = prometheus.query(&format!("drs_data_timestamp_seconds{selector}[1h]")).await;
    let mut compared = BTreeMap::new();
    // The second question came later: scrapes that the first had not seen are left out.
    let until = *scraped.keys().next_back().unwrap();
    for (scrape, time) in samples(&times[0]).into_iter().filter(|(scrape, _)| *scrape <= until) {
        let time = (time * 1000.0).round() as u64;
        let Some(listing) = said.get(&time) else { continue };
        assert_eq!(scraped.get(&scrape), Some(listing), "{job}/{object_type}, scraped at {scrape}, of {time}");
        compared.insert(scrape, time);
    }
    assert!(compared.len() >= 40, "only {} scrapes of {job}/{object_type} could be compared", compared.len());
    let polls = compared.values().collect::<BTreeSet<_>>().len();
    assert!(
        polls >= 30 || job.starts_with("finishing"),
        "only {polls} polls of {job}/{object_type} were seen, one a second"
    );

    // What DRS no longer lists is gone with the first scrape that shows a poll after it, so nothing lingers.
    let all = said.values().flat_map(Listing::keys).collect::<BTreeSet<_>>().len();
    let last = scraped.values().next_back().unwrap().len();
    if job.starts_with("disappearing") {
        assert!(last < all, "nothing disappeared");
        let shown = prometheus.query(&format!("drs_object_progress{selector}")).await.len();
        assert!(shown < all && shown <= last, "{shown} of {all} are shown");
    }
}

/// The samples of a series in a range: time of the scrape in milliseconds, and value.
fn samples(series: &Value) -> Vec<(u64, f64)> {
    let samples = series["values"].as_array().unwrap().iter();
    samples
        .map(|sample| {
            ((sample[0].as_f64().unwrap() * 1000.0).round() as u64, sample[1].as_str().unwrap().parse().unwrap())
        })
        .collect()
}
