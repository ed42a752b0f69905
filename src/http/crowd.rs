//! Who is connected, how many that may be, and how long each may wait.

use std::collections::BTreeMap;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::connection::STALL;
use super::held::Hold;

/// How long the head of a request may take, from its first byte, and the first one from the connection on.
const HEAD: Duration = Duration::from_secs(20);

/// How long a connection may be idle between two requests; Prometheus seldom scrapes less often than every two minutes.
const IDLE: Duration = Duration::from_mins(5);

/// All that are connected. There is room for so many; where it is full, whoever has waited longest for a request has to go.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    room: usize,
    present: Arc<Mutex<Present>>,
}

#[derive(Debug, Default)]
struct Present {
    guests: BTreeMap<u64, Arc<Presence>>,
    /// How many were ever let in, which gives each a number of its own.
    ever: u64,
}

/// One that is connected; dropped, it has left.
#[derive(Debug)]
pub(super) struct Guest {
    crowd: Crowd,
    number: u64,
    presence: Arc<Presence>,
}

#[derive(Debug)]
struct Presence {
    doing: watch::Sender<Doing>,
    /// Tells that it has to make room for another one.
    pushed_out: Notify,
}

/// What a connection is busy with.
#[derive(Clone, Copy, Debug)]
struct Doing {
    /// Requests that are being answered.
    answers: usize,
    /// Since when there are none; with HTTP/2 since when nothing of them was taken.
    since: Instant,
    /// Whether the head of a request is on its way.
    is_asking: bool,
    /// Whether many answers share the connection, by HTTP/2. Then nobody sees from outside what is the head of a request, nor that
    /// an answer waits for its reader.
    is_shared: bool,
}

/// Why a connection is closed before its peer closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// The head of a request did not come whole.
    NoRequest,
    /// Nothing came for a long time.
    Idle,
    /// Nothing was taken of what was asked for.
    Stalled,
    /// Others needed the room.
    PushedOut,
}

impl fmt::Display for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRequest => write!(f, "no whole head of a request came within {} s", HEAD.as_secs()),
            Self::Idle => write!(f, "no request came for {} s", IDLE.as_secs()),
            Self::Stalled => write!(f, "its reader takes nothing for {} s", STALL.as_secs()),
            Self::PushedOut => f.write_str("others needed the room"),
        }
    }
}

impl Crowd {
    /// Has room for so many.
    pub(super) fn new(room: usize) -> Self {
        Self { room, present: Arc::default() }
    }

    /// Lets one in, and where it is full sends another one out for it; nothing where all are being answered.
    pub(super) fn let_in(&self) -> Option<Guest> {
        let mut present = self.lock();
        if present.guests.len() >= self.room && !present.push_out() {
            return None;
        }
        let doing = Doing { answers: 0, since: Instant::now(), is_asking: true, is_shared: false };
        let presence = Arc::new(Presence { doing: watch::Sender::new(doing), pushed_out: Notify::new() });
        present.ever += 1;
        let number = present.ever;
        present.guests.insert(number, Arc::clone(&presence));
        Some(Guest { crowd: self.clone(), number, presence })
    }

    /// Sends the one out that has waited longest, if any does.
    pub(super) fn make_room(&self) {
        self.lock().push_out();
    }

    // A panic cannot leave the map half changed; so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Present {
    /// Whether somebody was waiting and has to go.
    fn push_out(&mut self) -> bool {
        let waiting = self.guests.iter().map(|(number, presence)| (*number, *presence.doing.borrow()));
        let longest = waiting.filter(|(_, doing)| doing.answers == 0).min_by_key(|(_, doing)| doing.since);
        let gone = longest.and_then(|(number, _)| self.guests.remove(&number));
        gone.inspect(|presence| presence.pushed_out.notify_one()).is_some()
    }
}

impl Guest {
    /// Something came from the peer.
    pub(super) fn sent_something(&self) {
        self.presence.doing.send_if_modified(|doing| {
            let is_news = doing.answers == 0 && !doing.is_asking && !doing.is_shared;
            if is_news {
                (doing.is_asking, doing.since) = (true, Instant::now());
            }
            is_news
        });
    }

    /// The connection turns out to be one of HTTP/2.
    pub(super) fn shares(&self) {
        self.presence.doing.send_modify(|doing| {
            (doing.is_shared, doing.is_asking, doing.since) = (true, false, Instant::now());
        });
    }

