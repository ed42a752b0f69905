//! The secrets that a request carries, so that they can be taken out of what is kept of its answer: gateways and proxies
//! repeat in their errors what they were sent.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::Request;
use url::Url;

/// What stands in the place of a secret.
const BLANK: &str = "[secret]";

/// Shortest text that is taken for a secret, in bytes. The cloud has none that are shorter, and words of a message would be
/// taken for them.
const MIN_SECRET_BYTES: usize = 6;

/// The secrets of one request. They never print.
#[derive(Clone, Default)]
pub struct Sent(Vec<String>);

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sent({} secrets)", self.0.len())
    }
}

impl Sent {
    /// Those of a proxy's address. User and password travel together, in Base64.
    pub(super) fn to_proxy(proxy: &Url) -> Self {
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = (plain(proxy.username()), plain(proxy.password().unwrap_or_default()));
        let mut sent = Self::default();
        sent.add(&BASE64_STANDARD.encode(format!("{user}:{password}")));
        sent.add(&password);
        sent
    }

    /// These and those in the headers that are marked as sensitive: each as a whole, and the values in it that may be
    /// repeated alone, such as the id of an access key.
    pub(super) fn and_of(mut self, request: &Request) -> Self {
        let sensitive = request.headers().values().filter(|value| value.is_sensitive());
        for value in sensitive.filter_map(|value| value.to_str().ok()) {
            self.add(value);
            value.split(", ").filter_map(|part| part.split_once('=')).for_each(|(_, value)| self.add(value));
        }
        self
    }

    /// One more, unless it is too short to be one.
    pub fn add(&mut self, secret: &str) {
        if secret.len() >= MIN_SECRET_BYTES {
            self.0.push(secret.to_owned());
        }
    }

    /// The text without them.
    pub(super) fn blank(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, BLANK))
    }
}

#[cfg(test)]
mod tests {
    use reqwest::Method;
    use reqwest::header::{AUTHORIZATION, HeaderValue};

    use super::*;

    #[test]
    fn what_was_sent_is_taken_out_whole_and_in_parts() {
        let mut request = Request::new(Method::GET, "http://drs.test".parse().unwrap());
        let mut proof = HeaderValue::from_static("SDK-HMAC-SHA256 Access=OURKEY, SignedHeaders=host, Signature=abcdef");
        proof.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, proof);
        request.headers_mut().insert("x-language", HeaderValue::from_static("en-us; this is no secret"));
        let mut sent = Sent::to_proxy(&"http://alice:open%3Asesame@proxy.test".parse().unwrap()).and_of(&request);
        sent.add("hunter2");
        sent.add("table");
        for (said, kept) in [
            (
                "no Authorization: SDK-HMAC-SHA256 Access=OURKEY, SignedHeaders=host, Signature=abcdef!",
                "no Authorization: [secret]!",
            ),
            ("key OURKEY, signature abcdef on host", "key [secret], signature [secret] on host"),
            ("Basic YWxpY2U6b3BlbjpzZXNhbWU= is open:sesame of alice", "Basic [secret] is [secret] of alice"),
            ("hunter2 has no table in en-us; this is no secret", "[secret] has no table in en-us; this is no secret"),
        ] {
            assert_eq!(sent.blank(said), kept);
        }
        assert_eq!(format!("{sent:?}"), "Sent(6 secrets)");
    }
}
