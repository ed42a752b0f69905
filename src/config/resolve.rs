//! From what is written to what is meant: defaults, what is required, what is possible, and what must not stand twice.

use std::collections::HashSet;
use std::env;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::{KeyPath, Problems};
use super::raw::{self, Choice, Map, Span, Text};
use super::{Account, Config, Job};
use crate::auth::{self, Secret};
use crate::drs::{self, Limits};
use crate::exposition;
use crate::model::{JobId, ObjectType};
use crate::poller;

/// Time between two polls where nothing else is said.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// What an interval may be.
const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 60 * 60);

/// What a request's timeout may be.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(10 * 60);

/// What the rate of requests may be, a second.
const RATES: RangeInclusive<f64> = 0.01..=10_000.0;

/// What the largest response may be, in bytes.
const RESPONSE_BYTES: RangeInclusive<u64> = 1024..=1024 * 1024 * 1024;

/// Longest limit for a label's value, in bytes.
const MAX_LABEL_BYTES: u32 = 1024 * 1024;

/// Checks all of it; nothing where there is no account that could be used.
pub(super) fn resolve(file: raw::File, problems: &mut Problems) -> Option<Config> {
    let mut checker = Checker { problems, account_names: HashSet::new(), jobs: HashSet::new() };
    let top = KeyPath::default();
    let (interval, poller) = checker.poll(file.poll.0, &top.key("poll"));
    let exposition = checker.exposition(file.exposition.0, &top.key("exposition"));
    let place = top.key("accounts");
    let accounts = file.accounts.unwrap_or_default();
    if accounts.is_empty() {
        checker.problems.add(&place, "expected a list of at least one account");
    }
    let accounts = accounts.into_iter().enumerate();
    let accounts: Vec<Option<Account>> = accounts
        .map(|(index, account)| checker.account(account.unwrap_or_default().0, interval, &place.item(index)))
        .collect();
    Some(Config { accounts: accounts.into_iter().collect::<Option<_>>()?, poller, exposition })
}

struct Checker<'a> {
    problems: &'a mut Problems,
    account_names: HashSet<String>,
    jobs: HashSet<JobId>,
}

