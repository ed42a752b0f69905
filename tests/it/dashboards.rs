//! The pages of Grafana: made anew, judged by rules, and each of their queries asked of a Prometheus that has watched the demo.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::iter;
use std::path::Path;
use std::process::Command;

use figment::Figment;
use figment::providers::{Format, Yaml};
use regex::{Captures, Regex};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::exporter::{Exporter, program};
use crate::support::prometheus::Prometheus;
use crate::support::samples::Samples;
use crate::support::{metrics, tools};

const PAGES: [&str; 2] = [
    include_str!("../../grafana/dashboards/drs-migrations.json"),
    include_str!("../../grafana/dashboards/drs-job.json"),
];

/// How often the demo is scraped, once a second: its failing job fails after 20 s, and what stands is stalled after 30 s.
const SCRAPES: &str = "50";

/// The time that the scrapes are stretched over, and what then lies between two points of a graph.
const RANGE: f64 = 3.0 * 3600.0;
const STEP: f64 = 240.0;

/// What Grafana puts in the place of its own variables, over a history like this.
const BUILT_IN: [(&str, &str); 3] = [("__rate_interval", "16m"), ("__interval", "4m"), ("__range", "3h")];

/// The demo's token needs no log-in, and its jobs are not discovered. So that no panel stays empty, the history gets these as
/// well, each with its first and its last value.
const ALSO: [(&str, f64, f64); 3] = [
    (r#"drs_auth_renewals_total{account="demo",outcome="success"}"#, 1.0, 2.0),
    (r#"drs_auth_expiry_timestamp_seconds{account="demo"}"#, 4e9, 4e9),
    (r#"drs_discovery_success{account="demo"}"#, 1.0, 1.0),
];

/// The demo has no region either, which would be a column less.
const NO_REGION: (&str, &str) = (r#"region="""#, r#"region="simulated""#);

pub fn pages() -> Vec<Value> {
    PAGES.iter().map(|page| serde_json::from_str(page).unwrap()).collect()
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn keys(value: &Value) -> impl Iterator<Item = &str> {
    value.as_object().into_iter().flatten().map(|(key, _)| &key[..])
}

pub fn variables(page: &Value) -> &[Value] {
    list(&page["templating"]["list"])
}

/// All panels and rows, also those in a closed row.
fn places(page: &Value) -> impl Iterator<Item = &Value> {
    list(&page["panels"]).iter().flat_map(|place| iter::once(place).chain(list(&place["panels"])))
}

pub fn panels(page: &Value) -> impl Iterator<Item = &Value> {
    places(page).filter(|place| place["type"] != "row")
}

/// What a variable asks Prometheus, and the label that is shown of it, where it is one.
fn asked(variable: &Value) -> (&str, Option<&str>) {
    let query = text(&variable["query"]);
    match query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')?.rsplit_once(", ")) {
        Some((selector, label)) => (selector, Some(label)),
        None => (query.strip_prefix("query_result(").unwrap().strip_suffix(')').unwrap(), None),
    }
}

/// All queries of a page, of its panels and its variables.
pub fn queries(page: &Value) -> Vec<&str> {
    let targets = panels(page).flat_map(|panel| list(&panel["targets"])).map(|target| text(&target["expr"]));
    let variables = variables(page).iter().filter(|variable| variable["type"] == "query");
    targets.chain(variables.map(|variable| asked(variable).0)).collect()
}

/// All strings within a value.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(strings).collect(),
        Value::Object(values) => values.values().flat_map(strings).collect(),
        _ => vec![],
    }
}

/// What a pattern finds, its first group.
fn found<'a>(pattern: &str, text: &'a str) -> Vec<&'a str> {
    let pattern = Regex::new(pattern).unwrap();
    pattern.captures_iter(text).map(|found| found.get(1).unwrap().as_str()).collect()
}

/// What the links of a panel take from here.
fn links<'a>(panel: &'a Value, from: &str) -> BTreeSet<&'a str> {
    let links = strings(&panel["fieldConfig"]).into_iter().filter(|text| text.contains("${"));
    links.flat_map(|link| found(&format!(r"\$\{{{from}\.(\w+)"), link)).collect()
}

