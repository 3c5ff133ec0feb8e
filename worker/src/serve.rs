//! The process that takes in: the API, and in `local` staging the `ingest` queue beside it, because only a process that
//! sees the staging folder can bring its bytes into the store.

use crate::auth::{self, Keyring};
use crate::context::Context;
use crate::http::health::Readiness;
use crate::http::listen::{self, Patience};
use crate::{http, staging};
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
        /// Setting `http.listen`.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
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
        let router = http::router(cx.clone(), keys, readiness.clone());
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
                () = stop.cancelled() => {}
            }
        };
        tokio::join!(listen::run(listener, router, patience, shutdown), upkeep);
        tracing::info!("api stopped");
    }
}

/// Serves the API until `stop`.
///
/// # Errors
/// It cannot begin.
pub async fn run(cx: Context, stop: CancellationToken) -> Result<(), Error> {
    Bound::open(cx).await?.run(stop).await;
    Ok(())
}

/// Says again and again that the staging folder is in use, and reads the clock again.
async fn upkeep(cx: &Context) {
    let mut tick = interval(UPKEEP_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match cx.staging.register(&cx.db).await {
            Ok(true) => {}
            Ok(false) => tracing::error!("another staging folder was registered; what is accepted here waits for it"),
            Err(error) => tracing::warn!(error = %error, "staging folder not registered again"),
        }
        if let Err(error) = cx.clock.adjust(&cx.db).await {
            tracing::warn!(error = %error, "clock not read again");
        }
    }
}
