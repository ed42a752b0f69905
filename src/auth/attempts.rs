//! When an account may try to log in. Pure but for the lock around it: times in, decisions out.
//!
//! More than five failures in a row lock an access key for five minutes, by the vendor's documentation of IAM. So an account
//! never makes more than four attempts in five minutes, whatever happens. An attempt is a log-in, whatever comes of it, and a
//! request that is refused for who asks. Since requests under way may all be refused, they are counted before they are sent.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Error, Prove};

/// Most attempts within [`WINDOW`].
const MAX_ATTEMPTS: usize = 4;

/// The time that attempts are counted over.
const WINDOW: Duration = Duration::from_secs(5 * 60);

/// The time between attempts of an account that is refused, so that all of them are not used up at once.
pub(super) const SPACING: Duration = Duration::from_secs(WINDOW.as_secs() / MAX_ATTEMPTS as u64);

/// What the account's requests under way and its last verdicts allow.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    log: Mutex<Log>,
    /// Tells those who wait that a request was judged.
    judged: Notify,
}

/// How the account stands with the cloud.
#[derive(Debug, Default, PartialEq, Eq)]
enum Standing {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// The last verdict was good.
    Trusted,
    /// The last verdict was bad.
    Doubted(Doubt),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Doubt {
    not_before: Instant,
    /// What the refused proof was made of; another one may be tried at once.
    made_of: u64,
    why: String,
}

#[derive(Debug, Default)]
struct Log {
    /// Those within [`WINDOW`], oldest first.
    made: VecDeque<Attempt>,
    /// Requests that have not been judged.
    under_way: usize,
    standing: Standing,
    /// How often the standing has changed. A verdict on a request that was sent before says nothing of how things stand now.
    turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    at: Instant,
    refused: bool,
}

/// What a request is admitted as.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    turn: u64,
    /// Whether its refusal counts, even if it is not the first.
    counts: bool,
}

/// What is to be done before a request can be sent.
#[derive(Debug, PartialEq, Eq)]
enum Admission {
    /// Nothing.
    Go,
    /// Waiting for a verdict on another one.
    Wait,
    /// Waiting until then.
    Held(Instant),
}

/// What kind of proof an account has, as far as attempts are concerned.
#[derive(Clone, Copy, Debug)]
struct Nature {
    is_key: bool,
    /// Attempts that it takes to learn whether a refused account is let in again.
    to_learn: usize,
}

impl Nature {
    fn of(way: &dyn Prove) -> Self {
        Self { is_key: way.is_key(), to_learn: way.attempts_to_learn() }
    }
}

impl Attempts {
    /// The proof is another one from now on, of which nothing is known: one request may try it at once, as far as the attempts
    /// before it leave room.
    pub(super) fn proof_changed(&self) {
        let mut log = self.log();
        let why = match &log.standing {
            Standing::Doubted(doubt) => doubt.why.clone(),
            Standing::Unknown | Standing::Trusted => "its log-in was changed again and again".to_owned(),
        };
        // Whatever it is made of: the doubt has ended, and only the window counts.
        log.doubt(Doubt { not_before: Instant::now(), made_of: 0, why });
        drop(log);
        self.judged.notify_waiters();
    }

    /// Whether anything that was tried still counts, or is under way.
    pub(super) fn count(&self) -> bool {
        let mut log = self.log();
        log.forget(Instant::now());
        !log.made.is_empty() || log.under_way > 0
    }

    /// Waits until a request may be sent, and counts it as under way.
    pub(super) async fn admit(&self, way: &dyn Prove) -> Result<Ticket, Error> {
        loop {
            let judged = self.judged.notified();
            let made_of = self.made_of_if_held(way).await?;
            let admission = {
                let mut log = self.log();
                match log.admission(Instant::now(), Nature::of(way), made_of) {
                    Admission::Go => return Ok(log.begin(way.is_key())),
                    Admission::Wait => None,
                    Admission::Held(until) => Some(log.held(until)),
                }
            };
            match admission {
                Some(held) => return Err(held),
                None => judged.await,
            }
        }
    }

    /// Whether nothing may be sent now, however long one waits for requests under way.
    pub(super) async fn check(&self, way: &dyn Prove) -> Result<(), Error> {
        let made_of = self.made_of_if_held(way).await?;
        let mut log = self.log();
        match log.admission(Instant::now(), Nature::of(way), made_of) {
            Admission::Go | Admission::Wait => Ok(()),
            Admission::Held(until) => Err(log.held(until)),
        }
    }

