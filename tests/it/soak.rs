//! The soak runs, and tells of what does not hold. How the exporter is after thousands of polls is what a whole run is for.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use tempfile::TempDir;
use tokio::process::Command;

use crate::support::PATIENCE;

async fn soak(exporter: &Path) -> Output {
    let mut soak = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/soak"));
    soak.args(["--quick", "--exporter"]).arg(exporter).stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(10 * PATIENCE, soak.output()).await.expect("the soak to end").unwrap()
}

/// The rows of the table: what, how it is, what is asked, whether that is met.
fn rows(output: &Output) -> Vec<Vec<String>> {
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    let table =
        out.lines().skip_while(|line| !line.starts_with("|---")).skip(1).take_while(|line| line.starts_with('|'));
    table.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[tokio::test]
async fn a_few_hundred_polls_and_scrapes_leave_nothing_to_say() {
    let output = soak(Path::new(env!("CARGO_BIN_EXE_drs-exporter"))).await;
    assert!(output.status.success(), "{output:?}");
    let rows = rows(&output);
    let of = |what: &str| rows.iter().find(|row| row[0] == what).unwrap_or_else(|| panic!("{what} is not in {rows:?}"));
    for (what, least) in [("polls", 300), ("scrapes", 300), ("requests to DRS that failed", 1)] {
        assert!(of(what)[1].replace(',', "").parse::<u32>().unwrap() >= least, "{rows:?}");
    }
    for none in ["scrapes that went wrong", "panics", "exit code after SIGTERM"] {
        assert_eq!(of(none)[1..], ["0", "0", "yes"], "{none}");
    }
    for long in ["resident memory, early and late", "open files", "threads"] {
        assert_eq!(of(long)[3], "too short to say", "{long}");
    }
}

#[tokio::test]
async fn an_exporter_that_panics_or_ends_badly_is_told_of() {
    let folder = TempDir::new().unwrap();
    let bad = folder.path().join("bad");
    let script = format!(
        "#!/bin/sh\necho \"thread 'main' panicked at src/main.rs\" >&2\n{} \"$@\" & child=$!\n\
         trap 'kill $child; wait $child; exit 3' TERM\nwait $child\n",
        env!("CARGO_BIN_EXE_drs-exporter")
    );
    fs::write(&bad, script).unwrap();
    fs::set_permissions(&bad, Permissions::from_mode(0o755)).unwrap();
    let output = soak(&bad).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let rows = rows(&output);
    let unmet: Vec<&[String]> = rows.iter().filter(|row| row[3] == "**no**").map(|row| &row[..2]).collect();
    assert_eq!(unmet, [["panics", "1"], ["exit code after SIGTERM", "3"]], "{rows:?}");
}

#[tokio::test]
async fn where_there_is_no_exporter_it_says_so_and_fails() {
    let output = soak(Path::new("/nowhere/drs-exporter")).await;
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]));
    assert!(String::from_utf8(output.stderr).unwrap().contains("/nowhere/drs-exporter"));
}
