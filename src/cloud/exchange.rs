//! One request and its answer: by which way, how long, and how much of it is taken.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, fs, io};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Certificate, Client, Request, Response, StatusCode, redirect};
use url::Url;

use super::sent::Sent;
use super::{Endpoint, Refusal, one_line};

/// Largest body of a failure that is read, in bytes. A longer one is a page for people.
const MAX_ERROR_BODY_BYTES: u64 = 64 * 1024;

/// Up to which length an answer gets room before it arrives, in bytes. A page of 1000 objects takes some 130 KiB.
const BELIEVED_BYTES: u64 = 512 * 1024;

/// Upper bounds of the request duration buckets, in seconds; the default timeout is 10 s.
const DURATION_BUCKETS: [f64; 9] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The way to the cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// How long one request may take, its body included.
    pub timeout: Duration,
    /// A file of certificates, in PEM, that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxy for all requests; without it the usual `*_PROXY` variables count.
    pub proxy: Option<Proxy>,
}

impl Default for Network {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), ca_file: None, proxy: None }
    }
}

impl Network {
    /// A number that is another one when the file of certificates holds something else; nothing where there is none to read.
    pub fn certificates(&self) -> Option<u64> {
        let pem = fs::read(self.ca_file.as_ref()?).ok()?;
        let mut hasher = DefaultHasher::new();
        pem.hash(&mut hasher);
        Some(hasher.finish())
    }
}

/// The address of a proxy: `http` or `https`, with user and password if it wants them. They never print.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Url);

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.0.host_str().unwrap_or_default())
    }
}

/// The text is no address of a proxy.
#[derive(Debug, thiserror::Error)]
#[error("expected the address of a proxy, such as `http://proxy:3128`")]
pub struct InvalidProxy;

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let url = Url::parse(text).map_err(|_| InvalidProxy)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() { Err(InvalidProxy) } else { Ok(Self(url)) }
    }
}

/// A client for the requests of one account to one service.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    account: String,
    /// The secrets that go with each request.
    sent: Sent,
    metrics: Metrics,
}

/// The HTTP client of an account could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The file of certificates is of no use.
    #[error("account {account}: `ca_file` {}: {reason}; name a file of certificates in PEM that this process may read", file.display())]
    CaFile {
        /// The account.
        account: String,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Most likely the system's certificates cannot be read.
    #[error(
        "account {account}: cannot make the HTTP client: {reason}; check the system's CA certificates, `proxy_url` and the *_PROXY variables"
    )]
    Client {
        /// The account.
        account: String,
        /// What is wrong.
        reason: String,
    },
}

/// An answer that arrived whole. It does not print: a log-in's answer has the token in its headers.
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// Decompressed. Empty where the answer is a failure whose body is no message.
    pub body: Vec<u8>,
    sent: Sent,
}

impl Reply {
    /// An answer, and the secrets that were sent for it.
    pub fn new(status: StatusCode, headers: HeaderMap, body: Vec<u8>, sent: Sent) -> Self {
        Self { status, headers, body, sent }
    }

    /// What the body of a failure says, without the secrets that were sent.
    pub(crate) fn refusal(&self) -> Refusal {
        Refusal::read(&self.body, &self.sent)
    }

    /// Words about the body, without the secrets that were sent.
    pub(crate) fn blank(&self, text: &str) -> String {
        self.sent.blank(text)
    }
}

/// Why there is no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It took longer than it may.
    Timeout,
    /// The TLS handshake failed.
    Tls,
    /// No connection, or one that broke.
    Connect,
    /// The body cannot be decompressed.
    Decode,
    /// The body is larger than it may be.
    TooLarge,
    /// The answer leads elsewhere. That is not followed, since secrets would go with it.
    Redirect,
}

impl Kind {
    /// The word that a failure is counted by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Connect => "connect",
            Self::Decode => "decode",
            Self::TooLarge => "too_large",
            Self::Redirect => "redirect",
        }
    }
}

/// A request that brought no whole answer. Its text is one line and has no address but a redirect's.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: Kind,
    words: String,
}

