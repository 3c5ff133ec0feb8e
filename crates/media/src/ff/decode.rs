//! Decode checks: whether what is stored can be shown.
//!
//! Owns what counts as damage: everything that FFmpeg reports, where a player would conceal it. Works on a path or on
//! a reader; on bytes of strangers only in a child process.

use super::Error;
use super::error::Failure;
use super::input::{Input, timescale};
use super::synth::counter::read_counter;
use domain::segment::Track;
use ffmpeg_next::codec::{self, decoder};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{Packet, Rational, frame, media};
use std::io::{Read, Seek};
use std::path::Path;

/// What was decoded of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decoded {
    /// Packets read.
    pub packets: u64,
    /// Frames that came out.
    pub frames: u64,
}

/// What was decoded of an input; a track that is not there is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Check {
    /// The picture.
    pub video: Option<Decoded>,
    /// The sound.
    pub audio: Option<Decoded>,
}

/// Decodes everything; any damage is an error.
pub fn check_all(path: &Path) -> Result<Check, Error> {
    decode_all(Input::open(path)?)
}

/// [`check_all`] of a stream that cannot go back, called `name` in errors.
pub fn check_all_of(name: &str, reader: impl Read + Send + 'static) -> Result<Check, Error> {
    decode_all(Input::from_read(name, reader)?)
}

/// Decodes the first key frame, `samples` more at equal distances, and the end of the file from its last key frame on.
/// A file without a picture is checked at the same places by its sound.
pub fn check_samples(path: &Path, samples: u32) -> Result<Decoded, Error> {
    decode_samples(Input::open(path)?, samples)
}

/// [`check_samples`] of a reader, called `name` in errors.
pub fn check_samples_of(name: &str, reader: impl Read + Seek + Send + 'static, samples: u32) -> Result<Decoded, Error> {
    decode_samples(Input::from_read_seek(name, reader)?, samples)
}

/// Every frame of the picture in the order of presentation.
pub fn frames(path: &Path) -> Result<Frames, Error> {
    let input = Input::open(path)?;
    let lane = Lane::open(&input, Track::Video)?.ok_or_else(|| Error::NoStream { object: input.name.clone() })?;
    Ok(Frames { input, lane, ended: false })
}

/// One decoded frame of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// When it is shown, in units of `timescale` per second.
    pub pts: i64,
    /// See `pts`.
    pub timescale: u32,
    /// The counter that the synthetic source drew into it; `None` where it cannot be read.
    pub counter: Option<u32>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Decodes frame by frame; ends after the first error.
pub struct Frames {
    input: Input,
    lane: Lane,
    ended: bool,
}

impl Frames {
    fn advance(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if let Some(frame) = self.lane.receive(&self.input.name)? {
                return Ok(Some(self.lane.describe(&frame)));
            }
            if self.ended {
                return Ok(None);
            }
            match self.input.read()? {
                Some(packet) if packet.stream() == self.lane.stream => self.lane.send(&self.input.name, &packet)?,
                Some(_) => {}
                None => {
                    self.ended = true;
                    self.lane.end(&self.input.name)?;
                }
            }
        }
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.ended = true;
        }
        next.transpose()
    }
}

fn decode_all(mut input: Input) -> Result<Check, Error> {
    let mut lanes = Vec::new();
    for track in Track::ALL {
        lanes.extend(Lane::open(&input, track)?);
    }
    if lanes.is_empty() {
        return Err(Error::NoStream { object: input.name });
    }
    while let Some(packet) = input.read()? {
        if let Some(lane) = lanes.iter_mut().find(|lane| lane.stream == packet.stream()) {
            lane.send(&input.name, &packet)?;
            lane.drain(&input.name)?;
        }
    }
    let mut check = Check::default();
    for mut lane in lanes {
        lane.end(&input.name)?;
        lane.drain(&input.name)?;
        match lane.track {
            Track::Video => check.video = Some(lane.done),
            Track::Audio => check.audio = Some(lane.done),
        }
    }
    Ok(check)
}

