//! How a job or a type stands, in one word: what somebody who is called at night has to know first.

use schemars::JsonSchema;
use serde::Serialize;

use super::summary::Summary;
use crate::model::{JobStatus, Outcome, PollStatus};

/// How a job or one of its types stands. The most urgent comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// DRS says that the job failed.
    Failed,
    /// Objects on their way stand still.
    Stalled,
    /// Polls fail, and the last good listing was too old to be shown any longer.
    Stale,
    /// Polls fail; what is shown is the last good listing, where there was one.
    Failing,
    /// DRS does not know the job any more.
    Gone,
    /// DRS says that the job is paused.
    Paused,
    /// Some of the objects are on their way or have arrived.
    InProgress,
    /// All objects are at 0.
    NotStarted,
    /// It was not polled yet.
    Waiting,
    /// All objects are at 100.
    Finished,
    /// There are no objects.
    Empty,
    /// The job cannot list this type.
    Unsupported,
}

impl Condition {
    /// Every condition, the most urgent first.
    pub const ALL: [Self; 12] = [
        Self::Failed,
        Self::Stalled,
        Self::Stale,
        Self::Failing,
        Self::Gone,
        Self::Paused,
        Self::InProgress,
        Self::NotStarted,
        Self::Waiting,
        Self::Finished,
        Self::Empty,
        Self::Unsupported,
    ];

    /// The word for it, in the API and in addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Stalled => "stalled",
            Self::Stale => "stale",
            Self::Failing => "failing",
            Self::Gone => "gone",
            Self::Paused => "paused",
            Self::InProgress => "in_progress",
            Self::NotStarted => "not_started",
            Self::Waiting => "waiting",
            Self::Finished => "finished",
            Self::Empty => "empty",
            Self::Unsupported => "unsupported",
        }
    }

    /// Whether somebody has to look at it.
    pub const fn needs_attention(self) -> bool {
        matches!(self, Self::Failed | Self::Stalled | Self::Stale | Self::Failing | Self::Gone)
    }

    /// How a type stands, by its polls and by what is shown of it.
    pub(super) fn of_type(status: &PollStatus, shown: &Summary) -> Self {
        match status.last {
            None => Self::Waiting,
            Some(Outcome::Gone) => Self::Gone,
            Some(Outcome::Unsupported) => Self::Unsupported,
            Some(outcome) if outcome.is_success() => Self::of_listing(shown),
            Some(_) if shown.objects.is_none() && status.last_success.is_some() => Self::Stale,
            Some(_) => Self::Failing,
        }
    }

    fn of_listing(shown: &Summary) -> Self {
        match (shown.objects, shown.objects_by_state) {
            (Some(0), _) => Self::Empty,
            (_, Some(states)) if states.stalled > 0 => Self::Stalled,
            (Some(objects), Some(states)) if states.completed == objects => Self::Finished,
            (_, Some(states)) if states.in_progress + states.completed == 0 => Self::NotStarted,
            (_, Some(_)) => Self::InProgress,
            // There are objects, and not one of their rows could be read.
            (_, None) => Self::Failing,
        }
    }

    /// How a job stands, by DRS's own word and by its types.
    pub(super) fn of_job(status: Option<&JobStatus>, types: &[Self]) -> Self {
        let status = status.map(JobStatus::as_str).unwrap_or_default();
        if status.ends_with("_FAILED") {
            return Self::Failed;
        }
        let paused = status == "PAUSING";
        // Who pauses a job knows why nothing moves.
        let expected = |condition: Self| paused && condition == Self::Stalled;
        match types.iter().copied().filter(|condition| !expected(*condition)).min() {
            Some(worst) if worst.needs_attention() => worst,
            _ if paused => Self::Paused,
            Some(Self::NotStarted) if types.contains(&Self::Finished) => Self::InProgress,
            Some(worst) => worst,
            None => Self::Waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::States;

    fn polled(last: Option<Outcome>) -> PollStatus {
        PollStatus { last, ..PollStatus::default() }
    }

    fn listing(objects: u64, [not_started, in_progress, stalled, completed]: [u64; 4]) -> Summary {
        let states = States { not_started, in_progress, stalled, completed };
        let known = not_started + in_progress + stalled + completed > 0;
        Summary { objects: Some(objects), objects_by_state: known.then_some(states), ..Summary::default() }
    }

    #[test]
    fn a_type_stands_as_its_polls_and_its_objects_do() {
        let none = Summary::default();
        let good = |shown: &Summary| Condition::of_type(&polled(Some(Outcome::Success)), shown);
        let bad = |shown: &Summary| Condition::of_type(&polled(Some(Outcome::Throttled)), shown);
        assert_eq!(Condition::of_type(&polled(None), &none), Condition::Waiting);
        assert_eq!(Condition::of_type(&polled(Some(Outcome::Gone)), &none), Condition::Gone);
        assert_eq!(Condition::of_type(&polled(Some(Outcome::Unsupported)), &none), Condition::Unsupported);
        assert_eq!(Condition::of_type(&polled(Some(Outcome::Inconsistent)), &listing(0, [0; 4])), Condition::Empty);
        assert_eq!(good(&listing(3, [1, 0, 1, 1])), Condition::Stalled);
        assert_eq!(good(&listing(3, [3, 0, 0, 0])), Condition::NotStarted);
        assert_eq!(good(&listing(3, [2, 0, 0, 1])), Condition::InProgress);
        assert_eq!(good(&listing(3, [0, 1, 0, 2])), Condition::InProgress);
        assert_eq!(good(&listing(3, [0, 0, 0, 3])), Condition::Finished);
        assert_eq!(good(&listing(4, [0, 0, 0, 3])), Condition::InProgress, "one row could not be read");
        assert_eq!(good(&listing(4, [0; 4])), Condition::Failing, "no row could be read");
        assert_eq!((bad(&none), bad(&listing(3, [0, 0, 0, 3]))), (Condition::Failing, Condition::Failing));
        let once_good = PollStatus { last_success: Some(std::time::SystemTime::now()), ..polled(Some(Outcome::Error)) };
        assert_eq!(Condition::of_type(&once_good, &none), Condition::Stale);
    }

    #[test]
    fn a_job_stands_as_the_most_urgent_of_its_types_and_as_drs_says() {
        use Condition::*;
        let of = |status: &str, types: &[Condition]| Condition::of_job(JobStatus::new(status).as_ref(), types);
        assert_eq!(of("", &[]), Waiting);
        assert_eq!(of("", &[Finished, Stalled, Failing]), Stalled);
        assert_eq!(of("", &[Finished, Empty, Unsupported]), Finished);
        assert_eq!(of("", &[Unsupported, Empty]), Empty);
        assert_eq!(of("", &[NotStarted, Empty]), NotStarted);
        assert_eq!(of("", &[NotStarted, Finished]), InProgress);
        assert_eq!(of("", &[Waiting, Finished]), Waiting);
        assert_eq!(of("FULL_TRANSFER_STARTED", &[InProgress]), InProgress);
        assert_eq!(of("FULL_TRANSFER_FAILED", &[Finished]), Failed);
        assert_eq!((of("PAUSING", &[Stalled]), of("PAUSING", &[Stale, Stalled])), (Paused, Stale));
    }

    #[test]
    fn the_words_are_those_of_the_api_in_their_order() {
        for condition in Condition::ALL {
            assert_eq!(serde_json::to_value(condition).unwrap(), condition.as_str());
        }
        assert!(Condition::ALL.is_sorted());
    }
}
