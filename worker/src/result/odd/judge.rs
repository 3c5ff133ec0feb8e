//! What becomes of the segments of which a result is made: the verdict of `domain::completeness`, over what came out of
//! the tracks that were taken apart and over the stored indexes of those that were not.
//!
//! The plan of such a recording counts objects, since nobody could look into them. Now somebody has, and from here on
//! everything is as with any other recording: one rule says what is missing, what is filled and what is put in order.

use super::Error;
use crate::context::Context;
use crate::db::recordings::{self, Recording};
use crate::db::{self, plans, segments};
use crate::odd::{Scratch, Shifts};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta};
use domain::bucket::Claims;
use domain::completeness::{self, Broken, Completeness, Declaration, Limits, Object, Seen};
use domain::id::Sha256;
use domain::mux::{Gap, Plan, PlanTrack, Repair, RepairKind};
use domain::segment::{Name, Row, Shape, Span, State, Track};
use media::init::Init;
use media::layout::{SegmentInput, TrackInput};
use media::{shape, silence, walk};
use std::collections::{BTreeMap, HashMap};
use std::io;

/// A track with everything that is known of its samples.
pub(super) struct Lane {
    pub(super) planned: PlanTrack,
    pub(super) init: Init,
    /// It was taken apart, and its segments lie in the scratch.
    pub(super) taken: bool,
    pub(super) pieces: BTreeMap<u32, Piece>,
}

/// A segment whose samples are known.
pub(super) struct Piece {
    packed: Bytes,
    /// `None`: its fragments contradict one another, or another build has made its index.
    shape: Option<Shape>,
    /// Of one in the scratch.
    file: Option<File>,
}

/// A segment in the scratch.
struct File {
    size_bytes: u64,
    span: Span,
    /// Where another one may be a copy of it.
    sha256: Option<Sha256>,
}

impl Lane {
    /// A track that is as it was stored.
    pub(super) fn stored(planned: &PlanTrack, init: Init, indexes: HashMap<u32, Vec<u8>>) -> Lane {
        let piece = |(index, packed): (u32, Vec<u8>)| {
            let shape = shape::of(&packed, &init).ok().flatten();
            (index, Piece { packed: Bytes::from(packed), shape, file: None })
        };
        let pieces = indexes.into_iter().map(piece).collect();
        Lane { planned: planned.clone(), taken: false, pieces, init }
    }

    /// A track that was taken apart: reads every byte of what came out once, to index it.
    pub(super) fn taken(planned: &PlanTrack, scratch: &Scratch) -> Result<Lane, Error> {
        let track = planned.track;
        let made = |name, source| Error::Made { track, name, source };
        let init = read(scratch, track, Name::Init)?.ok_or(Error::Empty { track })?;
        let init = Init::parse(track, &init).map_err(|defect| made(Name::Init, defect))?;
        let mut pieces = BTreeMap::new();
        for segment in &planned.segments {
            let name = Name::Media(segment.index);
            let Some(bytes) = read(scratch, track, name)? else { continue };
            let media = walk::media(&init, &bytes, walk::Limits::NONE).map_err(|defect| made(name, defect))?;
            let shape = shape::of(&media.index, &init).ok().flatten();
            let file = File { size_bytes: media.size_bytes, span: media.span, sha256: None };
            pieces.insert(segment.index, Piece { packed: Bytes::from(media.index), shape, file: Some(file) });
        }
        if pieces.is_empty() {
            return Err(Error::Empty { track });
        }
        let mut lane = Lane { planned: planned.clone(), init, taken: true, pieces };
        lane.tell_copies_apart(scratch)?;
        Ok(lane)
    }

    /// Makes digests of segments that have the length and the samples of another one, which is never in a track that is
    /// whole.
    fn tell_copies_apart(&mut self, scratch: &Scratch) -> Result<(), Error> {
        let mut alike: HashMap<(u64, Bytes), Vec<u32>> = HashMap::new();
        for (&index, piece) in &self.pieces {
            let size_bytes = piece.file.as_ref().map_or(0, |file| file.size_bytes);
            alike.entry((size_bytes, piece.packed.clone())).or_default().push(index);
        }
        for index in alike.into_values().filter(|alike| alike.len() > 1).flatten() {
            let bytes = read(scratch, self.planned.track, Name::Media(index))?.unwrap_or_default();
            if let Some(file) = self.pieces.get_mut(&index).and_then(|piece| piece.file.as_mut()) {
                file.sha256 = Some(Sha256::of(&bytes));
            }
        }
        Ok(())
    }

