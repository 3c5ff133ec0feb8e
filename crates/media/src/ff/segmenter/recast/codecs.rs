//! What MP4 has a place for, and how many samples a packet of sound holds.

use domain::segment::Track;
use ffmpeg_next::codec::{Id, Parameters};
use ffmpeg_next::{Packet, ffi};

/// Whether a codec has no place in an MP4 that others read. libavformat writes some of these all the same (Vorbis under a
/// number that nobody registered); few players know what to do with them.
pub(super) fn must_encode(track: Track, codec: Id) -> bool {
    !match track {
        Track::Video => matches!(codec, Id::H264 | Id::HEVC | Id::AV1 | Id::VP9 | Id::MPEG4 | Id::MPEG2VIDEO),
        Track::Audio => {
            matches!(codec, Id::AAC | Id::OPUS | Id::FLAC | Id::MP3 | Id::AC3 | Id::EAC3 | Id::ALAC)
        }
    }
}

/// Samples per channel in a packet, exact; `None` where the codec does not tell without decoding. Containers that count
/// milliseconds cannot say it.
pub(super) fn samples_of(packet: &Packet, parameters: &Parameters) -> Option<i64> {
    match parameters.id() {
        Id::OPUS => opus_samples(packet.data()?),
        Id::FLAC => flac_samples(extradata(parameters)),
        _ => Some(i64::from(frame_samples(parameters, packet.size()))).filter(|&samples| samples > 0),
    }
}

/// Samples at 48 kHz by the first bytes of an Opus packet (RFC 6716, 3.1 and 3.2).
fn opus_samples(packet: &[u8]) -> Option<i64> {
    let toc = *packet.first()?;
    let config = toc >> 3;
    let frame = match config {
        0..12 => [480, 960, 1920, 2880][usize::from(config & 3)],
        12..16 => [480, 960][usize::from(config & 1)],
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => i64::from(*packet.get(1)? & 0x3f),
    };
    // Longer than 120 ms is no Opus packet.
    Some(frame * frames).filter(|samples| (1..=5760).contains(samples))
}

/// Samples of a block by STREAMINFO, when all blocks but the last have as many (RFC 9639, 8.2).
fn flac_samples(streaminfo: &[u8]) -> Option<i64> {
    let block = |at: usize| Some(u16::from_be_bytes(streaminfo.get(at..at + 2)?.try_into().ok()?));
    let (least, most) = (block(0)?, block(2)?);
    (least == most && most > 0).then_some(i64::from(most))
}

/// Samples of a packet by what libavcodec knows of the codec; 0 when it does not.
#[allow(unsafe_code)]
fn frame_samples(parameters: &Parameters, packet_bytes: usize) -> i32 {
    let bytes = i32::try_from(packet_bytes).unwrap_or(0);
    // SAFETY: the pointer is that of live codec parameters, which the call only reads; its `mut` is the signature's.
    unsafe { ffi::av_get_audio_frame_duration2(parameters.as_ptr().cast_mut(), bytes) }
}

/// Sound begins with so many samples that are not heard.
#[allow(unsafe_code)]
pub(super) fn priming_samples(parameters: &Parameters) -> i64 {
    // SAFETY: the pointer is that of live codec parameters; a plain integer is read, for which the safe API has no getter.
    i64::from(unsafe { (*parameters.as_ptr()).initial_padding })
}

/// Samples a second.
#[allow(unsafe_code)]
pub(super) fn sample_rate(parameters: &Parameters) -> i32 {
    // SAFETY: as in `priming_samples`.
    unsafe { (*parameters.as_ptr()).sample_rate }
}

#[allow(unsafe_code)]
fn extradata(parameters: &Parameters) -> &[u8] {
    // SAFETY: the pointer is that of live codec parameters; `extradata` points to `extradata_size` bytes or is null, and
    // nobody writes to them while `parameters` is borrowed.
    unsafe {
        let known = &*parameters.as_ptr();
        match usize::try_from(known.extradata_size) {
            Ok(len) if len > 0 && !known.extradata.is_null() => std::slice::from_raw_parts(known.extradata, len),
            _ => &[],
        }
    }
}

/// The container says that this packet is decoded and not presented.
#[allow(unsafe_code)]
pub(super) fn is_discarded(packet: &Packet) -> bool {
    use ffmpeg_next::packet::Ref as _;
    // SAFETY: the pointer is that of the live packet; a plain integer is read, of which the safe API shows two bits.
    unsafe { (*packet.as_ptr()).flags & ffi::AV_PKT_FLAG_DISCARD != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opus_packet_tells_how_long_it_is() {
        // CELT 20 ms, one frame; SILK 60 ms; two frames of CELT 2.5 ms; hybrid 10 ms, three frames; nothing; too long.
        let samples = [&[0xfc][..], &[3 << 3], &[(16 << 3) | 1], &[(12 << 3) | 3, 3], &[], &[(3 << 3) | 3, 3]];
        assert_eq!(samples.map(opus_samples), [Some(960), Some(2880), Some(240), Some(1440), None, None]);
    }

    #[test]
    fn flac_tells_its_block_unless_blocks_differ() {
        assert_eq!(flac_samples(&[0x10, 0, 0x10, 0, 9]), Some(4096));
        assert_eq!(flac_samples(&[0x10, 0, 0x20, 0]), None);
        assert_eq!(flac_samples(&[0x10]), None);
    }
}
