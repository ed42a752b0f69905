//! How many requests are answered at once. A request holds its place until the last byte of the answer went to the system, or
//! nobody waits for it any more.

use std::num::NonZero;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places that there are.
#[derive(Clone, Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    all: usize,
}

/// The place of one request, held by its body and by each piece of it that still has to be sent.
type Place = Arc<OwnedSemaphorePermit>;

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
    let place = Arc::new(place);
    next.run(request).await.map(|body| Body::new(Placed { body, place }))
}

/// A body that holds a place.
struct Placed {
    body: Body,
    place: Place,
}

/// A piece of such a body. The server queues pieces and lets the body go long before a slow reader has taken them.
struct Piece {
    bytes: Bytes,
    _place: Place,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Placed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let hold = |bytes| Bytes::from_owner(Piece { bytes, _place: Arc::clone(&self.place) });
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(hold))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_place_is_held_until_the_last_piece_is_sent() {
        let free = Arc::new(Semaphore::new(1));
        let place = Arc::new(Arc::clone(&free).try_acquire_owned().unwrap());
        let body = Body::new(Placed { body: Body::from("the whole"), place });
        assert_eq!(body.size_hint().exact(), Some(9));
        let mut pieces = body.into_data_stream();
        let piece = pieces.next().await.unwrap().unwrap();
        assert_eq!(piece, "the whole");
        drop(pieces);
        assert_eq!(free.available_permits(), 0);
        drop(piece);
        assert_eq!(free.available_permits(), 1);
    }
}
