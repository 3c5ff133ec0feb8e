//! Whether a folder is all there, by the same rules as a recording: `domain::completeness`.

#![forbid(unsafe_code)]

use super::scan::{Found, FoundSegment, FoundTrack};
use super::{Failure, Options, twins};
use crate::defect::Defect;
use crate::layout::{SegmentInput, TrackInput};
use crate::walk::Media;
use crate::{shape, silence};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta};
use domain::completeness::{self, Completeness, Declaration, Last, Limits, Object, Seen};
use domain::id::{OwnerId, RecordingId, Sha256};
use domain::manifest::{LEGACY_DURATION_US, Manifest};
use domain::mux::{Gap, Plan, PlanTrack, Repair};
use domain::segment::{Row, State, Track};
use std::collections::BTreeMap;
use std::path::Path;

/// What is muxed, what it lacks and what was put right.
pub(super) struct Verdict {
    pub(super) tracks: Vec<TrackInput>,
    pub(super) gaps: Vec<Gap>,
    pub(super) repairs: Vec<Repair>,
}

/// Judges what was found in `folder`. Only segments that may be copies of one another are read.
pub(super) fn judge(folder: &Path, found: Found, options: &Options) -> Result<Verdict, Failure> {
    let Found { mut tracks, manifest, .. } = found;
    refuse_what_cannot_be_read(&tracks)?;
    let declared = manifest.and_then(|manifest| declaration(&manifest, &tracks));
    let plan = match completeness::check(&seen(folder, &tracks, declared, options)?) {
        Completeness::Complete(plan) | Completeness::Incomplete(plan) => plan,
        Completeness::Broken(broken) => return Err(Failure::new(broken.code(), &broken)),
        Completeness::Waiting { .. } => return Err(Failure::of(&Defect::Empty)),
    };
    let Plan { tracks: planned, gaps, repairs, .. } = plan;
    let tracks = planned.iter().filter_map(|planned| input(tracks.remove(&planned.track)?, planned));
    Ok(Verdict { tracks: tracks.collect(), gaps, repairs })
}

fn input(mut found: FoundTrack, planned: &PlanTrack) -> Option<TrackInput> {
    let segments = planned.segments.iter().filter_map(|segment| {
        let packed = Bytes::from(found.segments.remove(&segment.index)?.usable()?.index);
        let domain::mux::PlanSegment { index, size_bytes, shift, salvaged, .. } = *segment;
        Some(SegmentInput { index, size_bytes, sha256: None, packed, shift, salvaged })
    });
    let mut inputs = Vec::with_capacity(planned.segments.len());
    inputs.extend(segments);
    Some(TrackInput { init: found.init?, segments: inputs, fill: planned.fill })
}

impl FoundSegment {
    /// What of it can be muxed.
    fn usable(self) -> Option<Media> {
        self.media.ok().or(self.salvaged.map(|media| *media))
    }

    fn as_usable(&self) -> Option<&Media> {
        self.media.as_ref().ok().or(self.salvaged.as_deref())
    }
}

/// A picture of which not one segment can be read is no recording, nor is a sound alone: the first defect says why. Without
/// its sound a picture is.
fn refuse_what_cannot_be_read(tracks: &BTreeMap<Track, FoundTrack>) -> Result<(), Failure> {
    let is_usable = |found: &FoundTrack| found.segments.values().any(|segment| segment.as_usable().is_some());
    let anything = tracks.values().any(is_usable);
    for (track, found) in tracks.iter().filter(|(_, found)| !is_usable(found)) {
        // What is empty is missing, and that is another matter as long as there is something.
        let damaged = found.segments.iter().find(|(_, segment)| !(anything && segment.is_missing()));
        let Some((index, Err(defect))) = damaged.map(|(index, segment)| (index, &segment.media)) else { continue };
        if *track == Track::Video || !anything {
            let empty = Failure::new("empty", defect);
            return Err(empty.about(&format!("no segment of the {track} track can be read, segment {index} for one")));
        }
    }
    Ok(())
}

fn seen(
    folder: &Path,
    tracks: &BTreeMap<Track, FoundTrack>,
    declared: Option<Declaration>,
    options: &Options,
) -> Result<Seen, Failure> {
    let count = tracks.values().map(|found| found.segments.len() + 1).sum();
    let (mut rows, mut objects, mut shapes) =
        (Vec::with_capacity(count), Vec::with_capacity(count), Vec::with_capacity(count));
    for (&track, found) in tracks {
        // Nothing holds the initialization section to its digest, so none is made.
        let (size_bytes, sha256) = (found.init_bytes, Some(Sha256([0; 32])));
        rows.push(Row { track, index: 0, state: State::Stored, size_bytes, sha256, span: None, defect: None });
        objects.push(Object { track, index: 0, size_bytes });
        let digests = twins::digests(folder, track, found)?;
        for (&index, segment) in &found.segments {
            let usable = segment.as_usable().zip(found.init.as_ref());
            let shape = usable.and_then(|(media, init)| shape::of(&media.index, init).ok().flatten());
            let span = usable.filter(|_| shape.is_some()).map(|(media, _)| media.span);
            let defect = segment.media.as_ref().err().map(Defect::to_string);
            let (size_bytes, sha256) = (segment.size_bytes, digests.get(&index).copied());
            let state = if segment.is_missing() { State::Lost } else { State::Stored };
            rows.push(Row { track, index, state, size_bytes, sha256, span, defect });
            objects.push(Object { track, index, size_bytes });
            shapes.extend(shape.map(|shape| ((track, index), shape)));
        }
    }
    let sound = tracks.get(&Track::Audio).and_then(|found| found.init.as_ref());
    let never = DateTime::UNIX_EPOCH;
    let id = |error| Failure::new("internal", &error);
    Ok(Seen {
        owner: OwnerId::parse("folder").map_err(id)?,
        recording: RecordingId::parse("folder").map_err(id)?,
        policy: options.policy,
        accept_gaps: false,
        version: 1,
        declared,
        claimed: None,
        shapes: shapes.into_iter().collect(),
        silent_frame: sound.and_then(silence::frame).map(|frame| frame.duration),
        pauses: options.pauses,
        rows,
        objects,
        // Nothing will come any more: every deadline has passed.
        signalled_at: never,
        now: never + TimeDelta::days(365),
        limits: Limits { max_gap_ratio: options.max_gap_ratio.unwrap_or(1.0), ..Limits::default() },
    })
}

/// A manifest declares the end when it says so, or when it lists more than there is.
fn declaration(manifest: &Manifest, tracks: &BTreeMap<Track, FoundTrack>) -> Option<Declaration> {
    let last = |track| manifest.last_index(track).unwrap_or(0);
    let found = |track| tracks.get(&track).and_then(|found| found.segments.keys().next_back().copied()).unwrap_or(0);
    if !manifest.complete && Track::ALL.into_iter().all(|track| last(track) <= found(track)) {
        return None;
    }
    let duration_us = |track| {
        let segments = &manifest.claim(track).segments;
        let claimed = segments.iter().filter(|entry| entry.duration_us != LEGACY_DURATION_US);
        claimed.map(|entry| u64::try_from(entry.duration_us).unwrap_or(0)).fold(0, u64::saturating_add)
    };
    let declared = Track::ALL.into_iter().filter(|&track| last(track) > 0);
    Some(Declaration {
        tracks: declared.map(|track| (track, Last { last_index: last(track) })).collect(),
        duration_ms: Track::ALL.into_iter().map(duration_us).max().unwrap_or(0) / 1000,
    })
}
