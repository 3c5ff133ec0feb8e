//! Encoders: H.264 for the picture, AAC-LC for the sound.
//!
//! Owns which encoder is taken and how it is set; knows neither segments nor files.

use super::error::{During as _, Failure};
use super::{Error, synth};
use ffmpeg_next::codec::{self, Parameters, encoder};
use ffmpeg_next::format::{Pixel, Sample, sample};
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{ChannelLayout, Dictionary, Packet, Rational, frame, picture};

/// Encoders of H.264 in order of preference. Hardware ones are left out: they open on machines where they then fail.
const H264: [&str; 3] = ["libx264", "libopenh264", "h264_videotoolbox"];

/// Samples of one AAC-LC packet.
pub(super) const AAC_FRAME: usize = 1024;

/// What the picture encoder is told.
pub(super) struct VideoSettings {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) time_base: Rational,
    pub(super) frame_rate: Rational,
    /// Longest distance between key frames, in frames.
    pub(super) gop: u32,
    pub(super) b_frames: bool,
}

/// An open picture encoder.
pub(super) struct VideoEncoder(encoder::Video);

impl VideoEncoder {
    /// Opens the first encoder that works.
    pub(super) fn open(settings: &VideoSettings) -> Result<VideoEncoder, Error> {
        VideoEncoder::open_first(&H264, settings)
    }

    fn open_first(names: &[&str], settings: &VideoSettings) -> Result<VideoEncoder, Error> {
        let mut refused = None;
        for codec in names.iter().filter_map(|name| encoder::find_by_name(name)) {
            match open_h264(codec, settings) {
                Ok(encoder) => return Ok(VideoEncoder(encoder)),
                Err(error) => refused = refused.or(Some(Failure::from(error))),
            }
        }
        Err(Error::NoEncoder { codec: "H.264", tried: names.join(", "), wanted: "libx264", source: refused })
    }

    pub(super) fn parameters(&self) -> Parameters {
        Parameters::from(&self.0)
    }

    /// Encodes one frame; `key` forces a key frame.
    pub(super) fn send(&mut self, frame: &mut frame::Video, key: bool) -> Result<(), Error> {
        frame.set_kind(if key { picture::Type::I } else { picture::Type::None });
        self.0.send_frame(frame).during("encode", "the video track")
    }

    /// Says that no frame follows.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        self.0.send_eof().during("finish encoding", "the video track")
    }

    /// The next finished packet; `None` until more frames were sent, or at the end.
    pub(super) fn receive(&mut self) -> Result<Option<Packet>, Error> {
        let mut packet = Packet::empty();
        let answer = self.0.receive_packet(&mut packet);
        finished(answer, packet, "the video track")
    }
}

fn open_h264(codec: ffmpeg_next::Codec, settings: &VideoSettings) -> Result<encoder::Video, ffmpeg_next::Error> {
    let name = codec.name().to_owned();
    let mut video = codec::Context::new_with_codec(codec).encoder().video()?;
    video.set_width(settings.width);
    video.set_height(settings.height);
    video.set_format(Pixel::YUV420P);
    video.set_time_base(settings.time_base);
    video.set_frame_rate(Some(settings.frame_rate));
    video.set_gop(settings.gop);
    video.set_max_b_frames(if settings.b_frames { 2 } else { 0 });
    // Parameter sets go into the initialization section, and no frame may refer across a segment's start.
    video.set_flags(codec::Flags::GLOBAL_HEADER | codec::Flags::CLOSED_GOP);
    let mut options = Dictionary::new();
    if name == "libx264" {
        options.set("preset", "veryfast");
        options.set("crf", "23");
        options.set("forced-idr", "1");
        // A key frame at a scene cut would start a segment of its own; a long lookahead would delay a live one.
        options.set("x264-params", "scenecut=0:open-gop=0:rc-lookahead=12");
        options.set("threads", "2");
    } else {
        // Encoders without constant quality: 0.1 bit per pixel, about 2 Mbit/s for 720p30.
        let pixels = u64::from(settings.width) * u64::from(settings.height);
        let rate = f64::from(settings.frame_rate).clamp(1.0, 120.0) as u64;
        video.set_bit_rate((pixels * rate / 10) as usize);
    }
    video.open_with(options)
}

