//! HTTP around the simulated world.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::extract::{Path, Query, State};
use axum::http::header::RETRY_AFTER;
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;

use super::objects::Page;
use super::refusal::Refusal;
use super::state::{Jobs, ProgressData, World};
use super::statistics::Statistics;
use super::{Config, Request};

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

    /// The ids of all jobs that there are at the start, with those of children behind their parent's.
    pub fn job_ids(&self) -> Vec<String> {
        self.shared.now(|world, _| world.job_ids())
    }

    /// Answers for ever.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self) -> io::Result<()> {
        let router = Router::new()
            .route("/v5/{project}/jobs", get(jobs))
            .route("/v5/{project}/jobs/{job}", get(job_detail))
            .route("/v5/{project}/jobs/{job}/progress-data/{type}", get(progress_data))
            .route("/v3/auth/tokens", post(log_in))
            .route("/v3/projects", get(projects))
            .route("/meta-data/latest/api/token", put(metadata_token))
            .route("/openstack/latest/securitykey", get(security_key))
            .route("/simulator/requests", get(statistics))
            .with_state(self.shared);
        axum::serve(self.listener, router).await
    }
}

impl Shared {
    /// Asks the world as it is now.
    fn now<T>(&self, ask: impl FnOnce(&mut World, Duration) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        ask(&mut world, self.started.elapsed())
    }

    /// Asks the world over a slow line.
    async fn later<T>(&self, ask: impl FnOnce(&mut World, Duration) -> T) -> T {
        tokio::time::sleep(self.latency).await;
        self.now(ask)
    }
}

type Answer<T> = Result<T, Refusal>;

/// All parameters that are read of any query.
#[derive(Deserialize)]
struct Parameters {
    limit: Option<String>,
    offset: Option<String>,
    r#type: Option<String>,
    job_type: Option<String>,
    status: Option<String>,
    name: Option<String>,
    enterprise_project_id: Option<String>,
}

async fn jobs(
    State(shared): State<Arc<Shared>>,
    Path(project): Path<String>,
    Query(query): Query<Parameters>,
    parts: Parts,
    body: Bytes,
) -> Answer<Json<Value>> {
    let request = Request::from_parts(parts, body);
    let asked = Jobs {
        job_type: query.job_type.as_deref(),
        status: query.status.as_deref(),
        name: query.name.as_deref(),
        enterprise_project_id: query.enterprise_project_id.as_deref(),
        limit: query.limit.as_deref(),
        offset: query.offset.as_deref(),
    };
    shared.later(|world, elapsed| world.jobs(&request, &project, &asked, elapsed)).await.map(Json)
}

async fn job_detail(
    State(shared): State<Arc<Shared>>,
    Path((project, job)): Path<(String, String)>,
    Query(query): Query<Parameters>,
    parts: Parts,
    body: Bytes,
) -> Answer<Json<Value>> {
    let request = Request::from_parts(parts, body);
    let detail_type = query.r#type.as_deref();
    let ask = |world: &mut World, elapsed| world.job_detail(&request, (&project, &job), detail_type, elapsed);
    shared.later(ask).await.map(Json)
}

async fn progress_data(
    State(shared): State<Arc<Shared>>,
    Path((project, job, object_type)): Path<(String, String, String)>,
    Query(query): Query<Parameters>,
    parts: Parts,
    body: Bytes,
) -> Answer<Json<Page>> {
    let request = Request::from_parts(parts, body);
    let asked = ProgressData {
        job: &job,
        object_type: &object_type,
        limit: query.limit.as_deref(),
        offset: query.offset.as_deref(),
    };
    shared.later(|world, elapsed| world.progress_data(&request, &project, &asked, elapsed)).await.map(Json)
}

async fn log_in(State(shared): State<Arc<Shared>>, parts: Parts, body: Bytes) -> Answer<Response> {
    let request = Request::from_parts(parts, body);
    let answer = shared.later(|world, elapsed| world.log_in(&request, elapsed)).await?;
    let token = [(HeaderName::from_static("x-subject-token"), answer.token)];
    Ok((StatusCode::CREATED, token, Json(answer.body)).into_response())
}

async fn projects(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<Parameters>,
    parts: Parts,
    body: Bytes,
) -> Answer<Json<Value>> {
    let request = Request::from_parts(parts, body);
    shared.later(|world, elapsed| world.projects(&request, query.name.as_deref(), elapsed)).await.map(Json)
}

async fn metadata_token(State(shared): State<Arc<Shared>>, parts: Parts, body: Bytes) -> Answer<String> {
    let request = Request::from_parts(parts, body);
    shared.later(|world, elapsed| world.metadata_token(&request, elapsed)).await
}

async fn security_key(State(shared): State<Arc<Shared>>, parts: Parts, body: Bytes) -> Answer<Json<Value>> {
    let request = Request::from_parts(parts, body);
    shared.later(|world, elapsed| world.security_key(&request, elapsed)).await.map(Json)
}

async fn statistics(State(shared): State<Arc<Shared>>) -> Json<Statistics> {
    Json(shared.now(World::statistics))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after.map(|seconds| [(RETRY_AFTER, seconds.to_string())]);
        (status, retry_after, Json(self.body)).into_response()
    }
}
