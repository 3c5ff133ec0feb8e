//! The common time axis, exact: every unit of every track is a whole number of ticks, and so is a millisecond.

use crate::segment::{Shape, Track};

/// A moment or a length on the common axis.
pub(super) type Ticks = i128;

/// How long units, milliseconds and ticks are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Ticks of one unit, in the order of [`Track::ALL`]. Two timescales of 32 bits and a thousand have 74 bits, so times
    /// of 64 bits stay inside.
    unit: [Ticks; 2],
    ms: Ticks,
}

impl Axis {
    /// Of the units per second of both tracks, in the order of [`Track::ALL`].
    pub(super) fn of(timescales: [u32; 2]) -> Axis {
        let [video, audio] = timescales.map(|timescale| Ticks::from(timescale.max(1)));
        Axis { unit: [audio * 1000, video * 1000], ms: video * audio }
    }

    fn unit(&self, track: Track) -> Ticks {
        match track {
            Track::Video => self.unit[0],
            Track::Audio => self.unit[1],
        }
    }

    pub(super) fn ticks(&self, track: Track, units: i128) -> Ticks {
        units * self.unit(track)
    }

    /// Whole units of the track, rounded up.
    pub(super) fn units_up(&self, track: Track, ticks: Ticks) -> i128 {
        -(-ticks).div_euclid(self.unit(track))
    }

    /// Whole units of the track, rounded down.
    pub(super) fn units_down(&self, track: Track, ticks: Ticks) -> i128 {
        ticks.div_euclid(self.unit(track))
    }

    /// Milliseconds, rounded down; 0 before the origin.
    pub(super) fn ms(&self, ticks: Ticks) -> u64 {
        u64::try_from((ticks / self.ms).max(0)).unwrap_or(u64::MAX)
    }

    pub(super) fn ticks_of_ms(&self, ms: u64) -> Ticks {
        Ticks::from(ms) * self.ms
    }
}

/// A segment on the axis, once it is moved by `shift` units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Decode time of its first sample, and first tick after its last one.
    pub(super) decoded: (Ticks, Ticks),
    /// From its first presentation to the end of its last one.
    pub(super) presented: (Ticks, Ticks),
}

impl Axis {
    pub(super) fn place(&self, track: Track, shape: &Shape, shift: i64) -> Place {
        let at = |units: i128| self.ticks(track, units + i128::from(shift));
        Place {
            decoded: (at(i128::from(shape.start)), at(i128::from(shape.end))),
            presented: (at(i128::from(shape.presented_from)), at(i128::from(shape.presented_to))),
        }
    }
}
