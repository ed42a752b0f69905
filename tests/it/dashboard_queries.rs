//! What the queries of the pages of Grafana say by their text: of which jobs, over which time, and nothing where there is nothing.

use std::collections::BTreeSet;

use drs_exporter::exposition::families;
use regex::Regex;
use serde_json::Value;

use crate::dashboards::{list, pages, panels, queries, text, variables};
use crate::support::prometheus::Prometheus;

/// The names of jobs and the list of jobs do not depend on the types that are chosen.
const OF_ALL_TYPES: &str = "drs_poll_duration_seconds";

/// A metric, and what selects its series.
fn selectors() -> Regex {
    Regex::new(r#"\b((?:drs|process)_\w+)(?:\{((?:[^}"]|"[^"]*")*)\})?"#).unwrap()
}

#[test]
fn every_query_is_of_the_jobs_and_types_that_are_chosen() {
    let selectors = selectors();
    for panel in pages().iter().flat_map(panels) {
        for query in list(&panel["targets"]).iter().map(|target| text(&target["expr"])) {
            for found in selectors.captures_iter(query) {
                let (name, matchers) = (&found[1], found.get(2).map_or("", |matchers| matchers.as_str()));
                let of_jobs = families().any(|family| family.name == name);
                assert!(!of_jobs || matchers.contains(r#"job=~"$job""#), "{name} of all jobs: {query}");
                let of_types = of_jobs && !name.starts_with("drs_job_") && name != OF_ALL_TYPES;
                assert!(!of_types || matchers.contains(r#"type=~"$type""#), "{name} of all types: {query}");
            }
        }
    }
}

#[test]
fn a_counter_is_only_shown_by_how_it_grows() {
    let selectors = selectors();
    let mut counters = BTreeSet::new();
    for query in pages().iter().flat_map(queries) {
        for found in selectors.captures_iter(query) {
            let (name, place) = (&found[1], found.get(0).unwrap());
            if !["_total", "_bucket", "_count"].iter().any(|ending| name.ends_with(ending)) {
                continue;
            }
            let (before, after) = query.split_at(place.start());
            let after = &after[place.len()..];
            // What is born above zero has not grown yet: what it begins with is new.
            let new = after.starts_with(" unless ") || before.ends_with(" unless ");
            let grows = before.ends_with("rate(") || before.ends_with("increase(");
            assert!(new || grows, "{name}: {query}");
            counters.insert(name.to_owned());
        }
    }
    assert!(counters.len() > 5, "{counters:?}");
}

#[test]
fn every_panel_gets_what_it_can_draw() {
    for panel in pages().iter().flat_map(panels) {
        let kind = text(&panel["type"]);
        assert!(["stat", "bargauge", "timeseries", "table"].contains(&kind), "{kind}: {}", panel["title"]);
        for target in list(&panel["targets"]) {
            assert_eq!(target["range"] == true, kind == "timeseries", "{}: the time", panel["title"]);
            assert_eq!(target["format"] == "table", kind == "table", "{}: the form", panel["title"]);
        }
    }
}

#[test]
fn every_variable_is_used_and_all_is_short() {
    let name = Regex::new(r"\$\{?([a-z_]+)").unwrap();
    for page in pages() {
        let queries = queries(&page).join("\n");
        let used: BTreeSet<&str> = name.captures_iter(&queries).map(|found| found.get(1).unwrap().as_str()).collect();
        for variable in variables(&page) {
            let name = text(&variable["name"]);
            assert!(name == "datasource" || used.contains(name), "{}: nobody asks for {name}", page["title"]);
            // Otherwise Grafana writes all values into each query.
            let short = variable["includeAll"] != true || !text(&variable["allValue"]).is_empty();
            assert!(short, "{}: All of {name} is a long list", page["title"]);
            // This belongs to a variable for intervals, and there is none.
            assert_eq!(variable.get("auto"), None, "{}: {name}", page["title"]);
        }
        // A newer one would be a page that Grafana 11 does not read.
        assert_eq!(page["schemaVersion"], 41, "{}", page["title"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_where_nothing_is_known() {
    let empty = Prometheus::start("").await;
    let name = Regex::new(r"\$(?:\{([a-z_]+)\}|([a-z_]+))").unwrap();
    let mut asked = 0;
    for page in pages() {
        for query in queries(&page) {
            let filled = name.replace_all(query, |found: &regex::Captures<'_>| {
                match found.get(1).or(found.get(2)).unwrap().as_str() {
                    "__rate_interval" | "__range" => "1h",
                    "window" => "1800",
                    _ => ".*",
                }
            });
            assert_eq!(empty.query(&filled).await, Vec::<Value>::new(), "{query}");
            asked += 1;
        }
    }
    assert!(asked > 60, "{asked}");
}
