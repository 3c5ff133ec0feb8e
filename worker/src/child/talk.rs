//! The parent's side: starts a child, gives it the ranges it asks for, and hears how it ended.

use super::{COMMAND, Error, Limit, Program, Said, Work};
use crate::config;
use bytes::Bytes;
use domain::retry::{Classify, Fault};
use media::ff::ahead::WINDOW_BYTES_MAX;
use media::readback::{self, RangedReader};
use serde::de::DeserializeOwned;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

/// Everything a child may say in words: a line for each range, a fact for each track, a line of text.
const WORDS_BYTES_MAX: u64 = 1 << 20;

/// Everything a child may give: a poster of a megabyte and a preview of as much as the settings let it have.
const GIVEN_BYTES_MAX: u64 = 16 << 20;

/// Things it may give.
const GIVEN_MAX: usize = 2;

/// Lines of a child: the header of a day takes a dozen ranges, each place of a result a few.
const LINES_MAX: u64 = 1_000;

/// Lines for each place: the way to it, and a segment of 50 Mbit/s in windows that grow.
const LINES_A_PLACE: u64 = 16;

/// Bytes of an object that one child may ask for: the header of a day, a few megabytes for each of two dozen pictures,
/// and all behind the last key frame. What asks for more is lost in something that has no end.
const READ_BYTES_MAX: u64 = 256 << 20;

/// Bytes more for each place: a segment of 50 Mbit/s and the windows it is read in.
const READ_BYTES_A_PLACE: u64 = 16 << 20;

/// What a child may say and ask for.
struct Bounds {
    words_bytes: u64,
    lines: u64,
    read_bytes: u64,
}

impl Bounds {
    fn of(work: &Work) -> Bounds {
        let few = Bounds { words_bytes: WORDS_BYTES_MAX, lines: LINES_MAX, read_bytes: READ_BYTES_MAX };
        match work {
            Work::Look { places, .. } => {
                let places = places.len() as u64;
                let read_bytes = READ_BYTES_MAX + READ_BYTES_A_PLACE * places;
                Bounds { lines: LINES_MAX + LINES_A_PLACE * places, read_bytes, ..few }
            }
            // Every byte, some of them again where picture and sound lie far apart, and five words a second for a day.
            Work::DecodeAll { size_bytes } => Bounds {
                words_bytes: 64 << 20,
                lines: 1 << 20,
                read_bytes: READ_BYTES_MAX + size_bytes.saturating_mul(4),
            },
            // It has a conversation of its own.
            Work::Recast { .. } | Work::Pictures { .. } => few,
        }
    }
}

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

/// Has work done about an object of `size_bytes` bytes.
pub(super) async fn about<T: DeserializeOwned, R: RangedReader>(
    program: &Program,
    work: &Work,
    object: &R,
    size_bytes: u64,
    bound: Duration,
) -> Result<T, ObjectError<R::Error>> {
    making(program, work, object, size_bytes, bound).await.map(|(answer, _)| answer)
}

/// The same of work that makes something.
pub(super) async fn making<T: DeserializeOwned, R: RangedReader>(
    program: &Program,
    work: &Work,
    object: &R,
    size_bytes: u64,
    bound: Duration,
) -> Result<(T, Vec<Bytes>), ObjectError<R::Error>> {
    // Dropped, and so killed, however this ends.
    let mut child = start(program).map_err(ObjectError::Child)?;
    // With what it holds of a store's read it would make every future around it large.
    Box::pin(talk(&mut child, work, object, size_bytes, Time::of(bound), &|_| {})).await
}

/// The same of work that tells how far it is, in microseconds of the object.
pub(super) async fn following<T: DeserializeOwned, R: RangedReader>(
    program: &Program,
    work: &Work,
    object: &R,
    size_bytes: u64,
    bound: Duration,
    progress: &(dyn Fn(i64) + Sync),
) -> Result<T, ObjectError<R::Error>> {
    let mut child = start(program).map_err(ObjectError::Child)?;
    let answer = Box::pin(talk(&mut child, work, object, size_bytes, Time::of(bound), progress)).await;
    answer.map(|(answer, _)| answer)
}

/// A child's time. What it waits for ranges is not counted: a store has timeouts of its own, and a slow one must not look
/// like a library that hangs.
pub(super) struct Time {
    bound: Duration,
    end: Instant,
}

impl Time {
    pub(super) fn of(bound: Duration) -> Time {
        Time { bound, end: Instant::now() + bound }
    }

