//! Brings what is received into the store.
//!
//! Done when: no segment of the recording is received, viewers see what they may see, and the manifest names all of it.
//! Safe to repeat: yes. An object is written under its final key with the bytes that were acknowledged, so a second
//! write changes nothing; a row is settled by compare-and-set; the listing refuses an index twice. Staged bytes go only
//! after the commit that says that the store has them.

mod bring;
mod end;
mod list;
mod manifest;
mod settle;

use super::{Job, obsolete};
use crate::context::Context;
use crate::db::recordings::{self, Recording};
use crate::db::segments;
use bring::bring;
use domain::job::{ManifestCheck, Upload};
use domain::key::Keys;
use domain::recording::State;
use futures_util::StreamExt as _;
use futures_util::stream;
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
        let Some(recording) = recordings::get(&cx.db, &self.recording).await?.filter(takes_segments) else {
            return Ok(obsolete());
        };
        drain(cx, &recording).await?;
        let listed = list::alone(cx, &self.recording).await?;
        let manifest = manifest::write(cx, ctx, &self.recording).await?;
        end::end(cx, ctx, &self.recording, [listed, manifest].into_iter().flatten().min()).await
    }
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
    let keys = Keys::new(&recording.owner, &recording.id);
    loop {
        let rows = segments::received(&cx.db, &recording.id, BATCH).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let bringing = rows.into_iter().map(|segment| bring(cx, &keys, segment));
        let mut brought = stream::iter(bringing).buffer_unordered(PARALLEL).ready_chunks(PARALLEL);
        while let Some(some) = brought.next().await {
            let (mut well, mut fault) = (Vec::new(), None);
            for one in some {
                match one {
                    Ok(brought) => well.push(brought),
                    Err(error) => fault = Some(error),
                }
            }
            // Without this the rows of a recording that was given up meanwhile would be brought again and again.
            let goes_on = settle(cx, &recording.id, &well).await?;
            if let Some(error) = fault {
                return Err(error);
            }
            if !goes_on {
                return Ok(());
            }
        }
    }
}

async fn put_check(tx: &DatabaseTransaction, recording: &Recording) -> Result<(), JobError> {
    let check = enqueue::Enqueue::of(&ManifestCheck { recording: recording.id.clone() })?;
    check.owned_by(recording.owner.as_str()).hastening().put(tx).await?;
    Ok(())
}
