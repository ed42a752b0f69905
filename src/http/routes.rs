//! The paths and their answers.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use tracing::error;

use super::headers::protect;
use super::lifecycle::reload;
use super::page::View;
use super::places::{Places, admit};
use super::rendering::Rendering;
use super::targets::{Targets, targets};
use super::web_config::{self, Guard};
use super::{Served, TelemetryPath};
use crate::exposition::{Encoding, Format, Selection};
use crate::model::{JobId, ObjectType};

/// The parameters of an address.
type Pairs = Vec<(String, String)>;

/// Why there is no answer.
pub(super) type Refused = (StatusCode, String);

pub(super) fn router(
    telemetry_path: &TelemetryPath,
    places: Places,
    guard: Option<Arc<Guard>>,
    served: Served,
) -> io::Result<Router> {
    let is_tls = guard.as_ref().is_some_and(|guard| guard.is_tls());
    let rendering = Rendering::new(served.clone(), telemetry_path)?;
    let at = Targets { served: served.clone(), telemetry_path: telemetry_path.clone(), is_tls };
    let mut made = Router::new().route("/api/v1/jobs", get(jobs)).route("/api/v1/schema", get(schema));
    if telemetry_path.as_str() != "/" {
        made = made.route("/", get(page));
    }
    let limited = Router::new()
        .route(telemetry_path.as_str(), get(metrics))
        .with_state(served.clone())
        .merge(Router::new().route("/-/reload", post(reload)).with_state(served.lifecycle.clone()))
        .merge(Router::new().route("/sd", get(targets)).with_state(at))
        .merge(made.with_state(rendering))
        .route_layer(from_fn_with_state(places, admit));
    let router = Router::new()
        .route("/-/healthy", get(async || "drs-exporter is healthy.\n"))
        .route("/-/ready", get(ready))
        .with_state(served);
    let all = router.merge(limited).fallback(async || (StatusCode::NOT_FOUND, "Not found. The start page is at /.\n"));
    let guarded = match guard {
        // Before any other work, on every path.
        Some(guard) => all.layer(from_fn_with_state(guard, web_config::guard)),
        None => all,
    };
    Ok(guarded.layer(map_response(protect)))
}

async fn ready(State(served): State<Served>) -> Response {
    match served.readiness.waiting() {
        0 => "drs-exporter is ready.\n".into_response(),
        waiting => {
            let text = format!("Not ready: {waiting} first polls are still to come.\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

async fn page(
    State(rendering): State<Rendering>,
    query: Result<Query<Pairs>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let view = View::parse(&pairs(query)?).map_err(bad)?;
    rendering.page(view, Encoding::preferred(&joined(&headers, ACCEPT_ENCODING))).await
}

async fn jobs(
    State(rendering): State<Rendering>,
    query: Result<Query<Pairs>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let Wanted { jobs, .. } = Wanted::parse(&pairs(query)?).map_err(bad)?;
    rendering.jobs(jobs, Encoding::preferred(&joined(&headers, ACCEPT_ENCODING))).await
}

async fn schema(State(rendering): State<Rendering>) -> Response {
    rendering.schema()
}

async fn metrics(
    State(served): State<Served>,
    query: Result<Query<Pairs>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let wanted = Wanted::parse(&pairs(query)?).map_err(bad)?;
    if let Some(job) = wanted.jobs.iter().find(|job| !served.exposition.follows(job)) {
        return Err(unknown(job));
    }
    let selection = wanted.selection().map_err(bad)?;
    let format = Format::preferred(&joined(&headers, ACCEPT));
    let encoding = Encoding::preferred(&joined(&headers, ACCEPT_ENCODING));
    let body = served.exposition.scrape(&selection, format, encoding).map_err(|_| {
        error!("the exporter's own metrics cannot be written; please report this");
        (StatusCode::INTERNAL_SERVER_ERROR, "The exporter's own metrics cannot be written.\n".to_owned())
    })?;
    let answer = Response::builder()
        .header(CONTENT_TYPE, format.content_type())
        .header(CONTENT_LENGTH, body.length())
        .header(VARY, "accept, accept-encoding");
    let answer = match encoding {
        Encoding::Identity => answer,
        Encoding::Gzip => answer.header(CONTENT_ENCODING, "gzip"),
    };
    answer
        .body(Body::from_stream(stream::iter(body)))
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")))
}

/// All values of a header, as one.
fn joined(headers: &HeaderMap, name: HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

fn pairs(query: Result<Query<Pairs>, QueryRejection>) -> Result<Pairs, Refused> {
    let Query(pairs) = query.map_err(|error| bad(format!("{error}\n")))?;
    Ok(pairs)
}

fn bad(error: String) -> Refused {
    (StatusCode::BAD_REQUEST, error)
}

/// A job that is not followed was asked for.
pub(super) fn unknown(job: &JobId) -> Refused {
    (StatusCode::NOT_FOUND, format!("The job {job} is not followed.\n"))
}

/// What the parameters of an address ask for.
#[derive(Default)]
struct Wanted {
    jobs: BTreeSet<JobId>,
    types: BTreeSet<ObjectType>,
    exporter: bool,
}

impl Wanted {
    fn parse(query: &[(String, String)]) -> Result<Self, String> {
        let mut wanted = Self::default();
        for (key, value) in query {
            match key.as_str() {
                "job" => {
                    wanted.jobs.insert(value.parse().map_err(|error| format!("?job={value}: {error}\n"))?);
                }
                "type" => {
                    wanted.types.insert(value.parse().map_err(|error| format!("?type={value}: {error}\n"))?);
                }
                "part" if value == "exporter" => wanted.exporter = true,
                "part" => return Err(format!("?part={value}: expected `exporter`\n")),
                // Whoever scrapes may add parameters of its own.
                _ => {}
            }
        }
        Ok(wanted)
    }

    fn selection(self) -> Result<Selection, String> {
        match (self.exporter, self.jobs.is_empty() && self.types.is_empty()) {
            (false, true) => Ok(Selection::Everything),
            (false, false) => Ok(Selection::Jobs { jobs: self.jobs, types: self.types }),
            (true, true) => Ok(Selection::Exporter),
            (true, false) => Err("?part=exporter belongs to no job or type: ask for one or the other.\n".to_owned()),
        }
    }
}
