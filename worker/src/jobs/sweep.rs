//! Puts right what no event puts right: silence, and recordings that nobody works on although somebody should.
//!
//! Takes no input, so that there is one path only: what it finds after a crash is what it finds every minute.
//! Done when: it has looked at everything once.
//! Safe to repeat: yes. It counts a minute once, changes states by compare-and-set, and its jobs are unique.

use super::{Job, control};
use crate::context::Context;
use crate::db::recordings::{self, Advanced, From};
use crate::db::sweep::{self, Open, Silence};
use crate::db::webhooks;
use crate::{db, rescan};
use domain::id::RecordingId;
use domain::job::{Ended, Kind, ManifestCheck, Mux, Payload, Queue, Sweep, Upload, Webhook};
use domain::recording::{Cause, State};
use queue::enqueue::Enqueue;
use queue::read::LiveJob;
use queue::{JobCtx, JobError, Outcome};
use serde_json::json;

/// Recordings looked at at once.
const PAGE: u32 = 200;

/// Minutes in which incoming objects of every recording are looked through once. Nothing waits for it: what lies there
/// without a row was not acknowledged, or the database has lost its last commits.
const INCOMING_ROUND: u32 = 10;

impl Job for Sweep {
    async fn run(&self, cx: &Context, _: &JobCtx) -> Result<Outcome, JobError> {
        sweep::count_silence(&cx.db).await?;
        end_silent(cx).await?;
        let expired = sweep::expire_provisional(&cx.db, cx.config.retention.provisional, PAGE).await?;
        if !expired.is_empty() {
            tracing::info!(recordings = expired.len(), "provisional ends made final");
        }
        resume_unfinished(cx).await?;
        resume_uploads(cx).await?;
        resume_looks(cx).await?;
        resume_deliveries(cx).await?;
        look_after_incoming(cx).await?;
        for queue in [Queue::Control, Queue::Mux, Queue::Ingest, Queue::Webhook] {
            cx.bell.ring(queue.as_str());
        }
        Ok(Outcome::Completed)
    }
}

/// Ends live recordings of which nothing was heard for too long; provisionally, because a laptop may only sleep.
async fn end_silent(cx: &Context) -> Result<(), JobError> {
    let live = &cx.config.live;
    let bounds = Silence { recording: live.silence_after, paused: live.paused_silence_after };
    let mut after = None;
    loop {
        let page = sweep::silent(&cx.db, bounds, after.as_ref(), PAGE).await?;
        for id in &page {
            end_one(cx, id).await?;
        }
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.clone());
    }
}

async fn end_one(cx: &Context, id: &RecordingId) -> Result<(), JobError> {
    let tx = db::begin(&cx.db).await?;
    let recording = match recordings::lock(&tx, id).await {
        Ok(Some(recording)) => recording,
        Ok(None) => return Ok(()),
        // The next minute will do.
        Err(error) if error.is_lock_timeout() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if let Advanced::To(_) = recordings::advance(&tx, id, From::of(&recording), Cause::Silence, json!({})).await? {
        put(&tx, &ManifestCheck { recording: id.clone() }, recording.owner.as_str()).await?;
        db::commit(tx).await?;
        tracing::info!(recording.id = %id, "silent recording ended provisionally");
    }
    Ok(())
}

async fn put<P: Payload>(db: &impl sea_orm::ConnectionTrait, payload: &P, owner: &str) -> Result<(), JobError> {
    Enqueue::of(payload)?.owned_by(owner).put(db).await?;
    Ok(())
}

/// Gives recordings that are being finalized a job again if none of theirs lives. Never one whose last job was
/// discarded: that would hide the failure every minute.
async fn resume_unfinished(cx: &Context) -> Result<(), JobError> {
    let mut after = None;
    loop {
        let page = sweep::unfinished(&cx.db, after.as_ref(), PAGE).await?;
        let live = live_jobs(cx, &page).await?;
        for open in &page {
            let muxing = open.state == State::Finalizing && open.frozen;
            let kind = if muxing { Kind::Mux } else { Kind::ManifestCheck };
            // A follow-up that waits will say what becomes of it.
            let busy = [Kind::Mux, Kind::ManifestCheck, Kind::Control];
            if works(&live, open, &busy) {
                continue;
            }
            if let Some(ended) = gave_up(cx, open, kind).await? {
                end_stuck(cx, open, &busy, &ended).await;
                continue;
            }
            resume_one(cx, open, muxing).await?;
        }
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id.clone());
    }
}

