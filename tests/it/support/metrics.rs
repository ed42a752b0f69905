//! Which metrics there are, and whether a query names only those.

use std::collections::BTreeSet;

use drs_exporter::exposition::{Family, families};
use regex::Regex;

use super::exporter::Exporter;
use super::simulator::Simulator;

/// What a query may be made of beside metrics: PromQL's own words, and labels.
const WORDS: &str = "absent and bool bottomk by count end group group_left histogram_quantile increase label_join label_replace \
    last_over_time max min offset on or rate sort_desc sum time timestamp topk unless";
const LABELS: &str = "account dst_db dst_tb engine_type error_code exported_job index instance job job_type le name operation outcome \
    region src_db src_tb state status task_type type version";

/// Every metric that the exporter can have, with its kind in the text that most read, where an info is a gauge.
pub async fn with_kinds() -> BTreeSet<(String, String)> {
    let simulator = Simulator::start(&["--jobs", "1"]).await;
    let user = "auth: {password: {user: monitor, domain: simulated-domain, password: simulated-password}}";
    let with_iam = format!("{user}\n    iam_endpoint: {}\n    discovery: {{}}", simulator.url(""));
    let config = simulator.config.replace("auth: {token: simulated-token}", &with_iam);
    // The job is the first one's of two.
    let exporter = Exporter::start(&format!("{config}shard: {{index: 0, total: 2}}\n")).await;
    exporter.polled(&simulator.jobs()[0], "table", "success", 1.0).await;
    exporter.until("a list", |samples| !samples.beginning("drs_discovery_last_success").is_empty()).await;
    let body = String::from_utf8(exporter.body("text/plain", "").await).unwrap();
    let served = body.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let kind = |family: &Family| format!("{:?}", family.kind).to_lowercase().replace("info", "gauge");
    let of_jobs = families().map(|family| (family.name.to_owned(), kind(&family)));
    served.map(|(name, kind)| (name.to_owned(), kind.to_owned())).chain(of_jobs).collect()
}

/// Every metric that the exporter can have.
pub async fn all() -> BTreeSet<String> {
    with_kinds().await.into_iter().map(|(name, _)| name).collect()
}

/// Fails where a query names what is neither a metric nor a word of PromQL nor a label.
pub fn check(query: &str, known: &BTreeSet<String>) {
    let others: BTreeSet<&str> = WORDS.split_whitespace().chain(LABELS.split_whitespace()).collect();
    let text = Regex::new(r#""[^"]*""#).unwrap();
    let word = Regex::new(r"\b[a-z_][a-z_0-9:]*").unwrap();
    for found in word.find_iter(&text.replace_all(query, "")) {
        let found = found.as_str();
        let series = ["_bucket", "_count"].iter().find_map(|ending| found.strip_suffix(ending)).unwrap_or(found);
        assert!(
            known.contains(found) || known.contains(series) || others.contains(found),
            "no metric {found}: {query}"
        );
    }
}
