//! Stored objects that a child takes apart, each held to what the plan knows of it.
//!
//! A child asks for ranges of all objects of a track as one. Where the plan has a digest, an object is read whole, once,
//! and compared before a byte of it is given away; where it has an entity tag, that of every
//! answer is compared. So no byte reaches the result that was not planned.

use super::super::source::{Tags, bare, is_digest_of};
use crate::child::Odd;
use crate::odd::{self, HEAD_BYTES_MAX, Joined, Part};
use crate::storage::{self, Store, is_entity_tag};
use bytes::Bytes;
use domain::id::Sha256;
use domain::key::Keys;
use domain::mux::{PlanSegment, PlanTrack};
use domain::retry::{Classify, Fault};
use domain::segment::{Name, Track};
use media::mux::Change;
use sha2::Digest as _;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;

/// Longest object that is kept while it is read: a segment has some megabytes. A longer one is compared first and read
/// again then.
const HELD_BYTES_MAX: u64 = 64 << 20;

/// Bytes of a longer one read at once.
const PIECE_BYTES: u64 = 8 << 20;

/// Why an object was not given.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// The store's.
    #[error(transparent)]
    Storage(storage::Error),
    /// It is not what was planned.
    #[error("{track} {name} has changed since the plan was made")]
    Changed {
        /// Its track.
        track: Track,
        /// Which object.
        name: Name,
        /// In which way.
        #[source]
        change: Change,
    },
}

impl Unreadable {
    /// The object is another one than was planned; one that ends before it should is.
    pub fn is_change(&self) -> bool {
        matches!(self, Unreadable::Changed { .. } | Unreadable::Storage(storage::Error::Short { .. }))
    }
}

impl Classify for Unreadable {
    fn fault(&self) -> Fault {
        match self {
            Unreadable::Storage(source) => source.fault(),
            Unreadable::Changed { .. } => Fault::Permanent,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Unreadable::Storage(_) if self.is_change() => "source-changed",
            Unreadable::Storage(source) => source.class(),
            Unreadable::Changed { .. } => "source-changed",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Unreadable::Storage(source) => source.retry_after(),
            Unreadable::Changed { .. } => None,
        }
    }
}

/// One stored object.
#[derive(Debug)]
pub(super) struct Object {
    store: Store,
    key: String,
    track: Track,
    name: Name,
    size_bytes: u64,
    sha256: Option<Sha256>,
    etag: Option<String>,
    /// Its bytes were compared, and are too many to be kept.
    sound: AtomicBool,
    /// The object of the track that was read last: a window of the reader ends somewhere inside it.
    last: Arc<Mutex<Option<(Name, Bytes)>>>,
}

impl Object {
    fn changed(&self, change: Change) -> Unreadable {
        Unreadable::Changed { track: self.track, name: self.name, change }
    }

    /// A range of the very object that was planned, as far as its tag tells.
    async fn tagged(&self, range: Range<u64>) -> Result<Bytes, Unreadable> {
        if let Some(kept) = self.kept() {
            return Ok(part(&kept, &range));
        }
        let got = self.store.get_range_of(&self.key, range.clone(), None).await.map_err(Unreadable::Storage)?;
        let planned = self.etag.as_deref().filter(|etag| is_entity_tag(etag));
        match (planned, got.etag.as_deref()) {
            (Some(planned), Some(found)) if bare(planned) != bare(found) => {
                Ok(part(&self.proved(planned).await?, &range))
            }
            (Some(_) | None, Some(_) | None) => Ok(got.bytes),
        }
    }

    /// All of an object that has another tag than it had: the same bytes may have got one, and the tag that was planned
    /// may be a digest that tells.
    async fn proved(&self, planned: &str) -> Result<Bytes, Unreadable> {
        if self.size_bytes > HELD_BYTES_MAX {
            return Err(self.changed(Change::Tag));
        }
        let bytes = self.all().await?;
        if !is_digest_of(planned, &bytes) {
            return Err(self.changed(Change::Tag));
        }
        self.keep(&bytes);
        Ok(bytes)
    }

    fn kept(&self) -> Option<Bytes> {
        let kept = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        kept.filter(|(name, _)| *name == self.name).map(|(_, bytes)| bytes)
    }

