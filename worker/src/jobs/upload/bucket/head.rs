//! Reads what is inside an object that another uploader wrote: an initialization section whole, of a segment the heads of
//! its boxes alone.

use super::{Inits, gone};
use crate::accept::{Refusal, content_of};
use crate::context::Context;
use crate::db::bucket::{Found as Inside, Object};
use crate::db::recordings::Recording;
use crate::storage::{self, Store};
use domain::bucket::Found;
use domain::id::Sha256;
use domain::key::Keys;
use domain::retry::Classify as _;
use domain::segment::{Name, Track};
use media::defect::Defect;
use media::init::INIT_BYTES_MAX;
use media::walk::{Accepted, Limits, Walker};
use queue::JobError;
use std::collections::BTreeSet;

/// First read of a segment. The fragment head of two seconds at sixty frames a second has 2.5 kB, and the boxes before it
/// some hundred bytes.
const FIRST_BYTES: u64 = 4 << 10;

/// Longest read. Each further read of an object is four times as long as the one before, so that one of many small
/// fragments costs a bounded number of requests.
const READ_MAX_BYTES: u64 = 1 << 20;

/// Reads an initialization section. `None` when it is no longer the one that was listed.
pub(super) async fn init(cx: &Context, recording: &Recording, found: Found) -> Result<Option<Object>, JobError> {
    let key = Keys::new(&recording.owner, &recording.id).segment(found.track, Name::Init);
    // One that is too large is refused by what is read of it.
    let size_bytes = found.size_bytes.min(INIT_BYTES_MAX + 1);
    let bytes = match cx.store.get_range(&key, 0..size_bytes).await {
        Ok(bytes) => bytes,
        Err(error) if is_another(&error) => {
            gone(&recording.id, &found);
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let mut walker = Walker::init(found.track, limits(cx));
    let walked = walker.push(&bytes).and_then(|()| walker.finish());
    if let Ok(Accepted::Init(init)) = &walked {
        cx.inits.put(&recording.id, found.track, (**init).clone());
    }
    Ok(Some(object(found, walked, Some(Sha256::of(&bytes)))))
}

/// The initialization sections that are needed to read `media`; none of a track whose section cannot be used. Each is
/// read once by a process, because a stored one never changes.
pub(super) async fn inits(cx: &Context, recording: &Recording, media: &[Found]) -> Result<Inits, JobError> {
    let mut inits = Inits::new();
    for track in media.iter().map(|found| found.track).collect::<BTreeSet<Track>>() {
        match cx.inits.get(cx, recording, track).await {
            Ok(init) => drop(inits.insert(track, init)),
            Err(Refusal::Database(error)) => return Err(error.into()),
            Err(Refusal::Storage(error)) => return Err(error.into()),
            Err(Refusal::Staging(error)) => return Err(error.into()),
            // There is none, or none that can be used: the verdict will say so.
            Err(error) => {
                tracing::debug!(recording.id = %recording.id, segment.track = %track, error = %error, "segments cannot be read yet");
            }
        }
    }
    Ok(inits)
}

/// Reads the heads of a segment. `None` when it is no longer the one that was listed.
pub(super) async fn media(
    cx: &Context,
    recording: &Recording,
    inits: &Inits,
    found: Found,
) -> Result<Option<Object>, JobError> {
    let Some(init) = inits.get(&found.track) else { return Ok(None) };
    let key = Keys::new(&recording.owner, &recording.id).segment(found.track, found.name);
    match walk(&cx.store, &key, found.size_bytes, Walker::media(init, limits(cx))).await {
        Ok(walked) => Ok(Some(object(found, walked, None))),
        Err(error) if is_another(&error) => {
            gone(&recording.id, &found);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Walks an object of `size_bytes` and reads only what the walk has to see.
async fn walk(
    store: &Store,
    key: &str,
    size_bytes: u64,
    mut walker: Walker,
) -> Result<Result<Accepted, Defect>, storage::Error> {
    let mut read_bytes = FIRST_BYTES;
    while walker.position() < size_bytes {
        let (at, left) = (walker.position(), size_bytes - walker.position());
        let skip = walker.skippable_bytes().min(left);
        if skip > 0 {
            walker.skip(skip);
            continue;
        }
        let piece = store.get_range(key, at..at + read_bytes.min(left)).await?;
        if let Err(defect) = walker.push(&piece) {
            return Ok(Err(defect));
        }
        read_bytes = (read_bytes * 4).min(READ_MAX_BYTES);
    }
    Ok(walker.finish())
}

fn object(found: Found, walked: Result<Accepted, Defect>, sha256: Option<Sha256>) -> Object {
    let Found { track, name, size_bytes, stamp } = found;
    let inside = match walked {
        Ok(accepted) => Inside::Good { content: content_of(&accepted), sha256 },
        Err(defect) => Inside::Damaged { class: defect.class(), defect: defect.to_string() },
    };
    Object { track, name, size_bytes, stamp, found: inside }
}

/// What accept refuses for its length in time is in the bucket already and is taken as it is.
fn limits(cx: &Context) -> Limits {
    Limits { size_max_bytes: cx.config.limits.segment_size.0, duration_max_ms: u64::MAX }
}

/// The object is gone or shorter than a moment ago.
fn is_another(error: &storage::Error) -> bool {
    matches!(error, storage::Error::NotFound { .. } | storage::Error::Short { .. })
}
