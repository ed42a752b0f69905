//! Takes connections, and serves each on a task of its own.

use std::convert::Infallible;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, error, info, warn};

use super::connection::Connection;
use super::crowd::{Crowd, Guest};
use super::held::holding;
use super::web_config::{Closed, Guard};

/// Longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// How long nobody is let in after the system refused a connection, as it does where there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Most answers that share a connection of HTTP/2.
const MAX_STREAMS: u32 = 100;

/// How often a peer with HTTP/2 is asked whether it is still there, and how long it may take to say so.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How much of an answer is given to HTTP/2 at once, in bytes: so that it is seen whether its reader takes it.
const PIECE_BYTES: usize = 64 * 1024;

/// What is served, and who watches over it.
#[derive(Clone)]
pub(super) struct House {
    pub(super) router: Router,
    pub(super) guard: Option<Arc<Guard>>,
}

/// Serves whoever comes until `stop`, and then those that are being answered.
pub(super) async fn receive(listener: TcpListener, house: House, crowd: Crowd, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut well = true;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    error!(%error, "a connection could not be served; please report this");
                }
                continue;
            }
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                if !mem::replace(&mut well, true) {
                    info!("connections are taken again");
                }
                let Some(guest) = crowd.let_in() else {
                    debug!(%peer, "refusing a connection: there are as many as there may be, and all are being answered");
                    continue;
                };
                let guest = Arc::new(guest);
                let connection = Connection::new(stream, peer, Arc::clone(&guest));
                connections.spawn(attend(connection, guest, house.clone(), stop.clone()));
            }
            // The peer was gone before it was let in.
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                if mem::replace(&mut well, false) {
                    warn!(%error, "cannot take a connection; if there are too many open files, raise their limit");
                }
                crowd.make_room();
                sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

/// What a connection reads from and writes to.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// Answers the requests of one connection.
async fn attend(connection: Connection, guest: Arc<Guest>, house: House, mut stop: watch::Receiver<bool>) {
    let peer = connection.peer();
    let Some(guard) = house.guard.filter(|guard| guard.is_tls()) else {
        return serve(http1(connection, house.router, Arc::clone(&guest)), peer, &guest, stop).await;
    };
    let accepted = tokio::select! {
        accepted = shake_hands(&guard, connection) => accepted,
        why = guest.has_to_go() => return debug!(%peer, %why, "closing a connection before its handshake is over"),
        () = stopped(&mut stop) => return,
    };
    match accepted {
        Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
            guest.shares();
            serve(http2(stream, house.router, Arc::clone(&guest)), peer, &guest, stop).await;
        }
        Ok(stream) => serve(http1(stream, house.router, Arc::clone(&guest)), peer, &guest, stop).await,
        Err(error) => debug!(%peer, %error, "a handshake failed"),
    }
}

async fn shake_hands(guard: &Guard, connection: Connection) -> io::Result<TlsStream<Connection>> {
    let server = guard.handshake().await.map_err(|Closed| io::Error::other("the web configuration cannot be used"))?;
    let server = server.ok_or_else(|| io::Error::other("the web configuration has no certificate any more"))?;
    TlsAcceptor::from(server).accept(connection).await
}

fn http1<I: Stream>(stream: I, router: Router, guest: Arc<Guest>) -> impl GracefulConnection<Error = hyper::Error> {
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |request| answer(&routes, &guest, request, usize::MAX));
    let mut builder = http1::Builder::new();
    // How long the head of a request may take is the business of the crowd.
    builder.header_read_timeout(None).max_header_size(MAX_HEAD_BYTES);
    builder.serve_connection(TokioIo::new(stream), service)
}

fn http2<I: Stream>(stream: I, router: Router, guest: Arc<Guest>) -> impl GracefulConnection<Error = hyper::Error> {
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |request| answer(&routes, &guest, request, PIECE_BYTES));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32);
    builder.serve_connection(TokioIo::new(stream), service)
}

/// Serves a connection to its end.
async fn serve(
    served: impl GracefulConnection<Error = hyper::Error>,
    peer: SocketAddr,
    guest: &Guest,
    mut stop: watch::Receiver<bool>,
) {
    let mut served = pin!(served);
    tokio::select! {
        ended = served.as_mut() => {
            if let Err(error) = ended {
                debug!(%peer, %error, "a connection ended early");
            }
        }
        why = guest.has_to_go() => debug!(%peer, %why, "closing a connection"),
        () = stopped(&mut stop) => {
            served.as_mut().graceful_shutdown();
            if let Err(error) = served.await {
                debug!(%peer, %error, "a connection ended early");
            }
        }
    }
}

/// Answers one request, in pieces of so many bytes at most. The guest is being answered until the last byte went to the system.
fn answer(
    routes: &TowerToHyperService<Router>,
    guest: &Guest,
    request: Request<Incoming>,
    most: usize,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
    let answering = guest.asked();
    let answer = routes.call(request);
    async move { answer.await.map(|answer| answer.map(|body| holding(body, answering, most))) }
}
