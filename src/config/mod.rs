//! The configuration: read from a file and the environment, checked whole, and every problem told at once.
//!
//! Reading order: `raw` (what may be written), `resolve` (what it means), `read` (from text to `raw`, by way of a `tree`), [`Config`].

mod problem;
mod raw;
mod read;
mod resolve;
mod tree;

pub use problem::{Problem, Problems};

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::{JobId, ObjectType, Shard, Shown};
use crate::poller::Discovery;
use crate::{drs, exposition, poller};

/// What the exporter does, checked and complete.
#[derive(Clone, Debug)]
pub struct Config {
    /// The accounts whose jobs are followed.
    pub accounts: Vec<Account>,
    /// How they are followed.
    pub poller: poller::Config,
    /// How the metrics look.
    pub exposition: exposition::Config,
    /// Where what is remembered of the jobs outlives the process, if it does.
    pub state_file: Option<PathBuf>,
    /// Which of several exporters this is. The accounts have only its part of the named jobs and of the limits.
    pub shard: Shard,
}

/// An account and the jobs in it that are followed.
#[derive(Clone, Debug)]
pub struct Account {
    /// How to reach it.
    pub drs: drs::Config,
    /// Whether the cloud is asked for its own view of each job.
    pub job_view: bool,
    /// The jobs that are named.
    pub jobs: Vec<Job>,
    /// How others are found, if they are.
    pub discovery: Option<Discovery>,
}

/// A job that is followed.
#[derive(Clone, Debug)]
pub struct Job {
    /// The job.
    pub id: JobId,
    /// What it is called here, if not what the cloud calls it.
    pub name: Option<String>,
    /// The types of objects that are listed.
    pub types: Vec<ObjectType>,
    /// Time between two polls of one type.
    pub interval: Duration,
    /// Which objects have a series of their own.
    pub shown: Shown,
}

