//! Where the segments of a result lie in it, in bytes and in time: what leads from a damaged picture to its segment.

#![forbid(unsafe_code)]

use super::{LaidTrack, Layout, MOVIE_TIMESCALE};
use domain::segment::Track;

/// One segment in its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentPlace {
    /// Its index, from 1.
    pub index: u32,
    /// Where its first sample begins in the result, in bytes.
    pub offset: u64,
    /// Number of samples; at least 1.
    pub samples: u32,
    /// Decoding can begin at its first sample.
    pub sync: bool,
    /// When its first sample is presented, in microseconds on the time axis of the result.
    pub from_us: u64,
    /// When it ends, by the durations of its samples.
    pub to_us: u64,
    /// Something was put right here: its clock is moved otherwise than that of the segment before it, samples of one of
    /// the two are lost, or segments between them are missing.
    pub repaired: bool,
}

impl Layout {
    /// The segments of every track that have a sample, in the order of the result.
    pub fn places(&self) -> Vec<(Track, Vec<SegmentPlace>)> {
        let mut offsets: Vec<Vec<Option<u64>>> =
            self.tracks.iter().map(|track| vec![None; track.input.segments.len()]).collect();
        let mut at = self.header_bytes();
        for chunk in &self.chunks {
            if let Some(n) = chunk.segment() {
                offsets[chunk.track][n].get_or_insert(at);
            }
            at += chunk.len;
        }
        let places =
            self.tracks.iter().zip(offsets).map(|(track, offsets)| (track.input.init.track, track.places(&offsets)));
        places.collect()
    }
}

/// What the segments of a track themselves amount to, without what was held, filled in or shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recorded {
    /// Number of samples.
    pub samples: u64,
    /// Sum of their durations as they were recorded, in units of the track's timescale.
    pub duration: u64,
}

impl Layout {
    /// What the segments of each track amount to, in the order of the result.
    pub fn recorded(&self) -> Vec<Recorded> {
        let of = |track: &LaidTrack| {
            let indexes = track.input.segments.iter().filter_map(|segment| track.input.reader(segment).ok());
            indexes.flat_map(|index| index.fragments()).fold(Recorded::default(), |sum, fragment| Recorded {
                samples: sum.samples + u64::from(fragment.count),
                duration: sum.duration + (fragment.end - fragment.tfdt),
            })
        };
        self.tracks.iter().map(of).collect()
    }
}

impl LaidTrack {
    fn places(&self, offsets: &[Option<u64>]) -> Vec<SegmentPlace> {
        let segments = &self.input.segments;
        let mut places = Vec::new();
        for (n, (segment, offset)) in segments.iter().zip(offsets).enumerate() {
            let (Some(offset), Ok(index)) = (*offset, self.input.reader(segment)) else { continue };
            let summary = index.summary();
            let first = index.fragments().next().and_then(|fragment| fragment.samples().next());
            let composed = i64::from(first.map_or(0, |sample| sample.composition_offset));
            let start = summary.start as i64 + segment.shift;
            let before = n.checked_sub(1).map(|n| &segments[n]);
            places.push(SegmentPlace {
                index: segment.index,
                offset,
                samples: summary.samples,
                sync: summary.starts_with_sync,
                from_us: self.presented_us(start + composed),
                to_us: self.presented_us(start + composed + (summary.end - summary.start) as i64),
                repaired: before.is_some_and(|before| {
                    let follows = before.index.checked_add(1) == Some(segment.index);
                    segment.salvaged || before.salvaged || segment.shift != before.shift || !follows
                }),
            });
        }
        places
    }

    /// When a sample of this composition time is presented; what is priming counts as the beginning.
    fn presented_us(&self, composed: i64) -> u64 {
        let times = &self.times;
        let from =
            i128::from(self.timeline.first()) + i128::from(times.media_time) - i128::from(times.composition_bias);
        let since = (i128::from(composed) - from).max(0) * 1_000_000 / i128::from(self.input.init.timescale.max(1));
        u64::try_from(since + i128::from(times.start) * 1_000_000 / i128::from(MOVIE_TIMESCALE)).unwrap_or(u64::MAX)
    }
}
