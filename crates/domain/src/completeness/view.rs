//! One track as rows, declaration and store tell it together: what is there, what is not, and why.

use super::Seen;
use crate::bucket::Claims;
use crate::mux::{GapCause, PlanObject, PlanSegment, Repair, RepairKind};
use crate::segment::{Row, Shape, State, Track};
use std::collections::BTreeMap;

/// One track as rows, declaration and store tell it together.
pub(super) struct TrackView {
    pub(super) track: Track,
    /// The initialization section, when the store has it.
    pub(super) init: Option<PlanObject>,
    /// Segments that the store has, ascending by index.
    pub(super) present: Vec<Present>,
    /// Indexes from 1 to the last one that are not there, and why. Those of cause [`GapCause::Lost`] by their row will
    /// never come.
    pub(super) absent: BTreeMap<u32, GapCause>,
    /// Something of the track may still come.
    pub(super) awaits: bool,
    /// The store has media of the track.
    pub(super) has_media: bool,
    /// What is wrong with the initialization section that is there.
    pub(super) init_defect: Option<String>,
    /// What was taken in although no manifest names it, and what was left out for that reason.
    pub(super) repairs: Vec<Repair>,
}

/// A segment that the store has.
#[derive(Debug, Clone)]
pub(super) struct Present {
    pub(super) segment: PlanSegment,
    pub(super) shape: Shape,
    /// What is wrong with the object, of which only whole samples are kept.
    pub(super) defect: Option<String>,
}

/// `None` when the recording has no such track: nothing of it was declared, no media segment of it ever came, and nobody
/// began it without saying later what became of it.
pub(super) fn view(seen: &Seen, track: Track) -> Option<TrackView> {
    let rows: BTreeMap<u32, &Row> =
        seen.rows.iter().filter(|row| row.track == track).map(|row| (row.index, row)).collect();
    let objects = || seen.objects.iter().filter(|object| object.track == track && object.index > 0);
    let last = last_index(seen, track, &rows, objects().map(|object| object.index).max().unwrap_or(0));
    if last == 0 && !is_begun(seen, rows.get(&0).copied()) {
        return None;
    }
    let sizes: BTreeMap<u32, u64> = seen
        .objects
        .iter()
        .filter(|object| object.track == track)
        .map(|object| (object.index, object.size_bytes))
        .collect();
    let mut view = TrackView {
        track,
        init: None,
        present: Vec::with_capacity(rows.len()),
        absent: BTreeMap::new(),
        awaits: false,
        has_media: objects().next().is_some(),
        init_defect: rows.get(&0).and_then(|row| row.defect.clone()),
        repairs: seen.claimed.as_ref().map_or_else(Vec::new, |claims| unnamed(claims, track, &rows, last)),
    };
    for index in 0..=last {
        let found = match rows.get(&index) {
            None => Err((GapCause::Missing, true)),
            Some(row) => in_store(row, sizes.get(&index).copied()),
        };
        match (index, found) {
            (0, Ok(row)) => {
                view.init = row.sha256.map(|sha256| PlanObject { size_bytes: row.size_bytes, sha256 });
            }
            (0, Err(_)) => view.awaits |= view.init_defect.is_none(),
            (_, Ok(row)) => match present(seen, row) {
                Some(present) => view.present.push(present),
                // Bytes without a place on the time axis are not a segment, whatever they are.
                None => drop(view.absent.insert(index, GapCause::Damaged)),
            },
            (_, Err((cause, may_come))) => {
                view.absent.insert(index, cause);
                view.awaits |= may_come;
            }
        }
    }
    // Nobody says that there is more of it.
    view.awaits &= last > 0;
    Some(view)
}

/// There is an initialization section and no segment, and nobody declared that this is all.
fn is_begun(seen: &Seen, init: Option<&Row>) -> bool {
    seen.declared.is_none() && init.is_some_and(|init| init.state == State::Stored && init.defect.is_none())
}

fn present(seen: &Seen, row: &Row) -> Option<Present> {
    let shape = seen.shapes.get(&(row.track, row.index)).copied().or_else(|| row.span.map(Shape::of_span))?;
    let Row { index, size_bytes, sha256, .. } = *row;
    let segment = PlanSegment { index, size_bytes, sha256, shift: 0, salvaged: row.defect.is_some() };
    Some(Present { segment, shape, defect: row.defect.clone() })
}

/// The last index of a track. Where another uploader's manifest names segments, it ends with them and with what follows on
/// without a hole: what lies further behind may be left from an earlier try. Objects count by themselves only while
/// nothing of them can be read, because the initialization section has not come or is none that we read.
fn last_index(seen: &Seen, track: Track, rows: &BTreeMap<u32, &Row>, objects_last: u32) -> u32 {
    let declared = seen.declared.as_ref().map_or(0, |declared| declared.last_index(track));
    let claimed = seen.claimed.as_ref().map_or(0, |claims| claims.last_index(track));
    let is_readable = rows.get(&0).is_some_and(|init| init.defect.is_none());
    let unreadable = if is_readable { 0 } else { objects_last };
    let known = declared.max(claimed).max(unreadable);
    if claimed == 0 {
        return rows.keys().next_back().copied().unwrap_or(0).max(known);
    }
    (known..).find(|index| !rows.contains_key(&(index + 1))).unwrap_or(known)
}

/// What is told of segments that no manifest names, for a person.
fn unnamed(claims: &Claims, track: Track, rows: &BTreeMap<u32, &Row>, last: u32) -> Vec<Repair> {
    let tell = |row: &&Row| {
        let (kind, what) = match row.index {
            index if index == 0 || claims.names(track, index) => return None,
            index if index > last => {
                let what = "left out: the manifest does not name it, and a segment before it is missing";
                (RepairKind::LeftOut, what)
            }
            _ if row.state == State::Stored => {
                (RepairKind::Recovered, "recovered: it is in the bucket and the manifest does not name it")
            }
            _ => return None,
        };
        Some(Repair { track, segment: row.index, kind, what: what.to_owned() })
    };
    rows.values().filter_map(tell).collect()
}

/// The row if its bytes are in the store, else why not and whether they may still come. A listing may lag behind a
/// write, so an object that is not shown is waited for like a segment that never came.
fn in_store(row: &Row, size_bytes: Option<u64>) -> Result<&Row, (GapCause, bool)> {
    match (row.state, size_bytes) {
        (State::Stored, Some(size)) if size == row.size_bytes => Ok(row),
        (State::Stored, Some(_)) => Err((GapCause::Damaged, true)),
        (State::Stored | State::Received, None) => Err((GapCause::Lost, true)),
        (State::Received, Some(_)) => Err((GapCause::Missing, true)),
        // What is whole of a damaged object is in the store like a segment.
        (State::Lost, Some(size)) if is_salvaged(row) && size == row.size_bytes => Ok(row),
        (State::Lost, _) if is_salvaged(row) => Err((GapCause::Damaged, true)),
        // An object without bytes may be one that is being written; for good, it is one that never came.
        (State::Lost, _) if row.defect.is_some() && row.size_bytes == 0 => Err((GapCause::Missing, true)),
        (State::Lost, _) if row.defect.is_some() => Err((GapCause::Damaged, false)),
        (State::Lost, _) => Err((GapCause::Lost, false)),
    }
}

/// A damaged object of another uploader, of which something is whole: it has a place on the time axis all the same.
fn is_salvaged(row: &Row) -> bool {
    row.index > 0 && row.defect.is_some() && row.span.is_some()
}
