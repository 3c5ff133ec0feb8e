//! Is it all there: the verdict on the segments of one recording.
//!
//! Declaration, rows and a listing of the bucket are compared; the outcome is a plan, something to wait for, or a reason
//! why there will be no result. Silence is not an outcome. A `received` segment is never missing: it waits for the store
//! without deadline, and the deadline counts only what never came. Every index that was declared or acknowledged ends up
//! in the plan or in its gaps.

mod axis;
mod gaps;
mod odd;
mod pauses;
mod place;
mod repairs;
mod strip;
#[cfg(test)]
mod tests;
mod view;

use crate::bucket::Claims;
use crate::id::{OwnerId, RecordingId};
use crate::mux::{Fill, Gap, GapCause, LAYOUT_VERSION, Plan, PlanTrack, Repair, RepairKind};
use crate::recording::Policy;
use crate::segment::{INDEX_MAX, Row, Shape, State, Track};
use chrono::{DateTime, TimeDelta, Utc};
use place::Lane;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use thiserror::Error;
use view::{TrackView, view};

pub use gaps::describe;
pub use odd::check_odd;

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
    /// Of a picture, or of all there is, not one segment can be read.
    #[error("not one segment of the {track} track can be read, so there is nothing to make a result of")]
    Empty {
        /// The track.
        track: Track,
    },
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
            Broken::Empty { .. } => "empty",
            Broken::MissingInit { .. } => "missing-init",
            Broken::DamagedInit { .. } => "damaged-init",
            Broken::TfdtBack { .. } => "tfdt-back",
            Broken::GapTooLong { .. } => "gap-too-long",
            Broken::TooManyGaps { .. } => "too-many-gaps",
            Broken::GapsUnderPolicyFail { .. } => "gaps-under-policy-fail",
        }
    }
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
    // Whether the objects of a track are damaged or never came: a picture of which nothing is left is no recording.
    let is_unreadable =
        |view: &&TrackView| view.present.is_empty() && view.absent.values().any(|cause| *cause == GapCause::Damaged);
    if nothing {
        let unreadable = views.iter().find(is_unreadable);
        return Completeness::Broken(
            unreadable.map_or(Broken::NothingUploaded, |view| Broken::Empty { track: view.track }),
        );
    }
    let pictureless = |view: &&TrackView| view.track == Track::Video && is_unreadable(view);
    if let (false, Some(view)) = (seen.accept_gaps, views.iter().find(pictureless)) {
        return Completeness::Broken(Broken::Empty { track: view.track });
    }
    judge(seen, &views)
}

/// What is missing is missing for good, and what is there has its place: does the recording finish?
fn judge(seen: &Seen, views: &[TrackView]) -> Completeness {
    let axis = place::axis(views);
    let mut lanes = match place::place(views, &axis) {
        Ok(lanes) => lanes,
        Err(broken) => return Completeness::Broken(broken),
    };
    let mut repairs = Vec::new();
    if seen.pauses == Pauses::Cut {
        let strips = strip::strips(views, &lanes, &axis);
        repairs = pauses::cut(&mut lanes, &strips, &axis);
    }
    if let Some(broken) = lanes.iter().find_map(|lane| place::too_long(lane, &axis)) {
        return Completeness::Broken(broken);
    }
    let strips = strip::strips(views, &lanes, &axis);
    let gaps = gaps::find(&strips, seen.declared.as_ref());
    if !gaps.is_empty() && !seen.accept_gaps {
        if seen.policy == Policy::Fail {
            return Completeness::Broken(Broken::GapsUnderPolicyFail { gaps: describe(&gaps) });
        }
        let share = gaps::share(&strips, &gaps);
        if share > seen.limits.max_gap_ratio {
            let percent = |share: f64| (share * 100.0).round() as u32;
            return Completeness::Broken(Broken::TooManyGaps {
                percent: percent(share),
                limit_percent: percent(seen.limits.max_gap_ratio),
                gaps: describe(&gaps),
            });
        }
    }
    repairs.extend(views.iter().flat_map(|view| view.repairs.clone()));
    repairs.extend(repairs::find(seen, &lanes, &strips, &axis));
    // Video before audio; of a track in the order in which they were found.
    repairs.sort_by_key(|repair| repair.track);
    let complete = gaps.is_empty();
    let plan = plan(seen, views, lanes, gaps, repairs);
    if complete { Completeness::Complete(plan) } else { Completeness::Incomplete(plan) }
}

fn plan(seen: &Seen, views: &[TrackView], lanes: Vec<Lane>, gaps: Vec<Gap>, repairs: Vec<Repair>) -> Plan {
    let track = |lane: Lane| {
        let init = views.iter().find(|view| view.track == lane.track).and_then(|view| view.init)?;
        let is_silence = |repair: &Repair| repair.track == lane.track && repair.kind == RepairKind::Silence;
        let fill = if repairs.iter().any(is_silence) { Fill::Silence } else { Fill::Hold };
        let segments = lane.pieces.into_iter().map(|piece| piece.present.segment).collect();
        Some(PlanTrack { track: lane.track, init, segments, fill, etags: BTreeMap::new() })
    };
    Plan {
        layout_version: LAYOUT_VERSION,
        owner: seen.owner.clone(),
        recording: seen.recording.clone(),
        version: seen.version,
        tracks: lanes.into_iter().filter_map(track).collect(),
        gaps,
        repairs,
        tail_confirmed: seen.declared.is_some(),
    }
}
