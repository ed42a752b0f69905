//! From what is written to what is meant: defaults, what is required, what is possible, and what must not stand twice.

use std::collections::HashSet;
use std::env;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::problem::{KeyPath, Problems};
use super::raw::{self, Choice, Map, Span, Text, Word};
use super::{Account, Config, Job};
use crate::auth::{self, AccessKey, Agency, Password, Secret, Way};
use crate::cloud::{Network, Service};
use crate::drs::{self, JobType, Limits, Wanted};
use crate::exposition;
use crate::model::{InvalidShard, JobId, JobStatus, ObjectType, Shard, Shown};
use crate::poller::{self, Discovery, Filter};

/// Time between two polls where nothing else is said.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// Time between two lists of the jobs where nothing else is said.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(5 * 60);

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

/// Most series that a job may be allowed: nine types of five million objects each.
const MAX_SERIES: u32 = 45_000_000;

/// The variables that have the pod's name: what a pod gives itself by the downward API, and what runtimes of containers set.
const POD_NAMES: [&str; 2] = ["POD_NAME", "HOSTNAME"];

/// Checks all of it; nothing where there is no account that could be used.
pub(super) fn resolve(file: raw::File, problems: &mut Problems) -> Option<Config> {
    let mut checker = Checker { problems, shard: Shard::ONLY, account_names: HashSet::new(), jobs: HashSet::new() };
    let top = KeyPath::default();
    let (interval, poller) = checker.poll(file.poll.0, &top.key("poll"));
    let exposition = checker.exposition(file.exposition.0, &top.key("exposition"));
    let state_file = file.state_file.map(|Text(raw::FilePath(path))| path);
    if let Some(Map(shard)) = file.shard {
        checker.shard = checker.shard(shard, &top.key("shard")).unwrap_or(Shard::ONLY);
    }
    let place = top.key("accounts");
    let accounts = file.accounts.unwrap_or_default();
    if accounts.is_empty() {
        checker.problems.add(&place, "expected a list of at least one account");
    }
    let accounts = accounts.into_iter().enumerate();
    let accounts: Vec<Option<Account>> = accounts
        .map(|(index, account)| checker.account(account.unwrap_or_default().0, interval, &place.item(index)))
        .collect();
    let (accounts, shard) = (accounts.into_iter().collect::<Option<_>>()?, checker.shard);
    Some(Config { accounts, poller, exposition, state_file, shard })
}

