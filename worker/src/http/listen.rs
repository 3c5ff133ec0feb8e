//! Connections: taken, bounded in number and in patience, and let go in peace when the process stops.

use axum::Router;
use axum::body::Body;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Pause after the system refused to give a connection: usually too many open files, which a hot loop would not cure.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// How a listener treats connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Open connections; further ones wait to be taken.
    pub connections_max: u32,
    /// Longest wait for the head of a request, and longest idleness.
    pub header_timeout: Duration,
    /// How long open requests may go on after `shutdown`.
    pub drain: Duration,
}

impl Patience {
    /// For health and metrics alone.
    pub const SMALL: Patience =
        Patience { connections_max: 64, header_timeout: Duration::from_secs(10), drain: Duration::from_secs(1) };

    /// By the settings of the API.
    pub fn of(config: &super::Config) -> Patience {
        let super::Config { connections_max, header_timeout, drain, .. } = *config;
        Patience { connections_max, header_timeout, drain }
    }
}

/// Answers connections until `shutdown` resolves, then takes no more and lets the open requests end.
pub async fn run(listener: TcpListener, router: Router, patience: Patience, shutdown: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(patience.connections_max as usize));
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            (place, listener.accept().await)
        };
        let (place, stream) = tokio::select! {
            (place, accepted) = next => match accepted {
                Ok((stream, _)) => (place, stream),
                Err(error) => {
                    tracing::warn!(error = %error, "connection not taken");
                    sleep(REFUSED_PAUSE).await;
                    continue;
                }
            },
            // Ended ones are collected as they come, so that the set does not grow.
            Some(_) = connections.join_next() => continue,
            () = &mut shutdown => break,
        };
        // Small answers must not wait for the next packet.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = %error, "nodelay not set");
        }
        let service = TowerToHyperService::new(Turned(router.clone()));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience.header_timeout)
            .serve_connection(TokioIo::new(stream), service);
        let watched = graceful.watch(connection);
        connections.spawn(async move {
            let _place = place;
            if let Err(error) = watched.await {
                // The peer went away or was too slow; what it wanted is logged by the request, if there was one.
                tracing::debug!(error = %error, "connection ended early");
            }
        });
    }
    drop(listener);
    if timeout(patience.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "open requests cut off");
    }
    connections.shutdown().await;
}

/// The router with hyper's body turned into its own.
#[derive(Clone)]
struct Turned(Router);

impl tower_service::Service<http::Request<hyper::body::Incoming>> for Turned {
    type Response = axum::response::Response;
    type Error = std::convert::Infallible;
    type Future = axum::routing::future::RouteFuture<std::convert::Infallible>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<hyper::body::Incoming>) -> Self::Future {
        tower_service::Service::call(&mut self.0, request.map(Body::new))
    }
}
