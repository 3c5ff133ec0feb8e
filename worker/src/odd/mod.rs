//! Odd inputs: what the index cannot express, and how it becomes what it can.
//!
//! Owns how odd input is told from damage, how several objects are read as one, and the scratch in which libavformat's
//! segments lie until a result is made of them. Everything behind that is as ever: one index, one layout, one
//! verification. The scratch takes as much disk as the odd tracks have bytes, for as long as the result is made.

mod joined;
mod scratch;

pub use joined::{Joined, Part};
pub use scratch::{SCRATCH_PREFIX, Scratch};

use crate::child::{Odd, RecastTrack};
use domain::mux::{Gap, GapCause, Repair, RepairKind, STRETCH_MS};
use domain::segment::Track;
use media::boxes::Boxes;
use media::ff::segmenter::recast::Loss;
use media::layout::{Layout, SegmentPlace};
use std::collections::BTreeMap;

/// Largest head that is looked at: an initialization section.
pub const HEAD_BYTES_MAX: u64 = media::init::INIT_BYTES_MAX;

/// What the first object of a track is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// An initialization section of one track, or something that is damaged: not for libavformat, which reads over most
    /// damage without a word.
    Plain,
    /// Of another container, or of several tracks.
    Odd,
}

/// Tells by the first bytes of an initialization section.
pub fn head_of_init(bytes: &[u8]) -> Head {
    let several = || {
        let moov = Boxes::of(bytes).filter_map(Result::ok).find(|found| found.kind.0 == *b"moov");
        moov.is_some_and(|moov| moov.children().filter_map(Result::ok).filter(|b| b.kind.0 == *b"trak").count() > 1)
    };
    if of_another_container(bytes) || several() { Head::Odd } else { Head::Plain }
}

/// Tells by the first bytes of the first segment of a track that has no initialization section: a file of its own.
pub fn head_of_segment(bytes: &[u8]) -> Head {
    let whole = bytes.get(4..8).is_some_and(|kind| kind == b"ftyp" || kind == b"moov");
    if of_another_container(bytes) || whole { Head::Odd } else { Head::Plain }
}

/// Matroska and WebM begin with an EBML header, a transport stream with a sync byte every 188.
pub fn of_another_container(bytes: &[u8]) -> bool {
    let sync = |at: usize| bytes.get(at) == Some(&0x47);
    bytes.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) || (sync(0) && sync(188) && sync(376))
}

/// The objects of a track as one: its initialization section, if it has one, and its segments in order.
pub fn track(track: Track, tracks: Vec<Track>, init_bytes: Option<u64>, segments: &[(u32, u64)]) -> Odd {
    let mut at = init_bytes.unwrap_or(0);
    let mut pieces = Vec::new();
    for &(index, size_bytes) in segments {
        pieces.push((index, at));
        at += size_bytes;
    }
    if init_bytes.is_none() && pieces.len() == 1 {
        // One whole file has no segments that anybody could miss.
        pieces.clear();
    }
    Odd { name: format!("the {track} track"), size_bytes: at, tracks, pieces }
}

/// What was done to the tracks beside copying them, for the report of a result.
pub fn repairs(tracks: &[RecastTrack]) -> Vec<Repair> {
    let mut repairs = Vec::new();
    for made in tracks {
        let mut say = |kind, what| repairs.push(Repair { track: made.track, segment: 0, kind, what });
        if let Some(codec) = &made.encoded_as {
            say(RepairKind::Transcode, format!("{} was encoded again as {codec}", made.codec));
        }
        if made.left_out > 0 {
            let what = "before the first key frame, or behind the end of its edit list, left out";
            say(RepairKind::LeftOut, format!("{} packets {what}", made.left_out));
        }
        if made.moved > 0 {
            say(RepairKind::Retime, format!("{} packets whose decode time went back were moved on", made.moved));
        }
        if made.streams_left_out > 0 {
            let (others, track) = (made.streams_left_out, made.track);
            say(RepairKind::LeftOut, format!("{others} more {track} streams left out: a result has one of a kind"));
        }
    }
    repairs
}

/// Puts what sources are known to have lost beside the gaps that were found in what was made of them, so that no stretch
/// is told twice: a stretch of which only its length is known has the cause that is known of it, and one that already
/// has a segment's name keeps it. Gives what is told nowhere yet.
pub fn explain(gaps: &mut Vec<Gap>, lost: Vec<Gap>) -> Vec<Gap> {
    let nameless = |gap: &Gap| match gap.cause {
        GapCause::Jump => true,
        GapCause::Missing => gap.segments.is_empty(),
        GapCause::Lost
        | GapCause::Damaged
        | GapCause::Truncated
        | GapCause::Duplicate
        | GapCause::Epoch
        | GapCause::Corrupt => false,
    };
    let mut told = Vec::new();
    for loss in lost {
        if gaps.iter().chain(&told).any(|gap| tells(gap, &loss)) {
            continue;
        }
        let named = gaps.iter().filter(|gap| !nameless(gap));
        told.extend(without(loss, named));
    }
    let open = std::mem::take(gaps);
    for gap in open {
        if nameless(&gap) {
            gaps.extend(without(gap, told.iter()));
        } else {
            gaps.push(gap);
        }
    }
    told
}

