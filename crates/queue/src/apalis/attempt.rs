//! Runs one attempt: start, span, timeout, stop with grace, panic, verdict, hand-over to the pump.
//!
//! The layer spawns by itself and outside every other layer, so nobody can forget or misorder it: if the worker's future
//! dies, the attempt and its end live on.

use crate::{
    config::Config,
    ctx::JobCtx,
    engine::Shared,
    outcome::{End, Failed, Outcome, Stop, Transition, Turn, Verdict, settle},
};
use apalis_core::{
    error::BoxDynError,
    task::{Task, data::MissingDataError, from_request::FromRequest, into_response::IntoResponse},
};
use futures_util::FutureExt;
use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::sleep;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Instrument;

impl IntoResponse for Outcome {
    type Output = Outcome;

    fn into_response(self) -> Result<Outcome, BoxDynError> {
        Ok(self)
    }
}

impl<A: Sync> FromRequest<Task<A>> for JobCtx {
    type Error = MissingDataError;

    async fn from_request(task: &Task<A>) -> Result<Self, Self::Error> {
        task.data().get_checked::<JobCtx>().cloned()
    }
}

/// Puts the attempt around the handler.
#[derive(Clone)]
pub struct AttemptLayer {
    shared: Arc<Shared>,
}

impl AttemptLayer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        AttemptLayer { shared }
    }
}

impl<S> Layer<S> for AttemptLayer {
    type Service = AttemptService<S>;

    fn layer(&self, inner: S) -> AttemptService<S> {
        AttemptService { inner, shared: self.shared.clone() }
    }
}

/// The handler with the attempt around it.
#[derive(Clone)]
pub struct AttemptService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, A> Service<Task<A>> for AttemptService<S>
where
    S: Service<Task<A>>,
    S::Response: Into<Outcome> + Send + 'static,
    S::Error: Into<BoxDynError>,
    S::Future: Future<Output = Result<S::Response, S::Error>> + Send + 'static,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxDynError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<A>) -> Self::Future {
        let ctx = task.data().get::<JobCtx>().cloned().expect("every task of this backend carries its JobCtx");
        let span = tracing::info_span!("job", job.id = %ctx.id(), job.kind = ctx.kind(), job.attempt = ctx.attempt(), queue = ctx.queue());
        // From here on the attempt ends in exactly one way, whatever unwinds.
        let ending = Ending { shared: self.shared.clone(), ctx: Some(ctx.clone()) };
        let called = {
            let _entered = span.enter();
            catch_unwind(AssertUnwindSafe(|| self.inner.call(task)))
        };
        let attempt = async move {
            let end = match called {
                Ok(handler) => {
                    let outcome = async move { handler.await.map(Into::into).map_err(Into::into) };
                    run(outcome, &ctx, &ending.shared.config).await
                }
                Err(panic) => End::Panicked(text_of(&*panic)),
            };
            ending.write(end);
        };
        let running = tokio::spawn(attempt.instrument(span));
        Box::pin(async move { running.await.map_err(Into::into) })
    }
}

/// Runs the handler to its end, or until its grace after a stop is over; then it is dropped, before its slot is free.
async fn run(handler: impl Future<Output = Result<Outcome, BoxDynError>> + Send, ctx: &JobCtx, config: &Config) -> End {
    let mut handler = Box::pin(AssertUnwindSafe(handler).catch_unwind());
    let patience = async {
        tokio::select! {
            () = ctx.stop().cancelled() => {}
            () = sleep(ctx.row().spec.max_runtime) => ctx.halt(Stop::Deadline),
        }
        // A lease in doubt leaves no time for manners: the handler must be gone before the job may start elsewhere.
        let at_risk = matches!(ctx.stop_reason(), Some(Stop::LeaseAtRisk));
        sleep(if at_risk { config.grace.min(config.fence_margin / 2) } else { config.grace }).await;
    };
    let end = tokio::select! {
        biased;
        ended = &mut handler => match ended {
            Ok(result) => End::Ran(result),
            Err(panic) => End::Panicked(text_of(&*panic)),
        },
        () = patience => End::Dropped,
    };
    match catch_unwind(AssertUnwindSafe(move || drop(handler))) {
        Ok(()) => end,
        Err(panic) => End::Panicked(text_of(&*panic)),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Brings the end of one attempt to the pump, even when it is dropped on the way.
struct Ending {
    shared: Arc<Shared>,
    ctx: Option<JobCtx>,
}

impl Ending {
    fn write(mut self, end: End) {
        if let Some(ctx) = self.ctx.take() {
            let stop = ctx.stop_reason().cloned();
            hand_over(&self.shared, &ctx, settle(end, stop.as_ref(), ctx.draining().is_cancelled()));
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(ctx) = self.ctx.take() {
            hand_over(&self.shared, &ctx, Verdict::Failed(Failed::unwound()));
        }
    }
}

fn hand_over(shared: &Shared, ctx: &JobCtx, verdict: Verdict) {
    let ran = ctx.ran_for();
    let (end, settled) = match (verdict, ctx.settled()) {
        (Verdict::Outcome(Outcome::Settled), Some(end)) => (Some(end), true),
        (Verdict::Outcome(Outcome::Settled), None) => (ctx.transition(Verdict::Failed(Failed::unsettled())), false),
        (verdict, _) => (ctx.transition(verdict), false),
    };
    let Some(end) = end else {
        tracing::debug!("attempt ended without a word, its job is somebody else's");
        shared.forget(ctx.key());
        return;
    };
    tell(&end, u64::try_from(ran.as_millis()).unwrap_or(u64::MAX));
    if settled { shared.settled(ctx, end) } else { shared.done(ctx, end) }
}

/// The one log line of an attempt.
fn tell(end: &Transition, duration_ms: u64) {
    let Transition { reason, class, error, delay_ms, .. } = end;
    match end.turn {
        Turn::Completed => tracing::debug!(duration_ms, "job completed"),
        Turn::Snooze => tracing::debug!(duration_ms, delay_ms, "job snoozed"),
        Turn::HandBack => tracing::info!(duration_ms, "job handed back"),
        Turn::Cancelled => tracing::info!(duration_ms, reason, "job cancelled"),
        Turn::Superseded => tracing::info!(duration_ms, "job superseded"),
        Turn::Retry | Turn::RetryUncounted => {
            tracing::warn!(duration_ms, fault = class, error, delay_ms, "attempt failed, trying again");
        }
        Turn::Discarded => tracing::error!(duration_ms, reason, fault = class, error, "job given up"),
    }
}
