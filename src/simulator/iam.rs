//! Who is let in: by a token, by an access key, or by temporary keys from the metadata service; and where to get these. Pure:
//! time is passed in, as a time after 1970.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::signature::{Claim, Flaw};
use super::{Config, Request};

/// How long a token of the metadata service may be good for.
const METADATA_TOKEN_TTL: std::ops::RangeInclusive<u64> = 1..=21_600;

/// The last second of the year 9999, after which times cannot be written.
const LAST_TIME: Duration = Duration::from_secs(253_402_300_799);

/// What IAM and the metadata service know.
#[derive(Debug)]
pub(super) struct Iam {
    config: Config,
    /// How many tokens and keys there have been; each has its number in its name.
    issued: u64,
    tokens: Vec<Token>,
    metadata_tokens: Vec<Token>,
    keys: Vec<TemporaryKey>,
}

#[derive(Debug)]
struct Token {
    value: String,
    ends: Duration,
}

#[derive(Debug)]
struct TemporaryKey {
    access: String,
    secret: String,
    security_token: String,
    ends: Duration,
}

/// Why a request is not let in. The services say it differently.
#[derive(Debug)]
pub(super) enum Stranger {
    /// It says nothing of who it is.
    Nobody,
    /// Its token is unknown, or no longer good.
    Token,
    /// Its signature is not believed.
    Signature(String),
}

/// What a log-in gives.
#[derive(Debug)]
pub(super) struct LoggedIn {
    /// The header `X-Subject-Token`.
    pub(super) token: String,
    pub(super) body: Value,
}

impl Iam {
    pub(super) fn new(config: Config) -> Self {
        Self { config, issued: 0, tokens: Vec::new(), metadata_tokens: Vec::new(), keys: Vec::new() }
    }

    /// Lets a request in by its token or its signature.
    pub(super) fn authenticate(&self, request: &Request, now: Duration) -> Result<(), Stranger> {
        if let Some(token) = header(request, "x-auth-token") {
            let known = token == self.config.token || is_good(&self.tokens, token, now);
            return if known { Ok(()) } else { Err(Stranger::Token) };
        }
        let authorization = header(request, "authorization").ok_or(Stranger::Nobody)?;
        let claim = Claim::read(authorization)?;
        let secret = self.secret(claim.access_key, header(request, "x-security-token"), now)?;
        Ok(claim.verify(request, secret, now)?)
    }

    fn secret(&self, access_key: &str, security_token: Option<&str>, now: Duration) -> Result<&str, Stranger> {
        if access_key == self.config.access_key {
            return Ok(&self.config.secret_key);
        }
        let stranger = |why: &str| Stranger::Signature(why.to_owned());
        let key = self.keys.iter().find(|key| key.access == access_key);
        let key = key.ok_or_else(|| stranger("there is no such access key"))?;
        if security_token != Some(&key.security_token) {
            return Err(stranger("X-Security-Token is not the one of this temporary access key"));
        }
        if key.ends <= now {
            return Err(stranger("the temporary access key has ended"));
        }
        Ok(&key.secret)
    }

