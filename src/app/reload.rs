//! Reads the configuration anew while the process runs: whole or not at all, and one time after the other.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tracing::{error, info};

use super::crew::Order;
use super::plan::Planner;
use super::share;
use crate::board::Board;
use crate::config::Config;
use crate::exposition::Exposition;
use crate::http::{Reread, Rereading};
use crate::poller::Memory;

/// Where the configuration is read from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A file.
    File(PathBuf),
    /// Nowhere, for this reason.
    Nowhere(&'static str),
}

/// Rereads the configuration, and sees that what it says is done.
#[derive(Debug)]
pub(super) struct Reloader {
    pub(super) source: Source,
    /// The configuration that holds.
    pub(super) config: Config,
    pub(super) planner: Planner,
    pub(super) exposition: Arc<Exposition>,
    pub(super) board: Arc<Board>,
    pub(super) memory: Memory,
    pub(super) stall_after: watch::Sender<Duration>,
    pub(super) orders: mpsc::Sender<Order>,
}

impl Reloader {
    /// Rereads it whenever the signal or somebody else asks, for ever. Those who ask while it is being reread are served together
    /// by the next time, which begins after all of them came.
    pub(super) async fn serve(mut self, mut hangup: Signal, mut asked: mpsc::Receiver<Rereading>) -> Infallible {
        loop {
            let mut waiting = Vec::new();
            tokio::select! {
                _ = hangup.recv() => info!("SIGHUP: rereading the configuration"),
                Some(first) = asked.recv() => waiting.push(first),
            }
            while let Ok(another) = asked.try_recv() {
                waiting.push(another);
            }
            let what = self.reread().await;
            for one in waiting {
                one.tell(what.clone());
            }
        }
    }

    async fn reread(&mut self) -> Reread {
        let path = match &self.source {
            Source::File(path) => path.clone(),
            Source::Nowhere(why) => {
                info!("there is nothing to reread: {why}");
                return Reread::Nothing((*why).to_owned());
            }
        };
        let read = self.read(path).await;
        self.exposition.reloaded(read.is_ok());
        match read {
            Ok(()) => {
                let jobs: usize = self.config.accounts.iter().map(|account| account.jobs.len()).sum();
                info!(accounts = self.config.accounts.len(), jobs, "configuration reread");
                Reread::Done
            }
            Err(problems) => {
                for problem in &problems {
                    error!(problem, "the configuration was not taken over; the one before holds");
                }
                let count = match problems.len() {
                    1 => "1 problem in the configuration; nothing was changed".to_owned(),
                    many => format!("{many} problems in the configuration; nothing was changed"),
                };
                Reread::Failed([problems, vec![count]].concat().join("\n"))
            }
        }
    }

    /// Takes over what the file says; nothing of it where there is a problem.
    async fn read(&mut self, path: PathBuf) -> Result<(), Vec<String>> {
        let file = path.display().to_string();
        let loaded = spawn_blocking(move || Config::load(&path)).await;
        let config = loaded.map_err(|error| vec![error.to_string()])?.map_err(|problems| problems.words())?;
        let fixed = self.fixed(&config, &file);
        if !fixed.is_empty() {
            return Err(fixed);
        }
        let drawn = self.planner.draw(&config).await;
        let drawn = drawn.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let stopping = |_| vec!["the exporter is stopping".to_owned()];
        // From here on nothing fails but what is ending anyway.
        let place = self.orders.reserve().await.map_err(|_| stopping(()))?;
        self.exposition.set_max_series_per_job(config.exposition.max_series_per_job);
        let stall_after = config.poller.stall_after;
        if self.stall_after.send_replace(stall_after) != stall_after {
            self.memory.forget_paces();
        }
        if config.shard != self.config.shard {
            share(config.shard, &self.exposition, &self.board);
        }
        let (done, is_done) = oneshot::channel();
        place.send(Order { plan: self.planner.adopt(drawn), done });
        self.config = config;
        is_done.await.map_err(|_| stopping(()))
    }

    /// What cannot change while the process runs, and would.
    fn fixed(&self, config: &Config, file: &str) -> Vec<String> {
        let (now, new) = (&self.config, config);
        let state =
            |config: &Config| config.state_file.as_ref().map_or("none".to_owned(), |path| path.display().to_string());
        let (label, bytes) = (
            |config: &Config| config.exposition.job_label.to_string(),
            |config: &Config| config.exposition.max_label_bytes.to_string(),
        );
        let keys = [
            ("exposition.job_label", label(now), label(new)),
            ("exposition.max_label_bytes", bytes(now), bytes(new)),
            ("state_file", state(now), state(new)),
        ];
        let changed = keys.into_iter().filter(|(_, now, new)| now != new);
        let words = changed.map(|(key, now, new)| {
            format!("{file}: {key}: cannot change from {now} to {new} while the exporter runs; restart it for that")
        });
        words.collect()
    }
}
