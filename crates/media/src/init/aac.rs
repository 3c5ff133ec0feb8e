//! The AudioSpecificConfig of MPEG-4 audio (ISO/IEC 14496-3 1.6.2.1): what a decoder really gives.
//!
//! The fields of the sample entry around it are often wrong: writers put two channels into every one, and rates from
//! 65536 on do not fit.

#![forbid(unsafe_code)]

/// What the first fields say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AudioConfig {
    /// Audio object type: 2 is AAC-LC, 5 with SBR, 29 with SBR and parametric stereo.
    pub(super) object_type: u32,
    /// Samples per second of what is decoded; 0 where the index is reserved.
    pub(super) sample_rate: u32,
    /// Channels of what is decoded; 0 where the stream itself describes them.
    pub(super) channels: u32,
}

/// By sampling frequency index (table 1.18).
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// By channel configuration (table 1.19).
const CHANNELS: [u32; 16] = [0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8, 0];

/// Spectral band replication, which doubles the rate, and the same with parametric stereo, which makes two channels of one.
const SBR: u32 = 5;
const PARAMETRIC_STEREO: u32 = 29;

impl AudioConfig {
    /// Reads them; `None` when they are cut off.
    pub(super) fn parse(bytes: &[u8]) -> Option<AudioConfig> {
        let mut bits = Bits { bytes, at: 0 };
        let object_type = match bits.take(5)? {
            31 => 32 + bits.take(6)?,
            short => short,
        };
        let core_rate = rate(&mut bits)?;
        let configuration = bits.take(4)?;
        let extended = matches!(object_type, SBR | PARAMETRIC_STEREO);
        let sample_rate = if extended { rate(&mut bits)? } else { core_rate };
        let channels = if object_type == PARAMETRIC_STEREO { 2 } else { CHANNELS[configuration as usize] };
        Some(AudioConfig { object_type, sample_rate, channels })
    }
}

fn rate(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.take(4)? {
        15 => bits.take(24),
        index => Some(RATES.get(index as usize).copied().unwrap_or(0)),
    }
}

/// Most significant bit first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for at in self.at..self.at + count {
            let byte = self.bytes.get(at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - at % 8) & 1);
        }
        self.at += count;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_tells_what_is_decoded() {
        for (bytes, expected) in [
            (&[0x11, 0x90][..], Some((2, 48_000, 2))),
            // One channel at 44.1 kHz.
            (&[0x12, 0x08], Some((2, 44_100, 1))),
            (&[0x10, 0x10], Some((2, 96_000, 2))),
            // A rate that has no index: 15, then 24 bits, 50000.
            (&[0x17, 0x80, 0x61, 0xa8, 0x10], Some((2, 50_000, 2))),
            // SBR over 24 kHz; parametric stereo over 24 kHz in one channel.
            (&[0x2b, 0x11, 0x88, 0x00], Some((5, 48_000, 2))),
            (&[0xeb, 0x09, 0x88, 0x00], Some((29, 48_000, 2))),
            // An object type behind the escape, 42 (xHE-AAC).
            (&[0xf9, 0x46, 0x40], Some((42, 48_000, 2))),
            // Reserved rate, channels described in the stream.
            (&[0x16, 0x80], Some((2, 0, 0))),
            (&[0x11], None),
            (&[], None),
        ] {
            let told = AudioConfig::parse(bytes).map(|c| (c.object_type, c.sample_rate, c.channels));
            assert_eq!(told, expected, "{bytes:02x?}");
        }
    }
}
