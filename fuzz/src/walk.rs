//! The box walker: an object that arrives in any pieces has one verdict, and what is accepted is the object's own truth.
//!
//! Input: options, a seed of the pieces, the length of an initialization section (two bytes, big-endian; 0 = a real one),
//! that section, and the segment.

use domain::segment::Track;
use media::defect::Defect;
use media::index::IndexReader;
use media::init::Init;
use media::walk::{Accepted, Limits, Media, Walker, media};

/// Real initialization sections: H.264 and AAC as FFmpeg writes them.
pub const VIDEO: &[u8] = include_bytes!("../init/video.mp4");
/// The sound's.
pub const AUDIO: &[u8] = include_bytes!("../init/audio.mp4");

/// The real initialization section of a track.
pub fn real_init(track: Track) -> &'static [u8] {
    match track {
        Track::Video => VIDEO,
        Track::Audio => AUDIO,
    }
}

/// The track that the lowest bit of an input's options names.
pub fn track(options: u8) -> Track {
    if options & 1 == 0 { Track::Video } else { Track::Audio }
}

/// A segment and what it is read with.
#[derive(Debug)]
pub struct Input<'a> {
    /// Lowest bit: the track.
    pub options: u8,
    /// Seed of whatever is drawn.
    pub seed: u8,
    /// The initialization section.
    pub init: Init,
    /// The segment.
    pub object: &'a [u8],
}

impl<'a> Input<'a> {
    /// Cuts an input; `None` when it is too short or has no initialization section that can be used.
    pub fn of(bytes: &'a [u8]) -> Option<Input<'a>> {
        let (&[options, seed, high, low], rest) = bytes.split_first_chunk::<4>()?;
        let track = track(options);
        let given = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
        let (init, object) = rest.split_at(given);
        let init = Init::parse(track, if init.is_empty() { real_init(track) } else { init }).ok()?;
        Some(Input { options, seed, init, object })
    }
}

/// Holds the walker to its promises.
pub fn check(bytes: &[u8]) {
    let Some(Input { options, seed, init, object }) = Input::of(bytes) else { return };
    let limits = if options & 2 == 0 { Limits::DEFAULT } else { Limits::NONE };
    let whole = media(&init, object, limits);
    assert_eq!(whole, in_pieces(&init, object, limits, seed), "pieces change the verdict");
    match whole {
        Ok(accepted) => hold(&accepted, object),
        Err(defect) => {
            assert!(defect.place().is_none_or(|(_, at)| at <= object.len() as u64 || told(&defect)), "{defect:?}");
            assert!(!defect.to_string().is_empty());
        }
    }
}

/// What a fragment claims may lie anywhere, and its defect repeats the claim.
fn told(defect: &Defect) -> bool {
    matches!(defect, Defect::MdatCoverage { .. })
}

/// The same object in pieces of 1 to 97 bytes, with what may be skipped skipped every other time.
fn in_pieces(init: &Init, object: &[u8], limits: Limits, seed: u8) -> Result<Media, Defect> {
    let mut walker = Walker::media(init, limits);
    let (mut at, mut state) = (0usize, u32::from(seed) + 1);
    while at < object.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let drawn = (state >> 16) as usize;
        assert_eq!(walker.position(), at as u64, "the walker lost its place");
        let left = object.len() - at;
        let skippable = usize::try_from(walker.skippable_bytes()).unwrap_or(usize::MAX).min(left);
        if skippable > 0 && drawn & 1 == 0 {
            let count = 1 + drawn % skippable;
            walker.skip(count as u64);
            at += count;
            continue;
        }
        let take = (1 + drawn % 97).min(left);
        walker.push(&object[at..at + take])?;
        at += take;
    }
    match walker.finish()? {
        Accepted::Media(media) => Ok(media),
        Accepted::Init(_) => panic!("a segment was taken for an initialization section"),
    }
}

/// The index says of every byte of media data which sample it belongs to, and of no other byte.
fn hold(media: &Media, object: &[u8]) {
    assert_eq!(media.size_bytes, object.len() as u64);
    let index = IndexReader::open(&media.index).expect("what the walker packs can be read");
    assert_eq!(index.summary(), media.summary);
    assert_eq!(media.span.start, media.summary.start);
    assert_eq!(media.span.duration, media.summary.end - media.summary.start);
    let mut claimed = Vec::new();
    for fragment in index.fragments() {
        let mut samples = fragment.samples();
        for range in fragment.ranges() {
            let sizes = samples.by_ref().take(range.samples as usize).map(|sample| u64::from(sample.size_bytes));
            assert_eq!(sizes.sum::<u64>(), range.len, "a range is as long as its samples");
            if range.len > 0 {
                claimed.push((range.offset, range.offset + range.len));
            }
        }
        assert!(samples.next().is_none(), "every sample lies in a range");
    }
    claimed.sort_unstable();
    assert_eq!(joined(claimed), joined(media_data(object)), "claims and media data differ");
}

/// Joins ranges that touch; ranges that overlap stay apart and so differ from any set that does not.
fn joined(ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from, to) in ranges {
        match joined.last_mut() {
            Some(last) if last.1 == from => last.1 = to,
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// Where the bodies of all `mdat` lie. Written down once more from the standard, and only for objects that were accepted.
fn media_data(object: &[u8]) -> Vec<(u64, u64)> {
    let (mut at, mut found) = (0usize, Vec::new());
    while at < object.len() {
        let word = |at: usize| u32::from_be_bytes(object[at..at + 4].try_into().expect("four bytes"));
        let (head, size) = match word(at) {
            0 => (8, object.len() - at),
            1 => (16, ((u64::from(word(at + 8)) << 32) | u64::from(word(at + 12))) as usize),
            size => (8, size as usize),
        };
        if &object[at + 4..at + 8] == b"mdat" && size > head {
            found.push(((at + head) as u64, (at + size) as u64));
        }
        at += size;
    }
    found
}
