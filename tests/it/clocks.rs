//! The clock of the host is set while the exporter runs: times that are told follow it, and nothing else does.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::drs::{Drs, whole};
use crate::support::exporter::{Exporter, program};
use crate::support::samples::Samples;

const DAY: f64 = 24.0 * 60.0 * 60.0;

/// The library that gives a process another clock.
fn faketime() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    folders
        .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
        .expect("no libfaketimeMT.so.1 below /usr/lib; install it: apt-get install faketime")
}

fn of(samples: &Samples, name: &str) -> f64 {
    samples.of(name, "j", "table").unwrap_or_else(|| panic!("no {name}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_stalls_nothing_and_holds_nothing_up() {
    let drs = Drs::answering(|ask| whole(ask, 2)).await;
    let folder = TempDir::new().unwrap();
    let (file, clock, state) =
        (folder.path().join("drs-exporter.yml"), folder.path().join("clock"), folder.path().join("state"));
    let config = drs
        .config(&["{id: j, types: [table], interval: 3s}"])
        .replace("interval: 1s,", "interval: 3s, stall_after: 1h,");
    let config = format!("{config}state_file: {}\n", state.display());
    fs::write(&file, &config).unwrap();
    let set = |to: &str| {
        // Whole at once: it may be read at any time.
        fs::write(folder.path().join("new"), to).unwrap();
        fs::rename(folder.path().join("new"), &clock).unwrap();
    };
    set("+0");
    let mut command = program();
    command.arg("--config.file").arg(&file).args(["--web.listen-address=127.0.0.1:0", "--log.level=debug"]).envs([
        ("LD_PRELOAD", faketime().into_os_string()),
        ("FAKETIME_TIMESTAMP_FILE", clock.clone().into_os_string()),
        ("FAKETIME_NO_CACHE", "1".into()),
        // Nobody sets the clock that intervals are measured by.
        ("DONT_FAKE_MONOTONIC", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ]);
    let mut exporter = Exporter::run(command, TempDir::new().unwrap()).await;
    let first = exporter.polled("j", "table", "success", 1.0).await;
    let (looked, began) =
        (of(&first, "drs_poll_last_success_timestamp_seconds"), of(&first, "drs_last_change_timestamp_seconds"));
    for (to, apart) in [("+1d", DAY), ("-1d", -DAY), ("+0", 0.0)] {
        set(to);
        let now = exporter.samples().await.polls("j", "table", "success");
        let samples = exporter.polled("j", "table", "success", now + 2.0).await;
        let told = of(&samples, "drs_poll_last_success_timestamp_seconds") - looked - apart;
        assert!((0.0..3600.0).contains(&told), "{to}: {told} s after the first look");
        let moved = of(&samples, "drs_last_change_timestamp_seconds") - began - apart;
        assert!(moved.abs() <= 5.0, "{to}: {moved} s after it was");
        let state = |state| samples.labelled("drs_objects_by_state", "j", "table", "state", state);
        assert_eq!((state("in_progress"), state("stalled")), (Some(2.0), Some(0.0)), "{to}");
        assert_eq!((samples.objects("j", "table"), of(&samples, "drs_polls_skipped_total")), (2, 0.0), "{to}");
        assert_eq!(exporter.get("/-/ready").await.status(), 200, "{to}");
    }
    exporter.signal("TERM");
    assert_eq!(exporter.ended().await.code(), Some(0));

    let exporter = Exporter::start(&config).await;
    exporter.polled("j", "table", "success", 1.0).await;
    assert!(exporter.log().contains("message=\"state read\""), "{}", exporter.log());
    assert!(!exporter.log().contains("level=warn"), "{}", exporter.log());
}
