//! From a file and the environment to the raw configuration. What cannot be read is told, taken out, and the rest read on.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, mem};

use figment::error::{Actual, Kind};
use figment::providers::{Env, Format, Toml, Yaml};
use figment::value::{Dict, Empty, Value};

use super::problem::{KeyPath, Problems};
use super::raw::File;
use super::tree::Tree;

/// What the variables that override the file begin with.
const PREFIX: &str = "DRS_EXPORTER_";

/// Most problems that are looked for in the form of the file; one that has more is told the first ones.
const MAX_PROBLEMS: usize = 100;

/// Reads the configuration; nothing where the file cannot be read at all.
pub(super) fn read(path: &Path, problems: &mut Problems) -> Option<File> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.add(
                &KeyPath::default(),
                format!("cannot be read: {error}; name the file with --config.file, or try `drs-exporter demo`"),
            );
            return None;
        }
    };
    understand(path, &text, problems)
}

/// Reads the text of a configuration, which is YAML or TOML by the ending of its file; nothing where it is neither.
pub(super) fn understand(path: &Path, text: &str, problems: &mut Problems) -> Option<File> {
    match parse(path, text) {
        Ok(values) => extract(values, problems),
        Err(error) => {
            problems.add(&KeyPath::default(), error);
            None
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<Value, String> {
    let Tree(values) = match path.extension().and_then(|ending| ending.to_str()) {
        Some("yml" | "yaml") => Yaml::from_str(text).map_err(|error| error.to_string())?,
        // The error's own text repeats the line, which may hold a secret.
        Some("toml") => Toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            format!("{} at line {}", error.message().trim(), before.matches('\n').count() + 1)
        })?,
        _ => return Err("expected a file that ends in .yml, .yaml or .toml".to_owned()),
    };
    match values {
        Value::Dict(..) => Ok(values),
        // A file without a word in it, or with nothing but comments.
        Value::Empty(..) => Ok(Value::from(Dict::new())),
        _ => Err("expected a map of keys, such as `accounts`".to_owned()),
    }
}

fn extract(mut values: Value, problems: &mut Problems) -> Option<File> {
    let mut overrides = override_from_environment(&mut values, problems);
    for _ in 0..MAX_PROBLEMS {
        let error = match values.deserialize::<File>() {
            Ok(file) => return Some(file),
            Err(error) => error,
        };
        let path = KeyPath::from_parts(error.path);
        // A variable is text; where text does not fit, it is read as a number, a list or a map.
        if let Some(text) = overrides.remove(path.parts())
            && let Some(place) = find(&mut values, path.parts())
            && let Ok(value) = text.parse()
        {
            *place = value;
            continue;
        }
        let unknown_key = matches!(error.kind, Kind::UnknownField(..));
        let found = find(&mut values, path.parts()).map(|value| value.to_actual());
        if unknown_key && path.may_be_secret() && !problems.is_overridden(&path) {
            // What stands in the place of a key may be the secret itself, in braces that should not be there.
            problems.add_nameless(&path.parent(), format!("has an {}", explain(error.kind, None)));
        } else {
            problems.add(&path, explain(error.kind, found.filter(|_| !path.may_be_secret())));
        }
        let removed =
            if unknown_key { remove_key(&mut values, path.parts()) } else { empty(&mut values, path.parts()) };
        if !removed {
            break;
        }
    }
    None
}

/// Puts the variables' values in their places, and says what is where.
fn override_from_environment(values: &mut Value, problems: &mut Problems) -> BTreeMap<Vec<String>, String> {
    let mut overrides = BTreeMap::new();
    // In their order by name, so that of two that contradict each other always the same one counts.
    let variables: BTreeMap<String, String> =
        Env::prefixed(PREFIX).iter().map(|(key, text)| (key.as_str().to_lowercase(), text)).collect();
    for (key, text) in variables.into_iter().filter(|(key, _)| !is_service_link(key)) {
        let variable = format!("{PREFIX}{}", key.to_uppercase());
        let path = KeyPath::from_parts(key.split("__").map(str::to_owned));
        problems.overridden(path.clone(), variable);
        match put(values, path.parts(), &text) {
            Ok(()) => drop(overrides.insert(path.parts().to_vec(), text)),
            Err(message) => problems.add(&path, message),
        }
    }
    overrides
}

/// Whether Kubernetes made the variable for a service that is called `drs-exporter`; it does so in every pod beside it.
fn is_service_link(key: &str) -> bool {
    key == "port" || key.starts_with("port_") || key == "service_host" || key.starts_with("service_port")
}

fn put(values: &mut Value, path: &[String], text: &str) -> Result<(), &'static str> {
    let Some((first, rest)) = path.split_first() else {
        *values = Value::from(text);
        return Ok(());
    };
    if let Value::Array(_, items) = values {
        let item = first.parse().ok().and_then(|index: usize| items.get_mut(index));
        return put(item.ok_or("there is no such item in the list of the file")?, rest, text);
    }
    if !matches!(values, Value::Dict(..)) {
        *values = Value::from(Dict::new());
    }
    match values {
        Value::Dict(_, keys) => put(keys.entry(first.clone()).or_insert(Value::from(Dict::new())), rest, text),
        _ => Ok(()),
    }
}

fn find<'v>(values: &'v mut Value, path: &[String]) -> Option<&'v mut Value> {
    path.iter().try_fold(values, |values, part| match values {
        Value::Dict(_, keys) => keys.get_mut(part),
        Value::Array(_, items) => items.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Takes a key out; says whether it was there.
fn remove_key(values: &mut Value, path: &[String]) -> bool {
    let Some((key, parents)) = path.split_last() else { return false };
    match find(values, parents) {
        Some(Value::Dict(_, keys)) => keys.remove(key).is_some(),
        _ => false,
    }
}

/// Empties what stands at the path, so that what stands beside it keeps its place; says whether something stood there.
fn empty(values: &mut Value, path: &[String]) -> bool {
    let nothing = Value::from(Empty::None);
    !path.is_empty() && find(values, path).is_some_and(|place| mem::replace(place, nothing.clone()) != nothing)
}

/// What is wrong, and what was found unless it may be a secret.
fn explain(kind: Kind, found: Option<Actual>) -> String {
    let found = found.map(|actual| format!("; found {actual}")).unwrap_or_default();
    match kind {
        Kind::UnknownField(_, expected) => format!("unknown key; expected one of {}", listed(expected)),
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => format!("expected {expected}{found}"),
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => format!("expected a smaller number{found}"),
        // Values that have a grammar of their own say what they expect.
        Kind::Message(message) => format!("{message}{found}"),
        other => other.to_string(),
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
