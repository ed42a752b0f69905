//! Answers of every status that say no, or say yes with a body that was not asked for: what is kept of them is one bounded line
//! without the secrets that were sent, a code that is one short token, and a pause that ends.
//!
//! Of the input, two bytes are the status, one says how long `Retry-After` is, so much is that header, and the rest is the body.

#![no_main]

use std::time::Duration;

use drs_exporter::cloud::{Reply, Sent};
use drs_exporter::drs::{Class, Page, interpret};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use libfuzzer_sys::{Corpus, fuzz_target};

/// What was sent, and stands in some of the seeds.
const SECRET: &str = "hunter2-hunter2";

/// Longer than code, message and advice together, each within its bound.
const LONGEST_LINE: usize = 1500;

fuzz_target!(|input: &[u8]| -> Corpus { read(input).map_or(Corpus::Reject, |()| Corpus::Keep) });

fn read(input: &[u8]) -> Option<()> {
    let (status, rest) = input.split_first_chunk()?;
    let status = StatusCode::from_u16(100 + u16::from_le_bytes(*status) % 500).ok()?;
    let (length, rest) = rest.split_first()?;
    let (retry_after, body) = rest.split_at_checked(usize::from(*length))?;
    let mut headers = HeaderMap::new();
    if !retry_after.is_empty() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_bytes(retry_after).ok()?);
    }
    let mut sent = Sent::default();
    sent.add(SECRET);
    let error = match interpret(&Reply::new(status, headers, body.to_vec(), sent), Page::parse) {
        Ok(Some(_)) => {
            assert!(status.is_success(), "a page was read out of HTTP {status}");
            return Some(());
        }
        Ok(None) => {
            assert!(holds(body, "M00002") || holds(body, "\\u"), "nothing said that the result is empty");
            return Some(());
        }
        Err(error) => error,
    };
    let line = error.to_string();
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert!(line.chars().count() <= LONGEST_LINE, "{line:?}");
    assert!(!line.contains(SECRET), "{line:?}");
    let code = error.code.as_ref().expect("an answer is counted by a code").as_str();
    assert!((1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_graphic()), "{code:?}");
    assert!(!code.contains(SECRET), "{code:?}");
    if let Class::Throttled { named: Some(pause) } = error.class {
        assert!(pause <= Duration::from_secs(60 * 60), "{pause:?}");
    }
    Some(())
}

fn holds(body: &[u8], word: &str) -> bool {
    body.windows(word.len()).any(|window| window == word.as_bytes())
}
