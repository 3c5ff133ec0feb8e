//! Work inside FFmpeg's libraries, in a child process of this very program with limits.
//!
//! A C library can hang, crash or eat the machine on a stranger's bytes; in a child that is an outcome and not an
//! accident. The parent says on standard input what to do, in one line of JSON, and reads lines from standard output:
//! the answer, and before it the ranges of an object that the child wants to see, which it gives as plain bytes. What the
//! child has made comes the same way back. So a child knows neither the store nor any secret: it inherits no environment
//! either, and writes no file.
//! The child is killed when its time is up, when the parent gives it up, and when the parent dies.

mod limits;
mod recast;
mod serve;
mod talk;

pub use limits::Limit;
pub use recast::{Allowed, Odd, Pieces, RecastError, RecastTrack};
pub use serve::serve;
pub use talk::ObjectError;

use bytes::Bytes;
use domain::retry::{Classify, Fault};
use media::ff::full::Full;
use media::ff::pictures::Bounds;
use media::readback::RangedReader;
use media::sampling::{Place, Seen};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use thiserror::Error;

/// The hidden command of the program that runs [`serve`].
pub const COMMAND: &str = "child";

/// What a child can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Take objects apart whose ranges the parent gives, and make segments of them.
    Recast {
        /// The objects.
        objects: Vec<Odd>,
        /// Codecs that MP4 cannot hold are encoded again.
        transcode: bool,
    },
    /// Decode places of an object whose ranges the parent gives.
    Look {
        /// Its length.
        size_bytes: u64,
        /// Which places, in order.
        places: Vec<Place>,
    },
    /// Decode all of an object whose ranges the parent gives.
    DecodeAll {
        /// Its length.
        size_bytes: u64,
    },
    /// Make poster and animated preview of an object whose ranges the parent gives.
    Pictures {
        /// Its length.
        size_bytes: u64,
        /// How large they may be.
        bounds: Bounds,
    },
}

/// Poster and animated preview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pictures {
    /// JPEG.
    pub poster: Picture,
    /// GIF.
    pub preview: Picture,
}

/// An encoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The file.
    pub bytes: Bytes,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Width and height of poster and preview, whose bytes were given before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Sizes {
    poster: (u32, u32),
    preview: (u32, u32),
}

/// Why a child did not do what it was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// Nobody said which program has the hidden command.
    #[error("no program for child processes is known; run Spool by its own binary, or name one with child::introduce")]
    Unknown,
    /// It could not be started, or talked to.
    #[error("{operation} child process")]
    Start {
        /// What was tried.
        operation: &'static str,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// It wanted more than a child may have.
    #[error("child process reached its limit of {limit}")]
    Limited {
        /// Of what.
        limit: Limit,
    },
    /// It ended without an answer: the library crashed, or somebody killed it.
    #[error("child process ended with {status}")]
    Died {
        /// How, for a person.
        status: String,
    },
    /// It was killed because its time was up.
    #[error("child process took longer than {} s", bound.as_secs())]
    TimedOut {
        /// Its time.
        bound: Duration,
    },
    /// The library refused the input; the text is for a person.
    #[error("{why}")]
    Refused {
        /// What the library said.
        why: String,
    },
    /// It answered something that is no answer.
    #[error("answer of the child process cannot be read")]
    Answer(#[source] serde_json::Error),
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            // A crash may be the machine's; the engine's crash cap convicts what crashes every time.
            Error::Start { .. } | Error::Died { .. } | Error::Limited { .. } | Error::TimedOut { .. } => {
                Fault::Transient
            }
            Error::Refused { .. } | Error::Answer(_) => Fault::Permanent,
            // Another worker has one.
            Error::Unknown => Fault::NotYet,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Error::Unknown | Error::Start { .. } | Error::Answer(_) => "child",
            Error::Died { .. } => "child-crash",
            Error::Limited { .. } => "child-limit",
            Error::TimedOut { .. } => "child-timeout",
            Error::Refused { .. } => "libavformat",
        }
    }
}

