//! One frame of silence in a track's own codec, to fill a stretch without sound.
//!
//! A frame is made of the sample description alone and is the same for every recording of that description. It owns no
//! policy: whether a stretch is filled is the plan's word.
//! FLAC has none: every FLAC frame carries its own number, so no two frames have the same bytes.

#![forbid(unsafe_code)]

use crate::boxes::{BoxRef, Boxes, Fields};
use crate::defect::Defect;
use crate::init::Init;
use bytes::Bytes;
use domain::segment::Track;

/// A frame that decodes to silence, whatever came before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentFrame {
    /// One sample of the track.
    pub bytes: Bytes,
    /// How long it lasts, in units of the track's timescale; at least 1.
    pub duration: u32,
}

/// Samples of one AAC frame (ISO/IEC 14496-3 4.5.1.1).
const AAC_FRAME: u64 = 1024;

/// Samples of 20 ms of Opus, which always counts in 48 kHz (RFC 7845 section 4).
const OPUS_FRAME: u64 = 960;

/// The frame must fit the track's units but for this share: a timescale of 1000 would make AAC's 21.33 ms last 21 ms,
/// and a minute of silence end a second early.
const ROUNDING: u64 = 4000;

/// A silent frame of the track: AAC-LC and Opus, mono and stereo. `None` when the codec has none, or when none of whole
/// units of the track's timescale.
pub fn frame(init: &Init) -> Option<SilentFrame> {
    if init.track != Track::Audio {
        return None;
    }
    let (bytes, samples, rate) = match entry(init).ok()? {
        (entry, config) if entry.kind.0 == *b"mp4a" => aac(&config)?,
        (entry, config) if entry.kind.0 == *b"Opus" => opus(&config)?,
        _ => return None,
    };
    let duration = duration(samples, u64::from(rate), u64::from(init.timescale))?;
    Some(SilentFrame { bytes: Bytes::from_static(bytes), duration })
}

/// `samples` of `rate` a second in units of `timescale`, rounded to the nearest where that is near enough.
fn duration(samples: u64, rate: u64, timescale: u64) -> Option<u32> {
    let exact = samples * timescale;
    let units = (exact + rate / 2) / rate;
    let near = (units * rate).abs_diff(exact) * ROUNDING <= exact;
    u32::try_from(units).ok().filter(|&units| near && units > 0)
}

/// Bytes of a sound sample entry before its boxes (ISO/IEC 14496-12 12.2.3), QuickTime's versions among them.
const SOUND: [usize; 3] = [28, 44, 64];

/// The only sample entry and the box with its codec's configuration.
fn entry(init: &Init) -> Result<(BoxRef<'_>, BoxRef<'_>), Defect> {
    let missing = Defect::MissingInit;
    let stsd = Boxes::of(&init.parts.stsd).next().ok_or(missing)??;
    let entry = stsd.children_from(8).next().ok_or(missing)??;
    let mut fields = entry.fields();
    fields.skip(8)?;
    let boxes = *SOUND.get(usize::from(fields.u16()?)).ok_or(missing)?;
    for child in entry.children_from(boxes) {
        let child = child?;
        if matches!(&child.kind.0, b"esds" | b"dOps") {
            return Ok((entry, child));
        }
    }
    Err(missing)
}

/// A `raw_data_block` (ISO/IEC 14496-3 4.4.2.1) of one element in which no band of the spectrum is coded (`max_sfb` 0),
/// then the terminator: a single channel element, or a channel pair that shares its window.
const AAC_MONO: &[u8] = &[0x00, 0x00, 0x00, 0x07];
const AAC_STEREO: &[u8] = &[0x21, 0x00, 0x00, 0x00, 0x00, 0x1c];

/// The frame, its samples and their rate. Plain AAC-LC of 1024 samples with its channels in one element alone.
fn aac(esds: &BoxRef<'_>) -> Option<(&'static [u8], u64, u32)> {
    let mut config = Bits { bytes: specific_config(esds)?, at: 0 };
    if config.take(5)? != 2 {
        return None;
    }
    let rate = config.sample_rate()?;
    let frame = match config.take(4)? {
        1 => AAC_MONO,
        2 => AAC_STEREO,
        _ => return None,
    };
    // Frame length, dependence on a core coder, extension.
    if config.take(3)? != 0 {
        return None;
    }
    // Spectral band replication that is signalled behind would make every frame twice as long.
    let extended = config.take(11) == Some(0x2b7) && config.take(5) == Some(5) && config.take(1) == Some(1);
    (!extended).then_some((frame, AAC_FRAME, rate))
}

