//! The file in which what is remembered outlives the process. Nothing that is wrong with it stops the exporter.

use std::fs;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::{debug, error, info, warn};

use super::replace::{PRIVATE, place, replace, sweep};
use crate::poller::{Complaint, Memory, News};

/// Time between two saves, unless the process ends: what a process that is killed can lose.
const PAUSE: Duration = Duration::from_secs(60);

/// The largest file that is read, in bytes; an object takes about 25.
const MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// What is lost with the file.
const ANEW: &str = "how long objects have stood still, and how fast they go, is measured from now on";

/// Keeps a memory in a file.
#[derive(Clone, Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    memory: Memory,
    /// As the configuration has it now.
    stall_after: watch::Receiver<Duration>,
    /// What is wrong with saving. Held while it is saved, so that no older state can come in the place of a newer one.
    complaint: Arc<Mutex<Complaint>>,
}

impl StateFile {
    /// Reads what a process before has left, if it can be used, and sets the file aside if not.
    pub(super) fn open(path: PathBuf, memory: Memory, stall_after: watch::Receiver<Duration>) -> Self {
        // A link to a file stays one, also where that file is set aside.
        let this = Self { path: place(&path), memory, stall_after, complaint: Arc::default() };
        let file = this.path.display();
        if let Err(error) = sweep(&this.path) {
            debug!(%file, %error, "cannot look for what was left half written");
        }
        match this.restore() {
            Ok(Some(groups)) => debug!(%file, groups, "state read"),
            Ok(None) => info!(%file, "there is no state yet: {ANEW}"),
            Err(problem) => match set_aside(&this.path) {
                Ok(place) => {
                    let moved_to = place.display();
                    warn!(%file, %moved_to, %problem, "the state cannot be used and was set aside: {ANEW}");
                }
                Err(error) => {
                    warn!(
                        %file, %problem, %error,
                        "the state cannot be used, nor set aside, so it may be written over: {ANEW}; let this process read it, \
                         and write to its folder"
                    );
                }
            },
        }
        this
    }

    fn stall_after(&self) -> Duration {
        *self.stall_after.borrow()
    }

    /// Takes in what is in the file, and gives how many groups that is; nothing where there is no file.
    fn restore(&self) -> anyhow::Result<Option<usize>> {
        let Some(saved) = read(&self.path)? else { return Ok(None) };
        Ok(Some(self.memory.restore(&saved, self.stall_after())?))
    }

    /// Saves now, which shows whether it can be done; then whenever something has changed, but not all the time; and at last
    /// when `stop` comes.
    pub(super) async fn keep(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut changes = self.memory.changes();
        self.save().await;
        loop {
            tokio::select! {
                // The memory outlives the receiver: it is ours.
                _ = changes.changed() => {}
                () = &mut stop => break,
            }
            if !self.save().await {
                changes.mark_changed();
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = &mut stop => break,
            }
        }
        if changes.has_changed().unwrap_or(true) {
            self.save().await;
        }
    }

    /// Whether it was saved. Many objects take a while, which must not hold up the threads that answer scrapes.
    async fn save(&self) -> bool {
        let this = self.clone();
        let saved = spawn_blocking(move || this.write());
        saved
            .await
            .inspect_err(|error| error!(%error, "the state could not be saved; please report this"))
            .unwrap_or(false)
    }

    fn write(&self) -> bool {
        let mut complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, started) = (self.path.display(), Instant::now());
        let written = replace(&self.path, PRIVATE, |out| self.memory.save(out, self.stall_after()));
        let good = written.is_ok();
        match complaint.hear(written.err().map(|error| error.to_string())) {
            News::Bad(problem) => {
                warn!(
                    %file, problem,
                    "the state cannot be saved, so a restart would measure anew how long objects have stood still; let `state_file` \
                     be in a folder that this process may write to, with room for it"
                );
            }
            News::BadAsBefore(problem) => debug!(%file, problem, "again the state cannot be saved"),
            News::GoodAgain => info!(%file, "the state is saved again"),
            News::Good => debug!(%file, took = ?started.elapsed(), "state saved"),
        }
        good
    }
}

/// What is in the file; nothing where there is none. Saving tells of what is no file.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(file) if !file.is_file() => Ok(None),
        Ok(file) if file.len() > MAX_BYTES => Err(io::Error::other("it is larger than any state")),
        Ok(_) => fs::read(path).map(Some),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts the file out of the way, where it can be looked at, in the place of one that was put there before.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let mut aside = path.to_owned().into_os_string();
    aside.push(".bad");
    fs::rename(path, &aside)?;
    Ok(aside.into())
}
