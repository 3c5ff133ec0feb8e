//! Which places of a result are decoded, and what follows from what was seen there.
//!
//! Owns the choice of places, the narrowing down to segments when one of them is damaged, and the words for what was
//! found. It decodes nothing itself: whoever drives a [`Search`] gives it what a decoder saw, and may run that decoder
//! where it likes. The same answers give the same findings.

#![forbid(unsafe_code)]

mod search;
mod track;

pub use search::{Findings, Next, Search, Unsound};

use domain::segment::Track;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One place of a file to be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The track.
    pub track: Track,
    /// When it is presented, in microseconds from the start of the file; what is decoded begins at a sync sample at or
    /// before it.
    pub at_us: u64,
    /// First byte of the sample to begin with, where it is known.
    pub offset: Option<u64>,
    /// First byte of the track that is no longer meant, where it is known: a demuxer need not give every sample, and what
    /// follows is somebody else's.
    pub until: Option<u64>,
    /// Samples to decode from there, at least 1; at the end of the file there may be fewer.
    pub samples: u32,
}

/// What a decoder saw at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Samples that were given to the decoder.
    pub samples: u64,
    /// Frames that came out.
    pub frames: u64,
    /// The form of the last picture that came out; `None` for sound, and where none did.
    pub picture: Option<Picture>,
    /// What is wrong, if something is.
    pub damage: Option<Damage>,
}

/// The form of a picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// How pixels are stored, as FFmpeg names it, for example `yuv420p`.
    pub format: String,
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} {}", self.width, self.height, self.format)
    }
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// First byte of the sample at which it was noticed.
    pub offset: u64,
    /// When that sample is presented, in microseconds; `None` when the file does not say.
    pub at_us: Option<i64>,
    /// What was noticed, for a person.
    pub what: String,
    /// The sample is made of whole NAL units (ISO/IEC 14496-15 §4.3): its bytes are as an encoder wrote them, and it may be
    /// the parameters that are another encoder's.
    pub framed: bool,
}

/// Whether the bytes of a sample are NAL units, each behind its length in four bytes, and nothing else (ISO/IEC 14496-15
/// §4.3.2). Garbage is not, but for one sample in billions.
pub fn is_framed(mut sample: &[u8]) -> bool {
    while let Some((len, rest)) = sample.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*len) as usize;
        // The first bit of every unit is 0 (ITU-T H.264 §7.4.1, H.265 §7.4.2.2).
        if len == 0 || len > rest.len() || rest[0] & 0x80 != 0 {
            return false;
        }
        sample = &rest[len..];
        if sample.is_empty() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
