//! What `result.json` says of a result, as far as it can be checked.

use domain::id::Sha256;
use domain::mux::{Gap, GapCause};
use domain::segment::Track;
use serde::Deserialize;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Largest `result.json` that is read: a day of recording has twenty megabytes.
const BYTES_MAX: u64 = 64 << 20;

/// `result.json`. What is not known here is left alone, and what is missing is not compared.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    pub(super) bytes: Option<u64>,
    pub(super) sha256: Option<Sha256>,
    pub(super) duration_ms: Option<u64>,
    pub(super) tracks: Vec<TrackTold>,
    pub(super) gaps: Vec<Gap>,
    pub(super) segments: Vec<SegmentTold>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TrackTold {
    pub(super) kind: Track,
    pub(super) packets: u64,
    pub(super) payload_bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SegmentTold {
    pub(super) track: Track,
    pub(super) index: u32,
    /// First byte and number of bytes of each stretch of its samples in the result.
    #[serde(default)]
    pub(super) ranges: Vec<(u64, u64)>,
}

impl Told {
    /// Reads the file beside a result.
    pub(super) fn read(path: &Path) -> anyhow::Result<Told> {
        let mut bytes = Vec::new();
        File::open(path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
        Told::parse(&bytes)
    }

    /// Reads the object beside a result.
    pub(super) fn parse(bytes: &[u8]) -> anyhow::Result<Told> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The segment that a byte of the result comes from.
    pub(super) fn segment_at(&self, track: Track, offset: u64) -> Option<u32> {
        let of_track = self.segments.iter().filter(|segment| segment.track == track);
        let holds = |segment: &&SegmentTold| {
            segment.ranges.iter().any(|&(from, len)| (from..from.saturating_add(len)).contains(&offset))
        };
        of_track.into_iter().find(holds).map(|segment| segment.index)
    }

    /// It was told that this cannot be decoded.
    pub(super) fn knows(&self, track: Track, at_ms: u64) -> bool {
        let known = |gap: &&Gap| gap.track == track && gap.cause == GapCause::Corrupt;
        self.gaps.iter().filter(known).any(|gap| (gap.from_ms..=gap.to_ms).contains(&at_ms))
    }
}
