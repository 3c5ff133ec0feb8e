//! What must come of a set, by what was done to it and by what users are promised.

use super::drawn::{Drawn, Event, Fate, Recorded};
use super::stored::{Packet, Piece};
use domain::mux::{GapCause, RepairKind};
use std::collections::BTreeMap;

/// What is longer than this is told, in seconds.
const TOLD_S: f64 = 0.1;

/// So much later than another may a track begin, in seconds.
const LATE_S: f64 = 0.45;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gap {
    pub(super) track: usize,
    pub(super) cause: GapCause,
    pub(super) segments: Vec<u32>,
    pub(super) from_s: f64,
    pub(super) to_s: f64,
    /// How well its beginning and its end are known, in seconds: between two segments that are not whole only their usual
    /// length tells, and segments of sound differ by some frames; before the first of which something is kept nobody knows
    /// when a track began.
    pub(super) near_s: [f64; 2],
}

/// What must come of a set.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) packets: [Vec<Packet>; 2],
    pub(super) gaps: Vec<Gap>,
    pub(super) repairs: BTreeMap<(usize, String), usize>,
    /// It depends on a bound that is nobody's business here.
    pub(super) doubtful: bool,
}

pub(super) fn model(drawn: &Drawn, mut tracks: [(Recorded, Vec<Piece>); 2]) -> Model {
    let mut model =
        Model { packets: [Vec::new(), Vec::new()], gaps: Vec::new(), repairs: BTreeMap::new(), doubtful: false };
    let pieces = tracks.each_mut().map(|(_, pieces)| pieces);
    model.move_clocks(drawn, pieces);
    let begin = |pieces: &[Piece]| kept(pieces).map(|piece| piece.from_s.max(0.0)).next().unwrap();
    let origin = tracks.iter().map(|(_, pieces)| begin(pieces)).fold(f64::MAX, f64::min);
    tracks.iter_mut().flat_map(|(_, pieces)| pieces).for_each(|piece| piece.shift(-origin));
    let end = |pieces: &[Piece]| kept(pieces).last().unwrap().to_s;
    let end_s = tracks.iter().map(|(_, pieces)| end(pieces)).fold(0.0, f64::max);
    let usual_s = f64::from(drawn.rate.1) * tracks[0].0.segments[0].samples.len() as f64 / f64::from(drawn.rate.0);
    for (track, (recorded, pieces)) in tracks.iter().enumerate() {
        let lane = Lane { track, recorded, pieces, fates: &drawn.fates()[track], event: drawn.event(), usual_s };
        model.tell_repairs(&lane);
        model.tell_gaps(&lane, end_s);
        model.tell_packets(&lane);
    }
    model
}

fn kept(pieces: &[Piece]) -> impl DoubleEndedIterator<Item = &Piece> {
    pieces.iter().filter(|piece| !piece.is_lost)
}

struct Lane<'a> {
    track: usize,
    recorded: &'a Recorded,
    pieces: &'a [Piece],
    fates: &'a BTreeMap<usize, Fate>,
    event: Option<Event>,
    /// How long a segment usually is.
    usual_s: f64,
}

impl Lane<'_> {
    fn frame_s(&self) -> f64 {
        f64::from(self.recorded.frame) / f64::from(self.recorded.timescale)
    }

    fn cause(&self, index: usize) -> GapCause {
        match self.fates.get(&index) {
            Some(Fate::Lost | Fate::Empty) => GapCause::Missing,
            Some(Fate::Copy) => GapCause::Duplicate,
            _ => GapCause::Damaged,
        }
    }
}

impl Model {
    fn tell(&mut self, track: usize, kind: RepairKind) {
        *self.repairs.entry((track, format!("{kind:?}"))).or_insert(0) += 1;
    }

