//! Carries out one operator verb on one recording, or what follows when a job of it ended without its work done.
//!
//! Done when: the verb has had its effect or is refused; nobody waits for the job that ended.
//! Safe to repeat: yes. Every change is a compare-and-set under the recording's lock and commits together with the end
//! of the job.

use super::{Job, end_in, obsolete, unless_locked};
use crate::context::Context;
use crate::db::recordings::{self, Advanced, From, Recording};
use crate::db::{self, plans};
use domain::job::{Control, Ended, FollowUp, Kind, ManifestCheck, Queue, Verb};
use domain::recording::{Cause, State};
use domain::retry::Fault;
use queue::enqueue::Enqueue;
use queue::operate::{self, By};
use queue::read::LiveJob;
use queue::{JobCtx, JobError, Outcome};
use sea_orm::DatabaseTransaction;
use serde_json::json;

impl Job for Control {
    async fn run(&self, cx: &Context, ctx: &JobCtx) -> Result<Outcome, JobError> {
        let id = match self {
            Control::Verb { recording, .. } => recording,
            Control::FollowUp(follow_up) => &follow_up.subject,
        };
        let tx = db::begin(&cx.db).await?;
        let recording = match unless_locked(recordings::lock(&tx, id).await)? {
            Ok(Some(recording)) => recording,
            Ok(None) => return Ok(obsolete()),
            Err(later) => return Ok(later),
        };
        let outcome = match self {
            Control::Verb { verb, .. } => carry_out(&tx, &recording, *verb).await?,
            Control::FollowUp(FollowUp { ended, .. }) => follow(&tx, &recording, ended).await?,
        };
        end_in(cx, ctx, tx, outcome, &[Queue::Control]).await
    }
}

async fn carry_out(tx: &DatabaseTransaction, recording: &Recording, verb: Verb) -> Result<Outcome, JobError> {
    let id = &recording.id;
    match verb {
        Verb::Recheck => check_again(tx, recording).await,
        Verb::AcceptGaps => {
            plans::accept_gaps(tx, id).await?;
            check_again(tx, recording).await
        }
        Verb::Remux => {
            if let Err(refused) = step(tx, recording, Cause::Remux).await? {
                return Ok(refused);
            }
            plans::next_version(tx, id).await?;
            put_check(tx, recording).await?;
            Ok(Outcome::Completed)
        }
        Verb::Reopen => {
            if let Err(refused) = step(tx, recording, Cause::Reopen).await? {
                return Ok(refused);
            }
            plans::next_version(tx, id).await?;
            plans::forget_end(tx, id).await?;
            Ok(Outcome::Completed)
        }
        Verb::Cancel => {
            if let Err(refused) = step(tx, recording, Cause::Cancel).await? {
                return Ok(refused);
            }
            cancel_jobs(tx, recording).await?;
            Ok(Outcome::Completed)
        }
        // Erasing is a kind of its own, and this build has none.
        Verb::Erase => Ok(refused("this build cannot erase recordings")),
    }
}

/// The operator reads it with the finished job.
fn refused(why: impl std::fmt::Display) -> Outcome {
    Outcome::CompletedAs(format!("refused: {why}"))
}

/// Looks again at a recording that failed or is being finalized.
async fn check_again(tx: &DatabaseTransaction, recording: &Recording) -> Result<Outcome, JobError> {
    if recording.state != State::Finalizing
        && let Err(refused) = step(tx, recording, Cause::Revive).await?
    {
        return Ok(refused);
    }
    put_check(tx, recording).await?;
    Ok(Outcome::Completed)
}

async fn put_check(tx: &DatabaseTransaction, recording: &Recording) -> Result<(), JobError> {
    let check = Enqueue::of(&ManifestCheck { recording: recording.id.clone() })?;
    check.owned_by(recording.owner.as_str()).hastening().put(tx).await?;
    Ok(())
}

/// One step along the list; the inner error is how the job ends when the list has no such step.
async fn step(tx: &DatabaseTransaction, recording: &Recording, cause: Cause) -> Result<Result<(), Outcome>, JobError> {
    Ok(match recordings::advance(tx, &recording.id, From::of(recording), cause, json!({ "by": "operator" })).await? {
        Advanced::To(_) => Ok(()),
        Advanced::Refused(wrong) => Err(refused(wrong)),
        // The row is locked since it was read.
        Advanced::Changed => Err(obsolete()),
    })
}

