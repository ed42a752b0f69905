//! The JSON of the API, read with suspicion: a row that is no object costs that row, not the page.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cloud::one_line;
use crate::model::{JobDetails, JobStatus, JobView, ListedJob, ObjectName, Objects, Percent};

/// One page of a listing.
#[derive(Debug)]
pub struct Page {
    /// How many objects DRS says the whole listing has.
    pub count: u64,
    /// When DRS made the data, where it is readable.
    pub data_time: Option<SystemTime>,
    /// The rows that are objects.
    pub objects: Objects,
    /// How many rows are none.
    pub malformed: u64,
}

impl Page {
    /// Reads the body of an answer.
    ///
    /// # Errors
    /// When the body is no JSON, or has no `count`, or announces objects and has no list of them.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        // Nearly every page has nothing but good rows, and is read in one go. One with a bad row is read again, row by row.
        let good =
            str::from_utf8(body).ok().and_then(|body| serde_json::from_str::<Keyed<RawPage<'_, GoodRows>>>(body).ok());
        match good {
            Some(Keyed(page)) => page.checked(|GoodRows { objects, malformed }| (objects, malformed)),
            None => {
                let Keyed(page): Keyed<RawPage<'_, Vec<&RawValue>>> =
                    serde_json::from_slice(body).map_err(|error| error.to_string())?;
                page.checked(|rows| one_by_one(&rows))
            }
        }
    }
}

/// What is written with keys. Without it a list would be taken as well, its items for the keys in their order.
struct Keyed<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Keyed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeyedVisitor(PhantomData))
    }
}

struct KeyedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for KeyedVisitor<T> {
    type Value = Keyed<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Keyed<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Keyed)
    }
}

/// A page whose rows are read as `R`.
#[derive(Deserialize)]
struct RawPage<'a, R> {
    count: u64,
    #[serde(borrow, default)]
    create_time: Option<&'a RawValue>,
    #[serde(default = "Option::default")]
    flow_compare_data: Option<R>,
}

impl<R: Default> RawPage<'_, R> {
    fn checked(self, read: impl FnOnce(R) -> (Objects, u64)) -> Result<Page, String> {
        let rows = match self.flow_compare_data {
            Some(rows) => rows,
            None if self.count == 0 => R::default(),
            None => return Err(format!("`count` is {}, but `flow_compare_data` is missing", self.count)),
        };
        let (objects, malformed) = read(rows);
        let data_time = self.create_time.and_then(|raw| data_time(raw.get()));
        Ok(Page { count: self.count, data_time, objects, malformed })
    }
}

#[derive(Deserialize)]
struct RawRow<'a> {
    #[serde(borrow)]
    src_db: Cow<'a, str>,
    #[serde(borrow)]
    src_tb: Cow<'a, str>,
    #[serde(borrow)]
    dst_db: Cow<'a, str>,
    #[serde(borrow)]
    dst_tb: Cow<'a, str>,
    progress: u8,
}

impl RawRow<'_> {
    /// Adds the row to the objects; says whether it is one.
    fn add_to(&self, objects: &mut Objects) -> bool {
        let Some(progress) = Percent::new(self.progress) else { return false };
        let Self { src_db, src_tb, dst_db, dst_tb, .. } = self;
        objects.push(ObjectName { src_db, src_tb, dst_db, dst_tb }, progress);
        true
    }
}

/// Rows of which each has all fields, and of the right types. No row is kept as it is read.
#[derive(Default)]
struct GoodRows {
    objects: Objects,
    malformed: u64,
}

impl<'de> Deserialize<'de> for GoodRows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(GoodRowsVisitor)
    }
}

struct GoodRowsVisitor;

impl<'de> Visitor<'de> for GoodRowsVisitor {
    type Value = GoodRows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<GoodRows, A::Error> {
        let mut rows = GoodRows::default();
        while let Some(Keyed(row)) = seq.next_element::<Keyed<RawRow<'de>>>()? {
            rows.malformed += u64::from(!row.add_to(&mut rows.objects));
        }
        Ok(rows)
    }
}

fn one_by_one(rows: &[&RawValue]) -> (Objects, u64) {
    let mut objects = Objects::default();
    let good = |row: &&&RawValue| {
        serde_json::from_str(row.get()).is_ok_and(|Keyed(row): Keyed<RawRow<'_>>| row.add_to(&mut objects))
    };
    let good = rows.iter().filter(good).count();
    (objects, (rows.len() - good) as u64)
}

/// `create_time` is milliseconds since 1970 as a string in the specification, and ISO 8601 in UTC in the vendor's SDK.
fn data_time(json: &str) -> Option<SystemTime> {
    let text = match serde_json::from_str(json).ok()? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    match text.parse() {
        Ok(milliseconds) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)),
        Err(_) => humantime::parse_rfc3339(&text).ok(),
    }
}

