//! Facts of a file as libavformat sees them: the second opinion beside our own box reader.

use super::Error;
use super::error::During as _;
use super::input::{Input, timescale};
use domain::segment::{Track, to_ms};
use ffmpeg_next::{codec, ffi, media};
use std::io::{Read, Seek};
use std::path::Path;

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Container as FFmpeg names it, for example `mov,mp4,m4a,3gp,3g2,mj2`.
    pub container: String,
    /// Length of the longest track.
    pub duration_ms: u64,
    /// The best stream of each kind, video first.
    pub tracks: Vec<TrackProbe>,
}

/// What a track holds.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackProbe {
    /// The track.
    pub track: Track,
    /// Codec as FFmpeg names it, for example `h264`.
    pub codec: String,
    /// Units per second of `start` and `duration`.
    pub timescale: u32,
    /// First presented moment.
    pub start: i64,
    /// Length; 0 when the container does not say.
    pub duration: i64,
    /// Picture width in pixels; 0 for sound.
    pub width: u32,
    /// Picture height in pixels; 0 for sound.
    pub height: u32,
    /// Frames per second on average; 0 for sound.
    pub fps: f64,
    /// Samples per second; 0 for a picture.
    pub sample_rate: u32,
    /// Channels; 0 for a picture.
    pub channels: u32,
}

/// Reads the facts of a file; decodes no more than libavformat needs to know the codec.
pub fn probe(path: &Path) -> Result<Probe, Error> {
    facts(Input::open(path)?)
}

/// [`probe`] of a reader, called `name` in errors.
pub fn probe_of(name: &str, reader: impl Read + Seek + Send + 'static) -> Result<Probe, Error> {
    facts(Input::from_read_seek(name, reader)?)
}

fn facts(input: Input) -> Result<Probe, Error> {
    let mut tracks = Vec::new();
    for track in Track::ALL {
        tracks.extend(track_facts(&input, track)?);
    }
    if tracks.is_empty() {
        return Err(Error::NoStream { object: input.name });
    }
    let duration_us = u64::try_from(input.context.duration()).unwrap_or(0);
    let container = input.context.format().name().to_owned();
    Ok(Probe { container, duration_ms: to_ms(duration_us, 1_000_000), tracks })
}

fn track_facts(input: &Input, track: Track) -> Result<Option<TrackProbe>, Error> {
    let kind = match track {
        Track::Video => media::Type::Video,
        Track::Audio => media::Type::Audio,
    };
    let Some(stream) = input.best(kind) else { return Ok(None) };
    let known = |time: i64| if time == ffi::AV_NOPTS_VALUE { 0 } else { time };
    let id = stream.parameters().id();
    let mut facts = TrackProbe {
        track,
        codec: id.name().to_owned(),
        timescale: timescale(stream.time_base()),
        start: known(stream.start_time()),
        duration: known(stream.duration()),
        width: 0,
        height: 0,
        fps: 0.0,
        sample_rate: 0,
        channels: 0,
    };
    let failed = "read codec parameters of";
    let decoder = codec::Context::from_parameters(stream.parameters()).during(failed, &input.name)?.decoder();
    match track {
        Track::Video => {
            let video = decoder.video().during(failed, &input.name)?;
            (facts.width, facts.height) = (video.width(), video.height());
            facts.fps = f64::from(stream.avg_frame_rate());
        }
        Track::Audio => {
            let audio = decoder.audio().during(failed, &input.name)?;
            (facts.sample_rate, facts.channels) = (audio.rate(), u32::from(audio.channels()));
        }
    }
    Ok(Some(facts))
}
