//! Whether a folder is all there, by the same rules as a recording: `domain::completeness`.

#![forbid(unsafe_code)]

use super::scan::{Found, FoundTrack};
use super::{Failure, Options};
use crate::defect::Defect;
use crate::index::IndexReader;
use crate::init::Init;
use crate::layout::{SegmentInput, TrackInput};
use crate::walk::Media;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta};
use domain::completeness::{self, Completeness, Declaration, Last, Limits, Object, Seen};
use domain::id::{OwnerId, RecordingId, Sha256};
use domain::manifest::{LEGACY_DURATION_US, Manifest};
use domain::mux::{Fill, Gap};
use domain::segment::{Row, Span, State, Track};
use std::collections::BTreeMap;

/// What is muxed, and what it lacks.
pub(super) struct Verdict {
    pub(super) tracks: Vec<TrackInput>,
    pub(super) gaps: Vec<Gap>,
}

pub(super) fn judge(found: Found, options: &Options) -> Result<Verdict, Failure> {
    let Found { mut tracks, manifest } = found;
    // A recorder opens both tracks; one that never got a segment has nothing to lose.
    tracks.retain(|_, track| !track.segments.is_empty());
    refuse_track_without_samples(&tracks)?;
    let declared = manifest.and_then(|manifest| declaration(&manifest, &tracks));
    let gaps = match completeness::check(&seen(&tracks, declared, options)?) {
        Completeness::Complete(plan) | Completeness::Incomplete(plan) => plan.gaps,
        Completeness::Broken(broken) => return Err(Failure::new(broken.code(), &broken)),
        Completeness::Waiting { .. } => return Err(Failure::of(&Defect::Empty)),
    };
    let tracks = tracks.into_values().filter_map(|track| {
        let init = track.init?;
        let segments = track.segments.into_iter().filter_map(|(index, segment)| {
            let media = segment.media.ok()?;
            let (size_bytes, packed) = (segment.size_bytes, Bytes::from(media.index));
            Some(SegmentInput { index, size_bytes, sha256: None, packed, shift: 0, salvaged: false })
        });
        Some(TrackInput { init, segments: segments.collect(), fill: Fill::Hold })
    });
    Ok(Verdict { tracks: tracks.collect(), gaps })
}

/// A track of which not one segment can be read is lost, not degraded: the first defect says why.
fn refuse_track_without_samples(tracks: &BTreeMap<Track, FoundTrack>) -> Result<(), Failure> {
    for (track, found) in tracks {
        let mut segments = found.segments.iter();
        if found.segments.values().any(|segment| segment.media.is_ok()) {
            continue;
        }
        let first = segments.find_map(|(index, segment)| segment.media.as_ref().err().map(|defect| (index, defect)));
        let Some((index, defect)) = first else { continue };
        let empty = Failure::new("empty", defect);
        return Err(empty.about(&format!("no segment of the {track} track can be read, segment {index} for one")));
    }
    Ok(())
}

fn seen(
    tracks: &BTreeMap<Track, FoundTrack>,
    declared: Option<Declaration>,
    options: &Options,
) -> Result<Seen, Failure> {
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    for (&track, found) in tracks {
        let mut add = |index, size_bytes, span| {
            // Nothing of the plan but its gaps is used, so no digest is made.
            let sha256 = Some(Sha256([0; 32]));
            rows.push(Row { track, index, state: State::Stored, size_bytes, sha256, span, defect: None });
            objects.push(Object { track, index, size_bytes });
        };
        add(0, found.init_bytes, None);
        for (&index, segment) in found.segments.iter().filter(|(_, segment)| !segment.is_missing()) {
            let span = segment.media.as_ref().ok().zip(found.init.as_ref()).map(|(media, init)| presented(media, init));
            add(index, segment.size_bytes, span);
        }
    }
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
        shapes: BTreeMap::new(),
        silent_frame: None,
        pauses: completeness::Pauses::Auto,
        rows,
        objects,
        // Nothing will come any more: every deadline has passed.
        signalled_at: never,
        now: never + TimeDelta::days(365),
        limits: Limits { max_gap_ratio: options.max_gap_ratio.unwrap_or(1.0), ..Limits::default() },
    })
}

/// When a segment is presented. Decode times would make every gap late or early by the encoder's delay.
fn presented(media: &Media, init: &Init) -> Span {
    let Ok(index) = IndexReader::open(&media.index) else { return media.span };
    let (mut from, mut to) = (i64::MAX, 0);
    for fragment in index.fragments() {
        let mut at = fragment.tfdt as i64 - init.media_time;
        for sample in fragment.samples() {
            let composed = at + i64::from(sample.composition_offset);
            from = from.min(composed);
            at += i64::from(sample.duration);
            to = to.max(composed + i64::from(sample.duration));
        }
    }
    let from = from.clamp(0, to);
    Span { start: from as u64, duration: (to - from) as u64, ..media.span }
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
