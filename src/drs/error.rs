//! What a failed request means, and for how many reasons a failure is counted.
//!
//! The codes are those of the vendor's error tables for DRS and API Gateway and of its SDKs. Their length is never
//! checked: the specification says 12 characters, and its own example, `DRS.M05003`, has 10.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::auth;
use crate::model::ErrorCode;

/// How many different codes one account is counted by; a code after that is `other`.
const MAX_CODES: usize = 64;

/// What a failure asks of the poller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Fewer requests, and none for the time that the cloud named, if it did.
    Throttled {
        /// By `Retry-After`, or as the window of the quota.
        named: Option<Duration>,
    },
    /// Another proof of who is asking.
    Auth {
        /// Whether there is another one, which is worth a try at once.
        renewed: bool,
    },
    /// More permissions, or another project: who is asking is known, and may not.
    Forbidden,
    /// Nothing: DRS does not know the job, or has deleted it.
    Gone,
    /// Patience: the call is not possible in the job's present state.
    NotCallable,
    /// Another try soon.
    Transient,
    /// A look by a person.
    Permanent,
}

/// A request that brought no answer that could be used: what happened, what it is counted by, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{what}; {}", self.advice())]
pub struct ApiError {
    /// What it asks of the poller.
    pub class: Class,
    /// What it is counted by; nothing where no request was sent.
    pub code: Option<ErrorCode>,
    /// Where it is no use to ask again before: when it will be.
    pub not_before: Option<Instant>,
    pub(super) what: String,
}

impl ApiError {
    /// A failure that brought no answer of DRS's own: `word` is counted.
    pub(super) fn local(class: Class, word: &str, what: String) -> Self {
        Self { class, code: Some(ErrorCode::new(word)), not_before: None, what }
    }

    /// DRS was not asked, since nothing could be made that proves who is asking, or not yet.
    pub(super) fn not_asked(error: auth::Error) -> Self {
        // An account that may not try again yet has told before what went wrong.
        let (code, not_before) = match &error {
            auth::Error::Held { at, .. } => (None, Some(*at)),
            _ => (Some(ErrorCode::new("log_in")), None),
        };
        Self { class: Class::Auth { renewed: false }, code, not_before, what: error.to_string() }
    }

    /// The account pauses, and no request was sent.
    pub(super) fn paused(until: SystemTime) -> Self {
        // There is no such text for a time before 1970, which a wrong clock may show.
        let until = humantime::format_rfc3339_seconds(until.max(SystemTime::UNIX_EPOCH));
        let what = format!("the account makes no request before {until}, since DRS asked for fewer");
        Self { class: Class::Throttled { named: None }, code: None, not_before: None, what }
    }

    fn advice(&self) -> &'static str {
        match (self.class, self.code.as_ref().map_or("", ErrorCode::as_str)) {
            (_, "redirect") => "redirects are not followed, since secrets would go with them: correct `endpoint`",
            (_, "too_large") => "raise `limits.max_response_bytes` or lower `poll.page_size`",
            (_, "tls") => {
                "check that `endpoint` is the right host and that its certificate is trusted here (`ca_file`) and valid by this \
                 host's clock; a certificate of ours cannot be shown"
            }
            (_, "connect") => "check `region` or `endpoint`, DNS, the proxy and the network; the next poll tries again",
            (_, "timeout") => "the next poll tries again; raise `limits.timeout` if DRS is just slow",
            (_, "decode") => "check that `endpoint` is DRS and not a proxy or a log-in page",
            (_, "DRS.M00261") => "correct `project_id`",
            (_, "DRS.M00102" | "DRS.M00103") => "give the user the permission to read DRS jobs",
            (_, "DRS.M05003") => "check the job's id, `project_id` and `endpoint`",
            (Class::Throttled { .. }, _) => "lower `limits.requests_per_second`, or poll less often",
            (Class::Auth { .. }, "log_in" | "") => "DRS was not asked",
            (Class::Auth { .. }, _) => {
                "check the account's `auth`: a token may have ended, a key may be wrong or this host's clock"
            }
            (Class::Forbidden, _) => "give the user the permission to read DRS jobs; it is asked again, but not often",
            (Class::Gone, _) => "take the job out of the configuration",
            (Class::NotCallable, _) => "nothing to do: it is asked again, rarely",
            (Class::Transient, _) => "the next poll tries again",
            (Class::Permanent, _) => "check `endpoint`, since not every region answers this call, and `project_id`",
        }
    }
}