impl Http {
    /// Makes the client for requests to `endpoint`; nothing is sent yet.
    ///
    /// # Errors
    /// When the file of certificates, or the system's, are of no use.
    pub fn new(account: &str, endpoint: &Endpoint, network: &Network, metrics: Metrics) -> Result<Self, BuildError> {
        let account = account.to_owned();
        let mut builder = Client::builder()
            .user_agent(concat!("drs-exporter/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .timeout(network.timeout);
        if let Some(file) = &network.ca_file {
            let wrong = |reason| BuildError::CaFile { account: account.clone(), file: file.clone(), reason };
            let pem = fs::read(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(words(error)))?;
            if certificates.is_empty() {
                return Err(wrong("holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let failed = |error| BuildError::Client { account: account.clone(), reason: words(error) };
        builder = match &network.proxy {
            Some(Proxy(url)) => builder.proxy(reqwest::Proxy::all(url.clone()).map_err(failed)?),
            None if endpoint.is_local() => builder.no_proxy(),
            None => builder,
        };
        let client = builder.build().map_err(failed)?;
        let sent = network.proxy.as_ref().map(|Proxy(url)| Sent::to_proxy(url)).unwrap_or_default();
        Ok(Self { client, account, sent, metrics })
    }

    /// The same client for a request that has this secret in its body, which is taken out of the words that are kept.
    pub fn hiding(&self, secret: &str) -> Self {
        let mut http = self.clone();
        http.sent.add(secret);
        http
    }

    /// Sends one request, and reads at most `limit` bytes of an answer that is a success. The attempt is counted as `operation`.
    ///
    /// # Errors
    /// When no whole answer arrives, or one that leads elsewhere. An answer that says no is a [`Reply`].
    pub async fn send(&self, operation: &'static str, request: Request, limit: u64) -> Result<Reply, Failure> {
        let started = Instant::now();
        let exchanged = self.exchange(request, limit).await;
        let status = match &exchanged {
            Ok(reply) => reply.status.as_str(),
            Err(failure) => failure.kind.as_str(),
        };
        self.metrics.observe(&self.account, operation, status, started.elapsed());
        exchanged.and_then(refuse_redirect)
    }

    async fn exchange(&self, request: Request, limit: u64) -> Result<Reply, Failure> {
        let sent = self.sent.clone().and_of(&request);
        let response = self.client.execute(request).await.map_err(transport)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = if status.is_success() {
            read(response, limit).await?.ok_or_else(|| Failure {
                kind: Kind::TooLarge,
                words: format!("the response is larger than {limit} bytes after decompression"),
            })?
        } else {
            // The status says enough where the words after it do not arrive.
            read(response, MAX_ERROR_BODY_BYTES).await.ok().flatten().unwrap_or_default()
        };
        Ok(Reply::new(status, headers, body, sent))
    }
}

/// The body, counted while it arrives; nothing where it is larger than `limit` bytes.
async fn read(mut response: Response, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
    // What the answer says of its length is not believed beyond what a page needs.
    let announced = response.content_length().unwrap_or_default().min(limit).min(BELIEVED_BYTES);
    let mut body = Vec::with_capacity(usize::try_from(announced).unwrap_or_default());
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

fn refuse_redirect(reply: Reply) -> Result<Reply, Failure> {
    if !reply.status.is_redirection() {
        return Ok(reply);
    }
    let to = reply.headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("nowhere");
    // A query may hold what is nobody's business.
    let to = one_line(&reply.blank(to.split('?').next().unwrap_or_default()));
    let words = format!("HTTP {} with a redirect to {to}", reply.status.as_u16());
    Err(Failure { kind: Kind::Redirect, words })
}

/// A failure below HTTP.
fn transport(error: reqwest::Error) -> Failure {
    let kind = io_kind(&error);
    let (timeout, connect, decode) = (error.is_timeout(), error.is_connect(), error.is_decode());
    let words = words(error);
    let (kind, words) = if timeout {
        (Kind::Timeout, format!("no whole answer within `limits.timeout` ({words})"))
    } else if !decode && kind == Some(io::ErrorKind::InvalidData)
        || connect && kind == Some(io::ErrorKind::UnexpectedEof)
    {
        // A server that wants a certificate of ours says so only after the connection is made.
        (Kind::Tls, format!("the TLS handshake failed ({words})"))
    } else if decode && kind == Some(io::ErrorKind::InvalidData) {
        (Kind::Decode, format!("the response cannot be decompressed ({words})"))
    } else {
        (Kind::Connect, format!("the connection failed or broke ({words})"))
    };
    Failure { kind, words }
}

/// The error and its causes on one line. The address is left out: it is in the configuration, and may be long.
fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let words: Vec<String> = causes(&error).map(ToString::to_string).collect();
    one_line(&words.join(": "))
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
    /// What the requests are counted by, since the family does not tell.
    counted: Arc<Mutex<HashSet<RequestLabels>>>,
    duration: Family<OperationLabels, Histogram, fn() -> Histogram>,
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
            counted: Arc::default(),
            duration: Family::new_with_constructor(duration),
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
        metrics
    }

    fn observe(&self, account: &str, operation: &'static str, status: &str, took: Duration) {
        let account = account.to_owned();
        let labels = RequestLabels { account: account.clone(), operation, status: status.to_owned() };
        self.requests.get_or_create(&labels).inc();
        self.counted().insert(labels);
        self.duration.get_or_create(&OperationLabels { account, operation }).observe(took.as_secs_f64());
    }

    /// Tells nothing of an account any more. It makes no requests now.
    pub fn forget(&self, account: &str) {
        self.counted().retain(|labels| {
            let stays = labels.account != account;
            if !stays {
                self.requests.remove(labels);
                self.duration.remove(&OperationLabels { account: account.to_owned(), operation: labels.operation });
            }
            stays
        });
    }

    // A panic cannot leave the set half changed; so a poisoned lock is as good as any.
    fn counted(&self) -> MutexGuard<'_, HashSet<RequestLabels>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