/// Packets of sound decoded at each place of a file without a picture: one alone gives no sample yet.
const SOUND_PACKETS: u32 = 8;

fn decode_samples(mut input: Input, samples: u32) -> Result<Decoded, Error> {
    let picture = Lane::open(&input, Track::Video)?;
    let lane = if picture.is_some() { picture } else { Lane::open(&input, Track::Audio)? };
    let Some(mut lane) = lane else { return Err(Error::NoStream { object: input.name }) };
    input.read_only(lane.stream);
    let duration_us = input.context.duration().max(0);
    let mut last_position = None;
    for sample in 0..=samples {
        let moment = duration_us / i64::from(samples + 1) * i64::from(sample);
        input.seek(moment)?;
        lane.sample(&mut input, &mut last_position)?;
    }
    input.seek(duration_us)?;
    let before = lane.done.frames;
    while let Some(packet) = input.read()? {
        if packet.stream() == lane.stream {
            lane.send(&input.name, &packet)?;
            lane.drain(&input.name)?;
        }
    }
    lane.end(&input.name)?;
    lane.drain(&input.name)?;
    if lane.done.frames == before {
        return Err(lane.corrupt(&input.name, None));
    }
    Ok(lane.done)
}

/// One track and its decoder.
struct Lane {
    track: Track,
    stream: usize,
    time_base: Rational,
    decoder: decoder::Opened,
    /// Time of the packet that was sent last, for errors.
    at: Option<i64>,
    done: Decoded,
}

impl Lane {
    fn open(input: &Input, track: Track) -> Result<Option<Lane>, Error> {
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
        let id = decoder.id();
        let decoder = decoder.open_as(id).map_err(failed)?;
        let (stream, time_base) = (stream.index(), stream.time_base());
        Ok(Some(Lane { track, stream, time_base, decoder, at: None, done: Decoded::default() }))
    }

    fn send(&mut self, object: &str, packet: &Packet) -> Result<(), Error> {
        self.at = packet.pts();
        self.done.packets += 1;
        if packet.is_corrupt() {
            return Err(self.corrupt(object, None));
        }
        self.decoder.send_packet(packet).map_err(|error| self.corrupt(object, Some(error)))
    }

    /// Says that no packet follows.
    fn end(&mut self, object: &str) -> Result<(), Error> {
        self.decoder.send_eof().map_err(|error| self.corrupt(object, Some(error)))
    }

    /// The next decoded frame. Of a sound track only its flags may be looked at: the wrapper is that of a picture.
    fn receive(&mut self, object: &str) -> Result<Option<frame::Video>, Error> {
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

    fn drain(&mut self, object: &str) -> Result<(), Error> {
        while self.receive(object)?.is_some() {}
        Ok(())
    }

    /// Decodes one key frame, or a few packets of sound, from where the input stands.
    fn sample(&mut self, input: &mut Input, last_position: &mut Option<i64>) -> Result<(), Error> {
        let before = self.done.frames;
        let wanted = if self.track == Track::Video { 1 } else { SOUND_PACKETS };
        let mut sent = 0;
        while sent < wanted {
            let Some(packet) = input.read()? else { break };
            // A seek ends at a sync sample by the file's index. Its key flag is not asked: the demuxer takes it from the
            // payload, and a damaged picture would be skipped here.
            if packet.stream() != self.stream {
                continue;
            }
            if sent == 0 && last_position.replace(packet.position() as i64) == Some(packet.position() as i64) {
                return Ok(());
            }
            self.send(&input.name, &packet)?;
            self.drain(&input.name)?;
            sent += 1;
        }
        self.end(&input.name)?;
        self.drain(&input.name)?;
        self.decoder.flush();
        if self.done.frames == before {
            return Err(self.corrupt(&input.name, None));
        }
        Ok(())
    }

    fn describe(&self, frame: &frame::Video) -> Frame {
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

    fn corrupt(&self, object: &str, source: Option<ffmpeg_next::Error>) -> Error {
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
