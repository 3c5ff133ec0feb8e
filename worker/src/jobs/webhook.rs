//! Delivers the events of one recording to one endpoint, in order.
//!
//! Done when: the endpoint has had every event that goes out, or those it did not take are parked.
//! Safe to repeat: yes. A try is counted before it is made, its result is fenced by this attempt's epoch, and a delivery
//! has the same id each time, by which a receiver knows what it has had. An event goes out only when the one before it is
//! delivered or parked, so none overtakes another.

use super::{Job, end_in, obsolete, unless_locked};
use crate::context::Context;
use crate::db::webhooks::{self, After, Key, Waiting};
use crate::db::{self, recordings};
use crate::telemetry::DeliveryOutcome;
use crate::webhook::{Message, Sent};
use domain::job::Webhook;
use domain::retry::Fault;
use domain::webhook::{self as rules, Next, Tried};
use queue::{JobCtx, JobError, Outcome, Progress};
use std::time::Duration;

/// Deliveries before the next recording has its turn. As many of the longest must end within the time of one attempt.
const DELIVERIES_MAX: u32 = 4;

/// How long to leave a job to processes that know its endpoint: during a rolling update some do and some do not.
const ELSEWHERE: Duration = Duration::from_secs(30);

impl Job for Webhook {
    async fn run(&self, cx: &Context, ctx: &JobCtx) -> Result<Outcome, JobError> {
        if webhooks::is_enabled(&cx.db, &self.endpoint).await? != Some(true) {
            // What waits stays; `sweep` sees to it when the endpoint is told again.
            return Ok(Outcome::CompletedAs("the endpoint is disabled".to_owned()));
        }
        if !cx.receivers.contains(&self.endpoint) {
            return Ok(Outcome::Snooze(ELSEWHERE));
        }
        for _ in 0..DELIVERIES_MAX {
            let Some(waiting) = webhooks::next(&cx.db, &self.recording, &self.endpoint).await? else {
                return end(cx, ctx, self).await;
            };
            if ctx.draining().is_cancelled() {
                return Ok(Outcome::HandBack);
            }
            if let Some(ended) = deliver(cx, ctx, self, waiting).await? {
                return Ok(ended);
            }
        }
        Ok(Outcome::Snooze(Duration::ZERO))
    }
}

/// Makes one try. `None`: the next event may go out.
async fn deliver(cx: &Context, ctx: &JobCtx, job: &Webhook, event: Waiting) -> Result<Option<Outcome>, JobError> {
    let Waiting { seq, kind, body, at } = event;
    let key = Key { recording: &job.recording, endpoint: &job.endpoint, seq };
    let Some(body) = cx.receivers.render(&job.endpoint, &kind, at, seq, body) else {
        let skipped = webhooks::end_try(&cx.db, &key, ctx.epoch(), After::Skipped, (None, None)).await?;
        return Ok(unless_taken(skipped));
    };
    // The fence covers rows and not a receiver: an attempt that has lost its job asks before it sends.
    if !ctx.is_mine().await? {
        return Ok(Some(Outcome::Snooze(Duration::ZERO)));
    }
    let Some(begun) = webhooks::begin_try(&cx.db, &key, ctx.epoch()).await? else {
        return Ok(Some(Outcome::Snooze(Duration::ZERO)));
    };
    let id = rules::message_id(job.recording.as_str(), seq, &job.endpoint);
    let Some(sent) = cx.receivers.send(&job.endpoint, &Message { id, at: begun.now, body }).await else {
        return Ok(Some(Outcome::Snooze(ELSEWHERE)));
    };
    let tried = Tried { tries: begun.tries, age: begun.age, retry_after: sent.retry_after };
    let next = rules::decide(sent.answer, tried, cx.config.webhook.give_up_after, rand::random());
    settle(cx, ctx, job, &Try { key, kind: &kind, tries: begun.tries, sent }, next).await
}

/// A try that was made.
struct Try<'a> {
    key: Key<'a>,
    kind: &'a str,
    tries: u32,
    sent: Sent,
}

/// Writes what a try came to, counts it, and says how the attempt goes on.
async fn settle(
    cx: &Context,
    ctx: &JobCtx,
    job: &Webhook,
    made: &Try<'_>,
    next: Next,
) -> Result<Option<Outcome>, JobError> {
    let Try { key, kind, tries, sent } = made;
    let (after, outcome) = match next {
        Next::Delivered => (After::Delivered, DeliveryOutcome::Delivered),
        Next::Park => (After::Parked, DeliveryOutcome::Parked),
        Next::Disable => (After::Pending, DeliveryOutcome::Gone),
        Next::Retry(_) => (After::Pending, DeliveryOutcome::Failed),
    };
    cx.metrics.delivery(outcome, sent.took.as_secs_f64());
    let told = (sent.status, sent.error.as_deref());
    if !webhooks::end_try(&cx.db, key, ctx.epoch(), after, told).await? {
        return Ok(unless_taken(false));
    }
    let error = sent.error.as_deref().unwrap_or_default();
    match next {
        Next::Delivered => {
            let took_ms = u64::try_from(sent.took.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(recording.id = %key.recording, event.seq = key.seq, event.kind = kind, endpoint = key.endpoint, tries, took_ms, "event delivered");
            if ctx.crashes() > 0 {
                // A job that gets on is no poison, however often its processes were killed.
                ctx.progress(Progress { stage: Some("deliver".to_owned()), ..Progress::default() }).await;
            }
            Ok(None)
        }
        Next::Park => {
            tracing::error!(recording.id = %key.recording, event.seq = key.seq, event.kind = kind, endpoint = key.endpoint, tries, error, "event parked, its receiver did not take it in time");
            Ok(None)
        }
        Next::Disable => {
            if webhooks::disable(&cx.db, &job.endpoint).await? {
                tracing::error!(endpoint = key.endpoint, "webhook endpoint disabled, it answered that it is gone");
            }
            Ok(Some(Outcome::CompletedAs("the endpoint is gone".to_owned())))
        }
        Next::Retry(wait) => {
            let text = format!("deliver {kind} (event {}) to {}: {error}", key.seq, key.endpoint);
            Err(JobError::new(Fault::Transient, "webhook", text).after(wait))
        }
    }
}

/// A delivery that somebody else has had meanwhile, a replay for one: look again with an epoch of its own.
fn unless_taken(mine: bool) -> Option<Outcome> {
    (!mine).then_some(Outcome::Snooze(Duration::ZERO))
}

/// Ends the attempt, or looks again.
///
/// An event that is written while this runs finds the job running and enqueues none. Were this to look first and end
/// afterwards, an event committed in between would wait for ever. So it takes the recording, which whoever writes an event
/// holds until their commit, looks again, and ends in the same transaction.
async fn end(cx: &Context, ctx: &JobCtx, job: &Webhook) -> Result<Outcome, JobError> {
    let tx = db::begin(&cx.db).await?;
    match unless_locked(recordings::lock(&tx, &job.recording).await)? {
        Ok(Some(_)) => {}
        Ok(None) => return Ok(obsolete()),
        Err(later) => return Ok(later),
    }
    let outcome = match webhooks::next(&tx, &job.recording, &job.endpoint).await? {
        Some(_) => Outcome::Snooze(Duration::ZERO),
        None => Outcome::Completed,
    };
    end_in(cx, ctx, tx, outcome, &[]).await
}
