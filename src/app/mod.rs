//! All of it put together: what is bound, what runs, and how it ends.

pub mod check;
mod crew;
pub mod demo;
pub mod once;
mod publisher;
mod replace;
pub mod simulate;
mod state_file;
mod workshop;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::board::Board;
use crate::config::{Account, Config};
use crate::drs;
use crate::exposition::Exposition;
use crate::http::{self, Readiness, Served, Server};
use crate::poller::{self, Lister, Memory};
use crew::{Crew, Shared};
use publisher::Publisher;
use state_file::StateFile;
use workshop::Workshop;

/// How long the last save may take. The whole process has 5 s to end, of which requests under way may take three.
const LAST_SAVE: Duration = Duration::from_secs(2);

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
    if config.state_file.is_none() {
        info!("how long objects have stood still is measured from now on; `state_file` keeps it over a restart");
    }
    let stop = stop_signal()?;
    Exporter::new(config, options).await?.run(stop).await
}

/// An exporter that holds its addresses and is ready to run.
#[derive(Debug)]
pub struct Exporter {
    server: Server,
    served: Served,
    crews: Vec<(Crew, Option<Lister>)>,
    state_file: Option<StateFile>,
}

impl Exporter {
    /// Takes the addresses and prepares all that follows jobs; nothing is asked of the cloud yet.
    ///
    /// # Errors
    /// When an address cannot be had, or an account cannot be used.
    pub async fn new(config: Config, options: &Options) -> anyhow::Result<Self> {
        let server = Server::bind(&options.http).await?;
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let shared = shared(&config, registry, options.own_metrics)?;
        let state_file =
            config.state_file.map(|path| StateFile::open(path, shared.memory.clone(), config.poller.stall_after));
        let mut crews = Vec::new();
        for account in config.accounts {
            let client = connect(&account, &metrics).await?;
            let lister = account.discovery.clone().map(|discovery| {
                Lister::new(Arc::clone(&client), discovery, config.poller.stale_after, metrics.discovery.clone())
            });
            crews.push((Crew::new(account, client, shared.clone()), lister));
        }
        let served = Served { exposition: shared.exposition, board: shared.board, readiness: shared.readiness };
        Ok(Self { server, served, crews, state_file })
    }

    /// The addresses it serves at.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        Ok(self.server.addresses()?)
    }

    /// Follows and serves until `stop`; then requests under way may end, polls are given up, and the state is saved.
    ///
    /// # Errors
    /// When a listener fails, or a task ends, which none should: then the whole process is better started anew.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let workshop = Workshop::new()?;
        let mut following = JoinSet::new();
        for (crew, lister) in self.crews {
            // One list at a time: the next one is not asked for before the last one was taken in.
            let (lists, taken) = mpsc::channel(1);
            following.spawn_on(crew.run(taken), workshop.handle());
            if let Some(lister) = lister {
                let listing = async move {
                    // A send fails only where the crew has ended, which is told then.
                    match lister.run(async |list| drop(lists.send(list).await)).await {}
                };
                following.spawn_on(listing, workshop.handle());
            }
        }
        let (following_ends, following_ended) = oneshot::channel::<()>();
        let keeping = self.state_file.map(|file| tokio::spawn(file.keep(async { drop(following_ended.await) })));
        let ended = tokio::select! {
            served = self.server.serve(self.served, stop) => served.context("the HTTP server failed"),
            Some(ended) = following.join_next() => Err(ended.unwrap_or_else(Into::into)),
        };
        following.shutdown().await;
        drop(following_ends);
        if let Some(keeping) = keeping
            && timeout(LAST_SAVE, keeping).await.is_err()
        {
            warn!(
                "the state could not be saved within {} s; what the last minute brought is lost",
                LAST_SAVE.as_secs()
            );
        }
        ended?;
        info!("stopped");
        Ok(())
    }
}

/// The metrics of whatever asks the cloud.
struct Metrics {
    drs: drs::Metrics,
    discovery: poller::Metrics,
}

impl Metrics {
    fn register(registry: &mut Registry) -> Self {
        Self { drs: drs::Metrics::register(registry), discovery: poller::Metrics::register(registry) }
    }
}

/// What all accounts share. Not ready until all that is known at the start was tried once, but for two intervals at most.
fn shared(config: &Config, registry: Registry, own_metrics: bool) -> anyhow::Result<Shared> {
    let exposition = Arc::new(Exposition::new(config.exposition.clone(), registry, own_metrics)?);
    let longest = config.accounts.iter().map(Crew::longest_interval).max().unwrap_or_default();
    let readiness = Arc::new(Readiness::new(longest * 2));
    let board = Arc::new(Board::default());
    let publisher = Publisher::new(Arc::clone(&exposition), Arc::clone(&board), Arc::clone(&readiness));
    Ok(Shared {
        poller: config.poller.clone(),
        exposition,
        board,
        readiness,
        publisher,
        taken: Arc::default(),
        memory: Memory::default(),
    })
}

/// The connection of one account.
async fn connect(account: &Account, metrics: &Metrics) -> anyhow::Result<Arc<drs::Account>> {
    for endpoint in [&account.drs.endpoint].into_iter().chain(&account.drs.auth.iam_endpoint) {
        if endpoint.is_exposed() {
            warn!(account = account.drs.account, %endpoint, "secrets cross the network unencrypted; use https");
        }
    }
    Ok(Arc::new(drs::Account::new(account.drs.clone(), metrics.drs.clone()).await?))
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