struct Checker<'a> {
    problems: &'a mut Problems,
    /// Which of several exporters the configuration is for; the only one where what it says of that is wrong.
    shard: Shard,
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
            stall_after: self.span(poll.stall_after, default.stall_after, INTERVALS, &place.key("stall_after")),
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
        let max_series_per_job = self.number(
            exposition.max_series_per_job,
            default.max_series_per_job,
            1..=MAX_SERIES,
            &place.key("max_series_per_job"),
        );
        exposition::Config { job_label, max_label_bytes: max_label_bytes as usize, max_series_per_job }
    }

    fn shard(&mut self, shard: raw::Shard, place: &KeyPath) -> Option<Shard> {
        let total = self.required(shard.total, &place.key("total"), "how many exporters share the jobs");
        let (index, place) = match (shard.index, shard.ordinal) {
            (Some(index), None) => (index, place.key("index")),
            (None, Some(_)) => (self.ordinal(&place.key("ordinal"))?, place.key("ordinal")),
            _ => {
                let message = "expected exactly one of `index`, which begins at 0, and `ordinal: auto`";
                self.problems.add(place, message);
                return None;
            }
        };
        Shard::new(index, total?)
            .map_err(|error| {
                let place =
                    if matches!(error, InvalidShard::Total { .. }) { place.parent().key("total") } else { place };
                self.problems.add(&place, error.to_string());
            })
            .ok()
    }

    /// The number at the end of the pod's name, as a StatefulSet gives it.
    fn ordinal(&mut self, place: &KeyPath) -> Option<u32> {
        let name = POD_NAMES.into_iter().find_map(|variable| Some((variable, env::var(variable).ok()?)));
        let number = name.as_ref().and_then(|(_, name)| name.rsplit_once('-')?.1.parse().ok());
        if number.is_none() {
            let found = name.map(|(variable, name)| format!("`{name}` in {variable}"));
            let message = format!(
                "expected the name of a pod that ends in its number, such as `drs-exporter-2`, in the variable {}; found {}",
                POD_NAMES.join(" or "),
                found.unwrap_or("neither".to_owned())
            );
            self.problems.add(place, message);
        }
        number
    }

    fn account(&mut self, account: raw::Account, interval: Duration, place: &KeyPath) -> Option<Account> {
        let name = self.required(account.name, &place.key("name"), "a name for the account");
        if let Some(name) = &name {
            self.account_name(name, &place.key("name"));
        }
        let region = account.region.map(|Text(region)| region);
        let endpoint = account.endpoint.map(|Text(endpoint)| endpoint);
        let endpoint = endpoint.or_else(|| region.as_ref()?.endpoint(Service::Drs).ok());
        if endpoint.is_none() && !self.problems.told(&place.key("region")) {
            let message =
                "is missing; expected the address of DRS, or a `region`, such as `ap-southeast-3`, which gives it";
            self.problems.add(&place.key("endpoint"), message);
        }
        let way = match account.auth {
            Some(Map(auth)) => self.auth(auth, &place.key("auth")),
            None => Some(Way::Chain),
        };
        let auth = way.map(|way| auth::Config {
            way,
            region,
            iam_endpoint: account.iam_endpoint.map(|Text(endpoint)| endpoint),
            project_id: account.project_id.map(|Text(project)| project),
        });
        if let Some(auth) = &auth {
            self.project(auth, place);
        }
        let Map(mut limits) = account.limits;
        let timeout = limits.timeout.take();
        let network = Network {
            timeout: self.span(timeout, Network::default().timeout, TIMEOUTS, &place.key("limits").key("timeout")),
            ca_file: account.ca_file,
            proxy: account.proxy_url.map(|Text(proxy)| proxy),
        };
        let limits = self.limits(limits, &place.key("limits")).share(self.shard);
        let discovery =
            account.discovery.map(|Map(discovery)| self.discovery(discovery, interval, &place.key("discovery")));
        let jobs = account.jobs.unwrap_or_default();
        if jobs.is_empty() && discovery.is_none() {
            self.problems.add(&place.key("jobs"), "expected a list of at least one job, or `discovery`");
        }
        let jobs = self.jobs(jobs, interval, &place.key("jobs"));
        let jobs = jobs.map(|jobs| jobs.into_iter().filter(|job| self.shard.takes(&job.id)).collect());
        let drs = drs::Config {
            account: name?,
            endpoint: endpoint?,
            network,
            language: account.language.map_or_else(Default::default, |Text(Choice(language))| language),
            offset_counts: account.offset_counts.map_or_else(Default::default, |Text(Choice(counts))| counts),
            auth: auth?,
            limits,
        };
        Some(Account { drs, job_view: account.job_view.unwrap_or(true), jobs: jobs?, discovery })
    }

    /// Whether it can be known whose data is read: the chain may find a project, the other ways have to be told or ask IAM.
    fn project(&mut self, auth: &auth::Config, place: &KeyPath) {
        if auth.project_id.is_none() && auth.region.is_none() && !matches!(auth.way, Way::Chain) {
            let message = "is missing; expected the id of the project, or the `region`, of whose project IAM is asked";
            self.problems.add(&place.key("project_id"), message);
        }
        let asks_iam = auth.project_id.is_none() || matches!(auth.way, Way::Password(_));
        if asks_iam && auth.region.is_none() && auth.iam_endpoint.is_none() && !matches!(auth.way, Way::Chain) {
            let message = "is missing; expected the address of IAM, or the `region`, which gives it";
            self.problems.add(&place.key("iam_endpoint"), message);
        }
    }

    fn account_name(&mut self, name: &str, place: &KeyPath) {
        if name.trim().is_empty() {
            self.problems.add(place, "expected a name for the account; found nothing but blanks");
        } else if !self.account_names.insert(name.to_owned()) {
            self.problems.add(place, format!("expected a name that no other account has; `{name}` stands twice"));
        }
    }

    fn auth(&mut self, auth: raw::Auth, place: &KeyPath) -> Option<Way> {
        match auth {
            raw::Auth { token: Some(token), password: None, access_key: None, agency: None } => {
                self.secret(token, &place.key("token")).map(Way::Token)
            }
            raw::Auth { token: None, password: Some(Map(user)), access_key: None, agency: None } => {
                self.password(user, &place.key("password")).map(Way::Password)
            }
            raw::Auth { token: None, password: None, access_key: Some(Map(key)), agency: None } => {
                self.access_key(key, &place.key("access_key")).map(Way::AccessKey)
            }
            raw::Auth { token: None, password: None, access_key: None, agency: Some(Map(agency)) } => {
                Some(Way::Agency(Agency { endpoint: agency.endpoint.map(|Text(endpoint)| endpoint) }))
            }
            _ => {
                let message = "expected exactly one of `token`, `password`, `access_key` and `agency: {}`; leave `auth` out for \
                               the vendor's chain of environment, credentials file and agency";
                self.problems.add(place, message);
                None
            }
        }
    }

    fn password(&mut self, user: raw::Password, place: &KeyPath) -> Option<Password> {
        let name = self.required(user.user, &place.key("user"), "the name of the IAM user");
        let domain =
            self.required(user.domain, &place.key("domain"), "the name of the account that the user belongs to");
        let password = self.required_secret(user.password, &place.key("password"));
        Some(Password { user: name?, domain: domain?, password: password? })
    }

    fn access_key(&mut self, key: raw::AccessKey, place: &KeyPath) -> Option<AccessKey> {
        let id = self.required_secret(key.id, &place.key("id"));
        let secret = self.required_secret(key.secret, &place.key("secret"));
        let security_token = match key.security_token {
            Some(token) => Some(self.secret(token, &place.key("security_token"))?),
            None => None,
        };
        Some(AccessKey::Given { id: id?, secret: secret?, security_token })
    }

    fn required_secret(&mut self, secret: Option<raw::Secret>, place: &KeyPath) -> Option<Secret> {
        let secret = self.required(secret, place, "it as text, `{file: PATH}` or `{env: NAME}`")?;
        self.secret(secret, place)
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
            max_response_bytes: bytes,
        }
    }

    fn discovery(&mut self, discovery: raw::Discovery, poll_interval: Duration, place: &KeyPath) -> Discovery {
        let job_types = match discovery.job_types {
            None => vec![JobType::Migration, JobType::Sync],
            Some(job_types) => self.words(job_types, &place.key("job_types"), "a type of jobs, such as `migration`"),
        };
        let statuses = discovery.statuses.unwrap_or_default();
        let statuses = if statuses.is_empty() {
            Vec::new()
        } else {
            self.words(statuses, &place.key("statuses"), "a state of jobs, such as `FULL_TRANSFER_STARTED`")
        };
        let filter = Filter {
            statuses,
            include: discovery.include.map(|Text(pattern)| pattern),
            exclude: discovery.exclude.map(|Text(pattern)| pattern),
        };
        let enterprise_project_id = discovery.enterprise_project_id.map(|Text(id)| id.to_string());
        Discovery {
            wanted: Wanted { job_types, enterprise_project_id },
            filter,
            interval: self.span(discovery.interval, DISCOVERY_INTERVAL, INTERVALS, &place.key("interval")),
            types: self.types(discovery.types, &place.key("types")),
            poll_interval,
            shown: shown(discovery.objects),
            shard: self.shard,
        }
    }

    fn jobs(&mut self, jobs: Vec<Option<Map<raw::Job>>>, interval: Duration, place: &KeyPath) -> Option<Vec<Job>> {
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
        let types = self.types(job.types, &place.key("types"));
        let interval = self.span(job.interval, interval, INTERVALS, &place.key("interval"));
        Some(Job { id: id?.0, name: job.name, types, interval, shown: shown(job.objects) })
    }

    fn types(&mut self, types: Option<Vec<Option<Text<ObjectType>>>>, place: &KeyPath) -> Vec<ObjectType> {
        match types {
            None => ObjectType::ALL.to_vec(),
            Some(types) => self.words(types, place, "a type of objects, such as `table`"),
        }
    }

    /// A list of words, each of them once, and at least one.
    fn words<T: PartialEq + Named>(&mut self, words: Vec<Option<Text<T>>>, place: &KeyPath, what: &str) -> Vec<T> {
        if words.is_empty() {
            self.problems.add(place, format!("expected at least one: {what}; leave the key out for what is usual"));
        }
        let mut known = Vec::new();
        for (index, word) in words.into_iter().enumerate() {
            match word {
                None => self.problems.add(&place.item(index), format!("expected {what}")),
                Some(Text(word)) if known.contains(&word) => {
                    self.problems
                        .add(&place.item(index), format!("expected each once; `{}` stands twice", word.name()));
                }
                Some(Text(word)) => known.push(word),
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

fn shown(objects: Option<Word<Shown>>) -> Shown {
    objects.map(|Text(Choice(shown))| shown).unwrap_or_default()
}

/// A word that a message can repeat.
trait Named {
    fn name(&self) -> &str;
}

impl Named for ObjectType {
    fn name(&self) -> &str {
        self.as_str()
    }
}

impl Named for JobType {
    fn name(&self) -> &str {
        self.as_str()
    }
}

impl Named for JobStatus {
    fn name(&self) -> &str {
        self.as_str()
    }
}
