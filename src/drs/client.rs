//! One request to DRS: the attempts at it, within the account's budget and its log-in, and what came of them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Request};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::budget::Budget;
use super::error::{ApiError, Class, CodeBook, classify, is_empty_result, quota_window};
use super::tenure::{Tenure, Tenures};
use super::{Config, Tally, retry};
use crate::auth::{self, Login};
use crate::cloud::{self, BuildError, Failure, Http, Kind, ProjectId, Reply, one_line};
use crate::model::ErrorCode;

/// The header that names the language of messages, by the specification of `progress-data`.
const X_LANGUAGE: HeaderName = HeaderName::from_static("x-language");

/// Longest pause that an answer may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);

/// One account's connection to DRS, shared by all its jobs.
#[derive(Debug)]
pub struct Account {
    config: Config,
    http: Http,
    /// What the file of certificates held.
    certificates: Option<u64>,
    login: Arc<Login>,
    budget: Arc<Budget>,
    codes: Arc<CodeBook>,
    metrics: Metrics,
    /// Whoever asks holds it: its series go when nobody does any more.
    _tenure: Arc<Tenure>,
}

/// What is known of an account that outlives its connection: its attempts to log in, and how long it pauses.
#[derive(Clone, Debug)]
pub struct Past {
    config: Config,
    certificates: Option<u64>,
    login: Arc<Login>,
    budget: Arc<Budget>,
    codes: Arc<CodeBook>,
}

/// An account cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is no HTTP client for it.
    #[error(transparent)]
    Client(#[from] BuildError),
    /// There is no way in.
    #[error("account {account}: {error}")]
    Login {
        /// The account.
        account: String,
        /// Why.
        error: auth::Error,
    },
}

/// What is asked of DRS.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The value of the label `operation`.
    pub(super) operation: &'static str,
    /// The path below that of the project.
    pub(super) path: String,
    /// The query.
    pub(super) query: Vec<(&'static str, String)>,
    /// When the caller will give up.
    pub(super) deadline: Instant,
    /// Whom the request takes turns with, beside the account's others.
    pub(super) lane: Option<&'a Semaphore>,
}

impl Account {
    /// Prepares the connection, by a configuration that is [`Config::resolved`]; nothing is sent yet. It comes in the place of one
    /// with the past `before`, once [`Self::takes_over`] was called: no attempt to log in is forgotten, and no pause of the same DRS
    /// ends early.
    ///
    /// # Errors
    /// When the HTTP client cannot be made, or there is no way to log in.
    pub fn new(config: Config, metrics: Metrics, before: Option<&Past>) -> Result<Self, AccountError> {
        let account = config.account.clone();
        let no_login = |error| AccountError::Login { account: account.clone(), error };
        let network = &config.network;
        let certificates = network.certificates();
        let http = Http::new(&account, &config.endpoint, network, metrics.cloud.clone())?;
        let same = before.filter(|past| past.config.account == account);
        let login = match same.filter(|past| past.config.asks_as(&config) && past.certificates == certificates) {
            Some(past) => Arc::clone(&past.login),
            None => {
                let (auth, of_auth, of_cloud) = (config.auth.clone(), metrics.auth.clone(), metrics.cloud.clone());
                let before = before.map(|past| &*past.login);
                Arc::new(Login::new(&account, auth, network, of_auth, of_cloud, before).map_err(no_login)?)
            }
        };
        let budget = match before.filter(|past| past.config.endpoint == config.endpoint) {
            Some(past) if past.config.limits == config.limits => Arc::clone(&past.budget),
            Some(past) => Arc::new(past.budget.with(&config.limits)),
            None => Arc::new(Budget::new(&config.limits)),
        };
        let codes = same.map(|past| Arc::clone(&past.codes)).unwrap_or_default();
        let _tenure = metrics.tenure(&account);
        Ok(Self { config, http, certificates, login, budget, codes, metrics, _tenure })
    }

    /// Whether a connection by this configuration, which is [`Config::resolved`], would be the same.
    pub fn is_of(&self, config: &Config) -> bool {
        self.config == *config && self.certificates == config.network.certificates()
    }

