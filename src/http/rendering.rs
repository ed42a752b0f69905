//! Answers that take time to make: the status page and the API. They are made one at a time and beside the threads that answer
//! scrapes, so that no scrape waits for them.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LINK, VARY};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::Semaphore;
use tracing::error;

use super::page::{self, Surroundings, View};
use super::routes::{Refused, unknown};
use super::{Served, TelemetryPath};
use crate::board::schema;
use crate::exposition::Encoding;
use crate::model::JobId;

/// Makes these answers.
#[derive(Clone, Debug)]
pub(super) struct Rendering {
    served: Served,
    telemetry_path: TelemetryPath,
    security_policy: Arc<str>,
    schema: Bytes,
    turn: Arc<Semaphore>,
}

impl Rendering {
    pub(super) fn new(served: Served, telemetry_path: &TelemetryPath) -> Self {
        Self {
            served,
            telemetry_path: telemetry_path.clone(),
            security_policy: page::security_policy().into(),
            schema: schema().to_string().into(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// The status page. A job that is named and not followed is told on a page of its own, which goes on to renew itself.
    pub(super) async fn page(&self, view: View, encoding: Encoding) -> Result<Response, Refused> {
        let status = match view.jobs().iter().all(|job| self.served.board.follows(job)) {
            true => StatusCode::OK,
            false => StatusCode::NOT_FOUND,
        };
        let (served, path) = (self.served.clone(), self.telemetry_path.clone());
        let body = self.make(encoding, move || {
            let jobs = served.board.jobs(view.jobs());
            let first_polls = served.readiness.waiting();
            let around = Surroundings { telemetry_path: path.as_str(), first_polls, now: SystemTime::now() };
            page::render(&jobs, &view, around).map(String::into_bytes).map_err(io::Error::other)
        });
        let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, &self.security_policy)];
        Ok((status, headers, body.await?).into_response())
    }

    /// The same values as JSON.
    pub(super) async fn jobs(&self, jobs: BTreeSet<JobId>, encoding: Encoding) -> Result<Response, Refused> {
        if let Some(job) = jobs.iter().find(|job| !self.served.board.follows(job)) {
            return Err(unknown(job));
        }
        let served = self.served.clone();
        let body = self.make(encoding, move || Ok(serde_json::to_vec(&served.board.document(&jobs))?));
        let headers = [(CONTENT_TYPE, "application/json"), (LINK, r#"</api/v1/schema>; rel="describedby""#)];
        Ok((headers, body.await?).into_response())
    }

    /// The JSON Schema of that.
    pub(super) fn schema(&self) -> Response {
        ([(CONTENT_TYPE, "application/schema+json")], self.schema.clone()).into_response()
    }

    async fn make(
        &self,
        encoding: Encoding,
        make: impl FnOnce() -> io::Result<Vec<u8>> + Send + 'static,
    ) -> Result<Response, Refused> {
        // The semaphore is never closed. The turn ends with the work, also where nobody waits for it any more.
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok();
        let made = tokio::task::spawn_blocking(move || {
            let made = encoded(make()?, encoding);
            drop(turn);
            made
        });
        let made = made.await;
        let body = made.map_err(io::Error::other).flatten().map_err(|error| {
            error!(%error, "an answer cannot be made; please report this");
            (StatusCode::INTERNAL_SERVER_ERROR, "The answer cannot be made; the log says why.\n".to_owned())
        })?;
        let headers = [(CACHE_CONTROL, "no-store"), (VARY, "accept-encoding")];
        Ok(match encoding {
            Encoding::Identity => (headers, body).into_response(),
            Encoding::Gzip => (headers, [(CONTENT_ENCODING, "gzip")], body).into_response(),
        })
    }
}

fn encoded(body: Vec<u8>, encoding: Encoding) -> io::Result<Vec<u8>> {
    match encoding {
        Encoding::Identity => Ok(body),
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&body)?;
            encoder.finish()
        }
    }
}
