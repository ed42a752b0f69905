//! One attempt at one request: headers, limits, and what came of it.

use std::io;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode, redirect};
use tokio::time::Instant;

use super::budget::Budget;
use super::error::{ApiError, Class, CodeBook, classify, is_empty_result, quota_window};
use super::{Config, wire};
use crate::auth::{self, Token};
use crate::model::{ErrorCode, JobId, ObjectType};

/// The header that names the language of messages, by the specification of `progress-data`.
const X_LANGUAGE: HeaderName = HeaderName::from_static("x-language");

/// Largest body of a failure that is read, in bytes. A longer one is a page for people.
const MAX_ERROR_BODY_BYTES: u64 = 64 * 1024;

/// Longest pause that an answer may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Upper bounds of the request duration buckets, in seconds; the default timeout is 10 s.
const DURATION_BUCKETS: [f64; 9] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The value of the label `operation` for `progress-data`.
const PROGRESS_DATA: &str = "progress_data";

/// One account's connection to DRS, shared by all its jobs.
#[derive(Debug)]
pub struct Account {
    config: Config,
    http: reqwest::Client,
    token: Token,
    budget: Budget,
    codes: CodeBook,
    metrics: Metrics,
}

/// The HTTP client could not be made, most likely because the system's certificates cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot make the HTTP client of account {account}: {error}; check the system's CA certificates and *_PROXY variables"
)]
pub struct ClientError {
    account: String,
    error: reqwest::Error,
}

/// A part of a listing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Rows wanted at the most.
    pub(super) limit: u32,
    /// Where the part begins, in whatever the API counts.
    pub(super) offset: u64,
}

/// What DRS answered to a request that did not fail.
#[derive(Debug)]
pub(super) enum Answer {
    /// A page, which may have no rows.
    Page(wire::Page),
    /// "Result empty": there is nothing here.
    Nothing,
}

impl Account {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(config: Config, metrics: Metrics) -> Result<Self, ClientError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("drs-exporter/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .timeout(config.limits.timeout);
        if config.endpoint.is_loopback() {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| ClientError { account: config.account.clone(), error })?;
        let auth::Config::Token(secret) = &config.auth;
        let token = Token::new(secret.clone());
        let budget = Budget::new(&config.limits);
        Ok(Self { config, http, token, budget, codes: CodeBook::default(), metrics })
    }

    /// The account's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Asks once for a part of a listing, as soon as the budget allows.
    ///
    /// # Errors
    /// When the request fails, and at once when the account pauses until after `deadline`.
    pub(super) async fn page(
        &self,
        job: &JobId,
        object_type: ObjectType,
        window: Window,
        deadline: Instant,
    ) -> Result<Answer, ApiError> {
        let queued = Instant::now();
        let admitted = self.budget.admit(deadline).await;
        self.metrics.waited(&self.config.account, queued.elapsed());
        let _permit = admitted.map_err(|paused| ApiError::paused(paused.until))?;
        let headers = self.headers().await?;
        let started = Instant::now();
        let exchanged = self.exchange(self.url(job, object_type, window), headers).await;
        let status = match &exchanged {
            Ok(reply) => reply.status.as_str(),
            Err(error) => error.code.as_ref().map_or("none", ErrorCode::as_str),
        };
        self.metrics.observe(&self.config.account, status, started.elapsed());
        let answer = exchanged.and_then(interpret);
        match &answer {
            Ok(_) => self.budget.answered(),
            Err(ApiError { class: Class::Throttled { named }, .. }) => self.budget.throttled(*named),
            Err(_) => {}
        }
        answer.map_err(|error| ApiError { code: error.code.map(|code| self.codes.bound(code)), ..error })
    }

    fn url(&self, job: &JobId, object_type: ObjectType, window: Window) -> url::Url {
        let project = &self.config.project_id;
        let path = format!("/v5/{project}/jobs/{job}/progress-data/{object_type}");
        self.config.endpoint.at(&path, &format!("limit={}&offset={}", window.limit, window.offset))
    }

    async fn headers(&self) -> Result<HeaderMap, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(X_LANGUAGE, HeaderValue::from_static(self.config.language.as_str()));
        match self.token.authenticate(&mut headers).await {
            Ok(()) => Ok(headers),
            Err(error) => Err(ApiError::local(Class::Auth, "no_token", error.to_string())),
        }
    }

    async fn exchange(&self, url: url::Url, headers: HeaderMap) -> Result<Reply, ApiError> {
        let response = self.http.get(url).headers(headers).send().await.map_err(transport)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = if status.is_success() {
            let limit = self.config.limits.max_response_bytes;
            read(response, limit).await?.ok_or_else(|| {
                let what = format!("the response is larger than {limit} bytes after decompression");
                ApiError::local(Class::Permanent, "too_large", what)
            })?
        } else {
            // The status says enough where the words after it do not arrive.
            read(response, MAX_ERROR_BODY_BYTES).await.ok().flatten().unwrap_or_default()
        };
        Ok(Reply { status, headers, body })
    }
}

