//! Where a mux reads and writes: the object store, through the media crate's own interfaces.

use crate::context::Context;
use crate::db::{self, plans};
use crate::storage::{self, ObjectWriter, Store, is_entity_tag};
use bytes::Bytes;
use domain::id::Sha256;
use domain::key::Keys;
use domain::mux::{Plan, PlanTrack};
use domain::retry::{Classify, Fault};
use domain::segment::{Name, Track};
use md5::{Digest as _, Md5};
use media::defect::Defect;
use media::init::Init;
use media::layout::{self, Layout, SegmentInput, TrackInput};
use media::mux::{Fetched, ResultSink, SegmentReader, SegmentRef, Tag};
use media::readback::RangedReader;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use thiserror::Error;

/// Why a plan cannot be laid out.
#[derive(Debug, Error)]
pub enum Error {
    /// The rows could not be read.
    #[error("read sample indexes")]
    Database(#[source] db::Error),
    /// The initialization section could not be read.
    #[error("read initialization section of the {track} track")]
    Init {
        /// Which track.
        track: Track,
        /// What the store said.
        #[source]
        source: storage::Error,
    },
    /// The initialization section is not what the plan names.
    #[error("the initialization section of the {track} track has changed since the plan was made")]
    InitChanged {
        /// Which track.
        track: Track,
    },
    /// The initialization section cannot be used.
    #[error("the initialization section of the {track} track cannot be used")]
    Defect {
        /// Which track.
        track: Track,
        /// What is wrong with it.
        #[source]
        source: Defect,
    },
    /// A planned segment has no sample index.
    #[error("{track} segment {index} has no sample index")]
    NoIndex {
        /// Which track.
        track: Track,
        /// Index of the segment.
        index: u32,
    },
    /// The tracks cannot be laid out.
    #[error("lay out result")]
    Layout(#[source] layout::Error),
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Error::Database(source) => source.fault(),
            // A planned object that is gone for a moment may be a listing's delay; for good it is counted.
            Error::Init { source, .. } if source.is_not_found() => Fault::NotYet,
            Error::Init { source, .. } => source.fault(),
            Error::Defect { source, .. } => source.fault(),
            Error::Layout(source) => source.fault(),
            Error::InitChanged { .. } | Error::NoIndex { .. } => Fault::Permanent,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Error::Database(source) => source.class(),
            Error::Init { source, .. } => source.class(),
            Error::Defect { source, .. } => source.class(),
            Error::Layout(source) => source.class(),
            Error::InitChanged { .. } => "source-changed",
            Error::NoIndex { .. } => "no-index",
        }
    }
}

/// Lays a plan out: initialization sections from the store, sample indexes from the rows; no segment is read.
///
/// # Errors
/// See [`Error`].
pub async fn lay_out(cx: &Context, plan: &Plan) -> Result<Layout, Error> {
    let keys = Keys::new(&plan.owner, &plan.recording);
    let mut tracks = Vec::new();
    for track in &plan.tracks {
        let init = init(&cx.store, &keys, track).await?;
        tracks.push(TrackInput { init, segments: segments(cx, plan, track).await?, fill: track.fill });
    }
    // Hours of samples take some tens of milliseconds, in which the runtime has other things to do.
    let layout_version = plan.layout_version;
    let laid = tokio::task::spawn_blocking(move || Layout::of_version(layout_version, tracks)).await;
    let laid = laid.expect("laying out does not panic");
    laid.map_err(Error::Layout)
}

async fn init(store: &Store, keys: &Keys, planned: &PlanTrack) -> Result<Init, Error> {
    let track = planned.track;
    let bytes = store.get(&keys.segment(track, Name::Init)).await.map_err(|source| Error::Init { track, source })?;
    if Sha256::of(&bytes) != planned.init.sha256 {
        return Err(Error::InitChanged { track });
    }
    Init::parse(track, &bytes).map_err(|source| Error::Defect { track, source })
}

async fn segments(cx: &Context, plan: &Plan, planned: &PlanTrack) -> Result<Vec<SegmentInput>, Error> {
    let track = planned.track;
    let indexes = plans::sample_indexes(&cx.db, &plan.recording, track).await.map_err(Error::Database)?;
    let input = |segment: &domain::mux::PlanSegment| {
        let packed = indexes.get(&segment.index).cloned();
        let packed = packed.ok_or(Error::NoIndex { track, index: segment.index })?;
        let domain::mux::PlanSegment { index, size_bytes, sha256, shift, salvaged } = *segment;
        Ok(SegmentInput { index, size_bytes, sha256, packed: Bytes::from(packed), shift, salvaged })
    };
    planned.segments.iter().map(input).collect()
}

