//! Is it all there: the verdict on the segments of one recording.
//!
//! Declaration, rows and a listing of the bucket are compared; the outcome is a plan, something to wait for, or a reason
//! why there will be no result. Silence is not an outcome. A `received` segment is never missing: it waits for the store
//! without deadline, and the deadline counts only what never came. Every index that was declared or acknowledged ends up
//! in the plan or in its gaps.

#[cfg(test)]
mod foreign;
mod gaps;
#[cfg(test)]
mod tests;

use crate::bucket::Claims;
use crate::id::{OwnerId, RecordingId};
use crate::mux::{Fill, Gap, GapCause, LAYOUT_VERSION, Plan, PlanObject, PlanSegment, PlanTrack, Repair, RepairKind};
use crate::recording::Policy;
use crate::segment::{INDEX_MAX, Row, Shape, Span, State, Track};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use thiserror::Error;

pub use gaps::describe;

/// What the recorder says it made: the body of the end call, and the column `declared`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Declaration {
    /// The last index of each track; a track that is not named was not recorded.
    pub tracks: BTreeMap<Track, Last>,
    /// Length of the recording in milliseconds.
    pub duration_ms: u64,
}

/// The end of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// Index of the last segment; 0 when the track has none.
    pub last_index: u32,
}

impl Declaration {
    /// The last index of `track`; 0 when it has no segment.
    pub fn last_index(&self, track: Track) -> u32 {
        self.tracks.get(&track).map_or(0, |last| last.last_index.min(INDEX_MAX))
    }
}

/// An object below the recording's `segments/` prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    /// The track it belongs to.
    pub track: Track,
    /// 0 for the initialization section.
    pub index: u32,
    /// Its length in the store.
    pub size_bytes: u64,
}

/// How long to wait, and how much may be missing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// How long after the end a declaration is waited for.
    pub declaration_wait: Duration,
    /// How long after the end a segment is waited for that never came.
    pub missing_deadline: Duration,
    /// Largest share of a track, by time and by number, that gaps may be; 1.0 lets everything pass.
    pub max_gap_ratio: f64,
}

impl Default for Limits {
    /// The numbers of CONTRACTS §3.
    fn default() -> Limits {
        Limits {
            declaration_wait: Duration::from_secs(30),
            missing_deadline: Duration::from_secs(600),
            max_gap_ratio: 0.5,
        }
    }
}

/// What becomes of a pause: a stretch in which no track has samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pauses {
    /// Cut where the recorder said that it paused, else kept. Nothing keeps what recorders said, so all are kept.
    #[default]
    Auto,
    /// The last picture stands, and the sound is silent.
    Keep,
    /// The timeline goes on as if there had been none.
    Cut,
}

/// Everything the verdict depends on.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Whose recording it is.
    pub owner: OwnerId,
    /// The recording.
    pub recording: RecordingId,
    /// What becomes of holes.
    pub policy: Policy,
    /// An operator said that the holes do not matter: no policy, no share and no deadline stands in the way.
    pub accept_gaps: bool,
    /// Version of the plan that would be frozen.
    pub version: u32,
    /// What the recorder says it made.
    pub declared: Option<Declaration>,
    /// What the manifests of another uploader have named, finished or not: it is waited for, and behind it only segments
    /// that follow on without a hole belong to the recording. `None` where no manifest was read.
    pub claimed: Option<Claims>,
    /// Every acknowledged segment and initialization section.
    pub rows: Vec<Row>,
    /// What the sample indexes of stored segments amount to. One without is judged by the span of its row.
    pub shapes: BTreeMap<(Track, u32), Shape>,
    /// Length of a silent frame of the sound's codec, in units of its timescale; `None` when there is no silent frame.
    pub silent_frame: Option<u32>,
    /// What becomes of pauses.
    pub pauses: Pauses,
    /// What the store has.
    pub objects: Vec<Object>,
    /// When the end came, by signal or by silence.
    pub signalled_at: DateTime<Utc>,
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// How long to wait, and how much may be missing.
    pub limits: Limits,
}

