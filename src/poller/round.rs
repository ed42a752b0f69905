//! One poll: a listing, or why there is none, in the words of the model.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::intake::Intake;
use super::progress::Observation;
use super::schedule::Pace;
use super::task::Publish;
use crate::drs::{Class, Job, ListError, Reading, Tally};
use crate::model::{DropReason, Listing, ObjectType, Outcome};

/// What is told of a listing whose pages do not fit together.
const RESTLESS: &str = "the listing kept changing while it was read; what was read last is shown, each object once; \
                        where that lasts, raise `poll.page_size`, so that it is read in fewer pages";

/// What is told of a listing that has rows that are no objects. How many they are is counted, and would be news each time.
const NO_OBJECTS: &str = "rows that are no objects are left out and counted in drs_rows_dropped_total: a field is missing or wrong, \
                          or a percent is not 0 to 100; look at what DRS answers, and report it";

/// What came of one poll.
#[derive(Debug)]
pub(super) struct Round<D> {
    pub(super) outcome: Outcome,
    /// The listing, where there is one.
    pub(super) listing: Option<Listed<D>>,
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

/// A listing that was taken in whole.
#[derive(Debug)]
pub(super) struct Listed<D> {
    pub(super) listing: Listing,
    /// What it brought.
    pub(super) observation: Observation,
    /// Its objects, as they are shown.
    pub(super) draft: D,
}

impl<D> Listed<D> {
    /// Whether nothing in it is left to move: all objects are known and at 100, or there is none.
    fn is_settled(&self) -> bool {
        let completed = self.observation.progress.as_ref().map_or(0, |progress| progress.states.completed);
        completed == self.listing.count
    }
}

/// Asks DRS for all objects of one type, and gives up after `deadline`.
pub(super) async fn run<P: Publish>(
    job: &Job,
    object_type: ObjectType,
    page_size: u32,
    deadline: Duration,
    mut intake: Intake<P>,
) -> Round<P::Draft> {
    let mut tally = Tally::default();
    let until = Instant::now() + deadline;
    let listed = timeout_at(until, job.list(object_type, page_size, until, &mut tally, &mut intake)).await;
    let mut round = match listed {
        Ok(Ok(reading)) => whole(reading, intake),
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

/// Takes in what was read to its end.
fn whole<P: Publish>(reading: Reading, intake: Intake<P>) -> Round<P::Draft> {
    let Reading { listing, superseded, consistent, dropped } = reading;
    let (observation, draft) = intake.finish(&superseded);
    let listed = Listed { listing, observation, draft };
    let outcome = if consistent { Outcome::Success } else { Outcome::Inconsistent };
    let pace = if consistent && listed.is_settled() { Pace::Settled } else { Pace::Usual };
    let problems: Vec<&str> =
        [(!consistent).then_some(RESTLESS), dropped.contains_key(&DropReason::Malformed).then_some(NO_OBJECTS)]
            .into_iter()
            .flatten()
            .collect();
    let problem = (!problems.is_empty()).then(|| problems.join("; "));
    Round { pace, dropped, problem, listing: Some(listed), ..Round::new(outcome) }
}

fn failure<D>(error: &ListError) -> Round<D> {
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

impl<D> Round<D> {
    fn new(outcome: Outcome) -> Self {
        let (tally, dropped) = (Tally::default(), BTreeMap::new());
        Self { outcome, listing: None, pace: Pace::Usual, again_at: None, tally, dropped, problem: None }
    }
}
