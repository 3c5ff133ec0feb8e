//! Packets of a file with their hashes: to say that a result holds every packet of its source, once and in order.

use super::Error;
use super::input::{Input, timescale};
use domain::id::Sha256;
use domain::segment::Track;
use ffmpeg_next::media;
use std::io::Read;
use std::path::Path;

/// One packet; times in units of the track's timescale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketDigest {
    /// When it is presented.
    pub pts: i64,
    /// When it is decoded.
    pub dts: i64,
    /// How long it lasts; 0 when the container does not say.
    pub duration: i64,
    /// A sync sample.
    pub key: bool,
    /// Length of its payload.
    pub size_bytes: u64,
    /// Digest of its payload.
    pub sha256: Sha256,
}

/// All packets of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackDigest {
    /// Units per second of the times.
    pub timescale: u32,
    /// The packets in the order of the file.
    pub packets: Vec<PacketDigest>,
}

/// Reads a file's track. `None`: it has none of that kind.
pub fn packet_digest(path: &Path, track: Track) -> Result<Option<TrackDigest>, Error> {
    digest(Input::open(path)?, track)
}

/// [`packet_digest`] of a stream, for example of an initialization section and its segments one after the other.
pub fn packet_digest_of(
    name: &str,
    reader: impl Read + Send + 'static,
    track: Track,
) -> Result<Option<TrackDigest>, Error> {
    digest(Input::from_read(name, reader)?, track)
}

fn digest(mut input: Input, track: Track) -> Result<Option<TrackDigest>, Error> {
    let kind = match track {
        Track::Video => media::Type::Video,
        Track::Audio => media::Type::Audio,
    };
    let Some(stream) = input.best(kind) else { return Ok(None) };
    let (stream, timescale) = (stream.index(), timescale(stream.time_base()));
    let mut packets = Vec::new();
    while let Some(packet) = input.read()? {
        if packet.stream() != stream {
            continue;
        }
        let (Some(pts), Some(dts)) = (packet.pts(), packet.dts()) else {
            let (track, packet) = (track.as_str(), packets.len() as u64);
            return Err(Error::Timestamps { track, object: input.name, what: "no timestamp", packet });
        };
        let payload = packet.data().unwrap_or_default();
        packets.push(PacketDigest {
            pts,
            dts,
            duration: packet.duration(),
            key: packet.is_key(),
            size_bytes: payload.len() as u64,
            sha256: Sha256::of(payload),
        });
    }
    Ok(Some(TrackDigest { timescale, packets }))
}