/// Stops what still works on a recording that was given up; not the one who tells the web app of it.
async fn cancel_jobs(tx: &DatabaseTransaction, recording: &Recording) -> Result<(), JobError> {
    let live = queue::read::live_jobs(tx, &[recording.id.as_str()]).await?;
    let spared = [Kind::Control, Kind::Webhook].map(Kind::as_str);
    let others = live.iter().filter(|job| !spared.contains(&job.kind.as_str()));
    cancel(tx, others, "the recording was cancelled").await
}

async fn cancel(tx: &DatabaseTransaction, jobs: impl Iterator<Item = &LiveJob>, reason: &str) -> Result<(), JobError> {
    let by = By { actor: "spool".to_owned(), via: "control".to_owned(), reason: Some(reason.to_owned()) };
    for job in jobs {
        let cancelled = operate::cancel(tx, job.id, &by).await;
        cancelled.map_err(|error| JobError::new(Fault::Transient, "database", error))?;
    }
    Ok(())
}

/// A job ended discarded or cancelled: its recording must not wait for it. Nothing is done while a live job holds the
/// same key, because somebody has retried it meanwhile, nor when the recording has gone on.
pub(super) async fn follow(
    tx: &DatabaseTransaction,
    recording: &Recording,
    ended: &Ended,
) -> Result<Outcome, JobError> {
    let live = queue::read::live_jobs(tx, &[recording.id.as_str()]).await?;
    let retried = ended.unique_key.is_some() && live.iter().any(|job| job.unique_key == ended.unique_key);
    if retried || recording.state != State::Finalizing || !concerns(recording, ended) {
        return Ok(obsolete());
    }
    let (code, message) = explain(ended);
    let facts = json!({ "error": { "code": code, "message": message }, "job": ended.job_id });
    if let Err(ended) = match recordings::advance(tx, &recording.id, From::of(recording), Cause::Fail, facts).await? {
        Advanced::To(_) => Ok(()),
        Advanced::Refused(wrong) => Err(refused(wrong)),
        Advanced::Changed => Err(obsolete()),
    } {
        return Ok(ended);
    }
    plans::explain(tx, &recording.id, &code, &message).await?;
    if ended.kind == Kind::Upload.as_str() {
        // A check that waits for the store would wake, find the recording failed and take that for an operator's retry:
        // it would be finalizing again, and wait for a job that is dead.
        let checks = live.iter().filter(|job| job.kind == Kind::ManifestCheck.as_str());
        cancel(tx, checks, "the upload that it waited for was given up").await?;
    }
    tracing::error!(recording.id = %recording.id, code, error = message, "recording failed");
    Ok(Outcome::Completed)
}

/// Whether the recording waits for the job that ended: a mux of its present plan, a check, an upload.
fn concerns(recording: &Recording, ended: &Ended) -> bool {
    match Kind::parse(&ended.kind) {
        Some(Kind::Mux) => {
            let key = format!("mux:{}:{}", recording.id, recording.plan_version);
            ended.unique_key.as_deref() == Some(&key)
        }
        Some(Kind::ManifestCheck) => !recording.door().frozen,
        Some(Kind::Upload) => true,
        Some(
            Kind::Cleanup
            | Kind::Control
            | Kind::Erase
            | Kind::Noop
            | Kind::Preview
            | Kind::Probe
            | Kind::Sweep
            | Kind::Webhook,
        )
        | None => false,
    }
}

/// Code and sentence for people.
fn explain(ended: &Ended) -> (String, String) {
    let Ended { kind, outcome, error_class, error, .. } = ended;
    let code = match outcome.as_str() {
        "cancelled" => "job-cancelled".to_owned(),
        _ => error_class.clone().filter(|class| !class.is_empty()).unwrap_or_else(|| "job-discarded".to_owned()),
    };
    let why = error.as_deref().filter(|error| !error.is_empty()).map_or(String::new(), |error| format!(": {error}"));
    (code, format!("the {kind} job was {outcome}{why}"))
}
