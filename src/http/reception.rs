//! Takes connections, and serves each on a task of its own.

use std::convert::Infallible;
use std::io;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

use super::connection::Connection;
use super::crowd::{Crowd, Guest};
use super::held::holding;

/// Longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// How long nobody is let in after the system refused a connection, as it does where there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves whoever comes until `stop`, and then those that are being answered.
pub(super) async fn receive(listener: TcpListener, router: Router, crowd: Crowd, mut stop: watch::Receiver<bool>) {
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
                connections.spawn(attend(connection, guest, router.clone(), stop.clone()));
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

/// Answers the requests of one connection.
async fn attend(connection: Connection, guest: Arc<Guest>, router: Router, mut stop: watch::Receiver<bool>) {
    let peer = connection.peer();
    let mut builder = http1::Builder::new();
    // How long the head of a request may take is the business of the crowd.
    builder.header_read_timeout(None).max_header_size(MAX_HEAD_BYTES);
    let routes = TowerToHyperService::new(router);
    let service = service_fn(|request| answer(&routes, &guest, request));
    let mut served = pin!(builder.serve_connection(TokioIo::new(connection), service));
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

/// Answers one request. The guest is being answered until the last byte went to the system.
fn answer(
    routes: &TowerToHyperService<Router>,
    guest: &Guest,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
    let answering = guest.asked();
    let answer = routes.call(request);
    async { answer.await.map(|answer| answer.map(|body| holding(body, answering))) }
}