    /// What the proof is made of, where that could make a difference.
    async fn made_of_if_held(&self, way: &dyn Prove) -> Result<Option<u64>, Error> {
        let held = matches!(&self.log().standing, Standing::Doubted(doubt) if Instant::now() < doubt.not_before);
        if held { way.made_of().await.map(Some) } else { Ok(None) }
    }

    /// Counts a log-in, which is about to be made.
    pub(super) fn log_in(&self, made_of: u64) -> Result<(), Error> {
        let mut log = self.log();
        let now = Instant::now();
        if let Some(until) = log.log_in_not_before(now, made_of) {
            return Err(log.held(until));
        }
        log.made.push_back(Attempt { at: now, refused: false });
        Ok(())
    }

    /// The log-in failed.
    pub(super) fn log_in_failed(&self, made_of: u64, why: &str) {
        self.log().doubt(Doubt { not_before: Instant::now() + SPACING, made_of, why: why.to_owned() });
        self.judged.notify_waiters();
    }

    /// The cloud took the proof.
    pub(super) fn accepted(&self, ticket: Ticket) {
        self.log().accepted(ticket);
        self.judged.notify_waiters();
    }

    /// The cloud refused the proof. With `another`, there is another one that may be tried at once.
    pub(super) fn refused(&self, ticket: Ticket, way: &dyn Prove, made_of: u64, another: bool, why: &str) -> bool {
        let renewed = self.log().refused(ticket, Instant::now(), Nature::of(way), made_of, another, why);
        self.judged.notify_waiters();
        renewed
    }

