//! All of it put together: what is bound, what runs, and how it ends.

pub mod check;
mod crew;
pub mod demo;
pub mod once;
mod plan;
mod publisher;
mod reload;
mod replace;
pub mod simulate;
mod state_file;
mod supervisor;
mod workshop;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::board::Board;
use crate::config::Config;
use crate::drs;
use crate::exposition::Exposition;
use crate::http::{self, Lifecycle, Readiness, Rereading, Served, Server};
use crate::model::Shard;
use crate::poller::{self, Memory};
use crew::{Crew, Order, Shared, longest_interval};
use plan::Planner;
use publisher::Publisher;
use reload::{Reloader, Source};
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
    /// Whether it can be asked over HTTP to reread the configuration.
    pub lifecycle: bool,
}

/// Follows the jobs of a configuration until the process is asked to stop.
///
/// # Errors
/// When something is wrong with the configuration, an address cannot be had, or a part fails.
pub async fn run(config_file: &Path, options: &Options) -> anyhow::Result<()> {
    // First of all: a signal that comes during the start is kept until there is something to reread.
    let hangup = hangup_signal()?;
    let config = Config::load(config_file)?;
    if config.state_file.is_none() {
        info!("how long objects have stood still is measured from now on; `state_file` keeps it over a restart");
    }
    let stop = stop_signal()?;
    Exporter::new(config, Source::File(config_file.to_owned()), options).await?.run(stop, hangup).await
}

/// An exporter that holds its addresses and is ready to run.
#[derive(Debug)]
pub struct Exporter {
    server: Server,
    served: Served,
    crew: Crew,
    orders: mpsc::Receiver<Order>,
    reloader: Reloader,
    rereadings: mpsc::Receiver<Rereading>,
    state_file: Option<StateFile>,
}

impl Exporter {
    /// Takes the addresses and prepares all that follows jobs; nothing is asked of the cloud yet.
    ///
    /// # Errors
    /// When an address cannot be had, or an account cannot be used.
    async fn new(config: Config, source: Source, options: &Options) -> anyhow::Result<Self> {
        let server = Server::bind(&options.http).await?;
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let shared = shared(&config, registry, options.own_metrics, &metrics)?;
        let stall_after = watch::Sender::new(config.poller.stall_after);
        let remembered = |path| StateFile::open(path, shared.memory.clone(), stall_after.subscribe());
        let state_file = config.state_file.clone().map(remembered);
        let mut planner = Planner::new(metrics);
        let drawn = planner.draw(&config).await.map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow!(problems.join("\n"))
        })?;
        let crew = Crew::new(planner.adopt(drawn), shared.clone());
        let (orders, ordered) = mpsc::channel(1);
        let Shared { exposition, board, readiness, memory, .. } = shared;
        let reloader = Reloader {
            source,
            config,
            planner,
            exposition: Arc::clone(&exposition),
            board: Arc::clone(&board),
            memory,
            stall_after,
            orders,
        };
        let (lifecycle, rereadings) = Lifecycle::new();
        let served = Served { exposition, board, readiness, lifecycle: options.lifecycle.then_some(lifecycle) };
        Ok(Self { server, served, crew, orders: ordered, reloader, rereadings, state_file })
    }

    /// The addresses it serves at.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        Ok(self.server.addresses()?)
    }

    /// Follows and serves until `stop`; then requests under way may end, polls are given up, and the state is saved. Rereads the
    /// configuration when somebody hangs up.
    ///
    /// # Errors
    /// When a listener fails, or a task ends, which none should: then the whole process is better started anew.
    pub async fn run(self, stop: impl Future<Output = ()>, hangup: Signal) -> anyhow::Result<()> {
        let workshop = Workshop::new()?;
        let mut following = JoinSet::new();
        following.spawn_on(self.crew.run(self.orders), workshop.handle());
        let reloading = self.reloader.serve(hangup, self.rereadings);
        following.spawn_on(async move { match reloading.await {} }, workshop.handle());
        let (following_ends, following_ended) = oneshot::channel::<()>();
        let keeping = async { drop(following_ended.await) };
        let keeping = self.state_file.map(|file| workshop.handle().spawn(file.keep(keeping)));
        supervisor::ready(&self.server.addresses()?);
        // On one of the threads that serve, and not on this one, which only waits.
        let mut alive = JoinSet::new();
        alive.spawn(supervisor::keep_alive(workshop.handle().clone()));
        let stop = async {
            stop.await;
            supervisor::stopping();
        };
        let ended = tokio::select! {
            served = self.server.serve(self.served, stop) => served.context("the HTTP server failed"),
            Some(ended) = following.join_next() => Err(ended.unwrap_or_else(Into::into)),
        };
        alive.shutdown().await;
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
#[derive(Debug)]
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
fn shared(config: &Config, registry: Registry, own_metrics: bool, metrics: &Metrics) -> anyhow::Result<Shared> {
    let exposition = Arc::new(Exposition::new(config.exposition.clone(), registry, own_metrics)?);
    let longest = config.accounts.iter().map(longest_interval).max().unwrap_or_default();
    let readiness = Arc::new(Readiness::new(longest * 2));
    let board = Arc::new(Board::default());
    share(config.shard, &exposition, &board);
    let publisher = Publisher::new(Arc::clone(&exposition), Arc::clone(&board), Arc::clone(&readiness));
    let (memory, discovery) = (Memory::default(), metrics.discovery.clone());
    Ok(Shared { exposition, board, readiness, publisher, memory, discovery })
}

/// Tells which of several exporters this one is.
fn share(shard: Shard, exposition: &Exposition, board: &Board) {
    if shard.is_one_of_many() {
        info!("{shard}: follows its own jobs, and asks for its part of the limits");
    }
    exposition.share(shard);
    board.share(shard);
}

/// Hears SIGHUP from now on, which does not end the process any more, also where nobody listens.
fn hangup_signal() -> anyhow::Result<Signal> {
    signal(SignalKind::hangup()).context("cannot listen to SIGHUP")
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
