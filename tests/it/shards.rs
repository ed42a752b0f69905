//! Several exporters that share the jobs of an account: together they tell what one would, and ask no more than one may.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::drs::{Drs, whole};
use crate::support::eventually;
use crate::support::exporter::{Exporter, program, run_with};
use crate::support::prometheus::Prometheus;
use crate::support::samples::Samples;
use crate::support::simulator::Simulator;

/// With the children of each seventh, 1,000 jobs. The world stands still, so that whoever looks at it sees the same.
const THOUSAND_JOBS: [&str; 6] = ["--jobs", "778", "--objects", "2", "--frozen-at", "1m"];

/// What the account may ask for, of which three exporters have a third each.
const LIMITS: &str = "limits: {requests_per_second: 120, burst: 6, concurrency: 6}";

/// The most that the cloud may see in a second: the rate, the burst, and those that were held up under way.
const MOST_PER_SECOND: u64 = 120 + 6 + 6;

/// What tells how jobs stand and not when they were asked for.
const STANDING: [&str; 8] = [
    "drs_object_progress{",
    "drs_objects{",
    "drs_objects_by_state{",
    "drs_objects_suppressed{",
    "drs_progress_average{",
    "drs_progress_minimum{",
    "drs_job_info{",
    "drs_job_status{",
];

const SCALING: &str = include_str!("../../deploy/SCALING.md");

/// A block of the page, from 1 on.
fn block(nth: usize) -> &'static str {
    SCALING.split("```yaml\n").nth(nth).unwrap().split("```").next().unwrap()
}

/// Follows what is found in the simulated project.
fn config(simulator: &Simulator, limits: &str, shard: &str) -> String {
    let (account, _) = simulator.config.split_once("    limits:").unwrap();
    let discovery = "discovery: {types: [table], interval: 5s}\n    job_view: false";
    format!("{account}    {limits}\n    {discovery}\npoll: {{interval: 5s}}\n{shard}")
}

/// Starts one as a pod of this name.
async fn pod(name: &str, config: &str) -> Exporter {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("drs-exporter.yml");
    fs::write(&file, config).unwrap();
    let mut command = program();
    command.env("POD_NAME", name).arg("--config.file").arg(&file);
    command.args(["--web.listen-address=127.0.0.1:0", "--web.enable-lifecycle"]);
    Exporter::run(command, folder).await
}

fn jobs(samples: &Samples) -> BTreeSet<String> {
    samples.beginning("drs_objects{").iter().map(|(series, _)| series.split('"').nth(1).unwrap().to_owned()).collect()
}

