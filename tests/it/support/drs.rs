//! A DRS that answers what a test tells it to.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

/// What the exporter asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    pub project: String,
    pub job: String,
    pub object_type: String,
    pub limit: u64,
    pub offset: u64,
    /// How many requests for this job and type came before.
    pub nth: usize,
    pub headers: HashMap<String, String>,
    pub at: Instant,
}

/// A scripted DRS.
pub struct Drs {
    server: MockServer,
    asked: Arc<Mutex<Vec<Ask>>>,
    others: Arc<Mutex<Vec<(Instant, Request)>>>,
}

impl Drs {
    /// Answers each request for progress data by the script; there are no others.
    pub async fn answering(script: impl Fn(&Ask) -> ResponseTemplate + Send + Sync + 'static) -> Self {
        let unexpected = |request: &Request| -> ResponseTemplate { panic!("unexpected path {}", request.url.path()) };
        Self::answering_all(script, unexpected).await
    }

    /// Answers each request for progress data by the script, and all others by another one: lists of jobs, single jobs, log-ins.
    pub async fn answering_all(
        script: impl Fn(&Ask) -> ResponseTemplate + Send + Sync + 'static,
        other: impl Fn(&Request) -> ResponseTemplate + Send + Sync + 'static,
    ) -> Self {
        let server = MockServer::start().await;
        let (asked, others) = (Arc::new(Mutex::new(Vec::<Ask>::new())), Arc::new(Mutex::new(Vec::new())));
        let (record, record_others) = (Arc::clone(&asked), Arc::clone(&others));
        let answer = move |request: &Request| {
            let Some(mut ask) = read(request) else {
                record_others.lock().unwrap().push((Instant::now(), request.clone()));
                return other(request);
            };
            let mut asked = record.lock().unwrap();
            ask.nth = asked.iter().filter(|other| other.job == ask.job && other.object_type == ask.object_type).count();
            asked.push(ask.clone());
            drop(asked);
            script(&ask)
        };
        Mock::given(any()).respond_with(answer).mount(&server).await;
        Self { server, asked, others }
    }

    /// A configuration for one account with these jobs, each a line such as `{id: a, types: [table]}`, polled each second.
    pub fn config(&self, jobs: &[&str]) -> String {
        config(&self.server.uri(), jobs)
    }

    pub fn uri(&self) -> String {
        self.server.uri()
    }

    /// The requests so far that were for no progress data, and when they came.
    pub fn others(&self) -> Vec<(Instant, Request)> {
        self.others.lock().unwrap().clone()
    }

    /// All requests so far for progress data.
    pub fn all_asked(&self) -> Vec<Ask> {
        self.asked.lock().unwrap().clone()
    }

    /// The requests so far for one job.
    pub fn asked(&self, job: &str) -> Vec<Ask> {
        self.asked.lock().unwrap().iter().filter(|ask| ask.job == job).cloned().collect()
    }
}

pub fn config(endpoint: &str, jobs: &[&str]) -> String {
    let jobs: String = jobs.iter().map(|job| format!("      - {job}\n")).collect();
    format!(
        "accounts:
  - name: test
    endpoint: {endpoint}
    project_id: the-project
    auth: {{token: the-token}}
    job_view: false
    limits: {{timeout: 2s, requests_per_second: 1000, burst: 1000}}
    jobs:
{jobs}poll: {{interval: 1s, settled_interval: 1s}}
"
    )
}

fn read(request: &Request) -> Option<Ask> {
    let path: Vec<&str> = request.url.path().split('/').collect();
    let ["", "v5", project, "jobs", job, "progress-data", object_type] = path[..] else { return None };
    let query: HashMap<String, String> = request.url.query_pairs().into_owned().collect();
    let headers = request.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    Some(Ask {
        project: project.to_owned(),
        job: job.to_owned(),
        object_type: object_type.to_owned(),
        limit: query["limit"].parse().unwrap(),
        offset: query["offset"].parse().unwrap(),
        nth: 0,
        headers: headers.collect(),
        at: Instant::now(),
    })
}

/// Rows of different objects, by number.
pub fn rows(numbers: Range<u64>) -> Vec<Value> {
    numbers.map(|number| row(&format!("t{number}"), 10)).collect()
}

pub fn row(name: &str, progress: u64) -> Value {
    json!({"src_db": "a", "src_tb": name, "dst_db": "c", "dst_tb": name, "progress": progress})
}

/// A page of a listing that has `count` rows.
pub fn page(count: u64, rows: &[Value]) -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_json(json!({"count": count, "create_time": "1686038576882", "flow_compare_data": rows}))
}

/// The page that was asked for, of a listing of `count` rows.
pub fn whole(ask: &Ask, count: u64) -> ResponseTemplate {
    page(count, &rows(ask.offset.min(count)..(ask.offset + ask.limit).min(count)))
}

pub fn failure(status: u16, code: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"error_code": code, "error_msg": format!("about {code}")}))
}
