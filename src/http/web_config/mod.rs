//! Who may read, and how it is served: the file of `--web.config.file`, in the format that Prometheus's exporter-toolkit has.
//!
//! Reading order: `raw` (what may be written), `resolve` (what it means), `tls` and `clients` (how a connection is made safe, and who
//! may make one), `users` (passwords), `rate`, `guard` (reads the file again and again, and stands before every answer).
//!
//! All that the format has is taken, but for what rustls does not do; that is refused, never ignored:
//!
//! 1. TLS 1.0 and 1.1.
//! 2. Cipher suites with CBC, or with RSA to exchange keys.
//! 3. The curve P-521.
//! 4. Checking clients by the authorities of the system: `client_ca` or `client_ca_file` has to name them.
//! 5. A client's certificate that is an authority itself: such a client is turned away when it connects.

mod clients;
mod guard;
mod rate;
mod raw;
mod resolve;
mod tls;
mod users;

pub use guard::Unusable;
pub(super) use guard::{Closed, Guard, guard};

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use axum::http::{HeaderName, HeaderValue};

use self::rate::Rate;
use self::tls::Tls;
use self::users::Users;

/// What a file says, checked and complete.
#[derive(Debug, Default)]
pub struct WebConfig {
    tls: Option<Tls>,
    /// Whether HTTP/2 is spoken, which needs TLS.
    http2: bool,
    /// What each answer says beside what it says itself.
    headers: Vec<(HeaderName, HeaderValue)>,
    users: Users,
    rate: Option<Rate>,
}

/// What is wrong with a file, all of it.
#[derive(Debug, thiserror::Error)]
pub struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl WebConfig {
    /// Reads the text of a file that is in `folder`, from where the files start that it names; these are not read.
    ///
    /// # Errors
    /// All that is wrong, without any secret.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Problems> {
        resolve::resolve(raw::read(text)?, folder)
    }

    /// What is asked of one who reads.
    fn asks_for(&self) -> BTreeSet<&'static str> {
        let tls = self.tls.as_ref();
        let asked = [
            ("passwords", !self.users.is_empty()),
            ("client certificates", tls.is_some_and(|tls| tls.policy.requires())),
            ("client_allowed_sans", tls.is_some_and(|tls| !tls.sans.is_empty())),
        ];
        asked.into_iter().filter(|(_, is_asked)| *is_asked).map(|(what, _)| what).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze";

    fn parse(text: &str) -> Result<WebConfig, Problems> {
        WebConfig::parse(text, Path::new("/etc/drs-exporter"))
    }

    #[test]
    fn every_key_of_the_format_is_taken() {
        let of_files = format!(
            "tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus, 10.0.0.7, ops@example.com, 'spiffe://example/prometheus']
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: true
  curve_preferences: [X25519MLKEM768, X25519, CurveP256, CurveP384]
http_server_config:
  http2: true
  headers:
    Content-Security-Policy: default-src 'self'
    X-Frame-Options: deny
    X-Content-Type-Options: nosniff
    X-XSS-Protection:
    Strict-Transport-Security: max-age=31536000
basic_auth_users: {{alice: {HASH}, bob: {HASH}}}
rate_limit: {{interval: 100ms, burst: 20}}
"
        );
        let inline = "tls_server_config: {cert: PEM, key: PEM, client_ca: PEM, client_auth_type: RequestClientCert}";
        for text in [of_files.as_str(), inline, "", "# nothing yet\n", "basic_auth_users:\nrate_limit:\n"] {
            assert!(parse(text).is_ok(), "{text}: {}", parse(text).unwrap_err());
        }
        let config = parse(&of_files).unwrap();
        assert_eq!(config.asks_for(), ["client certificates", "client_allowed_sans", "passwords"].into());
        assert_eq!(config.headers.len(), 4, "one is blank, which is none");
    }

    #[test]
    fn hashes_that_are_none_are_refused_without_being_repeated() {
        for hash in
            ["hunter2", "$2x$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze", &HASH[..59], "$1$hunter2"]
        {
            let said = parse(&format!("basic_auth_users: {{alice: '{hash}'}}")).unwrap_err().to_string();
            assert!(said.starts_with("basic_auth_users.alice: ") && !said.contains(hash), "{said}");
        }
        for cost in ["03", "32", "99"] {
            assert!(
                parse(&format!("basic_auth_users: {{alice: '{}'}}", HASH.replace("$10$", &format!("${cost}$"))))
                    .is_err()
            );
        }
    }

    /// Keys and values of the format, in places where they belong and where they do not.
    fn somewhat_like_a_file() -> impl Strategy<Value = String> {
        let keys = "tls_server_config|http_server_config|basic_auth_users|rate_limit|headers|interval|burst|cert|key_file|min_version\
            |cipher_suites|curve_preferences|client_allowed_sans|X-Frame-Options|alice";
        let values = format!(
            "[0-9]{{1,20}}(ns|ms|s|h)?|\\[\\]|\\{{\\}}|TLS1[0-3]|CurveP(256|521)|deny|true|-1|[0-9].[0-9]e[0-9]{{1,3}}|{}|.{{0,12}}",
            HASH.replace('$', "[$]").replace('.', "[.]")
        );
        let line = ("(  ){0,2}", keys, ": ?", proptest::string::string_regex(&values).unwrap());
        let line = line.prop_map(|(indent, key, colon, value)| format!("{indent}{key}{colon}{value}\n"));
        proptest::collection::vec(line, 0..8).prop_map(|lines| lines.concat())
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in prop_oneof![".{0,200}", somewhat_like_a_file()]) {
            let _ = parse(&text);
        }

        #[test]
        fn no_rate_makes_it_panic(interval in any::<u64>(), unit in "ns|us|ms|s|m|h", burst in any::<u32>()) {
            if let Ok(WebConfig { rate: Some(rate), .. }) = parse(&format!("rate_limit: {{interval: {interval}{unit}, burst: {burst}}}")) {
                prop_assert!(rate.allows());
            }
        }

        #[test]
        fn a_key_that_is_unknown_is_refused_at_each_level(key in "[a-z_]{1,30}", section in 0..4_usize) {
            let known = ["burst", "cert", "client_ca", "client_ca_file", "http2", "interval", "key", "null", "true", "false", "y", "n"];
            prop_assume!(!known.contains(&&*key) && !key.ends_with("_file"));
            let whole = ["KEY: 1", "tls_server_config: {cert: A, key: B, KEY: 1}", "http_server_config: {KEY: 1}", "rate_limit: {KEY: 1}"];
            let said = parse(&whole[section].replace("KEY", &key)).unwrap_err().to_string();
            prop_assert!(said.contains("unknown field"), "{}", said);
        }
    }
}
