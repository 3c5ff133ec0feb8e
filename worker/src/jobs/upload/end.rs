//! Ends an attempt in the transaction that has looked once more.

use super::bucket::{Looked, asks_for_check};
use super::{list, put_check, takes_segments};
use crate::context::Context;
use crate::db::{self, recordings, segments};
use crate::jobs::{end_in, obsolete, unless_locked};
use chrono::{DateTime, Utc};
use domain::id::RecordingId;
use domain::job::Queue;
use domain::recording::State;
use queue::{JobCtx, JobError, Outcome};
use std::time::Duration;

/// Ends the attempt, or looks again.
///
/// Accept inserts the row of a segment and then finds this job running, so it enqueues none. Were this to look first and
/// end afterwards, a segment committed in between would wait for ever. So it takes the recording FOR UPDATE, which waits
/// for everyone who accepts now and keeps others out, looks again, and ends in the same transaction.
pub(super) async fn end(
    cx: &Context,
    ctx: &JobCtx,
    id: &RecordingId,
    wait_until: Option<DateTime<Utc>>,
    looked: Option<Looked>,
) -> Result<Outcome, JobError> {
    let tx = db::begin(&cx.db).await?;
    let recording = match unless_locked(recordings::lock(&tx, id).await)? {
        Ok(Some(recording)) if takes_segments(&recording) => recording,
        Ok(_) => return Ok(obsolete()),
        Err(later) => return Ok(later),
    };
    let misses_end = looked.is_some_and(|looked| looked.misses_end(&recording));
    if misses_end || !segments::received(&tx, id, 1).await?.is_empty() {
        return end_in(cx, ctx, tx, Outcome::Snooze(Duration::ZERO), &[]).await;
    }
    let mut ring: &[Queue] = &[];
    let looked_for_check = looked.is_some() && asks_for_check(&recording);
    if looked_for_check || (recording.state == State::Finalizing && !recording.door().frozen) {
        put_check(&tx, &recording).await?;
        ring = &[Queue::Control];
    }
    // Whoever froze the plan while this attempt ran found it running and enqueued none either: the last rows and the end
    // of the listing, and the manifest that says that it is complete.
    let listed = list::append(cx, &tx, id).await?;
    if listed.more || recording.awaits_last_manifest() {
        return end_in(cx, ctx, tx, Outcome::Snooze(Duration::ZERO), ring).await;
    }
    let next_look = looked.and_then(|looked| looked.next_at);
    let wait_until = [wait_until, listed.wait_until, next_look].into_iter().flatten().min();
    let wait = wait_until.map(|until| (until - recording.now).to_std().unwrap_or_default());
    let outcome = wait.map_or(Outcome::Completed, Outcome::Snooze);
    end_in(cx, ctx, tx, outcome, ring).await
}