/// Entity tags of stored segments, by track and index.
pub type Tags = HashMap<(Track, u32), String>;

/// Stored segments of one recording, or one stored result.
#[derive(Debug, Clone)]
pub struct Source {
    store: Store,
    keys: Keys,
    result: String,
    tags: Arc<Tags>,
    /// A read is asked for on condition of its tag until the store has refused one for nothing: it then has other tags
    /// for what was copied or written in parts, and every read would be made twice.
    conditional: Arc<AtomicBool>,
}

impl Source {
    /// The segments below `keys` and the result `result`.
    pub fn new(store: &Store, keys: Keys, result: &str) -> Source {
        let (store, result) = (store.clone(), result.to_owned());
        Source { store, keys, result, tags: Arc::default(), conditional: Arc::new(AtomicBool::new(true)) }
    }

    /// The same segments, held to the entity tags that the store gave them.
    pub fn tagged(self, tags: Tags) -> Source {
        Source { tags: Arc::new(tags), ..self }
    }
}

/// What the tags say of the bytes that were read. Most servers tag an object with the MD5 of its bytes (of one written in
/// parts, with that of the parts' digests), so the tag that was recorded may be a digest of what was there: then it proves
/// sameness, and a new one that is such a digest proves that it did not. Encrypted by a key of the store's own, or behind
/// another server, it is neither, and the bytes are held to what is known besides. A digest of our own says more than any of this.
fn tag(segment: &SegmentRef, recorded: Option<&str>, found: Option<&str>, bytes: &[u8]) -> Tag {
    match (recorded, found) {
        (Some(recorded), Some(found)) if bare(recorded) == bare(found) => Tag::Same,
        // Servers ignore conditions, so what they answer counts.
        (Some(recorded), Some(_)) if is_entity_tag(recorded) && segment.sha256.is_some() => Tag::Anew,
        (Some(recorded), Some(found)) if is_entity_tag(recorded) => {
            let digests = digests(bytes);
            let is = |tag: &str, digest: &str| bare(tag).eq_ignore_ascii_case(digest);
            if digests.iter().any(|digest| is(recorded, digest)) {
                Tag::Same
            } else if digests.iter().any(|digest| is(found, digest) && are_alike(digest, bare(recorded))) {
                Tag::Other
            } else {
                Tag::Anew
            }
        }
        (Some(_) | None, Some(_) | None) => Tag::Unknown,
    }
}

/// Whether a tag is a digest of these bytes, and so proves that they are those that it was given for.
pub(super) fn is_digest_of(tag: &str, bytes: &[u8]) -> bool {
    digests(bytes).iter().any(|digest| bare(tag).eq_ignore_ascii_case(digest))
}

/// Whether a tag looks like this digest: as long, of hexadecimal digits, and of as many parts.
fn are_alike(digest: &str, tag: &str) -> bool {
    let (digits, parts) = digest.split_once('-').unwrap_or((digest, ""));
    let (other, other_parts) = tag.split_once('-').unwrap_or((tag, ""));
    digits.len() == other.len() && other.bytes().all(|byte| byte.is_ascii_hexdigit()) && parts == other_parts
}

/// The tags that servers make of bytes: written at once, and in one part.
fn digests(bytes: &[u8]) -> [String; 2] {
    let once = Md5::digest(bytes);
    let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    [hex(&once), format!("{}-1", hex(&Md5::digest(once)))]
}

/// A tag without the marks around it, in which the answers to a write and to a read may differ.
pub(super) fn bare(tag: &str) -> &str {
    tag.trim_start_matches("W/").trim_matches('"')
}

impl SegmentReader for Source {
    type Error = storage::Error;

