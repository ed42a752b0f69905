//! From what is written to what is meant: what is possible, and what goes together.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};

use super::clients::{Policy, San};
use super::rate::{Rate, duration};
use super::raw::{self, Interval, Secret};
use super::tls::{Pem, Tls, Version, cipher_suite, curve};
use super::users::{Hash, Users};
use super::{Problems, WebConfig};

/// Headers that can be added, and what they may say where not all makes sense.
const HEADERS: [(&str, &[&str]); 5] = [
    ("content-security-policy", &[]),
    ("x-frame-options", &["deny", "sameorigin"]),
    ("x-content-type-options", &["nosniff"]),
    ("x-xss-protection", &[]),
    ("strict-transport-security", &[]),
];

/// Checks all of it.
pub(super) fn resolve(file: raw::File, folder: &Path) -> Result<WebConfig, Problems> {
    let mut resolver = Resolver { folder, problems: Vec::new() };
    let http = file.http_server_config.unwrap_or_default();
    let config = WebConfig {
        tls: file.tls_server_config.and_then(|tls| resolver.tls(tls)),
        http2: http.http2.unwrap_or(true),
        headers: resolver.headers(http.headers.map(|raw::Map(headers)| headers).unwrap_or_default()),
        users: resolver.users(file.basic_auth_users.map(|raw::Map(users)| users).unwrap_or_default()),
        rate: file.rate_limit.and_then(|rate| resolver.rate(&rate)),
    };
    if resolver.problems.is_empty() { Ok(config) } else { Err(Problems(resolver.problems)) }
}

struct Resolver<'a> {
    folder: &'a Path,
    problems: Vec<String>,
}