#[test]
fn they_are_what_the_generator_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = TempDir::new().unwrap();
    let output = Command::new("python3")
        .arg(root.join("grafana/generate.py"))
        .arg(folder.path())
        .env("PYTHONPATH", root.join("target/grafana-python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap_or_else(|error| panic!("cannot run python3: {error}; install it: apt-get install python3"));
    let errors = String::from_utf8_lossy(&output.stderr);
    let install = "python3 -m pip install --target target/grafana-python 'grafana-foundation-sdk==1769699379!11.6.0'";
    assert!(!errors.contains("No module named 'grafana_foundation_sdk'"), "{errors}\ninstall it: {install}");
    assert!(output.status.success(), "{errors}");
    let files = |folder: &Path| -> BTreeMap<_, _> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect()
    };
    let (made, kept) = (files(folder.path()), files(&root.join("grafana/dashboards")));
    assert_eq!(made.len(), PAGES.len());
    assert!(made.keys().eq(kept.keys()), "{:?} are made, {:?} are there", made.keys(), kept.keys());
    for (name, page) in &made {
        let again = "PYTHONPATH=target/grafana-python python3 grafana/generate.py";
        assert!(page == &kept[name], "{name:?} is not what the generator makes; make it anew: {again}");
    }
}

#[test]
fn the_provider_needs_nothing_but_a_folder() {
    let provider: Value =
        Figment::from(Yaml::string(include_str!("../../grafana/provisioning/dashboards/drs-exporter.yml")))
            .extract()
            .unwrap();
    let expected = json!({
        "apiVersion": 1,
        "providers": [{
            "name": "drs-exporter", "type": "file", "folder": "DRS", "allowUiUpdates": false, "updateIntervalSeconds": 60,
            "options": {"path": "/var/lib/grafana/dashboards/drs-exporter"},
        }],
    });
    assert_eq!(provider, expected);
}