impl Checker<'_> {
    fn poll(&mut self, poll: raw::Poll, place: &KeyPath) -> (Duration, poller::Config) {
        let default = poller::Config::default();
        let interval = self.span(poll.interval, DEFAULT_INTERVAL, INTERVALS, &place.key("interval"));
        let config = poller::Config {
            page_size: self.number(poll.page_size, default.page_size, 1..=1000, &place.key("page_size")),
            stale_after: self.span(poll.stale_after, default.stale_after, INTERVALS, &place.key("stale_after")),
            settled_interval: self.span(
                poll.settled_interval,
                default.settled_interval,
                INTERVALS,
                &place.key("settled_interval"),
            ),
        };
        (interval, config)
    }

    fn exposition(&mut self, exposition: raw::Exposition, place: &KeyPath) -> exposition::Config {
        let default = exposition::Config::default();
        let limits = exposition::Config::MIN_LABEL_BYTES as u32..=MAX_LABEL_BYTES;
        let max_label_bytes = self.number(
            exposition.max_label_bytes,
            default.max_label_bytes as u32,
            limits,
            &place.key("max_label_bytes"),
        );
        let job_label = exposition.job_label.map_or(default.job_label, |Text(label)| label);
        exposition::Config { job_label, max_label_bytes: max_label_bytes as usize }
    }

    fn account(&mut self, account: raw::Account, interval: Duration, place: &KeyPath) -> Option<Account> {
        let name = self.required(account.name, &place.key("name"), "a name for the account");
        if let Some(name) = &name {
            self.account_name(name, &place.key("name"));
        }
        let endpoint = self.required(
            account.endpoint,
            &place.key("endpoint"),
            "the address of DRS, such as `https://drs.ap-southeast-3.myhuaweicloud.com`",
        );
        let project_id = self.required(account.project_id, &place.key("project_id"), "the id of the project");
        let auth = self.required(account.auth, &place.key("auth"), "a way to log in, such as `token`");
        let auth = auth.and_then(|Map(auth)| self.auth(auth, &place.key("auth")));
        let limits = self.limits(account.limits.0, &place.key("limits"));
        let jobs = self.jobs(account.jobs.unwrap_or_default(), interval, &place.key("jobs"));
        let drs = drs::Config {
            account: name?,
            endpoint: endpoint?.0,
            project_id: project_id?.0,
            language: account.language.map_or_else(Default::default, |Text(Choice(language))| language),
            offset_counts: account.offset_counts.map_or_else(Default::default, |Text(Choice(counts))| counts),
            auth: auth?,
            limits,
        };
        Some(Account { drs, jobs: jobs? })
    }

    fn account_name(&mut self, name: &str, place: &KeyPath) {
        if name.trim().is_empty() {
            self.problems.add(place, "expected a name for the account; found nothing but blanks");
        } else if !self.account_names.insert(name.to_owned()) {
            self.problems.add(place, format!("expected a name that no other account has; `{name}` stands twice"));
        }
    }

    fn auth(&mut self, auth: raw::Auth, place: &KeyPath) -> Option<auth::Config> {
        let token = self.required(auth.token, &place.key("token"), "a token, `{file: PATH}` or `{env: NAME}`")?;
        self.secret(token, &place.key("token")).map(auth::Config::Token)
    }

    fn secret(&mut self, secret: raw::Secret, place: &KeyPath) -> Option<Secret> {
        match secret {
            raw::Secret::Value(value) => Some(Secret::Value(value)),
            raw::Secret::Elsewhere(raw::Place { file: Some(file), env: None }) => Some(Secret::File(file)),
            raw::Secret::Elsewhere(raw::Place { file: None, env: Some(name) }) => {
                let value = env::var(&name).ok();
                if value.is_none() {
                    let message = format!("expected the secret in the variable {name}, which is not set or no text");
                    self.problems.add(&place.key("env"), message);
                }
                value.map(|value| Secret::Value(value.trim().into()))
            }
            raw::Secret::Elsewhere(_) => {
                self.problems.add(place, "expected exactly one of `file` and `env`");
                None
            }
        }
    }

    fn limits(&mut self, limits: raw::Limits, place: &KeyPath) -> Limits {
        let default = Limits::default();
        let bytes = limits.max_response_bytes.map_or(default.max_response_bytes, |Text(raw::Size(bytes))| bytes);
        if !RESPONSE_BYTES.contains(&bytes) {
            self.problems.add(&place.key("max_response_bytes"), "expected `1KiB` to `1GiB`");
        }
        let requests_per_second = limits.requests_per_second.unwrap_or(default.requests_per_second);
        if !RATES.contains(&requests_per_second) {
            let message =
                format!("expected a number from {} to {}; found {requests_per_second}", RATES.start(), RATES.end());
            self.problems.add(&place.key("requests_per_second"), message);
        }
        let concurrency =
            self.number(limits.concurrency, default.concurrency as u32, 1..=100, &place.key("concurrency"));
        Limits {
            requests_per_second,
            burst: self.number(limits.burst, default.burst, 1..=10_000, &place.key("burst")),
            concurrency: concurrency as usize,
            timeout: self.span(limits.timeout, default.timeout, TIMEOUTS, &place.key("timeout")),
            max_response_bytes: bytes,
        }
    }

    fn jobs(&mut self, jobs: Vec<Option<Map<raw::Job>>>, interval: Duration, place: &KeyPath) -> Option<Vec<Job>> {
        if jobs.is_empty() {
            self.problems.add(place, "expected a list of at least one job");
        }
        let jobs = jobs.into_iter().enumerate();
        let jobs: Vec<Option<Job>> =
            jobs.map(|(index, job)| self.job(job.unwrap_or_default().0, interval, &place.item(index))).collect();
        jobs.into_iter().collect()
    }

    fn job(&mut self, job: raw::Job, interval: Duration, place: &KeyPath) -> Option<Job> {
        let id = self.required(job.id, &place.key("id"), "the id of the job, as the console shows it");
        if let Some(Text(id)) = &id
            && !self.jobs.insert(id.clone())
        {
            self.problems.add(&place.key("id"), format!("expected each job once; `{id}` stands twice"));
        }
        let types = match job.types {
            None => ObjectType::ALL.to_vec(),
            Some(types) => self.types(types, &place.key("types")),
        };
        let interval = self.span(job.interval, interval, INTERVALS, &place.key("interval"));
        Some(Job { id: id?.0, types, interval })
    }

    fn types(&mut self, types: Vec<Option<Text<ObjectType>>>, place: &KeyPath) -> Vec<ObjectType> {
        if types.is_empty() {
            self.problems.add(place, "expected at least one type; leave the key out for all of them");
        }
        let mut known = Vec::new();
        for (index, object_type) in types.into_iter().enumerate() {
            match object_type {
                None => self.problems.add(&place.item(index), "expected a type of objects, such as `table`"),
                Some(Text(object_type)) if known.contains(&object_type) => {
                    self.problems
                        .add(&place.item(index), format!("expected each type once; `{object_type}` stands twice"));
                }
                Some(Text(object_type)) => known.push(object_type),
            }
        }
        known
    }

    fn required<T>(&mut self, value: Option<T>, place: &KeyPath, what: &str) -> Option<T> {
        if value.is_none() {
            self.problems.add(place, format!("is missing; expected {what}"));
        }
        value
    }

    fn span(
        &mut self,
        value: Option<Span>,
        default: Duration,
        range: RangeInclusive<Duration>,
        place: &KeyPath,
    ) -> Duration {
        let value = value.map_or(default, |Text(raw::DurationText(value))| value);
        if !range.contains(&value) {
            let text = humantime::format_duration;
            let (least, most) = (text(*range.start()), text(*range.end()));
            self.problems.add(place, format!("expected a duration from {least} to {most}; found {}", text(value)));
        }
        value
    }

    fn number(&mut self, value: Option<u32>, default: u32, range: RangeInclusive<u32>, place: &KeyPath) -> u32 {
        let value = value.unwrap_or(default);
        if !range.contains(&value) {
            let (least, most) = (range.start(), range.end());
            self.problems.add(place, format!("expected a number from {least} to {most}; found {value}"));
        }
        value
    }
}
