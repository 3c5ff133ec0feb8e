//! Drives the synthetic source: picture and sound are made, encoded and cut side by side on one clock.

use super::super::encode::{AAC_FRAME, AudioEncoder, VideoEncoder, VideoSettings};
use super::super::{Error, init, synth};
use super::track::{Segmenter, Settings};
use super::{Event, Options, Pacer, Sink, Summary};
use domain::segment::Track;
use ffmpeg_next::{ChannelLayout, Rational};
use std::ops::ControlFlow;
use std::time::Duration;

/// Makes the synthetic recording and hands out its segments. Without a limit it goes on until it is told to stop.
pub fn segment_synthetic(
    config: &synth::Config,
    options: &Options,
    mut sink: impl FnMut(Event) -> ControlFlow<()>,
) -> Result<Summary, Error> {
    init();
    config.check()?;
    options.check()?;
    let mut picture = PictureSide::open(config, options)?;
    let mut sound = if config.sound { Some(SoundSide::open(options)?) } else { None };
    let pacer = Pacer::new(options);
    let frames_max = options.limit.map(|limit| limit.as_nanos() * u128::from(config.fps) / 1_000_000_000);
    let mut n = 0;
    while frames_max.is_none_or(|max| u128::from(n) < max) && !options.stop.asked() {
        pacer.wait_for(Duration::from_nanos(n * 1_000_000_000 / u64::from(config.fps)));
        picture.frame(n, &mut sink)?;
        n += 1;
        if let Some(sound) = &mut sound {
            sound.fill_to(n * u64::from(synth::SAMPLE_RATE) / u64::from(config.fps), &mut sink)?;
        }
    }
    let mut tracks = Vec::from_iter(picture.finish(&mut sink)?);
    if let Some(sound) = sound {
        tracks.extend(sound.finish(&mut sink)?);
    }
    Ok(Summary { tracks })
}

struct PictureSide {
    picture: synth::Picture,
    encoder: VideoEncoder,
    segmenter: Segmenter,
    frame_ticks: i64,
    frames_per_segment: u64,
}

impl PictureSide {
    fn open(config: &synth::Config, options: &Options) -> Result<PictureSide, Error> {
        let time_base = Rational(1, synth::TIMESCALE as i32);
        let frames_per_segment = (options.target.as_millis() as u64 * u64::from(config.fps)).div_ceil(1000);
        let encoder = VideoEncoder::open(&VideoSettings {
            width: config.width,
            height: config.height,
            time_base,
            frame_rate: Rational(config.fps as i32, 1),
            gop: frames_per_segment as u32,
            b_frames: config.b_frames,
        })?;
        let segmenter = Segmenter::open(Settings {
            track: Track::Video,
            parameters: encoder.parameters(),
            time_base,
            start: 0,
            target: options.target,
            nominal: config.frame_ticks(),
            matrix: None,
        })?;
        let frame_ticks = config.frame_ticks();
        Ok(PictureSide { picture: synth::Picture::new(config), encoder, segmenter, frame_ticks, frames_per_segment })
    }

    fn frame(&mut self, n: u64, sink: &mut Sink) -> Result<(), Error> {
        let mut frame = self.picture.draw(n);
        frame.set_pts(Some(n as i64 * self.frame_ticks));
        self.encoder.send(&mut frame, n.is_multiple_of(self.frames_per_segment))?;
        self.drain(sink)
    }

    fn drain(&mut self, sink: &mut Sink) -> Result<(), Error> {
        while let Some(packet) = self.encoder.receive()? {
            self.segmenter.push(packet, sink)?;
        }
        Ok(())
    }

    fn finish(mut self, sink: &mut Sink) -> Result<Option<super::TrackSummary>, Error> {
        self.encoder.end()?;
        self.drain(sink)?;
        self.segmenter.finish(sink)
    }
}

struct SoundSide {
    encoder: AudioEncoder,
    segmenter: Segmenter,
    /// Samples that were encoded.
    done: u64,
    /// Samples that the picture's clock has reached.
    wanted: u64,
}

impl SoundSide {
    fn open(options: &Options) -> Result<SoundSide, Error> {
        let encoder = AudioEncoder::open(ChannelLayout::STEREO)?;
        let segmenter = Segmenter::open(Settings {
            track: Track::Audio,
            parameters: encoder.parameters(),
            time_base: Rational(1, synth::SAMPLE_RATE as i32),
            start: 0,
            target: options.target,
            nominal: AAC_FRAME as i64,
            matrix: None,
        })?;
        Ok(SoundSide { encoder, segmenter, done: 0, wanted: 0 })
    }

    fn fill_to(&mut self, wanted: u64, sink: &mut Sink) -> Result<(), Error> {
        self.wanted = wanted;
        while self.done + AAC_FRAME as u64 <= self.wanted {
            self.encode(AAC_FRAME, sink)?;
        }
        Ok(())
    }

    fn encode(&mut self, samples: usize, sink: &mut Sink) -> Result<(), Error> {
        let mut wave = vec![0.0; samples];
        synth::fill(self.done, &mut wave);
        self.encoder.send(self.done as i64, &[&wave, &wave])?;
        self.done += samples as u64;
        self.drain(sink)
    }

    fn drain(&mut self, sink: &mut Sink) -> Result<(), Error> {
        while let Some(packet) = self.encoder.receive()? {
            self.segmenter.push(packet, sink)?;
        }
        Ok(())
    }

    fn finish(mut self, sink: &mut Sink) -> Result<Option<super::TrackSummary>, Error> {
        let rest = (self.wanted - self.done) as usize;
        if rest > 0 {
            self.encode(rest, sink)?;
        }
        self.encoder.end()?;
        self.drain(sink)?;
        self.segmenter.finish(sink)
    }
}
