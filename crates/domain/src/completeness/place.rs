//! The order of segments, and the clock that each of them counts by.
//!
//! Time stamps that go back by more than a sample have one of three reasons: the object is a copy of an earlier one, it
//! lies under another segment's name, or the clock of the recorder began anew. They are told apart by what fits: a copy
//! leaves a hole behind it, a segment under another's name fits into a hole, and a new clock starts a stretch in which
//! every segment follows on the one before. A clock is one for both tracks, so a track that says otherwise alone is
//! broken. Nothing is moved but whole stretches, and both tracks by the same time.

use super::Broken;
use super::axis::{Axis, Ticks};
use super::view::{Present, TrackView};
use crate::mux::STRETCH_MS;
use crate::segment::{Shape, Track, to_ms};
use std::collections::{BTreeMap, HashMap};

/// One track in the order of the timeline.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub(super) track: Track,
    /// In the order of the timeline, with their shifts.
    pub(super) pieces: Vec<Piece>,
    /// Copies that are left out, and what they are copies of.
    pub(super) copies: BTreeMap<u32, u32>,
}

/// A segment in its place.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) present: Present,
    /// The index that a segment in this place should have.
    pub(super) slot: u32,
    /// Counts the clocks, from 0.
    pub(super) epoch: usize,
}

impl Piece {
    pub(super) fn index(&self) -> u32 {
        self.present.segment.index
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.present.shape
    }
}

/// The axis on which the tracks lie.
pub(super) fn axis(views: &[TrackView]) -> Axis {
    let timescale = |track| {
        let view = views.iter().find(|view| view.track == track);
        view.and_then(|view| view.present.first()).map_or(1, |first| first.shape.timescale)
    };
    Axis::of([timescale(Track::Video), timescale(Track::Audio)])
}

/// Brings every track that has segments into the order of the timeline, with one clock for all.
pub(super) fn place(views: &[TrackView], axis: &Axis) -> Result<Vec<Lane>, Broken> {
    let views: Vec<&TrackView> = views.iter().filter(|view| !view.present.is_empty()).collect();
    let arranged = |copies| views.iter().map(|view| arrange(view, copies)).collect::<Vec<_>>();
    let agree = |lanes: &[Lane]| lanes.windows(2).all(|pair| epochs(&pair[0]) == epochs(&pair[1]));
    let lanes = arranged(Copies::MayBeNewClock);
    let lanes = if agree(&lanes) { lanes } else { arranged(Copies::LeftOut) };
    let mut lanes = match agree(&lanes) {
        true => lanes,
        // One clock for all, whatever the distances.
        false => views.iter().map(|view| sorted(view)).collect::<Result<_, _>>()?,
    };
    rebase(&mut lanes, axis);
    Ok(lanes)
}

fn epochs(lane: &Lane) -> usize {
    lane.pieces.last().map_or(0, |piece| piece.epoch)
}

/// What a copy further back than the segment before it may mean.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Copies {
    /// A recorder that starts again may begin with the very same bytes.
    MayBeNewClock,
    LeftOut,
}

fn arrange(view: &TrackView, copies: Copies) -> Lane {
    let (kept, copies) = without_copies(&view.present, copies);
    let mut pieces = Vec::with_capacity(kept.len());
    for (epoch, range) in clocks(&kept).into_iter().enumerate() {
        let slots = range.iter().map(|&at| kept[at].segment.index).collect::<std::collections::BTreeSet<_>>();
        let piece = |(&at, slot): (&usize, u32)| Piece { present: kept[at].clone(), slot, epoch };
        pieces.extend(range.iter().zip(slots).map(piece));
    }
    Lane { track: view.track, pieces, copies }
}