/// The AudioSpecificConfig inside ES and decoder configuration descriptors (ISO/IEC 14496-1 7.2.6).
fn specific_config<'a>(esds: &BoxRef<'a>) -> Option<&'a [u8]> {
    let mut fields = esds.fields();
    fields.skip(4).ok()?;
    descriptor(&mut fields, 3)?;
    fields.skip(2).ok()?;
    // Dependences, addresses and clock references of other streams: nobody writes them into a file.
    if fields.u8().ok()? & 0xe0 != 0 {
        return None;
    }
    descriptor(&mut fields, 4)?;
    if fields.u8().ok()? != 0x40 {
        return None;
    }
    fields.skip(12).ok()?;
    let len = descriptor(&mut fields, 5)?;
    fields.rest().get(..len)
}

/// Passes over the head of the descriptor `tag` and gives the length of its body.
fn descriptor(fields: &mut Fields<'_>, tag: u8) -> Option<usize> {
    if fields.u8().ok()? != tag {
        return None;
    }
    let mut len = 0;
    for _ in 0..4 {
        let byte = fields.u8().ok()?;
        len = len << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(len)
}

/// Bits, high ones first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let bit = self.bytes.get(self.at / 8)? >> (7 - self.at % 8) & 1;
            value = value << 1 | u32::from(bit);
            self.at += 1;
        }
        Some(value)
    }

    /// By its index (ISO/IEC 14496-3 1.6.3.4), or as it is.
    fn sample_rate(&mut self) -> Option<u32> {
        const RATES: [u32; 13] =
            [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];
        match self.take(4)? {
            15 => self.take(24).filter(|&rate| rate > 0),
            index => RATES.get(index as usize).copied(),
        }
    }
}

/// A packet of one 20 ms fullband frame (RFC 6716 section 3.1: configuration 31, one frame), mono or stereo, whose only
/// decoded symbol is the silence flag (section 4.3).
const OPUS_MONO: &[u8] = &[0xf8, 0xff, 0xfe];
const OPUS_STEREO: &[u8] = &[0xfc, 0xff, 0xfe];

/// The frame, its samples and their rate. One stream alone (`dOps`, channel mapping family 0).
fn opus(dops: &BoxRef<'_>) -> Option<(&'static [u8], u64, u32)> {
    let mut fields = dops.fields();
    fields.skip(1).ok()?;
    let channels = fields.u8().ok()?;
    fields.skip(8).ok()?;
    let frame = match (channels, fields.u8().ok()?) {
        (1, 0) => OPUS_MONO,
        (2, 0) => OPUS_STEREO,
        _ => return None,
    };
    Some((frame, OPUS_FRAME, 48_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_is_of_whole_units_or_none() {
        assert_eq!(duration(1024, 48_000, 48_000), Some(1024));
        assert_eq!(duration(1024, 44_100, 44_100), Some(1024));
        assert_eq!(duration(1024, 8000, 1000), Some(128));
        assert_eq!(duration(960, 48_000, 1000), Some(20));
        assert_eq!(duration(1024, 44_100, 90_000), Some(2090));
        assert_eq!(duration(1024, 48_000, 10_000_000), Some(213_333));
        assert_eq!(duration(1024, 48_000, 1000), None);
        assert_eq!(duration(1024, 48_000, 1), None);
        assert_eq!(duration(1024, 7350, u64::from(u32::MAX)), Some(598373675));
    }

    #[test]
    fn configuration_is_read_bit_by_bit() {
        let mut bits = Bits { bytes: &[0b1111_0000, 0b0000_0000, 0b1011_1011, 0b1000_1010], at: 0 };
        assert_eq!(bits.sample_rate(), Some(3000));
        assert_eq!((bits.take(4), bits.take(1)), (Some(10), None));
    }
}