    /// A new clock goes on where everything before it has ended; what both tracks skip in a pause may be cut out.
    fn move_clocks(&mut self, drawn: &Drawn, tracks: [&mut Vec<Piece>; 2]) {
        let (at, kind) = match drawn.event() {
            Some(Event::NewClock { at }) => (at, RepairKind::Rebase),
            Some(Event::Pause { at, .. }) if drawn.cuts_pauses => (at, RepairKind::Cut),
            Some(Event::Pause { .. }) | None => return,
        };
        let beside = tracks.each_ref().map(|pieces| (pieces[at - 2].to_s, pieces[at - 1].from_s));
        let (ends, begins) = ([beside[0].0, beside[1].0], [beside[0].1, beside[1].1]);
        let end = ends[0].max(ends[1]);
        let by = end - begins[0].min(begins[1]);
        for (track, pieces) in tracks.into_iter().enumerate() {
            self.tell(track, kind);
            pieces[at - 1..].iter_mut().for_each(|piece| piece.shift(by));
        }
    }

    fn tell_repairs(&mut self, lane: &Lane<'_>) {
        for fate in lane.fates.values() {
            match fate {
                Fate::Copy => self.tell(lane.track, RepairKind::DropDuplicate),
                Fate::SwappedWith(_) => self.tell(lane.track, RepairKind::Sort),
                Fate::Lost | Fate::Empty | Fate::Cut(_) | Fate::BadMoofs(_) => {}
            }
        }
        let damaged = kept(lane.pieces).filter(|piece| piece.lost_head || piece.lost_tail).count();
        (0..damaged).for_each(|_| self.tell(lane.track, RepairKind::Salvage));
    }

    /// One gap for everything that is lost for one reason, from what is kept before to what is kept behind.
    fn tell_gaps(&mut self, lane: &Lane<'_>, end_s: f64) {
        // An object that is empty says at least that there should be one; of one that never came nothing tells.
        let known = lane.pieces.iter().rposition(|piece| lane.fates.get(&piece.index) != Some(&Fate::Lost)).unwrap();
        let (mut open, mut before): (Vec<Gap>, Option<&Piece>) = (Vec::new(), None);
        let gap = |before_any: bool, cause, index: Option<usize>, (from_s, to_s): (f64, f64)| Gap {
            track: lane.track,
            cause,
            segments: index.into_iter().map(|index| index as u32).collect(),
            from_s,
            to_s,
            near_s: [if before_any { LATE_S } else { 3.0 * lane.frame_s() }; 2],
        };
        for piece in &lane.pieces[..=known] {
            if piece.is_lost {
                let cause = lane.cause(piece.index);
                let absent = open.last_mut().filter(|gap| gap.cause == cause && gap.cause != GapCause::Truncated);
                match absent {
                    Some(run) => {
                        run.segments.push(piece.index as u32);
                        run.to_s = piece.recorded.1;
                    }
                    None => open.push(gap(
                        before.is_none_or(|before| before.index == 1),
                        cause,
                        Some(piece.index),
                        piece.recorded,
                    )),
                }
                continue;
            }
            if piece.lost_head {
                // Of the first one nobody knows when it began.
                let from_s = if before.is_none() { piece.recorded.1 - lane.usual_s } else { piece.recorded.0 };
                open.push(gap(before.is_none(), GapCause::Damaged, Some(piece.index), (from_s, piece.from_s)));
                let is_beside = before.is_some_and(|before| before.index + 1 == piece.index);
                self.doubtful |= piece.lost_tail && !is_beside;
            }
            if lane.event == Some(Event::NewClock { at: piece.index }) {
                open.push(gap(false, GapCause::Epoch, None, (piece.from_s, piece.from_s)));
            }
            // How much of the first one is lost only its usual length tells.
            let begins_with = before.is_none() && open.first().is_some_and(|gap| gap.segments == [piece.index as u32]);
            let from_s = before.map_or(0.0, |piece| piece.to_s);
            self.close(&mut open, Some(from_s).filter(|_| !begins_with), piece.from_s);
            if piece.lost_tail {
                let to_s = piece.recorded.0 + lane.usual_s;
                open.push(gap(piece.index == 1, GapCause::Truncated, Some(piece.index), (piece.to_s, to_s)));
            }
            self.doubt_head(lane, piece, before);
            before = Some(piece);
        }
        self.tell_tail(lane, open, end_s);
    }

