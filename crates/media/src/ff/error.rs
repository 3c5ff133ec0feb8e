//! What can go wrong between us and FFmpeg's libraries.

use domain::segment::Track;
use thiserror::Error;

/// An FFmpeg error code with its text; the text is FFmpeg's own and never decides anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{code}")]
pub struct Failure {
    // Not the cause of this error but the whole of it: as a cause its text would stand twice in every chain.
    code: ffmpeg_next::Error,
}

impl From<ffmpeg_next::Error> for Failure {
    fn from(code: ffmpeg_next::Error) -> Failure {
        Failure { code }
    }
}

/// An operation of this room failed.
#[derive(Debug, Error)]
pub enum Error {
    /// FFmpeg refused an operation.
    #[error("{operation} {object}")]
    Ffmpeg {
        /// What was tried, a verb phrase.
        operation: &'static str,
        /// On what: a path, a track or a codec.
        object: String,
        /// FFmpeg's answer.
        #[source]
        source: Failure,
    },
    /// A file or pipe of ours failed.
    #[error("{operation} {object}")]
    Io {
        /// What was tried, a verb phrase.
        operation: &'static str,
        /// On what.
        object: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// No usable encoder is linked.
    #[error(
        "no {codec} encoder works in the linked FFmpeg (tried {tried}); install an FFmpeg built with {wanted}: \
         on Debian and Ubuntu `apt-get install libavcodec59` (or the libavcodec of your release), \
         on macOS `brew install ffmpeg`"
    )]
    NoEncoder {
        /// Wanted codec.
        codec: &'static str,
        /// Encoders that were tried.
        tried: String,
        /// The build option that brings a good one.
        wanted: &'static str,
        /// What the first of those that are linked answered.
        #[source]
        source: Option<Failure>,
    },
    /// The input has neither a picture nor sound that FFmpeg can read.
    #[error("{object} has neither a video nor an audio stream")]
    NoStream {
        /// The input.
        object: String,
    },
    /// MP4 has no place for a codec, and it may not be encoded again.
    #[error("the {track} track is {codec}, for which MP4 has no place")]
    NotInMp4 {
        /// Which track.
        track: Track,
        /// Codec as FFmpeg names it.
        codec: String,
    },
    /// Timestamps of the input cannot be put on one clock.
    #[error("{track} of {object} has {what} at packet {packet}")]
    Timestamps {
        /// Track name.
        track: &'static str,
        /// The input.
        object: String,
        /// What is wrong with it.
        what: &'static str,
        /// Packet number, from 0.
        packet: u64,
    },
    /// Decode times go back further than rounding does.
    #[error("the clock of the {track} track goes back{} at packet {packet}", of_segment(*segment))]
    TimesBack {
        /// Which track.
        track: Track,
        /// The segment of the input whose first packet has them; `None` where it has no segments.
        segment: Option<u32>,
        /// Packet number, from 0.
        packet: u64,
    },
    /// A decoder found damage.
    #[error("{track} of {object} is damaged at {at}")]
    Corrupt {
        /// Track name.
        track: &'static str,
        /// The input.
        object: String,
        /// Place: packet number and time.
        at: String,
        /// FFmpeg's answer, where it gave one.
        #[source]
        source: Option<Failure>,
    },
    /// Our own muxer's output is not what we rely on.
    #[error("fragment of the {track} track is not as expected: {what}")]
    Fragment {
        /// Track name.
        track: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A setting cannot be used.
    #[error("{what}")]
    Setting {
        /// What is wrong and what is allowed.
        what: String,
    },
    /// Whoever takes the segments wants no more.
    #[error("nobody takes the segments any more")]
    Abandoned,
}

fn of_segment(segment: Option<u32>) -> String {
    segment.map_or_else(String::new, |index| format!(" in segment {index}"))
}

impl Error {
    /// Whether the input does not exist.
    pub fn is_not_found(&self) -> bool {
        match self {
            Error::Ffmpeg { source, .. } => {
                source.code == ffmpeg_next::Error::Other { errno: ffmpeg_next::util::error::ENOENT }
            }
            Error::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            Error::NoEncoder { .. }
            | Error::NoStream { .. }
            | Error::NotInMp4 { .. }
            | Error::Timestamps { .. }
            | Error::TimesBack { .. }
            | Error::Corrupt { .. }
            | Error::Fragment { .. }
            | Error::Setting { .. }
            | Error::Abandoned => false,
        }
    }
}

impl Error {
    /// The library could not get the memory it wanted.
    pub fn is_out_of_memory(&self) -> bool {
        let (Error::Ffmpeg { source, .. } | Error::Corrupt { source: Some(source), .. }) = self else { return false };
        source.code == ffmpeg_next::Error::Other { errno: ffmpeg_next::util::error::ENOMEM }
    }
}

/// Names operation and object of an FFmpeg error.
pub(super) trait During<T> {
    fn during(self, operation: &'static str, object: impl ToString) -> Result<T, Error>;
}

impl<T> During<T> for Result<T, ffmpeg_next::Error> {
    fn during(self, operation: &'static str, object: impl ToString) -> Result<T, Error> {
        self.map_err(|source| Error::Ffmpeg { operation, object: object.to_string(), source: Failure { code: source } })
    }
}

impl<T> During<T> for Result<T, std::io::Error> {
    fn during(self, operation: &'static str, object: impl ToString) -> Result<T, Error> {
        self.map_err(|source| Error::Io { operation, object: object.to_string(), source })
    }
}