    /// Rows and objects of the track, as the rule wants to see them.
    fn seen(&self, known: &[Row], seen: &mut Seen) {
        let track = self.planned.track;
        let object = |index, size_bytes| Object { track, index, size_bytes };
        let planned = || self.planned.segments.iter();
        let shapes = self.pieces.iter().filter_map(|(&index, piece)| Some(((track, index), piece.shape?)));
        seen.shapes.extend(shapes);
        seen.objects.push(object(0, self.planned.init.size_bytes));
        let rows = known.iter().filter(|row| row.track == track && row.state != State::Received);
        if !self.taken {
            seen.objects.extend(planned().map(|it| object(it.index, it.size_bytes)));
            seen.rows.extend(rows.cloned().map(|row| self.placed(row)));
            return;
        }
        // Rows say of it at most that it cannot be read. What no plan names is told as it is.
        seen.rows.extend(rows.filter(|row| row.index > 0 && planned().all(|it| it.index != row.index)).cloned());
        let stored = |index, size_bytes, sha256| Row {
            track,
            index,
            state: State::Stored,
            size_bytes,
            sha256,
            span: None,
            defect: None,
        };
        seen.rows.push(stored(0, self.planned.init.size_bytes, Some(self.planned.init.sha256)));
        for index in planned().map(|it| it.index) {
            let file = self.pieces.get(&index).and_then(|piece| piece.file.as_ref());
            let row = match file {
                Some(file) => Row { span: Some(file.span), ..stored(index, file.size_bytes, file.sha256) },
                None => Row { defect: Some("nothing can be read of it".to_owned()), ..stored(index, 1, None) },
            };
            seen.objects.push(object(index, row.size_bytes));
            seen.rows.push(row);
        }
    }

    /// A segment whose samples contradict one another has no place.
    fn placed(&self, row: Row) -> Row {
        let contradicts = self
            .pieces
            .get(&row.index)
            .is_some_and(|piece| piece.shape.is_none() && matches!(shape::of(&piece.packed, &self.init), Ok(None)));
        if contradicts { Row { span: None, ..row } } else { row }
    }

    /// What is laid out of it.
    fn input(mut self, judged: &PlanTrack) -> Result<TrackInput, Error> {
        let track = judged.track;
        let segment = |segment: &domain::mux::PlanSegment| {
            let domain::mux::PlanSegment { index, size_bytes, sha256, shift, salvaged } = *segment;
            let packed = self.pieces.remove(&index).ok_or(Error::NoIndex { track, index })?.packed;
            let sha256 = sha256.filter(|_| !self.taken);
            Ok(SegmentInput { index, size_bytes, sha256, packed, shift, salvaged })
        };
        let segments = judged.segments.iter().map(segment).collect::<Result<_, Error>>()?;
        Ok(TrackInput { init: self.init, segments, fill: judged.fill })
    }
}

fn read(scratch: &Scratch, track: Track, name: Name) -> Result<Option<Vec<u8>>, Error> {
    match std::fs::read(scratch.path().join(track.as_str()).join(name.to_string())) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Scratch(error)),
    }
}

/// What rows, declaration and manifests say of the recording.
pub(super) struct Known {
    recording: Recording,
    rows: Vec<Row>,
    claimed: Option<Claims>,
}

/// Reads it. `None`: the recording is gone.
pub(super) async fn known(cx: &Context, plan: &Plan) -> Result<Option<Known>, db::Error> {
    let id = &plan.recording;
    let Some(recording) = recordings::get(&cx.db, id).await? else { return Ok(None) };
    let rows = segments::rows(&cx.db, id).await?.into_iter().map(|segment| segment.row).collect();
    let claimed = db::bucket::seen(&cx.db, id).await?.claims;
    Ok(Some(Known { recording, rows, claimed }))
}

/// The stored indexes of a track.
pub(super) async fn indexes(cx: &Context, plan: &Plan, track: Track) -> Result<HashMap<u32, Vec<u8>>, db::Error> {
    plans::sample_indexes(&cx.db, &plan.recording, track).await
}

/// The plan as the samples have it, and what is laid out.
pub(super) fn judge(
    config: &crate::config::Config,
    frozen: &Plan,
    known: &Known,
    lanes: Vec<Lane>,
) -> Result<(Plan, Vec<TrackInput>, Shifts), Error> {
    let seen = seen(config, frozen, known, &lanes);
    let plan = match completeness::check(&seen) {
        Completeness::Complete(plan) | Completeness::Incomplete(plan) => plan,
        Completeness::Broken(broken) => return Err(Error::Broken(broken)),
        Completeness::Waiting { .. } => return Err(Error::Broken(Broken::NothingUploaded)),
    };
    let shifts = shifts(&plan, &lanes);
    let mut lanes: BTreeMap<Track, Lane> = lanes.into_iter().map(|lane| (lane.planned.track, lane)).collect();
    let input = |judged: &PlanTrack| Some(lanes.remove(&judged.track)?.input(judged));
    let inputs = plan.tracks.iter().filter_map(input).collect::<Result<Vec<_>, Error>>()?;
    Ok((carried_out(frozen, plan), inputs, shifts))
}

