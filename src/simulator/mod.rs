//! A DRS to run against: migrations that move, stall, fail, finish and disappear. It shares no type with the client, so that
//! one misspelt field cannot cancel out.
//!
//! Reading order: `jobs` (what there is), `objects` (how far each object of it is), `state` (the answers at a
//! time); all these are pure. `api` is HTTP around them.

mod api;
mod jobs;
mod objects;
mod refusal;
mod state;

pub use api::{BindError, Simulator};

use std::time::Duration;

/// A request as it arrived, whole.
type Request = axum::http::Request<bytes::Bytes>;

/// What the simulator is like.
#[derive(Clone, Debug)]
pub struct Config {
    /// What all names and paces follow from; the same seed gives the same world.
    pub seed: u64,
    /// How many jobs there are, not counting children: each seventh has two. Their fates follow one another: moving,
    /// stalling, failing, finishing, disappearing.
    pub jobs: usize,
    /// How many tables each job has; of the other types there are as many or fewer.
    pub objects: u64,
    /// The only project there is.
    pub project_id: String,
    /// The only token that is let in.
    pub token: String,
    /// How long each answer takes.
    pub latency: Duration,
    /// Requests to DRS allowed in each second; more are refused as API Gateway does.
    pub requests_per_second: Option<u32>,
    /// How many of 100 requests to DRS fail with a fault of the service.
    pub fault_percent: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 1,
            jobs: 5,
            objects: 40,
            project_id: "simulated-project".to_owned(),
            token: "simulated-token".to_owned(),
            latency: Duration::ZERO,
            requests_per_second: None,
            fault_percent: 0,
        }
    }
}
