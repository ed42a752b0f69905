//! Stands before every answer and every handshake, and goes by what the file says at that moment. Where the file cannot be
//! used, nobody is let in.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rustls::ServerConfig;
use secrecy::{ExposeSecret, SecretSlice};
use tokio::time::{Instant, sleep};
use tracing::{error, info};

use super::tls::{self, Tls};
use super::users::{Passwords, Verdict};
use super::{Problems, WebConfig};

/// How long a certificate and its key may not fit each other, since one file is renewed after the other: handshakes wait for them.
const RENEWAL: Duration = Duration::from_secs(2);

/// How long until they are looked at again.
const MOMENT: Duration = Duration::from_millis(50);

/// Goes by one file.
#[derive(Debug)]
pub(in crate::http) struct Guard {
    path: PathBuf,
    /// As it was at the start, and has to stay while connections are taken.
    is_tls: bool,
    http2: bool,
    passwords: Passwords,
    read: Mutex<Read>,
    made: Mutex<Made>,
}

/// What the file said when it was read last.
#[derive(Debug)]
struct Read {
    text: SecretSlice<u8>,
    config: Option<Arc<WebConfig>>,
    /// What is asked of one who reads. It may become more, not less: a file that is half written looks as if it asked for less.
    asks_for: BTreeSet<&'static str>,
    /// What was told in the log last.
    trouble: Option<String>,
}

/// What the last handshake needed.
#[derive(Debug, Default)]
struct Made {
    /// For which file, and which certificates and keys.
    of: Option<(Arc<WebConfig>, [u8; 32])>,
    server: Option<Arc<ServerConfig>>,
    trouble: Option<String>,
}

/// The file cannot be used; all that is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct Unusable {
    path: PathBuf,
    what: String,
}

/// The file cannot be used now; the log says why.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Closed;

impl Guard {
    /// Reads the file, and what it names.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(in crate::http) async fn open(path: &Path) -> Result<Self, Unusable> {
        let unusable = |what: String| Unusable { path: path.to_owned(), what };
        let text = tls::read(path).await.map_err(|error| unusable(format!("cannot be read: {error}")))?;
        let config = parse(&text, path).map_err(|problems| unusable(problems.to_string()))?;
        if let Some(tls) = &config.tls {
            let material = tls.material().await.map_err(unusable)?;
            tls.server(&material, config.http2).map_err(unusable)?;
        }
        let passwords = Passwords::new().map_err(|error| unusable(format!("there are no random numbers: {error}")))?;
        Ok(Self {
            path: path.to_owned(),
            is_tls: config.tls.is_some(),
            http2: config.http2,
            passwords,
            read: Mutex::new(Read {
                text: text.into(),
                asks_for: config.asks_for(),
                config: Some(Arc::new(config)),
                trouble: None,
            }),
            made: Mutex::default(),
        })
    }

    /// Whether connections begin with a handshake.
    pub(in crate::http) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// What a handshake needs, with the certificates as they are now; nothing where there is no TLS.
    ///
    /// # Errors
    /// When the file, or one that it names, cannot be used.
    pub(in crate::http) async fn handshake(&self) -> Result<Option<Arc<ServerConfig>>, Closed> {
        let renewed = Instant::now() + RENEWAL;
        loop {
            let config = self.config().await?;
            let Some(tls) = &config.tls else { return Ok(None) };
            let made = self.server(&config, tls).await;
            if made.is_ok() || Instant::now() >= renewed || lock(&self.made).trouble.is_some() {
                self.tell(&mut lock(&self.made).trouble, made.as_ref().err());
                return made.map(Some).map_err(|_| Closed);
            }
            sleep(MOMENT).await;
        }
    }

    async fn server(&self, config: &Arc<WebConfig>, tls: &Tls) -> Result<Arc<ServerConfig>, String> {
        let material = tls.material().await?;
        let digest = material.digest();
        let mut made = lock(&self.made);
        let is_same = made.of.as_ref().is_some_and(|(of, known)| Arc::ptr_eq(of, config) && *known == digest);
        if let Some(server) = made.server.as_ref().filter(|_| is_same) {
            return Ok(Arc::clone(server));
        }
        let server = Arc::new(tls.server(&material, config.http2)?);
        made.of = Some((Arc::clone(config), digest));
        made.server = Some(Arc::clone(&server));
        Ok(server)
    }

    /// What the file says now.
    async fn config(&self) -> Result<Arc<WebConfig>, Closed> {
        let text = tls::read(&self.path).await;
        let mut read = lock(&self.read);
        let config = self.understood(&mut read, text);
        self.tell(&mut read.trouble, config.as_ref().err());
        config.map_err(|_| Closed)
    }

    fn understood(&self, read: &mut Read, text: io::Result<Vec<u8>>) -> Result<Arc<WebConfig>, String> {
        let text = text.map_err(|error| format!("cannot be read: {error}"))?;
        if let Some(config) = read.config.as_ref().filter(|_| read.text.expose_secret() == text) {
            return Ok(Arc::clone(config));
        }
        read.config = None;
        let config = parse(&text, &self.path).map_err(|problems| problems.to_string())?;
        if config.tls.is_some() != self.is_tls {
            return Err("switches TLS on or off, which needs a restart".to_owned());
        }
        if self.is_tls && config.http2 != self.http2 {
            return Err("switches HTTP/2 on or off, which needs a restart".to_owned());
        }
        let asks_for = config.asks_for();
        if let Some(what) = read.asks_for.difference(&asks_for).next() {
            return Err(format!("asks for no {what} any more, which needs a restart"));
        }
        info!(file = %self.path.display(), "the web configuration has changed, and counts from now on");
        self.passwords.forget();
        let config = Arc::new(config);
        (read.text, read.asks_for, read.config) = (text.into(), asks_for, Some(Arc::clone(&config)));
        Ok(config)
    }

    /// Says what is wrong, and when it is right again; not at each request.
    fn tell(&self, last: &mut Option<String>, now: Option<&String>) {
        let file = self.path.display();
        match now {
            Some(problem) if last.as_ref() != Some(problem) => {
                error!(%file, problem, "the web configuration cannot be used: nobody is let in until it is mended");
            }
            None if last.is_some() => info!(%file, "the web configuration can be used again"),
            _ => {}
        }
        *last = now.cloned();
    }
}

