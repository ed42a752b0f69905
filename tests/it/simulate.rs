//! The simulated DRS alone, and the exporter on it by the configuration that it prints.

use reqwest::Response;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::eventually;
use crate::support::exporter::{Exporter, program};
use crate::support::simulator::Simulator;

/// A log-in to the simulated IAM.
async fn log_in(simulator: &Simulator, password: &str) -> Response {
    let user = json!({"name": "monitor", "password": password, "domain": {"name": "simulated-domain"}});
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    let body = json!({"auth": {"identity": identity, "scope": {"project": {"id": "simulated-project"}}}});
    simulator.client().post(simulator.url("/v3/auth/tokens")).json(&body).send().await.unwrap()
}

fn token(log_in: &Response) -> String {
    log_in.headers()["x-subject-token"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exporter_runs_on_what_it_prints() {
    let simulator = Simulator::start(&["--objects", "2500"]).await;
    let exporter = Exporter::start(&simulator.config).await;
    let moving = simulator.jobs().remove(0);
    let samples = exporter.polled(&moving, "table", "success", 1.0).await;
    assert_eq!(samples.objects(&moving, "table"), 2500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_a_quota_and_faults_are_what_they_say() {
    let simulator = Simulator::start(&["--jobs", "1"]).await;
    let exporter = Exporter::start(&simulator.config.replace("token: simulated-token", "token: other")).await;
    let job = simulator.jobs().remove(0);
    let samples = exporter.polled(&job, "table", "auth", 1.0).await;
    let requests = samples.beginning(r#"drs_api_requests_total{account="simulated""#);
    assert!(requests.iter().any(|(series, _)| series.contains(r#"status="403""#)), "{requests:?}");

    let simulator = Simulator::start(&["--jobs", "1", "--requests-per-second", "2"]).await;
    let exporter = Exporter::start(&simulator.config).await;
    let refused = r#"drs_api_requests_total{account="simulated",operation="progress_data",status="429"}"#;
    exporter.until("throttling", |samples| samples.get(refused).is_some_and(|requests| requests >= 3.0)).await;
    let job = simulator.jobs().remove(0);
    exporter.polled(&job, "table", "success", 1.0).await;

    let simulator = Simulator::start(&["--jobs", "1", "--fault-percent", "100", "--latency", "10ms"]).await;
    let exporter = Exporter::start(&simulator.config).await;
    let job = simulator.jobs().remove(0);
    let samples = exporter.polled(&job, "table", "error", 1.0).await;
    let polls = samples.polls(&job, "table", "error");
    assert_eq!(samples.errors(&job, "table", "DRS.M00004"), 3.0 * polls, "three attempts in each poll");
}

#[tokio::test]
async fn it_prints_each_way_in() {
    let simulator = Simulator::start(&[]).await;
    let commented = simulator.config.lines().filter_map(|line| line.strip_prefix("    # auth: "));
    let ways: Vec<&str> = commented.collect();
    assert_eq!(
        ways,
        [
            "{access_key: {id: SIMULATEDACCESSKEY, secret: simulated-secret-key}}",
            "{password: {user: monitor, domain: simulated-domain, password: simulated-password}}",
        ]
    );
    assert!(simulator.config.contains("    # region: simulated-1\n    # iam_endpoint: http://127.0.0.1:"));
}

#[tokio::test]
async fn a_log_in_gives_a_token_until_it_dies() {
    let simulator = Simulator::start(&["--token-dies-after", "4s", "--token-ttl", "2h"]).await;
    let wrong = log_in(&simulator, "wrong").await;
    assert_eq!(wrong.status(), 401);
    let error = json!({"code": 401, "message": "The username or password is wrong.", "title": "Unauthorized"});
    assert_eq!(wrong.json::<Value>().await.unwrap(), json!({"error": error}));

    let (one, other) = (log_in(&simulator, "simulated-password").await, log_in(&simulator, "simulated-password").await);
    assert_eq!((one.status().as_u16(), other.status().as_u16()), (201, 201));
    let (one_token, other_token) = (token(&one), token(&other));
    assert_ne!(one_token, other_token);
    let body: Value = one.json().await.unwrap();
    let time = |key: &str| humantime::parse_rfc3339(body["token"][key].as_str().unwrap()).unwrap();
    assert_eq!(time("expires_at").duration_since(time("issued_at")).unwrap().as_secs(), 7200);
    let jobs = "/v5/simulated-project/jobs?limit=1";
    assert_eq!(simulator.get(jobs, &other_token).await.0, 200);
    let refused = eventually("the token to die", || async {
        let (status, body) = simulator.get(jobs, &one_token).await;
        (status != 200).then_some((status, body["error_code"].clone()))
    });
    assert_eq!(refused.await, (403, json!("DRS.M00100")));
    assert_eq!(simulator.get(jobs, "simulated-token").await.0, 200);
    assert_eq!(
        simulator.get("/v3/projects?name=simulated-1", "simulated-token").await.1["projects"][0]["id"],
        "simulated-project"
    );
    assert_eq!(simulator.get("/v3/projects?name=simulated-1", &one_token).await.0, 401);

    let statistics = simulator.statistics().await;
    assert_eq!(statistics["log_ins"].as_array().unwrap().len(), 2);
    assert_eq!(statistics["authentication_failures"].as_array().unwrap().len(), 3, "{statistics}");
}

#[tokio::test]
async fn it_tells_how_fast_it_was_asked() {
    let simulator = Simulator::start(&["--requests-per-second", "3"]).await;
    let detail = format!("/v5/simulated-project/jobs/{}?type=progress", simulator.jobs().remove(0));
    let mut refused = 0;
    for _ in 0..20 {
        refused += u64::from(simulator.get(&detail, "simulated-token").await.0 == 429);
    }
    let statistics = simulator.statistics().await;
    let seconds = statistics["seconds"].as_array().unwrap();
    let sum = |key: &str| seconds.iter().map(|second| second[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("requests"), sum("refused")), (20, refused));
    assert!(seconds.iter().all(|second| second["requests"].as_u64() <= second["refused"].as_u64().map(|n| n + 3)));
}

#[tokio::test]
async fn a_world_that_is_frozen_is_the_same_for_ever_and_each_time() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let simulator = Simulator::start(&["--frozen-at", "10m"]).await;
        let page = format!("/v5/simulated-project/jobs/{}/progress-data/table", simulator.jobs().remove(0));
        let token = "simulated-token";
        let (before, begin) = (simulator.get(&page, token).await.1, std::time::Instant::now());
        // The world is told anew each second.
        eventually("a second to pass", || async { (begin.elapsed().as_millis() > 1000).then_some(()) }).await;
        assert_eq!(simulator.get(&page, token).await.1, before);
        seen.push(before["flow_compare_data"].clone());
        // Whoever asks goes on: the two requests came in different seconds.
        let seconds = simulator.statistics().await["seconds"].as_array().unwrap().clone();
        assert_eq!(seconds.iter().filter(|second| second["requests"] == 1).count(), 2, "{seconds:?}");
    }
    assert_eq!(seen[0], seen[1]);
    let percents = seen[0].as_array().unwrap().iter().map(|row| row["progress"].as_u64().unwrap());
    assert!(
        percents.clone().any(|percent| percent == 100) && percents.clone().any(|percent| (1..100).contains(&percent))
    );
}

#[tokio::test]
async fn wrong_flags_are_refused() {
    let folder = TempDir::new().unwrap();
    for wrong in [["--fault-percent", "101"], ["--listen", "nowhere"], ["--latency", "5"], ["--token-ttl", "never"]] {
        let output = program().current_dir(&folder).arg("simulate").args(wrong).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}