/// The two looks before were at different moments: a mux that ended between them has made its recording ready, and needs
/// no other one. So the state is looked at once more, under the lock that publishing takes.
async fn resume_one(cx: &Context, open: &Open, muxing: bool) -> Result<(), JobError> {
    let tx = db::begin(&cx.db).await?;
    match recordings::lock(&tx, &open.id).await {
        Ok(Some(now)) if now.state == open.state && now.plan_version == open.plan_version => {}
        Ok(_) => return Ok(()),
        // The next minute will do.
        Err(error) if error.is_lock_timeout() => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let (recording, version) = (open.id.clone(), open.plan_version);
    match muxing {
        true => put(&tx, &Mux { recording, version }, open.owner.as_str()).await?,
        false => put(&tx, &ManifestCheck { recording }, open.owner.as_str()).await?,
    }
    db::commit(tx).await?;
    tracing::warn!(recording.id = %open.id, muxing, "recording without a job, resumed");
    Ok(())
}

/// Gives segments that wait for the store an upload again if none lives.
async fn resume_uploads(cx: &Context) -> Result<(), JobError> {
    let mut after = None;
    loop {
        let page = sweep::waiting_for_store(&cx.db, after.as_ref(), PAGE).await?;
        resume_upload_of(cx, &page).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id.clone());
    }
}

/// Sends somebody to look into buckets that other uploaders write, if nobody does: a job that was lost or cancelled, a
/// recording that was opened again.
async fn resume_looks(cx: &Context) -> Result<(), JobError> {
    let mut after = None;
    loop {
        let page = sweep::watched(&cx.db, after.as_ref(), PAGE).await?;
        resume_upload_of(cx, &page).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id.clone());
    }
}

async fn resume_upload_of(cx: &Context, page: &[Open]) -> Result<(), JobError> {
    let live = live_jobs(cx, page).await?;
    for open in page {
        if works(&live, open, &[Kind::Upload]) {
            continue;
        }
        if let Some(ended) = gave_up(cx, open, Kind::Upload).await? {
            end_stuck(cx, open, &[Kind::Upload, Kind::Control], &ended).await;
            continue;
        }
        tracing::warn!(recording.id = %open.id, job.kind = Kind::Upload.as_str(), "recording without a job, resumed");
        put(&cx.db, &Upload { recording: open.id.clone() }, open.owner.as_str()).await?;
    }
    Ok(())
}

/// Sees that events that wait for a receiver go out: their job was lost, or the endpoint is told of events again. Not
/// those whose last job was given up: a person has cancelled it, or it is poison.
async fn resume_deliveries(cx: &Context) -> Result<(), JobError> {
    let mut after = None;
    loop {
        let page = webhooks::undelivered(&cx.db, after.as_ref(), PAGE).await?;
        let subjects: Vec<&str> = page.iter().map(|waiting| waiting.recording.as_str()).collect();
        let live = queue::read::live_jobs(&cx.db, &subjects).await?;
        for waiting in &page {
            let job = Webhook { recording: waiting.recording.clone(), endpoint: waiting.endpoint.clone() };
            let key = job.unique_key();
            if live.iter().any(|live| live.unique_key == key) {
                continue;
            }
            let last = queue::read::last_ended(&cx.db, waiting.recording.as_str(), Kind::Webhook.as_str()).await?;
            if last.is_some_and(|last| last.unique_key == key && is_given_up(&last)) {
                continue;
            }
            resume_delivery(cx, &job, waiting.owner.as_str()).await?;
        }
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.clone());
    }
}

