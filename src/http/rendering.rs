//! Answers that take time to make: the status page and the API. They are made one at a time and on a thread of their own, so that
//! no scrape waits for them.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LINK, VARY};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::{mpsc, oneshot};
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
    desk: mpsc::Sender<Work>,
}

/// What is to be done on the thread.
type Work = Box<dyn FnOnce() + Send>;

impl Rendering {
    /// Starts the thread, which ends with the last of those that ask.
    ///
    /// # Errors
    /// When the system does not let the process have it.
    pub(super) fn new(served: Served, telemetry_path: &TelemetryPath) -> io::Result<Self> {
        let (desk, mut work) = mpsc::channel::<Work>(1);
        let run = move || {
            while let Some(work) = work.blocking_recv() {
                // Who waits is told by what it waits for, which is dropped; the log has the rest.
                let _ = catch_unwind(AssertUnwindSafe(work));
            }
        };
        // Always the same thread: each has memory of its own, which it keeps.
        thread::Builder::new().name("pages".to_owned()).spawn(run)?;
        Ok(Self {
            served,
            telemetry_path: telemetry_path.clone(),
            security_policy: page::security_policy().into(),
            schema: schema().to_string().into(),
            desk,
        })
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
            let part = served.board.part();
            let around = Surroundings { telemetry_path: path.as_str(), part, first_polls, now: SystemTime::now() };
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
        let (answer, made) = oneshot::channel();
        let work = move || {
            // Nobody may wait for it any more.
            let _ = answer.send(make().and_then(|body| encoded(body, encoding)));
        };
        // Where the thread has ended, the work is dropped, and with it what is waited for.
        let _ = self.desk.send(Box::new(work)).await;
        let body = made.await.map_err(io::Error::other).flatten().map_err(|error| {
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