impl Error {
    /// The child came to an end that it did not choose: what it was given may be what kills children.
    pub fn is_death(&self) -> bool {
        match self {
            Error::Died { .. } | Error::Limited { .. } | Error::TimedOut { .. } => true,
            Error::Unknown | Error::Start { .. } | Error::Refused { .. } | Error::Answer(_) => false,
        }
    }
}

/// What a child says, a line each: any number of reads, how far it is, what it has made, then how it ended. Behind a line that gives
/// bytes they follow.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said<T> {
    Read {
        at: u64,
        len: u64,
    },
    /// How far it is, in microseconds of the object.
    At(i64),
    Give {
        len: u64,
    },
    Done(T),
    Refused(String),
    Limited(Limit),
}

static PROGRAM: OnceLock<Program> = OnceLock::new();

/// Says once, at start, which program has the hidden command: only whoever was started can know. Said again, the first
/// word stands.
pub fn introduce(program: Program) {
    let _ = PROGRAM.set(program);
}

/// The program that was introduced.
///
/// # Errors
/// [`Error::Unknown`] when none was.
pub fn program() -> Result<&'static Program, Error> {
    PROGRAM.get().ok_or(Error::Unknown)
}

/// A program that has the hidden command [`COMMAND`].
#[derive(Debug, Clone)]
pub struct Program(PathBuf);

impl Program {
    /// This very program: on Linux the file that is running even when another version has taken its name meanwhile, so
    /// that parent and child speak the same language.
    ///
    /// # Errors
    /// The system does not tell where it lies.
    pub fn this() -> Result<Program, Error> {
        let running = Path::new("/proc/self/exe");
        if running.exists() {
            return Ok(Program(running.to_owned()));
        }
        let path = std::env::current_exe().map_err(|source| Error::Start { operation: "find program of", source })?;
        Ok(Program(path))
    }

    /// What to start.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Another one; for tests, whose own program has no commands.
    pub fn at(path: PathBuf) -> Program {
        Program(path)
    }

    /// Decodes places of an object of `size_bytes` bytes, whose ranges `reader` gives: a few for each place.
    ///
    /// # Errors
    /// See [`ObjectError`]: what the reader says is told apart from what the child finds. Damage is no error.
    pub async fn look<R: RangedReader>(
        &self,
        reader: &R,
        size_bytes: u64,
        places: Vec<Place>,
        bound: Duration,
    ) -> Result<Vec<Seen>, ObjectError<R::Error>> {
        talk::about(self, &Work::Look { size_bytes, places }, reader, size_bytes, bound).await
    }

    /// Decodes all of an object of `size_bytes` bytes, whose ranges `reader` gives; `progress` hears the time that is
    /// being decoded, in microseconds.
    ///
    /// # Errors
    /// See [`ObjectError`]. Damage is no error.
    pub async fn decode_all<R: RangedReader>(
        &self,
        reader: &R,
        size_bytes: u64,
        bound: Duration,
        progress: impl Fn(i64) + Sync,
    ) -> Result<Vec<Full>, ObjectError<R::Error>> {
        talk::following(self, &Work::DecodeAll { size_bytes }, reader, size_bytes, bound, &progress).await
    }

    /// Makes poster and animated preview of an object of `size_bytes` bytes, whose ranges `reader` gives; `None` when it
    /// has sound only.
    ///
    /// # Errors
    /// See [`ObjectError`].
    pub async fn pictures<R: RangedReader>(
        &self,
        reader: &R,
        size_bytes: u64,
        bounds: Bounds,
        bound: Duration,
    ) -> Result<Option<Pictures>, ObjectError<R::Error>> {
        let work = Work::Pictures { size_bytes, bounds };
        let (sizes, given): (Option<Sizes>, _) = talk::making(self, &work, reader, size_bytes, bound).await?;
        let Some(sizes) = sizes else { return Ok(None) };
        let [poster, preview] = given.try_into().map_err(|given: Vec<Bytes>| {
            let why = format!("it gave {} pictures instead of 2", given.len());
            ObjectError::Child(Error::Refused { why })
        })?;
        let picture = |bytes, (width, height)| Picture { bytes, width, height };
        Ok(Some(Pictures { poster: picture(poster, sizes.poster), preview: picture(preview, sizes.preview) }))
    }
}

#[cfg(test)]
mod tests;
