//! `once` polls everything one time: what it writes is good or not there at all, and on a terminal it shows how far it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;
use wiremock::ResponseTemplate;

use crate::support::drs::{Drs, failure, whole};
use crate::support::exporter::{Run, run};
use crate::support::samples::Samples;
use crate::support::simulator::Simulator;
use crate::support::tools;

/// What a terminal does more than print: from the escape character on.
const ESCAPE: char = '\u{1b}';

/// Polls once, into this file.
async fn into_file(config: &str, file: &Path) -> Run {
    run(config, &["once", "--output", file.to_str().unwrap()]).await
}

/// Whether promtool has nothing to say of it.
fn assert_good(text: &str) {
    let checked = tools::run("prometheus", "promtool", &["check", "metrics"], text.as_bytes());
    let words = [checked.stdout, checked.stderr].concat();
    assert_eq!((checked.status.code(), String::from_utf8_lossy(&words)), (Some(0), "".into()));
}

fn files(folder: &TempDir) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[tokio::test]
async fn it_writes_what_it_polled_to_standard_output() {
    let simulator = Simulator::start(&["--jobs", "3"]).await;
    let told = run(&simulator.config, &["once"]).await;
    assert_eq!(told.code, Some(0), "{}", told.err);
    assert_good(&told.out);
    let samples = Samples::parse(&told.out);
    for job in simulator.jobs() {
        assert_eq!((samples.polls(&job, "table", "success"), samples.objects(&job, "table")), (1.0, 40), "{job}");
        assert_eq!(samples.of("drs_poll_success", &job, "trigger"), Some(1.0));
        assert_eq!(samples.beginning(&format!("drs_job_progress{{job=\"{job}\"")).len(), 1);
    }
    assert_eq!(samples.beginning("process_"), [], "of a process that has ended by the time anybody reads it");
}

