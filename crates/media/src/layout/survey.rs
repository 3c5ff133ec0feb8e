//! One look at every sample of a track: its time axis and its chunks.
//!
//! The packed index is checked by the same look, so what is read again afterwards, one property at a time, cannot fail.

#![forbid(unsafe_code)]

use super::chunk::{Cut, Cutter};
use super::timeline::Growing;
use super::{Error, SegmentInput, Timeline, TrackInput};
use crate::index::{Checked, Damaged, Fragment};
use crate::silence;
use bytes::Bytes;
use domain::mux::Fill;

/// What one look tells.
pub(super) struct Surveyed {
    pub(super) timeline: Timeline,
    pub(super) cuts: Vec<Cut>,
    /// As many silent frames as a chunk has at most; empty when none are inserted.
    pub(super) silence: Bytes,
}

/// Looks at track `n`.
pub(super) fn survey(n: usize, track: &TrackInput) -> Result<Surveyed, Error> {
    let silent = match track.fill {
        Fill::Silence => silence::frame(&track.init),
        Fill::Hold => None,
    };
    let mut cutter = Cutter::of(n, track);
    let mut growing = Growing::of(track, silent.as_ref());
    for (place, segment) in (0..).zip(&track.segments) {
        let damaged = |source: Damaged| Error::Index { track: track.init.track, segment: segment.index, source };
        let mut fragments = Checked::open(&segment.packed).map_err(damaged)?;
        while let Some(fragment) = fragments.next().map_err(damaged)? {
            let fragment = moved(track, segment, fragment)?;
            let silent = growing.meet(segment.index, &fragment)?;
            if let Some((at, frames, frame)) = silent {
                cutter.silence(at, frames, frame);
            }
            look(track, segment, place, &fragment, &mut growing, &mut cutter)?;
        }
    }
    let timeline = growing.finish()?;
    let silence = silent.as_ref().filter(|_| timeline.joins.iter().any(|join| join.silent > 0));
    let silence = silence.map(|frame| frame.bytes.repeat(cutter.silent_frames_max(frame) as usize));
    Ok(Surveyed { timeline, cuts: cutter.finish(), silence: Bytes::from(silence.unwrap_or_default()) })
}

/// The fragment where the plan says that it lies.
fn moved<'a>(track: &TrackInput, segment: &SegmentInput, fragment: Fragment<'a>) -> Result<Fragment<'a>, Error> {
    let out_of_range = Error::ShiftOutOfRange { track: track.init.track, segment: segment.index };
    fragment.moved(segment.shift).ok_or(out_of_range)
}

fn look(
    track: &TrackInput,
    segment: &SegmentInput,
    place: u32,
    fragment: &Fragment<'_>,
    growing: &mut Growing<'_>,
    cutter: &mut Cutter,
) -> Result<(), Error> {
    let mut samples = fragment.samples();
    let mut at = fragment.tfdt;
    for range in fragment.ranges() {
        if range.offset + range.len > segment.size_bytes {
            return Err(Error::OutsideSegment { track: track.init.track, segment: segment.index });
        }
        cutter.begin(place, range.offset, at);
        for sample in samples.by_ref().take(range.samples as usize) {
            growing.add(at, &sample);
            cutter.add(at, sample.size_bytes);
            at += u64::from(sample.duration);
        }
    }
    cutter.end();
    Ok(())
}
