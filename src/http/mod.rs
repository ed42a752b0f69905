//! What the exporter serves: the metrics and where to find them job by job, the status page and its values as JSON, and whether it
//! lives and is ready; and it can be asked to reread its configuration.

mod address;
mod connection;
mod crowd;
mod headers;
mod held;
mod lifecycle;
mod page;
mod places;
mod readiness;
mod reception;
mod rendering;
mod routes;
mod targets;
mod web_config;

pub use address::{InvalidListenAddress, InvalidTelemetryPath, ListenAddress, TelemetryPath};
pub use lifecycle::{Lifecycle, Reread, Rereading};
pub use readiness::Readiness;
pub use web_config::{Problems, Unusable, WebConfig};

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use self::crowd::Crowd;
use self::places::Places;
use self::reception::{House, receive};
use self::web_config::Guard;
use crate::board::Board;
use crate::exposition::Exposition;

/// How long requests under way may take to end once the server stops. The whole process has 5 s, on a busy machine as well.
const DRAIN: Duration = Duration::from_secs(3);

/// Most connections at once, as many as Prometheus itself takes; each needs an open file, of which a process may often have 1024.
const MAX_CONNECTIONS: usize = 512;

/// Where and under which path to serve.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses to listen on.
    pub listen_addresses: Vec<ListenAddress>,
    /// The path of the metrics.
    pub telemetry_path: TelemetryPath,
    /// How many requests are answered at once, health and readiness aside; as many as come where there is none.
    pub max_requests: Option<NonZero<usize>>,
    /// The file that says who may read and how connections are made safe; everybody may, and they are not, where there is none.
    pub web_config: Option<PathBuf>,
}

/// What the routes serve from.
#[derive(Clone, Debug)]
pub struct Served {
    /// The metrics.
    pub exposition: Arc<Exposition>,
    /// What the status page and the API show.
    pub board: Arc<Board>,
    /// Whether every group was polled once.
    pub readiness: Arc<Readiness>,
    /// Asks for the configuration to be reread, where that is allowed.
    pub lifecycle: Option<Lifecycle>,
}

/// The server cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {error}; name another with --web.listen-address")]
    Address {
        /// The address.
        address: ListenAddress,
        /// Why.
        error: io::Error,
    },
    /// The web configuration is of no use.
    #[error(transparent)]
    WebConfig(#[from] Unusable),
}

/// Reads a web configuration, and what it names.
///
/// # Errors
/// When it cannot be used; says all that is wrong.
pub async fn check(web_config: &Path) -> Result<(), Unusable> {
    Guard::open(web_config).await.map(drop)
}

/// A server that holds its addresses and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    telemetry_path: TelemetryPath,
    places: Places,
    guard: Option<Arc<Guard>>,
}

impl Server {
    /// Takes the addresses.
    ///
    /// # Errors
    /// When one of them cannot be had, or the web configuration is of no use.
    pub async fn bind(config: &Config) -> Result<Self, BindError> {
        let guard = match &config.web_config {
            Some(file) => Some(Arc::new(Guard::open(file).await?)),
            None => None,
        };
        let mut listeners = Vec::new();
        for address in &config.listen_addresses {
            let bound = address.bind().await;
            listeners.push(bound.map_err(|error| BindError::Address { address: address.clone(), error })?);
        }
        let places = Places::new(config.max_requests);
        Ok(Self { listeners, telemetry_path: config.telemetry_path.clone(), places, guard })
    }

    /// The addresses that were taken, with the ports that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// Answers until `stop`, then lets the requests under way end, for a few seconds at the most.
    ///
    /// # Errors
    /// When a listener cannot be used, or the system lets the process have no thread.
    pub async fn serve(self, served: Served, stop: impl Future<Output = ()>) -> io::Result<()> {
        let router = routes::router(&self.telemetry_path, self.places, self.guard.clone(), served)?;
        let house = House { router, guard: self.guard };
        let crowd = Crowd::new(MAX_CONNECTIONS);
        let (stopping, stopped) = watch::channel(false);
        let mut receptions = JoinSet::new();
        for listener in self.listeners {
            info!(address = %listener.local_addr()?, "listening");
            receptions.spawn(receive(listener, house.clone(), crowd.clone(), stopped.clone()));
        }
        tokio::select! {
            () = stop => {}
            Some(ended) = receptions.join_next() => return ended.map_err(io::Error::other),
        }
        stopping.send_replace(true);
        let drained = tokio::time::timeout(DRAIN, async { while receptions.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            warn!("requests were still under way {} s after the stop; they are cut off", DRAIN.as_secs());
        }
        Ok(())
    }
}