/// Under the recording's lock, as whoever writes an event does: a web app's transaction that has put the same job in and
/// stays open would hold up this insert, and with it everybody else's minute.
async fn resume_delivery(cx: &Context, job: &Webhook, owner: &str) -> Result<(), JobError> {
    let tx = db::begin(&cx.db).await?;
    match recordings::lock(&tx, &job.recording).await {
        Ok(Some(_)) => {}
        Ok(None) => return Ok(()),
        // The next minute will do.
        Err(error) if error.is_lock_timeout() => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    put(&tx, job, owner).await?;
    db::commit(tx).await?;
    tracing::info!(recording.id = %job.recording, endpoint = job.endpoint, "delivery of events resumed");
    Ok(())
}

/// Looks after bytes in the object store that no row knows: of a part of the recordings each minute, since every look is
/// a request to the store. A store that is away is not waited for again and again: the rest of the minute's part comes in
/// the next round.
async fn look_after_incoming(cx: &Context) -> Result<(), JobError> {
    if !cx.staging.uses_store() {
        return Ok(());
    }
    let mut after = None;
    loop {
        let page = sweep::taking_in(&cx.db, INCOMING_ROUND, after.as_ref(), PAGE).await?;
        for open in &page {
            if let Err(error) = rescan::objects(cx, &open.owner, &open.id, rescan::OBJECT_AGE_MIN).await {
                tracing::warn!(recording.id = %open.id, error = %error, "incoming objects not looked through");
                return Ok(());
            }
        }
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id.clone());
    }
}

async fn live_jobs(cx: &Context, page: &[Open]) -> Result<Vec<LiveJob>, JobError> {
    let subjects: Vec<&str> = page.iter().map(|open| open.id.as_str()).collect();
    Ok(queue::read::live_jobs(&cx.db, &subjects).await?)
}

fn works(live: &[LiveJob], open: &Open, kinds: &[Kind]) -> bool {
    live.iter().any(|job| job.subject == open.id.as_str() && kinds.iter().any(|kind| kind.as_str() == job.kind))
}

/// The last job of a kind, if it ended discarded or cancelled. A mux of another plan says nothing of this one.
async fn gave_up(cx: &Context, open: &Open, kind: Kind) -> Result<Option<Ended>, JobError> {
    let last = queue::read::last_ended(&cx.db, open.id.as_str(), kind.as_str()).await?;
    let this_plan = Mux { recording: open.id.clone(), version: open.plan_version }.unique_key();
    Ok(last.filter(|ended| is_given_up(ended) && (kind != Kind::Mux || ended.unique_key == this_plan)))
}

fn is_given_up(ended: &Ended) -> bool {
    matches!(ended.outcome.as_str(), "discarded" | "cancelled")
}

/// A recording that is being finalized, whose job was given up and whose follow-up, which would have said so, is gone as
/// well: it would wait for ever. So what the follow-up would have done is done here.
///
/// The follow-up was enqueued in the transaction that ended the job. Whoever sees that end and, holding the recording, no
/// live follow-up, knows that it has ended: with its work done the recording is no longer finalizing, and nothing happens.
/// One recording that cannot be ended must not keep sweep from the others.
async fn end_stuck(cx: &Context, open: &Open, busy: &[Kind], ended: &Ended) {
    if open.state != State::Finalizing {
        return;
    }
    if let Err(error) = end_stuck_one(cx, open, busy, ended).await {
        tracing::error!(recording.id = %open.id, error = %error, "recording without a job not ended");
    }
}

async fn end_stuck_one(cx: &Context, open: &Open, busy: &[Kind], ended: &Ended) -> Result<(), JobError> {
    let tx = db::begin(&cx.db).await?;
    let recording = match recordings::lock(&tx, &open.id).await {
        Ok(Some(recording)) => recording,
        Ok(None) => return Ok(()),
        // The next minute will do.
        Err(error) if error.is_lock_timeout() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let live = queue::read::live_jobs(&tx, &[open.id.as_str()]).await?;
    if works(&live, open, busy) {
        return Ok(());
    }
    if control::follow(&tx, &recording, ended).await? == Outcome::Completed {
        db::commit(tx).await?;
    }
    Ok(())
}
