//! The way of one stream of a file to its segmenter: copied, or decoded and encoded again.

use super::super::encode::{AAC_FRAME, AudioEncoder, VideoEncoder, VideoSettings, sample_format};
use super::super::error::During as _;
use super::super::{Error, synth};
use super::matrix::Matrix;
use super::track::{Segmenter, Settings};
use super::{Sink, TrackSummary};
use domain::segment::Track;
use ffmpeg_next::codec::{self, Parameters, decoder};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::mathematics::Rescale as _;
use ffmpeg_next::software::{resampling, scaling};
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{ChannelLayout, Packet, Rational, frame};
use std::collections::VecDeque;
use std::time::Duration;

/// What is known of a stream before its first packet.
pub(super) struct Stream {
    pub(super) parameters: Parameters,
    pub(super) time_base: Rational,
    pub(super) frame_rate: Rational,
    /// First presented moment on the shared clock, in `time_base`.
    pub(super) start: i64,
    pub(super) target: Duration,
    /// How its picture is to be shown.
    pub(super) matrix: Option<Matrix>,
}

/// A stream on its way.
pub(super) enum Lane {
    Copy(Box<Copy>),
    Picture(Box<Picture>),
    Sound(Box<Sound>),
}

impl Lane {
    /// Takes a packet of the file, already on the shared clock.
    pub(super) fn push(&mut self, packet: Packet, sink: &mut Sink) -> Result<(), Error> {
        match self {
            Lane::Copy(lane) => lane.push(packet, sink),
            Lane::Picture(lane) => lane.push(packet, sink),
            Lane::Sound(lane) => lane.push(packet, sink),
        }
    }

    /// A segment of the source begins at `at` on the shared clock, in the stream's time base; what is made of it gets its
    /// index. To be told before any packet of it is given.
    pub(super) fn begin_piece(&mut self, at: i64, index: u32) {
        match self {
            Lane::Copy(lane) => lane.segmenter.begin_piece(at, index),
            Lane::Picture(lane) => lane.begin_piece(at, index),
            Lane::Sound(lane) => lane.segmenter.begin_piece(at.rescale(lane.time_base, SOUND_BASE), index),
        }
    }

    pub(super) fn finish(self, sink: &mut Sink) -> Result<Option<TrackSummary>, Error> {
        match self {
            Lane::Copy(lane) => lane.segmenter.finish(sink),
            Lane::Picture(lane) => lane.finish(sink),
            Lane::Sound(lane) => lane.finish(sink),
        }
    }
}

/// Packets go through as they are.
pub(super) struct Copy {
    segmenter: Segmenter,
    begun: bool,
}

impl Copy {
    pub(super) fn open(track: Track, stream: Stream) -> Result<Copy, Error> {
        let rate = f64::from(stream.frame_rate).clamp(1.0, 1000.0);
        let nominal = match track {
            Track::Video => (f64::from(stream.time_base.invert()) / rate) as i64,
            Track::Audio => (AAC_FRAME as i64).rescale(Rational(1, synth::SAMPLE_RATE as i32), stream.time_base),
        };
        let Stream { parameters, time_base, start, target, matrix, .. } = stream;
        let segmenter = Segmenter::open(Settings { track, parameters, time_base, start, target, nominal, matrix })?;
        Ok(Copy { segmenter, begun: false })
    }

    fn push(&mut self, packet: Packet, sink: &mut Sink) -> Result<(), Error> {
        // What stands before the first sync sample cannot be decoded by anyone.
        self.begun |= packet.is_key();
        if self.begun { self.segmenter.push(packet, sink) } else { Ok(()) }
    }
}

/// A picture that is decoded and encoded as H.264.
pub(super) struct Picture {
    decoder: decoder::Video,
    scaler: Option<scaling::Context>,
    encoder: VideoEncoder,
    segmenter: Segmenter,
    time_base: Rational,
    target: i64,
    next_key: i64,
    /// Where segments of the source begin, which need key frames too.
    pieces: VecDeque<i64>,
    last: Option<frame::Video>,
}

