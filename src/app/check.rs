//! Reads the configuration and says what is wrong with it; asks the cloud, if wanted, whether it would work.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use super::Metrics;
use super::crew::found;
use super::plan::connect;
use crate::config::{Account, Config, Job};
use crate::drs::{self, ApiError, Class, Tally};
use crate::http;
use crate::poller::{Discovery, Lister, NoRoster};

/// How long one question may wait for its turn and its answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// What follows a refusal.
const NOTHING_MORE: &str = "nothing more was asked with this log-in";

/// Checks the configuration, and that of the server where there is one, and tells on standard output what it found. With `ask`,
/// logs in and reads one row of each job and type. Whether all is well.
///
/// # Errors
/// When the configuration has problems, or there is no way to tell anything.
pub async fn run(config_file: &Path, web_config: Option<&Path>, ask: bool) -> anyhow::Result<bool> {
    let unusable = match web_config {
        Some(file) => http::check(file).await.err(),
        None => None,
    };
    let config = match (Config::load(config_file), unusable) {
        (Ok(config), None) => config,
        (Ok(_), Some(unusable)) => return Err(unusable.into()),
        (Err(problems), None) => return Err(problems.into()),
        (Err(problems), Some(unusable)) => bail!("{unusable}\n{problems}"),
    };
    let jobs: usize = config.accounts.iter().map(|account| account.jobs.len()).sum();
    let (accounts, file) = (config.accounts.len(), config_file.display());
    let shard = if config.shard.is_one_of_many() { format!(", {}", config.shard) } else { String::new() };
    tell(&format!("{file}: no problem found ({}, {}{shard})", counted(accounts, "account"), counted(jobs, "job")))?;
    let mut well = true;
    if ask {
        let metrics = Metrics::register(&mut Registry::default());
        for account in &config.accounts {
            well &= Asking { account, stale_after: config.poller.stale_after }.run(&metrics).await?;
        }
    }
    Ok(well)
}

/// One account, about which the cloud is asked.
struct Asking<'a> {
    account: &'a Account,
    stale_after: Duration,
}

impl Asking<'_> {
    async fn run(&self, metrics: &Metrics) -> anyhow::Result<bool> {
        let client = match connect(self.account, metrics).await {
            Ok(client) => client,
            Err(error) => {
                self.tell(&error.to_string())?;
                return Ok(false);
            }
        };
        let mut well = true;
        let mut jobs = self.account.jobs.clone();
        if let Some(discovery) = &self.account.discovery {
            match self.discover(&client, discovery, metrics).await {
                Ok((found, all)) => {
                    self.tell(&format!("discovery: {} of {} would be followed", found.len(), counted(all, "job")))?;
                    let others = found.iter().filter(|job| self.account.jobs.iter().all(|named| named.id != job.id));
                    jobs.extend(others.cloned());
                }
                Err(none) => {
                    well = false;
                    self.tell(&format!("discovery: {none}"))?;
                    if none.is_refusal {
                        self.tell(NOTHING_MORE)?;
                        return Ok(false);
                    }
                }
            }
        }
        for job in &jobs {
            let drs_job = drs::Job::new(Arc::clone(&client), job.id.clone());
            for (place, &object_type) in job.types.iter().enumerate() {
                let count = drs_job.count(object_type, Instant::now() + PATIENCE, &mut Tally::default()).await;
                let what = format!("{}/{object_type}", job.id);
                match count {
                    Ok(count) => self.tell(&format!("{what}: {}", counted(count as usize, "object")))?,
                    Err(ApiError { class: Class::NotCallable, .. }) => {
                        self.tell(&format!("{what}: the job has no such listing in its present state"))?;
                    }
                    Err(error) => {
                        well = false;
                        self.tell(&format!("{what}: {error}"))?;
                        match error.class {
                            // The others would be refused as well, and so many refusals could lock the account.
                            Class::Auth { .. } => {
                                self.tell(NOTHING_MORE)?;
                                return Ok(false);
                            }
                            Class::Gone if place + 1 < job.types.len() => {
                                self.tell(&format!("{}: its other types were not asked for", job.id))?;
                                break;
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
        Ok(well)
    }

    /// The jobs that would be found, and how many there are.
    async fn discover(
        &self,
        client: &Arc<drs::Account>,
        discovery: &Discovery,
        metrics: &Metrics,
    ) -> Result<(Vec<Job>, usize), NoRoster> {
        let mut lister =
            Lister::new(Arc::clone(client), discovery.clone(), self.stale_after, metrics.discovery.clone());
        let listed = lister.list().await?.listed;
        let taken = listed.values().filter(|job| discovery.takes(job));
        Ok((taken.map(|job| found(job.id.clone(), discovery)).collect(), listed.len()))
    }

    fn tell(&self, words: &str) -> anyhow::Result<()> {
        tell(&format!("{}: {words}", self.account.drs.account))
    }
}

fn tell(words: &str) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{words}").context("cannot write to standard output")
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
