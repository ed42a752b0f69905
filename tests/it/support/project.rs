//! A scripted project: jobs that its lists have, page by page, and that come and go as a test wants.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use super::drs::failure;

/// The jobs as they are now; clones share them.
#[derive(Clone, Default)]
pub struct Project(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    jobs: Vec<Value>,
    fault: Fault,
    pages: u64,
}

/// What is wrong with the lists.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Fault {
    #[default]
    None,
    /// There is no list.
    Fails,
    /// Each page announces another number of jobs.
    KeepsChanging,
    /// More jobs are announced than the pages have.
    TooMany,
    /// Fewer are.
    TooFew,
    /// The first page has a row that is no job.
    Malformed,
    /// The first page has a job whose id is none.
    NoId,
}

impl Project {
    pub fn with(jobs: impl IntoIterator<Item = Value>) -> Self {
        let project = Self::default();
        project.0.lock().unwrap().jobs.extend(jobs);
        project
    }

    pub fn add(&self, job: Value) {
        self.0.lock().unwrap().jobs.push(job);
    }

    pub fn remove(&self, id: &str) {
        self.0.lock().unwrap().jobs.retain(|job| job["id"] != id);
    }

    pub fn set_status(&self, id: &str, status: &str) {
        let mut state = self.0.lock().unwrap();
        state.jobs.iter_mut().find(|job| job["id"] == id).unwrap()["status"] = status.into();
    }

    pub fn set_fault(&self, fault: Fault) {
        self.0.lock().unwrap().fault = fault;
    }

    /// The page of the list that is asked for.
    pub fn page(&self, request: &Request) -> ResponseTemplate {
        assert!(request.url.path().ends_with("/jobs"), "unexpected path {}", request.url.path());
        let query: HashMap<String, String> = request.url.query_pairs().into_owned().collect();
        let (offset, limit): (usize, usize) = (query["offset"].parse().unwrap(), query["limit"].parse().unwrap());
        let mut state = self.0.lock().unwrap();
        state.pages += 1;
        let mut jobs: Vec<Value> =
            state.jobs.iter().filter(|job| job["job_type"] == query["job_type"]).cloned().collect();
        match state.fault {
            Fault::Malformed => jobs.insert(0, json!({"id": "a", "name": 7})),
            Fault::NoId => jobs.insert(0, json!({"id": "../jobs"})),
            _ => {}
        }
        let total = match state.fault {
            Fault::Fails => return failure(400, "DRS.M00202"),
            Fault::KeepsChanging => 1_000_000 + state.pages,
            Fault::TooMany => jobs.len() as u64 + 5,
            Fault::TooFew => (jobs.len() as u64).saturating_sub(1),
            _ => jobs.len() as u64,
        };
        let page: Vec<Value> = jobs.into_iter().skip(offset).take(limit).collect();
        ResponseTemplate::new(200).set_body_json(json!({"total_count": total, "jobs": page}))
    }
}

/// A job on its way.
pub fn job(id: &str, job_type: &str) -> Value {
    json!({
        "id": id, "name": format!("name-of-{id}"), "status": "FULL_TRANSFER_STARTED",
        "job_type": job_type, "engine_type": "mysql", "task_type": "FULL_TRANS",
    })
}