/// One page of the list of jobs.
#[derive(Debug, Default)]
pub(super) struct JobsPage {
    /// How many jobs the cloud says there are.
    pub(super) total_count: u64,
    /// The rows that are jobs.
    pub(super) jobs: Vec<JobWithChildren>,
    /// How many rows are none.
    pub(super) malformed: u64,
}

/// A job and the jobs within it.
#[derive(Debug)]
pub(super) struct JobWithChildren {
    pub(super) job: ListedJob,
    pub(super) children: Vec<ListedJob>,
}

#[derive(Deserialize)]
struct RawJobsPage<'a> {
    total_count: u64,
    #[serde(borrow, default)]
    jobs: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct RawJob {
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    job_type: Option<String>,
    #[serde(default)]
    engine_type: Option<String>,
    #[serde(default)]
    task_type: Option<String>,
    #[serde(default)]
    children: Option<Vec<Keyed<RawJob>>>,
}

/// Reads the body of a page of the list of jobs.
///
/// # Errors
/// When the body is no JSON, or has no `total_count`, or announces jobs and has no list of them.
pub(super) fn jobs(body: &[u8]) -> Result<JobsPage, String> {
    let Keyed(raw): Keyed<RawJobsPage<'_>> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let rows = match raw.jobs {
        Some(rows) => rows,
        None if raw.total_count == 0 => Vec::new(),
        None => return Err(format!("`total_count` is {}, but `jobs` is missing", raw.total_count)),
    };
    let jobs: Vec<JobWithChildren> = rows.iter().filter_map(|row| job(row.get())).collect();
    let malformed = (rows.len() - jobs.len()) as u64;
    Ok(JobsPage { total_count: raw.total_count, jobs, malformed })
}

fn job(json: &str) -> Option<JobWithChildren> {
    let Keyed(mut raw): Keyed<RawJob> = serde_json::from_str(json).ok()?;
    let children = raw.children.take().unwrap_or_default();
    // Children are told of in fewer words than their parent.
    let of_parent = |child: ListedJob, parent: &ListedJob| ListedJob {
        details: child.details.or(JobDetails { name: String::new(), ..parent.details.clone() }),
        ..child
    };
    let job = listed(raw)?;
    let children =
        children.into_iter().filter_map(|Keyed(child)| listed(child)).map(|child| of_parent(child, &job)).collect();
    Some(JobWithChildren { job, children })
}

fn listed(raw: RawJob) -> Option<ListedJob> {
    let RawJob { id, name, status, job_type, engine_type, task_type, children: _ } = raw;
    let details = details(name, job_type, engine_type, task_type);
    Some(ListedJob { id: id.parse().ok()?, details, status: status.as_deref().and_then(JobStatus::new) })
}

fn details(
    name: Option<String>,
    job_type: Option<String>,
    engine_type: Option<String>,
    task_type: Option<String>,
) -> JobDetails {
    let word = |word: Option<String>| word.map(|word| one_line(&word)).unwrap_or_default();
    JobDetails {
        name: word(name),
        job_type: word(job_type),
        engine_type: word(engine_type),
        task_type: word(task_type),
    }
}

/// A job as a whole.
#[derive(Debug)]
pub(super) struct View {
    pub(super) details: JobDetails,
    pub(super) view: JobView,
}

#[derive(Deserialize)]
struct RawView {
    job: RawDetail,
}

#[derive(Deserialize)]
struct RawDetail {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    base_info: Option<RawBaseInfo>,
    #[serde(default)]
    progress_info: Option<RawProgressInfo>,
}

#[derive(Default, Deserialize)]
struct RawBaseInfo {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    job_type: Option<String>,
    #[serde(default)]
    engine_type: Option<String>,
    #[serde(default)]
    task_type: Option<String>,
}

/// Numbers as text, by the vendor's SDK; a number as such is taken as well.
#[derive(Default, Deserialize)]
struct RawProgressInfo {
    #[serde(default)]
    progress: Value,
    #[serde(default)]
    incr_trans_delay: Value,
    #[serde(default)]
    incr_trans_delay_millis: Value,
    #[serde(default)]
    remaining_time: Value,
    #[serde(default)]
    transfer_status: Value,
}