    /// It is used from now on, in the place of one with the past `before`.
    pub fn takes_over(&self, before: &Past) {
        if !Arc::ptr_eq(&self.login, &before.login) {
            self.metrics.auth.forget_expiry(&self.config.account);
            self.login.takes_over();
        }
    }

    /// What is to be known of it by one that comes in its place.
    pub fn past(&self) -> Past {
        Past {
            config: self.config.clone(),
            certificates: self.certificates,
            login: Arc::clone(&self.login),
            budget: Arc::clone(&self.budget),
            codes: Arc::clone(&self.codes),
        }
    }

    /// Whether both ask the same cloud with the same log-in.
    pub(super) fn has_login_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.login, &other.login)
    }

    /// The account's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Asks DRS, and again where the fault may pass by itself; nothing where DRS says that its result is empty.
    ///
    /// # Errors
    /// When all attempts fail, and at once when the account pauses until after the deadline.
    pub(super) async fn ask<T>(
        &self,
        call: &Call<'_>,
        mut parse: impl FnMut(&[u8]) -> Result<T, String>,
        tally: &mut Tally,
    ) -> Result<Option<T>, ApiError> {
        let mut made = 1;
        let mut before = None;
        loop {
            let attempt = {
                // Never closed; were it, a request without a permit would still be a right one.
                let _lane = match call.lane {
                    Some(lane) => lane.acquire().await.ok(),
                    None => None,
                };
                self.attempt(call, &mut parse).await
            };
            let error = match attempt {
                Ok(answer) => {
                    tally.requests += 1;
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let Some(code) = error.code.clone() else {
                // What made the account pause says more than that it does.
                return Err(before.unwrap_or(error));
            };
            tally.requests += 1;
            *tally.errors.entry(code).or_default() += 1;
            match retry::delay(made, error.class, fastrand::f64()) {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(error),
            }
            before = Some(error);
            made += 1;
        }
    }

    /// Asks once, as soon as the budget and the log-in allow.
    async fn attempt<T>(
        &self,
        call: &Call<'_>,
        parse: impl FnMut(&[u8]) -> Result<T, String>,
    ) -> Result<Option<T>, ApiError> {
        self.login.check().await.map_err(ApiError::not_asked)?;
        let project = self.login.project().await.map_err(ApiError::not_asked)?;
        let queued = Instant::now();
        let admitted = self.budget.admit(call.deadline).await;
        self.metrics.waited(&self.config.account, queued.elapsed());
        let _permit = admitted.map_err(|paused| ApiError::paused(paused.until))?;
        let mut request = self.request(call, &project);
        let pass = self.login.prove(&mut request).await.map_err(ApiError::not_asked)?;
        let sent = self.http.send(call.operation, request, self.config.limits.max_response_bytes).await;
        let answer = match sent {
            Ok(reply) => interpret(&reply, parse),
            Err(failure) => Err(failed(failure)),
        };
        let answer = match answer {
            Ok(answer) => {
                pass.accepted();
                self.budget.answered();
                Ok(answer)
            }
            Err(mut error) => {
                match error.class {
                    Class::Throttled { named } => self.budget.throttled(named),
                    Class::Auth { .. } => error.class = Class::Auth { renewed: pass.refused(&error.what) },
                    Class::Forbidden | Class::Gone | Class::NotCallable => pass.accepted(),
                    Class::Transient | Class::Permanent => {}
                }
                Err(error)
            }
        };
        answer.map_err(|error| ApiError { code: error.code.map(|code| self.codes.bound(code)), ..error })
    }

    fn request(&self, call: &Call<'_>, project: &ProjectId) -> Request {
        let query: Vec<(&str, &str)> = call.query.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let url = self.config.endpoint.at(&format!("/v5/{project}{}", call.path), &query);
        let mut request = Request::new(Method::GET, url);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(X_LANGUAGE, HeaderValue::from_static(self.config.language.as_str()));
        if let Ok(project) = HeaderValue::from_str(project.as_str()) {
            headers.insert(HeaderName::from_static("x-project-id"), project);
        }
        request
    }
}

impl Past {
    /// The name that the account had.
    pub fn account(&self) -> &str {
        &self.config.account
    }

    /// Whether it asked as an account with this configuration will, whatever its name.
    pub fn asked_as(&self, config: &Config) -> bool {
        self.config.asks_as(config)
    }

    /// Whether there is anything in it that is to be known.
    pub fn matters(&self) -> bool {
        self.login.has_attempts() || self.budget.is_paused()
    }
}

/// What an answer says, whether it is a success or a failure; nothing where it says that the result is empty.
///
/// # Errors
/// When it is a failure, or a success that `parse` cannot read. What is told of it is one line of a bounded length, without the
/// secrets that were sent.
pub fn interpret<T>(reply: &Reply, mut parse: impl FnMut(&[u8]) -> Result<T, String>) -> Result<Option<T>, ApiError> {
    let parsed = reply.status.is_success().then(|| parse(&reply.body));
    if let Some(Ok(answer)) = parsed {
        return Ok(Some(answer));
    }
    let status = reply.status.as_u16();
    let refusal = reply.refusal();
    if let (Some(Err(error)), None) = (parsed, &refusal.code) {
        let what = format!(
            "DRS answered HTTP {status} with a body that is not what was asked for: {}",
            one_line(&reply.blank(&error))
        );
        return Err(ApiError::local(Class::Permanent, "decode", what));
    }
    let code = refusal.code.unwrap_or_default();
    if is_empty_result(&code) {
        return Ok(None);
    }
    let window = || quota_window(refusal.message.as_deref()?);
    let named = retry_after(&reply.headers).or_else(window).map(|pause| pause.min(MAX_PAUSE));
    let class = classify(status, &code, named);
    let counted = if code.is_empty() { ErrorCode::new(&format!("http_{status}")) } else { ErrorCode::new(&code) };
    let message = refusal.message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    let what = format!("DRS answered HTTP {status} {}{message}", one_line(&code));
    Err(ApiError { class, code: Some(counted), not_before: None, what: what.trim_end().to_owned() })
}

/// `Retry-After` in seconds. Its other form, a date, depends on two clocks and is not read; the backoff serves then.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A request that brought no whole answer.
fn failed(failure: Failure) -> ApiError {
    let class = match failure.kind {
        Kind::Timeout | Kind::Tls | Kind::Connect | Kind::Decode => Class::Transient,
        Kind::TooLarge | Kind::Redirect => Class::Permanent,
    };
    let what = match failure.kind {
        Kind::Redirect => format!("DRS answered {failure}"),
        _ => failure.to_string(),
    };
    ApiError::local(class, failure.kind.as_str(), what)
}

/// What is known of the requests of all accounts.
#[derive(Clone, Debug)]
pub struct Metrics {
    cloud: cloud::Metrics,
    auth: auth::Metrics,
    budget_wait: Family<AccountLabels, Counter<f64, AtomicU64>>,
    tenures: Tenures,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AccountLabels {
    account: String,
}

impl Metrics {
    /// Makes the metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let cloud = cloud::Metrics::register(registry);
        let auth = auth::Metrics::register(registry);
        let budget_wait = Family::default();
        registry.register(
            "drs_api_budget_wait_seconds",
            "Time that requests have waited for the account's budget, all of them together",
            budget_wait.clone(),
        );
        Self { cloud, auth, budget_wait, tenures: Tenures::default() }
    }

    /// For as long as somebody holds what is returned, these metrics tell of the account.
    fn tenure(&self, account: &str) -> Arc<Tenure> {
        let Self { cloud, auth, budget_wait, .. } = self;
        let (cloud, auth, budget_wait, name) = (cloud.clone(), auth.clone(), budget_wait.clone(), account.to_owned());
        self.tenures.of(account, move || {
            cloud.forget(&name);
            auth.forget(&name);
            budget_wait.remove(&AccountLabels { account: name.clone() });
        })
    }

    fn waited(&self, account: &str, waited: Duration) {
        let labels = AccountLabels { account: account.to_owned() };
        self.budget_wait.get_or_create(&labels).inc_by(waited.as_secs_f64());
    }
}