/// The verdict.
#[derive(Debug, Clone, PartialEq)]
pub enum Completeness {
    /// Nothing is missing.
    Complete(Plan),
    /// Something may still come.
    Waiting {
        /// What.
        on: Awaited,
        /// When the waiting ends; `None` when it has no deadline.
        until: Option<DateTime<Utc>>,
    },
    /// Something is missing for good and the policy lets the recording finish; the plan names every gap.
    Incomplete(Plan),
    /// There will be no result.
    Broken(Broken),
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Awaited {
    /// The recorder's word on what it made.
    Declaration,
    /// Acknowledged bytes on their way into the store.
    Store,
    /// Segments that never came, or that the store does not show.
    Missing,
}

/// Why there will be no result, for a person. [`Broken::code`] is the word for programs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Broken {
    /// Not one segment is there.
    #[error("nothing was uploaded: not one segment is in the store")]
    NothingUploaded,
    /// Segments without the section that makes them readable.
    #[error("the initialization section of the {track} track is missing, so none of its segments can be read")]
    MissingInit {
        /// The track.
        track: Track,
    },
    /// The section that makes the segments readable is there and is none.
    #[error(
        "the initialization section of the {track} track is damaged, so none of its segments can be read: {defect}"
    )]
    DamagedInit {
        /// The track.
        track: Track,
        /// What is wrong with it.
        defect: String,
    },
    /// Time stamps go back, and neither a copy, nor another order, nor a clock that began anew explains it.
    #[error(
        "the time stamps of {track} segment {segment} go back by {overlap_ms} ms, and no order of the segments mends it"
    )]
    TfdtBack {
        /// The track.
        track: Track,
        /// The first segment that lies before the end of those before it.
        segment: u32,
        /// How far it goes back, in milliseconds.
        overlap_ms: u64,
    },
    /// A picture or a sound would have to stand for longer than one sample can say.
    #[error(
        "nothing is there for {length_ms} ms before {track} segment {segment}, longer than one sample can be held; \
         cutting pauses (mux.pauses) would leave it out"
    )]
    GapTooLong {
        /// The track.
        track: Track,
        /// The segment behind the stretch.
        segment: u32,
        /// How long the stretch is, in milliseconds.
        length_ms: u64,
    },
    /// More is missing than the setting allows.
    #[error("{percent} % of the recording is missing, more than the {limit_percent} % allowed: {gaps}")]
    TooManyGaps {
        /// The largest share of a track that is missing.
        percent: u32,
        /// The share that is allowed.
        limit_percent: u32,
        /// Which, in words.
        gaps: String,
    },
    /// Something is missing and the recording's policy says fail.
    #[error("the recording has gaps and its policy is to fail: {gaps}")]
    GapsUnderPolicyFail {
        /// Which, in words.
        gaps: String,
    },
}

impl Broken {
    /// The word for programs; never changed.
    pub fn code(&self) -> &'static str {
        match self {
            Broken::NothingUploaded => "nothing-uploaded",
            Broken::MissingInit { .. } => "missing-init",
            Broken::DamagedInit { .. } => "damaged-init",
            Broken::TfdtBack { .. } => "tfdt-back",
            Broken::GapTooLong { .. } => "gap-too-long",
            Broken::TooManyGaps { .. } => "too-many-gaps",
            Broken::GapsUnderPolicyFail { .. } => "gaps-under-policy-fail",
        }
    }
}

/// One track as rows, declaration and store tell it together.
struct TrackView {
    track: Track,
    /// The initialization section, when the store has it.
    init: Option<PlanObject>,
    /// Segments that the store has, ascending.
    present: BTreeMap<u32, (PlanSegment, Span)>,
    /// Indexes from 1 to the last one that are not there, and why. Those of cause [`GapCause::Lost`] by their row will
    /// never come.
    absent: BTreeMap<u32, GapCause>,
    /// Something of the track may still come.
    awaits: bool,
    /// The store has media of the track.
    has_media: bool,
    /// What is wrong with the initialization section that is there.
    init_defect: Option<String>,
    /// What was taken in although no manifest names it, and what was left out for that reason.
    repairs: Vec<Repair>,
}

/// Decides whether the recording can be muxed. Pure: the same facts give the same plan.
pub fn check(seen: &Seen) -> Completeness {
    if seen.rows.iter().any(|row| row.state == State::Received) {
        return Completeness::Waiting { on: Awaited::Store, until: None };
    }
    let patient = |wait: Duration| {
        let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
        let until = seen.signalled_at.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC);
        (!seen.accept_gaps && seen.now < until).then_some(until)
    };
    if let (None, Some(until)) = (&seen.declared, patient(seen.limits.declaration_wait)) {
        return Completeness::Waiting { on: Awaited::Declaration, until: Some(until) };
    }
    let views: Vec<TrackView> = Track::ALL.into_iter().filter_map(|track| view(seen, track)).collect();
    if let Some((track, defect)) = views.iter().find_map(|view| Some((view.track, view.init_defect.clone()?))) {
        return Completeness::Broken(Broken::DamagedInit { track, defect });
    }
    let nothing = views.iter().all(|view| view.present.is_empty());
    // A recording of which nobody declares anything and nothing is there has nothing to wait for.
    let awaits = views.iter().any(|view| view.awaits);
    if let (true, Some(until)) = (awaits, patient(seen.limits.missing_deadline)) {
        return Completeness::Waiting { on: Awaited::Missing, until: Some(until) };
    }
    if let Some(view) = views.iter().find(|view| view.has_media && view.init.is_none()) {
        return Completeness::Broken(Broken::MissingInit { track: view.track });
    }
    if nothing {
        return Completeness::Broken(Broken::NothingUploaded);
    }
    judge(seen, &views)
}

