//! Polls everything once and writes the metrics, for a cron job or the textfile collector of the node exporter.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::join_all;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;

use super::crew::{JobTasks, found, tasks};
use super::plan::{Office, connect, demand};
use super::replace::replace;
use super::{Metrics, Shared, shared};
use crate::config::{Account, Config};
use crate::exposition::{Encoding, Exposition, Format, Selection};
use crate::model::Outcome;
use crate::poller::{self, Lister};

/// Who may read the file that is written: everybody, as the collector runs as another user.
const READABLE: u32 = 0o644;

/// Polls everything once, shows how far it is by `bars`, and writes the metrics to a file, which is replaced whole, or to
/// standard output. Whether every poll succeeded; if not, a file is left as it was.
///
/// # Errors
/// When the configuration has problems, an account cannot be used, or the metrics cannot be written.
pub async fn run(config_file: &Path, output: Option<PathBuf>, bars: &MultiProgress) -> anyhow::Result<bool> {
    let config = Config::load(config_file)?;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let shared = shared(&config, registry, false, &metrics)?;
    let poller = &config.poller;
    let accounts = config.accounts.into_iter().map(|account| poll(account, poller, &shared, &metrics, bars));
    let polled: Vec<anyhow::Result<bool>> = join_all(accounts).await;
    let mut well = true;
    for account in polled {
        well &= account?;
    }
    match output {
        None => {
            io::stdout().lock().write_all(&written(&shared.exposition)?).context("cannot write to standard output")?
        }
        Some(file) if well => {
            let text = written(&shared.exposition)?;
            replace(&file, READABLE, |out| out.write_all(&text))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        Some(_) => {}
    }
    Ok(well)
}

/// Polls the jobs of one account.
async fn poll(
    account: Account,
    poller: &poller::Config,
    shared: &Shared,
    metrics: &Metrics,
    bars: &MultiProgress,
) -> anyhow::Result<bool> {
    let client = connect(&account, metrics).await?;
    let office = Office { demand: demand(&account), account, client, formerly: None };
    let Office { account, client, .. } = &office;
    let bar = bar(bars, &account.drs.account);
    let mut well = true;
    let mut jobs = account.jobs.clone();
    let mut roster = None;
    if let Some(discovery) = account.discovery.clone() {
        bar.set_message("lists the jobs");
        let stale_after = poller.stale_after;
        let mut lister = Lister::new(Arc::clone(client), discovery.clone(), stale_after, metrics.discovery.clone());
        match lister.list().await {
            Ok(listed) => {
                let others = listed.listed.values().filter(|job| discovery.takes(job));
                let others = others.filter(|job| account.jobs.iter().all(|named| named.id != job.id));
                jobs.extend(others.map(|job| found(job.id.clone(), &discovery)));
                roster = Some(listed);
            }
            Err(_) => well = false,
        }
    }
    let mut polls = JoinSet::new();
    for job in &jobs {
        let JobTasks { groups, overview, sightings } = tasks(&office, poller, shared, job);
        if let Some(roster) = &roster {
            roster.tell(&job.id, &sightings);
        }
        bar.inc_length(groups.len() as u64 + 1);
        for task in groups {
            let what = task.key().to_string();
            polls.spawn(async move { (what, task.once().await.last) });
        }
        let what = job.id.to_string();
        polls.spawn(async move {
            let seen = overview.once().await;
            (what, Some(if seen { Outcome::Success } else { Outcome::Error }))
        });
    }
    while let Some(ended) = polls.join_next().await {
        let (what, outcome) = ended.context("a poll failed; please report this")?;
        // A listing that the job does not have is none that could not be read.
        well &= outcome.is_some_and(|outcome| outcome.is_success() || outcome == Outcome::Unsupported);
        bar.set_message(what);
        bar.inc(1);
    }
    bar.finish_with_message("done");
    Ok(well)
}

fn bar(bars: &MultiProgress, account: &str) -> ProgressBar {
    let bar = bars.add(ProgressBar::new(0)).with_prefix(account.to_owned());
    // The template is known to be good; without one there is still a bar.
    if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar
}

fn written(exposition: &Exposition) -> anyhow::Result<Vec<u8>> {
    let body = exposition
        .scrape(&Selection::default(), Format::Text, Encoding::Identity)
        .context("the exporter's own metrics cannot be written; please report this")?;
    let pieces = body.collect::<io::Result<Vec<_>>>().context("the metrics cannot be written; please report this")?;
    Ok(pieces.concat())
}