/// How the jobs stand, and every other series that they have, without its value.
fn told(samples: &Samples) -> BTreeMap<String, Option<f64>> {
    let of_jobs = samples.beginning("drs_").into_iter().filter(|(series, _)| series.contains(r#"{job=""#));
    let value = |(series, value): (&str, f64)| {
        let stands = STANDING.iter().any(|name| series.starts_with(name));
        (series.to_owned(), stands.then_some(value))
    };
    of_jobs.map(value).collect()
}

/// Whether all of these jobs were listed and polled.
fn has(samples: &Samples, jobs: usize) -> bool {
    ["drs_objects{", "drs_job_info{", "drs_job_status{"].iter().all(|name| samples.beginning(name).len() == jobs)
}

/// What each of them tells once they have all thousand jobs together.
async fn all_together(shards: &[Exporter]) -> Vec<Samples> {
    eventually("a thousand jobs in all", || async {
        let samples = join_all(shards.iter().map(Exporter::samples)).await;
        let listed = samples.iter().map(|samples| jobs(samples).len());
        let whole = samples.iter().all(|samples| has(samples, jobs(samples).len()));
        (whole && listed.sum::<usize>() == 1000).then_some(samples)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_shards_tell_what_one_exporter_does_and_ask_no_more_than_it_may() {
    let alone = Simulator::start(&THOUSAND_JOBS).await;
    let unlimited = "limits: {requests_per_second: 10000, burst: 10000}";
    let exporter = Exporter::start(&config(&alone, unlimited, "")).await;
    let unsharded = told(&exporter.until("a thousand jobs", |samples| has(samples, 1000)).await);
    drop((exporter, alone));

    let simulator = Simulator::start(&THOUSAND_JOBS).await;
    let of = |total: u32| config(&simulator, LIMITS, &format!("shard: {{ordinal: auto, total: {total}}}\n"));
    let names = ["drs-exporter-0", "drs-exporter-1", "drs-exporter-2"];
    let three = of(3);
    let mut shards = join_all(names.iter().map(|name| pod(name, &three))).await;
    let samples = all_together(&shards).await;
    let each: Vec<BTreeSet<String>> = samples.iter().map(jobs).collect();
    assert_eq!(each.iter().flatten().collect::<BTreeSet<_>>().len(), 1000, "no job is followed twice");
    let together: BTreeMap<String, Option<f64>> = samples.iter().flat_map(told).collect();
    assert!(
        together == unsharded,
        "{:?}",
        together.iter().find(|(series, value)| unsharded.get(*series) != Some(value))
    );
    for (index, shard) in shards.iter().enumerate() {
        let samples = &samples[index];
        assert_eq!(samples.get(&format!(r#"drs_exporter_shards{{index="{index}"}}"#)), Some(3.0));
        let document: Value = shard.get("/api/v1/jobs").await.json().await.unwrap();
        assert_eq!(document["shard"], json!({"index": index, "total": 3}));
        let targets: Vec<Value> = shard.get("/sd").await.json().await.unwrap();
        let targets = targets.iter().map(|target| target["labels"]["__param_job"].as_str().unwrap().to_owned());
        assert_eq!(targets.collect::<BTreeSet<_>>(), each[index]);
        let page = shard.get("/").await.text().await.unwrap();
        assert!(page.contains(&format!("Shard {index} of 3: only its own jobs are here")), "{page}");
    }
    let statistics = simulator.statistics().await;
    let seconds = statistics["seconds"].as_array().unwrap();
    let most = seconds.iter().map(|second| second["requests"].as_u64().unwrap()).max().unwrap();
    assert!(most <= MOST_PER_SECOND, "{most} requests in a second");
    assert!(most > 60, "the budget was not what held them back: {most} requests in a second");

    // A fourth comes, and the three others hear of it.
    let four = of(4);
    shards.push(pod("drs-exporter-3", &four).await);
    for shard in &shards[..3] {
        shard.takes(&four).await;
    }
    let samples = all_together(&shards).await;
    let then: Vec<BTreeSet<String>> = samples.iter().map(jobs).collect();
    for (now, then) in each.iter().zip(&then) {
        assert!(then.is_subset(now), "a job moved between those that were there before");
    }
    assert!((200..=300).contains(&then[3].len()), "{} of 1,000 jobs moved", then[3].len());
    assert_eq!(samples[0].get(r#"drs_exporter_shards{index="0"}"#), Some(4.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_are_named_are_shared_as_well() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let names: Vec<String> = (0..12).map(|n| format!("job-{n}")).collect();
    let named: Vec<String> = names.iter().map(|name| format!("{{id: {name}, types: [table]}}")).collect();
    let config = drs.config(&named.iter().map(String::as_str).collect::<Vec<_>>());
    let mut followed = Vec::new();
    for index in ["0", "1"] {
        let shard = format!("shard: {{index: {index}, total: 2}}\n");
        let ended = run_with(&format!("{config}{shard}"), &["once"], &[]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        followed.extend(jobs(&Samples::parse(&ended.out)));
        let checked = run_with(&format!("{config}{shard}"), &["check"], &[]).await;
        assert!(checked.out.contains(&format!(" jobs, shard {index} of 2)")), "{}", checked.out);
    }
    followed.sort();
    let mut expected = names.clone();
    expected.sort();
    assert_eq!(followed, expected, "each is followed once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_page_says_of_several_exporters_is_true() {
    let simulator = Simulator::start(&["--jobs", "1", "--objects", "2500"]).await;
    let checked = run_with(&format!("{}{}", simulator.config, block(1)), &["check"], &[]).await;
    assert_eq!(checked.code, Some(0), "{}", checked.err);

    // The arithmetic: a request for each page of each type, and one for the job as a whole.
    let ended = run_with(&simulator.config, &["once"], &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let samples = Samples::parse(&ended.out);
    let pages =
        samples.beginning("drs_objects{").iter().map(|(_, objects)| (objects / 1000.0).ceil().max(1.0)).sum::<f64>();
    assert!(pages > 9.0);
    let statistics = simulator.statistics().await;
    let asked = statistics["seconds"].as_array().unwrap().iter().map(|second| second["requests"].as_u64().unwrap());
    assert_eq!(asked.sum::<u64>() as f64, pages + 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_shards_and_two_servers_have_each_job_once() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let names: Vec<String> = (0..12).map(|n| format!("job-{n}")).collect();
    let named: Vec<String> = names.iter().map(|name| format!("{{id: {name}, types: [table]}}")).collect();
    let config = drs.config(&named.iter().map(String::as_str).collect::<Vec<_>>());
    let mut scraping = block(2).to_owned();
    let mut shards = Vec::new();
    for index in 0..3 {
        let shard = Exporter::start(&format!("{config}shard: {{index: {index}, total: 3}}\n")).await;
        let there = format!("drs-exporter-{index}:10058");
        assert_eq!(scraping.matches(&there).count(), 2, "{scraping}");
        scraping = scraping.replace(&there, &shard.address().to_string());
        shards.push(shard);
    }
    let everywhere = "each job on one of the shards";
    eventually(everywhere, async || {
        let samples = join_all(shards.iter().map(Exporter::samples)).await;
        (samples.iter().map(|samples| jobs(samples).len()).sum::<usize>() == names.len()).then_some(())
    })
    .await;
    let first = Prometheus::start(&scraping).await;
    let second = Prometheus::start(&scraping.replace("regex: '0'", "regex: '1'")).await;
    let mut expected: Vec<String> = names.iter().map(|name| format!("job {name}")).collect();
    expected.extend((0..3).map(|index| format!("shard {index}")));
    expected.sort();
    eventually("each job and each shard once", async || {
        let mut found = Vec::new();
        for server in [&first, &second] {
            let label = |series: &Value, label: &str| series["metric"][label].as_str().unwrap().to_owned();
            found
                .extend(server.query("drs_objects").await.iter().map(|series| format!("job {}", label(series, "job"))));
            let shards = server.query("drs_exporter_shards").await;
            found.extend(shards.iter().map(|series| format!("shard {}", label(series, "index"))));
        }
        found.sort();
        (found == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn which_shard_it_is_has_to_be_clear() {
    let config = "
accounts:
  - {name: prod, endpoint: 'http://127.0.0.1:1', project_id: p, auth: {token: sesame}, jobs: [{id: a}]}
";
    let told = async |shard: &str, pod: &str| {
        let ended = run_with(&format!("{config}shard: {shard}\n"), &["check"], &[("POD_NAME", pod)]).await;
        assert_eq!(ended.code, Some(1), "{}", ended.out);
        ended.err.lines().next().unwrap().to_owned()
    };
    let told = [
        told("{index: 3, total: 3}", "").await,
        told("{index: 0, total: 0}", "").await,
        told("{index: 0}", "").await,
        told("{total: 3}", "").await,
        told("{index: 0, ordinal: auto, total: 3}", "drs-1").await,
        told("{ordinal: pod, total: 3}", "drs-1").await,
        told("{ordinal: auto, total: 3}", "drs").await,
        told("{ordinal: auto, total: 3}", "drs-3").await,
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    drs-exporter.yml: shard.index: expected a number from 0 to 2, as there are 3 in all; found 3
    drs-exporter.yml: shard.total: expected a number from 1 to 1000; found 0
    drs-exporter.yml: shard.total: is missing; expected how many exporters share the jobs
    drs-exporter.yml: shard: expected exactly one of `index`, which begins at 0, and `ordinal: auto`
    drs-exporter.yml: shard: expected exactly one of `index`, which begins at 0, and `ordinal: auto`
    drs-exporter.yml: shard.ordinal: expected `auto`, which takes the number at the end of the pod's name; or write `index` instead; found string "pod"
    drs-exporter.yml: shard.ordinal: expected the name of a pod that ends in its number, such as `drs-exporter-2`, in the variable POD_NAME or HOSTNAME; found `drs` in POD_NAME
    drs-exporter.yml: shard.ordinal: expected a number from 0 to 2, as there are 3 in all; found 3
    "#);
}
