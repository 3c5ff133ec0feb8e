//! The layout: whatever tracks are laid out, the header is as long as was said, and the result reads back as planned.
//!
//! Input: tracks, drawn field by field from the bytes.

use super::memory::Memory;
use super::walk::real_init;
use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use domain::mux::Fill;
use domain::segment::Track;
use media::index::{Builder, Sample};
use media::init::Init;
use media::layout::{Layout, SegmentInput, TrackInput};

/// Longest header that is looked at; a longer one says nothing new.
const HEADER_BYTES_MAX: u64 = 8 << 20;

/// Holds the layout to its promises.
pub fn check(bytes: &[u8]) {
    let Ok(tracks) = tracks(&mut Unstructured::new(bytes)) else { return };
    let Ok(layout) = Layout::new(tracks) else { return };
    if layout.header_bytes() > HEADER_BYTES_MAX {
        return;
    }
    let header = layout.header().fold(Vec::new(), |mut all, piece| {
        all.extend(piece);
        all
    });
    assert_eq!(header.len() as u64, layout.header_bytes(), "the header is as long as it said");
    let payload: u64 = layout.chunks().iter().map(|chunk| chunk.len).sum();
    assert_eq!(layout.header_bytes() + payload, layout.size_bytes());
    let expected = layout.expected();
    assert_eq!(expected.tracks.iter().map(|track| track.payload_bytes).sum::<u64>(), payload);
    let read = Memory::new(header, layout.size_bytes()).read_back().expect("what was laid out can be read back");
    assert_eq!(read.facts, expected);
}

fn tracks(draw: &mut Unstructured<'_>) -> Result<Vec<TrackInput>> {
    match draw.int_in_range(0..=3)? {
        0 => Ok(vec![track(Track::Video, draw)?]),
        1 => Ok(vec![track(Track::Audio, draw)?]),
        _ => Ok(vec![track(Track::Video, draw)?, track(Track::Audio, draw)?]),
    }
}

fn track(kind: Track, draw: &mut Unstructured<'_>) -> Result<TrackInput> {
    let mut init = Init::parse(kind, real_init(kind)).expect("a real section");
    init.timescale = match draw.int_in_range(0..=4)? {
        0 => draw.arbitrary::<u32>()?.max(1),
        1 => 1,
        2 => 48_000,
        3 => 1000,
        _ => 90_000,
    };
    init.media_time = match draw.int_in_range(0..=3)? {
        0 => draw.int_in_range(-(1 << 60)..=1 << 60)?,
        1 => 0,
        _ => draw.int_in_range(-5000..=5000)?,
    };
    let (mut segments, mut at) = (Vec::new(), time(draw)?);
    for index in 1..=draw.int_in_range(1..=6)? {
        segments.extend(segment(index, &mut at, draw)?);
    }
    let fill = if draw.arbitrary()? { Fill::Hold } else { Fill::Silence };
    Ok(TrackInput { init, segments, fill })
}

fn time(draw: &mut Unstructured<'_>) -> Result<u64> {
    match draw.int_in_range(0..=3)? {
        0 => draw.int_in_range(0..=1 << 60),
        1 => draw.int_in_range(0..=100_000_000),
        _ => Ok(0),
    }
}

/// A segment of one to three fragments, each behind the one before or at some other time; nothing when none can be packed.
fn segment(index: u32, at: &mut u64, draw: &mut Unstructured<'_>) -> Result<Option<SegmentInput>> {
    let (mut builder, mut offset) = (Builder::default(), 0u64);
    for _ in 0..draw.int_in_range(1..=3)? {
        *at = match draw.int_in_range(0..=7)? {
            0 => time(draw)?,
            1 => at.saturating_sub(draw.int_in_range(0..=2000)?),
            2 => at.saturating_add(draw.int_in_range(0..=500_000)?),
            _ => *at,
        };
        if builder.begin_fragment(*at).is_err() {
            break;
        }
        for _ in 0..draw.int_in_range(1..=2)? {
            offset += draw.int_in_range(0..=1000)?;
            if builder.begin_run(offset).is_err() || run(&mut builder, at, &mut offset, draw)?.is_none() {
                return Ok(None);
            }
        }
    }
    let Some((packed, _)) = builder.finish() else { return Ok(None) };
    // A row may lie about its object, and the index of a stranger about anything.
    let size_bytes = if draw.ratio(1, 16)? { offset / 2 } else { offset };
    let shift = if draw.ratio(1, 8)? { draw.int_in_range(-(1 << 61)..=1 << 61)? } else { 0 };
    let salvaged = draw.ratio(1, 8)?;
    Ok(Some(SegmentInput { index, size_bytes, sha256: None, packed: Bytes::from(packed), shift, salvaged }))
}

/// Equal samples, up to a few thousand of them.
fn run(builder: &mut Builder, at: &mut u64, offset: &mut u64, draw: &mut Unstructured<'_>) -> Result<Option<()>> {
    for _ in 0..draw.int_in_range(0..=3)? {
        let count = if draw.ratio(1, 8)? { draw.int_in_range(1..=4000)? } else { draw.int_in_range(1..=40)? };
        let size_bytes = if draw.ratio(1, 16)? { draw.arbitrary()? } else { draw.int_in_range(0..=5000)? };
        let duration = if draw.ratio(1, 16)? { draw.arbitrary()? } else { draw.int_in_range(0..=5000)? };
        let composition_offset = if draw.ratio(1, 16)? { draw.arbitrary()? } else { draw.int_in_range(-3000..=3000)? };
        let sample = Sample { size_bytes, duration, composition_offset, sync: draw.arbitrary()? };
        for _ in 0..count {
            if builder.sample(sample).is_err() {
                return Ok(None);
            }
            *at += u64::from(duration);
            *offset += u64::from(size_bytes);
        }
    }
    Ok(Some(()))
}
