//! The paths and their answers.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use tracing::error;

use super::{Served, TelemetryPath, landing};
use crate::exposition::{Encoding, Format, Selection};

const HTML: (HeaderName, &str) = (CONTENT_TYPE, "text/html; charset=utf-8");

pub(super) fn router(telemetry_path: &TelemetryPath, served: Served) -> Router {
    let mut router = Router::new()
        .route(telemetry_path.as_str(), get(metrics))
        .route("/-/healthy", get(async || "drs-exporter is healthy.\n"))
        .route("/-/ready", get(ready));
    if telemetry_path.as_str() != "/" {
        let page = landing::page(telemetry_path);
        router = router.route("/", get(async move || ([HTML], page.clone())));
    }
    router.with_state(served).fallback(async || (StatusCode::NOT_FOUND, "Not found. The start page is at /.\n"))
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

async fn metrics(
    State(served): State<Served>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, (StatusCode, String)> {
    let Query(query) = query.map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}\n")))?;
    let selection = selection(&query).map_err(|error| (StatusCode::BAD_REQUEST, error))?;
    if let Some(job) = selection.jobs.iter().find(|job| !served.exposition.follows(job)) {
        return Err((StatusCode::NOT_FOUND, format!("The job {job} is not followed.\n")));
    }
    let format = Format::preferred(&joined(&headers, ACCEPT));
    let encoding = Encoding::preferred(&joined(&headers, ACCEPT_ENCODING));
    let body = served.exposition.scrape(&selection, format, encoding).map_err(|_| {
        error!("the exporter's own metrics cannot be written; please report this");
        (StatusCode::INTERNAL_SERVER_ERROR, "The exporter's own metrics cannot be written.\n".to_owned())
    })?;
    let answer = Response::builder()
        .header(CONTENT_TYPE, format.content_type())
        .header(CONTENT_LENGTH, body.length)
        .header(VARY, "accept, accept-encoding");
    let answer = match encoding {
        Encoding::Identity => answer,
        Encoding::Gzip => answer.header(CONTENT_ENCODING, "gzip"),
    };
    let pieces = Body::from_stream(stream::iter(body.pieces.into_iter().map(Ok::<_, Infallible>)));
    answer.body(pieces).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")))
}

/// All values of a header, as one.
fn joined(headers: &HeaderMap, name: HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

fn selection(query: &[(String, String)]) -> Result<Selection, String> {
    let mut selection = Selection::default();
    for (key, value) in query {
        match key.as_str() {
            "job" => {
                selection.jobs.insert(value.parse().map_err(|error| format!("?job={value}: {error}\n"))?);
            }
            "type" => {
                selection.types.insert(value.parse().map_err(|error| format!("?type={value}: {error}\n"))?);
            }
            // Whoever scrapes may add parameters of its own.
            _ => {}
        }
    }
    Ok(selection)
}
