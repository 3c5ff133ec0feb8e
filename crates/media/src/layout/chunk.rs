//! The order of the payload: short chunks of both tracks side by side, so that a player that reads from front to back
//! always has picture and sound for the same moment.

#![forbid(unsafe_code)]

use super::TrackInput;
use crate::silence::SilentFrame;

/// Chunks per second and track at least: half a second each.
const CHUNKS_PER_SECOND: u64 = 2;

/// Samples of one track that lie one after the other, where they come from as in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// The track, counted from 0 in the order of the result.
    pub track: usize,
    /// Where its bytes come from.
    pub source: Source,
    /// Number of bytes.
    pub len: u64,
    /// Number of samples; at least 1.
    pub samples: u32,
}

/// Where the bytes of a chunk come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A segment.
    Segment {
        /// Which one, counted from 0 in the order of the track.
        n: u32,
        /// Where the chunk begins in its object.
        offset: u64,
    },
    /// Silent frames of the track, which lie in memory.
    Silence,
}

impl Chunk {
    /// The segment it is cut from, counted from 0 in the order of its track; `None` = silence.
    pub fn segment(&self) -> Option<usize> {
        match self.source {
            Source::Segment { n, .. } => Some(n as usize),
            Source::Silence => None,
        }
    }
}

/// A chunk and when its first sample is decoded, in units of its track's timescale.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    at: u64,
    chunk: Chunk,
}

/// Cuts one track into chunks, sample by sample.
#[derive(Debug)]
pub(super) struct Cutter {
    track: usize,
    step: u64,
    cuts: Vec<Cut>,
    open: Option<Cut>,
}

impl Cutter {
    /// For track `n`.
    pub(super) fn of(n: usize, track: &TrackInput) -> Cutter {
        let step = (u64::from(track.init.timescale) / CHUNKS_PER_SECOND).max(1);
        Cutter { track: n, step, cuts: Vec::new(), open: None }
    }

    /// The samples of a range of segment `n` follow; they are decoded from `at` on.
    pub(super) fn begin(&mut self, n: u32, offset: u64, at: u64) {
        self.end();
        let source = Source::Segment { n, offset };
        self.open = Some(Cut { at, chunk: Chunk { track: self.track, source, len: 0, samples: 0 } });
    }

    /// The next sample of the range.
    pub(super) fn add(&mut self, at: u64, size_bytes: u32) {
        let Some(open) = &mut self.open else { return };
        if at >= open.at + self.step
            && open.chunk.samples > 0
            && let Source::Segment { n, offset } = open.chunk.source
        {
            let source = Source::Segment { n, offset: offset + open.chunk.len };
            self.cuts.push(*open);
            *open = Cut { at, chunk: Chunk { track: self.track, source, len: 0, samples: 0 } };
        }
        open.chunk.len += u64::from(size_bytes);
        open.chunk.samples += 1;
    }

    /// Nothing follows that lies behind the samples before.
    pub(super) fn end(&mut self) {
        self.cuts.extend(self.open.take());
    }

    /// `frames` silent frames follow; they are decoded from `at` on.
    pub(super) fn silence(&mut self, mut at: u64, mut frames: u32, frame: &SilentFrame) {
        self.end();
        let most = self.silent_frames_max(frame);
        while frames > 0 {
            let samples = frames.min(most);
            let len = u64::from(samples) * frame.bytes.len() as u64;
            self.cuts.push(Cut { at, chunk: Chunk { track: self.track, source: Source::Silence, len, samples } });
            at += u64::from(samples) * u64::from(frame.duration);
            frames -= samples;
        }
    }

    /// Most silent frames of one chunk.
    pub(super) fn silent_frames_max(&self, frame: &SilentFrame) -> u32 {
        u32::try_from(self.step.div_ceil(u64::from(frame.duration))).unwrap_or(u32::MAX)
    }

    pub(super) fn finish(mut self) -> Vec<Cut> {
        self.end();
        self.cuts
    }
}

/// Orders the chunks of all tracks by decode time; at the same time, by track. A lane has its timescale and its chunks.
///
/// Up to a moment the order depends on the segments up to that moment alone.
pub(super) fn interleave(lanes: Vec<(u32, Vec<Cut>)>) -> Vec<Chunk> {
    let mut chunks = Vec::with_capacity(lanes.iter().map(|(_, cuts)| cuts.len()).sum());
    let mut lanes: Vec<_> =
        lanes.into_iter().map(|(timescale, cuts)| (u128::from(timescale), cuts.into_iter().peekable())).collect();
    loop {
        let mut first: Option<(usize, u128, u128)> = None;
        for (n, (timescale, lane)) in lanes.iter_mut().enumerate() {
            let Some(cut) = lane.peek() else { continue };
            let at = u128::from(cut.at);
            if first.is_none_or(|(_, best, best_timescale)| at * best_timescale < best * *timescale) {
                first = Some((n, at, *timescale));
            }
        }
        let Some((n, ..)) = first else { return chunks };
        chunks.extend(lanes[n].1.next().map(|cut| cut.chunk));
    }
}
