//! How one track is made: its source, its encoder, and what must be said of it afterwards.

use domain::segment::CodecFacts;

/// One track of a set. `input` and `encode` are FFmpeg's own words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane {
    /// A source of libavfilter.
    pub(crate) input: &'static str,
    /// Encoder and its options.
    pub(crate) encode: &'static str,
    /// RFC 6381 codec string of what comes out.
    pub(crate) codec: &'static str,
    /// Width and height, or channels and samples per second.
    pub(crate) format: (u32, u32),
}

const PICTURE: &str = "testsrc2=size=160x90:rate=30";

const fn picture(codec: &'static str, encode: &'static str) -> Lane {
    Lane { input: PICTURE, encode, codec, format: (160, 90) }
}

/// High profile with B-frames, a sync sample every two seconds.
pub(crate) const H264: Lane =
    picture("avc1.64000b", "-c:v libx264 -preset veryfast -g 60 -sc_threshold 0 -bf 2 -pix_fmt yuv420p -threads:v 1");

/// Baseline: no frame is reordered.
pub(crate) const BASELINE: Lane = picture(
    "avc1.42c00b",
    "-c:v libx264 -preset veryfast -profile:v baseline -g 60 -sc_threshold 0 -pix_fmt yuv420p -threads:v 1",
);

/// HEVC whose parameter sets are in the sample description.
pub(crate) const HVC1: Lane = picture(
    "hvc1.1.6.L30.90",
    "-c:v libx265 -preset ultrafast \
     -x265-params log-level=error:keyint=60:min-keyint=60:scenecut=0:no-open-gop=1:pools=1 \
     -tag:v hvc1 -pix_fmt yuv420p",
);

/// HEVC whose parameter sets are also in every key frame, as live encoders send it.
pub(crate) const HEV1: Lane = picture(
    "hev1.1.6.L30.90",
    "-c:v libx265 -preset ultrafast \
     -x265-params log-level=error:keyint=60:min-keyint=60:scenecut=0:no-open-gop=1:pools=1:repeat-headers=1 \
     -tag:v hev1 -pix_fmt yuv420p",
);

/// HEVC in which pictures before a key frame refer behind it, so that a segment's first picture is not shown first.
pub(crate) const OPEN_GOP: Lane = picture(
    "hvc1.1.6.L30.90",
    "-c:v libx265 -preset ultrafast -x265-params log-level=error:keyint=60:min-keyint=60:scenecut=0:pools=1 \
     -tag:v hvc1 -pix_fmt yuv420p",
);

/// A screen that stands still for more than a second, twice, over the end of a segment; no frame is reordered, and every
/// packet says how long it lasts, as recorders of screens do.
pub(crate) const STATIC: Lane = Lane {
    input: STATIC_PICTURE,
    encode: "-c:v libx264 -preset veryfast -g 600 -sc_threshold 0 -bf 0 -pix_fmt yuv420p -threads:v 1 -fps_mode vfr \
             -force_key_frames expr:gte(t,n_forced*2) \
             -bsf:v setts=pts=PTS:dts=DTS:duration=if(gt(NEXT_DTS\\,DTS)\\,NEXT_DTS-DTS\\,1)",
    ..H264
};

/// The same with frames that are reordered, and lengths that FFmpeg's muxers must guess.
pub(crate) const STATIC_REORDERED: Lane = Lane {
    input: STATIC_PICTURE,
    encode: "-c:v libx264 -preset veryfast -g 600 -sc_threshold 0 -bf 2 -pix_fmt yuv420p -threads:v 1 -fps_mode vfr \
             -force_key_frames expr:gte(t,n_forced*2)",
    ..H264
};

const STATIC_PICTURE: &str = "testsrc2=size=160x90:rate=30,select='lt(t,0.7)+between(t,2.1,2.6)+gte(t,4.03)'";

/// AV1.
pub(crate) const AV1: Lane =
    picture("av01.0.00M.08", "-c:v libsvtav1 -preset 12 -g 60 -pix_fmt yuv420p -svtav1-params lp=1");

/// VP9 with frames that are never shown.
pub(crate) const VP9: Lane = picture(
    "vp09.00.10.08",
    "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 60 -lag-in-frames 8 -auto-alt-ref 1 -pix_fmt yuv420p",
);

const SOUND: &str = "sine=frequency=440:beep_factor=4:sample_rate=48000";
const SOUND_CD: &str = "sine=frequency=440:beep_factor=4:sample_rate=44100";

/// AAC-LC, two channels.
pub(crate) const AAC: Lane =
    Lane { input: SOUND, encode: "-c:a aac -b:a 96k -ac 2", codec: "mp4a.40.2", format: (2, 48_000) };

/// AAC-LC of a microphone: one channel at the rate of a CD, whose packets end nowhere near a segment's end.
pub(crate) const AAC_MONO: Lane =
    Lane { input: SOUND_CD, encode: "-c:a aac -b:a 64k -ac 1", codec: "mp4a.40.2", format: (1, 44_100) };

/// AAC-LC at a rate that the 16.16 field of a sample entry cannot hold.
pub(crate) const AAC_HIGH: Lane = Lane {
    input: "sine=frequency=440:beep_factor=4:sample_rate=96000",
    encode: "-c:a aac -b:a 128k -ac 2",
    codec: "mp4a.40.2",
    format: (2, 96_000),
};

/// Opus, two channels.
pub(crate) const OPUS: Lane =
    Lane { input: SOUND, encode: "-c:a libopus -b:a 64k -ac 2", codec: "opus", format: (2, 48_000) };

/// FLAC, two channels.
pub(crate) const FLAC: Lane = Lane { input: SOUND, encode: "-c:a flac -ac 2", codec: "flac", format: (2, 48_000) };

impl Lane {
    /// What our own reader must say of it.
    pub(crate) fn assert_facts(&self, facts: &CodecFacts) {
        assert_eq!(facts.codec, self.codec);
        let picture = facts.channels == 0;
        let format = match picture {
            true if facts.rotation % 180 == 90 => (facts.height, facts.width),
            true => (facts.width, facts.height),
            false => (facts.channels, facts.sample_rate),
        };
        assert_eq!(format, self.format, "{facts:?}");
    }
}
