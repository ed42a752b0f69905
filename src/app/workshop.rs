//! Where all that follows jobs runs: on threads of its own, so that no scrape waits for those that read answers and render them.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime beside the one that serves, with as many threads as there are cores. It ends when it is dropped, whatever still runs.
#[derive(Debug)]
pub(super) struct Workshop {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Workshop {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system does not let the process have them.
    pub(super) fn new() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().thread_name("workshop").enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Where to spawn tasks.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // To wait for its threads here would hold up a thread of the other runtime.
            runtime.shutdown_background();
        }
    }
}