#[tokio::test]
async fn the_jobs_that_are_found_are_polled_too() {
    let simulator = Simulator::start(&["--jobs", "3"]).await;
    let jobs = simulator.jobs();
    let (account, _) = simulator.config.split_once("    jobs:").unwrap();
    let named = format!("    jobs: [{{id: {}, types: [view]}}]\n", jobs[0]);
    let told =
        run(&format!("{account}{named}    discovery: {{types: [table]}}\n    job_view: false\n"), &["once"]).await;
    assert_eq!(told.code, Some(0), "{}", told.err);
    let samples = Samples::parse(&told.out);
    let polled = |job: &str| ["table", "view"].map(|object_type| samples.polls(job, object_type, "success"));
    assert_eq!([polled(&jobs[0]), polled(&jobs[1]), polled(&jobs[2])], [[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]);
    assert_eq!(samples.get(r#"drs_discovery_success{account="simulated"}"#), Some(1.0));
    let named = samples.beginning("drs_job_info{").into_iter().filter(|(series, _)| !series.contains("name=\"\""));
    assert_eq!(named.count(), 3, "what the list says of each job is shown: {samples:?}");
}

#[tokio::test]
async fn a_list_of_jobs_that_cannot_be_had_is_a_failure() {
    let drs = Drs::answering_all(|ask| whole(ask, 1), |_| failure(403, "DRS.M00102")).await;
    let folder = TempDir::new().unwrap();
    let config = drs.config(&["{id: j, types: [table]}"]).replace("    limits:", "    discovery: {}\n    limits:");
    let told = into_file(&config, &folder.path().join("drs.prom")).await;
    assert_eq!((told.code, files(&folder).len()), (Some(1), 0));
    assert!(told.err.contains("no whole list of the jobs") && told.err.contains("DRS.M00102"), "{}", told.err);
}

#[tokio::test]
async fn a_file_is_written_whole_and_for_everybody_to_read() {
    let simulator = Simulator::start(&["--jobs", "2"]).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("drs.prom");
    fs::write(&file, "old\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let told = into_file(&simulator.config, &file).await;
    assert_eq!((told.code, &told.out[..]), (Some(0), ""), "{}", told.err);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(files(&folder), ["drs.prom"], "nothing is left beside it");
    let text = fs::read_to_string(&file).unwrap();
    assert_good(&text);
    assert_eq!(Samples::parse(&text).objects(&simulator.jobs()[1], "table"), 40);
}

#[tokio::test]
async fn others_may_read_the_file_whatever_the_umask() {
    let simulator = Simulator::start(&["--jobs", "1"]).await;
    let folder = TempDir::new().unwrap();
    let (config, file) = (folder.path().join("a.yml"), folder.path().join("drs.prom"));
    fs::write(&config, &simulator.config).unwrap();
    let program = env!("CARGO_BIN_EXE_drs-exporter");
    let line = format!("umask 077; exec {program} --config.file {} once --output {}", config.display(), file.display());
    let ended = tools::run("dash", "sh", &["-c", &line], b"");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
}

#[tokio::test]
async fn a_file_in_the_present_folder_is_named_without_one() {
    let simulator = Simulator::start(&["--jobs", "1"]).await;
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("drs-exporter.yml"), &simulator.config).unwrap();
    let mut command = crate::support::exporter::program();
    let ended = command.current_dir(&folder).args(["once", "--output", "drs.prom"]).output().await.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_good(&fs::read_to_string(folder.path().join("drs.prom")).unwrap());
}

#[tokio::test]
async fn a_file_stays_as_it_was_when_a_poll_fails() {
    let drs = Drs::answering(|ask| match &ask.job[..] {
        "broken" => failure(404, "DRS.M00202"),
        "gone" => failure(400, "DRS.M05004"),
        "garbage" => ResponseTemplate::new(200).set_body_string("<html>log in</html>"),
        _ => whole(ask, 1),
    })
    .await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("drs.prom");
    fs::write(&file, "# from before\nold 1\n").unwrap();
    for job in ["broken", "gone", "garbage"] {
        let jobs = ["{id: good, types: [table]}", &format!("{{id: {job}, types: [table]}}")];
        let told = into_file(&drs.config(&jobs), &file).await;
        assert_eq!(told.code, Some(1), "{job}");
        let failed: Vec<&str> = told.err.lines().filter(|line| line.contains("a poll brought no")).collect();
        assert!(matches!(failed[..], [line] if line.contains(&format!("job={job}"))), "{}", told.err);
        assert_eq!(fs::read_to_string(&file).unwrap(), "# from before\nold 1\n");
        assert_eq!(files(&folder), ["drs.prom"]);

        let told = run(&drs.config(&jobs), &["once"]).await;
        assert_eq!(told.code, Some(1), "{job}");
        assert_good(&told.out);
        let samples = Samples::parse(&told.out);
        assert_eq!(samples.of("drs_poll_success", "good", "table"), Some(1.0));
        assert_eq!(samples.of("drs_poll_success", job, "table"), Some(0.0));
    }
}

#[tokio::test]
async fn a_cloud_that_has_nothing_but_faults_leaves_the_file_as_it_was() {
    let simulator = Simulator::start(&["--jobs", "1", "--fault-percent", "100"]).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("drs.prom");
    fs::write(&file, "old 1\n").unwrap();
    let told = into_file(&simulator.config, &file).await;
    assert_eq!((told.code, &fs::read_to_string(&file).unwrap()[..]), (Some(1), "old 1\n"));
    assert!(told.err.contains("DRS.M00004"), "{}", told.err);
}

#[tokio::test]
async fn a_job_as_a_whole_that_cannot_be_asked_for_is_a_failure() {
    let drs = Drs::answering_all(|ask| whole(ask, 1), |_| failure(403, "DRS.M00102")).await;
    let config = drs.config(&["{id: j, types: [table]}"]).replace("    job_view: false\n", "");
    let told = run(&config, &["once"]).await;
    assert_eq!(told.code, Some(1));
    assert!(told.err.contains("view of the job is not to be had"), "{}", told.err);
}

#[tokio::test]
async fn a_type_that_the_job_does_not_have_is_no_failure() {
    let drs = Drs::answering(|ask| match &ask.object_type[..] {
        "view" => failure(400, "DRS.M00304"),
        _ => whole(ask, 1),
    })
    .await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("drs.prom");
    let told = into_file(&drs.config(&["{id: j, types: [table, view]}"]), &file).await;
    assert_eq!(told.code, Some(0), "{}", told.err);
    let samples = Samples::parse(&fs::read_to_string(&file).unwrap());
    assert_eq!((samples.polls("j", "view", "unsupported"), samples.polls("j", "table", "success")), (1.0, 1.0));
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_named() {
    let simulator = Simulator::start(&["--jobs", "1"]).await;
    let folder = TempDir::new().unwrap();
    let taken = folder.path().join("folder");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("inside"), "").unwrap();
    // Nobody can write there, root neither.
    for file in [folder.path().join("nowhere/drs.prom"), "/proc/drs.prom".into(), taken] {
        let told = into_file(&simulator.config, &file).await;
        assert_eq!((told.code, &told.out[..]), (Some(1), ""));
        assert!(told.err.contains(&format!("cannot write {}: ", file.display())), "{}", told.err);
    }
    assert_eq!(files(&folder), ["folder"], "nothing is left behind");
}

#[tokio::test]
async fn a_terminal_shows_how_far_each_account_is() {
    let simulator = Simulator::start(&["--jobs", "2", "--latency", "20ms"]).await;
    let drs = Drs::answering(|_| failure(404, "DRS.M00202")).await;
    let faulty = drs.config(&["{id: broken, types: [table]}"]).replace("accounts:\n", "");
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("a.yml");
    fs::write(&config, format!("{}{faulty}", simulator.config)).unwrap();
    let output = folder.path().join("drs.prom");
    let program = env!("CARGO_BIN_EXE_drs-exporter");
    let line =
        format!("stty cols 120; {program} --config.file {} once --output {}", config.display(), output.display());
    let ended =
        tools::run("bsdutils", "script", &["-qec", &format!("TERM=xterm; export TERM; {line}"), "/dev/null"], b"");
    let shown = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{shown:?}");
    // Nine types and the job itself, of two jobs.
    for part in ["simulated ", " 20/20 ", "test ", " 2/2 ", "\u{1b}["] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // A line of the log stands alone, however often the bars below it are drawn anew.
    let logged: Vec<&str> = shown.split(['\n', '\r']).filter(|line| line.contains("level=")).collect();
    let [line] = logged[..] else { panic!("{logged:?}") };
    assert!(line.contains("ts=") && line.ends_with("`project_id`\"") && !line.contains(['█', '░']), "{line}");
}

#[tokio::test]
async fn what_is_no_terminal_is_spared_the_bars() {
    let simulator = Simulator::start(&["--jobs", "2"]).await;
    let told = run(&simulator.config, &["once", "--log.level=debug"]).await;
    assert_eq!(told.code, Some(0));
    assert!(told.err.contains("level=debug"), "{}", told.err);
    for stream in [told.out, told.err] {
        assert!(!stream.contains([ESCAPE, '\r']), "{stream:?}");
    }
}