/// A picture that does not change is repeated this often, once a second, in [`PICTURE_BASE`]: it bounds the length of a
/// segment, which can only end where a frame begins.
const REPEAT: i64 = synth::TIMESCALE as i64;

/// Units per second of a picture that is encoded again.
const PICTURE_BASE: Rational = Rational(1, synth::TIMESCALE as i32);

impl Picture {
    pub(super) fn open(stream: Stream) -> Result<Picture, Error> {
        let object = "the video stream";
        let mut decoder =
            codec::Context::from_parameters(stream.parameters).during("open decoder of", object)?.decoder();
        decoder.set_packet_time_base(stream.time_base);
        let decoder = decoder.video().during("open decoder of", object)?;
        let rate = f64::from(stream.frame_rate);
        let frame_rate = if (1.0..=240.0).contains(&rate) { stream.frame_rate } else { Rational(30, 1) };
        let encoder = VideoEncoder::open(&VideoSettings {
            width: decoder.width().max(2) & !1,
            height: decoder.height().max(2) & !1,
            time_base: PICTURE_BASE,
            frame_rate,
            // Key frames are forced by time; this only has to be longer than any segment.
            gop: 1200,
            b_frames: true,
        })?;
        let segmenter = Segmenter::open(Settings {
            track: Track::Video,
            parameters: encoder.parameters(),
            time_base: PICTURE_BASE,
            start: stream.start.rescale(stream.time_base, PICTURE_BASE),
            target: stream.target,
            nominal: (f64::from(synth::TIMESCALE) / f64::from(frame_rate)) as i64,
            matrix: stream.matrix,
        })?;
        let target = (stream.target.as_micros() as i64).rescale(Rational(1, 1_000_000), PICTURE_BASE);
        let time_base = stream.time_base;
        let (scaler, next_key, pieces, last) = (None, i64::MIN, VecDeque::new(), None);
        Ok(Picture { decoder, scaler, encoder, segmenter, time_base, target, next_key, pieces, last })
    }

    fn begin_piece(&mut self, at: i64, index: u32) {
        let at = at.rescale(self.time_base, PICTURE_BASE);
        self.pieces.push_back(at);
        self.segmenter.begin_piece(at, index);
    }

    fn push(&mut self, packet: Packet, sink: &mut Sink) -> Result<(), Error> {
        self.decoder.send_packet(&packet).during("decode", "the video stream")?;
        self.decode(sink)
    }

    fn decode(&mut self, sink: &mut Sink) -> Result<(), Error> {
        let mut frame = frame::Video::empty();
        while received(self.decoder.receive_frame(&mut frame), "the video stream")? {
            let Some(pts) = frame.timestamp() else { continue };
            let pts = pts.rescale(self.time_base, PICTURE_BASE);
            let last = self.last.as_ref().and_then(|last| last.pts());
            if pts < 0 || last.is_some_and(|last| pts <= last) {
                continue;
            }
            self.repeat_until(pts, sink)?;
            let converted = self.convert(&frame)?;
            self.encode(converted, pts, sink)?;
        }
        Ok(())
    }

    /// Shows the last frame again while nothing new comes.
    fn repeat_until(&mut self, pts: i64, sink: &mut Sink) -> Result<(), Error> {
        while let Some(last) = self.last.take() {
            let next = last.pts().unwrap_or(pts) + REPEAT;
            if next >= pts {
                self.last = Some(last);
                break;
            }
            self.encode(last, next, sink)?;
        }
        Ok(())
    }

    fn encode(&mut self, mut frame: frame::Video, pts: i64, sink: &mut Sink) -> Result<(), Error> {
        frame.set_pts(Some(pts));
        let begun = self.pieces.partition_point(|at| *at <= pts);
        let key = begun > 0 || pts >= self.next_key;
        self.pieces.drain(..begun);
        if key {
            self.next_key = (pts / self.target + 1) * self.target;
        }
        self.encoder.send(&mut frame, key)?;
        self.last = Some(frame);
        self.drain(sink)
    }

