//! A real Prometheus that scrapes each second, or has a history.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, eventually, tools};

/// A running Prometheus; it ends with the test.
pub struct Prometheus {
    child: Child,
    url: String,
    http: reqwest::Client,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it with these scrape configurations, and whatever else its file may have, in YAML.
    pub async fn start(scrape_configs: &str) -> Self {
        Self::start_in(TempDir::new().unwrap(), scrape_configs).await
    }

    /// Starts it with a history in the format of OpenMetrics, and without anything to scrape.
    pub async fn with_history(history: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let (history, data) = (history.to_str().unwrap(), folder.path().join("data"));
        let arguments = ["tsdb", "create-blocks-from", "openmetrics", history, data.to_str().unwrap()];
        let output = tools::run("prometheus", "promtool", &arguments, b"");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self::start_in(folder, "").await
    }

    async fn start_in(folder: TempDir, scrape_configs: &str) -> Self {
        let file = folder.path().join("prometheus.yml");
        let global = "global: {scrape_interval: 1s, scrape_timeout: 1s}";
        fs::write(&file, format!("{global}\n{scrape_configs}")).unwrap();
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--log.level=info"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run prometheus: {error}; install it: apt-get install prometheus"));
        let id = child.id();
        let log = BufReader::new(child.stderr.take().unwrap());
        // Read to the end, or Prometheus would wait for somebody who reads.
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(drop));
        let url = eventually("Prometheus to listen", || async { listening_port(id) }).await;
        let url = format!("http://127.0.0.1:{url}");
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let prometheus = Self { child, url, http, _folder: folder };
        eventually("Prometheus to be ready", || async {
            let answer = prometheus.http.get(format!("{}/-/ready", prometheus.url)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        prometheus
    }

    /// A scrape configuration as the README has it.
    pub fn scraping(target: &str) -> String {
        format!(
            "scrape_configs:\n  - job_name: drs\n    honor_labels: true\n    static_configs: [{{targets: ['{target}']}}]\n"
        )
    }

    /// The result of an instant query.
    pub async fn query(&self, query: &str) -> Vec<Value> {
        self.result("query", &[("query", query)]).await
    }

    /// The same, of a point in time.
    pub async fn query_at(&self, query: &str, time: f64) -> Vec<Value> {
        self.result("query", &[("query", query), ("time", &time.to_string())]).await
    }

    /// The result of a query over the time up to `end`, in seconds.
    pub async fn query_range(&self, query: &str, end: f64, range: f64, step: f64) -> Vec<Value> {
        let [start, end, step] = [end - range, end, step].map(|time| time.to_string());
        self.result("query_range", &[("query", query), ("start", &start), ("end", &end), ("step", &step)]).await
    }

    async fn result(&self, path: &str, form: &[(&str, &str)]) -> Vec<Value> {
        let answer = self.http.post(format!("{}/api/v1/{path}", self.url)).form(form).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["status"], "success", "{form:?}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// What it answers to a question that is no query.
    pub async fn ask(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}/api/v1/{path}", self.url)).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].clone()
    }

    /// The value of a query that has one.
    pub async fn value(&self, query: &str) -> Option<f64> {
        match &self.query(query).await[..] {
            [] => None,
            [one] => Some(one["value"][1].as_str().unwrap().parse().unwrap()),
            more => panic!("{query}: {more:?}"),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Neither Prometheus nor Alertmanager says which port it got, so the system is asked.
pub(super) fn listening_port(process: u32) -> Option<u16> {
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{process}/fd"))
        .ok()?
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(3) == Some(&"0A") && sockets.iter().any(|socket| fields.get(9) == Some(&&socket[..]));
        let port = fields.get(1)?.split_once(':')?.1;
        listens.then(|| u16::from_str_radix(port, 16).ok()).flatten()
    })
}
