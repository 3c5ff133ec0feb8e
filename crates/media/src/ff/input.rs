//! Opening something to read, from a path or from a reader of ours.

use super::error::During as _;
use super::{Error, init};
use ffmpeg_next::ffi::AVDiscard;
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::format::{self, context};
use ffmpeg_next::{Dictionary, Packet, Rational, Stream, StreamMut, media};
use std::io::{Read, Seek};
use std::path::Path;

/// Containers that are one file of media. Left out above all are those that are lists of other files and addresses (HLS,
/// DASH, concat scripts): bytes of a stranger that happen to be one would make the process open what they name.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,avi,flv,ogg,wav,mp3,aac";

fn strict() -> Dictionary<'static> {
    let mut options = Dictionary::new();
    options.set("format_whitelist", FORMATS);
    options.set("protocol_whitelist", "file");
    options
}

/// An open input and what it is called in errors.
pub(super) struct Input {
    pub(super) context: context::Input,
    pub(super) name: String,
}

impl Input {
    /// Opens a file that somebody else may have made: only containers of [`FORMATS`].
    pub(super) fn open(path: &Path) -> Result<Input, Error> {
        Input::open_with(path, strict())
    }

    /// Opens a file of the person who named it, of any container.
    pub(super) fn open_any(path: &Path) -> Result<Input, Error> {
        let mut options = Dictionary::new();
        options.set("protocol_whitelist", "file");
        Input::open_with(path, options)
    }

    fn open_with(path: &Path, options: Dictionary) -> Result<Input, Error> {
        init();
        let name = path.display().to_string();
        // A path that is not UTF-8 would abort inside the binding; a protocol prefix would reach the network.
        let text = path.to_str().ok_or_else(|| Error::Setting { what: format!("path {name} is not UTF-8") })?;
        let context = format::input_with_dictionary(&format!("file:{text}"), options).during("open", &name)?;
        Ok(Input { context, name })
    }

    /// Reads a stream that cannot go back.
    pub(super) fn from_read(name: &str, reader: impl Read + Send + 'static) -> Result<Input, Error> {
        Input::from_io(name, context::StreamIo::from_read(reader))
    }

    /// Reads a stream that can go back.
    pub(super) fn from_read_seek(name: &str, reader: impl Read + Seek + Send + 'static) -> Result<Input, Error> {
        Input::from_io(name, context::StreamIo::from_read_seek(reader))
    }

    fn from_io(name: &str, io: Result<context::StreamIo, ffmpeg_next::Error>) -> Result<Input, Error> {
        init();
        let io = io.during("open", name)?;
        let context = format::input_from_stream(io, None, Some(strict())).during("open", name)?;
        Ok(Input { context, name: name.to_owned() })
    }

    /// Reads the next packet of any stream; `None` at the end. Every other failure is an error: a reader that took an
    /// I/O error for the end would make a short result and call it good.
    pub(super) fn read(&mut self) -> Result<Option<Packet>, Error> {
        let mut packet = Packet::empty();
        match packet.read(&mut self.context) {
            Ok(()) => Ok(Some(packet)),
            Err(ffmpeg_next::Error::Eof) => Ok(None),
            Err(error) => Err(error).during("read", &self.name),
        }
    }

    /// The best stream of a kind. The cover of a song is not a recording's picture.
    pub(super) fn best(&self, kind: media::Type) -> Option<Stream<'_>> {
        let cover = |stream: &Stream<'_>| stream.disposition().contains(Disposition::ATTACHED_PIC);
        self.context.streams().best(kind).filter(|stream| !cover(stream))
    }

    /// Leaves the packets of every other stream unread: where each range is a request, sound that nobody decodes costs as
    /// many as the picture.
    pub(super) fn read_only(&mut self, wanted: usize) {
        self.read_only_these(&[wanted]);
    }

    /// The same with several streams.
    pub(super) fn read_only_these(&mut self, wanted: &[usize]) {
        for mut stream in self.context.streams_mut() {
            let read = wanted.contains(&stream.index());
            let discard = if read { AVDiscard::AVDISCARD_DEFAULT } else { AVDiscard::AVDISCARD_ALL };
            set_discard(&mut stream, discard);
        }
    }

    /// Seeks to the key frame at or before a moment in microseconds.
    pub(super) fn seek(&mut self, moment_us: i64) -> Result<(), Error> {
        self.context.seek(moment_us, ..moment_us.saturating_add(1)).during("seek in", &self.name)
    }
}

#[allow(unsafe_code)]
fn set_discard(stream: &mut StreamMut<'_>, discard: AVDiscard) {
    // SAFETY: the pointer is that of a live AVStream of the context that `stream` borrows alone, and `discard` is a plain
    // field that the caller of a demuxer may set between two reads; the safe API has a getter only.
    unsafe { (*stream.as_mut_ptr()).discard = discard };
}

/// A time base as units per second, when it is that of a track: one over an integer.
pub(super) fn timescale(time_base: Rational) -> u32 {
    u32::try_from(time_base.denominator() / time_base.numerator().max(1)).unwrap_or(1)
}