/// One clock: every segment by its time stamps, wherever that is.
fn sorted(view: &TrackView) -> Result<Lane, Broken> {
    let (kept, copies) = without_copies(&view.present, Copies::LeftOut);
    let mut order = Order::default();
    for (at, present) in kept.iter().enumerate() {
        if order.fit(&kept, present) == Fit::Overlaps {
            let Shape { timescale, start, .. } = present.shape;
            let end = kept[..at].iter().map(|before| before.shape.end).max().unwrap_or(start);
            let (track, segment) = (view.track, present.segment.index);
            let overlap_ms = to_ms(end.saturating_sub(start), timescale);
            return Err(Broken::TfdtBack { track, segment, overlap_ms });
        }
        order.insert(&kept, at);
    }
    let piece = |(at, nth): (usize, &Present)| Piece { present: kept[at].clone(), slot: nth.segment.index, epoch: 0 };
    Ok(Lane { track: view.track, pieces: order.sequence().zip(&kept).map(piece).collect(), copies })
}

/// Segments without the copies among them, and what is a copy of what.
fn without_copies(present: &[Present], copies: Copies) -> (Vec<Present>, BTreeMap<u32, u32>) {
    let mut kept: Vec<Present> = Vec::with_capacity(present.len());
    let mut left_out = BTreeMap::new();
    // The first segment of each size and index; a copy is a copy of the first.
    let mut known: HashMap<(u64, crate::id::Sha256), usize> = HashMap::with_capacity(present.len());
    for (at, one) in present.iter().enumerate() {
        let key = (one.segment.size_bytes, one.shape.index_sha256);
        let original = known.get(&key).map(|&first| &present[first]).filter(|first| is_copy(first, one));
        let before = kept.last();
        let before = before.filter(|before| copies == Copies::LeftOut || !follows(&before.shape, &one.shape));
        if let (Some(original), Some(before)) = (original, before) {
            let begins_anew = copies == Copies::MayBeNewClock
                && before.segment.index != original.segment.index
                && present
                    .get(at + 1)
                    .is_some_and(|next| touches(&one.shape, &next.shape) && !touches(&before.shape, &next.shape));
            if !begins_anew {
                left_out.insert(one.segment.index, original.segment.index);
                continue;
            }
        }
        known.entry(key).or_insert(at);
        kept.push(one.clone());
    }
    (kept, left_out)
}

/// Equal bytes where both are known by their digest; else equal sizes of equal samples at the same time.
fn is_copy(first: &Present, other: &Present) -> bool {
    match (first.segment.sha256, other.segment.sha256) {
        (Some(first), Some(other)) => first == other,
        (Some(_), None) | (None, Some(_)) | (None, None) => true,
    }
}

/// `after` reaches further into `before` than its last sample can be shrunk by.
fn overlaps(before: &Shape, after: &Shape) -> bool {
    let units = before.end.saturating_sub(after.start);
    units > 0 && units >= u64::from(before.last_duration)
}

fn follows(before: &Shape, after: &Shape) -> bool {
    after.start >= before.start && !overlaps(before, after)
}

/// `after` begins where `before` ends, as nearly as segments do.
fn touches(before: &Shape, after: &Shape) -> bool {
    to_ms(before.end.abs_diff(after.start), before.timescale) <= STRETCH_MS
}

/// `after` goes on where `before` ends, and they can follow one another in one clock.
fn leads_on(before: &Shape, after: &Shape) -> bool {
    touches(before, after) && follows(before, after)
}

/// Segments of one clock, by time.
#[derive(Debug, Default)]
struct Order(BTreeMap<(u64, usize), ()>);

/// How a segment fits among others.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fit {
    /// Behind all of them.
    Behind,
    /// Between two of them, or right before the first.
    Between,
    /// Before the first, with a hole between.
    Before,
    /// It overlaps one of them.
    Overlaps,
}

impl Order {
    fn insert(&mut self, all: &[Present], at: usize) {
        self.0.insert((all[at].shape.start, at), ());
    }

    fn remove(&mut self, all: &[Present], at: usize) {
        self.0.remove(&(all[at].shape.start, at));
    }

    fn fit(&self, all: &[Present], one: &Present) -> Fit {
        let shape = |key: Option<(&(u64, usize), &())>| key.map(|((_, at), ())| &all[*at].shape);
        let before = shape(self.0.range(..=(one.shape.start, usize::MAX)).next_back());
        let behind = shape(self.0.range((one.shape.start, usize::MAX)..).next());
        let is_over = before.is_some_and(|before| overlaps(before, &one.shape))
            || behind.is_some_and(|behind| overlaps(&one.shape, behind));
        match (before, behind) {
            _ if is_over => Fit::Overlaps,
            (_, None) => Fit::Behind,
            (Some(_), Some(_)) => Fit::Between,
            (None, Some(first)) if touches(&one.shape, first) => Fit::Between,
            (None, Some(_)) => Fit::Before,
        }
    }

