//! Connections whose peer does not take what it asked for are closed, so that nobody holds a place for long. How long a peer
//! is silent between two requests is the business of `crowd`.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::debug;

use super::crowd::Guest;

/// How long a peer may take nothing of what is ready for it. Prometheus gives up a scrape after 10 s by default.
pub(super) const STALL: Duration = Duration::from_secs(30);

/// How long it may take over one answer. In this time 7 MB, a million series compressed, pass a line of 200 kbit/s.
const ANSWER: Duration = Duration::from_mins(5);

/// A connection with somebody who has to take what is written.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    guest: Arc<Guest>,
    patience: Patience,
}

impl Connection {
    /// Watches over a stream.
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, guest: Arc<Guest>) -> Self {
        Self { stream, peer, guest, patience: Patience::default() }
    }

    /// Who is at the other end.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.patience.progress();
            return written;
        }
        ready!(self.patience.poll_end(cx));
        debug!(peer = %self.peer, "closing a connection: its reader takes nothing, or takes too long");
        // What the system still holds for the peer would otherwise stay for minutes more. If that fails, it does.
        let _ = self.stream.set_zero_linger();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.guest.sent_something();
            self.patience.request();
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // Neither of these waits for the peer.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// When the patience with a peer ends.
#[derive(Debug, Default)]
struct Patience {
    /// When the answer first had to wait for the peer.
    since: Option<Instant>,
    /// Runs while the answer waits.
    end: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// The peer sent something: the answer before is over, or nearly so, since no more than one request is read ahead.
    fn request(&mut self) {
        self.since = None;
    }

    /// The peer has taken something.
    fn progress(&mut self) {
        self.end = None;
    }

    /// Waits with what is written, until the patience ends.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let end = self.end.get_or_insert_with(|| Box::pin(sleep_until((now + STALL).min(since + ANSWER))));
        end.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, timeout};

    use super::*;

    /// Whether the patience ends within this time of waiting.
    async fn ends_within(patience: &mut Patience, time: Duration) -> bool {
        timeout(time, poll_fn(|cx| patience.poll_end(cx))).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_nothing_is_taken() {
        let mut patience = Patience::default();
        assert!(!ends_within(&mut patience, STALL / 2).await);
        patience.progress();
        assert!(!ends_within(&mut patience, STALL - Duration::from_secs(1)).await);
        assert!(ends_within(&mut patience, Duration::from_secs(2)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_an_answer_is_taken_drop_by_drop() {
        let mut patience = Patience::default();
        let began = Instant::now();
        for _ in 0..20 {
            if ends_within(&mut patience, STALL - Duration::from_secs(1)).await {
                break;
            }
            patience.progress();
        }
        assert_eq!(began.elapsed(), ANSWER);
    }

    #[tokio::test(start_paused = true)]
    async fn each_request_begins_anew_however_long_the_peer_was_silent() {
        let mut patience = Patience::default();
        assert!(!ends_within(&mut patience, Duration::from_secs(1)).await);
        patience.progress();
        advance(2 * ANSWER).await;
        patience.request();
        assert!(!ends_within(&mut patience, STALL - Duration::from_secs(1)).await);
    }
}
