//! The configuration: read from a file and the environment, checked whole, and every problem told at once.
//!
//! Reading order: `raw` (what may be written), `resolve` (what it means), `read` (from text to `raw`, by way of a `tree`), [`Config`].

mod problem;
mod raw;
mod read;
mod resolve;
mod tree;

pub use problem::{Problem, Problems};

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::{JobId, ObjectType, Shown};
use crate::poller::Discovery;
use crate::{drs, exposition, poller};

/// What the exporter does, checked and complete.
#[derive(Clone, Debug)]
pub struct Config {
    /// The accounts whose jobs are followed.
    pub accounts: Vec<Account>,
    /// How they are followed.
    pub poller: poller::Config,
    /// How the metrics look.
    pub exposition: exposition::Config,
    /// Where what is remembered of the jobs outlives the process, if it does.
    pub state_file: Option<PathBuf>,
}

/// An account and the jobs in it that are followed.
#[derive(Clone, Debug)]
pub struct Account {
    /// How to reach it.
    pub drs: drs::Config,
    /// Whether the cloud is asked for its own view of each job.
    pub job_view: bool,
    /// The jobs that are named.
    pub jobs: Vec<Job>,
    /// How others are found, if they are.
    pub discovery: Option<Discovery>,
}

/// A job that is followed.
#[derive(Clone, Debug)]
pub struct Job {
    /// The job.
    pub id: JobId,
    /// What it is called here, if not what the cloud calls it.
    pub name: Option<String>,
    /// The types of objects that are listed.
    pub types: Vec<ObjectType>,
    /// Time between two polls of one type.
    pub interval: Duration,
    /// Which objects have a series of their own.
    pub shown: Shown,
}

impl Config {
    /// Reads a file, YAML or TOML by its ending, and the variables that begin with `DRS_EXPORTER_`.
    ///
    /// # Errors
    /// Every problem that was found, in one go.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::of(path);
        let file = read::read(path, &mut problems);
        let config = file.and_then(|file| resolve::resolve(file, &mut problems));
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }
}
