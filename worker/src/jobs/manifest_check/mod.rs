//! Decides whether the segments of one recording are all in the store.
//!
//! Done when: the plan is frozen and its mux is on its queue, or the recording has failed with a reason, or a provisional
//! end is final.
//! Safe to repeat: yes. Freezing is a compare-and-set under the recording's lock, the mux job is unique per plan version,
//! and every change of state has one winner.

mod odd;
mod samples;

use super::{Job, end_in, obsolete, unless_locked};
use crate::bucket::{self, Sight};
use crate::context::Context;
use crate::db::plans::Frozen;
use crate::db::recordings::{self, Advanced, From, Recording};
use crate::db::{self, plans, segments};
use crate::result::Tags;
use chrono::{DateTime, TimeDelta, Utc};
use domain::completeness::{self, Awaited, Broken, Completeness, Limits, Object, Seen};
use domain::id::RecordingId;
use domain::job::{Cleanup, ManifestCheck, Mux, Queue, Upload};
use domain::key::{self, Keys};
use domain::mux::Plan;
use domain::recording::{Cause, Source, State};
use domain::segment::Row;
use queue::enqueue::Enqueue;
use queue::{JobCtx, JobError, Outcome};
use sea_orm::DatabaseTransaction;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest time between two looks at what is awaited: a store may show an object late, and nobody tells.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Objects of a listing read at once.
const PAGE: usize = 1000;

impl Job for ManifestCheck {
    async fn run(&self, cx: &Context, ctx: &JobCtx) -> Result<Outcome, JobError> {
        let recording = match begin(cx, ctx, &self.recording).await? {
            Ok(recording) => recording,
            Err(ended) => return Ok(ended),
        };
        // A recording that failed may be checked again long after its end, and then the bucket is looked into again.
        let asked_at = recording.now - TimeDelta::from_std(ctx.age()).unwrap_or_default();
        let Some((mut seen, etags)) = observe(cx, &recording, asked_at).await? else {
            // Whoever has looked wakes this job.
            bucket::watch(&cx.db, &recording.id, &recording.owner).await?;
            cx.bell.ring(Queue::Ingest.as_str());
            return Ok(Outcome::Snooze(LOOK_AGAIN));
        };
        let mut verdict = completeness::check(&seen);
        if !matches!(verdict, Completeness::Waiting { .. }) {
            // Only now does it matter what is inside: a check that waits looks again every half minute.
            samples::observe(cx, &recording, &mut seen).await?;
            verdict = completeness::check(&seen);
        }
        if let Completeness::Broken(Broken::DamagedInit { .. }) = &verdict
            && let Some(odd) = odd::judge(cx, &recording, &seen, &etags).await?
        {
            verdict = odd;
        }
        match verdict {
            Completeness::Complete(plan) | Completeness::Incomplete(plan) => freeze(cx, ctx, &recording, &plan).await,
            Completeness::Waiting { on, until } => {
                tracing::debug!(recording.id = %self.recording, awaited = ?on, "waiting");
                if on == Awaited::Store {
                    make_sure_of_upload(cx, &recording).await?;
                }
                Ok(Outcome::Snooze(pause(seen.now, until)))
            }
            Completeness::Broken(broken) => fail(cx, ctx, &recording, &broken).await,
        }
    }
}

/// What waits for the store needs somebody to bring it there. An upload that was given up while the recording was live is
/// tried again, because its end is a reason to; if it is given up again, the recording fails with what it said.
async fn make_sure_of_upload(cx: &Context, recording: &Recording) -> Result<(), JobError> {
    let upload = Enqueue::of(&Upload { recording: recording.id.clone() })?;
    if upload.owned_by(recording.owner.as_str()).put(&cx.db).await?.inserted {
        cx.bell.ring(Queue::Ingest.as_str());
    }
    Ok(())
}

/// When to look again.
fn pause(now: DateTime<Utc>, until: Option<DateTime<Utc>>) -> Duration {
    until.map_or(LOOK_AGAIN, |until| (until - now).to_std().unwrap_or_default().min(LOOK_AGAIN))
}