/// Whether a gap tells of the same damage as a loss of which nothing says how long it is. Where it lies says no more than
/// its segment, and is rounded.
fn tells(gap: &Gap, loss: &Gap) -> bool {
    let same = (gap.track, gap.cause) == (loss.track, loss.cause);
    same && loss.duration_ms() <= 1 && loss.segments.iter().any(|index| gap.segments.contains(index))
}

/// What of a gap others leave, beside stretches that are as short as rounding.
fn without<'a>(gap: Gap, others: impl Iterator<Item = &'a Gap>) -> Vec<Gap> {
    let mut left = vec![gap];
    for other in others {
        let rest = |gap: Gap| {
            let apart = other.track != gap.track || other.to_ms < gap.from_ms || gap.to_ms < other.from_ms;
            if apart || other.from_ms == other.to_ms {
                return vec![gap];
            }
            let ends = [(gap.from_ms, other.from_ms), (other.to_ms, gap.to_ms)];
            let long = ends.into_iter().filter(|(from_ms, to_ms)| to_ms.saturating_sub(*from_ms) > STRETCH_MS);
            long.map(|(from_ms, to_ms)| Gap { from_ms, to_ms, ..gap.clone() }).collect()
        };
        left = left.into_iter().flat_map(rest).collect();
    }
    left
}

/// By how many milliseconds segments are presented later than their own times say; one that is not named is not moved
/// otherwise than the one before it.
pub type Shifts = BTreeMap<(Track, u32), i64>;

/// By how much more than the first segment of its track that one is moved in which something was lost.
fn moved_ms(shifts: &Shifts, track: Track, segment: Option<u32>) -> i64 {
    let Some(segment) = segment else { return 0 };
    let first = shifts.range((track, 0)..=(track, u32::MAX)).next();
    let own = shifts.range((track, 0)..=(track, segment)).next_back();
    own.zip(first).map_or(0, |((_, own), (_, first))| own - first)
}

/// What the sources lack by signs of their own, on the axis of the result that `layout` makes of them.
pub fn gaps(tracks: &[RecastTrack], layout: &Layout, shifts: &Shifts) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let end_ms = layout.times().map(|times| times.start_ms() + times.duration_ms()).max().unwrap_or(0);
    let places = layout.places();
    for made in tracks {
        let n = (0..layout.times().len()).find(|&n| layout.init(n).track == made.track);
        let Some(times) = n.and_then(|n| layout.times().nth(n)) else { continue };
        let places = places.iter().find(|(track, _)| *track == made.track).map_or(&[][..], |(_, places)| places);
        let of_loss = |loss: &Loss| {
            let moved = moved_ms(shifts, made.track, loss.segment);
            // A child that reads a stranger's bytes may say any time.
            let at = |ms: u64| ms.saturating_add(times.start_ms()).saturating_sub(made.start_ms);
            let place = |ms: u64| at(ms).saturating_add_signed(moved);
            let (from_ms, to_ms) = (place(loss.from_ms), place(loss.to_ms));
            // Of what is cut off nothing tells how long it was but the other track, or other segments.
            let at_end = from_ms >= times.start_ms() + times.duration_ms().saturating_sub(STRETCH_MS);
            let to_ms = match (at_end && loss.cause == GapCause::Truncated, loss.segment) {
                (true, Some(segment)) if to_ms.max(end_ms) <= from_ms.saturating_add(STRETCH_MS) => {
                    usual_end_ms(places, segment, from_ms).max(to_ms)
                }
                (true, _) => to_ms.max(end_ms),
                (false, _) => to_ms,
            };
            Gap { track: made.track, from_ms, to_ms, segments: loss.segment.into_iter().collect(), cause: loss.cause }
        };
        gaps.extend(made.losses.iter().map(of_loss));
    }
    gaps
}