/// What an answer that is no success means, by its code and, where there is none that is known, by its HTTP status.
pub(super) fn classify(status: u16, code: &str, named: Option<Duration>) -> Class {
    match code {
        "DRS.M01503" | "APIGW.0308" | "APIG.0308" => Class::Throttled { named },
        "DRS.M00100" | "APIGW.0301" | "APIG.0301" => Class::Auth { renewed: false },
        "DRS.M00102" | "DRS.M00103" | "DRS.M00261" => Class::Forbidden,
        "DRS.M05003" | "DRS.M05004" | "DRS.M00289" | "DRS.10000010" => Class::Gone,
        "DRS.M00304" => Class::NotCallable,
        "DRS.M00004" => Class::Transient,
        _ => match status {
            429 => Class::Throttled { named },
            401 => Class::Auth { renewed: false },
            403 => Class::Forbidden,
            408 | 500..=599 => Class::Transient,
            _ => Class::Permanent,
        },
    }
}

/// The window of a quota that the gateway names in words: `limit:10,time:1 second`.
pub(super) fn quota_window(message: &str) -> Option<Duration> {
    let (_, after) = message.split_once("time:")?;
    let (number, unit) = after.trim_start().split_once(' ')?;
    let seconds = match unit.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next()?.trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 60 * 60,
        _ => return None,
    };
    number.parse::<u32>().ok().map(|number| Duration::from_secs(seconds) * number)
}

/// Whether an answer says that the listing is empty, which is no failure.
pub(super) fn is_empty_result(code: &str) -> bool {
    code == "DRS.M00002"
}

/// Which codes of an account are counted by name, so that a server cannot make series without end.
#[derive(Debug, Default)]
pub(super) struct CodeBook {
    known: Mutex<BTreeSet<ErrorCode>>,
}

impl CodeBook {
    /// The code itself while there is room for it, else `other`.
    pub(super) fn bound(&self, code: ErrorCode) -> ErrorCode {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&code) {
            return code;
        }
        if known.len() >= MAX_CODES {
            return ErrorCode::other();
        }
        known.insert(code.clone());
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_mean_what_the_vendor_says() {
        let (throttled, auth) = (Class::Throttled { named: None }, Class::Auth { renewed: false });
        let table = [
            (400, "DRS.M05003", Class::Gone),
            (400, "DRS.M05004", Class::Gone),
            (400, "DRS.M00289", Class::Gone),
            (400, "DRS.10000010", Class::Gone),
            (400, "DRS.M01503", throttled),
            (400, "DRS.M00304", Class::NotCallable),
            (403, "DRS.M00100", auth),
            (401, "DRS.M00102", Class::Forbidden),
            (403, "DRS.M00103", Class::Forbidden),
            (403, "DRS.M00261", Class::Forbidden),
            (422, "DRS.M00004", Class::Transient),
            (500, "DRS.M00004", Class::Transient),
            (429, "APIGW.0308", throttled),
            (429, "APIG.0308", throttled),
            (401, "APIGW.0301", auth),
            (401, "APIG.0301", auth),
            (429, "", throttled),
            (401, "", auth),
            (403, "NEW.1", Class::Forbidden),
            (502, "", Class::Transient),
            (404, "APIGW.0101", Class::Permanent),
            (400, "DRS.M00202", Class::Permanent),
        ];
        for (status, code, class) in table {
            assert_eq!(classify(status, code, None), class, "{status} {code}");
        }
    }

    #[test]
    fn the_window_of_a_quota_is_read_from_words() {
        let seconds = |text| quota_window(text).map(|window| window.as_secs());
        let real = "The throttling threshold has been reached: policy user over ratelimit,limit:10,time:1 second";
        assert_eq!(seconds(real), Some(1));
        assert_eq!(seconds("limit:60,time:1 minute"), Some(60));
        assert_eq!(seconds("limit:60,time:2 minutes."), Some(120));
        for nothing in ["", "time:", "time:1", "time:x second", "time:1 fortnight", "time:99999999999 second"] {
            assert_eq!(seconds(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn the_65th_code_of_an_account_is_other() {
        let book = CodeBook::default();
        for n in 0..64 {
            let code = ErrorCode::new(&format!("DRS.{n}"));
            assert_eq!(book.bound(code.clone()), code);
        }
        assert_eq!(book.bound(ErrorCode::new("DRS.64")), ErrorCode::other());
        assert_eq!(book.bound(ErrorCode::new("DRS.63")).as_str(), "DRS.63");
    }

    #[test]
    fn a_code_is_one_short_token_of_any_sensible_length() {
        for kept in ["DRS.M05003", "DRS.10000010", "APIGW.0308", "7", &"x".repeat(64)] {
            assert_eq!(ErrorCode::new(kept).as_str(), kept);
        }
        for other in ["", "two words", "a\nb", "ü", "a\"b", &"x".repeat(65)] {
            assert_eq!(ErrorCode::new(other), ErrorCode::other());
        }
    }
}