/// Brings the recording to where its segments can be judged, in one transaction under its lock. The inner error is how
/// the attempt ends when there is nothing to judge.
async fn begin(cx: &Context, ctx: &JobCtx, id: &RecordingId) -> Result<Result<Recording, Outcome>, JobError> {
    let tx = db::begin(&cx.db).await?;
    let recording = match unless_locked(recordings::lock(&tx, id).await)? {
        Ok(Some(recording)) => recording,
        Ok(None) => return Ok(Err(obsolete())),
        Err(later) => return Ok(Err(later)),
    };
    let cause = match recording.state {
        State::Finalizing if recording.door().frozen => return frozen(cx, ctx, tx, recording).await.map(Err),
        State::Ready if recording.provisional => return frozen(cx, ctx, tx, recording).await.map(Err),
        State::Finalizing => return Ok(Ok(recording)),
        // Signalled while it was provisional, then a late segment made it live: the signal still holds.
        State::Live if recording.signalled_at.is_some() => Cause::Complete,
        // A retry of the job is a retry of the recording.
        State::Failed => Cause::Revive,
        State::Live | State::Ready | State::Archived | State::Cancelled | State::Deleted => return Ok(Err(obsolete())),
    };
    recordings::advance(&tx, id, From::of(&recording), cause, json!({})).await?;
    let advanced = recordings::get(&tx, id).await?;
    db::commit(tx).await?;
    match advanced {
        Some(recording) if recording.door().frozen => Ok(Err(Outcome::Snooze(Duration::ZERO))),
        Some(recording) => Ok(Ok(recording)),
        None => Ok(Err(obsolete())),
    }
}

/// The plan is frozen already. Either its mux is to be done (again), or the end was silence and has now been signalled
/// or declared: then this alone decides whether the plan holds all there is.
///
/// The transaction holds the recording FOR UPDATE and read it afterwards, so whatever was acknowledged is seen here, and
/// from its commit on accept refuses.
async fn frozen(
    cx: &Context,
    ctx: &JobCtx,
    tx: DatabaseTransaction,
    recording: Recording,
) -> Result<Outcome, JobError> {
    let id = &recording.id;
    let plan = match plans::get(&tx, id, recording.frozen_version).await? {
        Some(Ok(Frozen { plan, .. })) => Some(plan),
        // Another build's plan cannot be compared: what was acknowledged since must not be lost, so plan anew.
        Some(Err(_)) | None => None,
    };
    let spoken = recording.signalled_at.is_some()
        || (recording.declared.is_some() && plan.as_ref().is_some_and(|plan| !plan.tail_confirmed));
    if !(recording.provisional && spoken) {
        if recording.state != State::Finalizing {
            return Ok(obsolete());
        }
        put_mux(&tx, &recording).await?;
        return end_in(cx, ctx, tx, Outcome::Completed, &[Queue::Mux]).await;
    }
    if recording.source == Source::Bucket && is_unlooked(cx, &tx, &recording).await? {
        // What came before the signal may lie in the bucket unseen. If a look finds it, the recording goes on by that.
        bucket::watch(&tx, id, &recording.owner).await?;
        return end_in(cx, ctx, tx, Outcome::Snooze(LOOK_AGAIN), &[Queue::Ingest]).await;
    }
    let rows = segments::rows(&tx, id).await?;
    if plan.is_some_and(|plan| holds(&plan, &recording, rows.iter().map(|segment| &segment.row))) {
        plans::confirm_end(&tx, id).await?;
        if recording.state == State::Ready {
            let cleanup = Enqueue::of(&Cleanup { recording: id.clone(), version: recording.plan_version })?;
            cleanup.owned_by(recording.owner.as_str()).after(cx.config.cleanup.grace).put(&tx).await?;
        } else {
            put_mux(&tx, &recording).await?;
        }
        put_upload(&tx, &recording).await?;
        return end_in(cx, ctx, tx, Outcome::Completed, &[Queue::Mux, Queue::Control, Queue::Ingest]).await;
    }
    // Outside the plan: it goes on, and ends at once with the next plan version.
    for cause in [Cause::LateSegment, Cause::Complete] {
        let Some(now) = recordings::get(&tx, id).await? else { return Ok(obsolete()) };
        recordings::advance(&tx, id, From::of(&now), cause, json!({})).await?;
        plans::next_version(&tx, id).await?;
    }
    end_in(cx, ctx, tx, Outcome::Snooze(Duration::ZERO), &[]).await
}

