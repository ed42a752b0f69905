//! A real browser without a screen, driven by the W3C's WebDriver protocol. No profile outlives a test.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::PATIENCE;

/// A running browser with one page; it ends with the test.
pub struct Chromium {
    driver: Child,
    address: String,
    session: String,
    http: reqwest::Client,
    _profile: TempDir,
}

/// What a page looks like.
pub struct Picture {
    pub width: u32,
    pub height: u32,
    /// Red, green and blue of each pixel.
    pub pixels: Vec<[u8; 3]>,
}

impl Chromium {
    pub async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot run chromedriver: {error}; apt-get install chromium chromium-driver")
            });
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            Some(line.split_once("started successfully on port ")?.1.trim_end_matches('.').to_owned())
        });
        let address = format!("127.0.0.1:{}", port.expect("chromedriver names its port"));
        // Read to the end, or it would wait for somebody who reads.
        std::thread::spawn(move || lines.for_each(drop));
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let profile = TempDir::new().unwrap();
        let mut chromium = Self { driver, address, session: String::new(), http, _profile: profile };
        let profile = format!("--user-data-dir={}", chromium._profile.path().display());
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--no-proxy-server",
            &profile,
        ];
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags},
            "goog:loggingPrefs": {"performance": "ALL"},
        }}});
        let session = chromium.post("", &capabilities).await;
        chromium.session = session["sessionId"].as_str().unwrap().to_owned();
        chromium
    }

    async fn post(&self, command: &str, body: &Value) -> Value {
        let session = if self.session.is_empty() { String::new() } else { format!("/{}", self.session) };
        let url = format!("http://{}/session{session}{command}", self.address);
        let answer = self.http.post(url).json(body).send().await.unwrap();
        let (status, mut answer): (_, Value) = (answer.status(), answer.json().await.unwrap());
        assert!(status.is_success(), "{command}: {answer}");
        answer["value"].take()
    }

    /// Sends a command of the browser's own protocol.
    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await
    }

    /// Opens a page and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url})).await;
    }

    /// Runs the body of a function in the page; gives what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// The text that somebody sees.
    pub async fn text(&self) -> String {
        self.run("return document.body.innerText").await.as_str().unwrap().to_owned()
    }

    /// Lets no page run scripts of its own from now on.
    pub async fn without_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    }

    /// Shows pages on a screen of this size, in `light` or `dark`.
    pub async fn screen(&self, width: u32, height: u32, scheme: &str) {
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await;
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// What the page looks like now, also written into `target/pages` under this name.
    pub async fn picture(&self, name: &str) -> Picture {
        let png = self.devtools("Page.captureScreenshot", json!({"format": "png"})).await;
        let png = BASE64_STANDARD.decode(png["data"].as_str().unwrap()).unwrap();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/pages");
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(format!("{folder}/{name}.png"), &png).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        let samples = info.color_type.samples();
        let pixels = bytes[..info.buffer_size()].chunks(samples).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect();
        Picture { width: info.width, height: info.height, pixels }
    }

    /// The addresses of all requests since it was asked last.
    pub async fn requests(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({"type": "performance"})).await;
        let messages = entries.as_array().unwrap().iter().map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            message["message"].clone()
        });
        let sent = messages.filter(|message| message["method"] == "Network.requestWillBeSent");
        sent.map(|message| message["params"]["request"]["url"].as_str().unwrap().to_owned()).collect()
    }
}

impl Picture {
    /// How many different colours it has.
    pub fn colours(&self) -> usize {
        self.pixels.iter().collect::<BTreeSet<_>>().len()
    }

    /// How bright it is, from 0 to 255.
    pub fn brightness(&self) -> u64 {
        let sum: u64 = self.pixels.iter().flatten().map(|&part| u64::from(part)).sum();
        sum / (3 * self.pixels.len() as u64)
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The browser ends with its session, and not with its driver.
        if let Ok(mut stream) = TcpStream::connect(&self.address) {
            let (session, host) = (&self.session, &self.address);
            let request = format!("DELETE /session/{session} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            stream.set_read_timeout(Some(PATIENCE)).ok();
            stream.write_all(request.as_bytes()).ok();
            // The beginning of the answer, which comes when it is done.
            stream.read_exact(&mut [0; 12]).ok();
        }
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}
