//! How objects stand and move, in numbers: of one type, or of all types of a job as one.

use schemars::JsonSchema;
use serde::Serialize;

use super::Condition;
use super::shown::Type;
use crate::model::{self, LastChange, Listing, Progress, seconds};

/// How objects stand and move. What is not known is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    /// How many objects DRS says there are.
    pub objects: Option<u64>,
    /// How many of them are in each state.
    pub objects_by_state: Option<States>,
    /// Mean progress of all objects, each counting once.
    pub progress_percent: Option<f64>,
    /// Progress of the object that is least far.
    pub progress_minimum_percent: Option<u8>,
    /// How fast the mean has risen lately; null where nothing was seen to move.
    pub pace_percent_per_hour: Option<f64>,
    /// The time that is left at the recent pace, without the objects that stand still; null where it cannot be known.
    pub eta_seconds: Option<f64>,
    /// Whether it takes longer than `eta_seconds`, as a part of what is left is not in it.
    pub eta_is_minimum: bool,
    /// When an object last moved; where none was seen to move, when it was first looked.
    pub last_change_timestamp_seconds: Option<f64>,
    /// Whether that change was seen.
    pub last_change_seen: Option<bool>,
    /// When DRS made the data, by its own clock. Of a job, the oldest of the types that have something left to move.
    pub data_timestamp_seconds: Option<f64>,
}

/// How many objects are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct States {
    /// At 0.
    pub not_started: u64,
    /// At 1 to 99, and moving.
    pub in_progress: u64,
    /// At 1 to 99, and not moved for a while.
    pub stalled: u64,
    /// At 100.
    pub completed: u64,
}

impl States {
    fn total(self) -> u64 {
        self.not_started + self.in_progress + self.stalled + self.completed
    }

    fn plus(self, other: Self) -> Self {
        Self {
            not_started: self.not_started + other.not_started,
            in_progress: self.in_progress + other.in_progress,
            stalled: self.stalled + other.stalled,
            completed: self.completed + other.completed,
        }
    }
}

impl From<model::States> for States {
    fn from(states: model::States) -> Self {
        let model::States { not_started, in_progress, stalled, completed } = states;
        Self { not_started, in_progress, stalled, completed }
    }
}

impl Summary {
    /// What a listing tells.
    pub(super) fn of_listing(listing: &Listing, progress: Option<&Progress>) -> Self {
        let known = Self {
            objects: Some(listing.count),
            data_timestamp_seconds: listing.data_time.map(seconds),
            ..Self::default()
        };
        let Some(progress) = progress else { return known };
        let (changed, seen) = match progress.last_change {
            LastChange::Seen(at) => (at, true),
            LastChange::NotSince(at) => (at, false),
        };
        Self {
            objects_by_state: Some(progress.states.into()),
            progress_percent: Some(progress.average),
            progress_minimum_percent: Some(progress.minimum.get()),
            pace_percent_per_hour: progress.pace,
            eta_seconds: progress.left.map(|left| left.as_secs_f64()),
            eta_is_minimum: progress.left.is_some() && progress.states.stalled > 0,
            last_change_timestamp_seconds: Some(seconds(changed)),
            last_change_seen: Some(seen),
            ..known
        }
    }

    /// All types of a job as one.
    pub(super) fn of_types<'t>(types: impl Iterator<Item = &'t Type> + Clone) -> Self {
        let all = || types.clone().map(|shown| &shown.summary);
        let states = all().filter_map(|one| one.objects_by_state).reduce(States::plus);
        // The mean over all objects, so that a type counts by how many it has.
        let mean = |value: fn(&Self) -> Option<f64>| {
            let objects = states.map(States::total).filter(|objects| *objects > 0)? as f64;
            let weighed = |one: &Self| Some(value(one)? * one.objects_by_state?.total() as f64);
            Some(all().filter_map(weighed).reduce(|a, b| a + b)? / objects)
        };
        let latest = |seen| all().filter(move |one| one.last_change_seen == Some(seen));
        let latest = |seen| latest(seen).filter_map(|one| one.last_change_timestamp_seconds).reduce(f64::max);
        let (changed, seen) = match (latest(true), latest(false)) {
            (Some(at), _) => (Some(at), Some(true)),
            (None, at) => (at, at.map(|_| false)),
        };
        let eta_seconds = all().filter_map(|one| one.eta_seconds).reduce(f64::max);
        let untold = |one: &Type| one.summary.eta_is_minimum || (one.summary.eta_seconds.is_none() && is_open(one));
        let oldest = |open_only: bool| {
            let counted = types.clone().filter(move |one| !open_only || is_open(one));
            counted.filter_map(|one| one.summary.data_timestamp_seconds).reduce(f64::min)
        };
        Self {
            objects: all().filter_map(|one| one.objects).reduce(|a, b| a.saturating_add(b)),
            objects_by_state: states,
            progress_percent: mean(|one| one.progress_percent),
            progress_minimum_percent: all().filter_map(|one| one.progress_minimum_percent).min(),
            pace_percent_per_hour: mean(|one| one.pace_percent_per_hour),
            eta_seconds,
            eta_is_minimum: eta_seconds.is_some() && types.clone().any(untold),
            last_change_timestamp_seconds: changed,
            last_change_seen: seen,
            // What is settled is looked at seldom, which says nothing of how fresh the rest is.
            data_timestamp_seconds: oldest(true).or(oldest(false)),
        }
    }
}

