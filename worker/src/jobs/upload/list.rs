//! Appends to the listing what viewers may see.

use super::takes_segments;
use crate::context::Context;
use crate::db::{self, listing};
use chrono::{DateTime, Utc};
use domain::id::RecordingId;
use domain::playlist;
use queue::JobError;
use sea_orm::DatabaseTransaction;

/// What was appended.
pub(super) struct Appended {
    /// Rows.
    rows: usize,
    /// When something that is held back now may be listed although nothing new comes.
    wait_until: Option<DateTime<Utc>>,
}

/// Appends to the listing what viewers may see now, as far as one append reaches.
pub(super) async fn append(cx: &Context, tx: &DatabaseTransaction, id: &RecordingId) -> Result<Appended, JobError> {
    let sides = listing::sides(tx, id).await?;
    let first = sides.iter().find_map(|side| side.stored.first().map(|first| first.span));
    let now = db::settings::now(tx).await?;
    let append = playlist::next(sides, now, cx.config.live.gap_after);
    if let (false, Some(first)) = (append.rows.is_empty(), first) {
        listing::decide_target_duration(tx, id, playlist::target_duration_s(first)).await?;
    }
    listing::append(tx, id, &append.rows).await?;
    Ok(Appended { rows: append.rows.len(), wait_until: append.wait_until })
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