impl Resolver<'_> {
    fn problem(&mut self, key: &str, what: impl AsRef<str>) {
        self.problems.push(format!("{key}: {}", what.as_ref()));
    }

    fn tls(&mut self, raw: raw::Tls) -> Option<Tls> {
        let is_named = |file: &Option<String>| file.as_ref().is_some_and(|file| !file.is_empty());
        let halves = [raw.cert.is_some() || is_named(&raw.cert_file), raw.key.is_some() || is_named(&raw.key_file)];
        let cert = self.pem("cert", raw.cert, raw.cert_file);
        let key = self.pem("key", raw.key, raw.key_file);
        let client_ca = self.pem("client_ca", raw.client_ca, raw.client_ca_file);
        for (name, is_written) in ["cert", "key"].into_iter().zip(halves) {
            if !is_written {
                self.problem("tls_server_config", format!("expected `{name}_file` or `{name}`; TLS needs both halves"));
            }
        }
        let policy = self.policy(raw.client_auth_type.as_deref().unwrap_or_default());
        if client_ca.is_some() && policy == Some(Policy::None) {
            self.problem(
                "tls_server_config.client_auth_type",
                "is left out, so nobody would be checked by the client CA",
            );
        }
        if client_ca.is_none() && policy.is_some_and(Policy::checks) {
            self.problem(
                "tls_server_config.client_auth_type",
                "expected `client_ca_file` or `client_ca` to check clients by",
            );
        }
        if raw.client_allowed_sans.as_ref().is_some_and(Vec::is_empty) {
            self.problem("tls_server_config.client_allowed_sans", "names nobody; leave it out to let in every name");
        }
        let sans: Vec<San> = raw.client_allowed_sans.unwrap_or_default().iter().map(|san| San::new(san)).collect();
        if !sans.is_empty() && policy.is_some_and(|policy| !policy.requires()) {
            self.problem(
                "tls_server_config.client_allowed_sans",
                "expected a `client_auth_type` that requires a certificate: RequireAnyClientCert or RequireAndVerifyClientCert",
            );
        }
        let min = self.version("min_version", raw.min_version.as_deref()).unwrap_or(Version::Tls12);
        let max = self.version("max_version", raw.max_version.as_deref()).unwrap_or(Version::Tls13);
        if min > max {
            self.problem("tls_server_config.min_version", "is above max_version");
        }
        let suites = self.known("cipher_suites", raw.cipher_suites, cipher_suite);
        let is_tls12 =
            |suite: &rustls::SupportedCipherSuite| suite.version().version == rustls::ProtocolVersion::TLSv1_2;
        if max == Version::Tls12 && suites.as_ref().is_some_and(|suites| !suites.iter().any(is_tls12)) {
            self.problem("tls_server_config.cipher_suites", "has none for TLS 1.2, which `max_version` asks for");
        }
        let curves = self.known("curve_preferences", raw.curve_preferences, curve);
        let prefers_own_suites = raw.prefer_server_cipher_suites.unwrap_or(true);
        let (cert, key, policy) = (cert?, key?, policy?);
        Some(Tls { cert, key, client_ca, policy, sans, min, max, suites, curves, prefers_own_suites })
    }

    /// What is in the file or a file that is named; an empty name is none, as in the format.
    fn pem(&mut self, key: &str, inline: Option<Secret>, file: Option<String>) -> Option<Pem> {
        match (inline, file.filter(|file| !file.is_empty())) {
            (Some(_), Some(_)) => {
                self.problem("tls_server_config", format!("expected `{key}` or `{key}_file`, not both"));
                None
            }
            (Some(Secret(text)), None) => Some(Pem::Inline(text)),
            (None, Some(file)) => Some(Pem::File(self.folder.join(PathBuf::from(file)))),
            (None, None) => None,
        }
    }

    fn policy(&mut self, name: &str) -> Option<Policy> {
        let policy = Policy::named(name);
        if policy.is_none() {
            self.problem(
                "tls_server_config.client_auth_type",
                "expected NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert",
            );
        }
        policy
    }

    fn version(&mut self, key: &str, name: Option<&str>) -> Option<Version> {
        let version = name.filter(|name| !name.is_empty()).map(Version::named)?;
        version.map_err(|problem| self.problem(&format!("tls_server_config.{key}"), problem)).ok()
    }

    /// What is meant by these names; nothing where there are none.
    fn known<T>(
        &mut self,
        key: &str,
        names: Option<Vec<String>>,
        named: fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let mut all = Vec::new();
        for name in names.unwrap_or_default() {
            match named(&name) {
                Ok(known) => all.push(known),
                Err(problem) => self.problem(&format!("tls_server_config.{key}"), problem),
            }
        }
        Some(all).filter(|all| !all.is_empty())
    }

    fn headers(&mut self, raw: impl IntoIterator<Item = (String, Option<String>)>) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for (name, text) in raw {
            let key = format!("http_server_config.headers.{name}");
            let Some((known, choice)) = HEADERS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)) else {
                self.problem(&key, "this header cannot be added");
                continue;
            };
            let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
            if !choice.is_empty() && !choice.contains(&&text[..]) {
                self.problem(&key, format!("expected {}", choice.join(" or ")));
            }
            match HeaderValue::try_from(text) {
                Ok(value) => headers.push((HeaderName::from_static(known), value)),
                Err(_) => self.problem(&key, "has characters that no header may have"),
            }
        }
        headers
    }

    fn users(&mut self, raw: impl IntoIterator<Item = (String, Secret)>) -> Users {
        let mut users = Users::default();
        for (name, Secret(hash)) in raw {
            if name.contains(':') {
                self.problem(
                    "basic_auth_users",
                    format!("the user `{name}` has a colon in its name, which no browser can send"),
                );
            }
            match Hash::new(hash) {
                Some(hash) => users.add(name, hash),
                None => self.problem(
                    &format!("basic_auth_users.{name}"),
                    "expected a password hashed with bcrypt, such as `htpasswd -nBC 10 NAME` makes",
                ),
            }
        }
        users
    }

    fn rate(&mut self, raw: &raw::Rate) -> Option<Rate> {
        let interval = match &raw.interval {
            None | Some(Interval::Number(0)) => Some(Duration::ZERO),
            Some(Interval::Text(text)) => duration(text),
            Some(Interval::Number(_) | Interval::Other(_)) => None,
        };
        let Some(interval) = interval else {
            self.problem("rate_limit.interval", "expected the time between two requests, such as 100ms or 1s");
            return None;
        };
        if interval.is_zero() {
            return None;
        }
        let Some(burst) = raw.burst.and_then(NonZeroU32::new) else {
            self.problem(
                "rate_limit.burst",
                "expected how many requests may come at once, 1 or more; with 0 none would be answered",
            );
            return None;
        };
        let rate = Rate::new(interval, burst);
        if rate.is_none() {
            self.problem("rate_limit", "expected `interval` times `burst` to be 100 years at most");
        }
        rate
    }
}