/// Where a segment that is cut off at `from_ms` would end if it were as long as most.
fn usual_end_ms(places: &[SegmentPlace], segment: u32, from_ms: u64) -> u64 {
    let whole = places.iter().filter(|place| place.index != segment);
    let mut lengths_us: Vec<u64> = whole.map(|place| place.to_us.saturating_sub(place.from_us)).collect();
    lengths_us.sort_unstable();
    let usual_us = lengths_us.get(lengths_us.len() / 2).copied().unwrap_or(0);
    let begins_us =
        places.iter().find(|place| place.index == segment).map_or(from_ms.saturating_mul(1_000), |place| place.from_us);
    (begins_us.saturating_add(usual_us) / 1_000).max(from_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_is_told_from_damaged() {
        let mut stream = vec![0; 400];
        assert_eq!(head_of_init(&stream), Head::Plain);
        [0, 188, 376].into_iter().for_each(|at| stream[at] = 0x47);
        assert_eq!(head_of_segment(&stream), Head::Odd);
        assert_eq!(head_of_init(b"\x1a\x45\xdf\xa3webm"), Head::Odd);
        assert_eq!(head_of_segment(b"\0\0\0\x18stypmsdh"), Head::Plain);
        assert_eq!(head_of_segment(b"\0\0\0\x18ftypisom"), Head::Odd);
        let two = b"\0\0\0\x18moov\0\0\0\x08trak\0\0\0\x08trak";
        assert_eq!((head_of_init(two), head_of_init(&two[..16])), (Head::Odd, Head::Plain));
    }

    #[test]
    fn what_is_known_of_a_loss_stands_in_for_what_is_only_seen_and_not_for_a_name() {
        let gap = |from_ms, to_ms, segments: &[u32], cause| Gap {
            track: Track::Video,
            from_ms,
            to_ms,
            segments: segments.to_vec(),
            cause,
        };
        let other = Gap { track: Track::Audio, ..gap(1000, 3000, &[], GapCause::Jump) };
        let mut gaps = vec![
            gap(1000, 3000, &[], GapCause::Jump),
            other.clone(),
            gap(4000, 6000, &[3], GapCause::Missing),
            gap(8000, 9000, &[], GapCause::Missing),
        ];
        let cut = gap(1010, 2500, &[2], GapCause::Truncated);
        let lost =
            vec![cut.clone(), gap(3990, 6010, &[2], GapCause::Truncated), gap(8000, 8000, &[5], GapCause::Damaged)];
        let told = explain(&mut gaps, lost);
        assert_eq!(told, [cut, gap(8000, 8000, &[5], GapCause::Damaged)]);
        let named = gap(4000, 6000, &[3], GapCause::Missing);
        // What has no length and is known to be damaged is not damaged twice.
        let mut known = vec![gap(0, 0, &[1], GapCause::Damaged)];
        let lost = vec![gap(0, 0, &[1], GapCause::Damaged), gap(5, 5, &[1], GapCause::Truncated)];
        assert_eq!(explain(&mut known, lost), [gap(5, 5, &[1], GapCause::Truncated)]);
        let left = [gap(2500, 3000, &[], GapCause::Jump), other, named, gap(8000, 9000, &[], GapCause::Missing)];
        assert_eq!(gaps, left);
    }

    #[test]
    fn loss_without_length_is_told_once() {
        let gap = |from_ms, to_ms, segments: &[u32]| Gap {
            track: Track::Audio,
            from_ms,
            to_ms,
            segments: segments.to_vec(),
            cause: GapCause::Damaged,
        };
        let mut gaps = vec![gap(4000, 6000, &[2, 3])];
        let lost = vec![gap(6001, 6001, &[3]), gap(3999, 4000, &[2]), gap(8000, 8000, &[4])];
        assert_eq!(explain(&mut gaps, lost), [gap(8000, 8000, &[4])]);
        assert_eq!(gaps, [gap(4000, 6000, &[2, 3])]);
    }

    #[test]
    fn loss_lies_where_its_segment_was_moved_to() {
        let shifts = Shifts::from([((Track::Audio, 1), 100), ((Track::Audio, 3), -4900), ((Track::Video, 9), 7)]);
        let moved = [None, Some(1), Some(2), Some(3), Some(4)].map(|index| moved_ms(&shifts, Track::Audio, index));
        assert_eq!(moved, [0, 0, 0, -5000, -5000]);
    }

    #[test]
    fn pieces_follow_one_another_and_one_file_alone_has_none() {
        let odd = track(Track::Audio, vec![Track::Audio], Some(10), &[(1, 100), (3, 50)]);
        assert_eq!((odd.size_bytes, odd.pieces), (160, vec![(1, 10), (3, 110)]));
        assert_eq!(track(Track::Video, vec![], None, &[(1, 100)]).pieces, []);
        assert_eq!(track(Track::Video, vec![], None, &[(1, 100), (2, 1)]).pieces, [(1, 0), (2, 100)]);
    }
}