    /// The head of a request is there; it is being answered until what this gives is dropped.
    pub(super) fn asked(&self) -> Answering {
        self.presence.doing.send_modify(|doing| {
            doing.answers += 1;
            (doing.is_asking, doing.since) = (false, Instant::now());
        });
        Answering(Arc::clone(&self.presence))
    }

    /// Waits until the connection has to be closed.
    pub(super) async fn has_to_go(&self) -> Farewell {
        let mut doing = self.presence.doing.subscribe();
        loop {
            let end = doing.borrow_and_update().end();
            let over = async {
                match end {
                    Some((at, why)) => {
                        sleep_until(at).await;
                        why
                    }
                    None => pending().await,
                }
            };
            tokio::select! {
                // What has just come counts.
                biased;
                () = self.presence.pushed_out.notified() => return Farewell::PushedOut,
                // The sender is ours.
                _ = doing.changed() => {}
                why = over => return why,
            }
        }
    }
}

impl Doing {
    /// When the patience with it ends, and why.
    fn end(self) -> Option<(Instant, Farewell)> {
        match self {
            Self { answers: 0, since, is_asking: true, .. } => Some((since + HEAD, Farewell::NoRequest)),
            Self { answers: 0, since, is_asking: false, .. } => Some((since + IDLE, Farewell::Idle)),
            Self { since, is_shared: true, .. } => Some((since + STALL, Farewell::Stalled)),
            Self { .. } => None,
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.crowd.lock().guests.remove(&self.number);
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Answering(Arc<Presence>);

impl Hold for Answering {
    fn sent(&self) {
        self.0.doing.send_if_modified(|doing| {
            if doing.is_shared {
                doing.since = Instant::now();
            }
            doing.is_shared
        });
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.doing.send_modify(|doing| {
            doing.answers -= 1;
            doing.since = Instant::now();
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    const MOMENT: Duration = Duration::from_secs(1);

    async fn goes_within(guest: &Guest, time: Duration) -> Option<Farewell> {
        timeout(time, guest.has_to_go()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_to_come_in_time_however_slowly_its_bytes_do() {
        let guest = Crowd::new(1).let_in().unwrap();
        for _ in 0..HEAD.as_secs() - 1 {
            guest.sent_something();
            assert_eq!(goes_within(&guest, MOMENT).await, None);
        }
        assert_eq!(goes_within(&guest, 2 * MOMENT).await, Some(Farewell::NoRequest));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_takes_as_long_as_it_takes_and_then_one_may_be_idle_for_a_while() {
        let guest = Crowd::new(1).let_in().unwrap();
        let answering = guest.asked();
        guest.sent_something();
        assert_eq!(goes_within(&guest, 2 * IDLE).await, None);
        drop(answering);
        assert_eq!(goes_within(&guest, IDLE - MOMENT).await, None);
        // The head of the next request has its own time.
        guest.sent_something();
        assert_eq!(goes_within(&guest, HEAD - MOMENT).await, None);
        drop(guest.asked());
        assert_eq!(goes_within(&guest, IDLE - MOMENT).await, None);
        assert_eq!(goes_within(&guest, 2 * MOMENT).await, Some(Farewell::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn what_many_answers_share_is_closed_when_none_of_them_moves() {
        let guest = Crowd::new(1).let_in().unwrap();
        guest.shares();
        // What keeps such a connection alive is no request.
        guest.sent_something();
        assert_eq!(goes_within(&guest, HEAD + MOMENT).await, None);
        let (first, second) = (guest.asked(), guest.asked());
        assert_eq!(goes_within(&guest, STALL - MOMENT).await, None);
        first.sent();
        assert_eq!(goes_within(&guest, STALL - MOMENT).await, None);
        assert_eq!(goes_within(&guest, 2 * MOMENT).await, Some(Farewell::Stalled));
        drop((first, second));
        assert_eq!(goes_within(&guest, IDLE - MOMENT).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn where_it_is_full_the_one_that_waited_longest_goes() {
        let crowd = Crowd::new(2);
        let first = crowd.let_in().unwrap();
        advance(MOMENT).await;
        let second = crowd.let_in().unwrap();
        advance(MOMENT).await;
        drop(first.asked());
        let third = crowd.let_in().unwrap();
        assert_eq!(goes_within(&second, MOMENT).await, Some(Farewell::PushedOut));
        let answers = (first.asked(), third.asked());
        assert!(crowd.let_in().is_none(), "both are being answered");
        drop(answers);
        drop(first);
        assert!(crowd.let_in().is_some());
        assert_eq!(goes_within(&third, MOMENT).await, None);
    }
}
