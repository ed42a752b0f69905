//! The simulated DRS as a user runs it: a process that prints a configuration for itself.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use super::exporter::program;

/// A running simulator; it ends with the test.
pub struct Simulator {
    /// The configuration that it printed, with polls each second.
    pub config: String,
    http: reqwest::Client,
    _child: Child,
}

impl Simulator {
    pub async fn start(flags: &[&str]) -> Self {
        let mut command = program();
        command.args(["simulate", "--listen", "127.0.0.1:0"]).args(flags).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let jobs = flags.iter().position(|flag| *flag == "--jobs").map_or(5, |place| flags[place + 1].parse().unwrap());
        let children = jobs / 7 * 2;
        let mut config = String::new();
        while config.matches("- {id:").count() < jobs + children {
            config += &lines.next_line().await.unwrap().expect("the whole configuration");
            config.push('\n');
        }
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { config: config.replace("interval: 5s", "interval: 1s"), http, _child: child }
    }

    /// The ids of all jobs, also of children.
    pub fn jobs(&self) -> Vec<String> {
        self.config.split("- {id: ").skip(1).map(|rest| rest.split_once(',').unwrap().0.to_owned()).collect()
    }

    pub fn url(&self, path: &str) -> String {
        let endpoint = self.config.split_once("    endpoint: ").unwrap().1.lines().next().unwrap();
        format!("{endpoint}{path}")
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.http
    }

    /// Status and body of the answer to a request with a token.
    pub async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        let answer = self.http.get(self.url(path)).header("x-auth-token", token).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// What it says that it was asked.
    pub async fn statistics(&self) -> Value {
        self.http.get(self.url("/simulator/requests")).send().await.unwrap().json().await.unwrap()
    }
}