async fn put_mux(tx: &DatabaseTransaction, recording: &Recording) -> Result<(), JobError> {
    let mux = Enqueue::of(&Mux { recording: recording.id.clone(), version: recording.plan_version })?;
    mux.owned_by(recording.owner.as_str()).put(tx).await?;
    Ok(())
}

/// The one writer of manifest and listing ends both, now that nothing more can come.
async fn put_upload(tx: &DatabaseTransaction, recording: &Recording) -> Result<(), JobError> {
    let upload = Enqueue::of(&Upload { recording: recording.id.clone() })?;
    upload.owned_by(recording.owner.as_str()).hastening().put(tx).await?;
    Ok(())
}

/// Whether a plan knows every row and everything that was declared.
fn holds<'a>(plan: &Plan, recording: &Recording, mut rows: impl Iterator<Item = &'a Row>) -> bool {
    let knows = |track, index| {
        let planned = plan.tracks.iter().filter(|planned| planned.track == track);
        planned.flat_map(|planned| &planned.segments).any(|segment| segment.index == index)
            || plan.gaps.iter().any(|gap| gap.track == track && gap.segments.contains(&index))
            || plan.repairs.iter().any(|left_out| (left_out.track, left_out.segment) == (track, index))
    };
    let declared = |track| recording.declared.as_ref().map_or(0, |declared| declared.last_index(track));
    domain::segment::Track::ALL.into_iter().all(|track| declared(track) == 0 || knows(track, declared(track)))
        && rows.all(|row| row.index == 0 || knows(row.track, row.index))
}

/// Rows, declaration and a listing of the bucket, and what that tells of entity tags. `None` when another uploader writes the recording and its bucket has to
/// be looked into first.
async fn observe(
    cx: &Context,
    recording: &Recording,
    asked_at: DateTime<Utc>,
) -> Result<Option<(Seen, Tags)>, JobError> {
    let rows = segments::rows(&cx.db, &recording.id).await?;
    let keys = Keys::new(&recording.owner, &recording.id);
    let mut listing = cx.store.list(&keys.segments_prefix()).await?;
    let (mut objects, mut etags, mut sight) = (Vec::new(), Tags::new(), Sight::default());
    loop {
        let page = listing.page(PAGE).await?;
        if page.is_empty() {
            break;
        }
        for listed in page {
            if recording.source == Source::Bucket {
                sight.add(&keys, &listed);
            }
            let Some(key::Object::Segment(track, name)) = keys.parse(&listed.key) else { continue };
            objects.push(Object { track, index: name.index(), size_bytes: listed.size_bytes });
            if recording.source == Source::Bucket {
                etags.extend(listed.etag.map(|etag| ((track, name.index()), etag)));
            }
        }
    }
    let foreign = match recording.source {
        Source::Spool => db::bucket::Seen::default(),
        Source::Bucket => db::bucket::seen(&cx.db, &recording.id).await?,
    };
    let ended_at = recording.signalled_at.max(recording.ended_at).unwrap_or(recording.created_at);
    let since = ended_at.max(asked_at);
    if recording.source == Source::Bucket && may_look(cx, recording, since) {
        let late = foreign.looked_at < Some(since);
        if late || sight.has_unseen(&foreign, &rows, cx.config.limits.segments_max) {
            return Ok(None);
        }
    }
    // Rows first: what is stored between the two looks changes `stored_seq`, and the freeze looks again.
    let live = &cx.config.live;
    let seen = Seen {
        owner: recording.owner.clone(),
        recording: recording.id.clone(),
        policy: recording.policy,
        accept_gaps: recording.gaps_accepted,
        version: recording.plan_version,
        declared: recording.declared.clone(),
        claimed: foreign.claims,
        shapes: BTreeMap::new(),
        silent_frame: None,
        pauses: cx.config.mux.pauses,
        rows: rows.into_iter().map(|segment| segment.row).collect(),
        objects,
        signalled_at: ended_at,
        now: recording.now,
        limits: Limits {
            declaration_wait: live.declaration_wait,
            missing_deadline: live.missing_deadline,
            max_gap_ratio: live.max_gap_ratio,
        },
    };
    Ok(Some((seen, etags)))
}

