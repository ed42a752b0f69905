//! The comparison with other programs runs and tells of each of them. How fast anything is, is not tested.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// For all programs of the comparison, one after the other, on a machine with other things to do.
const LONG: Duration = Duration::from_secs(300);

#[tokio::test]
async fn the_comparison_of_a_thousand_objects_gives_its_tables() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_BIN_EXE_drs-exporter")).parent().unwrap();
    if !folder.join("examples/minimal").is_file() {
        // Not all targets were asked for.
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--example", "minimal"]).current_dir(root);
        assert!(cargo.status().await.unwrap().success());
    }
    let mut compare = Command::new(root.join("benches/compare"));
    compare.args(["--quick", "--built"]).arg(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LONG, compare.output()).await.expect("the comparison to end").unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{out}{err}");

    let tables: Vec<&str> = out.trim().split("\n\n").collect();
    let [machine, figures, asked, ..] = tables[..] else { panic!("{out}") };
    assert!(machine.contains(" cores of "), "{machine}");
    let rows = |table: &str| -> Vec<Vec<String>> {
        let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        table.lines().map(cells).collect()
    };
    let [heads, _, thousand] = &rows(figures)[..] else { panic!("{figures}") };
    assert_eq!((&thousand[0][..], thousand.len()), ("1,000", heads.len()));
    for (head, cell) in heads.iter().zip(thousand) {
        let number = cell.split([' ', ',']).next().unwrap().parse::<f64>();
        assert!(number.is_ok_and(|number| number > 0.0), "{head}: {cell}");
    }
    let asked = rows(asked);
    assert!(asked.len() > 8, "{asked:?}");
    for row in &asked[2..] {
        assert!(row[1].starts_with(|first: char| first.is_ascii_digit()) && !row[2].is_empty(), "{row:?}");
        assert_eq!(row[3], "", "nothing is asked of so few");
    }
    let (head, _) = figures.split_once('\n').unwrap();
    assert!(include_str!("../../README.md").contains(head), "the README shows this table with other heads");
}

#[tokio::test]
async fn where_a_program_is_missing_it_says_so_and_fails() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compare = Command::new(root.join("benches/compare"));
    compare.args(["--quick", "--built", "/nowhere"]).stdin(Stdio::null());
    let output = compare.output().await.unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]));
    assert!(String::from_utf8(output.stderr).unwrap().contains("/nowhere/drs-exporter"));
}