impl Config {
    /// Reads a file, YAML or TOML by its ending, and the variables that begin with `DRS_EXPORTER_`.
    ///
    /// # Errors
    /// Every problem that was found, in one go.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::of(path);
        let file = read::read(path, &mut problems);
        Self::checked(file, problems)
    }

    fn checked(file: Option<raw::File>, mut problems: Problems) -> Result<Self, Problems> {
        let config = file.and_then(|file| resolve::resolve(file, &mut problems));
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{Index, select, subsequence};
    use serde_json::{Value, json};

    use super::*;

    /// Stands where a secret may, and is to be repeated nowhere.
    const SECRET: &str = "hunter2";

    /// Keys from everywhere, and some from nowhere.
    const KEYS: [&str; 50] = [
        "accounts",
        "poll",
        "exposition",
        "state_file",
        "shard",
        "index",
        "ordinal",
        "total",
        "name",
        "region",
        "endpoint",
        "iam_endpoint",
        "project_id",
        "language",
        "offset_counts",
        "ca_file",
        "proxy_url",
        "auth",
        "limits",
        "job_view",
        "jobs",
        "discovery",
        "token",
        "password",
        "access_key",
        "agency",
        "user",
        "domain",
        "id",
        "secret",
        "file",
        "env",
        "job_types",
        "statuses",
        "include",
        "enterprise_project_id",
        "types",
        "objects",
        "interval",
        "requests_per_second",
        "burst",
        "timeout",
        "max_response_bytes",
        "page_size",
        "stale_after",
        "job_label",
        "max_label_bytes",
        "0",
        "-1",
        "a.b",
    ];

    /// Words that mean something somewhere, and some that mean nothing anywhere.
    const WORDS: [&str; 22] = [
        "",
        "0",
        "all",
        "none",
        "unfinished",
        "table",
        "view",
        "rows",
        "pages",
        "en-us",
        "migration",
        "ap-southeast-3",
        "https://drs.test",
        "http://u:pw@proxy",
        "30s",
        "0s",
        "999999999999y",
        "16MiB",
        "1e99EiB",
        "(",
        "~",
        "\u{fc}\0\n",
    ];

    const GOOD: &str = "
accounts:
  - name: prod
    endpoint: https://drs.test
    project_id: p
    auth: {token: hunter2}
    limits: {burst: 5, timeout: 10s}
    jobs: [{id: a, types: [table]}, {id: b, interval: 30s}]
    discovery: {include: '^prod-'}
  - name: other
    region: ap-southeast-3
    auth:
      password: {user: monitor, domain: acme, password: hunter2}
    jobs:
      - {id: c, objects: none}
  - name: third
    region: ap-southeast-3
    proxy_url: http://user:hunter2@proxy.test
    auth: {access_key: {id: hunter2, secret: hunter2, security_token: {file: /run/token}}}
    jobs: [{id: d}]
poll: {interval: 1m}
exposition: {job_label: drs_job}
shard: {index: 0, total: 2}
";

    fn load(yaml: &str) -> Result<Config, Problems> {
        let (path, mut problems) = (Path::new("test.yml"), Problems::of(Path::new("test.yml")));
        let file = read::understand(path, yaml, &mut problems);
        Config::checked(file, problems)
    }

    /// What is said of a configuration, whether it is good or not.
    fn said(loaded: &Result<Config, Problems>) -> String {
        match loaded {
            Ok(config) => format!("{config:?}"),
            Err(problems) => format!("{problems}{problems:?}"),
        }
    }

    /// The good configuration as a tree. JSON is YAML as well.
    fn good() -> Value {
        let job = |id: &str| json!({"id": id, "types": ["table"]});
        json!({
            "accounts": [{
                "name": "prod", "endpoint": "https://drs.test", "project_id": "p", "auth": {"token": SECRET},
                "limits": {"burst": 5}, "jobs": [job("a"), job("b")], "discovery": {"include": "^prod-"},
            }, {
                "name": "other", "region": "ap-southeast-3", "jobs": [job("c")],
                "auth": {"password": {"user": "monitor", "domain": "acme", "password": {"file": "/run/password"}}},
            }],
            "poll": {"interval": "1m"},
            "exposition": {"job_label": "drs_job"},
            "shard": {"index": 0, "total": 2},
        })
    }

    /// The places of everything in a tree.
    fn places(tree: &Value, place: &str, found: &mut Vec<String>) {
        found.push(place.to_owned());
        match tree {
            Value::Object(keys) => keys.iter().for_each(|(key, value)| places(value, &format!("{place}/{key}"), found)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{place}/{index}"), found));
            }
            _ => {}
        }
    }

    /// A tree of these keys and leaves.
    fn tree(
        key: impl Strategy<Value = String> + 'static,
        leaf: impl Strategy<Value = Value> + 'static,
    ) -> impl Strategy<Value = Value> {
        let key = key.boxed();
        leaf.prop_recursive(6, 48, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key.clone(), inner, 0..6)
                    .prop_map(|keys| Value::Object(keys.into_iter().collect())),
            ]
        })
    }

    fn any_tree() -> impl Strategy<Value = Value> {
        let word = select(&WORDS[..]).prop_map(Value::from);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-3_i64..100).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            word.clone(),
            word,
            ".{0,12}".prop_map(Value::from),
        ];
        tree(prop_oneof![9 => select(&KEYS[..]).prop_map(str::to_owned), 1 => ".{0,8}"], leaf)
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_a_configuration_or_told_of(tree in any_tree(), place in any::<Index>()) {
            // Both the tree itself and a good configuration in which it stands somewhere.
            let mut good = good();
            let mut all = Vec::new();
            places(&good, "", &mut all);
            *good.pointer_mut(place.get::<String>(&all)).unwrap() = tree.clone();
            for yaml in [tree.to_string(), good.to_string()] {
                match load(&yaml) {
                    Ok(config) => prop_assert!(!config.accounts.is_empty()),
                    Err(problems) => prop_assert!(!problems.is_empty(), "nothing is told of {yaml}"),
                }
            }
        }

        #[test]
        fn every_unknown_key_is_told_with_its_place(
            chosen in subsequence((0..15).collect::<Vec<usize>>(), 1..15), key in select(&["aaa", "zzz"][..]),
        ) {
            let mut tree = good();
            let mut all = Vec::new();
            places(&tree, "", &mut all);
            all.retain(|place| tree.pointer(place).unwrap().is_object());
            prop_assert_eq!(all.len(), 15);
            for place in chosen.iter().map(|index| &all[*index]) {
                tree.pointer_mut(place).unwrap()[key] = json!("of");
            }
            let told = load(&tree.to_string()).unwrap_err().to_string();
            for place in chosen.iter().map(|index| &all[*index]) {
                let parts = place.split('/').skip(1).map(str::to_owned);
                let path = problem::KeyPath::from_parts(parts);
                // What stands in the place of a key of `auth` may be a secret.
                let told_so = match path.may_be_secret() {
                    true => format!("test.yml: {path}: has an unknown key; expected one of "),
                    false => format!("test.yml: {}: unknown key; expected one of ", path.key(key)),
                };
                prop_assert!(told.contains(&told_so), "{told_so} is not in\n{told}");
            }
            prop_assert!(told.ends_with(&format!("{} in the configuration; nothing was started", match chosen.len() {
                1 => "1 problem".to_owned(),
                many => format!("{many} problems"),
            })), "{told}");
        }

        #[test]
        fn no_secret_is_repeated_wherever_it_stands_in_the_way_in(
            auth in tree(
                select(&["token", "password", "access_key", "agency", "id", "secret", "security_token", "tokn", SECRET][..])
                    .prop_map(str::to_owned),
                prop_oneof![4 => Just(Value::from(SECRET)), 1 => Just(Value::Null), 1 => Just(Value::from(5))],
            ),
            place in any::<Index>(),
        ) {
            let mut tree = good();
            let mut all = Vec::new();
            places(&tree, "", &mut all);
            // Names of users, accounts and files are no secrets.
            let is_secret = |place: &str| !["/user", "/domain", "/file"].iter().any(|name| place.ends_with(name));
            all.retain(|place| place.contains("/auth") && is_secret(place));
            *tree.pointer_mut(place.get::<String>(&all)).unwrap() = auth;
            let said = said(&load(&tree.to_string()));
            prop_assert!(!said.contains(SECRET), "{said}");
        }

        #[test]
        fn no_secret_is_repeated_where_the_file_is_broken(
            place in any::<Index>(),
            removed in 0_usize..4,
            written in prop_oneof!["[-\\]\\[{}:,\"'#&*!|>%@` \n\t]{0,3}", ".{0,2}"],
        ) {
            let (before, after) = GOOD.split_at(place.index(GOOD.len()));
            let after = after.get(removed..).unwrap_or_default();
            let said = said(&load(&format!("{before}{written}{after}")));
            prop_assert!(!said.contains(SECRET), "{said}");
        }
    }
}