    /// `POST /v3/auth/tokens`.
    pub(super) fn log_in(&mut self, body: &[u8], now: Duration) -> Result<LoggedIn, Refusal> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| Refusal::iam(400, format!("The body is not JSON: {error}")))?;
        let text = |path: &str| body.pointer(path).and_then(Value::as_str);
        let needed = |path| text(path).ok_or_else(|| Refusal::iam(400, format!("There is no text at {path}.")));
        if body.pointer("/auth/identity/methods") != Some(&json!(["password"])) {
            return Err(Refusal::iam(400, "The only method is password."));
        }
        let user = needed("/auth/identity/password/user/name")?;
        let password = needed("/auth/identity/password/user/password")?;
        let domain = needed("/auth/identity/password/user/domain/name")?;
        let Config { project_id, region, .. } = &self.config;
        let right_project = match (text("/auth/scope/project/id"), text("/auth/scope/project/name")) {
            (Some(id), _) => id == project_id,
            (None, Some(name)) => name == region,
            (None, None) => return Err(Refusal::iam(400, "There is no id or name at /auth/scope/project.")),
        };
        if (user, password, domain) != (&self.config.user, &self.config.password, &self.config.domain) {
            return Err(Refusal::iam(401, "The username or password is wrong."));
        }
        if !right_project {
            return Err(Refusal::iam(404, "Could not find the project."));
        }
        let expires = now.saturating_add(self.config.token_ttl);
        let dies = self.config.token_dies_after.map_or(expires, |after| now.saturating_add(after));
        let answer = json!({
            "token": {
                "expires_at": written(expires),
                "issued_at": written(now),
                "methods": ["password"],
                "user": {"id": "simulated-user", "name": user, "domain": {"id": "simulated-domain", "name": domain}},
                "project": self.project(),
            }
        });
        let token = format!("simulated-token-{}", self.next());
        self.tokens.retain(|token| token.ends > now);
        self.tokens.push(Token { value: token.clone(), ends: dies.min(expires) });
        Ok(LoggedIn { token, body: answer })
    }

    /// `GET /v3/projects`.
    pub(super) fn projects(&self, name: Option<&str>) -> Value {
        let named = name.is_none_or(|name| name == self.config.region);
        json!({"projects": named.then(|| self.project()).as_slice()})
    }

    fn project(&self) -> Value {
        json!({
            "id": self.config.project_id,
            "name": self.config.region,
            "domain_id": "simulated-domain",
            "enabled": true,
        })
    }

    /// `PUT /meta-data/latest/api/token`.
    pub(super) fn metadata_token(&mut self, request: &Request, now: Duration) -> Result<String, Refusal> {
        let ttl = header(request, "x-metadata-token-ttl-seconds").and_then(|ttl| ttl.parse().ok());
        let Some(ttl) = ttl.filter(|ttl| METADATA_TOKEN_TTL.contains(ttl)) else {
            return Err(Refusal::iam(400, "X-Metadata-Token-Ttl-Seconds must be from 1 to 21600."));
        };
        let value = format!("simulated-metadata-token-{}", self.next());
        self.metadata_tokens.retain(|token| token.ends > now);
        self.metadata_tokens.push(Token { value: value.clone(), ends: now.saturating_add(Duration::from_secs(ttl)) });
        Ok(value)
    }

    /// `GET /openstack/latest/securitykey`; without a token as well, as a host that does not demand one answers.
    pub(super) fn security_key(&mut self, request: &Request, now: Duration) -> Result<Value, Refusal> {
        if header(request, "x-metadata-token").is_some_and(|token| !is_good(&self.metadata_tokens, token, now)) {
            return Err(Refusal::iam(401, "X-Metadata-Token is not good."));
        }
        let number = self.next();
        let key = TemporaryKey {
            access: format!("SIMULATEDTEMPORARYKEY{number}"),
            secret: format!("simulated-temporary-secret-{number}"),
            security_token: format!("simulated-security-token-{number}"),
            ends: now.saturating_add(self.config.token_ttl),
        };
        let answer = json!({
            "credential": {
                "access": key.access,
                "secret": key.secret,
                "securitytoken": key.security_token,
                "expires_at": written(key.ends),
            }
        });
        self.keys.retain(|key| key.ends > now);
        self.keys.push(key);
        Ok(answer)
    }

    fn next(&mut self) -> u64 {
        self.issued += 1;
        self.issued
    }
}

impl Stranger {
    /// As DRS says it, with the gateway before it.
    pub(super) fn to_drs(&self) -> Refusal {
        match self {
            Self::Nobody => Refusal::drs(401, "APIGW.0301", "Incorrect IAM authentication information"),
            Self::Token => Refusal::drs(403, "DRS.M00100", "The token is invalid."),
            Self::Signature(why) => gateway(why),
        }
    }

    /// As IAM says it.
    pub(super) fn to_iam(&self) -> Refusal {
        match self {
            Self::Nobody | Self::Token => Refusal::iam(401, "The request you have made requires authentication."),
            Self::Signature(why) => gateway(why),
        }
    }
}

impl From<Flaw> for Stranger {
    fn from(flaw: Flaw) -> Self {
        Self::Signature(flaw.to_string())
    }
}

