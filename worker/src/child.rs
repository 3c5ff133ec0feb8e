//! Work inside FFmpeg's libraries, in a child process of this very program with limits.
//!
//! A C library can hang, crash or eat the machine on a stranger's bytes; in a child that is an outcome and not an
//! accident. The parent says on standard input what to do, in JSON, and reads the answer from standard output.
//! The child is killed when its time is up, when the parent gives it up, and when the parent dies.

use domain::retry::{Classify, Fault};
use domain::segment::Track;
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// The hidden command of the program that runs [`serve`].
pub const COMMAND: &str = "child";

/// Address space of a child: FFmpeg's libraries and a thread for each decoder take about 300 MiB of it, a moov of a day of
/// recording 600 MiB.
const MEMORY_BYTES_MAX: u64 = 2 << 30;

/// Longest request: paths of two tracks of the longest recording.
const REQUEST_BYTES_MAX: u64 = 64 << 20;

/// Longest answer: a fact for each track and a line of text.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// What a child can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Copy the packets of each track, whose pieces are files, into one MP4 with its index first.
    Mux {
        /// Initialization section and segments of each track, in order.
        tracks: Vec<(Track, Vec<PathBuf>)>,
        /// The file to write.
        out: PathBuf,
    },
    /// Decode the first key frame of a file, some more at equal distances, and its end.
    DecodeSamples {
        /// The file.
        file: PathBuf,
        /// How many between beginning and end.
        samples: u32,
    },
}

/// What was muxed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Muxed {
    /// Length of the file.
    pub bytes: u64,
    /// The tracks in the order of the file.
    pub tracks: Vec<MuxedTrack>,
}

/// One track of it; times in units of `timescale` per second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MuxedTrack {
    /// The track.
    pub track: Track,
    /// Packets copied.
    pub packets: u64,
    /// Units per second.
    pub timescale: u32,
    /// First presented moment.
    pub start: i64,
    /// End of the last presented packet.
    pub end: i64,
}

/// What was decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoded {
    /// Packets read.
    pub packets: u64,
    /// Frames that came out.
    pub frames: u64,
}

/// Why a child did not do what it was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// It could not be started, or talked to.
    #[error("{operation} child process")]
    Start {
        /// What was tried.
        operation: &'static str,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// It ended without an answer: the library crashed, or a limit was reached.
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
            Error::Start { .. } | Error::Died { .. } | Error::TimedOut { .. } => Fault::Transient,
            Error::Refused { .. } | Error::Answer(_) => Fault::Permanent,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Error::Start { .. } | Error::Answer(_) => "child",
            Error::Died { .. } => "child-crash",
            Error::TimedOut { .. } => "child-timeout",
            Error::Refused { .. } => "libavformat",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer<T> {
    Done(T),
    Refused(String),
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

    /// Muxes through libavformat.
    ///
    /// # Errors
    /// See [`enum@Error`]; a file that was begun is gone.
    pub async fn mux(&self, tracks: Vec<(Track, Vec<PathBuf>)>, out: PathBuf, bound: Duration) -> Result<Muxed, Error> {
        let muxed = self.run(&Work::Mux { tracks, out: out.clone() }, bound).await;
        if muxed.is_err() {
            // A child that was killed could not remove what it had begun.
            let _ = tokio::fs::remove_file(&out).await;
        }
        muxed
    }

    /// Decodes samples of a file.
    ///
    /// # Errors
    /// See [`enum@Error`]; [`Error::Refused`] says what is damaged.
    pub async fn decode_samples(&self, file: PathBuf, samples: u32, bound: Duration) -> Result<Decoded, Error> {
        self.run(&Work::DecodeSamples { file, samples }, bound).await
    }

    async fn run<T: DeserializeOwned>(&self, work: &Work, bound: Duration) -> Result<T, Error> {
        let started = |operation| move |source| Error::Start { operation, source };
        let request = serde_json::to_vec(work).map_err(Error::Answer)?;
        let mut child = Command::new(&self.0)
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(started("start"))?;
        let (mut ask, answer) = (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
        let talk = async {
            // A child that has died meanwhile closes the pipe; its status tells more than that.
            let _ = ask.write_all(&request).await;
            drop(ask);
            let mut bytes = Vec::new();
            answer.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).await.map_err(started("read answer of"))?;
            let status = child.wait().await.map_err(started("wait for"))?;
            Ok((bytes, status))
        };
        let (bytes, status) = tokio::time::timeout(bound, talk).await.map_err(|_| Error::TimedOut { bound })??;
        if !status.success() {
            let signal = status.signal().map(|signal| format!("signal {signal}"));
            return Err(Error::Died { status: signal.unwrap_or_else(|| status.to_string()) });
        }
        match serde_json::from_slice(&bytes).map_err(Error::Answer)? {
            Answer::Done(answer) => Ok(answer),
            Answer::Refused(why) => Err(Error::Refused { why }),
        }
    }
}

/// The child's side: reads what to do, does it within limits, answers.
///
/// # Errors
/// The limits cannot be set, or the parent cannot be talked to.
pub fn serve() -> std::io::Result<()> {
    limit()?;
    let mut request = Vec::new();
    std::io::stdin().lock().take(REQUEST_BYTES_MAX).read_to_end(&mut request)?;
    let work: Work = serde_json::from_slice(&request)?;
    let answer = match work {
        Work::Mux { tracks, out } => encode(mux(tracks, &out)),
        Work::DecodeSamples { file, samples } => encode(decode(&file, samples)),
    }?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&answer)?;
    stdout.flush()
}