    /// What is lost between two moments, of which the inner borders are known from the recording.
    fn close(&mut self, open: &mut Vec<Gap>, from_s: Option<f64>, to_s: f64) {
        if let Some((first, from_s)) = open.first_mut().zip(from_s) {
            (first.from_s, first.near_s[0]) = (from_s, 0.0);
        }
        if let Some(last) = open.last_mut() {
            (last.to_s, last.near_s[1]) = (to_s, 0.0);
        }
        self.gaps.append(open);
    }

    /// Before the result begins there is no time that could be missing; a sample or two are as good as nothing.
    fn doubt_head(&mut self, lane: &Lane<'_>, piece: &Piece, before: Option<&Piece>) {
        let seen_s = piece.from_s - (piece.recorded.1 - lane.usual_s).max(0.0);
        let is_first = before.is_none() && piece.lost_head;
        self.doubtful |= is_first && seen_s < 3.0 * lane.frame_s();
    }

    fn tell_tail(&mut self, lane: &Lane<'_>, mut open: Vec<Gap>, end_s: f64) {
        let last = kept(lane.pieces).next_back().unwrap();
        let mut ended_s = last.to_s;
        if let Some(first) = open.first_mut() {
            (first.from_s, first.near_s[0]) = (last.to_s, 0.0);
            if first.cause == GapCause::Truncated {
                ended_s = first.to_s;
            }
        }
        let known = open.iter().filter(|gap| gap.cause != GapCause::Truncated).count();
        // Where the result ends in the midst of what is lost for several reasons, nobody knows which it was.
        self.doubtful |= known > 1;
        let is_known = known > 0;
        if let Some(gap) = open.last_mut().filter(|_| is_known) {
            (gap.to_s, gap.near_s[1]) = (end_s.max(ended_s), 0.0);
        }
        let short_s = end_s - ended_s;
        self.gaps.append(&mut open);
        self.doubtful |= (short_s - lane.usual_s * 0.9).abs() < 0.1;
        if !is_known && short_s > lane.usual_s * 0.9 {
            let (from_s, to_s, near_s) =
                (ended_s, end_s, [if last.lost_tail { 3.0 * lane.frame_s() } else { 0.0 }, 0.0]);
            let (track, segments) = (lane.track, Vec::new());
            self.gaps.push(Gap { track, cause: GapCause::Missing, segments, from_s, to_s, near_s });
        }
    }

    /// A hole in sound is silent from one frame on, as soon as there is one that is told of for its length.
    fn tell_packets(&mut self, lane: &Lane<'_>) {
        let pieces: Vec<&Piece> = kept(lane.pieces).collect();
        let holes: Vec<(f64, f64)> = pieces.windows(2).map(|pair| (pair[0].decoded_to_s, pair[1].from_s)).collect();
        self.doubtful |= holes.iter().any(|(from, to)| (to - from - TOLD_S).abs() < 0.002);
        let silent = lane.track == 1 && holes.iter().any(|(from, to)| to - from > TOLD_S);
        for (n, piece) in pieces.iter().enumerate() {
            self.packets[lane.track].extend(piece.packets.clone());
            let Some(&(from, to)) = holes.get(n).filter(|_| silent) else { continue };
            let frames = (to - from) / lane.frame_s();
            self.doubtful |= frames > 0.5 && (frames - frames.round()).abs() < 0.005 && lane.event.is_some();
            let frame = |n| Packet { bytes: Vec::new(), at_s: from + f64::from(n) * lane.frame_s() };
            self.packets[lane.track].extend((0..(frames + 1e-6) as u32).map(frame));
        }
    }
}
