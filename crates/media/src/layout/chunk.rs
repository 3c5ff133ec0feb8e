//! The order of the payload: short chunks of both tracks side by side, so that a player that reads from front to back
//! always has picture and sound for the same moment.

#![forbid(unsafe_code)]

use super::{Error, TrackInput};

/// Chunks per second and track at least: half a second each.
const CHUNKS_PER_SECOND: u64 = 2;

/// Samples of one track that lie one after the other, in their segment as in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// The track, counted from 0 in the order of the result.
    pub track: usize,
    /// The segment, counted from 0 in the order of the track.
    pub segment: usize,
    /// Where the chunk begins in the object of its segment.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
    /// Number of samples; at least 1.
    pub samples: u32,
}

/// Cuts every track into chunks and orders them by decode time; at the same time, by track.
///
/// Up to a moment the order depends on the segments up to that moment alone.
pub(super) fn interleave(tracks: &[TrackInput]) -> Result<Vec<Chunk>, Error> {
    let mut lanes = Vec::new();
    for (n, track) in tracks.iter().enumerate() {
        lanes.push((u128::from(track.init.timescale), cut(n, track)?.into_iter().peekable()));
    }
    let mut chunks = Vec::with_capacity(lanes.iter().map(|(_, lane)| lane.len()).sum());
    loop {
        let mut first: Option<(usize, u128, u128)> = None;
        for (n, (timescale, lane)) in lanes.iter_mut().enumerate() {
            let Some(&(at, _)) = lane.peek() else { continue };
            let at = u128::from(at);
            if first.is_none_or(|(_, best, best_timescale)| at * best_timescale < best * *timescale) {
                first = Some((n, at, *timescale));
            }
        }
        let Some((n, ..)) = first else { return Ok(chunks) };
        chunks.extend(lanes[n].1.next().map(|(_, chunk)| chunk));
    }
}

/// The chunks of one track with their decode times.
fn cut(n: usize, track: &TrackInput) -> Result<Vec<(u64, Chunk)>, Error> {
    let step = (u64::from(track.init.timescale) / CHUNKS_PER_SECOND).max(1);
    let mut chunks = Vec::new();
    for (segment, input) in track.segments.iter().enumerate() {
        for fragment in track.reader(input)?.fragments() {
            let mut samples = fragment.samples();
            let mut at = fragment.tfdt;
            for range in fragment.ranges() {
                let mut open: Option<(u64, Chunk)> = None;
                let mut offset = range.offset;
                for sample in samples.by_ref().take(range.samples as usize) {
                    if let Some(full) = open.take_if(|(start, _)| at >= *start + step) {
                        chunks.push(full);
                    }
                    let empty = (at, Chunk { track: n, segment, offset, len: 0, samples: 0 });
                    let (_, chunk) = open.get_or_insert(empty);
                    chunk.len += u64::from(sample.size_bytes);
                    chunk.samples += 1;
                    offset += u64::from(sample.size_bytes);
                    at += u64::from(sample.duration);
                }
                chunks.extend(open);
            }
        }
    }
    Ok(chunks)
}
