//! Cuts pauses out: what no track has is left out of the timeline, both tracks by the same time.

use super::axis::{Axis, Ticks};
use super::gaps::seconds;
use super::place::Lane;
use super::strip::{Break, Strip};
use crate::mux::{Repair, RepairKind, STRETCH_MS};

/// A pause between two neighbouring segments of each track.
struct Cut {
    /// Of each lane, the position of the segment behind the pause.
    positions: Vec<usize>,
    length_ms: u64,
}

/// Moves what lies behind each pause back by its length, and tells what was cut.
pub(super) fn cut(lanes: &mut [Lane], strips: &[Strip<'_>], axis: &Axis) -> Vec<Repair> {
    let with_media = |strip: &&Strip<'_>| !strip.spots.is_empty();
    let breaks = strips.iter().filter(with_media).map(|strip| {
        let breaks = strip.breaks();
        breaks.into_iter().filter(|stretch| !stretch.seam).collect::<Vec<_>>()
    });
    let cuts = match &*breaks.collect::<Vec<_>>() {
        [one] => alone(one),
        [left, right] => common(left, right),
        _ => Vec::new(),
    };
    let mut repairs = Vec::new();
    let lengths: Vec<Ticks> = cuts.iter().map(|cut| length(cut, lanes, axis)).collect();
    for (n, lane) in lanes.iter_mut().enumerate() {
        let (mut by, mut next) = (0, 0);
        for position in 0..lane.pieces.len() {
            while let Some(cut) = cuts.get(next).filter(|cut| cut.positions[n] <= position) {
                by += lengths[next];
                next += 1;
                let (track, segment) = (lane.track, lane.pieces[cut.positions[n] - 1].index());
                let what = format!("a pause of {} s behind it is cut out", seconds(cut.length_ms));
                repairs.push(Repair { track, segment, kind: RepairKind::Cut, what });
            }
            let shift = &mut lane.pieces[position].present.segment.shift;
            *shift = shift.saturating_sub(i64::try_from(axis.units_down(lane.track, by)).unwrap_or(i64::MAX));
        }
    }
    repairs
}

/// The whole pause, but never more than is free in each of the tracks.
fn length(cut: &Cut, lanes: &[Lane], axis: &Axis) -> Ticks {
    let free = lanes.iter().zip(&cut.positions).map(|(lane, &position)| {
        let place = |at: usize| {
            let piece = &lane.pieces[at];
            axis.place(lane.track, piece.shape(), piece.present.segment.shift)
        };
        let (before, behind) = (place(position - 1), place(position));
        (behind.decoded.0 - before.decoded.1).min(behind.presented.0 - before.presented.1)
    });
    free.fold(axis.ticks_of_ms(cut.length_ms), Ticks::min).max(0)
}

fn alone(breaks: &[Break]) -> Vec<Cut> {
    let cut = |stretch: &Break| Cut { positions: vec![stretch.position], length_ms: stretch.alone().length_ms() };
    breaks.iter().map(cut).filter(|cut| cut.length_ms > STRETCH_MS).collect()
}

/// What both skip, in the order of time. A stretch of one track may hold several of the other; each takes its part.
fn common(left: &[Break], right: &[Break]) -> Vec<Cut> {
    let (mut cuts, mut at) = (Vec::new(), (0, 0));
    let mut rest = (left.first().copied(), right.first().copied());
    while let (Some(one), Some(other)) = &mut rest {
        let length_ms = one.shared(other).length_ms();
        if length_ms > STRETCH_MS {
            one.excess_ms -= length_ms;
            other.excess_ms -= length_ms;
            cuts.push(Cut { positions: vec![one.position, other.position], length_ms });
        }
        if one.to_ms <= other.to_ms {
            at.0 += 1;
            rest.0 = left.get(at.0).copied();
        } else {
            at.1 += 1;
            rest.1 = right.get(at.1).copied();
        }
    }
    cuts
}
