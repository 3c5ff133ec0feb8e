//! Odd inputs: what the index cannot express, and how it becomes what it can.
//!
//! Owns how odd input is told from damage, how several objects are read as one, and the scratch in which libavformat's
//! segments lie until a result is made of them. Everything behind that is as ever: one index, one layout, one
//! verification. The scratch takes as much disk as the odd tracks have bytes, for as long as the result is made.

mod joined;
mod scratch;

pub use joined::{Joined, Part};
pub use scratch::Scratch;

use crate::child::{Odd, RecastTrack};
use domain::mux::{Gap, Repair, RepairKind};
use domain::segment::Track;
use media::boxes::Boxes;
use media::layout::{Layout, TrackTimes};

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

/// What the sources lack by signs of their own, on the axis of the result that `layout` makes of them.
pub fn gaps(tracks: &[RecastTrack], layout: &Layout) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for made in tracks {
        let n = (0..layout.times().len()).find(|&n| layout.init(n).track == made.track);
        let begins_ms = n.and_then(|n| layout.times().nth(n)).map_or(0, TrackTimes::start_ms);
        let place = |ms: u64| (ms + begins_ms).saturating_sub(made.start_ms);
        gaps.extend(made.losses.iter().map(|loss| Gap {
            track: made.track,
            from_ms: place(loss.from_ms),
            to_ms: place(loss.to_ms),
            segments: loss.segment.into_iter().collect(),
            cause: loss.cause,
        }));
    }
    gaps
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
    fn pieces_follow_one_another_and_one_file_alone_has_none() {
        let odd = track(Track::Audio, vec![Track::Audio], Some(10), &[(1, 100), (3, 50)]);
        assert_eq!((odd.size_bytes, odd.pieces), (160, vec![(1, 10), (3, 110)]));
        assert_eq!(track(Track::Video, vec![], None, &[(1, 100)]).pieces, []);
        assert_eq!(track(Track::Video, vec![], None, &[(1, 100), (2, 1)]).pieces, [(1, 0), (2, 100)]);
    }
}