/// By how much each segment is presented later than its own times say, in milliseconds.
fn shifts(judged: &Plan, lanes: &[Lane]) -> Shifts {
    let mut shifts = Shifts::new();
    for lane in lanes {
        let track = lane.planned.track;
        let segments = judged.tracks.iter().filter(|of| of.track == track).flat_map(|of| &of.segments);
        let ms = |shift: i64| shift.saturating_mul(1000) / i64::from(lane.init.timescale.max(1));
        shifts.extend(segments.map(|segment| ((track, segment.index), ms(segment.shift))));
    }
    shifts
}

fn seen(config: &crate::config::Config, frozen: &Plan, known: &Known, lanes: &[Lane]) -> Seen {
    let sound = lanes.iter().find(|lane| lane.planned.track == Track::Audio);
    let never = DateTime::UNIX_EPOCH;
    let live = &config.live;
    let mut seen = Seen {
        owner: frozen.owner.clone(),
        recording: frozen.recording.clone(),
        policy: known.recording.policy,
        accept_gaps: known.recording.gaps_accepted,
        version: frozen.version,
        declared: known.recording.declared.clone().map(|declared| as_planned(frozen, declared)),
        claimed: known.claimed.as_ref().map(|claims| claims.up_to(|track| last_planned(frozen, track))),
        rows: Vec::new(),
        shapes: BTreeMap::new(),
        silent_frame: sound.and_then(|lane| silence::frame(&lane.init)).map(|frame| frame.duration),
        pauses: config.mux.pauses,
        objects: Vec::new(),
        // The plan is frozen: whatever was to be waited for was waited for.
        signalled_at: never,
        now: never + TimeDelta::days(365),
        limits: Limits {
            declaration_wait: live.declaration_wait,
            missing_deadline: live.missing_deadline,
            max_gap_ratio: live.max_gap_ratio,
        },
    };
    lanes.iter().for_each(|lane| lane.seen(&known.rows, &mut seen));
    seen.rows.retain(|row| row.index <= last_planned(frozen, row.track));
    seen
}

/// The last segment of a track that the frozen plan knows, be it as a gap. What was declared, named or sent later is for
/// a plan of its own, and nothing that this one lacks.
fn last_planned(frozen: &Plan, track: Track) -> u32 {
    let planned = frozen.tracks.iter().filter(|planned| planned.track == track).flat_map(|planned| &planned.segments);
    let lacks = frozen.gaps.iter().filter(|gap| gap.track == track).flat_map(|gap| &gap.segments);
    planned.map(|segment| segment.index).chain(lacks.copied()).max().unwrap_or(0)
}

fn as_planned(frozen: &Plan, mut declared: Declaration) -> Declaration {
    for (track, last) in &mut declared.tracks {
        last.last_index = last.last_index.min(last_planned(frozen, *track));
    }
    declared
}

/// The frozen plan with what the verdict has found: times, gaps and repairs. What the frozen plan knew better, because it
/// was made of the objects themselves, stays.
fn carried_out(frozen: &Plan, judged: Plan) -> Plan {
    let mut gaps = judged.gaps;
    for gap in &mut gaps {
        let is_it =
            |known: &&Gap| known.track == gap.track && known.segments.iter().any(|index| gap.segments.contains(index));
        if let Some(known) = frozen.gaps.iter().find(is_it) {
            gap.cause = known.cause;
        }
    }
    let stays = |kind| matches!(kind, RepairKind::Salvage | RepairKind::DropDuplicate);
    let behind = |repair: &Repair| repair.segment > last_planned(frozen, repair.track);
    let kept = frozen.repairs.iter().filter(|repair| stays(repair.kind) || behind(repair)).cloned();
    let mut repairs: Vec<_> = kept.collect();
    repairs.extend(judged.repairs.into_iter().filter(|repair| {
        !frozen.repairs.iter().any(|known| {
            stays(known.kind) && (known.track, known.segment, known.kind) == (repair.track, repair.segment, repair.kind)
        })
    }));
    Plan { gaps, repairs, ..frozen.clone() }
}
