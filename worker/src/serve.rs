//! The process that takes in: the API, and in `local` staging the `ingest` queue beside it, because only a process that
//! sees the staging folder can bring its bytes into the store. In `store` staging any `spool work` does that.

use crate::auth::{self, Keyring};
use crate::context::Context;
use crate::http::health::{self, Health, Readiness, StoreLook};
use crate::http::listen::{self, Patience};
use crate::playlist::Playlists;
use crate::staging::Mode;
use crate::{http, staging, work};
use domain::job::Queue;
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often the staging folder is said to be in use and the clock is read again. Another folder may take over after a
/// minute of silence, so three of these may be missed.
const UPKEEP_EVERY: Duration = Duration::from_secs(15);

/// Why the API cannot be served.
#[derive(Debug, Error)]
pub enum Error {
    /// A secret is missing or cannot be used: nothing is opened without.
    #[error(transparent)]
    Auth(#[from] auth::Error),
    /// The staging folder is not the one that acknowledged bytes wait in.
    #[error(transparent)]
    Staging(#[from] staging::Error),
    /// The address is taken or not ours.
    #[error("listen on {address}")]
    Listen {
        /// Setting `http.listen` or `work.listen`.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The engine beside the API could not begin or ended by itself.
    #[error(transparent)]
    Work(#[from] work::Error),
}

/// An API that listens and does not answer yet.
pub struct Bound {
    cx: Context,
    keys: Keyring,
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Checks the secrets and the staging folder, then listens where the settings say.
    ///
    /// # Errors
    /// One of them is not as it must be; nothing is open then.
    pub async fn open(cx: Context) -> Result<Bound, Error> {
        let keys = Keyring::open(&cx.config.auth)?;
        cx.staging.require_registered(&cx.db).await?;
        let address = cx.config.http.listen;
        let listen = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Bound { cx, keys, listener, address })
    }

    /// Where it listens: the port is the system's choice when the setting says 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`, then lets open requests end.
    pub async fn run(self, stop: CancellationToken) {
        let Bound { cx, keys, listener, address } = self;
        let readiness = Readiness::default();
        let playlists = Playlists::new(cx.db.clone(), &cx.config, stop.clone());
        let router = http::router(cx.clone(), keys, readiness.clone(), playlists.clone());
        let patience = Patience::of(&cx.config.http);
        let stopped = stop.clone();
        let shutdown = async move {
            stopped.cancelled().await;
            readiness.stop();
        };
        tracing::info!(%address, "api listens");
        let upkeep = async {
            tokio::select! {
                () = upkeep(&cx) => {}
                () = cx.metrics.watch_queues(&cx.db, &cx.clock) => {}
                () = stop.cancelled() => {}
            }
        };
        tokio::join!(listen::run(listener, router, patience, shutdown), upkeep, playlists.run());
        tracing::info!("api stopped");
    }
}

/// Serves the API until `stop`, and in `local` staging works `ingest` beside it. If one of them ends by itself, so does
/// the other: a process that only takes in would fill its volume.
///
/// # Errors
/// It cannot begin, or the engine ended by itself.
pub async fn run(cx: Context, stop: CancellationToken) -> Result<(), Error> {
    let bound = Bound::open(cx.clone()).await?;
    match cx.staging.mode() {
        Mode::Local => {}
        Mode::Store => {
            bound.run(stop).await;
            return Ok(());
        }
    }
    let stop = stop.child_token();
    let ingest = async {
        // The API is ready without its lease: it takes in, and whoever has one brings it on.
        let ended = work::run(cx, &[Queue::Ingest], &Readiness::default(), stop.clone()).await;
        stop.cancel();
        ended
    };
    let ((), ingest) = tokio::join!(bound.run(stop.clone()), ingest);
    Ok(ingest?)
}

/// Listens for health and metrics of a working process; what is returned answers until `stop`.
///
/// # Errors
/// The address of setting `work.listen` is taken or not ours.
pub async fn observe(
    cx: &Context,
    readiness: Readiness,
    stop: CancellationToken,
) -> Result<impl Future<Output = ()> + use<>, Error> {
    let address = cx.config.work.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
    let store = Some(StoreLook::new(cx.store.clone()));
    let health = Health { db: cx.db.clone(), store, metrics: cx.metrics.clone(), readiness: readiness.clone() };
    let shutdown = async move {
        stop.cancelled().await;
        readiness.stop();
    };
    tracing::info!(%address, "health listens");
    Ok(listen::run(listener, health::router(health), Patience::SMALL, shutdown))
}

/// Says again and again that the staging folder is in use, and reads the clock again.
async fn upkeep(cx: &Context) {
    let mut tick = interval(UPKEEP_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match cx.staging.register(&cx.db).await {
            Ok(true) => {}
            Ok(false) => tracing::error!("another staging folder has taken over; nothing is taken in here"),
            Err(error) => tracing::warn!(error = %error, "staging folder not registered again"),
        }
        if let Err(error) = cx.clock.adjust(&cx.db).await {
            tracing::warn!(error = %error, "clock not read again");
        }
    }
}