fn gateway(why: &str) -> Refusal {
    Refusal::drs(401, "APIGW.0301", format!("Incorrect IAM authentication information: {why}"))
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

fn is_good(tokens: &[Token], value: &str, now: Duration) -> bool {
    tokens.iter().any(|token| token.value == value && token.ends > now)
}

/// `2026-11-23T19:00:00.000000Z`.
fn written(time: Duration) -> String {
    humantime::format_rfc3339_micros(SystemTime::UNIX_EPOCH + time.min(LAST_TIME)).to_string()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// 2023-11-14T22:13:20Z.
    const NOW: Duration = Duration::from_secs(1_700_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn iam() -> Iam {
        Iam::new(Config { token_ttl: HOUR, ..Config::default() })
    }

    fn log_in_body() -> Value {
        let user = json!({"name": "monitor", "password": "simulated-password", "domain": {"name": "simulated-domain"}});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        json!({"auth": {"identity": identity, "scope": {"project": {"name": "simulated-1"}}}})
    }

    fn log_in(iam: &mut Iam, now: Duration) -> LoggedIn {
        iam.log_in(log_in_body().to_string().as_bytes(), now).unwrap()
    }

    fn with(headers: &[(&str, &str)]) -> Request {
        let mut request = axum::http::Request::get("/v3/projects");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Bytes::new()).unwrap()
    }

    fn let_in(iam: &Iam, token: &str, now: Duration) -> bool {
        iam.authenticate(&with(&[("x-auth-token", token)]), now).is_ok()
    }

    #[test]
    fn each_log_in_gives_another_token_that_ends_when_it_says() {
        let mut iam = iam();
        let (one, other) = (log_in(&mut iam, NOW), log_in(&mut iam, NOW + HOUR / 2));
        assert_eq!((&one.token[..], &other.token[..]), ("simulated-token-1", "simulated-token-2"));
        assert_eq!(one.body["token"]["issued_at"], "2023-11-14T22:13:20.000000Z");
        assert_eq!(one.body["token"]["expires_at"], "2023-11-14T23:13:20.000000Z");
        assert_eq!(one.body["token"]["project"]["id"], "simulated-project");
        let almost = NOW + HOUR - Duration::from_millis(1);
        assert!(let_in(&iam, &one.token, almost) && let_in(&iam, &other.token, almost));
        assert!(!let_in(&iam, &one.token, NOW + HOUR) && let_in(&iam, &other.token, NOW + HOUR));
        assert!(let_in(&iam, "simulated-token", NOW + 1000 * HOUR));
        assert!(!let_in(&iam, "simulated-token-3", NOW));
    }

    #[test]
    fn a_token_can_die_early_without_a_word() {
        let dies = Some(Duration::from_secs(10));
        let mut iam = Iam::new(Config { token_dies_after: dies, ..Config::default() });
        let LoggedIn { token, body } = log_in(&mut iam, NOW);
        assert_eq!(body["token"]["expires_at"], "2023-11-15T22:13:20.000000Z");
        assert!(let_in(&iam, &token, NOW + Duration::from_secs(9)));
        assert!(!let_in(&iam, &token, NOW + Duration::from_secs(10)));
    }

    #[test]
    fn a_wrong_log_in_is_refused_as_iam_does() {
        let password = "/auth/identity/password/user/password";
        for (path, value, status) in [
            ("/auth/identity/password/user/name", json!("other"), 401),
            (password, json!("other"), 401),
            ("/auth/identity/password/user/domain/name", json!("other"), 401),
            ("/auth/scope/project", json!({"name": "other"}), 404),
            ("/auth/scope/project", json!({"id": "other", "name": "simulated-1"}), 404),
            ("/auth/scope/project", json!({}), 400),
            ("/auth/identity/methods", json!(["token"]), 400),
            (password, json!(1), 400),
            ("/auth", json!(null), 400),
        ] {
            let mut body = log_in_body();
            *body.pointer_mut(path).unwrap() = value.clone();
            let refusal = iam().log_in(body.to_string().as_bytes(), NOW).unwrap_err();
            assert_eq!(refusal.status, status, "{path}: {value}");
            assert_eq!(refusal.body["error"]["code"], status);
        }
        let mut wrong = log_in_body();
        *wrong.pointer_mut(password).unwrap() = json!("");
        let refusal = iam().log_in(wrong.to_string().as_bytes(), NOW).unwrap_err();
        let error = json!({"code": 401, "message": "The username or password is wrong.", "title": "Unauthorized"});
        assert_eq!(refusal.body, json!({"error": error}));
        assert_eq!(iam().log_in(b"{", NOW).unwrap_err().status, 400);
    }

    #[test]
    fn the_project_is_known_by_the_region() {
        let iam = iam();
        assert_eq!(iam.projects(Some("simulated-1"))["projects"][0]["id"], "simulated-project");
        assert_eq!(iam.projects(Some("other")), json!({"projects": []}));
    }

    #[test]
    fn temporary_keys_need_their_security_token_and_end() {
        let mut iam = iam();
        let credential = iam.security_key(&with(&[]), NOW).unwrap()["credential"].take();
        assert_eq!(credential["expires_at"], "2023-11-14T23:13:20.000000Z");
        let (access, token) = (credential["access"].as_str().unwrap(), credential["securitytoken"].as_str());
        assert_eq!(iam.secret(access, token, NOW).unwrap(), credential["secret"]);
        let why = |access, token, now| iam.secret(access, token, now).unwrap_err().to_drs().body.to_string();
        assert!(why(access, None, NOW).contains("X-Security-Token"));
        assert!(why(access, Some("other"), NOW).contains("X-Security-Token"));
        assert!(why(access, token, NOW + HOUR).contains("ended"));
        assert!(why("other", token, NOW).contains("no such access key"));
        assert_eq!(iam.secret("SIMULATEDACCESSKEY", None, NOW + 1000 * HOUR).unwrap(), "simulated-secret-key");
    }

    #[test]
    fn the_metadata_service_gives_tokens_for_a_while() {
        let mut iam = iam();
        let ttl = |seconds| with(&[("X-Metadata-Token-Ttl-Seconds", seconds)]);
        for wrong in [with(&[]), ttl("0"), ttl("21601"), ttl("day")] {
            assert_eq!(iam.metadata_token(&wrong, NOW).unwrap_err().status, 400);
        }
        let token = iam.metadata_token(&ttl("60"), NOW).unwrap();
        let ask = with(&[("X-Metadata-Token", &token)]);
        let (one, other) = (iam.security_key(&ask, NOW).unwrap(), iam.security_key(&ask, NOW).unwrap());
        assert_ne!(one["credential"]["access"], other["credential"]["access"]);
        assert_eq!(iam.security_key(&ask, NOW + Duration::from_secs(60)).unwrap_err().status, 401);
    }
}
