//! What recorders and web apps say of a recording on its way, and what operators want of it.

use super::extract::{Id, Json};
use super::problem::{Code, Problem};
use super::recordings::find;
use super::{Api, access};
use crate::db::liveness::{self, Doing};
use crate::db::recordings::{self, Completion};
use crate::db::{self};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::completeness::Declaration;
use domain::id::RecordingId;
use domain::job::{Control, ManifestCheck, Queue, Verb};
use domain::recording::{State as RecordingState, admit, may_wish};
use http::{HeaderMap, StatusCode};
use queue::enqueue::Enqueue;
use queue::operate::By;
use serde::Deserialize;
use serde_json::json;

/// `POST …/heartbeat`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeartbeatBody {
    state: Doing,
}

/// Writes a sign of life. A recorder whose recording has ended without it learns so here.
pub(crate) async fn heartbeat(
    State(api): State<Api>,
    id: Result<Id, Problem>,
    headers: HeaderMap,
    body: Result<Json<HeartbeatBody>, Problem>,
) -> Result<Response, Problem> {
    let Id(id) = id?;
    access::upload(&api, &headers, &id)?;
    let Json(HeartbeatBody { state }) = body?;
    let recording = find(&api, &id).await?;
    admit(recording.door()).map_err(|closed| Problem::from(closed).object(&id))?;
    liveness::beat(&api.cx.db, &id, state).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST …/end`: what the recorder made. The same words again are welcome whenever they come.
pub(crate) async fn end(
    State(api): State<Api>,
    id: Result<Id, Problem>,
    headers: HeaderMap,
    body: Result<Json<Declaration>, Problem>,
) -> Result<Response, Problem> {
    let Id(id) = id?;
    access::upload(&api, &headers, &id)?;
    let Json(declared) = body?;
    let max = api.cx.config.limits.segments_max;
    if declared.tracks.is_empty() {
        return Err(Problem::bad("tracks names at least one track"));
    }
    if declared.tracks.values().any(|last| last.last_index > max) {
        return Err(Problem::bad(format!("last_index is beyond the limit of {max}")));
    }
    declare(&api, &id, &declared).await.map_err(|problem| problem.object(&id))?;
    Ok((StatusCode::ACCEPTED, axum::Json(json!({ "success": true }))).into_response())
}

async fn declare(api: &Api, id: &RecordingId, declared: &Declaration) -> Result<(), Problem> {
    let tx = db::begin(&api.cx.db).await?;
    let recording = recordings::lock_share(&tx, id).await?.ok_or_else(|| Problem::new(Code::RecordingNotFound))?;
    if let Err(closed) = admit(recording.door()) {
        let repeated = recording.declared.as_ref() == Some(declared);
        return if repeated { Ok(()) } else { Err(closed.into()) };
    }
    recordings::declare(&tx, id, declared).await?;
    let awaited = matches!(recording.state, RecordingState::Finalizing | RecordingState::Ready);
    if awaited {
        // The check may be waiting for exactly this word, or has to look at a provisional end again.
        let job = Enqueue::of(&ManifestCheck { recording: id.clone() })?.owned_by(recording.owner.as_str()).hastening();
        job.put(&tx).await?;
    }
    db::commit(tx).await?;
    if awaited {
        api.cx.bell.ring(Queue::Control.as_str());
    }
    Ok(())
}

/// `POST /api/upload/recording-complete`.
#[derive(Debug, Deserialize)]
pub(crate) struct CompleteBody {
    #[serde(rename = "videoId")]
    video_id: RecordingId,
}

/// The completion call.
pub(crate) async fn complete(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Result<Json<CompleteBody>, Problem>,
) -> Result<Response, Problem> {
    // Nobody learns what is wrong with a body before there is a token at all.
    access::present(&headers)?;
    let Json(CompleteBody { video_id: id }) = body?;
    access::service_or_upload(&api, &headers, &id)?;
    let tx = db::begin(&api.cx.db).await?;
    recordings::bound_lock_wait(&tx).await?;
    let completion = recordings::complete(&tx, &id).await?;
    let state = recordings::get(&tx, &id).await?.map(|recording| recording.state);
    db::commit(tx).await?;
    let status = match (completion, state) {
        (Completion::Queued, _) => "queued",
        (Completion::AlreadyProcessing, _) => "already-processing",
        (Completion::AlreadyComplete, _) => "already-complete",
        (Completion::NotFound, _) => return Err(Problem::new(Code::RecordingNotFound).object(id)),
        (Completion::Refused, Some(RecordingState::Cancelled)) => {
            return Err(Problem::new(Code::RecordingCancelled).object(id));
        }
        (Completion::Refused, Some(RecordingState::Deleted)) => {
            return Err(Problem::new(Code::RecordingDeleted).object(id));
        }
        (Completion::Refused, _) => return Err(Problem::new(Code::NothingToFinalize).object(id)),
    };
    api.cx.bell.ring(Queue::Control.as_str());
    Ok(axum::Json(json!({ "success": true, "status": status })).into_response())
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident => $verb:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) async fn $name(
            State(api): State<Api>,
            id: Result<Id, Problem>,
            headers: HeaderMap,
        ) -> Result<Response, Problem> {
            operate(&api, id?.0, &headers, $verb).await
        }
    )*};
}

verbs! {
    /// `POST …/cancel`.
    cancel => Verb::Cancel;
    /// `POST …/retry`.
    retry => Verb::Recheck;
    /// `POST …/remux`.
    remux => Verb::Remux;
    /// `POST …/reopen`.
    reopen => Verb::Reopen;
    /// `POST …/accept-gaps`.
    accept_gaps => Verb::AcceptGaps;
}

/// `DELETE /api/recordings/{id}`: no kind of job of this build erases, and a job nobody runs must not be promised.
pub(crate) async fn erase(
    State(api): State<Api>,
    id: Result<Id, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Id(id) = id?;
    access::service(&api, &headers)?;
    find(&api, &id).await?;
    Err(Problem::new(Code::NotImplemented).detail("erasing recordings is not built in").object(id))
}

/// Puts a wish on the queue. The job decides again, under the lock; what cannot be by the state of this moment is
/// refused at once, so that the caller hears of it.
async fn operate(api: &Api, id: RecordingId, headers: &HeaderMap, verb: Verb) -> Result<Response, Problem> {
    let actor = access::service(api, headers)?;
    let recording = find(api, &id).await?;
    if !may_wish(recording.state, verb, recording.provisional) {
        return Err(Problem::wrong_state(recording.state).object(id));
    }
    let job = Enqueue::of(&Control::Verb { recording: id, verb })?.owned_by(recording.owner.as_str());
    let by = By { actor, via: "http".to_owned(), reason: None };
    let enqueued = queue::operate::enqueue(&api.cx.db, job, &by).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(json!({ "job_id": enqueued.id }))).into_response())
}
