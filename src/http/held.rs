//! A body that holds something until its last byte went to the system, or nobody waits for it any more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

/// What a body can hold. It is dropped with the last byte.
pub(super) trait Hold: Send + Sync + 'static {
    /// A piece of the body went to the system.
    fn sent(&self) {}
}

/// Lets a body hold something, and gives it away in pieces of so many bytes at most.
pub(super) fn holding<H: Hold>(body: Body, held: H, most: usize) -> Body {
    Body::new(Holding { body, rest: Bytes::new(), held: Arc::new(held), most })
}

struct Holding<H> {
    body: Body,
    /// What is left of the last piece that was too large.
    rest: Bytes,
    held: Arc<H>,
    most: usize,
}

/// A piece of such a body. The server queues pieces and lets the body go long before a slow reader has taken them.
struct Piece<H: Hold> {
    bytes: Bytes,
    held: Arc<H>,
}

impl<H: Hold> AsRef<[u8]> for Piece<H> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<H: Hold> Drop for Piece<H> {
    fn drop(&mut self) {
        self.held.sent();
    }
}

impl<H: Hold> Holding<H> {
    fn piece(&mut self) -> Bytes {
        let bytes = self.rest.split_to(self.rest.len().min(self.most));
        Bytes::from_owner(Piece { bytes, held: Arc::clone(&self.held) })
    }
}

impl<H: Hold> HttpBody for Holding<H> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.piece()))));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let hold = |bytes| {
            self.rest = bytes;
            self.piece()
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(hold))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use futures_util::StreamExt;

    use super::*;

    struct Counted(Arc<AtomicUsize>);

    impl Hold for Counted {
        fn sent(&self) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[tokio::test]
    async fn it_is_held_until_the_last_piece_is_sent() {
        let sent = Arc::new(AtomicUsize::new(0));
        let body = holding(Body::from("the whole"), Counted(Arc::clone(&sent)), 6);
        assert_eq!(body.size_hint().exact(), Some(9));
        let mut pieces = body.into_data_stream();
        let piece = pieces.next().await.unwrap().unwrap();
        assert_eq!(piece, "the wh");
        assert_eq!(HttpBody::size_hint(&pieces).exact(), Some(3));
        let last = pieces.next().await.unwrap().unwrap();
        assert_eq!(last, "ole");
        assert!(pieces.next().await.is_none());
        drop((pieces, piece));
        assert_eq!((Arc::strong_count(&sent), sent.load(Relaxed)), (2, 1));
        drop(last);
        assert_eq!((Arc::strong_count(&sent), sent.load(Relaxed)), (1, 2));
    }
}
