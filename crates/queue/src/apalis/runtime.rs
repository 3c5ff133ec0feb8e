//! The whole of the engine for its user: register handlers, run until told to stop.

use super::backend::LaneBackend;
use crate::{
    config::Config,
    engine::{Engine, Event},
    kind::JobKind,
    outcome::Outcome,
};
use ::apalis::prelude::{BoxDynError, IntoWorkerService, Monitor, Task, WorkerBuilder};
use domain::job::Queue;
use sea_orm::DatabaseConnection;
use std::{fmt, future::Future, time::Duration};
use tower_service::Service;

/// The runtime's workers ended by themselves.
#[derive(Debug, thiserror::Error)]
#[error("run workers")]
pub struct RunError(#[source] BoxDynError);

/// A worker process: the kinds it runs, each with its slots.
#[must_use = "register kinds, then run"]
pub struct Runtime {
    engine: Engine,
    monitor: Monitor,
}

impl Runtime {
    /// A worker over this pool. Nothing is done before [`Runtime::run`].
    pub fn new(db: DatabaseConnection, config: Config) -> Self {
        Runtime { engine: Engine::new(db, config), monitor: Monitor::new().should_restart(|_, _| true) }
    }

    /// Runs jobs of kind `K` from the kind's own queue, at most `slots` at once.
    ///
    /// The handler is an async function or closure of the payload and, if it likes, a [`crate::JobCtx`]; it returns
    /// [`Outcome`], `()`, or a `Result` of one of them with [`crate::JobError`].
    pub fn register<K, H, Svc>(self, slots: usize, handler: H) -> Self
    where
        K: JobKind,
        H: IntoWorkerService<LaneBackend<K>, Svc, Backend = LaneBackend<K>, Task = Task<K>>
            + Clone
            + Send
            + Sync
            + 'static,
        Svc: Service<Task<K>> + Send + 'static,
        Svc::Response: Into<Outcome> + fmt::Debug + Send + Sync + 'static,
        Svc::Error: Into<BoxDynError> + fmt::Display + Send + Sync + 'static,
        Svc::Future: Send + 'static,
    {
        self.register_on::<K, H, Svc>(K::spec().queue, slots, handler)
    }

    /// The same from another queue than the kind's own.
    pub fn register_on<K, H, Svc>(mut self, queue: Queue, slots: usize, handler: H) -> Self
    where
        K: JobKind,
        H: IntoWorkerService<LaneBackend<K>, Svc, Backend = LaneBackend<K>, Task = Task<K>>
            + Clone
            + Send
            + Sync
            + 'static,
        Svc: Service<Task<K>> + Send + 'static,
        Svc::Response: Into<Outcome> + fmt::Debug + Send + Sync + 'static,
        Svc::Error: Into<BoxDynError> + fmt::Display + Send + Sync + 'static,
        Svc::Future: Send + 'static,
    {
        let lane = self.engine.lane::<K>(queue, slots);
        let shared = self.engine.shared.clone();
        self.monitor = self.monitor.register(move |nth| {
            let name = format!("{}/{}-{nth}", lane.queue, lane.kind());
            WorkerBuilder::new(name).backend(LaneBackend::<K>::new(shared.clone(), lane.clone())).build(handler.clone())
        });
        self
    }

    /// Calls `observe` with what happens to jobs here, for metrics. It must not block. The first one given stands.
    pub fn observe(self, observe: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        let _ = self.engine.shared.observer.set(Box::new(observe));
        self
    }

    /// A handle on the running engine.
    pub fn engine(&self) -> Engine {
        self.engine.clone()
    }

    /// Runs until `signal` resolves or an operator asks this worker to leave; then drains: what has not started is handed
    /// back, what runs has `drain_bound` to end, what is left is stopped and handed back.
    ///
    /// # Errors
    /// The workers ended by themselves, which is a bug.
    pub async fn run(self, signal: impl Future<Output = ()> + Send, drain_bound: Duration) -> Result<(), RunError> {
        let engine = self.engine;
        engine.start();
        let draining = engine.clone();
        // Drained inside the signal: only after it resolves does the runtime stop its workers.
        let until_drained = async move {
            tokio::select! { () = signal => {}, () = draining.asked_to_leave() => {} }
            draining.drain(drain_bound).await;
            Ok(())
        };
        let ended = self.monitor.run_with_signal(until_drained).await;
        engine.stop().await;
        ended.map_err(|error| RunError(error.into()))
    }
}