/// Reads the body of a job's detail of type `progress`.
///
/// # Errors
/// When the body is no JSON, or has no `job`.
pub(super) fn view(body: &[u8]) -> Result<View, String> {
    let Keyed(RawView { job }) = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let info = job.progress_info.unwrap_or_default();
    let base = job.base_info.unwrap_or_default();
    let status = info.transfer_status.as_str().and_then(JobStatus::new);
    let milliseconds = applies(&info.incr_trans_delay_millis).map(|millis| millis / 1000.0);
    let view = JobView {
        status: status.or_else(|| job.status.as_deref().and_then(JobStatus::new)),
        progress: applies(&info.progress).filter(|percent| *percent <= 100.0),
        incremental_delay: seconds(milliseconds.or_else(|| applies(&info.incr_trans_delay))),
        remaining: seconds(applies(&info.remaining_time)),
    };
    Ok(View { details: details(base.name, base.job_type, base.engine_type, base.task_type), view })
}

/// A number of a job's view. "-1" means that it does not apply, an empty text says nothing, and a percent may have its sign.
fn applies(value: &Value) -> Option<f64> {
    let number = match value {
        Value::String(text) => text.trim().trim_end_matches('%').trim_end().parse().ok()?,
        Value::Number(number) => number.as_f64()?,
        _ => return None,
    };
    (0.0..f64::INFINITY).contains(&number).then_some(number)
}

