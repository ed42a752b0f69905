//! A real Alertmanager, alone.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::prometheus::listening_port;
use super::{PATIENCE, eventually};

/// A running Alertmanager; it ends with the test.
pub struct Alertmanager {
    child: Child,
    url: String,
    http: reqwest::Client,
    _folder: TempDir,
}

impl Alertmanager {
    /// Starts it with this configuration, in YAML.
    pub async fn start(config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("alertmanager.yml");
        fs::write(&file, config).unwrap();
        let child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "cannot run prometheus-alertmanager: {error}; install it: apt-get install prometheus-alertmanager"
                )
            });
        let port = eventually("Alertmanager to listen", || async { listening_port(child.id()) }).await;
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { child, url: format!("http://127.0.0.1:{port}/api/v2/alerts"), http, _folder: folder }
    }

    /// Tells it that an alert with these labels fires.
    pub async fn fire(&self, labels: &[(&str, &str)]) {
        let labels: Value = labels.iter().map(|(name, value)| (name.to_string(), Value::from(*value))).collect();
        let answer = self.http.post(&self.url).json(&json!([{"labels": labels}])).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// The alerts that fire, as it shows them.
    pub async fn alerts(&self) -> Vec<Value> {
        self.http.get(&self.url).send().await.unwrap().json().await.unwrap()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
