//! The child's side: reads what to do, does it within limits, answers.

use super::{Limit, Said, Sizes, Work, limits, recast};
use media::ff::ahead::Ahead;
use media::ff::pictures::{self, Pictures};
use media::ff::{Error, full, look};
use serde::Serialize;
use std::io::{BufRead as _, Read as _, Write as _, stdin, stdout};
use std::time::{Duration, Instant};

/// Longest request: paths of two tracks of the longest recording.
const REQUEST_BYTES_MAX: u64 = 64 << 20;

/// Time between two words about how far it is.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// Does what the parent asks for on standard input.
///
/// # Errors
/// The limits cannot be set, or the parent cannot be talked to.
pub fn serve() -> std::io::Result<()> {
    limits::set_general()?;
    let mut request = Vec::new();
    stdin().lock().take(REQUEST_BYTES_MAX).read_until(b'\n', &mut request)?;
    let work = serde_json::from_slice(&request)?;
    limits::set_for(&work)?;
    match work {
        Work::Recast { objects, transcode } => recast::work(objects, transcode),
        Work::Look { size_bytes, places } => {
            let object = Ahead::new(size_bytes, fetch);
            end(look::look_of("the result", object, &places))
        }
        Work::DecodeAll { size_bytes } => {
            let object = Ahead::new(size_bytes, fetch);
            let mut told = Instant::now();
            end(full::decode_of("the result", object, |at_us| {
                if told.elapsed() >= TELL_EVERY {
                    told = Instant::now();
                    // A parent that hears nothing any more has gone, and takes this process with it.
                    let _ = say(&Said::<()>::At(at_us));
                }
            }))
        }
        Work::Pictures { size_bytes, bounds } => {
            let object = Ahead::new(size_bytes, fetch);
            match pictures::of_reader("the result", object, &bounds) {
                Ok(Some(made)) => end(Ok(Some(give(&made)?))),
                Ok(None) => end(Ok(None::<Sizes>)),
                Err(error) => end(Err::<Option<Sizes>, _>(error)),
            }
        }
    }
}

/// Asks the parent for a range of the object. A parent that cannot give it gives this process up.
fn fetch(at: u64, len: u64) -> std::io::Result<Vec<u8>> {
    say(&Said::<()>::Read { at, len })?;
    hear(len)
}

/// The range that was asked for.
pub(super) fn hear(len: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len).map_err(std::io::Error::other)?];
    // An end of the pipe must not look like the end of the object.
    stdin().lock().read_exact(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes)
}

fn end<T: Serialize>(result: Result<T, Error>) -> std::io::Result<()> {
    say(&match result {
        Ok(answer) => Said::Done(answer),
        Err(error) if error.is_out_of_memory() => Said::Limited(Limit::Memory),
        Err(error) => Said::Refused(chain(&error)),
    })
}

/// Gives the parent what was made.
fn give(made: &Pictures) -> std::io::Result<Sizes> {
    for picture in [&made.poster, &made.preview] {
        say(&Said::<()>::Give { len: picture.bytes.len() as u64 })?;
        let mut stdout = stdout().lock();
        stdout.write_all(&picture.bytes)?;
        stdout.flush()?;
    }
    let size = |picture: &pictures::Picture| (picture.width, picture.height);
    Ok(Sizes { poster: size(&made.poster), preview: size(&made.preview) })
}

pub(super) fn say(said: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    let mut stdout = stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
