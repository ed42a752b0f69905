//! The state file of an exporter that is killed again and again while it writes: it always loads, to the last or the one before.
//! `KILLS=100` kills it a hundred times; without that it is killed some times only.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::drs::{Drs, page, row};
use crate::support::eventually;
use crate::support::exporter::Exporter;

/// How many objects are remembered, so that it takes a while to write them.
const OBJECTS: u64 = 120_000;

/// How often it is killed where nothing else is said.
const KILLS: u64 = 12;

/// What the names of files begin with that are not in their place yet.
const HALF: &str = ".drs-exporter-";

/// The sizes of the files that are not in their place yet, by name.
fn halves(folder: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(folder).unwrap().filter_map(|entry| {
        let entry = entry.unwrap();
        // One that comes into its place meanwhile is none.
        Some((entry.file_name().into_string().unwrap(), entry.metadata().ok()?.len()))
    });
    entries.filter(|(name, _)| name.starts_with(HALF)).collect()
}

/// Whether these are bytes that were written to their end.
fn is_whole(state: &[u8]) -> bool {
    state.split_last_chunk().is_some_and(|(summed, sum)| crc32fast::hash(summed) == u32::from_le_bytes(*sum))
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_it_is_killed_its_state_loads() {
    let kills = env::var("KILLS").map_or(KILLS, |number| number.parse().unwrap());
    let drs = Drs::answering(|ask| match &ask.job[..] {
        "big" => {
            let end = (ask.offset + ask.limit).min(OBJECTS);
            let rows: Vec<Value> = (ask.offset..end).map(|number| row(&format!("t{number}"), 50)).collect();
            page(OBJECTS, &rows)
        }
        // It moves with each look, so that there is something to save.
        _ => page(1, &[row("moves", ask.nth as u64 % 100)]),
    })
    .await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("state");
    let config = |job: &str| {
        let config = drs.config(&[job]).replace("timeout: 2s", "timeout: 1m");
        format!("{config}state_file: {}\n", file.display())
    };
    let (big, small) = (config("{id: big, types: [table], interval: 20s}"), config("{id: small, types: [table]}"));

    // What has stood since before the first kill has to be told so after the last one.
    let mut exporter = Exporter::start(&big).await;
    let began = "drs_last_change_timestamp_seconds";
    let stood = exporter.polled("big", "table", "success", 1.0).await.of(began, "big", "table").unwrap();
    exporter.signal("TERM");
    assert_eq!(exporter.ended().await.code(), Some(0));
    let mut known = fs::read(&file).unwrap();
    assert!(is_whole(&known) && known.len() as u64 > OBJECTS * 10);

    // By their checksums.
    let mut seen = BTreeSet::from([known.last_chunk::<4>().copied()]);
    let (mut torn, mut kept, mut replaced) = (0, 0, 0);
    for kill in 0..kills {
        let before = halves(folder.path());
        let exporter = Exporter::start(&small).await;
        // It read what the kill before had left, whole, before it listened.
        let log = exporter.log();
        assert!(log.contains("message=\"state read\"") && !log.contains("set aside"), "kill {kill}: {log}");
        match kill % 4 {
            // At any time: it saves at its start, and at the first news.
            0 => tokio::time::sleep(Duration::from_millis(fastrand::u64(0..1500))).await,
            // At the save of its end.
            1 => {
                exporter.polled("small", "table", "success", 1.0).await;
                exporter.signal("TERM");
                tokio::time::sleep(Duration::from_micros(fastrand::u64(0..300_000))).await;
            }
            // While a file is not in its place.
            _ => {
                let deadline = Instant::now() + Duration::from_secs(5);
                let begun = || halves(folder.path()).iter().any(|half| !before.iter().any(|(name, _)| *name == half.0));
                while !begun() && Instant::now() < deadline {
                    tokio::task::yield_now().await;
                }
                tokio::time::sleep(Duration::from_micros(fastrand::u64(0..100_000))).await;
            }
        }
        exporter.kill().await;
        let left = halves(folder.path()).into_iter().filter(|half| !before.iter().any(|(name, _)| *name == half.0));
        let left: Vec<(String, u64)> = left.collect();
        assert!(left.len() <= 1, "kill {kill} left {left:?}");
        torn += u64::from(left.iter().any(|(name, _)| !is_whole(&fs::read(folder.path().join(name)).unwrap())));
        let state = fs::read(&file).unwrap();
        assert!(is_whole(&state), "kill {kill}: the state is torn");
        if state == known {
            kept += 1;
        } else {
            replaced += 1;
            assert!(seen.insert(state.last_chunk::<4>().copied()), "kill {kill} brought an older state back");
        }
        known = state;
    }
    #[expect(clippy::print_stdout, reason = "whoever asks for many kills wants to see what they hit")]
    {
        println!(
            "{kills} kills: {torn} while a file was half written; the state was the one before {kept} times, a new one {replaced} times"
        );
    }
    assert!(torn * 10 >= kills, "{torn} of {kills} kills came while a file was half written, which proves too little");

    // What was left is removed when it is so old that nobody can be at it.
    for (name, _) in halves(folder.path()) {
        let left = fs::File::options().write(true).open(folder.path().join(name)).unwrap();
        left.set_modified(SystemTime::now() - Duration::from_secs(61 * 60)).unwrap();
    }
    let exporter = Exporter::start(&big).await;
    let samples = exporter.polled("big", "table", "success", 1.0).await;
    assert_eq!(samples.of(began, "big", "table"), Some(stood));
    let names = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    eventually("what was left to be removed", || async { names().eq(["state".to_owned()]).then_some(()) }).await;
}
