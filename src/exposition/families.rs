//! The metric families of jobs, and of jobs and types: names, kinds, units and help. Every other file takes them from here.

/// What kind of metric a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only goes up, until the process starts anew. Its samples end in `_total`.
    Counter,
    /// Always 1; what there is to know stands in the labels. Its samples end in `_info`.
    Info,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Info => "info",
        }
    }
}

/// A metric family whose samples are labelled with a job, and most with a type.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The name of its samples, a counter's `_total` included.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What it tells, in one sentence.
    pub help: &'static str,
}

impl Family {
    /// The unit that the name ends in, by the rules of OpenMetrics.
    pub(super) fn unit(&self) -> Option<&'static str> {
        self.base_name().ends_with("_seconds").then_some("seconds")
    }

    /// The name without a counter's `_total` and an info's `_info`, which is what OpenMetrics calls the family.
    pub(super) fn base_name(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Info => self.name.strip_suffix("_info").unwrap_or(self.name),
            Kind::Gauge => self.name,
        }
    }
}

/// Which family: the place in [`families`], and in each segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Id {
    ObjectProgress,
    Objects,
    ObjectsByState,
    ObjectsSuppressed,
    ProgressAverage,
    ProgressMinimum,
    LastChange,
    DataTimestamp,
    Regressions,
    Disappeared,
    Eta,
    PollSuccess,
    PollLastSuccess,
    PollDuration,
    Polls,
    PollsSkipped,
    RowsDropped,
    ApiErrors,
    JobInfo,
    JobStatus,
    JobProgress,
    JobIncrementalDelay,
    JobRemaining,
}

impl Id {
    pub(super) const ALL: [Self; 23] = [
        Self::ObjectProgress,
        Self::Objects,
        Self::ObjectsByState,
        Self::ObjectsSuppressed,
        Self::ProgressAverage,
        Self::ProgressMinimum,
        Self::LastChange,
        Self::DataTimestamp,
        Self::Regressions,
        Self::Disappeared,
        Self::Eta,
        Self::PollSuccess,
        Self::PollLastSuccess,
        Self::PollDuration,
        Self::Polls,
        Self::PollsSkipped,
        Self::RowsDropped,
        Self::ApiErrors,
        Self::JobInfo,
        Self::JobStatus,
        Self::JobProgress,
        Self::JobIncrementalDelay,
        Self::JobRemaining,
    ];

    pub(super) const fn family(self) -> Family {
        let (name, kind, help) = match self {
            Self::ObjectProgress => (
                "drs_object_progress",
                Kind::Gauge,
                "How much of an object has arrived, in percent, as DRS reports it.",
            ),
            Self::Objects => ("drs_objects", Kind::Gauge, "How many objects DRS says there are."),
            Self::ObjectsByState => (
                "drs_objects_by_state",
                Kind::Gauge,
                "Objects that are not started (at 0), in progress (1 to 99), stalled (1 to 99, and not moved for a while) and completed (at 100).",
            ),
            Self::ObjectsSuppressed => (
                "drs_objects_suppressed",
                Kind::Gauge,
                "Objects that have no series of their own, by `objects` or `max_series_per_job` of the configuration.",
            ),
            Self::ProgressAverage => (
                "drs_progress_average",
                Kind::Gauge,
                "Mean progress of all objects, in percent, each object counting once.",
            ),
            Self::ProgressMinimum => {
                ("drs_progress_minimum", Kind::Gauge, "Progress of the slowest object, in percent.")
            }
            Self::LastChange => (
                "drs_last_change_timestamp_seconds",
                Kind::Gauge,
                "When any object last moved; where none was seen to move, when they were first looked at.",
            ),
            Self::Regressions => {
                ("drs_progress_regressions_total", Kind::Counter, "Times that the progress of an object fell.")
            }
            Self::Disappeared => (
                "drs_objects_disappeared_total",
                Kind::Counter,
                "Objects below 100 that DRS does not list any more, or whose job it does not know any more.",
            ),
            Self::Eta => (
                "drs_eta_seconds",
                Kind::Gauge,
                "Time left for all objects that are not stalled, at the recent pace; absent where it cannot be known.",
            ),
            Self::DataTimestamp => {
                ("drs_data_timestamp_seconds", Kind::Gauge, "When DRS made the data that is shown, by its own clock.")
            }
            Self::PollSuccess => (
                "drs_poll_success",
                Kind::Gauge,
                "Whether the last poll brought a listing; absent before the first, and where DRS has no such listing.",
            ),
            Self::PollLastSuccess => {
                ("drs_poll_last_success_timestamp_seconds", Kind::Gauge, "When a poll last brought a listing.")
            }
            Self::PollDuration => {
                ("drs_poll_duration_seconds", Kind::Gauge, "How long the last poll took, all its pages.")
            }
            Self::Polls => ("drs_polls_total", Kind::Counter, "Polls, by how they ended."),
            Self::PollsSkipped => (
                "drs_polls_skipped_total",
                Kind::Counter,
                "Polls that were due and left out because the one before was still running.",
            ),
            Self::RowsDropped => {
                ("drs_rows_dropped_total", Kind::Counter, "Rows of DRS's listings that are not shown, by reason.")
            }
            Self::ApiErrors => (
                "drs_api_errors_total",
                Kind::Counter,
                "Requests that failed, by DRS's error code or by what went wrong where there is none.",
            ),
            Self::JobInfo => ("drs_job_info", Kind::Info, "What a job is called, whose it is and what it does."),
            Self::JobStatus => {
                ("drs_job_status", Kind::Gauge, "1 for the state that the job is in, in the cloud's own word.")
            }
            Self::JobProgress => {
                ("drs_job_progress", Kind::Gauge, "How much of the job is done, in percent, as DRS reports it.")
            }
            Self::JobIncrementalDelay => (
                "drs_job_incremental_delay_seconds",
                Kind::Gauge,
                "How far the increments are behind, as DRS reports it; absent where that does not apply.",
            ),
            Self::JobRemaining => (
                "drs_job_remaining_seconds",
                Kind::Gauge,
                "The time that is left, by DRS's own reckoning; absent where that does not apply.",
            ),
        };
        Family { name, kind, help }
    }
}

/// Every family of jobs, and of jobs and types, in the order of the exposition.
pub fn families() -> impl Iterator<Item = Family> {
    Id::ALL.into_iter().map(Id::family)
}
