//! A DRS and an IAM to run against: migrations that move, stall, fail, finish and disappear, and the ways in to see them. It
//! shares no type with the client, so that one misspelt field cannot cancel out.
//!
//! Reading order: `jobs` (what there is), `objects` (how far each object of it is), `signature` and `iam` (who may see it),
//! `state` (the answers at a time); all these are pure. `api` is HTTP around them.

mod api;
mod iam;
mod jobs;
mod objects;
mod refusal;
mod signature;
mod state;
mod statistics;

pub use api::{BindError, Simulator};

use std::time::Duration;

/// A request as it arrived, which is what a signature is about.
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
    /// The region, which gives the project its name.
    pub region: String,
    /// A token that is always let in.
    pub token: String,
    /// The id of an access key that is always let in.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// The only user that may log in.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The domain (account) of the user.
    pub domain: String,
    /// How long the tokens from a log-in and the temporary keys are good for, by what they say of themselves.
    pub token_ttl: Duration,
    /// When tokens from a log-in end without having said so, as they do after a change of the password.
    pub token_dies_after: Option<Duration>,
    /// For how long objects that stall stand still, from the start; for ever where nothing is said.
    pub stands_for: Option<Duration>,
    /// How long after its start the world stands still, as if it were always that moment; it goes on where nothing is said.
    pub frozen_at: Option<Duration>,
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
            region: "simulated-1".to_owned(),
            token: "simulated-token".to_owned(),
            access_key: "SIMULATEDACCESSKEY".to_owned(),
            secret_key: "simulated-secret-key".to_owned(),
            user: "monitor".to_owned(),
            password: "simulated-password".to_owned(),
            domain: "simulated-domain".to_owned(),
            token_ttl: Duration::from_secs(24 * 60 * 60),
            token_dies_after: None,
            stands_for: None,
            frozen_at: None,
            latency: Duration::ZERO,
            requests_per_second: None,
            fault_percent: 0,
        }
    }
}