fn limit() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let most = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::As, most(MEMORY_BYTES_MAX))?;
    // Neither the bytes of a recording nor secrets of the environment belong into a core file.
    setrlimit(Resource::Core, most(0))?;
    Ok(())
}

fn encode<T: Serialize>(result: Result<T, media::ff::Error>) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&match result {
        Ok(answer) => Answer::Done(answer),
        Err(error) => Answer::Refused(chain(&error)),
    })
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn mux(tracks: Vec<(Track, Vec<PathBuf>)>, out: &Path) -> Result<Muxed, media::ff::Error> {
    use media::ff::oracle;
    let inputs = tracks.into_iter().map(|(track, paths)| oracle::TrackInput::files(track, paths)).collect();
    let report = oracle::mux(inputs, out)?;
    let track = |track: oracle::TrackReport| {
        let oracle::TrackReport { track, packets, timescale, start, end, .. } = track;
        MuxedTrack { track, packets, timescale, start, end }
    };
    Ok(Muxed { bytes: report.bytes, tracks: report.tracks.into_iter().map(track).collect() })
}

fn decode(file: &Path, samples: u32) -> Result<Decoded, media::ff::Error> {
    let decoded = media::ff::decode::check_samples(file, samples)?;
    Ok(Decoded { packets: decoded.packets, frames: decoded.frames })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(script: &str) -> (tempfile::TempDir, Program) {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (folder, Program::at(path))
    }

    async fn fate(script: &str, bound: Duration) -> Result<Decoded, Error> {
        let (_folder, program) = program(script);
        program.decode_samples("x.mp4".into(), 3, bound).await
    }

    #[tokio::test]
    async fn every_end_of_a_child_has_a_name() {
        let long = Duration::from_secs(30);
        let done = fate(r#"cat >/dev/null; echo '{"done": {"packets": 5, "frames": 4}}'"#, long).await.unwrap();
        assert_eq!(done, Decoded { packets: 5, frames: 4 });
        let class = |result: Result<Decoded, Error>| result.unwrap_err().class();
        assert_eq!(class(fate(r#"cat >/dev/null; echo '{"refused": "no"}'"#, long).await), "libavformat");
        assert_eq!(class(fate("kill -SEGV $$", long).await), "child-crash");
        assert_eq!(class(fate("exit 3", long).await), "child-crash");
        assert_eq!(class(fate("echo nonsense", long).await), "child");
        assert_eq!(class(fate("exec sleep 60", Duration::from_millis(100)).await), "child-timeout");
        let nowhere = Program::at("/nowhere/program".into());
        assert_eq!(class(nowhere.decode_samples("x".into(), 1, long).await), "child");
    }
}