/// Whether nobody has looked into the bucket since the end was signalled.
async fn is_unlooked(cx: &Context, tx: &DatabaseTransaction, recording: &Recording) -> Result<bool, JobError> {
    let Some(signalled_at) = recording.signalled_at else { return Ok(false) };
    let seen = db::bucket::seen(tx, &recording.id).await?;
    Ok(seen.looked_at < Some(signalled_at) && may_look(cx, recording, signalled_at))
}

/// Whether an unseen object is worth a look before the verdict. Nothing is waited for longer than for what is missing: an
/// object may be there that nobody can read.
fn may_look(cx: &Context, recording: &Recording, since: DateTime<Utc>) -> bool {
    let patience = TimeDelta::from_std(cx.config.live.missing_deadline).unwrap_or(TimeDelta::MAX);
    !recording.gaps_accepted && recording.now - since < patience
}

/// Freezes the plan, unless anything has changed since it was made.
///
/// The recording is taken FOR UPDATE, which waits for everyone who accepts or settles a segment now; the look behind it
/// is a statement of its own and sees what they committed. `stored_seq` grows with every segment that is stored or lost,
/// and one that waits for the store is counted: same numbers, same rows.
async fn freeze(cx: &Context, ctx: &JobCtx, seen: &Recording, plan: &Plan) -> Result<Outcome, JobError> {
    let tx = db::begin(&cx.db).await?;
    let now = match unless_locked(recordings::lock(&tx, &seen.id).await)? {
        Ok(Some(now)) => now,
        Ok(None) => return Ok(obsolete()),
        Err(later) => return Ok(later),
    };
    let stands = |recording: &Recording| {
        let Recording { state, plan_version, frozen_version, stored_seq, gaps_accepted, policy, .. } = *recording;
        (state, plan_version, frozen_version, stored_seq, gaps_accepted, policy)
    };
    let unchanged = stands(&now) == stands(seen)
        && now.declared == seen.declared
        && segments::received(&tx, &seen.id, 1).await?.is_empty();
    if !unchanged || !plans::freeze(&tx, plan).await? {
        return Ok(Outcome::Snooze(Duration::ZERO));
    }
    if now.provisional && now.signalled_at.is_some() {
        plans::confirm_end(&tx, &seen.id).await?;
    }
    put_mux(&tx, &now).await?;
    put_upload(&tx, &now).await?;
    tracing::info!(recording.id = %seen.id, plan.version = plan.version, gaps = plan.gaps.len(), "plan frozen");
    end_in(cx, ctx, tx, Outcome::Completed, &[Queue::Mux, Queue::Ingest]).await
}

/// There will be no result: says why, to the recording, to its listeners and to whoever looks at the job.
async fn fail(cx: &Context, ctx: &JobCtx, seen: &Recording, broken: &Broken) -> Result<Outcome, JobError> {
    let (code, message) = (broken.code(), broken.to_string());
    let tx = db::begin(&cx.db).await?;
    let now = match unless_locked(recordings::lock(&tx, &seen.id).await)? {
        Ok(Some(now)) => now,
        Ok(None) => return Ok(obsolete()),
        Err(later) => return Ok(later),
    };
    if now.stored_seq != seen.stored_seq || !segments::received(&tx, &seen.id, 1).await?.is_empty() {
        return Ok(Outcome::Snooze(Duration::ZERO));
    }
    let facts = json!({ "error": { "code": code, "message": message } });
    match recordings::advance(&tx, &seen.id, From::of(seen), Cause::Fail, facts).await? {
        Advanced::To(_) => plans::explain(&tx, &seen.id, code, &message).await?,
        Advanced::Refused(_) | Advanced::Changed => return Ok(Outcome::Snooze(Duration::ZERO)),
    }
    tracing::error!(recording.id = %seen.id, code, error = message, "recording failed");
    end_in(cx, ctx, tx, Outcome::Discard(code.to_owned()), &[Queue::Control]).await
}
