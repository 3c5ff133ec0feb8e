//! One track and its decoder.
//!
//! Owns what counts as damage: everything that FFmpeg reports, where a player would conceal it.

use super::Error;
use super::decode::{Decoded, Frame};
use super::error::Failure;
use super::input::{Input, timescale};
use super::synth::counter::read_counter;
use crate::sampling::Picture;
use domain::segment::Track;
use ffmpeg_next::codec::{self, decoder, discard::Discard};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::mathematics::Rescale as _;
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{Packet, Rational, frame, media};

/// Units of [`Lane::micros`].
const MICROS: Rational = Rational(1, 1_000_000);

/// One track and its decoder.
pub(super) struct Lane {
    pub(super) track: Track,
    pub(super) stream: usize,
    pub(super) time_base: Rational,
    decoder: decoder::Opened,
    /// Time of the packet that was sent last, for errors.
    pub(super) at: Option<i64>,
    pub(super) done: Decoded,
}

impl Lane {
    /// The best stream of a track, if there is one.
    pub(super) fn open(input: &Input, track: Track) -> Result<Option<Lane>, Error> {
        Lane::open_with(input, track, Discard::Default)
    }

    /// The same, for a look at what can be decoded: no pixel is shown, so they are not smoothed.
    pub(super) fn open_rough(input: &Input, track: Track) -> Result<Option<Lane>, Error> {
        Lane::open_with(input, track, Discard::All)
    }

    fn open_with(input: &Input, track: Track, unsmoothed: Discard) -> Result<Option<Lane>, Error> {
        let kind = match track {
            Track::Video => media::Type::Video,
            Track::Audio => media::Type::Audio,
        };
        let Some(stream) = input.best(kind) else { return Ok(None) };
        let failed = |source: ffmpeg_next::Error| Error::Ffmpeg {
            operation: "open decoder of",
            object: format!("{track} of {}", input.name),
            source: Failure::from(source),
        };
        let mut decoder = codec::Context::from_parameters(stream.parameters()).map_err(failed)?.decoder();
        decoder.set_packet_time_base(stream.time_base());
        // Without it a damaged slice is concealed and counts as decoded.
        decoder.check(decoder::Check::EXPLODE | decoder::Check::CRC);
        decoder.skip_loop_filter(unsmoothed);
        let id = decoder.id();
        let decoder = decoder.open_as(id).map_err(failed)?;
        let (stream, time_base) = (stream.index(), stream.time_base());
        Ok(Some(Lane { track, stream, time_base, decoder, at: None, done: Decoded::default() }))
    }

    pub(super) fn send(&mut self, object: &str, packet: &Packet) -> Result<(), Error> {
        self.at = packet.pts();
        self.done.packets += 1;
        if packet.is_corrupt() {
            return Err(self.corrupt(object, None));
        }
        self.decoder.send_packet(packet).map_err(|error| self.corrupt(object, Some(error)))
    }

    /// Says that no packet follows.
    pub(super) fn end(&mut self, object: &str) -> Result<(), Error> {
        self.decoder.send_eof().map_err(|error| self.corrupt(object, Some(error)))
    }

    /// The next decoded frame. Of a sound track only its flags may be looked at: the wrapper is that of a picture.
    pub(super) fn receive(&mut self, object: &str) -> Result<Option<frame::Video>, Error> {
        let mut frame = frame::Video::empty();
        match self.decoder.receive_frame(&mut frame) {
            Ok(()) if frame.is_corrupt() || frame.has_decode_errors() => Err(self.corrupt(object, None)),
            Ok(()) => {
                self.done.frames += 1;
                Ok(Some(frame))
            }
            Err(ffmpeg_next::Error::Other { errno: EAGAIN } | ffmpeg_next::Error::Eof) => Ok(None),
            Err(error) => Err(self.corrupt(object, Some(error))),
        }
    }

    pub(super) fn drain(&mut self, object: &str) -> Result<(), Error> {
        while self.receive(object)?.is_some() {}
        Ok(())
    }

    /// Forgets what it was given.
    pub(super) fn flush(&mut self) {
        self.decoder.flush();
    }

    pub(super) fn describe(&self, frame: &frame::Video) -> Frame {
        let (width, height) = (frame.width(), frame.height());
        // The counter lies in the luma plane, which comes first in every planar format an H.264 decoder gives.
        let luma = matches!(frame.format(), Pixel::YUV420P | Pixel::YUVJ420P | Pixel::YUV422P | Pixel::YUV444P);
        let counter = if luma { Some(frame.data(0)) } else { None };
        Frame {
            pts: frame.timestamp().unwrap_or(0),
            timescale: timescale(self.time_base),
            counter: counter.and_then(|luma| read_counter(luma, frame.stride(0), width as usize, height as usize)),
            width,
            height,
        }
    }

    /// The form of a picture.
    pub(super) fn picture(frame: &frame::Video) -> Picture {
        let format = frame.format().descriptor().map_or("unknown", |format| format.name());
        Picture { width: frame.width(), height: frame.height(), format: format.to_owned() }
    }

    /// A time of this track in microseconds.
    pub(super) fn micros(&self, time: i64) -> i64 {
        time.rescale(self.time_base, MICROS)
    }

    pub(super) fn corrupt(&self, object: &str, source: Option<ffmpeg_next::Error>) -> Error {
        let time = self.at.map_or_else(
            || "an unknown time".to_owned(),
            |pts| format!("{:.3} s", pts as f64 * f64::from(self.time_base)),
        );
        Error::Corrupt {
            track: self.track.as_str(),
            object: object.to_owned(),
            at: format!("packet {} ({time})", self.done.packets.saturating_sub(1)),
            source: source.map(Failure::from),
        }
    }
}
