//! The parent's side: starts a child, gives it the ranges it asks for, and hears how it ended.

use super::{COMMAND, Error, Program, Said, Work};
use crate::config;
use bytes::Bytes;
use domain::retry::{Classify, Fault};
use media::ff::ahead::WINDOW_BYTES_MAX;
use media::readback::{self, RangedReader};
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

/// Everything a child may say: a line for each range, a fact for each track, a line of text.
const SAID_BYTES_MAX: u64 = 1 << 20;

/// Ranges that one child may ask for: a few for each of two dozen samples, and the header of a day.
const READS_MAX: u32 = 1_000;

/// Why an object was not looked at: the child, or whoever gives its ranges. The difference is that of a damaged result
/// and a store that is away.
#[derive(Debug, Error)]
pub enum ObjectError<R: std::error::Error + 'static> {
    /// The child's.
    #[error(transparent)]
    Child(Error),
    /// A range could not be read.
    #[error(transparent)]
    Read(readback::Error<R>),
}

impl<R: std::error::Error + Classify + 'static> Classify for ObjectError<R> {
    fn fault(&self) -> Fault {
        match self {
            ObjectError::Child(source) => source.fault(),
            ObjectError::Read(source) => source.fault(),
        }
    }

    fn class(&self) -> &'static str {
        match self {
            ObjectError::Child(source) => source.class(),
            ObjectError::Read(source) => source.class(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            ObjectError::Child(source) => source.retry_after(),
            ObjectError::Read(source) => source.retry_after(),
        }
    }
}

/// No object: there is not a byte of it that could be asked for.
struct Nothing;

impl RangedReader for Nothing {
    type Error = Infallible;

    async fn read(&self, _: u64, _: u64) -> Result<Bytes, Infallible> {
        Ok(Bytes::new())
    }
}

/// Has work done that needs no object.
pub(super) async fn ask<T: DeserializeOwned>(program: &Program, work: &Work, bound: Duration) -> Result<T, Error> {
    about(program, work, &Nothing, 0, bound).await.map_err(|error| match error {
        ObjectError::Child(error) => error,
        ObjectError::Read(_) => unreachable!("nothing can be read of no object"),
    })
}

/// Has work done about an object of `size_bytes` bytes.
pub(super) async fn about<T: DeserializeOwned, R: RangedReader>(
    program: &Program,
    work: &Work,
    object: &R,
    size_bytes: u64,
    bound: Duration,
) -> Result<T, ObjectError<R::Error>> {
    // Dropped, and so killed, however this ends.
    let mut child = start(program).map_err(ObjectError::Child)?;
    talk(&mut child, work, object, size_bytes, Time::of(bound)).await
}

/// A child's time. What it waits for ranges is not counted: a store has timeouts of its own, and a slow one must not look
/// like a library that hangs.
struct Time {
    bound: Duration,
    end: Instant,
}

impl Time {
    fn of(bound: Duration) -> Time {
        Time { bound, end: Instant::now() + bound }
    }

    async fn spend<T, R: std::error::Error + 'static>(
        &self,
        what: impl Future<Output = T>,
    ) -> Result<T, ObjectError<R>> {
        let bound = self.bound;
        timeout_at(self.end, what).await.map_err(|_| ObjectError::Child(Error::TimedOut { bound }))
    }

    async fn stop<T>(&mut self, what: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let result = what.await;
        self.end += begun.elapsed();
        result
    }
}

fn start(program: &Program) -> Result<Child, Error> {
    Command::new(program.path())
        .arg(COMMAND)
        // Passwords and keys are in the environment; what decodes a stranger's bytes must not have them.
        .env_clear()
        .envs(config::library_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| Error::Start { operation: "start", source })
}

async fn talk<T: DeserializeOwned, R: RangedReader>(
    child: &mut Child,
    work: &Work,
    object: &R,
    size_bytes: u64,
    mut time: Time,
) -> Result<T, ObjectError<R::Error>> {
    let failed = |operation| move |source| ObjectError::Child(Error::Start { operation, source });
    let (mut give, said) = (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
    let mut said = BufReader::new(said.take(SAID_BYTES_MAX));
    let mut request = serde_json::to_vec(work).map_err(|error| ObjectError::Child(Error::Answer(error)))?;
    request.push(b'\n');
    // A child that has died meanwhile closes the pipe; its status tells more than that.
    let _ = time.spend(give.write_all(&request)).await?;
    for _ in 0..=READS_MAX {
        let mut line = Vec::new();
        time.spend(said.read_until(b'\n', &mut line)).await?.map_err(failed("read answer of"))?;
        if line.last() != Some(&b'\n') {
            let status = time.spend(child.wait()).await?.map_err(failed("wait for"))?;
            if !status.success() {
                let signal = status.signal().map(|signal| format!("signal {signal}"));
                let status = signal.unwrap_or_else(|| status.to_string());
                return Err(ObjectError::Child(Error::Died { status }));
            }
        }
        match serde_json::from_slice(&line).map_err(|error| ObjectError::Child(Error::Answer(error)))? {
            Said::Done(answer) => return Ok(answer),
            Said::Refused(why) => return Err(ObjectError::Child(Error::Refused { why })),
            Said::Read { at, len } => {
                let inside = at.checked_add(len).is_some_and(|end| end <= size_bytes);
                if !inside || len > WINDOW_BYTES_MAX {
                    return Err(refused(format!("it asked for {len} bytes at byte {at} of {size_bytes}")));
                }
                let range = time.stop(object.read(at, len)).await;
                let range = range.map_err(|source| ObjectError::Read(readback::Error::Read { at, len, source }))?;
                let _ = time.spend(give.write_all(&range)).await?;
            }
        }
    }
    Err(refused(format!("it asked for more than {READS_MAX} ranges")))
}

/// What it was given to read made it do what no sound file does.
fn refused<R: std::error::Error>(why: String) -> ObjectError<R> {
    ObjectError::Child(Error::Refused { why })
}
