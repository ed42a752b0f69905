//! Who may know whom: the table of the map in `src/lib.rs`, enforced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// For each module, the modules of the crate that it may name.
const MAY_KNOW: [(&str, &[&str]); 14] = [
    ("model", &[]),
    ("cloud", &["model"]),
    ("auth", &["cloud"]),
    ("drs", &["auth", "cloud", "model"]),
    ("poller", &["drs", "model"]),
    ("store", &[]),
    ("exposition", &["store", "model"]),
    ("board", &["store", "model"]),
    ("http", &["board", "exposition", "model"]),
    ("config", &["auth", "cloud", "drs", "exposition", "model", "poller"]),
    ("simulator", &[]),
    ("telemetry", &[]),
    ("app", &["auth", "board", "cloud", "config", "drs", "exposition", "http", "model", "poller", "simulator"]),
    ("cli", &["app", "http", "simulator", "telemetry"]),
];

/// For each crate that is at home in some modules only, those modules.
const AT_HOME: [(&str, &[&str]); 19] = [
    ("axum", &["http", "simulator"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("reqwest", &["auth", "cloud", "drs"]),
    ("rustls", &["http"]),
    ("tokio_rustls", &["http"]),
    ("x509_cert", &["http"]),
    ("bcrypt", &["http"]),
    ("figment", &["config", "http"]),
    ("clap", &["cli", "telemetry"]),
    ("anyhow", &["app", "cli"]),
    ("procfs", &["exposition"]),
    ("indicatif", &["app", "cli", "telemetry"]),
    ("regex", &["poller"]),
    ("configparser", &["auth"]),
    ("sd_notify", &["app"]),
    ("tempfile", &["app"]),
    ("askama", &["http"]),
    ("schemars", &["board"]),
];

#[test]
fn modules_know_only_whom_they_may() {
    let may_know: BTreeMap<&str, &[&str]> = MAY_KNOW.into();
    let modules: BTreeSet<String> = sources().iter().map(|file| module(file)).collect();
    let expected: BTreeSet<String> =
        MAY_KNOW.iter().map(|(module, _)| (*module).to_owned()).chain(["lib".into(), "main".into()]).collect();
    assert_eq!(modules, expected, "a module came or went: say whom it may know");
    let mut wrong = Vec::new();
    for file in sources() {
        let module = module(&file);
        let known = names_after(&file, "crate");
        let allowed = may_know.get(&module[..]).copied().unwrap_or_default();
        let strangers = known.iter().filter(|known| **known != module && !allowed.contains(&&known[..]));
        wrong.extend(strangers.map(|stranger| format!("{} knows {stranger}", file.display())));
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn the_page_has_the_same_map() {
    let page = include_str!("../../ARCHITECTURE.md");
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<String>>();
    let (_, map) = page.split_once("## The map").unwrap();
    let (map, _) = map.split_once("\n## ").unwrap();
    let mut told = BTreeMap::new();
    for row in map.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').collect();
        told.extend(words(cells[1]).into_iter().map(|module| (module, cells[3])));
    }
    assert_eq!(told.keys().map(String::as_str).collect::<BTreeSet<_>>(), MAY_KNOW.map(|(module, _)| module).into());
    // Of those that put the others together the page does not list whom they know.
    for (module, allowed) in MAY_KNOW.iter().filter(|(module, _)| !["app", "cli", "config"].contains(module)) {
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(words(told[*module]), allowed, "{module}");
        assert_eq!(told[*module].contains("nobody"), allowed.is_empty(), "{module}");
    }
}

#[test]
fn no_module_goes_round_by_its_parent() {
    for file in sources() {
        let above = names_after(&file, "super");
        let top = file.ends_with("mod.rs") || file.parent().unwrap().ends_with("src");
        let round = if top { !above.is_empty() } else { above.contains("super") };
        assert!(!round, "{} names {above:?}", file.display());
    }
}

#[test]
fn every_permission_is_used() {
    for (module, allowed) in MAY_KNOW {
        let files = sources().into_iter().filter(|file| self::module(file) == module);
        let known: BTreeSet<String> = files.flat_map(|file| names_after(&file, "crate")).collect();
        for name in allowed {
            assert!(known.contains(*name), "{module} no longer knows {name}: take it out of the table");
        }
    }
}

#[test]
fn libraries_stay_where_they_are_at_home() {
    let mut wrong = Vec::new();
    for file in sources() {
        let module = module(&file);
        let words = words(&file);
        let strangers = AT_HOME.iter().filter(|(name, homes)| words.contains(*name) && !homes.contains(&&module[..]));
        wrong.extend(strangers.map(|(name, _)| format!("{} uses {name}", file.display())));
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_file_says_what_it_owns() {
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//! "), "{} does not open with //!", file.display());
    }
}

fn sources() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// The top-level module that a file belongs to.
fn module(file: &Path) -> String {
    let inside = file.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn tokens(file: &Path) -> Vec<TokenTree> {
    let text = fs::read_to_string(file).unwrap();
    let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut flat = Vec::new();
    flatten(stream, &mut flat);
    flat
}

/// All tokens in a row; a group stands before what is in it.
fn flatten(stream: TokenStream, flat: &mut Vec<TokenTree>) {
    for token in stream {
        flat.push(token.clone());
        if let TokenTree::Group(group) = token {
            flatten(group.stream(), flat);
        }
    }
}

fn words(file: &Path) -> BTreeSet<String> {
    tokens(file).into_iter().filter_map(|token| word(&token)).collect()
}

fn word(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(word) => Some(word.to_string()),
        _ => None,
    }
}

/// The names that stand after `first::`, also those in braces, wherever in the file.
fn names_after(file: &Path, first: &str) -> BTreeSet<String> {
    let tokens = tokens(file);
    let mut names = BTreeSet::new();
    for window in tokens.windows(4) {
        let path =
            word(&window[0]).as_deref() == Some(first) && window[1].to_string() == ":" && window[2].to_string() == ":";
        match &window[3] {
            TokenTree::Ident(name) if path => drop(names.insert(name.to_string())),
            TokenTree::Group(group) if path && group.delimiter() == Delimiter::Brace => names.extend(items(group)),
            _ => {}
        }
    }
    names
}

/// The first word of each item of `{a, b::c, d::{e, f}}`.
fn items(group: &Group) -> Vec<String> {
    let mut items = Vec::new();
    let mut begins = true;
    for token in group.stream() {
        if begins {
            items.extend(word(&token));
        }
        begins = token.to_string() == ",";
    }
    items
}
