//! The plan of a result, and whether the result is what was planned.
//!
//! A plan is immutable and leaves no choice to whoever carries it out: the same plan and layout version give the same
//! bytes. It names segments by index, size and digest; keys follow from `domain::key`, sample indexes from the rows.

use crate::id::{OwnerId, RecordingId, Sha256};
use crate::segment::Track;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Layout written by this build. It changes whenever the same plan would give other bytes, or a plan says what builds
/// before did not know; a worker refuses a plan of a layout version it does not know.
pub const LAYOUT_VERSION: u32 = 2;

/// Layouts that this build can still carry out. A plan of version 1 moves, fills and salvages nothing, and so gives the
/// same bytes as ever.
pub const LAYOUT_VERSIONS: std::ops::RangeInclusive<u32> = 1..=LAYOUT_VERSION;

/// Layout version of a plan whose objects libavformat has to take apart, because their index cannot be told: what is inside
/// the segments is known when the result is made, and its bytes are no function of the plan. Far from any other, so that
/// builds that know of no such plans refuse it like one of the future.
pub const LAYOUT_ODD: u32 = 1_000_001;

/// Such layouts that this build can still carry out. A plan of the first one names neither entity tags nor digests.
pub const LAYOUTS_ODD: std::ops::RangeInclusive<u32> = 1_000_000..=LAYOUT_ODD;

/// A stretch without samples up to this long is rounding, priming or a late frame (milliseconds): the sample before it
/// lasts until the next one, and nothing is told. What is longer is in the plan.
pub const STRETCH_MS: u64 = 100;

/// What is muxed, frozen and numbered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// How the bytes are laid out.
    pub layout_version: u32,
    /// Whose recording it is.
    pub owner: OwnerId,
    /// The recording.
    pub recording: RecordingId,
    /// Counted from 1; version n is published under its own key.
    pub version: u32,
    /// Video before audio; at least one.
    pub tracks: Vec<PlanTrack>,
    /// Every stretch of the timeline that has no samples although it should.
    pub gaps: Vec<Gap>,
    /// What was put right on the way.
    #[serde(default)]
    pub repairs: Vec<Repair>,
    /// The recorder declared its end; else the tail may be missing.
    pub tail_confirmed: bool,
}

/// One track of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanTrack {
    /// Which track.
    pub track: Track,
    /// Its initialization section.
    pub init: PlanObject,
    /// Its media segments in the order of the timeline.
    pub segments: Vec<PlanSegment>,
    /// What fills a stretch without samples.
    #[serde(default, skip_serializing_if = "Fill::is_hold")]
    pub fill: Fill,
    /// Entity tags that the store had for objects that have no row to keep them, by index, 0 for the initialization
    /// section: those that libavformat has to take apart ([`LAYOUT_ODD`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub etags: BTreeMap<u32, String>,
}

/// What fills a stretch of a track without samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fill {
    /// The sample before it lasts until the next one: a picture stands still, a sound pauses.
    #[default]
    Hold,
    /// Silent frames of the track's own codec, wherever at least one of them fits; the rest is held.
    Silence,
}

impl Fill {
    /// Nothing is filled in.
    pub fn is_hold(&self) -> bool {
        *self == Fill::Hold
    }
}

/// The bytes of an initialization section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanObject {
    /// Length of the object.
    pub size_bytes: u64,
    /// Digest of the object.
    pub sha256: Sha256,
}

/// The bytes of a media segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanSegment {
    /// Index of the segment, from 1.
    pub index: u32,
    /// Length of the object.
    pub size_bytes: u64,
    /// Digest of the object; `None` when nobody read all of it (a recording that is written into the bucket). Its sample
    /// index then says whether the bytes are still those that were planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// What is added to its decode times, in units of the track's timescale: a clock that began anew, a pause that is cut.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub shift: i64,
    /// The object is damaged, and only the samples of its index are whole.
    #[serde(default, skip_serializing_if = "is_false")]
    pub salvaged: bool,
}