    /// Reads a segment with one request, or with two when it was written again: from its first sample on where it has the
    /// tag that was recorded, else all of it.
    async fn read(&self, segment: SegmentRef) -> Result<Fetched, storage::Error> {
        let key = self.keys.segment(segment.track, Name::Media(segment.index));
        let recorded = self.tags.get(&(segment.track, segment.index)).map(String::as_str);
        let condition = recorded.filter(|tag| is_entity_tag(tag) && self.conditional.load(Ordering::Relaxed));
        if let Some(tag) = condition {
            let (from, size_bytes) = (segment.payload_at, segment.size_bytes);
            match self.store.get_range_of(&key, from..size_bytes, Some(tag)).await {
                // Servers ignore conditions, so what they answer counts.
                Ok(got) if got.etag.as_deref().is_some_and(|found| bare(found) == bare(tag)) => {
                    return Ok(Fetched { bytes: got.bytes, from, tag: Tag::Same });
                }
                Ok(_) | Err(storage::Error::Changed { .. } | storage::Error::Short { .. }) => {
                    self.conditional.store(false, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
        // One byte more, to see that it has grown, and no more than that.
        let got = self.store.get_at_most(&key, segment.size_bytes.saturating_add(1), None).await?;
        let tag = tag(&segment, recorded, got.etag.as_deref(), &got.bytes);
        Ok(Fetched { bytes: got.bytes, from: 0, tag })
    }
}

impl RangedReader for Source {
    type Error = storage::Error;

    async fn read(&self, at: u64, len: u64) -> Result<Bytes, storage::Error> {
        self.store.get_range(&self.result, at..at + len).await
    }
}

/// Takes a result into the store. Nothing appears before [`Sink::close`].
pub struct Sink(ObjectWriter);

/// Most parts of one object: servers take 10,000, so there is some room.
const PARTS_MAX: u64 = 9_000;

/// Length of all parts but the last, at least `least_bytes`: all of `total_bytes` go into [`PARTS_MAX`] of them.
fn part_bytes(least_bytes: u64, total_bytes: u64) -> usize {
    usize::try_from(least_bytes.max(total_bytes.div_ceil(PARTS_MAX))).unwrap_or(usize::MAX)
}

impl Sink {
    /// Begins the object `key` of `total_bytes`, in equal parts of at least `part_size_bytes`.
    ///
    /// # Errors
    /// The store cannot begin a write.
    pub async fn begin(
        store: &Store,
        key: &str,
        part_size_bytes: u64,
        total_bytes: u64,
    ) -> Result<Sink, storage::Error> {
        store.writer(key, part_bytes(part_size_bytes, total_bytes)).await.map(Sink)
    }

    /// Makes the object appear: the commit point of a mux.
    ///
    /// # Errors
    /// The store could not finish it.
    pub async fn close(self) -> Result<storage::Meta, storage::Error> {
        self.0.close().await
    }
}

impl ResultSink for Sink {
    type Error = storage::Error;

    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<(), storage::Error> {
        for piece in pieces {
            self.0.write(piece).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_few_as_a_server_takes() {
        let mib = 1 << 20;
        assert_eq!(part_bytes(8 * mib, 100 * mib), 8 << 20);
        for total_bytes in [8 * mib * PARTS_MAX, 8 * mib * PARTS_MAX + 1, 400 << 30, (5 << 40) + 12_345] {
            let part = part_bytes(8 * mib, total_bytes) as u64;
            assert!(total_bytes.div_ceil(part) <= PARTS_MAX && part >= 8 * mib, "{total_bytes} in parts of {part}");
        }
        assert_eq!(part_bytes(8 * mib, 8 * mib * PARTS_MAX + 1), (8 << 20) + 1);
    }

    #[test]
    fn tag_that_is_a_digest_tells_of_bytes_and_another_one_does_not() {
        let of = |recorded: &str, found: &str| {
            let segment = SegmentRef { track: Track::Video, index: 1, size_bytes: 5, sha256: None, payload_at: 0 };
            tag(&segment, Some(recorded), Some(found), b"hello")
        };
        let [once, in_one_part] = digests(b"hello").map(|digest| format!("\"{digest}\""));
        assert_eq!(once, "\"5d41402abc4b2a76b9719d911017c592\"");
        assert_eq!(of(&once, "\"anew\""), Tag::Same);
        assert_eq!(of(&in_one_part, &once), Tag::Same, "written in one part, then copied");
        let [other, in_parts] = ["", "-2"].map(|parts| format!("\"{}{parts}\"", "a1".repeat(16)));
        assert_eq!(of(&other, &once), Tag::Other);
        assert_eq!(of(&other, &in_parts), Tag::Anew, "nothing says that this store's tags are digests");
        assert_eq!(of(&in_parts, &once), Tag::Anew, "the digest of several parts cannot be known");
        assert_eq!(of("\"before\"", &once), Tag::Anew);
        assert_eq!(of("an hour ago", &once), Tag::Unknown, "a time is no tag");
    }

    #[test]
    fn tag_that_is_a_digest_proves_its_bytes() {
        let tag = "\"900150983CD24FB0D6963F7D28E17F72\"";
        assert!(is_digest_of(tag, b"abc") && !is_digest_of(tag, b"abd") && !is_digest_of("\"7\"", b"abc"));
    }

    #[test]
    fn tags_are_compared_without_their_marks() {
        for (written, read) in [("\"a1\"", "\"a1\""), ("\"a1\"", "W/\"a1\""), ("a1", "\"a1\"")] {
            assert_eq!(bare(written), bare(read));
        }
        assert_ne!(bare("\"a1\""), bare("\"a2\""));
    }
}