#[test]
fn every_panel_explains_itself_and_asks_the_chosen_prometheus() {
    let mut wrong = Vec::new();
    for page in pages() {
        let datasource = json!({"type": "prometheus", "uid": "${datasource}"});
        for panel in panels(&page) {
            let mut want = |what: &str, holds: bool| {
                if !holds {
                    wrong.push(format!("{}, {}: {what}", page["title"], panel["title"]));
                }
            };
            let defaults = &panel["fieldConfig"]["defaults"];
            want("a title", !text(&panel["title"]).is_empty());
            want("a description, a sentence", text(&panel["description"]).ends_with('.'));
            want("a unit", !text(&defaults["unit"]).is_empty());
            want("words for when there is nothing", !text(&defaults["noValue"]).is_empty());
            want("thresholds of its own", !list(&defaults["thresholds"]["steps"]).is_empty());
            want("the chosen datasource", panel["datasource"] == datasource);
            want("a query", !list(&panel["targets"]).is_empty());
            for target in list(&panel["targets"]) {
                want("the chosen datasource in each query", target["datasource"] == datasource);
                want("a legend", target["format"] == "table" || !text(&target["legendFormat"]).is_empty());
                want("either instant or a range", target["instant"] != target["range"]);
            }
            let properties = list(&panel["fieldConfig"]["overrides"]).iter().flat_map(|one| list(&one["properties"]));
            let thresholds = properties.filter(|one| one["id"] == "thresholds").map(|one| &one["value"]);
            for thresholds in iter::once(&defaults["thresholds"]).chain(thresholds) {
                let steps = list(&thresholds["steps"]);
                want("a first step for all below", steps.first().is_some_and(|step| step["value"].is_null()));
                want("no red from 80, Grafana's own default", !steps.contains(&json!({"color": "red", "value": 80})));
                let at_100 = steps.iter().rfind(|step| step["value"].as_f64().is_none_or(|from| from <= 100.0));
                let all_done = defaults["unit"] == "percent" && at_100.is_some_and(|step| step["color"] == "red");
                want("no red where all is done", !all_done);
            }
        }
        for row in places(&page).filter(|place| place["type"] == "row" && text(&place["title"]).is_empty()) {
            wrong.push(format!("{}: a row without a title: {row}", page["title"]));
        }
        for variable in variables(&page) {
            let holds = match text(&variable["type"]) {
                "query" => variable["datasource"] == datasource && variable["refresh"] == 2,
                "datasource" => variable["name"] == "datasource" && variable["query"] == "prometheus",
                other => other == "custom",
            };
            if !holds || text(&variable["label"]).is_empty() {
                wrong.push(format!("{}: {variable}", page["title"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_page_is_whole_and_for_reading_only() {
    let pages = pages();
    let uids: BTreeSet<&str> = pages.iter().map(|page| text(&page["uid"])).collect();
    assert_eq!(uids, BTreeSet::from(["drs-migrations", "drs-job"]));
    for page in &pages {
        let title = &page["title"];
        assert_eq!((&page["editable"], &page["id"]), (&json!(false), &Value::Null), "{title}");
        assert!(!text(&page["description"]).is_empty() && list(&page["tags"]).contains(&json!("drs")), "{title}");
        assert_eq!(variables(page)[0]["type"], "datasource", "{title}: it is chosen first");
        let all: Vec<&Value> = places(page).collect();
        let ids: BTreeSet<String> = all.iter().map(|place| place["id"].to_string()).collect();
        assert_eq!(ids.len(), all.len(), "{title}: two have one id");
        // A number and its course over time may share a title.
        let titles: BTreeSet<_> = all.iter().map(|place| (text(&place["title"]), text(&place["type"]))).collect();
        assert_eq!(titles.len(), all.len(), "{title}: two have one title");
        // Each panel has its own cells of the grid.
        let mut taken = BTreeSet::new();
        for place in all {
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| place["gridPos"][key].as_u64().unwrap());
            assert!(x + w <= 24 && w > 0 && h > 0, "{title}: {}", place["title"]);
            let mut cells = (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y)));
            assert!(cells.all(|cell| taken.insert(cell)), "{title}: {} lies on another one", place["title"]);
        }
    }
}

#[test]
fn every_link_leads_to_a_page_and_its_variables() {
    let pages = pages();
    let mut links = 0;
    for page in &pages {
        for link in strings(page).into_iter().filter(|text| text.starts_with("/d/")) {
            let uid = found("^/d/([^/?]+)", link)[0];
            let target =
                pages.iter().find(|page| page["uid"] == uid).unwrap_or_else(|| panic!("no page {uid}: {link}"));
            for name in found("[?&]var-([^=]+)=", link) {
                assert!(variables(target).iter().any(|variable| variable["name"] == name), "no {name}: {link}");
            }
            assert!(link.contains("?var-datasource=${datasource}"), "{link} forgets which Prometheus was chosen");
            links += 1;
        }
    }
    assert!(links >= 6, "{links}");
}

#[test]
fn every_window_follows_the_time_that_is_looked_at() {
    let quoted = Regex::new(r#""[^"]*""#).unwrap();
    for page in pages() {
        for query in queries(&page) {
            let plain = quoted.replace_all(query, "");
            let allowed = |window: &&str| ["$__rate_interval", "$__range"].contains(window);
            assert!(found(r"\[([^\]]*)\]", &plain).iter().all(allowed), "{query}");
            assert!(
                found(r"\brate\([^\[]*\[([^\]]*)\]", &plain).iter().all(|window| *window == "$__rate_interval"),
                "{query}"
            );
            // How far the tables of objects look back is chosen above them.
            let allowed = |window: &&str| *window == "${window}s" || allowed(window);
            assert!(found(r"\boffset ([^ )]+)", &plain).iter().all(allowed), "{query}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_is_named_exists() {
    let known = metrics::all().await;
    let variable = Regex::new(r"\$\{?[a-z_]+\}?s?").unwrap();
    for page in pages() {
        for query in queries(&page) {
            metrics::check(&variable.replace_all(query, ""), &known);
        }
    }
}

/// A Prometheus that has watched the demo, and what the exporter said at the end.
struct Watched {
    prometheus: Prometheus,
    end: f64,
    last: Samples,
    jobs: BTreeSet<String>,
}

impl Watched {
    async fn demo() -> Self {
        let mut command = program();
        command.args(["demo", "--web.listen-address=127.0.0.1:0"]);
        let exporter = Exporter::run(command, TempDir::new().unwrap()).await;
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("history");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/history");
        let hours = (RANGE / 3600.0).to_string();
        let (url, path) = (exporter.url("/metrics"), file.display().to_string());
        let stretch = move || {
            let arguments = [script.to_str().unwrap(), &url, &path, "--scrapes", SCRAPES, "--hours", &hours];
            let output = tools::run("python3", "python3", &arguments, b"");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        tokio::task::spawn_blocking(stretch).await.unwrap();

        let history = fs::read_to_string(&file).unwrap();
        let history = history.strip_suffix("# EOF\n").unwrap().replace(NO_REGION.0, NO_REGION.1);
        let times: Vec<&str> = history
            .lines()
            .filter(|line| line.starts_with("up{"))
            .map(|line| line.rsplit_once(' ').unwrap().1)
            .collect();
        let at_the_end = format!(" {}", times.last().unwrap());
        let last: Vec<&str> = history.lines().filter_map(|line| line.strip_suffix(&at_the_end)).collect();
        // What went away would be seen for five minutes more, so there is a last scrape once more after these.
        let end = at_the_end.trim().parse::<f64>().unwrap() + 301.0;
        let mut more: String = last.iter().map(|sample| format!("{sample} {end:.3}\n")).collect();
        for (series, first, last) in ALSO {
            for (nth, time) in times.iter().copied().chain([&end.to_string()[..]]).enumerate() {
                let value = if nth < times.len() / 2 { first } else { last };
                more += &format!("{series} {value} {time}\n");
            }
        }
        fs::write(&file, format!("{history}{more}# EOF\n")).unwrap();
        let polled: String = last.iter().filter(|line| line.starts_with("drs_poll_success{")).copied().collect();
        let jobs = found(r#"\bjob="([^"]+)""#, &polled).into_iter();
        Self {
            prometheus: Prometheus::with_history(&file).await,
            end,
            jobs: jobs.map(str::to_owned).collect(),
            last: Samples::parse(&last.join("\n")),
        }
    }

    /// The answer to a query of a page, where these are chosen.
    async fn answer(&self, query: &str, instant: bool, chosen: &BTreeMap<&str, &str>) -> Vec<Value> {
        let variable = Regex::new(r"\$(?:\{([a-z_]+)\}|([a-z_]+))").unwrap();
        let query = variable.replace_all(query, |name: &Captures<'_>| {
            let name = name.get(1).or(name.get(2)).unwrap().as_str();
            *chosen.get(name).unwrap_or_else(|| panic!("no variable {name}: {query}"))
        });
        if instant {
            self.prometheus.query_at(&query, self.end).await
        } else {
            self.prometheus.query_range(&query, self.end, RANGE, STEP).await
        }
    }

    /// The sum of the series that begin like this and have one of these in them.
    fn sum(&self, name: &str, with: &[&str]) -> f64 {
        let series = self.last.beginning(&format!("{name}{{")).into_iter();
        series.filter(|(series, _)| with.iter().any(|one| series.contains(one))).map(|(_, value)| value).sum()
    }
}

/// What can be chosen on a page: all of everything, or what it begins with; and each job where it shows one only.
fn choices<'a>(page: &'a Value, jobs: &'a BTreeSet<String>) -> Vec<BTreeMap<&'a str, &'a str>> {
    let mut chosen = BTreeMap::from(BUILT_IN);
    for variable in variables(page) {
        let value = if variable["includeAll"] == true { &variable["allValue"] } else { &variable["current"]["value"] };
        if let Some(value) = value.as_str() {
            chosen.insert(text(&variable["name"]), value);
        }
    }
    if chosen.contains_key("job") {
        return vec![chosen];
    }
    let with = |job| chosen.iter().map(|(name, value)| (*name, *value)).chain([("job", job)]).collect();
    jobs.iter().map(|job| with(&job[..])).collect()
}

/// What is known of a panel once all its queries were answered.
#[derive(Default)]
struct Shown {
    /// Which of its queries have brought anything.
    answered: BTreeSet<String>,
    /// The columns of a table.
    fields: BTreeSet<String>,
    /// What its series are called.
    legends: BTreeSet<String>,
    /// What is wrong with it.
    wrong: BTreeSet<String>,
    /// The last value of each series, by legend.
    values: BTreeMap<String, f64>,
}

impl Shown {
    /// Takes the answers to all queries of a panel, for one choice.
    fn take(&mut self, panel: &Value, answers: &[Vec<Value>]) {
        let label = Regex::new(r"\{\{\s*(\w+)\s*\}\}").unwrap();
        let targets = list(&panel["targets"]);
        let linked = links(panel, "__field.labels");
        let mut legends = BTreeSet::new();
        for (target, answer) in targets.iter().zip(answers) {
            let id = text(&target["refId"]);
            for series in answer {
                self.answered.insert(id.to_owned());
                let labels = &series["metric"];
                let samples = iter::once(&series["value"]).chain(list(&series["values"])).filter(|one| one.is_array());
                let values: Vec<f64> = samples.map(|sample| text(&sample[1]).parse().unwrap()).collect();
                if values.is_empty() || !values.iter().all(|value| value.is_finite()) {
                    self.wrong.insert(format!("query {id} has a value that is no number: {series}"));
                }
                if let Some(needed) = linked.iter().find(|label| labels[label].is_null()) {
                    self.wrong.insert(format!("a link needs {needed}, and {labels} has none"));
                }
                // A pod that moves gets another one, which must not look like another job.
                if !labels["instance"].is_null()
                    && !text(&target["expr"]).starts_with("process_")
                    && !text(&target["expr"]).starts_with("rate(process_")
                {
                    self.wrong.insert(format!("{labels} depends on the instance"));
                }
                if target["format"] == "table" {
                    let value = if targets.len() == 1 { "Value".to_owned() } else { format!("Value #{id}") };
                    self.fields.extend(keys(labels).map(str::to_owned).chain(["Time".to_owned(), value]));
                    continue;
                }
                let legend = label.replace_all(text(&target["legendFormat"]), |name: &Captures<'_>| {
                    let value = labels[&name[1]].as_str();
                    value.map(str::to_owned).unwrap_or_else(|| {
                        self.wrong.insert(format!("the legend of {id} needs {}, and {labels} has none", &name[1]));
                        String::new()
                    })
                });
                if !legends.insert(legend.to_string()) {
                    self.wrong.insert(format!("two series are called {legend:?}"));
                }
                self.values.insert(legend.into_owned(), *values.last().unwrap());
            }
        }
        self.legends.append(&mut legends);
        self.wrong.extend(split_rows(targets, answers));
    }

    /// What is wrong once all choices were looked at.
    fn wrong(mut self, panel: &Value) -> BTreeSet<String> {
        for target in list(&panel["targets"]).iter().filter(|target| !self.answered.contains(text(&target["refId"]))) {
            self.wrong.insert(format!("no data: {}", text(&target["expr"])));
        }
        let organize = list(&panel["transformations"]).iter().find(|one| one["id"] == "organize");
        let options = organize.map(|one| &one["options"]).unwrap_or(&Value::Null);
        let [hidden, placed, renamed] = ["excludeByName", "indexByName", "renameByName"].map(|key| &options[key]);
        let linked = links(panel, "__data.fields");
        let columns = keys(hidden).chain(keys(placed)).chain(keys(renamed)).chain(linked.iter().copied());
        let mut missing: Vec<&str> = columns.filter(|column| !self.fields.contains(*column)).collect();
        missing.extend(linked.iter().filter(|column| !hidden[column].is_null()));

        // Columns get their names before their looks; what is called otherwise by its looks is still found by its own name.
        let columns = self.fields.iter().map(|field| renamed[&field[..]].as_str().unwrap_or(field));
        let names: BTreeSet<&str> = self.legends.iter().map(String::as_str).chain(columns).collect();
        let mut titles = names.clone();
        for looks in list(&panel["fieldConfig"]["overrides"]) {
            assert_eq!(looks["matcher"]["id"], "byName", "{looks}");
            missing.extend([text(&looks["matcher"]["options"])].iter().filter(|name| !names.contains(*name)));
            let title = list(&looks["properties"]).iter().find(|property| property["id"] == "displayName");
            titles.extend(title.map(|title| text(&title["value"])));
        }
        let sorted = list(&panel["options"]["sortBy"]).iter().map(|by| text(&by["displayName"]));
        missing.extend(sorted.filter(|title| !titles.contains(title)));
        self.wrong.extend(missing.iter().map(|name| format!("nothing is called {name:?}, only {titles:?}")));

        let lost = self.fields.iter().filter(|name| hidden[&name[..]].is_null() && placed[&name[..]].is_null());
        self.wrong.extend(lost.map(|name| format!("{name} is neither placed nor hidden")));
        self.wrong
    }
}

/// Grafana merges the rows of several queries by the labels that all of them have, so each row needs its own.
fn split_rows(targets: &[Value], answers: &[Vec<Value>]) -> BTreeSet<String> {
    if targets.len() == 1 || targets.iter().any(|target| target["format"] != "table") {
        return BTreeSet::new();
    }
    let labels = |series: &Value| keys(&series["metric"]).map(str::to_owned).collect::<BTreeSet<_>>();
    let all = answers.iter().flatten().map(labels);
    let common = all.reduce(|common, labels| &common & &labels).unwrap_or_default();
    let mut wrong = BTreeSet::new();
    for answer in answers {
        let mut rows = BTreeSet::new();
        for series in answer {
            let row: Vec<&str> = common.iter().map(|label| text(&series["metric"][label])).collect();
            if !rows.insert(row) {
                wrong.insert(format!("two rows become one by {common:?}: {series}"));
            }
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_shows_what_the_demo_did() {
    let watched = Watched::demo().await;
    assert_eq!(watched.jobs.len(), 5);
    // The history is stretched with what it dates, so that nothing lies in the future of its own scrape.
    let dated = r#"{__name__=~"drs_.+_timestamp_seconds",__name__!~".+_expiry_.+"}"#;
    assert!(!watched.prometheus.query_at(dated, watched.end - RANGE).await.is_empty());
    let future = watched.prometheus.query_at(&format!("{dated} > time()"), watched.end - RANGE).await;
    assert!(future.is_empty(), "{future:#?}");
    let mut wrong = Vec::new();
    let mut numbers = BTreeMap::new();
    for page in pages() {
        let choices = choices(&page, &watched.jobs);
        for variable in variables(&page).iter().filter(|variable| variable["type"] == "query") {
            wrong.extend(offers_nothing(&watched, variable, &choices[0]).await);
        }
        for panel in panels(&page) {
            let mut shown = Shown::default();
            for chosen in &choices {
                let mut answers = Vec::new();
                for target in list(&panel["targets"]) {
                    let instant = target["instant"] == true;
                    answers.push(watched.answer(text(&target["expr"]), instant, chosen).await);
                }
                shown.take(panel, &answers);
            }
            if page["uid"] == "drs-migrations" && panel["type"] == "stat" {
                numbers.append(&mut shown.values.clone());
            }
            wrong
                .extend(shown.wrong(panel).iter().map(|what| format!("{}, {}: {what}", page["title"], panel["title"])));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    // What stands above all is what the exporter said, reckoned in another way.
    let [waiting, moving, stalled] = ["not_started", "in_progress", "stalled"]
        .map(|state| watched.sum("drs_objects_by_state", &[&format!("state=\"{state}\"")]));
    assert!(stalled > 0.0 && watched.sum("drs_objects_disappeared_total", &[""]) > 0.0);
    assert_eq!(numbers["Stalled objects"], stalled);
    assert_eq!(numbers["Objects left"], waiting + moving + stalled);
    assert_eq!((numbers["failed"], numbers["not read"]), (1.0, 1.0));
    let objects = watched.last.beginning("drs_object_progress{").len() as f64;
    let progress = watched.sum("drs_object_progress", &[""]) / objects;
    assert!((numbers["Progress"] - progress).abs() < 1e-6, "{} instead of {progress}", numbers["Progress"]);
    let times_left = watched.last.beginning("drs_eta_seconds{");
    let longest = times_left.iter().map(|(_, left)| *left).fold(0.0, f64::max);
    assert_eq!(numbers["Time left"], longest);
}

/// What is wrong with a variable: that nothing can be chosen, or a job has no name or id.
async fn offers_nothing(watched: &Watched, variable: &Value, chosen: &BTreeMap<&str, &str>) -> Option<String> {
    let (query, label) = asked(variable);
    let (query, pattern) = match label {
        Some(label) => (format!("group by ({label}) (last_over_time({query}[$__range]))"), String::new()),
        None => {
            (query.to_owned(), text(&variable["regex"]).strip_prefix('/').unwrap().strip_suffix("/g").unwrap().into())
        }
    };
    let answer = watched.answer(&query, true, chosen).await;
    let name = text(&variable["name"]);
    if let Some(label) = label {
        return answer
            .iter()
            .all(|series| text(&series["metric"][label]).is_empty())
            .then(|| format!("{name} offers nothing"));
    }
    // Grafana writes each series as Prometheus does, and takes what is shown and what is meant from it by a pattern.
    let pattern = Regex::new(&pattern).unwrap();
    let mut offered = BTreeSet::new();
    for series in &answer {
        let labels = series["metric"].as_object().unwrap().iter().map(|(label, value)| format!("{label}={value}"));
        let series = format!("{{{}}} 1", labels.collect::<Vec<_>>().join(","));
        let group = |name| {
            pattern
                .captures_iter(&series)
                .find_map(|found| Some(found.name(name)?.as_str().to_owned()))
                .unwrap_or_default()
        };
        if group("text").is_empty() || group("text") == group("value") {
            return Some(format!("{name} has no name for {series}"));
        }
        offered.insert(group("value"));
    }
    (offered != watched.jobs).then(|| format!("{name} offers {offered:?}"))
}
