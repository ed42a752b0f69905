//! What only several listings tell together: what moves, what stands still, what fell, what is gone, and the time left.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use wiremock::ResponseTemplate;

use crate::support::drs::{Drs, failure, page, row};
use crate::support::exporter::Exporter;
use crate::support::samples::Samples;

const JOB: &str = "{id: j, types: [table]}";

/// A DRS whose answer a test changes.
struct Now {
    answer: Arc<Mutex<ResponseTemplate>>,
    _drs: Drs,
}

impl Now {
    async fn start(objects: &[(&str, u64)], stall_after: &str) -> (Self, Exporter) {
        let answer = Arc::new(Mutex::new(listing(objects)));
        let now = Arc::clone(&answer);
        let drs = Drs::answering(move |_| now.lock().unwrap().clone()).await;
        let config = drs.config(&[JOB]).replace("interval: 1s,", &format!("interval: 1s, stall_after: {stall_after},"));
        (Self { answer, _drs: drs }, Exporter::start(&config).await)
    }

    fn lists(&self, objects: &[(&str, u64)]) {
        self.answers(listing(objects));
    }

    fn answers(&self, answer: ResponseTemplate) {
        *self.answer.lock().unwrap() = answer;
    }
}

fn listing(objects: &[(&str, u64)]) -> ResponseTemplate {
    let rows: Vec<Value> = objects.iter().map(|(name, percent)| row(name, *percent)).collect();
    page(rows.len() as u64, &rows)
}

/// Not started, in progress, stalled, completed.
fn states(samples: &Samples) -> Option<[f64; 4]> {
    let state = |state| samples.labelled("drs_objects_by_state", "j", "table", "state", state);
    Some([state("not_started")?, state("in_progress")?, state("stalled")?, state("completed")?])
}

fn of(samples: &Samples, name: &str) -> Option<f64> {
    samples.of(name, "j", "table")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_stands_still_is_stalled_until_it_moves_on() {
    let (drs, exporter) = Now::start(&[("waits", 0), ("stands", 50), ("done", 100)], "3s").await;
    let first = exporter.until("the first listing", |samples| states(samples).is_some()).await;
    assert_eq!(states(&first), Some([1.0, 1.0, 0.0, 1.0]));
    let stalled = exporter.until("the stall", |samples| states(samples) == Some([1.0, 0.0, 1.0, 1.0])).await;
    let changed = of(&first, "drs_last_change_timestamp_seconds").unwrap();
    assert_eq!(of(&stalled, "drs_last_change_timestamp_seconds"), Some(changed), "nothing has moved");
    assert!(of(&stalled, "drs_poll_last_success_timestamp_seconds").unwrap() >= changed + 3.0);
    assert_eq!((of(&first, "drs_eta_seconds"), of(&stalled, "drs_eta_seconds")), (None, None), "nothing moves");

    drs.lists(&[("waits", 0), ("stands", 51), ("done", 100)]);
    let moved = exporter.until("the end of the stall", |samples| states(samples) == Some([1.0, 1.0, 0.0, 1.0])).await;
    assert!(of(&moved, "drs_last_change_timestamp_seconds").unwrap() > changed);
    // 149 points are left, at about a point a second.
    let left = of(&moved, "drs_eta_seconds").unwrap();
    assert!((50.0..=450.0).contains(&left), "{left}");

    drs.lists(&[("waits", 100), ("stands", 100), ("done", 100)]);
    let done = exporter.until("the end", |samples| states(samples) == Some([0.0, 0.0, 0.0, 3.0])).await;
    assert_eq!(of(&done, "drs_eta_seconds"), None, "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_that_fail_move_no_clock_and_make_nothing_stalled() {
    let (drs, exporter) = Now::start(&[("stands", 50)], "3s").await;
    let first = exporter.polled("j", "table", "success", 1.0).await;
    drs.answers(failure(400, "DRS.M99999"));
    // One a second, so they fail for longer than an object may stand still.
    let failing = exporter.polled("j", "table", "error", 6.0).await;
    assert_eq!(states(&failing), Some([0.0, 1.0, 0.0, 0.0]));
    let changed = of(&first, "drs_last_change_timestamp_seconds").unwrap();
    assert_eq!(of(&failing, "drs_last_change_timestamp_seconds"), Some(changed));

    // It stands where it stood before, so it has stood all the time.
    drs.lists(&[("stands", 50)]);
    let stalled = exporter.until("a good listing", |samples| of(samples, "drs_poll_success") == Some(1.0)).await;
    assert_eq!(states(&stalled), Some([0.0, 0.0, 1.0, 0.0]));
    assert_eq!(of(&stalled, "drs_last_change_timestamp_seconds"), Some(changed));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_falls_and_what_disappears_is_counted() {
    let (drs, exporter) = Now::start(&[("a", 50), ("b", 60), ("c", 100)], "1h").await;
    let counted = |regressions, disappeared| {
        move |samples: &Samples| {
            let counters = ["drs_progress_regressions_total", "drs_objects_disappeared_total"];
            counters.map(|name| of(samples, name)) == [Some(regressions), Some(disappeared)]
        }
    };
    exporter.until("the counters", counted(0.0, 0.0)).await;
    drs.lists(&[("a", 40), ("b", 60), ("c", 100)]);
    exporter.until("a fall", counted(1.0, 0.0)).await;
    // What was done may go; what was not is missed.
    drs.lists(&[("a", 40)]);
    let samples = exporter.until("an object less", counted(1.0, 1.0)).await;
    assert_eq!(samples.objects("j", "table"), 1);
    drs.answers(failure(400, "DRS.M05004"));
    let gone = exporter.until("the end of the job", counted(1.0, 2.0)).await;
    assert_eq!((states(&gone), of(&gone, "drs_last_change_timestamp_seconds")), (None, None));
    assert!(exporter.log().contains("objects that were not at 100 yet are not listed any more"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_listing_has_no_clocks() {
    let (drs, exporter) = Now::start(&[], "1h").await;
    let names = ["drs_last_change", "drs_progress_regressions", "drs_objects_disappeared", "drs_eta"];
    let empty = exporter.polled("j", "table", "success", 1.0).await;
    assert!(names.iter().all(|name| empty.beginning(name).is_empty()));
    drs.lists(&[("a", 10)]);
    exporter.until("the clock", |samples| of(samples, "drs_last_change_timestamp_seconds").is_some()).await;
    drs.lists(&[]);
    let gone =
        exporter.until("an object that is missed", |samples| of(samples, "drs_objects_disappeared_total") == Some(1.0));
    assert_eq!(of(&gone.await, "drs_last_change_timestamp_seconds"), None);
}
