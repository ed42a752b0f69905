//! Users and their passwords, which are hashed so that each guess costs time: it is spent on one guess at a time, and never twice
//! on the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bcrypt::HashParts;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox, SecretSlice, SecretString};
use sha2::Sha256;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tracing::error;

/// How many guesses may wait for their turn; at 70 ms each, which a usual hash takes, the last one waits for a second.
const MOST_WAITING: usize = 16;

/// How many wrong guesses are remembered, so that one who has an old password does not keep the others waiting.
const MOST_WRONG: usize = 256;

/// Longest password in bytes: bcrypt leaves out what comes after, so a longer one would be good with another end as well.
const MAX_PASSWORD_BYTES: usize = 72;

/// The users that may read; everybody may where there are none.
#[derive(Debug, Default)]
pub(super) struct Users(BTreeMap<String, Hash>);

/// A password, hashed with bcrypt.
#[derive(Clone, Debug)]
pub(super) struct Hash(SecretString);

/// What is to be said to one who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may read.
    Welcome,
    /// It is nobody, or has another password.
    Unknown,
    /// Too many are waiting to be told.
    Busy,
}

/// Who says that it asks.
struct Claim {
    user: String,
    password: SecretSlice<u8>,
}

/// Tells whether users are who they say.
#[derive(Debug)]
pub(super) struct Passwords {
    /// What hides in memory what was asked, and is another in each process.
    key: SecretBox<[u8; 64]>,
    known: Mutex<Known>,
    turn: Arc<Semaphore>,
    room: Arc<Semaphore>,
}

/// What was found out.
#[derive(Debug, Default)]
struct Known {
    right: BTreeSet<Guess>,
    /// The newest last.
    wrong: VecDeque<Guess>,
}

/// A user, a hash and a password, as a number that nobody can turn back.
type Guess = [u8; 32];

impl Hash {
    /// Nothing where this is none.
    pub(super) fn new(text: SecretString) -> Option<Self> {
        let known = ["$2a$", "$2b$", "$2y$"].iter().any(|version| text.expose_secret().starts_with(version));
        let is_whole = text.expose_secret().parse::<HashParts>().is_ok();
        // To be whole is not to be good: what it was made with has to be possible as well.
        let cost = text.expose_secret().get(4..6).and_then(|cost| cost.parse::<u32>().ok());
        (known && is_whole && cost.is_some_and(|cost| (4..=31).contains(&cost))).then_some(Self(text))
    }
}

impl Users {
    pub(super) fn add(&mut self, name: String, hash: Hash) {
        self.0.insert(name, hash);
    }

    /// Whether everybody may read.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What to compare a password with, and whether that can be right. For one who is nobody it is the hash of another user, so that
    /// it takes as long.
    fn hash(&self, user: &str, any: usize) -> Option<(&Hash, bool)> {
        let own = self.0.get(user).map(|hash| (hash, true));
        own.or_else(|| self.0.values().nth(any.checked_rem(self.0.len())?).map(|hash| (hash, false)))
    }
}

impl Passwords {
    /// Knows nothing yet.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut key = [0; 64];
        getrandom::fill(&mut key)?;
        let (turn, room) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(MOST_WAITING)));
        Ok(Self { key: SecretBox::new(Box::new(key)), known: Mutex::default(), turn, room })
    }

    /// Whether one who sends this header may read.
    pub(super) async fn verdict(&self, users: &Users, authorization: Option<&HeaderValue>) -> Verdict {
        let Some(claim) = authorization.and_then(Claim::read) else { return Verdict::Unknown };
        let any = self.digest(&[claim.user.as_bytes()]);
        let Some((hash, can_be_right)) = users.hash(&claim.user, usize::from(any[0])) else { return Verdict::Unknown };
        let text = hash.0.expose_secret();
        let guess = self.digest(&[claim.user.as_bytes(), text.as_bytes(), claim.password.expose_secret()]);
        if let Some(verdict) = self.known().verdict(&guess) {
            return verdict;
        }
        let Ok(_waiting) = self.room.try_acquire() else { return Verdict::Busy };
        // The semaphore is never closed. The turn ends with the work, also where nobody waits for it any more.
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok();
        if let Some(verdict) = self.known().verdict(&guess) {
            return verdict;
        }
        let hash = hash.clone();
        let compared = spawn_blocking(move || {
            let equal = bcrypt::verify(claim.password.expose_secret(), hash.0.expose_secret());
            drop(turn);
            equal.unwrap_or(false) && claim.password.expose_secret().len() <= MAX_PASSWORD_BYTES
        });
        let is_equal =
            compared.await.inspect_err(|error| error!(%error, "a password cannot be checked; please report this"));
        let is_right = is_equal.unwrap_or(false) && can_be_right;
        self.known().learn(guess, is_right)
    }

    /// Forgets all of it, as when the users have changed.
    pub(super) fn forget(&self) {
        *self.known() = Known::default();
    }

    fn digest(&self, parts: &[&[u8]]) -> Guess {
        let mut mac = Hmac::<Sha256>::new(&(*self.key.expose_secret()).into());
        for part in parts {
            mac.update(&part.len().to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    // A panic cannot leave it half changed; so a poisoned lock is as good as any.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn verdict(&self, guess: &Guess) -> Option<Verdict> {
        if self.right.contains(guess) {
            return Some(Verdict::Welcome);
        }
        self.wrong.contains(guess).then_some(Verdict::Unknown)
    }

    fn learn(&mut self, guess: Guess, is_right: bool) -> Verdict {
        if is_right {
            // No more than there are users.
            self.right.insert(guess);
            return Verdict::Welcome;
        }
        if self.wrong.len() == MOST_WRONG {
            self.wrong.pop_front();
        }
        self.wrong.push_back(guess);
        Verdict::Unknown
    }
}

impl Claim {
    /// What `Authorization: Basic …` says.
    fn read(header: &HeaderValue) -> Option<Self> {
        let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded: SecretSlice<u8> = BASE64_STANDARD.decode(encoded.trim()).ok()?.into();
        let decoded = decoded.expose_secret();
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (user, password) = decoded.split_at_checked(colon)?;
        let user = String::from_utf8(user.to_vec()).ok()?;
        Some(Self { user, password: password.get(1..)?.to_vec().into() })
    }
}