fn parse(text: &[u8], path: &Path) -> Result<WebConfig, Problems> {
    let text = str::from_utf8(text).map_err(|_| Problems(vec!["is not UTF-8".to_owned()]))?;
    WebConfig::parse(text, path.parent().unwrap_or(Path::new("")))
}

// A panic cannot leave either half changed; so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a request through if the file allows it, and adds the headers that the file asks for.
pub(in crate::http) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let Ok(config) = guard.config().await else {
        let text = "The web configuration cannot be used; the log says why.\n";
        return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
    };
    let authorization = request.headers().get(AUTHORIZATION).cloned();
    let mut answer = match admit(&guard, &config, authorization).await {
        Ok(()) => next.run(request).await,
        Err(refused) => refused,
    };
    for (name, value) in &config.headers {
        answer.headers_mut().insert(name, value.clone());
    }
    answer
}

async fn admit(guard: &Guard, config: &WebConfig, authorization: Option<HeaderValue>) -> Result<(), Response> {
    if config.rate.as_ref().is_some_and(|rate| !rate.allows()) {
        let text = "There are more requests than `rate_limit` allows; try again later.\n";
        return Err((StatusCode::TOO_MANY_REQUESTS, text).into_response());
    }
    if config.users.is_empty() {
        return Ok(());
    }
    match guard.passwords.verdict(&config.users, authorization.as_ref()).await {
        Verdict::Welcome => Ok(()),
        Verdict::Unknown => {
            let asking = [(WWW_AUTHENTICATE, r#"Basic realm="drs-exporter", charset="UTF-8""#)];
            Err((StatusCode::UNAUTHORIZED, asking, "A user and a password are needed.\n").into_response())
        }
        Verdict::Busy => {
            let text = "Too many passwords are being checked; try again later.\n";
            Err((StatusCode::SERVICE_UNAVAILABLE, text).into_response())
        }
    }
}