    /// To 4:2:0 with even sides; a picture that changes its size midway keeps the first one's.
    fn convert(&mut self, frame: &frame::Video) -> Result<frame::Video, Error> {
        let (width, height) = (self.decoder.width().max(2) & !1, self.decoder.height().max(2) & !1);
        let from = (frame.format(), frame.width(), frame.height());
        let same = |s: &scaling::Context| (s.input().format, s.input().width, s.input().height) == from;
        if !self.scaler.as_ref().is_some_and(same) {
            let (w, h) = self.scaler.as_ref().map_or((width, height), |s| (s.output().width, s.output().height));
            let flags = scaling::Flags::BILINEAR;
            let scaler = scaling::Context::get(from.0, from.1, from.2, Pixel::YUV420P, w, h, flags);
            self.scaler = Some(scaler.during("convert pictures of", "the video stream")?);
        }
        let scaler = self.scaler.as_mut().expect("the scaler was made above");
        let mut converted = frame::Video::new(Pixel::YUV420P, scaler.output().width, scaler.output().height);
        scaler.run(frame, &mut converted).during("convert pictures of", "the video stream")?;
        Ok(converted)
    }

    fn drain(&mut self, sink: &mut Sink) -> Result<(), Error> {
        while let Some(packet) = self.encoder.receive()? {
            self.segmenter.push(packet, sink)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, sink: &mut Sink) -> Result<Option<TrackSummary>, Error> {
        self.decoder.send_eof().during("finish decoding", "the video stream")?;
        self.decode(sink)?;
        if self.last.is_none() {
            return Ok(None);
        }
        self.encoder.end()?;
        self.drain(sink)?;
        self.segmenter.finish(sink)
    }
}

/// Sound that is decoded, resampled and encoded as AAC-LC at 48 kHz, in as many channels as it has, two at most.
pub(super) struct Sound {
    decoder: decoder::Audio,
    resampler: Option<resampling::Context>,
    layout: ChannelLayout,
    encoder: AudioEncoder,
    segmenter: Segmenter,
    time_base: Rational,
    /// Number of the first sample in `waiting` on the shared clock.
    position: i64,
    waiting: Vec<Vec<f32>>,
}

/// Sound and its timestamps may differ by this many samples, 100 ms, before silence is put in or samples are left out:
/// containers round timestamps, and each repair is heard.
const DRIFT_MAX: i64 = synth::SAMPLE_RATE as i64 / 10;

/// Time base of samples.
const SOUND_BASE: Rational = Rational(1, synth::SAMPLE_RATE as i32);

impl Sound {
    pub(super) fn open(stream: Stream) -> Result<Sound, Error> {
        let object = "the audio stream";
        let mut decoder =
            codec::Context::from_parameters(stream.parameters).during("open decoder of", object)?.decoder();
        decoder.set_packet_time_base(stream.time_base);
        let decoder = decoder.audio().during("open decoder of", object)?;
        let mono = decoder.channels() == 1;
        let layout = if mono { ChannelLayout::MONO } else { ChannelLayout::STEREO };
        let encoder = AudioEncoder::open(layout)?;
        let start = stream.start.rescale(stream.time_base, SOUND_BASE).max(0);
        let segmenter = Segmenter::open(Settings {
            track: Track::Audio,
            parameters: encoder.parameters(),
            time_base: SOUND_BASE,
            start,
            target: stream.target,
            nominal: AAC_FRAME as i64,
            matrix: None,
        })?;
        let waiting = vec![Vec::new(); if mono { 1 } else { 2 }];
        let time_base = stream.time_base;
        Ok(Sound { decoder, resampler: None, layout, encoder, segmenter, time_base, position: start, waiting })
    }

    fn push(&mut self, packet: Packet, sink: &mut Sink) -> Result<(), Error> {
        self.decoder.send_packet(&packet).during("decode", "the audio stream")?;
        self.decode(sink)
    }