    /// The request ended without a verdict.
    pub(super) fn unjudged(&self) {
        self.log().end();
        self.judged.notify_waiters();
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn admission(&mut self, now: Instant, nature: Nature, made_of: Option<u64>) -> Admission {
        self.forget(now);
        let room = match &self.standing {
            // A token that is refused locks nobody out; the log-in for another one might, if that goes on and on.
            Standing::Trusted if !nature.is_key => {
                let goes_on = self.made.len() >= MAX_ATTEMPTS && self.made.iter().any(|attempt| attempt.refused);
                if goes_on { 0 } else { usize::MAX }
            }
            // So many are kept as it takes to learn when the account is let in again.
            Standing::Trusted | Standing::Unknown => {
                MAX_ATTEMPTS.saturating_sub(nature.to_learn).min(MAX_ATTEMPTS.saturating_sub(self.made.len()))
            }
            Standing::Doubted(doubt) => {
                if now < doubt.not_before && made_of.is_none_or(|made_of| made_of == doubt.made_of) {
                    return Admission::Held(doubt.not_before);
                }
                if self.made.len() + nature.to_learn <= MAX_ATTEMPTS { 1 } else { 0 }
            }
        };
        if self.under_way < room {
            Admission::Go
        } else if self.under_way > 0 {
            Admission::Wait
        } else {
            Admission::Held(self.room_again(nature.to_learn, now))
        }
    }

    /// When so many more attempts fit into the window.
    fn room_again(&self, attempts: usize, now: Instant) -> Instant {
        let too_many = (self.made.len() + attempts).saturating_sub(MAX_ATTEMPTS);
        too_many.checked_sub(1).and_then(|last| self.made.get(last)).map_or(now, |attempt| attempt.at + WINDOW)
    }

    fn log_in_not_before(&mut self, now: Instant, made_of: u64) -> Option<Instant> {
        self.forget(now);
        match &self.standing {
            Standing::Doubted(doubt) if now < doubt.not_before && made_of == doubt.made_of => Some(doubt.not_before),
            _ if self.made.len() >= MAX_ATTEMPTS => Some(self.room_again(1, now)),
            _ => None,
        }
    }

    fn begin(&mut self, is_key: bool) -> Ticket {
        self.under_way += 1;
        Ticket { turn: self.turn, counts: is_key || self.standing != Standing::Trusted }
    }

    fn end(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    fn accepted(&mut self, ticket: Ticket) {
        self.end();
        if ticket.turn == self.turn && self.standing != Standing::Trusted {
            self.standing = Standing::Trusted;
            self.turn += 1;
        }
    }

    /// Whether another proof may be tried at once.
    fn refused(
        &mut self,
        ticket: Ticket,
        now: Instant,
        nature: Nature,
        made_of: u64,
        another: bool,
        why: &str,
    ) -> bool {
        self.end();
        self.forget(now);
        let news = ticket.turn == self.turn;
        if ticket.counts || news {
            self.made.push_back(Attempt { at: now, refused: true });
        }
        if !news {
            // What was under way when another one was refused may go the way that the other one goes.
            return another;
        }
        // A proof that has been good may have ended; one that never was is not made better by another like it.
        let renew = another && self.standing == Standing::Trusted;
        let hold = if renew { Duration::ZERO } else { SPACING * nature.to_learn as u32 };
        self.doubt(Doubt { not_before: now + hold, made_of, why: why.to_owned() });
        renew
    }

    fn doubt(&mut self, doubt: Doubt) {
        self.standing = Standing::Doubted(doubt);
        self.turn += 1;
    }

    fn forget(&mut self, now: Instant) {
        while self.made.front().is_some_and(|attempt| attempt.at + WINDOW <= now) {
            self.made.pop_front();
        }
    }

    fn held(&self, until: Instant) -> Error {
        let why = match &self.standing {
            Standing::Doubted(doubt) => doubt.why.clone(),
            Standing::Unknown | Standing::Trusted => "again and again".to_owned(),
        };
        let shown = SystemTime::now() + until.saturating_duration_since(Instant::now());
        Error::Held { until: shown, at: until, why }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: Nature = Nature { is_key: true, to_learn: 1 };
    const TOKEN: Nature = Nature { is_key: false, to_learn: 1 };
    const USER: Nature = Nature { is_key: false, to_learn: 2 };
    const AGENCY: Nature = Nature { is_key: true, to_learn: 2 };

    const SECOND: Duration = Duration::from_secs(1);

    /// The most attempts within any window.
    fn most(times: &[Instant]) -> usize {
        let within = |begin: &Instant| times.iter().filter(|at| *at >= begin && **at < *begin + WINDOW).count();
        times.iter().map(within).max().unwrap_or_default()
    }

    /// An account of which every request is refused, asked each second as often as it likes for 15 minutes from the start.
    fn attempts_of_the_refused(nature: Nature, at_once: usize) -> Vec<Instant> {
        let (begin, mut log, mut made) = (Instant::now(), Log::default(), Vec::new());
        for second in 0..15 * 60 {
            let now = begin + SECOND * second;
            let mut tickets = Vec::new();
            while tickets.len() < at_once && log.admission(now, nature, Some(7)) == Admission::Go {
                tickets.push(log.begin(nature.is_key));
                let logs_in = nature.to_learn > 1 && tickets.len() == 1;
                if logs_in && log.log_in_not_before(now, 7).is_none() {
                    log.made.push_back(Attempt { at: now, refused: false });
                    made.push(now);
                }
            }
            for ticket in tickets {
                log.refused(ticket, now, nature, 7, nature.to_learn > 1, "no");
                made.push(now);
            }
        }
        made
    }

    #[test]
    fn constant_refusal_for_15_minutes_makes_at_most_four_attempts_in_any_five() {
        for nature in [KEY, TOKEN, USER, AGENCY] {
            for at_once in [1, 2, 10] {
                let made = attempts_of_the_refused(nature, at_once);
                assert!(most(&made) <= MAX_ATTEMPTS, "{nature:?} {at_once}: {made:?}");
                let last = made.last().unwrap().duration_since(made[0]);
                assert!(made.len() >= 9 && last > 2 * WINDOW, "{nature:?} {at_once}: it went on trying: {made:?}");
            }
        }
    }

    #[test]
    fn a_refused_account_tries_again_every_75_seconds_and_is_trusted_at_once_when_it_is_let_in() {
        let (begin, mut log) = (Instant::now(), Log::default());
        let ticket = log.begin(true);
        assert!(!log.refused(ticket, begin, KEY, 7, false, "no"));
        assert_eq!(log.admission(begin + 74 * SECOND, KEY, Some(7)), Admission::Held(begin + 75 * SECOND));
        let now = begin + 75 * SECOND;
        assert_eq!(log.admission(now, KEY, Some(7)), Admission::Go);
        let ticket = log.begin(true);
        assert_eq!(log.admission(now, KEY, Some(7)), Admission::Wait, "one tries, the others wait");
        log.accepted(ticket);
        assert_eq!(log.admission(now, KEY, Some(7)), Admission::Go);
        assert_eq!(log.standing, Standing::Trusted);
    }

    #[test]
    fn a_secret_that_was_changed_is_tried_at_once() {
        let (begin, mut log) = (Instant::now(), Log::default());
        let ticket = log.begin(true);
        log.refused(ticket, begin, KEY, 7, false, "no");
        assert_eq!(log.admission(begin + SECOND, KEY, Some(8)), Admission::Go);
        let ticket = log.begin(true);
        log.refused(ticket, begin + SECOND, KEY, 8, false, "no");
        assert_eq!(log.admission(begin + 2 * SECOND, KEY, Some(8)), Admission::Held(begin + 76 * SECOND));
    }

    #[test]
    fn a_token_that_ends_is_renewed_once_however_many_requests_it_was_on() {
        let (begin, mut log) = (Instant::now(), Log::default());
        log.made.push_back(Attempt { at: begin, refused: false });
        let first = log.begin(false);
        log.accepted(first);
        let now = begin + SECOND;
        let tickets: Vec<Ticket> = (0..4).map(|_| log.begin(false)).collect();
        assert!(tickets.into_iter().all(|ticket| log.refused(ticket, now, USER, 7, true, "ended")), "all try again");
        assert_eq!(log.admission(now, USER, Some(7)), Admission::Go);
        let again = log.begin(false);
        assert_eq!(log.log_in_not_before(now, 7), None);
        log.made.push_back(Attempt { at: now, refused: false });
        assert_eq!(log.admission(now, USER, Some(7)), Admission::Wait);
        log.accepted(again);
        assert_eq!(log.admission(now, USER, Some(7)), Admission::Go);
        assert_eq!(log.made.len(), 3, "two log-ins, and one refusal");
    }

    #[test]
    fn a_token_that_is_refused_though_it_is_new_is_not_renewed_at_once() {
        let (begin, mut log) = (Instant::now(), Log::default());
        log.made.push_back(Attempt { at: begin, refused: false });
        let ticket = log.begin(false);
        assert!(!log.refused(ticket, begin, USER, 7, true, "no"));
        assert_eq!(log.admission(begin, USER, Some(7)), Admission::Held(begin + 150 * SECOND));
    }

    #[test]
    fn a_late_verdict_says_nothing_of_how_things_stand_now() {
        let (begin, mut log) = (Instant::now(), Log::default());
        let first = log.begin(false);
        log.accepted(first);
        let (early, refused) = (log.begin(false), log.begin(false));
        log.refused(refused, begin, TOKEN, 7, false, "no");
        log.accepted(early);
        assert!(matches!(log.standing, Standing::Doubted(_)), "it was sent before the refusal was known");
    }

    #[derive(Clone, Debug)]
    enum Event {
        Pass(u64),
        Send,
        Verdict(usize, u8),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (1_u64..120).prop_map(Event::Pass),
            Just(Event::Send),
            Just(Event::Send),
            (0_usize..8, 0_u8..6).prop_map(|(which, verdict)| Event::Verdict(which, verdict)),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_a_key_is_never_refused_more_than_four_times_in_five_minutes(
            events in prop::collection::vec(event(), 0..300),
        ) {
            let (mut now, mut log, mut refused, mut under_way) =
                (Instant::now(), Log::default(), Vec::new(), Vec::new());
            for event in events {
                match event {
                    Event::Pass(seconds) => now += SECOND * seconds as u32,
                    Event::Send if log.admission(now, KEY, Some(7)) == Admission::Go => under_way.push(log.begin(true)),
                    Event::Verdict(which, verdict) if which < under_way.len() => {
                        let ticket = under_way.swap_remove(which);
                        match verdict {
                            0 => log.end(),
                            1 => log.accepted(ticket),
                            _ => {
                                refused.push(now);
                                log.refused(ticket, now, KEY, 7, false, "no");
                            }
                        }
                    }
                    Event::Send | Event::Verdict(..) => {}
                }
                prop_assert!(most(&refused) <= MAX_ATTEMPTS);
            }
        }

        #[test]
        fn whatever_happens_a_user_never_logs_in_more_than_four_times_in_five_minutes(
            events in prop::collection::vec(event(), 0..300),
        ) {
            let (mut now, mut log, mut log_ins, mut under_way, mut has_token) =
                (Instant::now(), Log::default(), Vec::new(), Vec::new(), false);
            for event in events {
                match event {
                    Event::Pass(seconds) => now += SECOND * seconds as u32,
                    Event::Send if log.admission(now, USER, Some(7)) == Admission::Go => {
                        if !has_token && log.log_in_not_before(now, 7).is_some() {
                            continue;
                        }
                        if !has_token {
                            log.made.push_back(Attempt { at: now, refused: false });
                            log_ins.push(now);
                            has_token = true;
                        }
                        under_way.push(log.begin(false));
                    }
                    Event::Verdict(which, verdict) if which < under_way.len() => {
                        let ticket = under_way.swap_remove(which);
                        match verdict {
                            0 => log.end(),
                            1 => log.accepted(ticket),
                            _ => {
                                has_token = false;
                                log.refused(ticket, now, USER, 7, true, "no");
                            }
                        }
                    }
                    Event::Send | Event::Verdict(..) => {}
                }
                prop_assert!(most(&log_ins) <= MAX_ATTEMPTS);
            }
        }
    }
}
