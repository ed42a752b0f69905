//! The exporter as a user runs it: a process with a configuration file, an address and a log.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use reqwest::header::{ACCEPT, ACCEPT_ENCODING};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::samples::Samples;
use super::{PATIENCE, eventually};

/// A running exporter; it ends with the test.
pub struct Exporter {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    /// Ends with the log.
    copying: JoinHandle<()>,
    http: reqwest::Client,
    folder: TempDir,
}

/// What the program said and how it ended, where it ends by itself. The folder of the configuration is left out.
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// The variables that name a proxy.
const PROXIES: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// The program; the proxies of whoever runs the tests are not its own.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drs-exporter"));
    command.kill_on_drop(true).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in PROXIES {
        command.env_remove(name);
    }
    command
}

/// Runs the program on this configuration, in YAML, to its end.
pub async fn run(config: &str, arguments: &[&str]) -> Run {
    run_with(config, arguments, &[]).await
}

/// The same, with these variables.
pub async fn run_with(config: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("drs-exporter.yml");
    fs::write(&file, config).unwrap();
    let mut command = program();
    command.arg("--config.file").arg(&file).args(arguments).envs(variables.iter().copied());
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.expect("the program to end").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(&format!("{}/", folder.path().display()), "");
    Run { code: ended.status.code(), out: text(ended.stdout), err: text(ended.stderr) }
}

impl Exporter {
    /// Starts it with this configuration, in YAML.
    pub async fn start(config: &str) -> Self {
        Self::start_with(config, &[]).await
    }

    /// Starts it with this configuration and more flags.
    pub async fn start_with(config: &str, flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("drs-exporter.yml");
        fs::write(&file, config).unwrap();
        let mut command = program();
        command
            .arg("--config.file")
            .arg(&file)
            .args(["--web.listen-address=127.0.0.1:0", "--log.level=debug"])
            .args(flags);
        Self::run(command, folder).await
    }

    /// Runs a command and waits until it listens.
    pub async fn run(mut command: Command, folder: TempDir) -> Self {
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let copy = Arc::clone(&log);
        let copying = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                copy.lock().unwrap().push(line);
            }
        });
        let address = eventually("the exporter to listen", || {
            let (ended, log) = (child.try_wait().unwrap(), log.lock().unwrap());
            assert!(ended.is_none(), "the exporter ended: {log:#?}");
            std::future::ready(log.iter().find_map(|line| listening(line)))
        });
        let address = address.await;
        let http = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
        Self { child, address, log, copying, http, folder }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.http
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(self.url(path)).timeout(PATIENCE).send().await.unwrap()
    }

    /// The body of the metrics, in text or in what `accept` asks for.
    pub async fn body(&self, accept: &str, accept_encoding: &str) -> Vec<u8> {
        let request = self.http.get(self.url("/metrics")).header(ACCEPT, accept);
        let request =
            if accept_encoding.is_empty() { request } else { request.header(ACCEPT_ENCODING, accept_encoding) };
        let response = request.timeout(PATIENCE).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap().to_vec()
    }

    /// The metrics as they are now.
    pub async fn samples(&self) -> Samples {
        let body = self.body("text/plain", "").await;
        Samples::parse(&String::from_utf8(body).unwrap())
    }

    /// Waits until the metrics are as wanted, and gives them.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Samples) -> bool) -> Samples {
        eventually(what, || async { Some(self.samples().await).filter(|samples| wanted(samples)) }).await
    }

    /// Waits until so many polls of a job and type have ended in this way.
    pub async fn polled(&self, job: &str, object_type: &str, outcome: &str, times: f64) -> Samples {
        let what = format!("{times} polls of {job}/{object_type} with outcome {outcome}");
        let series = format!(r#"drs_polls_total{{job="{job}",type="{object_type}",outcome="{outcome}"}}"#);
        self.until(&what, |samples| samples.get(&series).is_some_and(|polls| polls >= times)).await
    }

    /// Waits until it is ready.
    pub async fn until_ready(&self) {
        eventually("the exporter to be ready", || async { (self.get("/-/ready").await.status() == 200).then_some(()) })
            .await;
    }

    /// Puts another configuration in the place of its file, as editors do. It is not told of that.
    pub fn configure(&self, config: &str) {
        let (new, file) = (self.folder.path().join("new.yml"), self.folder.path().join("drs-exporter.yml"));
        fs::write(&new, config).unwrap();
        fs::rename(new, file).unwrap();
    }

    /// Asks it to reread its configuration; gives the status and the words of the answer, without the folder of the file.
    pub async fn reload(&self) -> (u16, String) {
        let answer = self.http.post(self.url("/-/reload")).timeout(PATIENCE).send().await.unwrap();
        let status = answer.status().as_u16();
        let folder = format!("{}/", self.folder.path().display());
        (status, answer.text().await.unwrap().replace(&folder, ""))
    }

    /// Gives it another configuration, which it has to take over.
    pub async fn takes(&self, config: &str) {
        self.configure(config);
        assert_eq!(self.reload().await, (200, "The configuration was reread.\n".to_owned()));
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = std::process::Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Kills it, which it cannot notice.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("the exporter to end").unwrap();
        // Its last lines may still be on their way.
        tokio::time::timeout(PATIENCE, &mut self.copying).await.expect("the end of the log").unwrap();
        assert_eq!(status.signal(), None, "killed by a signal");
        status
    }
}

fn listening(line: &str) -> Option<SocketAddr> {
    line.contains("message=listening").then_some(line)?.split_once("address=")?.1.trim().parse().ok()
}
