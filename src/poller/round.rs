//! One poll: a listing, or why there is none, in the words of the model.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::schedule::Pace;
use crate::drs::{Class, Job, ListError, Tally};
use crate::model::{DropReason, Listing, ObjectType, Outcome};

/// What came of one poll.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) outcome: Outcome,
    /// The listing, where there is one.
    pub(super) listing: Option<Listing>,
    /// How much hurry there is with the next one.
    pub(super) pace: Pace,
    /// When the account may try again to be let in, if that was what stood in the way.
    pub(super) again_at: Option<Instant>,
    /// What was asked for it.
    pub(super) tally: Tally,
    /// Rows of the listing that are left out, by reason.
    pub(super) dropped: BTreeMap<DropReason, u64>,
    /// What went wrong, where, and what to do.
    pub(super) problem: Option<String>,
}

/// Asks DRS for all objects of one type, and gives up after `deadline`.
pub(super) async fn run(job: &Job, object_type: ObjectType, page_size: u32, deadline: Duration) -> Round {
    let mut tally = Tally::default();
    let until = Instant::now() + deadline;
    let listed = timeout_at(until, job.list(object_type, page_size, until, &mut tally)).await;
    let mut round = match listed {
        Ok(Ok(reading)) => {
            let outcome = if reading.consistent { Outcome::Success } else { Outcome::Inconsistent };
            let settled = reading.consistent && reading.listing.is_settled();
            let pace = if settled { Pace::Settled } else { Pace::Usual };
            let problem = (!reading.consistent).then(|| {
                "the listing kept changing while it was read; what was read last is shown, each object once".to_owned()
            });
            let dropped = reading.dropped;
            Round { pace, dropped, problem, listing: Some(reading.listing), ..Round::new(outcome) }
        }
        Ok(Err(error)) => failure(&error),
        Err(_) => {
            let problem = format!(
                "no whole listing within {}; DRS or the account's budget is too slow for this many pages: \
                 raise `poll.stale_after`, or `limits.requests_per_second` as far as DRS allows",
                humantime::format_duration(deadline)
            );
            Round { problem: Some(problem), ..Round::new(Outcome::Error) }
        }
    };
    round.tally = tally;
    round
}

fn failure(error: &ListError) -> Round {
    let (outcome, pace) = match error.class() {
        Some(Class::Throttled { .. }) => (Outcome::Throttled, Pace::Usual),
        // When an account that was refused may try again is the business of its log-in.
        Some(Class::Auth { .. }) => (Outcome::Auth, Pace::Usual),
        Some(Class::Forbidden) => (Outcome::Auth, Pace::Forbidden),
        Some(Class::Gone) => (Outcome::Gone, Pace::Hopeless),
        Some(Class::NotCallable) => (Outcome::Unsupported, Pace::Hopeless),
        Some(Class::Transient | Class::Permanent) => (Outcome::Error, Pace::Usual),
        None if matches!(error, ListError::Short { .. }) => (Outcome::Incomplete, Pace::Usual),
        None => (Outcome::Error, Pace::Usual),
    };
    Round { pace, again_at: error.not_before(), problem: Some(error.to_string()), ..Round::new(outcome) }
}

impl Round {
    fn new(outcome: Outcome) -> Self {
        let (tally, dropped) = (Tally::default(), BTreeMap::new());
        Self { outcome, listing: None, pace: Pace::Usual, again_at: None, tally, dropped, problem: None }
    }
}
