//! The values of the status page as JSON, and the schema that says what they are.

use std::io::Read;

use flate2::read::GzDecoder;
use jsonschema::Validator;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, LINK};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::drs::{Drs, failure, page, row, whole};
use crate::support::exporter::{Exporter, program};
use crate::support::states;

async fn schema(exporter: &Exporter) -> Validator {
    let answer = exporter.get("/api/v1/schema").await;
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/schema+json");
    let schema: Value = answer.json().await.unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn assert_valid(validator: &Validator, document: &Value) {
    let errors: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert_eq!(errors, [""; 0], "{document:#}");
}

/// The same at each time: what hangs on the clock is a word.
fn steady(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(steady),
        Value::Object(fields) => {
            for (name, field) in fields {
                let on_the_clock = name.ends_with("timestamp_seconds") && name != "data_timestamp_seconds";
                if (on_the_clock || name == "duration_seconds") && field.is_number() {
                    *field = "VARIES".into();
                }
                steady(field);
            }
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_is_told_as_the_schema_says() {
    let (_drs, exporter) = states::all().await;
    let validator = schema(&exporter).await;
    let document = states::document(&exporter).await;
    assert_valid(&validator, &document);
    let jobs = document["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), states::STATES.len());

    let stalled = jobs.iter().position(|job| job["job"] == "stalled").unwrap();
    let job = format!("/jobs/{stalled}");
    let breaks: [(&str, Value); 8] = [
        ("/timestamp_seconds", "now".into()),
        (&format!("{job}/condition"), "fine".into()),
        (&format!("{job}/progress_percent"), "50 %".into()),
        (&format!("{job}/objects"), (-1).into()),
        (&format!("{job}/objects_by_state/stalled"), Value::Null),
        (&format!("{job}/types/0/type"), Value::Null),
        (&format!("{job}/types/0/stalled/0/src_tb"), 1.into()),
        (&format!("{job}/types/0/poll"), Value::Null),
    ];
    for (place, broken) in breaks {
        let mut document = document.clone();
        *document.pointer_mut(place).unwrap_or_else(|| panic!("no {place}")) = broken;
        assert!(!validator.is_valid(&document), "{place} may be anything");
    }
    for (place, field) in [("", "jobs"), (&job, "condition"), (&job, "eta_seconds"), (&job, "types")] {
        let mut document = document.clone();
        document.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(field).unwrap();
        assert!(!validator.is_valid(&document), "{place}/{field} may be missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_demo_says_is_as_the_schema_says() {
    let mut command = program();
    command.args(["demo", "--web.listen-address=127.0.0.1:0"]);
    let exporter = Exporter::run(command, TempDir::new().unwrap()).await;
    let validator = schema(&exporter).await;
    assert_valid(&validator, &states::document(&exporter).await);
    exporter.polled("moving-a833bdcd", "table", "success", 3.0).await;
    let document = states::document(&exporter).await;
    assert_valid(&validator, &document);
    assert_eq!(document["jobs"].as_array().unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_answer_in_full() {
    let (_drs, exporter) = states::all().await;
    let mut document: Value = exporter.get("/api/v1/jobs?job=stalled&job=failing").await.json().await.unwrap();
    steady(&mut document);
    insta::assert_snapshot!("jobs", format!("{document:#}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_known_is_null_and_never_zero() {
    let drs = Drs::answering(|ask| whole(ask, 1)).await;
    let exporter = Exporter::start(&drs.config(&["{id: j, types: [table], interval: 30d}"])).await;
    let job = states::until(&exporter, "j", "waiting").await;
    let known = |value: &Value| -> Vec<String> {
        let fields = value.as_object().unwrap().iter();
        fields.filter(|(_, field)| !field.is_null() && !field.is_array()).map(|(name, _)| name.clone()).collect()
    };
    let of_job: Vec<String> = known(&job).into_iter().filter(|name| name != "account").collect();
    assert_eq!(of_job, ["condition", "eta_is_minimum", "job"]);
    assert_eq!(known(&job["types"][0]), ["condition", "eta_is_minimum", "poll", "type"]);
    assert_eq!(known(&job["types"][0]["poll"]), [""; 0]);
    assert_eq!(job["eta_is_minimum"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_values_are_those_of_the_metrics() {
    let drs =
        Drs::answering(|ask| page(4, &[row("a", 0), row("b", 1), row("c", 10 + ask.nth as u64 % 80), row("d", 100)]))
            .await;
    let exporter = Exporter::start(&drs.config(&["{id: j, types: [table]}"])).await;
    exporter.until("a time left", |samples| samples.of("drs_eta_seconds", "j", "table").is_some()).await;
    // Between the two answers there may be a poll, so that they are asked for until there was none.
    let (samples, document) = crate::support::eventually("both without a poll between them", || async {
        let before = exporter.samples().await;
        let document = states::document(&exporter).await;
        let after = exporter.samples().await;
        let polls = |samples: &crate::support::samples::Samples| samples.polls("j", "table", "success");
        (polls(&before) == polls(&after)).then_some((before, document))
    })
    .await;
    let told = &document["jobs"][0]["types"][0];
    let table = [
        ("drs_objects", &told["objects"]),
        ("drs_progress_average", &told["progress_percent"]),
        ("drs_progress_minimum", &told["progress_minimum_percent"]),
        ("drs_eta_seconds", &told["eta_seconds"]),
        ("drs_last_change_timestamp_seconds", &told["last_change_timestamp_seconds"]),
        ("drs_data_timestamp_seconds", &told["data_timestamp_seconds"]),
        ("drs_progress_regressions_total", &told["regressions"]),
        ("drs_objects_disappeared_total", &told["objects_disappeared"]),
        ("drs_poll_last_success_timestamp_seconds", &told["poll"]["last_success_timestamp_seconds"]),
        ("drs_poll_duration_seconds", &told["poll"]["duration_seconds"]),
    ];
    for (metric, value) in table {
        assert_eq!(samples.of(metric, "j", "table"), value.as_f64(), "{metric}");
    }
    for (state, count) in told["objects_by_state"].as_object().unwrap() {
        assert_eq!(samples.labelled("drs_objects_by_state", "j", "table", "state", state), count.as_f64(), "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_can_be_asked_for_and_what_is_not_there_is_told() {
    let drs = Drs::answering(|ask| if ask.job == "b" { failure(400, "DRS.M00202") } else { whole(ask, 1) }).await;
    let exporter = Exporter::start(&drs.config(&["{id: a, types: [table]}", "{id: b, types: [table]}"])).await;
    exporter.until_ready().await;
    let answer = exporter.get("/api/v1/jobs?job=b").await;
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(answer.headers()[LINK], "</api/v1/schema>; rel=\"describedby\"");
    let document: Value = answer.json().await.unwrap();
    assert_eq!((document["jobs"].as_array().unwrap().len(), &document["jobs"][0]["job"]), (1, &json!("b")));
    for (query, status, words) in [("job=c", 404, "The job c is not followed"), ("job=..", 400, "expected a job id")] {
        let answer = exporter.get(&format!("/api/v1/jobs?{query}")).await;
        assert_eq!(answer.status(), status);
        assert!(answer.text().await.unwrap().contains(words));
    }
    let packed =
        exporter.client().get(exporter.url("/api/v1/jobs")).header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
    let mut text = String::new();
    GzDecoder::new(&packed.bytes().await.unwrap()[..]).read_to_string(&mut text).unwrap();
    let unpacked: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(unpacked["jobs"].as_array().unwrap().len(), 2);
}
