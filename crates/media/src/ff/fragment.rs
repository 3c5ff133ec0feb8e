//! One track as fragmented MP4: libavformat's mp4 muxer behind a memory sink.
//!
//! Owns the muxer's settings. They are those of FFmpeg's own `dash` muxer, so that what we make has the same shape as
//! what foreign recorders make: `styp + sidx + moof + mdat`, edit list for AAC priming and B-frame delay in the
//! initialization section. It must not decide where a segment ends.

use super::error::During as _;
use super::sink::Sink;
use super::{Error, shift};
use domain::segment::Track;
use ffmpeg_next::codec::Parameters;
use ffmpeg_next::format::{self, context::Output, context::StreamIo};
use ffmpeg_next::{Codec, Dictionary, Packet, Rational};

/// Writer of one track.
pub(super) struct Fragmenter {
    track: Track,
    output: Output,
    sink: Sink,
    begun: bool,
    /// A fragment has ended, and the next packet begins another one.
    between: bool,
    time_base: Rational,
    /// Added to every decode time, in units of `time_base`; see [`shift`].
    offset: u64,
}

impl Fragmenter {
    /// Opens a muxer for a track with these codec parameters whose packets were stamped in `time_base`.
    pub(super) fn open(track: Track, mut parameters: Parameters, time_base: Rational) -> Result<Fragmenter, Error> {
        let name = track.as_str();
        if !has_own_tag(&parameters) {
            clear_codec_tag(&mut parameters);
        }
        let sink = Sink::default();
        let io = StreamIo::from_write(sink.clone()).during("open muxer of", name)?;
        let mut output = format::output_to_stream(io, None, Some("mp4")).during("open muxer of", name)?;
        let mut stream = output.add_stream(None::<Codec>).during("add stream", name)?;
        stream.set_parameters(parameters);
        stream.set_time_base(time_base);
        let mut options = Dictionary::new();
        options.set("movflags", "frag_custom+dash+delay_moov+default_base_moof+skip_trailer");
        // The default, 1000, would round edit lists to a millisecond.
        options.set("movie_timescale", "90000");
        options.set("write_tmcd", "0");
        // FLAC in MP4 has long been specified; the muxer still calls it an experiment.
        options.set("strict", "experimental");
        output.write_header_with(options).during("start muxer of", name)?;
        let time_base = output.stream(0).map_or(time_base, |stream| stream.time_base());
        Ok(Fragmenter { track, output, sink, begun: false, between: false, time_base, offset: 0 })
    }

    /// Units of the timestamps that [`Fragmenter::write`] takes; the muxer chooses them.
    pub(super) fn time_base(&self) -> Rational {
        self.time_base
    }

    /// Says where on the shared clock the track's time 0 is.
    pub(super) fn set_offset(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Adds a packet with timestamps and duration in [`Fragmenter::time_base`] to the open fragment.
    pub(super) fn write(&mut self, packet: &mut Packet) -> Result<(), Error> {
        if std::mem::take(&mut self.between) {
            trust_next_packet(&mut self.output).during("mux", self.track)?;
        }
        packet.set_stream(0);
        packet.set_position(-1);
        packet.write(&mut self.output).during("mux", self.track)?;
        Ok(())
    }

    /// Ends what is open and takes its bytes: after the first packet the initialization section, then each time the
    /// fragment with all packets since.
    pub(super) fn flush(&mut self) -> Result<Vec<u8>, Error> {
        flush_fragment(&mut self.output).during("flush", self.track)?;
        let mut bytes = self.sink.take();
        if bytes.is_empty() {
            return Err(Error::Fragment { track: self.track.as_str(), what: "the muxer wrote nothing" });
        }
        if !std::mem::replace(&mut self.begun, true) {
            return Ok(bytes);
        }
        if self.offset != 0 {
            shift::by(self.track, &mut bytes, self.offset)?;
        }
        bytes.splice(..0, STYP);
        self.between = true;
        Ok(bytes)
    }
}

/// Segment type box as FFmpeg's `dash` muxer writes it before each segment: brands msdh and msix (ISO/IEC 23009-1).
const STYP: [u8; 24] = *b"\0\0\0\x18stypmsdh\0\0\0\0msdhmsix";

/// Whether the sample entry's name says something that the codec alone does not: where the parameter sets are. Without its
/// tag hvc1 would become hev1.
#[allow(unsafe_code)]
fn has_own_tag(parameters: &Parameters) -> bool {
    // SAFETY: the pointer is that of live codec parameters; a plain integer is read, for which the safe API has no getter.
    let tag = unsafe { (*parameters.as_ptr()).codec_tag };
    matches!(&tag.to_le_bytes(), b"avc1" | b"avc3" | b"hvc1" | b"hev1")
}

/// The muxer picks the sample entry's name itself (avc1, mp4a): the tag of another container, for example of an
/// MPEG transport stream, is refused by it.
#[allow(unsafe_code)]
fn clear_codec_tag(parameters: &mut Parameters) {
    // SAFETY: the pointer is that of a live AVCodecParameters which `parameters` owns or keeps alive, and nobody else
    // reads it during this call; the safe API has no setter for this plain integer.
    unsafe { (*parameters.as_mut_ptr()).codec_tag = 0 };
}

/// Has the muxer take the times of the next packet as they are. Else it puts the first picture of a fragment to the end
/// of what was shown before it: wrong where that stood for longer than a frame and pictures are reordered.
#[allow(unsafe_code)]
fn trust_next_packet(output: &mut Output) -> Result<(), ffmpeg_next::Error> {
    // SAFETY: `output` owns a live AVFormatContext whose muxer was opened, so its private data is an object with options;
    // both strings end with a zero byte. This option is meant to be set between two packets.
    let code = unsafe {
        let muxer = (*output.as_mut_ptr()).priv_data;
        ffmpeg_next::ffi::av_opt_set(muxer, c"movflags".as_ptr(), c"+frag_discont".as_ptr(), 0)
    };
    if code < 0 { Err(ffmpeg_next::Error::from(code)) } else { Ok(()) }
}

#[allow(unsafe_code)]
fn flush_fragment(output: &mut Output) -> Result<(), ffmpeg_next::Error> {
    // SAFETY: `output` owns a live AVFormatContext whose header has been written. A null packet is the documented
    // request to flush a muxer (AVFMT_ALLOW_FLUSH); the safe `Packet::write` refuses an empty packet.
    let code = unsafe { ffmpeg_next::ffi::av_write_frame(output.as_mut_ptr(), std::ptr::null_mut()) };
    if code < 0 { Err(ffmpeg_next::Error::from(code)) } else { Ok(()) }
}
