//! The way of a report from the poller to the readers.

use std::sync::Arc;

use tracing::error;

use crate::board::Board;
use crate::exposition::{self, Exposition};
use crate::http::Readiness;
use crate::model::{GroupKey, JobReport, Objects, Report, Shown};
use crate::poller::{self, Publish};

/// Renders reports, and marks their groups as tried.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    exposition: Arc<Exposition>,
    board: Arc<Board>,
    readiness: Arc<Readiness>,
}

impl Publisher {
    pub(super) fn new(exposition: Arc<Exposition>, board: Arc<Board>, readiness: Arc<Readiness>) -> Self {
        Self { exposition, board, readiness }
    }
}

/// The objects of a listing, as the metrics show them.
#[derive(Debug)]
pub(super) struct Draft(exposition::Draft);

impl poller::Draft for Draft {
    fn add(&mut self, objects: &Objects) {
        self.0.add(objects);
    }

    fn remove(&mut self, places: &[usize]) {
        self.0.remove(places);
    }
}

impl Publish for Publisher {
    type Draft = Draft;

    fn draft(&self, key: &GroupKey, shown: Shown) -> Draft {
        Draft(self.exposition.draft(key, shown))
    }

    fn publish(&self, report: Report, draft: Option<Draft>) {
        match self.exposition.publish(&report, draft.map(|Draft(draft)| draft)) {
            Ok(()) => self.board.publish(&report),
            Err(error) => error!(group = %report.key, %error, "cannot render; please report this"),
        }
        if report.status.last.is_some() {
            self.readiness.tried(&report.key.to_string());
        }
    }

    fn publish_job(&self, report: JobReport) {
        match self.exposition.publish_job(&report) {
            Ok(()) => self.board.publish_job(report),
            Err(error) => error!(job = %report.job, %error, "cannot render; please report this"),
        }
    }
}
