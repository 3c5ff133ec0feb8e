//! What the multivariant playlist says of each track.
//!
//! Players read the multivariant playlist once, so it is decided when the first segment is listed and then stays: a
//! track is added when its initialization section is in the store, and none is taken away while the recording goes on.
//! Only the end puts true values in place of the first segment's.

use crate::segment::{CodecFacts, Span, Track};
use serde::{Deserialize, Serialize};

/// Bits per second of a picture of which no segment is known yet: an ordinary screen recording.
const PICTURE_BPS: u64 = 2_000_000;

/// Bits per second of a sound of which no segment is known yet.
const SOUND_BPS: u64 = 160_000;

/// One track of the multivariant playlist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rendition {
    /// `CODECS`, `RESOLUTION` and `CHANNELS`.
    pub codec: CodecFacts,
    /// Its part of `BANDWIDTH`, in bits per second: the largest of any segment.
    pub peak_bps: u64,
    /// Its part of `AVERAGE-BANDWIDTH`, in bits per second.
    pub average_bps: u64,
    /// `FRAME-RATE` in thousandths of a picture per second; `None` for sound, and while no segment is known.
    pub frame_rate_milli: Option<u32>,
    /// Every segment listed so far begins with a sync sample.
    pub independent: bool,
}

/// What is known of a stored segment of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    /// Length of its bytes.
    pub size_bytes: u64,
    /// Its place on the time axis.
    pub span: Span,
    /// Number of its samples.
    pub samples: u32,
}

impl Weight {
    /// Bits per second.
    pub fn bps(&self) -> u64 {
        bps(u128::from(self.size_bytes), u128::from(self.span.duration), self.span.timescale)
    }

    fn frame_rate_milli(&self) -> Option<u32> {
        let duration = u128::from(self.span.duration);
        let milli =
            (u128::from(self.samples) * u128::from(self.span.timescale) * 1000 + duration / 2).checked_div(duration)?;
        u32::try_from(milli).ok().filter(|milli| *milli > 0)
    }
}

/// Bits per second of bytes that last `duration` units; 0 for no time.
pub fn bps(size_bytes: u128, duration: u128, timescale: u32) -> u64 {
    let bits = size_bytes.saturating_mul(8).saturating_mul(u128::from(timescale));
    u64::try_from(bits.checked_div(duration).unwrap_or(0)).unwrap_or(u64::MAX)
}

impl Rendition {
    /// A track of which `first` is the first segment in the store; none when only its initialization section is there.
    pub fn begin(track: Track, codec: CodecFacts, first: Option<Weight>) -> Rendition {
        let assumed_bps = match track {
            Track::Video => PICTURE_BPS,
            Track::Audio => SOUND_BPS,
        };
        let bps = first.map_or(assumed_bps, |first| first.bps());
        let frame_rate_milli = first.filter(|_| track == Track::Video).and_then(|first| first.frame_rate_milli());
        Rendition { codec, peak_bps: bps, average_bps: bps, frame_rate_milli, independent: true }
    }
}

/// The tracks of the multivariant playlist.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Renditions {
    /// The picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<Rendition>,
    /// The sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<Rendition>,
}

impl Renditions {
    /// One track.
    pub fn of(&self, track: Track) -> Option<&Rendition> {
        match track {
            Track::Video => self.video.as_ref(),
            Track::Audio => self.audio.as_ref(),
        }
    }

    /// One track, to be set.
    pub fn of_mut(&mut self, track: Track) -> &mut Option<Rendition> {
        match track {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
        }
    }

    /// No track is known yet.
    pub fn is_empty(&self) -> bool {
        self.video.is_none() && self.audio.is_none()
    }
}
