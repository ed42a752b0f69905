//! What is known of stalls outlives the process, however it ends; and whatever is wrong with the file, the exporter goes on.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;
use wiremock::ResponseTemplate;

use crate::support::drs::{Drs, page, row};
use crate::support::eventually;
use crate::support::exporter::{Exporter, program};
use crate::support::samples::Samples;

const LAST_CHANGE: &str = "drs_last_change_timestamp_seconds";
const LAST_SUCCESS: &str = "drs_poll_last_success_timestamp_seconds";
const ANEW: &str = "is measured from now on";

/// A DRS whose answer a test changes, and a place for the state.
struct World {
    answer: Arc<Mutex<ResponseTemplate>>,
    drs: Drs,
    folder: TempDir,
}

impl World {
    async fn with(objects: &[(&str, u64)]) -> Self {
        let answer = Arc::new(Mutex::new(listing(objects)));
        let now = Arc::clone(&answer);
        let drs = Drs::answering(move |_| now.lock().unwrap().clone()).await;
        Self { answer, drs, folder: TempDir::new().unwrap() }
    }

    fn lists(&self, objects: &[(&str, u64)]) {
        *self.answer.lock().unwrap() = listing(objects);
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(&self.folder).unwrap();
        let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn config(&self, file: &Path, stall_after: &str) -> String {
        let config = self.drs.config(&["{id: j, types: [table]}"]);
        let config = config.replace("interval: 1s,", &format!("interval: 1s, stall_after: {stall_after},"));
        format!("{config}state_file: {}\n", file.display())
    }

    async fn start(&self, stall_after: &str) -> Exporter {
        Exporter::start(&self.config(&self.file(), stall_after)).await
    }

    /// Bytes that a process has left.
    async fn left_behind(&self) -> Vec<u8> {
        let mut exporter = self.start("1h").await;
        first(&exporter).await;
        exporter.signal("TERM");
        exporter.ended().await;
        fs::read(self.file()).unwrap()
    }
}

fn listing(objects: &[(&str, u64)]) -> ResponseTemplate {
    let rows: Vec<Value> = objects.iter().map(|(name, percent)| row(name, *percent)).collect();
    page(rows.len() as u64, &rows)
}

fn of(samples: &Samples, name: &str) -> f64 {
    samples.of(name, "j", "table").unwrap_or_else(|| panic!("no {name}"))
}

fn stalled(samples: &Samples) -> f64 {
    samples.labelled("drs_objects_by_state", "j", "table", "state", "stalled").unwrap()
}

/// The metrics once there is a listing.
async fn first(exporter: &Exporter) -> Samples {
    exporter.polled("j", "table", "success", 1.0).await
}

/// The lines of a level that the exporter has logged.
fn logged(exporter: &Exporter, level: &str) -> Vec<String> {
    exporter.log().lines().filter(|line| line.contains(&format!("level={level}"))).map(str::to_owned).collect()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Waits for a time of the system's clock.
async fn until(time: f64) {
    eventually("the time", || async { (now() >= time).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_goes_on_after_a_kill() {
    let world = World::with(&[("stands", 50)]).await;
    let exporter = world.start("15s").await;
    let began = of(&first(&exporter).await, LAST_CHANGE);
    let samples = exporter.until("half of the time", |samples| of(samples, LAST_SUCCESS) >= began + 8.0).await;
    assert_eq!((of(&samples, LAST_CHANGE), stalled(&samples)), (began, 0.0));
    exporter.kill().await;

    let exporter = world.start("15s").await;
    assert_eq!(of(&first(&exporter).await, LAST_CHANGE), began);
    let samples = exporter.until("the stall", |samples| stalled(samples) == 1.0).await;
    assert_eq!(of(&samples, LAST_CHANGE), began);
    let told = of(&samples, LAST_SUCCESS);
    let started = samples.get("process_start_time_seconds").unwrap();
    assert!(told >= began + 15.0, "stalled {} s after it moved", told - began);
    assert!(told < started + 15.0, "stalled {} s after the restart", told - started);
    exporter.kill().await;

    // What has stood for long enough, while nobody looked as well, is stalled at once.
    let exporter = world.start("15s").await;
    let samples = first(&exporter).await;
    assert_eq!((of(&samples, LAST_CHANGE), stalled(&samples)), (began, 1.0));
    assert_eq!(logged(&exporter, "warn"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_last_is_kept_when_it_ends() {
    let world = World::with(&[("moves", 50), ("goes", 10), ("done", 100)]).await;
    let mut exporter = world.start("1h").await;
    let began = of(&first(&exporter).await, LAST_CHANGE);
    until(began + 1.0).await;
    world.lists(&[("moves", 51), ("goes", 10), ("done", 100)]);
    let moved = exporter.until("a move", |samples| of(samples, LAST_CHANGE) > began).await;
    exporter.signal("TERM");
    assert_eq!(exporter.ended().await.code(), Some(0));
    assert_eq!(world.files(), ["state"]);
    // What is first seen now would have another time.
    until(of(&moved, LAST_CHANGE) + 1.0).await;
    assert_eq!(fs::metadata(world.file()).unwrap().permissions().mode() & 0o777, 0o600);

    let mut exporter = world.start("1h").await;
    assert_eq!(of(&first(&exporter).await, LAST_CHANGE), of(&moved, LAST_CHANGE));
    assert!(!exporter.log().contains(ANEW), "{}", exporter.log());
    exporter.signal("INT");
    assert_eq!(exporter.ended().await.code(), Some(0));

    // What happens while nobody looks is seen afterwards.
    world.lists(&[("moves", 40), ("done", 100)]);
    let exporter = world.start("1h").await;
    let samples = first(&exporter).await;
    assert!(of(&samples, LAST_CHANGE) > of(&moved, LAST_CHANGE));
    let counted = ["drs_progress_regressions_total", "drs_objects_disappeared_total"].map(|name| of(&samples, name));
    assert_eq!(counted, [1.0, 1.0]);
}

/// The same bytes as of an hour later, with a checksum that is right.
fn from_the_future(state: &[u8]) -> Vec<u8> {
    let looked = |bytes: &[u8]| (now() - 600.0..=now()).contains(&f64::from_le_bytes(bytes.try_into().unwrap()));
    let place = state.windows(8).position(looked).expect("when the last listing came");
    let mut state = state[..state.len() - 4].to_vec();
    state[place..place + 8].copy_from_slice(&(now() + 3600.0).to_le_bytes());
    let sum = crc32fast::hash(&state);
    state.extend(sum.to_le_bytes());
    state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_is_set_aside() {
    let world = World::with(&[("stands", 50)]).await;
    let good = world.left_behind().await;
    let changed = |place: usize| {
        let mut bytes = good.clone();
        bytes[place] ^= 1;
        bytes
    };
    let damaged = "it is torn or damaged";
    let foreign = "it is empty, or no state of drs-exporter";
    let cases = [
        (vec![], foreign),
        (b"accounts: []\n".to_vec(), foreign),
        ((0..=255).cycle().take(100_000).collect(), foreign),
        (good[..good.len() / 2].to_vec(), damaged),
        (good[..good.len() - 1].to_vec(), damaged),
        (changed(good.len() / 2), damaged),
        (changed(9), "its format is 258, and this version of drs-exporter knows only 2"),
        (from_the_future(&good), "it is from the future, by "),
    ];
    for (bytes, problem) in cases {
        fs::write(world.file(), &bytes).unwrap();
        let mut exporter = world.start("1h").await;
        let samples = first(&exporter).await;
        let started = samples.get("process_start_time_seconds").unwrap();
        assert!(of(&samples, LAST_CHANGE) >= started.floor(), "{problem}");
        let warned = logged(&exporter, "warn");
        let aside = format!("moved_to={}.bad", world.file().display());
        let [line] = &warned[..] else { panic!("{problem}: {warned:?}") };
        assert!(line.contains(problem) && line.contains(&aside) && line.contains(ANEW), "{line}");
        assert_eq!(fs::read(world.folder.path().join("state.bad")).unwrap(), bytes);
        exporter.signal("TERM");
        exporter.ended().await;
        assert_eq!(world.files(), ["state", "state.bad"]);
    }
    // The new file is a good one.
    let exporter = world.start("1h").await;
    first(&exporter).await;
    assert_eq!(logged(&exporter, "warn"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_where_nothing_can_be_kept_is_told_once() {
    let world = World::with(&[("stands", 50)]).await;
    let folder = world.folder.path();
    fs::write(folder.join("file"), "").unwrap();
    fs::create_dir(folder.join("folder")).unwrap();
    let _socket = UnixListener::bind(folder.join("socket")).unwrap();
    let cases = [
        (folder.join("nowhere/state"), "No such file or directory"),
        (folder.join("file/state"), "Not a directory"),
        (folder.join("folder"), "what is there is no file"),
        // As a device would be.
        (folder.join("socket"), "what is there is no file"),
        // Nobody can write there, root neither.
        ("/proc/state".into(), "No such file or directory"),
    ];
    for (file, problem) in cases {
        let mut exporter = Exporter::start(&world.config(&file, "1h")).await;
        exporter.polled("j", "table", "success", 2.0).await;
        exporter.signal("TERM");
        assert_eq!(exporter.ended().await.code(), Some(0));
        let warned = logged(&exporter, "warn");
        let [line] = &warned[..] else { panic!("{problem}: {warned:?}") };
        assert!(line.contains("that this process may write to, with room for it") && line.contains(problem), "{line}");
        assert!(line.contains(&format!("file={}", file.display())), "{line}");
    }
    assert_eq!(world.files(), ["file", "folder", "socket"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_room_stops_nothing() {
    let world = World::with(&[("stands", 50)]).await;
    let state = world.left_behind().await;
    let config = world.folder.path().join("drs-exporter.yml");
    fs::write(&config, world.config(&world.file(), "1h")).unwrap();
    // No file may have a single byte, which writing to a full disk looks like.
    let line = format!(
        "trap '' XFSZ; ulimit -f 0; exec {} --config.file {} --web.listen-address=127.0.0.1:0",
        program().as_std().get_program().to_str().unwrap(),
        config.display()
    );
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", &line]).kill_on_drop(true).stderr(std::process::Stdio::piped());
    let mut exporter = Exporter::run(command, TempDir::new().unwrap()).await;
    exporter.polled("j", "table", "success", 2.0).await;
    exporter.signal("TERM");
    assert_eq!(exporter.ended().await.code(), Some(0));
    let warned = logged(&exporter, "warn");
    assert!(matches!(&warned[..], [line] if line.contains("File too large")), "{warned:?}");
    assert_eq!(fs::read(world.file()).unwrap(), state, "the old file stays");
    assert_eq!(world.files(), ["drs-exporter.yml", "state"], "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_comes_later_is_used() {
    let world = World::with(&[("stands", 50)]).await;
    let folder = world.folder.path().join("later");
    let config = world.config(&folder.join("state"), "1h");
    let mut exporter = Exporter::start(&config).await;
    let began = of(&first(&exporter).await, LAST_CHANGE);
    fs::create_dir(&folder).unwrap();
    exporter.signal("TERM");
    exporter.ended().await;
    assert_eq!(logged(&exporter, "warn").len(), 1);
    assert!(exporter.log().contains("the state is saved again"), "{}", exporter.log());
    let exporter = Exporter::start(&config).await;
    assert_eq!(of(&first(&exporter).await, LAST_CHANGE), began);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_half_written_is_removed_in_time() {
    let world = World::with(&[("stands", 50)]).await;
    for (name, minutes) in [(".drs-exporter-old", 61), (".drs-exporter-new", 59), ("old", 61)] {
        let file = fs::File::create(world.folder.path().join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(minutes * 60)).unwrap();
    }
    world.left_behind().await;
    assert_eq!(world.files(), [".drs-exporter-new", "old", "state"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_stays_one() {
    let world = World::with(&[("stands", 50)]).await;
    let target = world.folder.path().join("target");
    fs::write(&target, "").unwrap();
    std::os::unix::fs::symlink(&target, world.file()).unwrap();
    let state = world.left_behind().await;
    assert!(fs::symlink_metadata(world.file()).unwrap().is_symlink());
    assert_eq!(
        (fs::read(&target).unwrap(), world.files()),
        (state, vec!["state".into(), "target".into(), "target.bad".into()])
    );
}

/// A program that may write only where the mode of a folder lets it, as for everybody but root.
fn without_privileges() -> tokio::process::Command {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        return program();
    }
    let mut command = tokio::process::Command::new("setpriv");
    command.args(["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", "--"]);
    command.arg(program().as_std().get_program());
    command.kill_on_drop(true).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_may_not_be_written_and_a_file_that_may_not_be_read_stop_nothing() {
    let world = World::with(&[("stands", 50)]).await;
    let state = world.left_behind().await;
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("drs-exporter.yml");
    fs::write(&config, world.config(&world.file(), "1h")).unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let cases = [
        // It is read, and cannot be replaced.
        (0o600, "the state cannot be saved, so a restart would measure anew", "Permission denied", false),
        // It is not read, nor can it be put aside.
        (0o000, "the state cannot be used, nor set aside", "Permission denied", true),
    ];
    for (of_file, words, problem, anew) in cases {
        mode(&world.file(), of_file);
        mode(world.folder.path(), 0o500);
        let mut command = without_privileges();
        command.arg("--config.file").arg(&config).args(["--web.listen-address=127.0.0.1:0", "--log.level=debug"]);
        let mut exporter = Exporter::run(command, TempDir::new().unwrap()).await;
        exporter.polled("j", "table", "success", 2.0).await;
        exporter.signal("TERM");
        assert_eq!(exporter.ended().await.code(), Some(0));
        mode(world.folder.path(), 0o700);
        mode(&world.file(), 0o600);
        let warned = logged(&exporter, "warn");
        assert!(warned.iter().any(|line| line.contains(words) && line.contains(problem)), "{warned:?}");
        assert_eq!(exporter.log().contains("message=\"state read\""), !anew, "{}", exporter.log());
        assert_eq!((fs::read(world.file()).unwrap(), world.files()), (state.clone(), vec!["state".to_owned()]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_gets_full_half_way_leaves_the_old_file_whole() {
    let objects: Vec<(String, u64)> = (0..1000).map(|number| (format!("t{number}"), 50)).collect();
    let objects: Vec<(&str, u64)> = objects.iter().map(|(name, percent)| (&name[..], *percent)).collect();
    let world = World::with(&objects).await;
    let state = world.left_behind().await;
    assert!(state.len() > 8 * 1024, "{} bytes", state.len());
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("drs-exporter.yml");
    fs::write(&config, world.config(&world.file(), "1h")).unwrap();
    // A part of it fits, and the rest does not.
    let line = format!(
        "trap '' XFSZ; ulimit -f 8; exec {} --config.file {} --web.listen-address=127.0.0.1:0",
        program().as_std().get_program().to_str().unwrap(),
        config.display()
    );
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", &line]).kill_on_drop(true).stderr(std::process::Stdio::piped());
    let mut exporter = Exporter::run(command, folder).await;
    exporter.polled("j", "table", "success", 2.0).await;
    exporter.signal("TERM");
    assert_eq!(exporter.ended().await.code(), Some(0));
    let warned = logged(&exporter, "warn");
    assert!(matches!(&warned[..], [line] if line.contains("File too large")), "{warned:?}");
    assert_eq!((fs::read(world.file()).unwrap(), world.files()), (state, vec!["state".to_owned()]));
    let exporter = world.start("1h").await;
    first(&exporter).await;
    assert!(logged(&exporter, "warn").is_empty() && !exporter.log().contains(ANEW), "{}", exporter.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_nothing_becomes_a_file() {
    let world = World::with(&[("stands", 50)]).await;
    std::os::unix::fs::symlink(world.folder.path().join("nothing"), world.file()).unwrap();
    world.left_behind().await;
    assert!(fs::symlink_metadata(world.file()).unwrap().is_file());
    let exporter = world.start("1h").await;
    first(&exporter).await;
    assert!(logged(&exporter, "warn").is_empty() && !exporter.log().contains(ANEW), "{}", exporter.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_the_last_one_wins_whole() {
    let world = World::with(&[("stands", 50)]).await;
    let mut exporters = [world.start("1h").await, world.start("1h").await];
    for exporter in &exporters {
        first(exporter).await;
        exporter.signal("TERM");
    }
    for exporter in &mut exporters {
        assert_eq!(exporter.ended().await.code(), Some(0));
        assert_eq!(logged(exporter, "warn"), [""; 0]);
    }
    assert_eq!(world.files(), ["state"]);
    let exporter = world.start("1h").await;
    first(&exporter).await;
    assert!(logged(&exporter, "warn").is_empty() && !exporter.log().contains(ANEW), "{}", exporter.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_file_it_says_that_all_is_measured_anew() {
    let world = World::with(&[("stands", 50)]).await;
    let exporter = Exporter::start(&world.drs.config(&["{id: j, types: [table]}"])).await;
    first(&exporter).await;
    let told: Vec<String> = logged(&exporter, "info").into_iter().filter(|line| line.contains(ANEW)).collect();
    assert!(matches!(&told[..], [line] if line.contains("`state_file`")), "{told:?}");
}
