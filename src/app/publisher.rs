//! The way of a report from the poller to the readers.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use tokio::sync::Semaphore;
use tracing::error;

use crate::exposition::Exposition;
use crate::http::Readiness;
use crate::model::Report;
use crate::poller::Publish;

/// Renders reports, and marks their groups as tried.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    exposition: Arc<Exposition>,
    readiness: Arc<Readiness>,
    /// One for each core: more renderings at once would be no faster, and each needs a thread and memory of its own.
    permits: Arc<Semaphore>,
}

impl Publisher {
    pub(super) fn new(exposition: Arc<Exposition>, readiness: Arc<Readiness>) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self { exposition, readiness, permits: Arc::new(Semaphore::new(cores)) }
    }
}

impl Publish for Publisher {
    async fn publish(&self, report: Report) {
        let (key, polled) = (report.key.clone(), report.status.last.is_some());
        let exposition = Arc::clone(&self.exposition);
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        // Rendering a large listing takes a while; it must not hold up the threads that answer scrapes.
        let rendered = tokio::task::spawn_blocking(move || exposition.publish(&report)).await;
        match rendered {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                error!(job = %key.job, r#type = %key.object_type, %error, "cannot render; please report this")
            }
            Err(error) => {
                error!(job = %key.job, r#type = %key.object_type, %error, "rendering failed; please report this")
            }
        }
        if polled {
            self.readiness.tried(&key);
        }
    }
}