/// An open sound encoder, 48 kHz.
pub(super) struct AudioEncoder {
    encoder: encoder::Audio,
    layout: ChannelLayout,
}

impl AudioEncoder {
    /// Opens AAC-LC for one or two channels.
    pub(super) fn open(layout: ChannelLayout) -> Result<AudioEncoder, Error> {
        let codec = encoder::find_by_name("aac").ok_or_else(|| Error::NoEncoder {
            codec: "AAC",
            tried: "aac".to_owned(),
            wanted: "its native AAC encoder",
            source: None,
        })?;
        let encoder = open_aac(codec, layout).during("open encoder", "aac")?;
        Ok(AudioEncoder { encoder, layout })
    }

    pub(super) fn parameters(&self) -> Parameters {
        Parameters::from(&self.encoder)
    }

    /// Encodes up to [`AAC_FRAME`] samples, each channel in a slice of its own, the first one having number `pts`.
    /// Only the last call may bring fewer.
    pub(super) fn send(&mut self, pts: i64, channels: &[&[f32]]) -> Result<(), Error> {
        let samples = channels.first().map_or(0, |channel| channel.len());
        let mut frame = frame::Audio::new(sample_format(), samples, self.layout);
        frame.set_rate(synth::SAMPLE_RATE);
        frame.set_pts(Some(pts));
        for (plane, channel) in channels.iter().enumerate() {
            frame.plane_mut::<f32>(plane).copy_from_slice(channel);
        }
        self.encoder.send_frame(&frame).during("encode", "the audio track")
    }

    /// Says that no samples follow.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        self.encoder.send_eof().during("finish encoding", "the audio track")
    }

    /// The next finished packet; `None` until more samples were sent, or at the end.
    pub(super) fn receive(&mut self) -> Result<Option<Packet>, Error> {
        let mut packet = Packet::empty();
        let answer = self.encoder.receive_packet(&mut packet);
        finished(answer, packet, "the audio track")
    }
}

/// The only sample format of FFmpeg's AAC encoder.
pub(super) fn sample_format() -> Sample {
    Sample::F32(sample::Type::Planar)
}

fn open_aac(codec: ffmpeg_next::Codec, layout: ChannelLayout) -> Result<encoder::Audio, ffmpeg_next::Error> {
    let mut audio = codec::Context::new_with_codec(codec).encoder().audio()?;
    audio.set_rate(synth::SAMPLE_RATE as i32);
    audio.set_format(sample_format());
    audio.set_channel_layout(layout);
    audio.set_time_base(Rational(1, synth::SAMPLE_RATE as i32));
    audio.set_bit_rate(128_000);
    audio.set_flags(codec::Flags::GLOBAL_HEADER);
    audio.open_with(Dictionary::new())
}

fn finished(answer: Result<(), ffmpeg_next::Error>, packet: Packet, object: &str) -> Result<Option<Packet>, Error> {
    match answer {
        Ok(()) => Ok(Some(packet)),
        Err(ffmpeg_next::Error::Other { errno: EAGAIN } | ffmpeg_next::Error::Eof) => Ok(None),
        Err(error) => Err(error).during("encode", object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_encoder_is_named_with_its_cure() {
        super::super::init();
        let (time_base, frame_rate) = (Rational(1, 90_000), Rational(30, 1));
        let settings = VideoSettings { width: 320, height: 180, time_base, frame_rate, gop: 60, b_frames: true };
        let Err(error) = VideoEncoder::open_first(&["no-such-encoder"], &settings) else { panic!("it opened") };
        let text = error.to_string();
        assert!(text.contains("tried no-such-encoder") && text.contains("apt-get install"), "{text}");
        assert!(VideoEncoder::open_first(&["no-such-encoder", "libx264"], &settings).is_ok());
        // An encoder that is there and refuses its settings says so.
        let wrong = VideoSettings { width: 0, ..settings };
        let Err(Error::NoEncoder { source, .. }) = VideoEncoder::open(&wrong) else { panic!("it opened") };
        assert!(source.is_some());
    }
}
