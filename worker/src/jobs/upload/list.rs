//! Appends to the listing what viewers may see.

use super::takes_segments;
use crate::context::Context;
use crate::db::{self, listing};
use crate::playlist::{Extended, extend};
use chrono::{DateTime, Utc};
use domain::id::RecordingId;
use queue::JobError;
use sea_orm::DatabaseTransaction;

/// Appends to the listing what viewers may see now, as far as one append reaches.
pub(super) async fn append(cx: &Context, tx: &DatabaseTransaction, id: &RecordingId) -> Result<Extended, JobError> {
    Ok(extend(tx, id, cx.config.live.gap_after).await?)
}

/// Lists what became due by time alone, gaps, and what the bound of one append left over: after an outage thousands of
/// segments come at once, and no transaction is to hold the recording for all of them.
pub(super) async fn alone(cx: &Context, id: &RecordingId) -> Result<Option<DateTime<Utc>>, JobError> {
    loop {
        let tx = db::begin(&cx.db).await?;
        let Some(_) = listing::hold(&tx, id).await?.filter(takes_segments) else { return Ok(None) };
        let appended = append(cx, &tx, id).await?;
        db::commit(tx).await?;
        // Each row moves the end of the listing on, and no track has more than `INDEX_MAX`.
        if appended.rows == 0 {
            return Ok(appended.wait_until);
        }
    }
}
