//! The objects of a job, and how far each is at a time. Pure: everything follows from the job's seed and the time.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Serialize;

use super::jobs::{Fate, Job};

/// The API's object types, and of how many tables there is one such object.
pub(super) const TYPES: [(&str, u64); 9] = [
    ("table", 1),
    ("event", 50),
    ("table_structure", 1),
    ("procedure", 20),
    ("view", 8),
    ("function", 20),
    ("database", 1000),
    ("trigger", 10),
    ("table_indexs", 1),
];

/// What objects are called.
const WORDS: [&str; 8] = ["orders", "customers", "invoices", "payments", "stock", "shipments", "returns", "audit"];

/// When the first object of a disappearing job is dropped, and how long after that each of the next.
const FIRST_DROP: Duration = Duration::from_secs(15);
const DROP_EVERY: Duration = Duration::from_secs(5);

/// For how many seconds an object waits, and for how many it moves.
const FINISHING: (RangeInclusive<u64>, RangeInclusive<u64>) = (0..=29, 5..=59);
const OTHERS: (RangeInclusive<u64>, RangeInclusive<u64>) = (0..=299, 60..=1499);

/// A page of progress data.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    pub(super) count: u64,
    create_time: String,
    pub(super) flow_compare_data: Vec<Row>,
}

#[derive(Debug, Serialize)]
pub(super) struct Row {
    src_db: String,
    pub(super) src_tb: String,
    dst_db: String,
    dst_tb: String,
    pub(super) progress: u8,
}

/// A part of what there is of one type. It is made anew each second, so that all that is told of one second is the same.
pub(super) fn page(
    job: &Job,
    object_type: &str,
    objects: u64,
    (limit, offset): (u64, u64),
    epoch: Duration,
    elapsed: Duration,
) -> Page {
    let now = Duration::from_secs(elapsed.as_secs());
    let dropped = match job.fate {
        Fate::Disappearing => dropped(now).min(objects),
        _ => 0,
    };
    let rows = (dropped.saturating_add(offset)..objects).take(usize::try_from(limit).unwrap_or(usize::MAX));
    Page {
        count: objects - dropped,
        create_time: (epoch + now).as_millis().to_string(),
        flow_compare_data: rows.map(|index| row(job, object_type, index, now)).collect(),
    }
}

/// How far a job's tables are together.
pub(super) fn average(job: &Job, tables: u64, elapsed: Duration) -> u64 {
    let now = Duration::from_secs(elapsed.as_secs());
    let sum: u64 = (0..tables).map(|index| u64::from(progress(job, object_seed(job, "table", index), now))).sum();
    sum.checked_div(tables).unwrap_or(100)
}

/// When all objects of a job are done, where that is to be.
pub(super) fn done(fate: Fate) -> Option<Duration> {
    let (waits, takes) = match fate {
        Fate::Moving => OTHERS,
        Fate::Finishing => FINISHING,
        _ => return None,
    };
    Some(Duration::from_secs(waits.end() + takes.end()))
}

/// How many objects of each type a disappearing job has lost.
fn dropped(now: Duration) -> u64 {
    match now.checked_sub(FIRST_DROP) {
        Some(since) => 1 + since.as_secs() / DROP_EVERY.as_secs(),
        None => 0,
    }
}

fn row(job: &Job, object_type: &str, index: u64, now: Duration) -> Row {
    let word = word(index);
    let name = match object_type {
        "table" | "table_structure" => format!("{word}_{index:04}"),
        _ => format!("{word}_{index:04}_{object_type}"),
    };
    Row {
        src_db: "shop".to_owned(),
        src_tb: name.clone(),
        dst_db: "shop_cloud".to_owned(),
        dst_tb: name,
        progress: progress(job, object_seed(job, object_type, index), now),
    }
}

/// One of the words, each in its turn.
pub(super) fn word(index: u64) -> &'static str {
    WORDS.into_iter().cycle().nth((index % WORDS.len() as u64) as usize).unwrap_or_default()
}

fn object_seed(job: &Job, object_type: &str, index: u64) -> u64 {
    object_type.bytes().fold(mixed(job.seed, index), |seed, byte| mixed(seed, byte.into()))
}

/// How far an object is: it waits, moves at its own pace, and may stop on the way.
fn progress(job: &Job, seed: u64, now: Duration) -> u8 {
    let mut chance = fastrand::Rng::with_seed(seed);
    let (waits, takes) = if job.fate == Fate::Finishing { FINISHING } else { OTHERS };
    let (mut begins, takes) = (chance.u64(waits), chance.u64(takes));
    let mut come = 0;
    if job.fate == Fate::Stalling && chance.u8(0..3) == 0 {
        // It had come some way before the world began, so that it is seen standing from the first second.
        come = chance.u64(5..95);
        begins = job.stands_for.map_or(u64::MAX, |stands| stands.as_secs());
    }
    let moved = come + now.as_secs().saturating_sub(begins) * 100 / takes;
    u8::try_from(moved.min(100)).unwrap_or(100)
}

/// A number that follows from both and looks like neither.
pub(super) fn mixed(seed: u64, number: u64) -> u64 {
    fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).u64(..)
}