    fn decode(&mut self, sink: &mut Sink) -> Result<(), Error> {
        let mut frame = frame::Audio::empty();
        while received(self.decoder.receive_frame(&mut frame), "the audio stream")? {
            if frame.channel_layout().is_empty() {
                frame.set_channel_layout(ChannelLayout::default(i32::from(self.decoder.channels())));
            }
            let resampled = self.resample(&frame)?;
            self.append(frame.timestamp().map(|pts| pts.rescale(self.time_base, SOUND_BASE)), &resampled);
            self.encode(AAC_FRAME, sink)?;
        }
        Ok(())
    }

    fn resample(&mut self, frame: &frame::Audio) -> Result<frame::Audio, Error> {
        let object = "the audio stream";
        if self.resampler.is_none() {
            let (format, layout, rate) = (frame.format(), frame.channel_layout(), frame.rate());
            let to = (sample_format(), self.layout, synth::SAMPLE_RATE);
            let resampler = resampling::Context::get(format, layout, rate, to.0, to.1, to.2);
            self.resampler = Some(resampler.during("resample", object)?);
        }
        let resampler = self.resampler.as_mut().expect("the resampler was made above");
        // Room for everything the resampler may have kept back, too: it reports how much it used.
        let rate = u64::from(frame.rate().max(1));
        let room = frame.samples() as u64 * u64::from(synth::SAMPLE_RATE) / rate + 1024;
        let mut resampled = frame::Audio::new(sample_format(), room as usize, self.layout);
        resampler.run(frame, &mut resampled).during("resample", object)?;
        Ok(resampled)
    }

    /// Puts samples behind those that wait, with silence before them where the source has a hole.
    fn append(&mut self, pts: Option<i64>, resampled: &frame::Audio) {
        let reached = self.position + self.waiting[0].len() as i64;
        let ahead = pts.map_or(0, |pts| pts - reached);
        let silence = if ahead > DRIFT_MAX { ahead as usize } else { 0 };
        let skip = if ahead < -DRIFT_MAX { ahead.unsigned_abs() as usize } else { 0 };
        for (plane, waiting) in self.waiting.iter_mut().enumerate() {
            waiting.resize(waiting.len() + silence, 0.0);
            waiting.extend(resampled.plane::<f32>(plane).iter().skip(skip));
        }
    }

    /// Encodes what waits, in packets of a whole frame, or with `least` 1 also the rest.
    fn encode(&mut self, least: usize, sink: &mut Sink) -> Result<(), Error> {
        while self.waiting[0].len() >= least {
            let count = self.waiting[0].len().min(AAC_FRAME);
            let channels: Vec<&[f32]> = self.waiting.iter().map(|channel| &channel[..count]).collect();
            self.encoder.send(self.position, &channels)?;
            for channel in &mut self.waiting {
                channel.drain(..count);
            }
            self.position += count as i64;
            self.drain(sink)?;
        }
        Ok(())
    }

    fn drain(&mut self, sink: &mut Sink) -> Result<(), Error> {
        while let Some(packet) = self.encoder.receive()? {
            self.segmenter.push(packet, sink)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, sink: &mut Sink) -> Result<Option<TrackSummary>, Error> {
        self.decoder.send_eof().during("finish decoding", "the audio stream")?;
        self.decode(sink)?;
        self.encode(1, sink)?;
        self.encoder.end()?;
        self.drain(sink)?;
        self.segmenter.finish(sink)
    }
}

/// Whether a decoder gave a frame; an error other than "more input" and "the end" is one.
fn received(answer: Result<(), ffmpeg_next::Error>, object: &str) -> Result<bool, Error> {
    match answer {
        Ok(()) => Ok(true),
        Err(ffmpeg_next::Error::Other { errno: EAGAIN } | ffmpeg_next::Error::Eof) => Ok(false),
        Err(error) => Err(error).during("decode", object),
    }
}
