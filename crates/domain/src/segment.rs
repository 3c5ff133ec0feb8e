//! Segments, their names and what is known of each one.

use crate::id::Sha256;
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Highest index of a segment. At 2 s a segment it is 55 hours, far beyond every limit on a recording.
pub const INDEX_MAX: u32 = 99_999;

/// One elementary stream of a recording. The order is the order of tracks in a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Track {
    /// The picture.
    Video,
    /// The sound.
    Audio,
}

impl Track {
    /// Both tracks, in the order of a result.
    pub const ALL: [Track; 2] = [Track::Video, Track::Audio];

    /// The word used in paths, rows and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Track::Video => "video",
            Track::Audio => "audio",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Track> {
        Track::ALL.into_iter().find(|track| track.as_str() == text)
    }

    /// Handler type of the track (ISO/IEC 14496-12, `hdlr`).
    pub fn handler(self) -> [u8; 4] {
        match self {
            Track::Video => *b"vide",
            Track::Audio => *b"soun",
        }
    }
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a name inside a track stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// The initialization section, `init.mp4`. It has index 0 in rows and answers.
    Init,
    /// The media segment with this index, counted from 1: `segment_001.m4s`, from 1000 on with as many digits as needed.
    Media(u32),
}

/// A name that is neither `init.mp4` nor the one spelling of a segment's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a segment is named init.mp4 or segment_NNN.m4s, from segment_001 to segment_{INDEX_MAX}")]
pub struct InvalidName;

impl Name {
    /// Reads a name. Each index has exactly one spelling, so that no segment can be given twice under two names.
    pub fn parse(text: &str) -> Result<Name, InvalidName> {
        if text == "init.mp4" {
            return Ok(Name::Init);
        }
        let digits = text.strip_prefix("segment_").and_then(|rest| rest.strip_suffix(".m4s")).ok_or(InvalidName)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) || digits.len() > 5 {
            return Err(InvalidName);
        }
        let name = Name::Media(digits.parse().map_err(|_| InvalidName)?);
        if name == Name::Media(0) || name.to_string() != text { Err(InvalidName) } else { Ok(name) }
    }

    /// The name of a row's index: 0 is the initialization section.
    pub fn of_index(index: u32) -> Name {
        if index == 0 { Name::Init } else { Name::Media(index) }
    }

    /// The index of the row: 0 for the initialization section.
    pub fn index(self) -> u32 {
        match self {
            Name::Init => 0,
            Name::Media(index) => index,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Init => f.write_str("init.mp4"),
            Name::Media(index) => write!(f, "segment_{index:03}.m4s"),
        }
    }
}

/// Where the bytes of an acknowledged segment are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Durable in staging, not yet in the store.
    Received,
    /// In the store under its own key.
    Stored,
    /// Acknowledged, then found gone or damaged in staging: a recorded gap and an alarm.
    Lost,
}

impl State {
    /// The word used in rows and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Received => "received",
            State::Stored => "stored",
            State::Lost => "lost",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<State> {
        [State::Received, State::Stored, State::Lost].into_iter().find(|state| state.as_str() == text)
    }
}

/// Place of a media segment on its track's own time axis, in units of `timescale` per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Units per second.
    pub timescale: u32,
    /// Decode time of the first sample (`tfdt`, ISO/IEC 14496-12 8.8.12).
    pub start: u64,
    /// Sum of the sample durations.
    pub duration: u64,
}

impl Span {
    /// First unit after the segment.
    pub fn end(self) -> u64 {
        self.start.saturating_add(self.duration)
    }

    /// Start in milliseconds, rounded down.
    pub fn start_ms(self) -> u64 {
        to_ms(self.start, self.timescale)
    }

    /// End in milliseconds, rounded down.
    pub fn end_ms(self) -> u64 {
        to_ms(self.end(), self.timescale)
    }

    /// Duration in milliseconds, rounded to the nearest.
    pub fn duration_ms(self) -> u64 {
        to_ms(self.duration.saturating_add(u64::from(self.timescale) / 2000), self.timescale)
    }
}