fn is_zero(shift: &i64) -> bool {
    *shift == 0
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Why a stretch of a track is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapCause {
    /// The segment was declared, or lies below a later one, and never came.
    Missing,
    /// The segment was acknowledged and its bytes were lost before they reached the store.
    Lost,
    /// The bytes are there and are not a segment.
    Damaged,
    /// Time stamps jump in one track and not in the other.
    Jump,
    /// The end of the bytes is missing or damaged; the whole samples before it are kept.
    Truncated,
    /// The object is a copy of one before it.
    Duplicate,
    /// The clock of the recorder began anew, and nothing tells how much time went by.
    Epoch,
    /// The samples are all there, and cannot be decoded.
    Corrupt,
}

impl fmt::Display for GapCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GapCause::Missing => "missing",
            GapCause::Lost => "lost",
            GapCause::Damaged => "damaged",
            GapCause::Jump => "jump",
            GapCause::Truncated => "truncated",
            GapCause::Duplicate => "duplicate",
            GapCause::Epoch => "epoch",
            GapCause::Corrupt => "corrupt",
        })
    }
}

/// A stretch of one track without samples, on the time axis of the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The track that lacks samples.
    pub track: Track,
    /// Where it begins.
    pub from_ms: u64,
    /// Where it ends; equal to `from_ms` when nothing tells how long it is.
    pub to_ms: u64,
    /// The segments that should have been there, ascending.
    pub segments: Vec<u32>,
    /// Why.
    pub cause: GapCause,
}

impl Gap {
    /// Length in milliseconds.
    pub fn duration_ms(&self) -> u64 {
        self.to_ms.saturating_sub(self.from_ms)
    }
}

/// Something that was put right and is told everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// The track.
    pub track: Track,
    /// The segment.
    pub segment: u32,
    /// What was done.
    #[serde(default)]
    pub kind: RepairKind,
    /// What was done, for a person.
    pub what: String,
}

/// What was put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepairKind {
    /// Taken in although no manifest names it; what plans of layout 1 told is this or [`RepairKind::LeftOut`].
    #[default]
    Recovered,
    /// Left out, because no manifest names it and a segment before it is missing.
    LeftOut,
    /// The sample before a stretch without samples lasts until the next one.
    Hold,
    /// A stretch without samples is filled with silent frames.
    Silence,
    /// The last sample before an overlap is shortened by it.
    Shrink,
    /// The whole samples of a damaged segment are kept.
    Salvage,
    /// A segment whose clock began anew follows on the one before it.
    Rebase,
    /// A copy of a segment is left out.
    DropDuplicate,
    /// Segments are brought into the order of their time stamps.
    Sort,
    /// A pause is cut out.
    Cut,
    /// Nothing was done: the segment is longer than a playlist says segments are.
    Overlong,
    /// A track was encoded again, because MP4 has no place for its codec.
    Transcode,
    /// Samples whose decode times went back a little were moved on.
    Retime,
}

/// One track of a result: expected from the plan, or read back from the stored bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackFacts {
    /// Which track.
    pub track: Track,
    /// Number of samples.
    pub samples: u64,
    /// Sum of the sample sizes.
    pub payload_bytes: u64,
    /// Sum of the sample durations (`mdhd`), in units of `timescale`.
    pub duration: u64,
    /// Units per second.
    pub timescale: u32,
}

/// What a stored result must be, or was found to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultFacts {
    /// Length of the object.
    pub size_bytes: u64,
    /// `moov` comes before `mdat`.
    pub faststart: bool,
    /// Video before audio.
    pub tracks: Vec<TrackFacts>,
}