    async fn spend<T, R: std::error::Error + 'static>(
        &self,
        what: impl Future<Output = T>,
    ) -> Result<T, ObjectError<R>> {
        self.within(what).await.map_err(ObjectError::Child)
    }

    /// The same for whoever has other errors beside the child's.
    pub(super) async fn within<T>(&self, what: impl Future<Output = T>) -> Result<T, Error> {
        timeout_at(self.end, what).await.map_err(|_| Error::TimedOut { bound: self.bound })
    }

    pub(super) async fn stop<T>(&mut self, what: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let result = what.await;
        self.end += begun.elapsed();
        result
    }
}

pub(super) fn start(program: &Program) -> Result<Child, Error> {
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
    progress: &(dyn Fn(i64) + Sync),
) -> Result<(T, Vec<Bytes>), ObjectError<R::Error>> {
    let bounds = Bounds::of(work);
    let failed = |operation| move |source| ObjectError::Child(Error::Start { operation, source });
    let (mut stdin, said) = (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
    let mut said = BufReader::new(said.take(bounds.words_bytes + GIVEN_BYTES_MAX));
    let mut request = serde_json::to_vec(work).map_err(|error| ObjectError::Child(Error::Answer(error)))?;
    request.push(b'\n');
    // A child that has died meanwhile closes the pipe; its status tells more than that.
    let _ = time.spend(stdin.write_all(&request)).await?;
    let (mut given, mut read_bytes, mut given_bytes) = (Vec::new(), 0, 0);
    for _ in 0..=bounds.lines {
        let mut line = Vec::new();
        time.spend(said.read_until(b'\n', &mut line)).await?.map_err(failed("read answer of"))?;
        if line.last() != Some(&b'\n') {
            died(child, &time).await?;
        }
        match serde_json::from_slice(&line).map_err(|error| ObjectError::Child(Error::Answer(error)))? {
            Said::Done(answer) => return Ok((answer, given)),
            Said::Refused(why) => return Err(ObjectError::Child(Error::Refused { why })),
            Said::Limited(limit) => return Err(ObjectError::Child(Error::Limited { limit })),
            Said::At(at_us) => progress(at_us),
            Said::Read { at, len } => {
                let inside = at.checked_add(len).is_some_and(|end| end <= size_bytes);
                if !inside || len > WINDOW_BYTES_MAX {
                    return Err(refused(format!("it asked for {len} bytes at byte {at} of {size_bytes}")));
                }
                read_bytes += len;
                if read_bytes > bounds.read_bytes {
                    return Err(refused(format!("it asked for more than {} bytes", bounds.read_bytes)));
                }
                let range = time.stop(object.read(at, len)).await;
                let range = range.map_err(|source| ObjectError::Read(readback::Error::Read { at, len, source }))?;
                let _ = time.spend(stdin.write_all(&range)).await?;
            }
            Said::Give { len } => {
                given_bytes = len.saturating_add(given_bytes);
                if given_bytes > GIVEN_BYTES_MAX || given.len() == GIVEN_MAX {
                    return Err(refused(format!("it gave more than {GIVEN_MAX} things or {GIVEN_BYTES_MAX} bytes")));
                }
                let mut bytes = Vec::new();
                let taken = time.spend((&mut said).take(len).read_to_end(&mut bytes)).await?;
                taken.map_err(failed("read what was made by"))?;
                if bytes.len() as u64 != len {
                    died(child, &time).await?;
                    return Err(refused(format!("it gave {} bytes instead of {len}", bytes.len())));
                }
                given.push(Bytes::from(bytes));
            }
        }
    }
    Err(refused(format!("it said more than {} lines", bounds.lines)))
}

/// What a child died of whose last word breaks off. One that ended well has said nonsense, which is read on.
async fn died<R: std::error::Error + 'static>(child: &mut Child, time: &Time) -> Result<(), ObjectError<R>> {
    death(child, time).await.map_err(ObjectError::Child)
}

/// The same for whoever has other errors beside the child's.
pub(super) async fn death(child: &mut Child, time: &Time) -> Result<(), Error> {
    let status = time.within(child.wait()).await?;
    let status = status.map_err(|source| Error::Start { operation: "wait for", source })?;
    if status.success() {
        return Ok(());
    }
    if let Some(limit) = status.signal().and_then(Limit::of_signal) {
        return Err(Error::Limited { limit });
    }
    let signal = status.signal().map(|signal| format!("signal {signal}"));
    Err(Error::Died { status: signal.unwrap_or_else(|| status.to_string()) })
}

/// What it was given to read made it do what no sound file does.
fn refused<R: std::error::Error>(why: String) -> ObjectError<R> {
    ObjectError::Child(Error::Refused { why })
}
