//! The values that are shown, as the API writes them. Their doc comments are the descriptions of its schema.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;

use super::{Condition, Summary};
use crate::model::{Change, JobId, JobReport, Outcome, Report, seconds};

/// Longest text of the cloud that is shown, in bytes. Names of databases and their objects have a few dozen.
const MAX_TEXT_BYTES: usize = 1024;

/// All jobs that are followed, as they stood at one moment. Times are seconds since 1970, and what is not known is null.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Document {
    /// The moment.
    pub timestamp_seconds: f64,
    /// Which part of the jobs these are; null where this exporter follows all of them.
    pub shard: Option<Part>,
    /// The jobs, by id.
    pub jobs: Vec<Job>,
}

/// The part of the jobs that one exporter follows, where several share them.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Part {
    /// Which of the exporters this is, from 0 on.
    pub index: u32,
    /// How many there are.
    pub total: u32,
}

/// One job.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Job {
    /// Its id.
    pub job: String,
    /// Its name, as the configuration or the cloud says.
    pub name: Option<String>,
    /// The account it belongs to, by its name in the configuration.
    pub account: Option<String>,
    /// The account's region.
    pub region: Option<String>,
    /// `migration`, `sync` or `cloudDataGuard`.
    pub job_type: Option<String>,
    /// From which engine to which, such as `mysql-to-gaussdbv5`.
    pub engine_type: Option<String>,
    /// `FULL_TRANS`, `FULL_INCR_TRANS` or `INCR_TRANS`.
    pub task_type: Option<String>,
    /// Its state in the cloud's own word, such as `FULL_TRANSFER_STARTED`.
    pub status: Option<String>,
    /// How far it is by the cloud's own view of the whole job.
    pub cloud_progress_percent: Option<f64>,
    /// How far the increments are behind, where that applies.
    pub cloud_incremental_delay_seconds: Option<f64>,
    /// The time that is left by the cloud's reckoning, where that applies.
    pub cloud_remaining_seconds: Option<f64>,
    /// How it stands: the most urgent of its types, or what DRS says of it.
    pub condition: Condition,
    /// All its types as one.
    #[serde(flatten)]
    pub summary: Summary,
    /// Each type that is followed.
    pub types: Vec<Arc<Type>>,
}

/// One type of objects of one job.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Type {
    /// Such as `table` or `view`.
    #[serde(rename = "type")]
    pub object_type: &'static str,
    /// How it stands.
    pub condition: Condition,
    /// How its objects stand and move.
    #[serde(flatten)]
    pub summary: Summary,
    /// Objects that stand still, the one that has stood longest first; not all where there are many.
    pub stalled: Vec<Standing>,
    /// Objects that are on their way, the one that is least far first; not all where there are many.
    pub slowest: Vec<Standing>,
    /// Times that a percent fell; null before there was an object.
    pub regressions: Option<u64>,
    /// Objects below 100 that were not listed any more; null before there was an object.
    pub objects_disappeared: Option<u64>,
    /// The last poll.
    pub poll: Poll,
}

/// One object and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Standing {
    /// Source database.
    pub src_db: String,
    /// Source object; for a table its name.
    pub src_tb: String,
    /// Destination database.
    pub dst_db: String,
    /// Destination object.
    pub dst_tb: String,
    /// How far it is.
    pub progress_percent: u8,
    /// When it came there, or was first looked at.
    pub since_timestamp_seconds: f64,
}

/// How the last poll of a job and type ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Poll {
    /// `success`, `inconsistent`, `incomplete`, `throttled`, `auth`, `gone`, `unsupported` or `error`; null before the first.
    pub outcome: Option<&'static str>,
    /// What was wrong with it, and what to do.
    pub problem: Option<String>,
    /// When a poll last brought a listing.
    pub last_success_timestamp_seconds: Option<f64>,
    /// How long the last poll took.
    pub duration_seconds: Option<f64>,
}

/// The JSON Schema of the document.
pub fn schema() -> serde_json::Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Document>().to_value()
}

impl Type {
    /// What a report says. What the report leaves as it was comes from `before`.
    pub(super) fn new(report: &Report, before: Option<&Self>) -> Self {
        let status = &report.status;
        let (summary, stalled, slowest) = match (&report.change, before) {
            (Change::Listing(listing, progress), _) => {
                let progress = progress.as_ref();
                let named = |standings: &[_]| standings.iter().map(Standing::new).collect();
                (
                    Summary::of_listing(listing, progress),
                    progress.map(|progress| named(&progress.stalled)).unwrap_or_default(),
                    progress.map(|progress| named(&progress.slowest)).unwrap_or_default(),
                )
            }
            (Change::Keep, Some(before)) => (before.summary.clone(), before.stalled.clone(), before.slowest.clone()),
            (Change::Keep, None) | (Change::Drop, _) => (Summary::default(), Vec::new(), Vec::new()),
        };
        Self {
            object_type: report.key.object_type.as_str(),
            condition: Condition::of_type(status, &summary),
            summary,
            stalled,
            slowest,
            regressions: status.regressions,
            objects_disappeared: status.disappeared,
            poll: Poll {
                outcome: status.last.map(Outcome::as_str),
                problem: status.problem.as_deref().map(bounded),
                last_success_timestamp_seconds: status.last_success.map(seconds),
                duration_seconds: status.last_duration.map(|took| took.as_secs_f64()),
            },
        }
    }
}

impl Standing {
    fn new(standing: &crate::model::Standing) -> Self {
        let name = &standing.name;
        Self {
            src_db: bounded(&name.src_db),
            src_tb: bounded(&name.src_tb),
            dst_db: bounded(&name.dst_db),
            dst_tb: bounded(&name.dst_tb),
            progress_percent: standing.progress.get(),
            since_timestamp_seconds: seconds(standing.since),
        }
    }
}

impl Job {
    /// What the report says of the job as a whole, and its types.
    pub(super) fn new(job: &JobId, report: Option<&JobReport>, types: Vec<Arc<Type>>) -> Self {
        let text = |text: &String| Some(bounded(text)).filter(|text| !text.is_empty());
        let told = |what: fn(&JobReport) -> &String| report.map(what).and_then(text);
        let view = report.map(|report| &report.view);
        let status = view.and_then(|view| view.status.as_ref());
        let span = |what: fn(&crate::model::JobView) -> Option<Duration>| Some(what(view?)?.as_secs_f64());
        let conditions: Vec<Condition> = types.iter().map(|shown| shown.condition).collect();
        Self {
            job: job.to_string(),
            name: told(|report| &report.details.name),
            account: told(|report| &report.account),
            region: told(|report| &report.region),
            job_type: told(|report| &report.details.job_type),
            engine_type: told(|report| &report.details.engine_type),
            task_type: told(|report| &report.details.task_type),
            status: status.map(|status| status.as_str().to_owned()),
            cloud_progress_percent: view.and_then(|view| view.progress),
            cloud_incremental_delay_seconds: span(|view| view.incremental_delay),
            cloud_remaining_seconds: span(|view| view.remaining),
            condition: Condition::of_job(status, &conditions),
            summary: Summary::of_types(types.iter().map(|shown| &**shown)),
            types,
        }
    }
}

/// A text of the cloud, of which the end is left out where it is too long.
fn bounded(text: &str) -> String {
    if text.len() <= MAX_TEXT_BYTES {
        return text.to_owned();
    }
    let room = text.floor_char_boundary(MAX_TEXT_BYTES - '…'.len_utf8());
    format!("{}…", text.get(..room).unwrap_or_default())
}
