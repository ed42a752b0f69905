//! Asks whoever runs the process to read its configuration anew.

use axum::extract::State;
use axum::http::StatusCode;
use tokio::sync::{mpsc, oneshot};

use super::routes::Refused;

/// How many may wait for their turn. Each holds a place, which others need for their scrapes.
const MAX_WAITING: usize = 8;

/// Asks for it; clones ask the same.
#[derive(Clone, Debug)]
pub struct Lifecycle(mpsc::Sender<Rereading>);

/// Somebody waits for the configuration to be read anew.
#[derive(Debug)]
pub struct Rereading(oneshot::Sender<Reread>);

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reread {
    /// What it says holds from now on.
    Done,
    /// There is none to read, for this reason.
    Nothing(String),
    /// All stays as it was, for these reasons, each on a line.
    Failed(String),
}

impl Lifecycle {
    /// Makes a way to ask, and where it comes out.
    pub fn new() -> (Self, mpsc::Receiver<Rereading>) {
        let (asks, asked) = mpsc::channel(MAX_WAITING);
        (Self(asks), asked)
    }
}

impl Rereading {
    /// Says what came of it, to somebody who may have gone.
    pub fn tell(self, what: Reread) {
        let _ = self.0.send(what);
    }
}

/// Answers when it was done.
pub(super) async fn reload(State(lifecycle): State<Option<Lifecycle>>) -> Result<String, Refused> {
    let Some(Lifecycle(asks)) = lifecycle else {
        let text =
            "The lifecycle API is not enabled: start the exporter with --web.enable-lifecycle, or send SIGHUP.\n";
        return Err((StatusCode::FORBIDDEN, text.to_owned()));
    };
    let (tell, told) = oneshot::channel();
    asks.try_send(Rereading(tell)).map_err(|error| {
        let text = match error {
            mpsc::error::TrySendError::Full(_) => {
                "So many reloads are waiting that no more are taken; try again later.\n"
            }
            mpsc::error::TrySendError::Closed(_) => "The exporter is stopping.\n",
        };
        (StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
    })?;
    match told.await {
        Ok(Reread::Done) => Ok("The configuration was reread.\n".to_owned()),
        Ok(Reread::Nothing(why)) => Ok(format!("There is nothing to reread: {why}.\n")),
        Ok(Reread::Failed(why)) => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n"))),
        Err(_) => Err((StatusCode::SERVICE_UNAVAILABLE, "The exporter is stopping.\n".to_owned())),
    }
}
