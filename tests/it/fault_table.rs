//! `tests/FAULTS.md` names tests that exist, and every word by which the source tells faults apart.

use std::collections::BTreeSet;
use std::fs;

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR")))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between backquotes.
fn quoted(table: &str) -> BTreeSet<&str> {
    table.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// The short words that stand between quotes.
fn words(source: &str) -> impl Iterator<Item = &str> {
    let is_word =
        |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b".:_".contains(&b));
    source.lines().flat_map(|line| line.split('"').skip(1).step_by(2)).filter(is_word)
}

/// The source of the function that begins like this: up to a brace that stands as far out.
fn function<'a>(source: &'a str, begin: &str) -> &'a str {
    let place = source.find(begin).unwrap_or_else(|| panic!("no {begin}"));
    let blanks = begin.len() - begin.trim_start().len();
    source[place..].split_once(&format!("\n{}}}\n", " ".repeat(blanks))).expect("the end of a function").0
}

#[test]
fn every_test_of_the_table_exists() {
    let table = read("tests/FAULTS.md");
    let named: Vec<(&str, &str)> = quoted(&table).into_iter().filter_map(|word| word.split_once("::")).collect();
    assert!(named.len() > 50, "{} tests", named.len());
    for (module, test) in named {
        let source = read(&format!("tests/it/{module}.rs"));
        let place = source.find(&format!("fn {test}()")).unwrap_or_else(|| panic!("{module} has no {test}"));
        let before = source[..place].trim_end().trim_end_matches("async").trim_end();
        assert!(
            before.ends_with(']') && before.lines().next_back().unwrap().contains("test"),
            "{module}::{test} is no test"
        );
    }
}

#[test]
fn every_line_of_a_fault_names_a_test() {
    let table = read("tests/FAULTS.md");
    for line in table.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| test |")) {
        let last = line.trim_end_matches(" |").rsplit("| ").next().unwrap();
        assert!(last.contains("::") || last.starts_with("the same"), "{line}");
    }
}

#[test]
fn every_code_and_word_of_the_source_has_a_line() {
    let table = read("tests/FAULTS.md");
    let told = quoted(&table);
    let (errors, exchange, polls) =
        (read("src/drs/error.rs"), read("src/cloud/exchange.rs"), read("src/model/poll.rs"));
    let rules = errors.split_once("#[cfg(test)]").unwrap().0;
    // That one reads words of time.
    let rules = rules.replace(function(rules, "pub(super) fn quota_window("), "");
    let codes: BTreeSet<&str> = words(&rules).collect();
    let kinds: BTreeSet<&str> = words(function(&exchange, "    pub const fn as_str(self)")).collect();
    let outcomes: BTreeSet<&str> =
        words(function(polls.split_once("impl Outcome {").unwrap().1, "    pub const fn as_str(self)")).collect();
    assert!(codes.len() >= 20 && kinds.len() >= 6 && outcomes.len() >= 8, "{codes:?} {kinds:?} {outcomes:?}");
    let untold: Vec<&str> =
        codes.into_iter().chain(kinds).chain(outcomes).filter(|word| !told.contains(word)).collect();
    assert_eq!(untold, [""; 0], "say in tests/FAULTS.md what the user sees of these");
}
