//! A lane as a backend of the worker runtime.
//!
//! `Error` is [`Infallible`]: a database or decode fault that reached the worker would end it and drop every handler
//! beside it. A payload that cannot be read is an outcome of its job alone.

use super::attempt::AttemptLayer;
use crate::{
    ctx::JobCtx,
    engine::{
        Shared,
        lane::{Lane, Row},
    },
    kind::JobKind,
    outcome::Transition,
};
use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::{Task, builder::TaskBuilder, task_id::TaskId},
    worker::context::WorkerContext,
};
use futures_util::future::BoxFuture;
use std::{
    convert::Infallible,
    marker::PhantomData,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::time::sleep;
use uuid::Uuid;

/// One lane, read by one worker of the runtime.
pub struct LaneBackend<K> {
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    closing: Option<BoxFuture<'static, ()>>,
    kind: PhantomData<fn() -> K>,
}

impl<K> LaneBackend<K> {
    pub(crate) fn new(shared: Arc<Shared>, lane: Arc<Lane>) -> Self {
        LaneBackend { shared, lane, closing: None, kind: PhantomData }
    }
}

impl<K: JobKind> Backend for LaneBackend<K> {
    type Task = Task<K>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<Task<K>, Infallible>>> {
        loop {
            let Row { ctx, payload } = ready!(self.lane.poll_pop(cx));
            match serde_json::from_str::<K>(&payload) {
                Ok(job) => return Poll::Ready(Some(Ok(carry(job, ctx)))),
                Err(error) => {
                    tracing::error!(job.id = %ctx.id(), job.kind = ctx.kind(), error = %error, "payload not understood, job given up");
                    self.shared.done(&ctx, Transition::discard("undecodable", "undecodable", &error.to_string()));
                }
            }
        }
    }

    /// Waits until the lane holds nothing, but not for ever: with the database away the lease decides.
    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        let (shared, lane) = (self.shared.clone(), self.lane.clone());
        let closing = self.closing.get_or_insert_with(|| Box::pin(close(shared, lane)));
        closing.as_mut().poll(cx).map(Ok)
    }
}

async fn close(shared: Arc<Shared>, lane: Arc<Lane>) {
    lane.close();
    shared.hand_back_unstarted(&lane);
    let end = Instant::now() + shared.config.grace + shared.config.call;
    while lane.busy() > 0 && Instant::now() < end {
        sleep(Duration::from_millis(10)).await;
    }
}

fn carry<K>(job: K, ctx: JobCtx) -> Task<K> {
    // The runtime counts an attempt when it starts one; ours is counted by the claim.
    let before = usize::try_from(ctx.attempt() - 1).unwrap_or(0);
    let most = usize::try_from(ctx.max_attempts()).unwrap_or(usize::MAX);
    let task = TaskBuilder::new(job).task_id(TaskId::Uuid(ctx.id())).attempt(before).max_attempts(most);
    task.queue(ctx.queue().into()).data(ctx).build()
}

impl<K: JobKind> BackendConfig for LaneBackend<K> {
    type Args = K;
    type Id = Uuid;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = AttemptLayer;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> AttemptLayer {
        AttemptLayer::new(self.shared.clone())
    }
}
