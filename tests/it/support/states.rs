//! Jobs in every state that there is, each called by its state.

use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use super::drs::{Ask, Drs, failure, page, row};
use super::eventually;
use super::exporter::Exporter;

/// Every state of a job.
pub const STATES: [&str; 12] = [
    "failed",
    "stalled",
    "stale",
    "failing",
    "gone",
    "paused",
    "in_progress",
    "not_started",
    "waiting",
    "finished",
    "empty",
    "unsupported",
];

/// The name of an object that stands still, as nobody should name one.
pub const NASTY: &str = r#"<script>document.title = "run"</script>"'&amp;"#;

/// The name of the job that has it.
pub const NASTY_JOB: &str = "<img src=x onerror=alert(1)> & \"orders\"";

/// A DRS with a job in each state, and an exporter that follows them.
pub async fn all() -> (Drs, Exporter) {
    let drs = Drs::answering_all(answer, view).await;
    let line = |state: &&str| match *state {
        "waiting" => "{id: waiting, types: [table], interval: 30d}".to_owned(),
        "stalled" => format!("{{id: stalled, types: [table, view, event], name: {NASTY_JOB:?}}}"),
        state => format!("{{id: {state}, types: [table]}}"),
    };
    let lines: Vec<String> = STATES.iter().map(line).collect();
    let config = drs.config(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let config = config.replace("job_view: false", "job_view: true");
    let exporter = Exporter::start(&config.replace("1s, ", "1s, stall_after: 1s, stale_after: 3s, ")).await;
    for state in STATES {
        until(&exporter, state, state).await;
    }
    (drs, exporter)
}

fn answer(ask: &Ask) -> ResponseTemplate {
    let one = |percent| page(1, &[row("t", percent)]);
    match (&ask.job[..], &ask.object_type[..]) {
        ("stalled", "table") => page(3, &[row(NASTY, 50), row("done", 100), row("waits", 0)]),
        ("stalled", "view") => page(1, &[row("v", 100)]),
        ("stale", _) if ask.nth == 0 => one(40),
        ("stale" | "failing", _) => failure(400, "DRS.M00202"),
        ("gone", _) => failure(400, "DRS.M05004"),
        ("unsupported", _) => failure(400, "DRS.M00304"),
        ("in_progress", _) => page(2, &[row("t", 10 + ask.nth as u64 % 80), row("done", 100)]),
        ("not_started", _) => one(0),
        ("finished", _) => one(100),
        ("paused" | "failed", _) => one(30),
        _ => page(0, &[]),
    }
}

/// The cloud's view of a job.
fn view(request: &Request) -> ResponseTemplate {
    let job = request.url.path().rsplit('/').next().unwrap();
    let status = match job {
        "failed" => "FULL_TRANSFER_FAILED",
        "paused" => "PAUSING",
        _ => "FULL_TRANSFER_STARTED",
    };
    let info = json!({"progress": "-1", "incr_trans_delay": "3", "remaining_time": "-1", "transfer_status": status});
    let base = json!({"name": format!("name-of-{job}"), "job_type": "sync", "engine_type": "mysql", "task_type": "FULL_TRANS"});
    ResponseTemplate::new(200).set_body_json(json!({"job": {"id": job, "base_info": base, "progress_info": info}}))
}

/// What the API gives.
pub async fn document(exporter: &Exporter) -> Value {
    exporter.get("/api/v1/jobs").await.json().await.unwrap()
}

/// Waits until the API says that a job is in this state, and gives the job.
pub async fn until(exporter: &Exporter, job: &str, condition: &str) -> Value {
    eventually(&format!("{job} to be {condition}"), || async {
        let document = document(exporter).await;
        document["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["job"] == job && one["condition"] == condition)
            .cloned()
    })
    .await
}
