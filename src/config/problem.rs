//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where in the configuration: the keys from the top, with the places in lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyPath(Vec<String>);

impl KeyPath {
    pub(super) fn from_parts(parts: impl IntoIterator<Item = String>) -> Self {
        Self(parts.into_iter().collect())
    }

    pub(super) fn parts(&self) -> &[String] {
        &self.0
    }

    pub(super) fn key(&self, key: &str) -> Self {
        Self(self.0.iter().cloned().chain([key.to_owned()]).collect())
    }

    pub(super) fn parent(&self) -> Self {
        Self(self.0.split_last().map(|(_, parents)| parents.to_vec()).unwrap_or_default())
    }

    pub(super) fn item(&self, index: usize) -> Self {
        self.key(&index.to_string())
    }

    fn begins_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Whether values there may be secrets, and are not to be repeated in a message.
    pub(super) fn may_be_secret(&self) -> bool {
        // An address may have a password in it; that is what is wrong with it then.
        self.0.iter().any(|part| part == "auth" || part.ends_with("endpoint") || part == "proxy_url")
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            match part.parse::<usize>() {
                Ok(item) => write!(f, "[{item}]")?,
                Err(_) if index == 0 => f.write_str(part)?,
                Err(_) => write!(f, ".{part}")?,
            }
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, or the variable that overrode it.
    source: String,
    path: KeyPath,
    /// Where it is told to be: above the path where the last key of that may be a secret.
    shown: KeyPath,
    message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shown.parts() {
            [] => write!(f, "{}: {}", self.source, self.message),
            _ => write!(f, "{}: {}: {}", self.source, self.shown, self.message),
        }
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub struct Problems {
    file: PathBuf,
    /// The variables that took part, and what they set.
    overrides: Vec<(KeyPath, String)>,
    found: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.found {
            writeln!(f, "{problem}")?;
        }
        match self.found.len() {
            1 => write!(f, "1 problem in the configuration; nothing was started"),
            many => write!(f, "{many} problems in the configuration; nothing was started"),
        }
    }
}

impl Problems {
    /// Each of them, in words.
    pub fn words(&self) -> Vec<String> {
        self.found.iter().map(ToString::to_string).collect()
    }

    pub(super) fn of(file: &Path) -> Self {
        Self { file: file.to_owned(), overrides: Vec::new(), found: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether something was told of what stands at the path.
    pub(super) fn told(&self, path: &KeyPath) -> bool {
        self.found.iter().any(|problem| told_by(problem, path))
    }

    /// Remembers that a variable gave what stands at the path.
    pub(super) fn overridden(&mut self, path: KeyPath, variable: String) {
        self.overrides.push((path, variable));
    }

    /// Whether a variable gave what stands at the path.
    pub(super) fn is_overridden(&self, path: &KeyPath) -> bool {
        self.overriding(path).is_some()
    }

    fn overriding(&self, path: &KeyPath) -> Option<&String> {
        self.overrides.iter().find(|(overridden, _)| path.begins_with(overridden)).map(|(_, variable)| variable)
    }

    /// Adds a problem, unless one at the same place, or around it, was told already: a value that could not be read is not
    /// also missing.
    pub(super) fn add(&mut self, path: &KeyPath, message: impl Into<String>) {
        self.add_shown(path, path.clone(), message.into());
    }

    /// The same of a key that is not to be named, in the map at the path.
    pub(super) fn add_nameless(&mut self, path: &KeyPath, message: impl Into<String>) {
        self.add_shown(&path.key("…"), path.clone(), message.into());
    }

    fn add_shown(&mut self, path: &KeyPath, shown: KeyPath, message: String) {
        if !path.parts().is_empty() && self.told(path) {
            return;
        }
        let source = self.overriding(path).cloned().unwrap_or_else(|| self.file.display().to_string());
        self.found.push(Problem { source, path: path.clone(), shown, message });
    }
}

fn told_by(problem: &Problem, path: &KeyPath) -> bool {
    let around = !problem.path.parts().is_empty() && path.begins_with(&problem.path);
    around || problem.path != problem.shown && problem.shown == *path
}
