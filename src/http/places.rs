//! How many requests are answered at once. A request holds its place until the last byte of the answer went to the system, or
//! nobody waits for it any more.

use std::num::NonZero;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::held::{Hold, holding};

/// The places that there are.
#[derive(Clone, Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    all: usize,
}

impl Hold for OwnedSemaphorePermit {}

impl Places {
    /// So many places; as many as anybody may want where there is no limit.
    pub(super) fn new(limit: Option<NonZero<usize>>) -> Self {
        let all = limit.map_or(Semaphore::MAX_PERMITS, |limit| limit.get().min(Semaphore::MAX_PERMITS));
        Self { free: Arc::new(Semaphore::new(all)), all }
    }
}

/// Answers the request if there is a place, and at once says no otherwise.
pub(super) async fn admit(State(places): State<Places>, request: Request, next: Next) -> Response {
    let Ok(place) = Arc::clone(&places.free).try_acquire_owned() else {
        let text = format!(
            "{} requests are being answered, which is the limit; try again later. --web.max-requests changes it.\n",
            places.all
        );
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    next.run(request).await.map(|body| holding(body, place, usize::MAX))
}
