//! The way of a report from the poller to the readers.

use std::fmt::Display;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use tokio::sync::Semaphore;
use tracing::error;

use crate::board::Board;
use crate::exposition::Exposition;
use crate::http::Readiness;
use crate::model::{JobReport, Report};
use crate::poller::Publish;

/// Renders reports, and marks their groups as tried.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    exposition: Arc<Exposition>,
    board: Arc<Board>,
    readiness: Arc<Readiness>,
    /// One for each core: more renderings at once would be no faster, and each needs a thread and memory of its own.
    permits: Arc<Semaphore>,
}

impl Publisher {
    pub(super) fn new(exposition: Arc<Exposition>, board: Arc<Board>, readiness: Arc<Readiness>) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self { exposition, board, readiness, permits: Arc::new(Semaphore::new(cores)) }
    }

    /// Renders without holding up the threads that answer scrapes, since a large listing takes a while.
    async fn render(
        &self,
        what: impl Display,
        render: impl FnOnce(&Exposition, &Board) -> io::Result<()> + Send + 'static,
    ) {
        let (exposition, board) = (Arc::clone(&self.exposition), Arc::clone(&self.board));
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        match tokio::task::spawn_blocking(move || render(&exposition, &board)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%what, %error, "cannot render; please report this"),
            Err(error) => error!(%what, %error, "rendering failed; please report this"),
        }
    }
}

impl Publish for Publisher {
    async fn publish(&self, report: Report) {
        let (key, polled) = (report.key.to_string(), report.status.last.is_some());
        self.render(&key, move |exposition, board| {
            exposition.publish(&report)?;
            board.publish(&report);
            Ok(())
        })
        .await;
        if polled {
            self.readiness.tried(&key);
        }
    }

    async fn publish_job(&self, report: JobReport) {
        self.render(report.job.clone(), move |exposition, board| {
            exposition.publish_job(&report)?;
            board.publish_job(report);
            Ok(())
        })
        .await;
    }
}