fn seconds(number: Option<f64>) -> Option<Duration> {
    Duration::try_from_secs_f64(number?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::json;

    use super::*;

    /// Anything that may stand in an answer, by the keys and words that answers have.
    fn any_tree() -> impl Strategy<Value = Value> {
        const KEYS: [&str; 8] =
            ["id", "name", "status", "children", "base_info", "progress_info", "progress", "remaining_time"];
        const WORDS: [&str; 8] = ["a", "-1", "94%", "1e999", "NaN", "CHILD_TRANSFER_STARTED", "no/id", "\u{1b}[31m\n"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            select(&WORDS[..]).prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((select(&KEYS[..]), inner), 0..5)
                    .prop_map(|keys| keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ]
        })
    }

    /// A row that is a job if its words are right.
    fn any_job() -> impl Strategy<Value = Value> {
        let word = || select(&["a", "no/id", "-1", "\u{1b}[31m\n"][..]);
        let children = prop::collection::vec(any_tree(), 0..3);
        (word(), word(), word(), children).prop_map(
            |(id, name, status, children)| json!({"id": id, "name": name, "status": status, "children": children}),
        )
    }

    proptest! {
            #[test]
    fn every_row_is_a_job_or_counted_and_what_is_kept_is_one_line(
                rows in prop::collection::vec(prop_oneof![any_tree(), any_job()], 0..6),
            ) {
                let page = jobs(json!({"total_count": 9, "jobs": rows}).to_string().as_bytes()).unwrap();
                prop_assert_eq!(page.jobs.len() as u64 + page.malformed, rows.len() as u64);
                let all = page.jobs.iter().flat_map(|row| std::iter::once(&row.job).chain(&row.children));
                for job in all {
                    prop_assert!(!job.details.name.chars().any(char::is_control), "{job:?}");
                }
            }

            #[test]
            fn what_a_jobs_view_tells_is_possible(job in any_tree()) {
                if let Ok(View { details, view }) = view(json!({"job": job}).to_string().as_bytes()) {
                    prop_assert!(view.progress.is_none_or(|percent| (0.0..=100.0).contains(&percent)), "{view:?}");
                    prop_assert!(!details.name.chars().any(char::is_control), "{details:?}");
                }
            }
        }

    #[test]
    fn both_forms_of_the_data_time_are_read() {
        let at = |millis| Some(SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(data_time(r#""1686038576882""#), at(1_686_038_576_882));
        assert_eq!(data_time("1686038576882"), at(1_686_038_576_882));
        assert_eq!(data_time(r#""2020-09-01T18:50:20.200Z""#), at(1_598_986_220_200));
        for unreadable in [r#""""#, r#""soon""#, "null", "-1", "1e400", "[]"] {
            assert_eq!(data_time(unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn a_row_that_is_no_object_costs_only_itself() {
        let row = |progress: &str| {
            format!(r#"{{"src_db":"a","src_tb":"b","dst_db":"c","dst_tb":"d","progress":{progress}}}"#)
        };
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let bad = ["\"5\"", "null", "1e400", "-1", "101", "256", "5.5", &deep];
        let rows: Vec<String> = bad.iter().map(|progress| row(progress)).collect();
        let lone = r#"{"src_db":"\ud800","src_tb":"b","dst_db":"c","dst_tb":"d","progress":1}"#;
        let list = r#"["a","b","c","d",7]"#;
        let missing = r#"{"src_tb":"b","dst_db":"c","dst_tb":"d","progress":1}"#;
        let body = format!(
            r#"{{"count":13,"flow_compare_data":[{},{lone},{missing},7,{list},{}]}}"#,
            rows.join(","),
            row("42")
        );
        let page = Page::parse(body.as_bytes()).unwrap();
        assert_eq!((page.objects.len(), page.malformed), (1, 12));
        assert_eq!(page.objects.iter().next().unwrap().progress.get(), 42);
    }

    #[test]
    fn a_page_without_its_list_is_none() {
        assert!(Page::parse(br#"{"count":0}"#).unwrap().objects.is_empty());
        assert!(Page::parse(br#"{"count":0,"flow_compare_data":null}"#).is_ok());
        for body in [
            r#"{"count":3}"#,
            r#"{"flow_compare_data":[]}"#,
            r#"{"count":-1,"flow_compare_data":[]}"#,
            "<html>",
            "[0]",
            "[1,null,[]]",
        ] {
            assert!(Page::parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn the_strings_of_a_jobs_view_are_read_with_care() {
        let read =
            |info: &str| view(format!(r#"{{"job":{{"id":"a","progress_info":{info}}}}}"#).as_bytes()).unwrap().view;
        let full = read(
            r#"{"progress":"94%","incr_trans_delay":"3","incr_trans_delay_millis":"3250","remaining_time":"754","transfer_status":"INCRE_TRANSFER_STARTED"}"#,
        );
        assert_eq!(full.progress, Some(94.0));
        assert_eq!(full.incremental_delay, Some(Duration::from_millis(3250)));
        assert_eq!(full.remaining, Some(Duration::from_secs(754)));
        assert_eq!(full.status.unwrap().as_str(), "INCRE_TRANSFER_STARTED");
        for nothing in ["-1", "", " ", "--", "-", "soon", "NaN", "inf", "-1%", "1e999"] {
            let view = read(&format!(
                r#"{{"progress":"{nothing}","incr_trans_delay":"{nothing}","remaining_time":"{nothing}","transfer_status":"{nothing} x"}}"#
            ));
            assert_eq!(view, JobView::default(), "{nothing}");
        }
        assert_eq!(read(r#"{"progress":101}"#).progress, None);
        assert_eq!(read(r#"{"progress":37.5,"incr_trans_delay":2}"#).progress, Some(37.5));
        assert_eq!(
            read(r#"{"incr_trans_delay":"2","incr_trans_delay_millis":"-1"}"#).incremental_delay,
            Some(Duration::from_secs(2))
        );
        assert_eq!(view(br#"{"job":{"status":"PAUSING"}}"#).unwrap().view.status.unwrap().as_str(), "PAUSING");
        assert!(view(b"{}").is_err() && view(b"<html>").is_err());
    }

    #[test]
    fn a_list_of_jobs_has_jobs_within_jobs() {
        let body = r#"{"total_count":3,"jobs":[
            {"id":"a","name":"orders","status":"FULL_TRANSFER_STARTED","job_type":"sync","engine_type":"mysql","task_type":"FULL_TRANS",
             "children":[{"id":"a1","name":"orders-1","status":"CHILD_TRANSFER_STARTED"},{"id":"no/id"}]},
            {"name":"no id"},{"id":"b","name":null,"status":"bad status","children":null}]}"#;
        let page = jobs(body.as_bytes()).unwrap();
        assert_eq!((page.total_count, page.jobs.len(), page.malformed), (3, 2, 1));
        let child = &page.jobs[0].children[0];
        assert_eq!(
            (child.id.as_str(), child.details.name.as_str(), child.details.job_type.as_str()),
            ("a1", "orders-1", "sync")
        );
        assert_eq!(page.jobs[0].children.len(), 1);
        assert_eq!((page.jobs[1].job.status.clone(), page.jobs[1].job.details.name.as_str()), (None, ""));
        assert!(jobs(br#"{"total_count":1}"#).is_err());
    }
}
