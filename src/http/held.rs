//! A body that holds something until its last byte went to the system, or nobody waits for it any more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

/// Lets a body hold what is dropped with its last byte.
pub(super) fn holding<H: Send + Sync + 'static>(body: Body, held: H) -> Body {
    Body::new(Holding { body, held: Arc::new(held) })
}

struct Holding<H> {
    body: Body,
    held: Arc<H>,
}

/// A piece of such a body. The server queues pieces and lets the body go long before a slow reader has taken them.
struct Piece<H> {
    bytes: Bytes,
    _held: Arc<H>,
}

impl<H> AsRef<[u8]> for Piece<H> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<H: Send + Sync + 'static> HttpBody for Holding<H> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let hold = |bytes| Bytes::from_owner(Piece { bytes, _held: Arc::clone(&self.held) });
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
    async fn it_is_held_until_the_last_piece_is_sent() {
        let held = Arc::new(());
        let body = holding(Body::from("the whole"), Arc::clone(&held));
        assert_eq!(body.size_hint().exact(), Some(9));
        let mut pieces = body.into_data_stream();
        let piece = pieces.next().await.unwrap().unwrap();
        assert_eq!(piece, "the whole");
        drop(pieces);
        assert_eq!(Arc::strong_count(&held), 2);
        drop(piece);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