/// A way in which a stored result is not what was planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The object has another length.
    #[error("the result has {found} bytes instead of {expected}")]
    Size {
        /// By the plan.
        expected: u64,
        /// In the store.
        found: u64,
    },
    /// `mdat` comes before `moov`.
    #[error("the result is not faststart: mdat comes before moov")]
    NotFaststart,
    /// Other tracks than planned.
    #[error("the result has tracks {found:?} instead of {expected:?}")]
    Tracks {
        /// By the plan.
        expected: Vec<Track>,
        /// In the store.
        found: Vec<Track>,
    },
    /// Other samples than planned.
    #[error("the {track} track has {found} samples instead of {expected}")]
    Samples {
        /// Which track.
        track: Track,
        /// By the plan.
        expected: u64,
        /// In the store.
        found: u64,
    },
    /// Other bytes than planned.
    #[error("the {track} track has {found} payload bytes instead of {expected}")]
    Payload {
        /// Which track.
        track: Track,
        /// By the plan.
        expected: u64,
        /// In the store.
        found: u64,
    },
    /// An edit list that puts a track elsewhere than planned.
    #[error("the result presents a track at another time than planned")]
    Presented,
    /// Longer or shorter than planned (R-8), in units of the plan's timescale.
    #[error("the {track} track lasts {found}/{timescale} s instead of {expected}/{timescale} s")]
    Duration {
        /// Which track.
        track: Track,
        /// By the plan.
        expected: u64,
        /// In the store.
        found: u64,
        /// Units per second.
        timescale: u32,
    },
}

/// Compares what was planned with what was read back; empty when the result may be published.
/// A duration may differ by one sample, the longest one being bounded by the track's mean sample (R-8).
pub fn verify(expected: &ResultFacts, found: &ResultFacts) -> Vec<Mismatch> {
    let mut wrong = Vec::new();
    if expected.size_bytes != found.size_bytes {
        wrong.push(Mismatch::Size { expected: expected.size_bytes, found: found.size_bytes });
    }
    if !found.faststart {
        wrong.push(Mismatch::NotFaststart);
    }
    let kinds = |facts: &ResultFacts| facts.tracks.iter().map(|facts| facts.track).collect::<Vec<_>>();
    if kinds(expected) != kinds(found) {
        wrong.push(Mismatch::Tracks { expected: kinds(expected), found: kinds(found) });
        return wrong;
    }
    for (want, got) in expected.tracks.iter().zip(&found.tracks) {
        let track = want.track;
        if want.samples != got.samples {
            wrong.push(Mismatch::Samples { track, expected: want.samples, found: got.samples });
        }
        if want.payload_bytes != got.payload_bytes {
            wrong.push(Mismatch::Payload { track, expected: want.payload_bytes, found: got.payload_bytes });
        }
        let one_sample = want.duration.checked_div(want.samples).unwrap_or(0);
        if want.timescale != got.timescale || want.duration.abs_diff(got.duration) > one_sample {
            let (expected, found, timescale) = (want.duration, got.duration, want.timescale);
            wrong.push(Mismatch::Duration { track, expected, found, timescale });
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> ResultFacts {
        let track =
            TrackFacts { track: Track::Video, samples: 60, payload_bytes: 1000, duration: 60_000, timescale: 30_000 };
        ResultFacts { size_bytes: 1500, faststart: true, tracks: vec![track] }
    }

    #[test]
    fn verify_names_each_difference() {
        assert_eq!(verify(&facts(), &facts()), []);
        let mut found = facts();
        found.size_bytes = 1499;
        found.faststart = false;
        found.tracks[0].samples = 59;
        found.tracks[0].payload_bytes = 999;
        found.tracks[0].duration = 58_999;
        let text: Vec<_> = verify(&facts(), &found).iter().map(ToString::to_string).collect();
        expect_test::expect![[r#"
            the result has 1499 bytes instead of 1500
            the result is not faststart: mdat comes before moov
            the video track has 59 samples instead of 60
            the video track has 999 payload bytes instead of 1000
            the video track lasts 58999/30000 s instead of 60000/30000 s"#]]
        .assert_eq(&text.join("\n"));
    }

    #[test]
    fn verify_lets_one_sample_of_duration_pass() {
        let mut found = facts();
        found.tracks[0].duration = 59_000;
        assert_eq!(verify(&facts(), &found), []);
        found.tracks[0].duration = 61_001;
        assert_eq!(verify(&facts(), &found).len(), 1);
    }

    #[test]
    fn verify_refuses_a_track_too_few() {
        let mut found = facts();
        found.tracks.clear();
        assert_eq!(verify(&facts(), &found), [Mismatch::Tracks { expected: vec![Track::Video], found: vec![] }]);
    }
}
