//! The container image as its script builds it: what is in it, that it is the same each time, and that it runs with nothing allowed; and
//! the composition around it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use figment::Figment;
use figment::providers::{Format as _, Yaml};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::eventually_within;
use crate::support::exporter::{Exporter, program};
use crate::support::prometheus::Prometheus;
use crate::support::simulator::Simulator;
use crate::support::{PATIENCE, tools};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Images and containers in a folder of their own, which needs nothing of the system.
struct Engine {
    folder: TempDir,
}

impl Engine {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (graph, run) = (folder.path().join("graph"), folder.path().join("run"));
        let storage = format!("[storage]\ndriver = \"vfs\"\ngraphroot = {graph:?}\nrunroot = {run:?}\n");
        fs::write(folder.path().join("storage.conf"), storage).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command with this mask for the rights of new files.
    fn with_mask(&self, mask: &str, command: &str) -> Output {
        let storage = self.path("storage.conf");
        let variables = format!("CONTAINERS_STORAGE_CONF='{}' BUILDAH_ISOLATION=chroot", storage.display());
        let script = format!("umask {mask} && cd '{ROOT}' && {variables} nice {command}");
        tools::run("podman buildah runc musl-tools", "bash", &["-c", &script], b"")
    }

    /// What a command that has to succeed says.
    fn said(&self, command: &str) -> String {
        let output = self.with_mask("022", command);
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Builds the image; gives its id.
    fn builds(&self, mask: &str) -> String {
        let output = self.with_mask(mask, "deploy/docker/build dev trial");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // What is left running by a test that failed.
        let _ = self.with_mask("022", "podman --runtime runc --cgroup-manager cgroupfs rm --all --force --time 1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_is_the_same_each_time_and_runs_with_nothing_allowed() {
    let (engine, another) = (Engine::new(), Engine::new());
    let image = engine.builds("022");
    assert_eq!(another.builds("077"), image, "two builds of the same sources");

    // What is in it, and how it begins.
    engine.said(&format!("podman save --quiet --format oci-dir --output '{}' {image}", engine.path("image").display()));
    let blobs = fs::read_dir(engine.path("image/blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    let layers = blobs.filter(|blob| tools::run("tar", "tar", &["-tf", blob.to_str().unwrap()], b"").status.success());
    let mut files: Vec<String> = layers.flat_map(|layer| files(&layer)).collect();
    files.sort();
    files.dedup();
    assert_eq!(
        files,
        [
            "etc/ rwxr-xr-x 0/0",
            "etc/drs-exporter/ rwxr-xr-x 0/0",
            "etc/ssl/ rwxr-xr-x 0/0",
            "etc/ssl/certs/ rwxr-xr-x 0/0",
            "etc/ssl/certs/ca-certificates.crt rw-r--r-- 0/0",
            "usr/ rwxr-xr-x 0/0",
            "usr/bin/ rwxr-xr-x 0/0",
            "usr/bin/drs-exporter rwxr-xr-x 0/0",
            "var/ rwxr-xr-x 0/0",
            "var/lib/ rwxr-xr-x 0/0",
            "var/lib/drs-exporter/ rwxr-xr-x 65532/65532",
        ]
    );
    let described: Value = serde_json::from_str(&engine.said(&format!("podman image inspect {image}"))).unwrap();
    let config = &described[0]["Config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/usr/bin/drs-exporter"]));
    assert_eq!(config["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));

    // With a file system that cannot be written to, and no right at all.
    let simulator = Simulator::start(&["--jobs", "1"]).await;
    let state = engine.path("state");
    fs::create_dir(&state).unwrap();
    std::os::unix::fs::chown(&state, Some(65532), Some(65532)).unwrap();
    fs::write(
        engine.path("drs-exporter.yml"),
        format!("{}state_file: /var/lib/drs-exporter/state\n", simulator.config),
    )
    .unwrap();
    let mounts = format!(
        "--volume '{}':/etc/drs-exporter/drs-exporter.yml:ro --volume '{}':/var/lib/drs-exporter",
        engine.path("drs-exporter.yml").display(),
        state.display()
    );
    let limits = "--read-only --read-only-tmpfs=false --cap-drop all --security-opt no-new-privileges --network host \
        --ulimit nofile=20000:20000 --ulimit nproc=1000:1000";
    let run = format!(
        "podman --runtime runc --cgroup-manager cgroupfs run --detach --name trial {limits} {mounts} {image} \
         --web.listen-address=127.0.0.1:0"
    );
    engine.said(&run);
    let log = || engine.said("podman --runtime runc --cgroup-manager cgroupfs logs trial 2>&1");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let metrics = eventually_within(PATIENCE * 2, "the container to serve objects", || async {
        let log = log();
        let address = log.split_once("message=listening address=")?.1.lines().next()?.to_owned();
        let body = http.get(format!("http://{address}/metrics")).send().await.ok()?.text().await.ok()?;
        body.contains("drs_object_progress{").then_some(body)
    });
    assert!(metrics.await.contains("process_resident_memory_bytes "));
    engine.said("podman --runtime runc --cgroup-manager cgroupfs stop --time 10 trial");
    let code =
        engine.said("podman --runtime runc --cgroup-manager cgroupfs inspect --format '{{.State.ExitCode}}' trial");
    assert_eq!(code, "0", "{}", log());
    assert!(fs::metadata(state.join("state")).unwrap().len() > 0, "{}", log());
}

/// The files of a layer, each with its mode and owner.
fn files(layer: &Path) -> Vec<String> {
    let listed = tools::run("tar", "tar", &["--numeric-owner", "-tvf", layer.to_str().unwrap()], b"").stdout;
    let listed = String::from_utf8(listed).unwrap();
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        format!("{} {} {}", words[5], &words[0][1..], words[1])
    };
    listed.lines().map(line).collect()
}

fn composition() -> Value {
    let file = format!("{ROOT}/deploy/docker/compose.yaml");
    Figment::from(Yaml::file(file)).extract().unwrap()
}

#[test]
fn the_composition_mounts_what_is_there_and_is_reached_from_this_machine_alone() {
    let composition = composition();
    let services = composition["services"].as_object().unwrap();
    assert_eq!(services.keys().collect::<Vec<_>>(), ["alertmanager", "drs-exporter", "grafana", "prometheus"]);
    let mut mounted = 0;
    for (name, service) in services {
        let volumes = service["volumes"].as_array().into_iter().flatten().map(|volume| volume.as_str().unwrap());
        for source in volumes.map(|volume| volume.split(':').next().unwrap()) {
            match source.starts_with('.') {
                true => {
                    assert!(Path::new(ROOT).join("deploy/docker").join(source).exists(), "{name}: {source}");
                    mounted += 1;
                }
                false => assert!(composition["volumes"].get(source).is_some(), "{name}: {source}"),
            }
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {port}");
        }
        let image = service["image"].as_str().unwrap();
        assert!(
            image.starts_with("${DRS_EXPORTER_IMAGE") || image.rsplit_once(':').is_some_and(|(_, tag)| tag != "latest")
        );
        let service = &service["<<"];
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
    }
    assert_eq!(mounted, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prometheus_of_the_composition_sees_the_jobs_of_the_demo() {
    let composition = composition();
    let prometheus = &composition["services"]["prometheus"];
    assert_eq!(prometheus["volumes"][0], "../prometheus:/etc/prometheus:ro");
    assert_eq!(prometheus["command"][0], "--config.file=/etc/prometheus/prometheus.yml");
    assert_eq!(prometheus["network_mode"], "service:drs-exporter");
    let mut command = program();
    let arguments = composition["services"]["drs-exporter"]["command"].as_array().unwrap();
    let arguments: Vec<&str> = arguments.iter().map(|argument| argument.as_str().unwrap()).collect();
    assert_eq!(arguments, ["demo", "--web.listen-address=:10058"]);
    command.args(["demo", "--web.listen-address=127.0.0.1:0"]);
    let exporter = Exporter::run(command, TempDir::new().unwrap()).await;

    let shipped = fs::read_to_string(format!("{ROOT}/deploy/prometheus/prometheus.yml")).unwrap();
    let (global, rest) = shipped.split_once("\nrule_files:").unwrap();
    assert!(global.contains("scrape_interval: 30s"));
    // As it is, but for where the demo is, where the rules are, and how long the test would wait.
    let rules = format!("{ROOT}/deploy/prometheus/drs-exporter.rules.yml");
    let here = format!("rule_files:{rest}")
        .replace("drs-exporter.rules.yml", &rules)
        .replace("localhost:10058", &exporter.address().to_string());
    let prometheus = Prometheus::start(&here).await;
    let jobs = eventually_within(PATIENCE * 2, "five jobs", || async {
        let series = prometheus.query("count by (job) (drs_polls_total)").await;
        let mut jobs: Vec<String> =
            series.iter().map(|series| series["metric"]["job"].as_str().unwrap().to_owned()).collect();
        jobs.sort();
        (jobs.len() == 5).then_some(jobs)
    })
    .await;
    let document: Value = exporter.get("/api/v1/jobs").await.json().await.unwrap();
    let expected: Vec<&str> =
        document["jobs"].as_array().unwrap().iter().map(|job| job["job"].as_str().unwrap()).collect();
    assert_eq!(jobs, expected);
}
