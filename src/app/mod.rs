//! All of it put together: what is bound, what runs, and how it ends.

pub mod demo;
mod publisher;
pub mod simulate;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::config::{Account, Config};
use crate::drs;
use crate::exposition::Exposition;
use crate::http::{self, Readiness, Served, Server};
use crate::model::GroupKey;
use crate::poller::{self, JobBell};
use publisher::Publisher;

/// How the process serves, whatever it follows.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it serves.
    pub http: http::Config,
    /// Whether it tells of its own build and process as well.
    pub own_metrics: bool,
}

/// Follows the jobs of a configuration until the process is asked to stop.
///
/// # Errors
/// When something is wrong with the configuration, an address cannot be had, or a part fails.
pub async fn run(config_file: &Path, options: &Options) -> anyhow::Result<()> {
    let config = Config::load(config_file)?;
    let stop = stop_signal()?;
    Exporter::new(config, options).await?.run(stop).await
}

/// An exporter that holds its addresses and is ready to run.
#[derive(Debug)]
pub struct Exporter {
    server: Server,
    served: Served,
    tasks: Vec<(GroupKey, poller::Task<Publisher>)>,
}

impl Exporter {
    /// Takes the addresses and prepares a task for each job and type; nothing is asked of the cloud yet.
    ///
    /// # Errors
    /// When an address cannot be had, or a client cannot be made.
    pub async fn new(config: Config, options: &Options) -> anyhow::Result<Self> {
        let server = Server::bind(&options.http).await?;
        let mut registry = Registry::default();
        let metrics = drs::Metrics::register(&mut registry);
        let exposition = Arc::new(Exposition::new(config.exposition, registry, options.own_metrics)?);
        let readiness = Arc::new(readiness(&config.accounts));
        let publisher = Publisher::new(Arc::clone(&exposition), Arc::clone(&readiness));
        let mut tasks = Vec::new();
        for account in config.accounts {
            tasks.extend(follow(account, &config.poller, &metrics, &publisher)?);
        }
        Ok(Self { server, served: Served { exposition, readiness }, tasks })
    }

    /// The addresses it serves at.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        Ok(self.server.addresses()?)
    }

    /// Follows and serves until `stop`; then requests under way may end, and polls are given up.
    ///
    /// # Errors
    /// When a listener fails, or a task ends, which none should: then the whole process is better started anew.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let mut polling = JoinSet::new();
        let mut names = Vec::new();
        for (key, task) in self.tasks {
            let handle = polling.spawn(task.run());
            names.push((handle.id(), key));
        }
        tokio::select! {
            served = self.server.serve(self.served, stop) => served.context("the HTTP server failed")?,
            Some(ended) = polling.join_next_with_id() => {
                let id = ended.as_ref().map_or_else(|error| error.id(), |(id, _)| *id);
                let name = names.iter().find(|(known, _)| *known == id).map(|(_, key)| key.to_string());
                let error = ended.err().map(|error| error.to_string());
                bail!(
                    "the task that follows {} ended ({}); please report this",
                    name.unwrap_or_default(),
                    error.unwrap_or_default()
                );
            }
        }
        info!("stopped");
        Ok(())
    }
}

/// Not ready until each group known now was polled once, but for two intervals at most.
fn readiness(accounts: &[Account]) -> Readiness {
    let jobs = || accounts.iter().flat_map(|account| &account.jobs);
    let keys =
        jobs().flat_map(|job| job.types.iter().map(|&object_type| GroupKey { job: job.id.clone(), object_type }));
    let longest = jobs().map(|job| job.interval).max().unwrap_or_default();
    Readiness::new(keys, longest * 2)
}

/// The tasks of one account.
fn follow(
    account: Account,
    config: &poller::Config,
    metrics: &drs::Metrics,
    publisher: &Publisher,
) -> anyhow::Result<Vec<(GroupKey, poller::Task<Publisher>)>> {
    if account.drs.endpoint.is_exposed() {
        warn!(account = account.drs.account, endpoint = %account.drs.endpoint, "the token crosses the network unencrypted; use https");
    }
    let client = Arc::new(drs::Account::new(account.drs, metrics.clone())?);
    let mut tasks = Vec::new();
    for followed in account.jobs {
        let job = Arc::new(drs::Job::new(Arc::clone(&client), followed.id.clone()));
        let bell = JobBell::default();
        for object_type in followed.types {
            let task = poller::Task::new(
                Arc::clone(&job),
                object_type,
                followed.interval,
                config.clone(),
                publisher.clone(),
                bell.clone(),
            );
            tasks.push((GroupKey { job: followed.id.clone(), object_type }, task));
        }
    }
    Ok(tasks)
}

/// Ends when the process is asked to stop, by SIGTERM or SIGINT.
///
/// # Errors
/// When the system does not let the process listen to signals.
pub fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM: stopping"),
            _ = interrupt.recv() => info!("SIGINT: stopping"),
        }
    })
}