/// An answer that arrived whole.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    /// Decompressed. Empty where the answer is a failure whose body is no message.
    body: Vec<u8>,
}

/// The body, counted while it arrives; nothing where it is larger than `limit` bytes.
async fn read(mut response: Response, limit: u64) -> Result<Option<Vec<u8>>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// What an answer says, whether it is a page or a failure.
fn interpret(Reply { status, headers, body }: Reply) -> Result<Answer, ApiError> {
    if status.is_redirection() {
        let to = headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("nowhere");
        // A query may hold what is nobody's business.
        let to = wire::one_line(to.split('?').next().unwrap_or_default());
        let what = format!("DRS answered HTTP {} with a redirect to {to}", status.as_u16());
        return Err(ApiError::local(Class::Permanent, "redirect", what));
    }
    let page = if status.is_success() { Some(wire::page(&body)) } else { None };
    if let Some(Ok(page)) = page {
        return Ok(Answer::Page(page));
    }
    let failure = wire::error_body(&body);
    if let (Some(Err(error)), None) = (page, &failure.code) {
        let what = format!("DRS answered HTTP {} with a body that is no page: {error}", status.as_u16());
        return Err(ApiError::local(Class::Permanent, "decode", what));
    }
    let code = failure.code.unwrap_or_default();
    if is_empty_result(&code) {
        return Ok(Answer::Nothing);
    }
    let window = || quota_window(failure.message.as_deref()?);
    let named = retry_after(&headers).or_else(window).map(|pause| pause.min(MAX_PAUSE));
    let class = classify(status.as_u16(), &code, named);
    let counted =
        if code.is_empty() { ErrorCode::new(&format!("http_{}", status.as_u16())) } else { ErrorCode::new(&code) };
    let message = failure.message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    let what = format!("DRS answered HTTP {} {}{message}", status.as_u16(), wire::one_line(&code));
    Err(ApiError { class, code: Some(counted), what: what.trim_end().to_owned() })
}

/// `Retry-After` in seconds. Its other form, a date, depends on two clocks and is not read; the backoff serves then.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A failure below HTTP. The address is left out of the text: it is in the configuration, and may be long.
fn transport(error: reqwest::Error) -> ApiError {
    let error = error.without_url();
    let words: Vec<String> = causes(&error).map(ToString::to_string).collect();
    let words = wire::one_line(&words.join(": "));
    let kind = io_kind(&error);
    if error.is_timeout() {
        ApiError::local(Class::Transient, "timeout", format!("no whole answer within `limits.timeout` ({words})"))
    } else if error.is_connect() && matches!(kind, Some(io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)) {
        ApiError::local(Class::Transient, "tls", format!("the TLS handshake failed ({words})"))
    } else if error.is_decode() && kind == Some(io::ErrorKind::InvalidData) {
        ApiError::local(Class::Transient, "decode", format!("the response cannot be decompressed ({words})"))
    } else {
        ApiError::local(Class::Transient, "connect", format!("the connection failed or broke ({words})"))
    }
}

/// What kind of I/O error is the innermost one. An I/O error that wraps another does not name it as its source.
fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let outer = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last()?;
    std::iter::successors(Some(outer), |&error| error.get_ref()?.downcast_ref()).last().map(io::Error::kind)
}

/// The error, what caused it, what caused that, and so on.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |&cause| cause.source())
}

/// Counters of every attempt at a request, shared by all accounts.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<OperationLabels, Histogram, fn() -> Histogram>,
    budget_wait: Family<AccountLabels, Counter<f64, AtomicU64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AccountLabels {
    account: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    account: String,
    operation: &'static str,
    status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    account: String,
    operation: &'static str,
}

impl Metrics {
    /// Makes the counters and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let duration: fn() -> Histogram = || Histogram::new(DURATION_BUCKETS);
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(duration),
            budget_wait: Family::default(),
        };
        registry.register(
            "drs_api_requests",
            "Requests to the cloud, each attempt, by HTTP status or by what went wrong before there was one",
            metrics.requests.clone(),
        );
        registry.register(
            "drs_api_request_duration_seconds",
            "Time from sending a request to the last byte of its answer, or to its failure",
            metrics.duration.clone(),
        );
        registry.register(
            "drs_api_budget_wait_seconds",
            "Time that requests have waited for the account's budget, all of them together",
            metrics.budget_wait.clone(),
        );
        metrics
    }

    fn waited(&self, account: &str, waited: Duration) {
        let labels = AccountLabels { account: account.to_owned() };
        self.budget_wait.get_or_create(&labels).inc_by(waited.as_secs_f64());
    }

    fn observe(&self, account: &str, status: &str, took: Duration) {
        let account = account.to_owned();
        let labels = RequestLabels { account: account.clone(), operation: PROGRESS_DATA, status: status.to_owned() };
        self.requests.get_or_create(&labels).inc();
        let labels = OperationLabels { account, operation: PROGRESS_DATA };
        self.duration.get_or_create(&labels).observe(took.as_secs_f64());
    }
}
