//! One poll: a listing, or why there is none, in the words of the model.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::drs::{Class, Errors, Job, ListError};
use crate::model::{Change, DropReason, ObjectType, Outcome};

/// What came of one poll.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) outcome: Outcome,
    pub(super) change: Change,
    /// Nothing in the listing is left to move.
    pub(super) settled: bool,
    /// Failed requests, by reason.
    pub(super) errors: Errors,
    /// Rows of the listing that are left out, by reason.
    pub(super) dropped: BTreeMap<DropReason, u64>,
    /// What went wrong, where, and what to do.
    pub(super) problem: Option<String>,
}

/// Asks DRS for all objects of one type, and gives up after `deadline`.
pub(super) async fn run(job: &Job, object_type: ObjectType, page_size: u32, deadline: Duration) -> Round {
    let mut errors = Errors::new();
    let until = Instant::now() + deadline;
    let listed = timeout_at(until, job.list(object_type, page_size, until, &mut errors)).await;
    let mut round = match listed {
        Ok(Ok(reading)) => {
            let outcome = if reading.consistent { Outcome::Success } else { Outcome::Inconsistent };
            let settled = reading.consistent && reading.listing.is_settled();
            let problem = (!reading.consistent).then(|| {
                "the listing kept changing while it was read; what was read last is shown, each object once".to_owned()
            });
            let dropped = reading.dropped;
            Round { settled, dropped, problem, ..Round::new(outcome, Change::Listing(reading.listing)) }
        }
        Ok(Err(error)) => failure(&error),
        Err(_) => {
            let problem = format!(
                "no whole listing within {}; DRS or the account's budget is too slow for this many pages: \
                 raise `poll.stale_after`, or `limits.requests_per_second` as far as DRS allows",
                humantime::format_duration(deadline)
            );
            Round { problem: Some(problem), ..Round::new(Outcome::Error, Change::Keep) }
        }
    };
    round.errors = errors;
    round
}

fn failure(error: &ListError) -> Round {
    let outcome = match error.class() {
        Some(Class::Throttled { .. }) => Outcome::Throttled,
        Some(Class::Auth) => Outcome::Auth,
        Some(Class::Gone) => Outcome::Gone,
        Some(Class::NotCallable) => Outcome::Unsupported,
        Some(Class::Transient | Class::Permanent) => Outcome::Error,
        None if matches!(error, ListError::Short { .. }) => Outcome::Incomplete,
        None => Outcome::Error,
    };
    let change = if outcome == Outcome::Gone { Change::Drop } else { Change::Keep };
    Round { problem: Some(error.to_string()), ..Round::new(outcome, change) }
}

impl Round {
    fn new(outcome: Outcome, change: Change) -> Self {
        Self { outcome, change, settled: false, errors: Errors::new(), dropped: BTreeMap::new(), problem: None }
    }
}