    fn keep(&self, bytes: &Bytes) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.name, bytes.clone()));
    }

    /// All of it, of the length that was planned.
    async fn all(&self) -> Result<Bytes, Unreadable> {
        // One byte more, to see that it has grown.
        let got = self.store.get_at_most(&self.key, self.size_bytes.saturating_add(1), None).await;
        let bytes = got.map_err(Unreadable::Storage)?.bytes;
        if bytes.len() as u64 != self.size_bytes {
            return Err(self.changed(Change::Size { expected: self.size_bytes, found: bytes.len() as u64 }));
        }
        Ok(bytes)
    }

    /// All of it, held to its digest.
    async fn whole(&self, expected: Sha256) -> Result<Bytes, Unreadable> {
        if let Some(bytes) = self.kept() {
            return Ok(bytes);
        }
        let bytes = self.all().await?;
        let hashed = bytes.clone();
        let found = tokio::task::spawn_blocking(move || Sha256::of(&hashed)).await.expect("hashing does not panic");
        if found != expected {
            return Err(self.changed(Change::Digest { expected, found }));
        }
        self.keep(&bytes);
        Ok(bytes)
    }

    /// Compares one that is too long to be kept.
    async fn compare(&self, expected: Sha256) -> Result<(), Unreadable> {
        if self.sound.load(Ordering::Relaxed) {
            return Ok(());
        }
        let found = digest(&self.store, &self.key, self.size_bytes).await.map_err(Unreadable::Storage)?;
        if found != expected {
            return Err(self.changed(Change::Digest { expected, found }));
        }
        self.sound.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Part for Object {
    type Error = Unreadable;

    async fn read(&self, range: Range<u64>) -> Result<Bytes, Unreadable> {
        match self.sha256 {
            Some(expected) if self.size_bytes <= HELD_BYTES_MAX => Ok(part(&self.whole(expected).await?, &range)),
            Some(expected) => {
                self.compare(expected).await?;
                self.tagged(range).await
            }
            None => self.tagged(range).await,
        }
    }
}

fn part(bytes: &Bytes, range: &Range<u64>) -> Bytes {
    bytes.slice(range.start as usize..range.end as usize)
}

/// The digest of the first `size_bytes` bytes of an object, with little memory.
///
/// # Errors
/// The store's; the object may be shorter.
pub async fn digest(store: &Store, key: &str, size_bytes: u64) -> Result<Sha256, storage::Error> {
    let (mut hasher, mut at) = (sha2::Sha256::new(), 0);
    while at < size_bytes {
        let end = (at + PIECE_BYTES).min(size_bytes);
        let piece = store.get_range(key, at..end).await?;
        let hash = move || {
            hasher.update(&piece);
            hasher
        };
        hasher = tokio::task::spawn_blocking(hash).await.expect("hashing does not panic");
        at = end;
    }
    Ok(Sha256(hasher.finalize().into()))
}

/// Reads the initialization section of a planned track, or the head of a very long one, and holds it to the plan.
pub(super) async fn head(store: &Store, keys: &Keys, planned: &PlanTrack) -> Result<Bytes, Unreadable> {
    let (track, name) = (planned.track, Name::Init);
    let key = keys.segment(track, name);
    let (size_bytes, expected) = (planned.init.size_bytes, planned.init.sha256);
    let got = store.get_at_most(&key, size_bytes.saturating_add(1).min(HEAD_BYTES_MAX + 1), None).await;
    let mut bytes = got.map_err(Unreadable::Storage)?.bytes;
    let changed = |change| Err(Unreadable::Changed { track, name, change });
    if bytes.len() as u64 != (size_bytes).min(HEAD_BYTES_MAX + 1) {
        return changed(Change::Size { expected: size_bytes, found: bytes.len() as u64 });
    }
    bytes.truncate(HEAD_BYTES_MAX as usize);
    let found = Sha256::of(&bytes);
    if found != expected {
        return changed(Change::Digest { expected, found });
    }
    Ok(bytes)
}

/// All stored objects of a track as one. Of segments without a digest, `etags` knows those that the plan does not name.
pub(super) fn joined(store: &Store, keys: &Keys, planned: &PlanTrack, etags: &Tags) -> (Odd, Joined<Object>) {
    let track = planned.track;
    let last = Arc::default();
    let object = |name: Name, size_bytes, sha256| {
        let etag = planned.etags.get(&name.index()).or_else(|| etags.get(&(track, name.index()))).cloned();
        let key = keys.segment(track, name);
        let (store, last, sound) = (store.clone(), Arc::clone(&last), AtomicBool::new(false));
        (size_bytes, Object { store, key, track, name, size_bytes, sha256, etag, sound, last })
    };
    // Its digest is that of its head, which has been compared.
    let whole_head = planned.init.size_bytes <= HEAD_BYTES_MAX;
    let init = object(Name::Init, planned.init.size_bytes, whole_head.then_some(planned.init.sha256));
    let segment = |it: &PlanSegment| object(Name::Media(it.index), it.size_bytes, it.sha256);
    let parts: Vec<_> = std::iter::once(init).chain(planned.segments.iter().map(segment)).collect();
    let segments: Vec<(u32, u64)> = planned.segments.iter().map(|it| (it.index, it.size_bytes)).collect();
    let odd = odd::track(track, vec![track], Some(planned.init.size_bytes), &segments);
    (odd, Joined::of(parts))
}