    /// Positions in the order of time.
    fn sequence(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.keys().map(|(_, at)| *at)
    }
}

/// Positions of the segments of each clock, by time. A segment that fits into no hole of its clock begins a new one.
///
/// A stretch of the new clock may fit by chance into a hole of the old one, before the rest of it collides: it belongs to
/// the new one, since it leads up to the collision without a break. What overlaps breaks it too: taken along, it would
/// overlap in the new clock.
fn clocks(kept: &[Present]) -> Vec<Vec<usize>> {
    let mut done: Vec<Vec<usize>> = Vec::new();
    let mut order = Order::default();
    // Back from here, every segment of the clock lies before one with a smaller index.
    let mut displaced_from = None;
    for (at, one) in kept.iter().enumerate() {
        let leads_on = at > 0 && leads_on(&kept[at - 1].shape, &one.shape);
        match order.fit(kept, one) {
            Fit::Behind => displaced_from = None,
            Fit::Between if leads_on => displaced_from = displaced_from.or(Some(at)),
            Fit::Between => displaced_from = Some(at),
            Fit::Before | Fit::Overlaps => {
                let from = displaced_from.filter(|_| leads_on).unwrap_or(at);
                (from..at).for_each(|moved| order.remove(kept, moved));
                done.push(order.sequence().collect());
                order = Order::default();
                (from..at).for_each(|moved| order.insert(kept, moved));
                displaced_from = None;
            }
        }
        order.insert(kept, at);
    }
    done.push(order.sequence().collect());
    done.retain(|clock| !clock.is_empty());
    done
}

/// Lets every clock but the first go on where the ones before it end: all tracks by the same time, each rounded up to its
/// own unit, so that none reaches into what is before it.
fn rebase(lanes: &mut [Lane], axis: &Axis) {
    for epoch in 1..=lanes.iter().map(epochs).max().unwrap_or(0) {
        let (mut ends, mut begins, mut by) = (Ticks::MIN, Ticks::MAX, Ticks::MIN);
        for lane in lanes.iter() {
            let place = |piece: &Piece| axis.place(lane.track, piece.shape(), piece.present.segment.shift);
            let (before, behind) = lane.pieces.split_at(lane.pieces.partition_point(|piece| piece.epoch < epoch));
            let (Some(last), Some(first)) = (before.last().map(place), behind.first().map(place)) else { continue };
            ends = ends.max(last.presented.1);
            begins = begins.min(first.presented.0);
            by = by.max(last.decoded.1 - first.decoded.0);
        }
        let by = by.max(ends - begins);
        for lane in lanes.iter_mut() {
            let units = i64::try_from(axis.units_up(lane.track, by)).unwrap_or(i64::MAX);
            let from = lane.pieces.partition_point(|piece| piece.epoch < epoch);
            let of_clock = lane.pieces[from..].iter_mut().take_while(|piece| piece.epoch == epoch);
            of_clock.for_each(|piece| piece.present.segment.shift = units);
        }
    }
}

/// A stretch that is too long for the sample before it to stand for, with its own duration: 32 bits say how long
/// (ISO/IEC 14496-12 8.6.1.2).
pub(super) fn too_long(lane: &Lane, axis: &Axis) -> Option<Broken> {
    lane.pieces.windows(2).find_map(|pair| {
        let [before, behind] = pair else { return None };
        let at = |piece: &Piece, units: u64| i128::from(units) + i128::from(piece.present.segment.shift);
        let free = at(behind, behind.shape().start) - at(before, before.shape().end);
        let (track, segment) = (lane.track, behind.index());
        let is_too_long = free + i128::from(before.shape().last_duration) > i128::from(u32::MAX);
        is_too_long.then(|| Broken::GapTooLong { track, segment, length_ms: axis.ms(axis.ticks(track, free)) })
    })
}