/// Whether something of it may be left to move.
fn is_open(shown: &Type) -> bool {
    !matches!(shown.condition, Condition::Finished | Condition::Empty | Condition::Unsupported | Condition::Gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Poll;

    fn shown(condition: Condition, states: [u64; 4], percent: f64, summary: Summary) -> Type {
        let [not_started, in_progress, stalled, completed] = states;
        let states = States { not_started, in_progress, stalled, completed };
        let (objects, known) = (states.total(), states.total() > 0);
        let summary = Summary {
            objects: Some(objects),
            objects_by_state: known.then_some(states),
            progress_percent: known.then_some(percent),
            ..summary
        };
        Type {
            object_type: "table",
            condition,
            summary,
            stalled: Vec::new(),
            slowest: Vec::new(),
            regressions: None,
            objects_disappeared: None,
            poll: Poll::default(),
        }
    }

    #[test]
    fn a_job_is_the_mean_of_its_objects_and_takes_as_long_as_its_longest_type() {
        let told = |eta, pace| Summary { eta_seconds: eta, pace_percent_per_hour: pace, ..Summary::default() };
        let tables = shown(Condition::InProgress, [0, 3, 0, 0], 40.0, told(Some(600.0), Some(12.0)));
        let views = shown(Condition::InProgress, [0, 1, 0, 0], 80.0, told(Some(60.0), None));
        let done = shown(Condition::Finished, [0, 0, 0, 4], 100.0, Summary::default());
        let empty = shown(Condition::Empty, [0; 4], 0.0, Summary::default());
        let job = Summary::of_types([&tables, &views, &done, &empty].into_iter());
        assert_eq!((job.objects, job.progress_percent), (Some(8), Some(75.0)));
        assert_eq!((job.eta_seconds, job.eta_is_minimum), (Some(600.0), false));
        assert_eq!(job.pace_percent_per_hour, Some(4.5), "nothing else rises");
        assert_eq!(job.objects_by_state.unwrap().completed, 4);
    }

    #[test]
    fn what_is_left_takes_longer_than_what_is_told_where_a_part_is_not_in_it() {
        let eta = |eta| Summary { eta_seconds: eta, ..Summary::default() };
        let told = shown(Condition::InProgress, [0, 1, 0, 0], 40.0, eta(Some(600.0)));
        for untold in [
            shown(Condition::NotStarted, [2, 0, 0, 0], 0.0, eta(None)),
            shown(Condition::Failing, [0; 4], 0.0, eta(None)),
            shown(Condition::Waiting, [0; 4], 0.0, eta(None)),
            shown(Condition::Stalled, [0, 1, 1, 0], 9.0, Summary { eta_is_minimum: true, ..eta(Some(1.0)) }),
        ] {
            assert!(Summary::of_types([&told, &untold].into_iter()).eta_is_minimum, "{untold:?}");
            let alone = Summary::of_types([&untold].into_iter());
            assert_eq!(alone.eta_is_minimum, untold.summary.eta_seconds.is_some());
        }
        assert!(!Summary::of_types([&told].into_iter()).eta_is_minimum);
    }

    #[test]
    fn a_change_that_was_seen_counts_more_than_a_first_look() {
        let change = |at, seen| Summary {
            last_change_timestamp_seconds: Some(at),
            last_change_seen: Some(seen),
            ..Summary::default()
        };
        let moved = shown(Condition::InProgress, [0, 1, 0, 0], 1.0, change(100.0, true));
        let looked = shown(Condition::InProgress, [0, 1, 0, 0], 1.0, change(200.0, false));
        let told = |types: &[&Type]| {
            let job = Summary::of_types(types.iter().copied());
            (job.last_change_timestamp_seconds, job.last_change_seen)
        };
        assert_eq!(told(&[&moved, &looked]), (Some(100.0), Some(true)));
        assert_eq!(told(&[&looked]), (Some(200.0), Some(false)));
        assert_eq!(told(&[]), (None, None));
    }

    #[test]
    fn the_age_of_a_job_is_that_of_what_may_still_move() {
        let data = |at| Summary { data_timestamp_seconds: Some(at), ..Summary::default() };
        let done = shown(Condition::Finished, [0, 0, 0, 1], 100.0, data(100.0));
        let tables = shown(Condition::InProgress, [0, 1, 0, 0], 1.0, data(700.0));
        let views = shown(Condition::Stalled, [0, 0, 1, 0], 1.0, data(690.0));
        let age = |types: &[&Type]| Summary::of_types(types.iter().copied()).data_timestamp_seconds;
        assert_eq!((age(&[&done, &tables, &views]), age(&[&done]), age(&[])), (Some(690.0), Some(100.0), None));
    }
}
