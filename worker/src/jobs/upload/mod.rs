//! Brings what is received into the store.
//!
//! Done when: no segment of the recording is received, viewers see what they may see, and the manifest names all of it.
//! Safe to repeat: yes. An object is written under its final key with the bytes that were acknowledged, so a second
//! write changes nothing; a row is settled by compare-and-set; the listing refuses an index twice. Staged bytes go only
//! after the commit that says that the store has them.

mod bring;
mod bucket;
mod end;
mod list;
mod manifest;
mod settle;

use super::{Job, obsolete};
use crate::accept::Inits;
use crate::context::Context;
use crate::db::recordings::{self, Recording};
use crate::db::segments::{self, Segment};
use bring::bring;
use domain::id::RecordingId;
use domain::job::{ManifestCheck, Upload};
use domain::recording::State;
use domain::retry::Fault;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use queue::enqueue;
use queue::{JobCtx, JobError, Outcome};
use sea_orm::DatabaseTransaction;
use settle::settle;

/// Segments of one recording on their way at once: hides the store's round trips, leaves bandwidth to other recordings.
const PARALLEL: usize = 4;

/// Rows read at once.
const BATCH: u32 = 64;

impl Job for Upload {
    async fn run(&self, cx: &Context, ctx: &JobCtx) -> Result<Outcome, JobError> {
        attempt(cx, ctx, &self.recording).await.map_err(|error| wait_for_the_store(&self.recording, error))
    }
}

async fn attempt(cx: &Context, ctx: &JobCtx, id: &RecordingId) -> Result<Outcome, JobError> {
    let Some(recording) = recordings::get(&cx.db, id).await?.filter(takes_segments) else {
        return Ok(obsolete());
    };
    drain(cx, &recording).await?;
    let looked = bucket::look(cx, &recording).await?;
    let listed = list::alone(cx, id).await?;
    let manifest = manifest::write(cx, ctx, id).await?;
    end::end(cx, ctx, id, [listed, manifest].into_iter().flatten().min(), looked).await
}

/// What was acknowledged has nowhere else to go. A store that refuses it (credentials were changed, the bucket was moved)
/// is mended by a person, and then the upload goes on by itself, so it is never given up for that.
fn wait_for_the_store(id: &RecordingId, error: JobError) -> JobError {
    if (error.fault(), error.class()) != (Fault::Permanent, "storage") {
        return error;
    }
    tracing::error!(recording.id = %id, error = %error, "the store refuses what was acknowledged; it waits");
    JobError::new(Fault::Transient, "storage", error)
}

/// Whether the recording still has a use for segments.
fn takes_segments(recording: &Recording) -> bool {
    match recording.state {
        State::Live | State::Finalizing | State::Ready | State::Failed => true,
        State::Archived | State::Cancelled | State::Deleted => false,
    }
}

/// Brings every received segment to its end. A fault of one ends the attempt in a retry, after those that went well are
/// committed.
async fn drain(cx: &Context, recording: &Recording) -> Result<(), JobError> {
    let inits = Inits::default();
    loop {
        let mut rows = segments::received(&cx.db, &recording.id, BATCH).await?;
        // Without its initialization section nobody can look into a segment that was only reported.
        if rows.iter().any(|segment| segment.row.index == 0) {
            rows.retain(|segment| segment.row.index == 0);
        }
        // Without the second look the rows of a recording that was given up meanwhile would be brought again and again.
        if rows.is_empty() || !bring_all(cx, recording, &inits, rows).await? {
            return Ok(());
        }
    }
}

/// Brings some segments, a few at once. False when the recording has no use for them any more.
async fn bring_all(cx: &Context, recording: &Recording, inits: &Inits, rows: Vec<Segment>) -> Result<bool, JobError> {
    let mut rows = rows.into_iter();
    let (mut running, mut fault) = (FuturesUnordered::new(), None);
    loop {
        // After a fault none is begun any more, but those under way are not thrown away: a store that fails one request
        // in a few would else make each attempt bring the same segments again.
        while fault.is_none() && running.len() < PARALLEL {
            let Some(segment) = rows.next() else { break };
            running.push(bring(cx, recording, inits, segment));
        }
        let Some(one) = running.next().await else { break };
        let (mut well, mut next) = (Vec::new(), Some(one));
        while let Some(one) = next {
            match one {
                Ok(brought) => well.push(brought),
                Err(error) => fault = fault.or(Some(error)),
            }
            next = running.next().now_or_never().flatten();
        }
        if !settle(cx, &recording.id, &well).await? {
            return Ok(false);
        }
    }
    fault.map_or(Ok(true), Err)
}

async fn put_check(tx: &DatabaseTransaction, recording: &Recording) -> Result<(), JobError> {
    let check = enqueue::Enqueue::of(&ManifestCheck { recording: recording.id.clone() })?;
    check.owned_by(recording.owner.as_str()).hastening().put(tx).await?;
    Ok(())
}