/// What is missing is missing for good: does the recording finish?
fn judge(seen: &Seen, views: &[TrackView]) -> Completeness {
    let gaps = gaps::find(views, seen.declared.as_ref());
    if gaps.is_empty() {
        return Completeness::Complete(plan(seen, views, gaps));
    }
    if seen.accept_gaps {
        return Completeness::Incomplete(plan(seen, views, gaps));
    }
    if seen.policy == Policy::Fail {
        return Completeness::Broken(Broken::GapsUnderPolicyFail { gaps: describe(&gaps) });
    }
    let share = gaps::share(views, &gaps);
    if share > seen.limits.max_gap_ratio {
        let percent = |share: f64| (share * 100.0).round() as u32;
        return Completeness::Broken(Broken::TooManyGaps {
            percent: percent(share),
            limit_percent: percent(seen.limits.max_gap_ratio),
            gaps: describe(&gaps),
        });
    }
    Completeness::Incomplete(plan(seen, views, gaps))
}

fn plan(seen: &Seen, views: &[TrackView], gaps: Vec<Gap>) -> Plan {
    let track = |view: &TrackView| {
        let init = view.init.filter(|_| !view.present.is_empty())?;
        let segments = view.present.values().map(|(segment, _)| *segment).collect();
        Some(PlanTrack { track: view.track, init, segments, fill: Fill::Hold })
    };
    Plan {
        layout_version: LAYOUT_VERSION,
        owner: seen.owner.clone(),
        recording: seen.recording.clone(),
        version: seen.version,
        tracks: views.iter().filter_map(track).collect(),
        gaps,
        repairs: views.iter().flat_map(|view| view.repairs.clone()).collect(),
        tail_confirmed: seen.declared.is_some(),
    }
}

/// `None` when the recording has no such track: nothing of it was declared and no media segment of it ever came.
fn view(seen: &Seen, track: Track) -> Option<TrackView> {
    let rows: BTreeMap<u32, &Row> =
        seen.rows.iter().filter(|row| row.track == track).map(|row| (row.index, row)).collect();
    let objects = || seen.objects.iter().filter(|object| object.track == track && object.index > 0);
    let last = last_index(seen, track, &rows, objects().map(|object| object.index).max().unwrap_or(0));
    if last == 0 {
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
        present: BTreeMap::new(),
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
            (_, Ok(row)) => match row.span {
                Some(span) => {
                    let segment = PlanSegment {
                        index,
                        size_bytes: row.size_bytes,
                        sha256: row.sha256,
                        shift: 0,
                        salvaged: false,
                    };
                    view.present.insert(index, (segment, span));
                }
                // Bytes without a place on the time axis are not a segment, whatever they are.
                None => drop(view.absent.insert(index, GapCause::Damaged)),
            },
            (_, Err((cause, may_come))) => {
                view.absent.insert(index, cause);
                view.awaits |= may_come;
            }
        }
    }
    Some(view)
}

/// The last index of a track. Where another uploader's manifest names segments, it ends with them and with what follows on
/// without a hole: what lies further behind may be left from an earlier try. Objects count by themselves only while
/// nothing of them can be read, because the initialization section has not come.
fn last_index(seen: &Seen, track: Track, rows: &BTreeMap<u32, &Row>, objects_last: u32) -> u32 {
    let declared = seen.declared.as_ref().map_or(0, |declared| declared.last_index(track));
    let claimed = seen.claimed.as_ref().map_or(0, |claims| claims.last_index(track));
    let unreadable = if rows.contains_key(&0) { 0 } else { objects_last };
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
        // An object without bytes may be one that is being written.
        (State::Lost, _) if row.defect.is_some() => Err((GapCause::Damaged, row.size_bytes == 0)),
        (State::Lost, _) => Err((GapCause::Lost, false)),
    }
}
