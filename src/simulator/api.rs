//! HTTP around the simulated world.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::extract::{Path, Query, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;

use super::Config;
use super::state::{Refusal, Request, World};

/// A simulated DRS that holds its address and does not answer yet.
#[derive(Debug)]
pub struct Simulator {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// The address of the simulator could not be had.
#[derive(Debug, thiserror::Error)]
#[error("the simulated DRS cannot listen on {address}: {error}; name another address")]
pub struct BindError {
    address: SocketAddr,
    error: io::Error,
}

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    latency: Duration,
    started: Instant,
}

impl Simulator {
    /// Takes the address, and begins the world's time.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(config: Config, address: SocketAddr) -> Result<Self, BindError> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = bound.await.map_err(|error| BindError { address, error })?;
        let latency = config.latency;
        // A clock before 1970 makes a world that begins then.
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let world = Mutex::new(World::new(config, epoch));
        Ok(Self { listener, address, shared: Arc::new(Shared { world, latency, started: Instant::now() }) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The ids of all jobs that there are at the start.
    pub fn job_ids(&self) -> Vec<String> {
        self.shared.world.lock().unwrap_or_else(PoisonError::into_inner).job_ids()
    }

    /// Answers for ever.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self) -> io::Result<()> {
        let router = Router::new()
            .route("/v5/{project}/jobs/{job}/progress-data/{type}", get(progress_data))
            .with_state(self.shared);
        axum::serve(self.listener, router).await
    }
}

#[derive(Deserialize)]
struct PageQuery {
    limit: Option<String>,
    offset: Option<String>,
}

async fn progress_data(
    State(shared): State<Arc<Shared>>,
    Path((project, job, object_type)): Path<(String, String, String)>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Response {
    tokio::time::sleep(shared.latency).await;
    let request = Request {
        token: headers.get("x-auth-token").and_then(|value| value.to_str().ok()),
        project: &project,
        job: &job,
        object_type: &object_type,
        limit: query.limit.as_deref(),
        offset: query.offset.as_deref(),
    };
    let answer =
        shared.world.lock().unwrap_or_else(PoisonError::into_inner).progress_data(&request, shared.started.elapsed());
    match answer {
        Ok(page) => Json(page).into_response(),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry_after = refusal.retry_after.map(|seconds| [(RETRY_AFTER, seconds.to_string())]);
    (status, retry_after, Json(refusal)).into_response()
}