/// What the sample index of a media segment amounts to. Times are in units of its track's timescale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Units per second.
    pub timescale: u32,
    /// Decode time of the first sample (`tfdt`, ISO/IEC 14496-12 8.8.12).
    pub start: u64,
    /// First unit after the last sample, by decode time.
    pub end: u64,
    /// When its first sample is presented: composition time less the `media_time` of the edit list. Negative for priming.
    pub presented_from: i64,
    /// First unit after the last presentation.
    pub presented_to: i64,
    /// How long its last sample lasts: an overlap below that only shrinks it.
    pub last_duration: u32,
    /// Number of samples; at least 1.
    pub samples: u32,
    /// Decoding can begin at its first sample.
    pub starts_with_sync: bool,
    /// Digest of the sample index itself: two segments without it in common are not copies of one another.
    pub index_sha256: Sha256,
}

impl Shape {
    /// What is known of a segment of which nobody has read the samples: they are taken to be one, presented when decoded.
    pub fn of_span(span: Span) -> Shape {
        let signed = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
        let duration = u32::try_from(span.duration).unwrap_or(u32::MAX);
        let place = [span.start.to_be_bytes(), span.duration.to_be_bytes()].concat();
        Shape {
            timescale: span.timescale,
            start: span.start,
            end: span.end(),
            presented_from: signed(span.start),
            presented_to: signed(span.end()),
            last_duration: duration,
            samples: 1,
            starts_with_sync: true,
            index_sha256: Sha256::of(&place),
        }
    }
}

/// Milliseconds of `units` at `timescale` units per second, rounded down; 0 for a timescale of 0.
pub fn to_ms(units: u64, timescale: u32) -> u64 {
    if timescale == 0 {
        return 0;
    }
    let ms = u128::from(units) * 1000 / u128::from(timescale);
    u64::try_from(ms).unwrap_or(u64::MAX)
}

/// One acknowledged segment as its row tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The track it belongs to.
    pub track: Track,
    /// 0 for the initialization section, else 1, 2, 3 …
    pub index: u32,
    /// Where its bytes are.
    pub state: State,
    /// Length of its bytes.
    pub size_bytes: u64,
    /// Digest of its bytes; `None` of a segment that another uploader wrote into the bucket and of which only the heads of
    /// its boxes were read.
    pub sha256: Option<Sha256>,
    /// Its place on the time axis; `None` for the initialization section.
    pub span: Option<Span>,
    /// What is wrong with an object that another uploader wrote: the bytes are there and are not a segment.
    pub defect: Option<String>,
}

/// What the initialization section of a track says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CodecFacts {
    /// RFC 6381 codec string, for example `avc1.640028`.
    pub codec: String,
    /// Units per second of the track's time axis.
    pub timescale: u32,
    /// Width of the picture as it is shown, in pixels; 0 for sound.
    pub width: u32,
    /// Height of the picture as it is shown, in pixels; 0 for sound.
    pub height: u32,
    /// Degrees clockwise by which the picture is turned before it is shown: 0, 90, 180 or 270.
    #[serde(default)]
    pub rotation: u16,
    /// Sound channels; 0 for a picture.
    pub channels: u32,
    /// Sound samples per second; 0 for a picture.
    pub sample_rate: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_has_one_spelling() {
        for (text, index) in
            [("init.mp4", 0), ("segment_001.m4s", 1), ("segment_999.m4s", 999), ("segment_1000.m4s", 1000)]
        {
            let name = Name::parse(text).unwrap();
            assert_eq!((name.index(), name.to_string().as_str()), (index, text));
            assert_eq!(Name::of_index(index), name);
        }
        for text in [
            "",
            "init.MP4",
            "segment_1.m4s",
            "segment_0001.m4s",
            "segment_000.m4s",
            "segment_+01.m4s",
            "segment_-01.m4s",
            "segment_001.m4s.tmp",
            "segment_001.mp4",
            "../segment_001.m4s",
            "segment_١٢٣.m4s",
            "segment_4294967297.m4s",
            "segment_100000.m4s",
        ] {
            assert_eq!(Name::parse(text), Err(InvalidName), "{text}");
        }
    }

    #[test]
    fn milliseconds_do_not_overflow() {
        assert_eq!(to_ms(u64::MAX, 1), u64::MAX);
        assert_eq!(to_ms(90_000, 90_000), 1000);
        assert_eq!(to_ms(1, 0), 0);
    }
}
