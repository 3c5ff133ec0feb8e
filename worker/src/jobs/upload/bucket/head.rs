//! Reads what is inside an object that another uploader wrote: an initialization section whole, of a segment the heads of
//! its boxes alone.

use super::{Inits, gone};
use crate::accept::{Refusal, content_of};
use crate::context::Context;
use crate::db::bucket::{Found as Inside, Object};
use crate::db::recordings::Recording;
use crate::storage::{self, Store, is_entity_tag};
use bytes::Bytes;
use domain::bucket::Found;
use domain::id::Sha256;
use domain::key::Keys;
use domain::retry::Classify as _;
use domain::segment::{Name, Track};
use media::defect::Defect;
use media::init::{INIT_BYTES_MAX, Init};
use media::salvage::Salvager;
use media::walk::{Accepted, Limits, Media, Walker};
use queue::JobError;
use std::collections::BTreeSet;
use std::ops::Range;

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
    let inside = match walked {
        Ok(accepted) => good(&accepted, Some(Sha256::of(&bytes))),
        Err(defect) => Inside::Damaged { class: defect.class(), defect: defect.to_string(), salvaged: None },
    };
    Ok(Some(object(found, inside, None)))
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
    let mut reading = Reading::of(&cx.store, recording, &found);
    match reading.inside(init, limits(cx)).await {
        Ok(inside) => Ok(Some(object(found, inside, reading.etag))),
        Err(error) if is_another(&error) => {
            gone(&recording.id, &found);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads of one object, all of the same writing of it.
struct Reading<'a> {
    store: &'a Store,
    key: String,
    size_bytes: u64,
    /// As the listing told it, or the first answer.
    etag: Option<String>,
}

impl<'a> Reading<'a> {
    fn of(store: &'a Store, recording: &Recording, found: &Found) -> Reading<'a> {
        let key = Keys::new(&recording.owner, &recording.id).segment(found.track, found.name);
        let etag = Some(found.stamp.clone()).filter(|stamp| is_entity_tag(stamp));
        Reading { store, key, size_bytes: found.size_bytes, etag }
    }

    /// A range of it. Servers ignore conditions, so what they answer is compared too.
    async fn range(&mut self, range: Range<u64>) -> Result<Bytes, storage::Error> {
        let got = self.store.get_range_of(&self.key, range, self.etag.as_deref()).await?;
        match (&self.etag, got.etag) {
            (Some(etag), Some(answered)) if *etag != answered => {
                return Err(storage::Error::Changed { op: storage::Op::Get, key: self.key.clone() });
            }
            (None, answered) => self.etag = answered,
            (Some(_), _) => {}
        }
        Ok(got.bytes)
    }

    /// What is inside, and of a damaged segment what is whole.
    async fn inside(&mut self, init: &Init, limits: Limits) -> Result<Inside, storage::Error> {
        let defect = match self.walk(Walker::media(init, limits)).await? {
            Ok(accepted) => return Ok(good(&accepted, None)),
            Err(defect) => defect,
        };
        let salvaged = if self.size_bytes > limits.size_max_bytes {
            None
        } else {
            self.salvage(Salvager::of(init, self.size_bytes, &defect)).await?
        };
        let salvaged = salvaged.map(|media| content_of(&Accepted::Media(media)));
        Ok(Inside::Damaged { class: defect.class(), defect: defect.to_string(), salvaged })
    }

    /// Walks it and reads only what the walk has to see.
    async fn walk(&mut self, mut walker: Walker) -> Result<Result<Accepted, Defect>, storage::Error> {
        let mut read_bytes = FIRST_BYTES;
        while walker.position() < self.size_bytes {
            let (at, left) = (walker.position(), self.size_bytes - walker.position());
            let skip = walker.skippable_bytes().min(left);
            if skip > 0 {
                walker.skip(skip);
                continue;
            }
            let piece = self.range(at..at + read_bytes.min(left)).await?;
            if let Err(defect) = walker.push(&piece) {
                return Ok(Err(defect));
            }
            read_bytes = (read_bytes * 4).min(READ_MAX_BYTES);
        }
        Ok(walker.finish())
    }

    async fn salvage(&mut self, mut salvager: Salvager) -> Result<Option<Media>, storage::Error> {
        while let Some(wanted) = salvager.wants() {
            let bytes = self.range(wanted).await?;
            salvager.push(&bytes);
        }
        Ok(salvager.finish())
    }
}

fn good(accepted: &Accepted, sha256: Option<Sha256>) -> Inside {
    Inside::Good { content: content_of(accepted), sha256 }
}

fn object(found: Found, inside: Inside, etag: Option<String>) -> Object {
    let Found { track, name, size_bytes, stamp } = found;
    Object { track, name, size_bytes, stamp, etag, found: inside }
}

/// What accept refuses for its length in time is in the bucket already and is taken as it is.
fn limits(cx: &Context) -> Limits {
    Limits { size_max_bytes: cx.config.limits.segment_size.0, duration_max_ms: u64::MAX }
}

/// The object is gone, shorter than a moment ago, or was written again.
fn is_another(error: &storage::Error) -> bool {
    use storage::Error;
    matches!(error, Error::NotFound { .. } | Error::Short { .. } | Error::Changed { .. })
}
