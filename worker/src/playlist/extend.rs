//! Extending what viewers may see, in the transaction of whoever holds the recording.

use crate::db::{Error, events, listing, plans};
use chrono::{DateTime, Utc};
use domain::id::RecordingId;
use domain::playlist::{self, Append, ListingKind, Rendition, Renditions, Side};
use domain::segment::Track;
use sea_orm::DatabaseTransaction;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

/// What became of the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extended {
    /// Rows that were appended.
    pub rows: usize,
    /// There is more to append: come back at once, in another transaction.
    pub more: bool,
    /// When something that is held back now may be listed although nothing new comes.
    pub wait_until: Option<DateTime<Utc>>,
}

/// Appends what viewers may see now, describes the tracks, and ends the listing when the end is final and all of the
/// plan is listed. An ended listing stays as it is: a later reopen adds to the result only. The caller holds the
/// recording ([`listing::hold`]) and commits.
///
/// # Errors
/// The database's.
pub async fn extend(tx: &DatabaseTransaction, id: &RecordingId, gap_after: Duration) -> Result<Extended, Error> {
    let Some(stand) = listing::stand(tx, id).await?.filter(|stand| !stand.ended) else {
        return Ok(Extended::default());
    };
    let sides = listing::sides(tx, id).await?;
    let firsts = sides.iter().filter_map(|side| side.stored.first());
    let target_duration_s =
        stand.target_duration_s.or(firsts.map(|first| playlist::target_duration_s(first.span)).max());
    let unsynced = unsynced(&sides);
    let inits: Vec<Track> = sides.iter().filter(|side| side.init_stored).map(|side| side.track).collect();
    let mut ends = sides.iter().map(|side| (side.track, side.tail.index)).collect::<Vec<_>>();
    // What is not there when the plan is frozen never comes, so nobody waits for it.
    let patience = if stand.over { Duration::ZERO } else { gap_after };
    let Append { rows, wait_until, more } = playlist::next(sides, stand.now, patience);
    if let (false, Some(seconds)) = (rows.is_empty(), target_duration_s) {
        listing::decide_target_duration(tx, id, seconds).await?;
        for row in rows.iter().filter(|row| row.kind == ListingKind::Media && playlist::is_overlong(row, seconds)) {
            let body = json!({ "track": row.track, "index": row.index, "target_duration_s": seconds });
            events::append(tx, id, "segment.overlong", body).await?;
        }
    }
    listing::append(tx, id, &rows).await?;
    for (track, end) in &mut ends {
        *end = rows.iter().filter(|row| row.track == *track).map(|row| row.index).max().unwrap_or(*end);
    }
    let mut renditions = stand.renditions.clone();
    if ends.iter().any(|(_, end)| *end > 0) {
        begin(tx, id, &inits, &mut renditions).await?;
    }
    for row in rows.iter().filter(|row| unsynced.contains(&(row.track, row.index))) {
        if let Some(rendition) = renditions.of_mut(row.track) {
            rendition.independent = false;
        }
    }
    if stand.over && !more && plan_is_listed(tx, id, stand.frozen_version, &ends).await? {
        finish(tx, id, &mut renditions).await?;
        listing::end(tx, id).await?;
    }
    if renditions != stand.renditions {
        listing::describe(tx, id, &renditions).await?;
    }
    Ok(Extended { rows: rows.len(), more, wait_until })
}

/// Segments at whose beginning no player can begin.
fn unsynced(sides: &[Side]) -> BTreeSet<(Track, u32)> {
    let of = |side: &Side| {
        let found = side.stored.iter().filter(|candidate| !candidate.starts_with_sync);
        found.map(|candidate| (side.track, candidate.index)).collect::<Vec<_>>()
    };
    sides.iter().flat_map(of).collect()
}

/// Adds the tracks whose initialization section is in the store. One that was named stays, whatever becomes of the
/// object: players have read its name.
async fn begin(
    tx: &DatabaseTransaction,
    id: &RecordingId,
    inits: &[Track],
    renditions: &mut Renditions,
) -> Result<(), Error> {
    for track in inits.iter().copied() {
        if renditions.of(track).is_some() {
            continue;
        }
        if let Some((codec, first)) = listing::first(tx, id, track).await? {
            *renditions.of_mut(track) = Some(Rendition::begin(track, codec, first));
        }
    }
    Ok(())
}

/// Whether every segment of the frozen plan is listed. A plan that this build cannot read is one of another layout: then
/// that nothing is left to append says the same.
async fn plan_is_listed(
    tx: &DatabaseTransaction,
    id: &RecordingId,
    version: u32,
    ends: &[(Track, u32)],
) -> Result<bool, Error> {
    let Some(Ok(frozen)) = plans::get(tx, id, version).await? else { return Ok(true) };
    Ok(frozen.plan.tracks.iter().all(|planned| {
        let last = planned.segments.iter().map(|segment| segment.index).max().unwrap_or(0);
        ends.iter().any(|(track, end)| *track == planned.track && *end >= last)
    }))
}

/// Puts true values in place of the first segments'. A track of which nothing came is not played by anybody, and whoever
/// comes now must not wait for it.
async fn finish(tx: &DatabaseTransaction, id: &RecordingId, renditions: &mut Renditions) -> Result<(), Error> {
    for track in Track::ALL {
        match listing::rates(tx, id, track).await? {
            Some((peak_bps, average_bps)) => {
                if let Some(rendition) = renditions.of_mut(track) {
                    (rendition.peak_bps, rendition.average_bps) = (peak_bps, average_bps);
                }
            }
            None => *renditions.of_mut(track) = None,
        }
    }
    Ok(())
}
