//! Brings the bytes of one segment to their final key. Writes no row: what became of them is for `settle` to commit.
//!
//! Bytes that came through this server into the store and still have the entity tag of that write are the ones that were
//! hashed; the store copies them by itself. All others pass through here and are hashed on the way, and only an object of
//! the right bytes appears under its final key.

use crate::accept::{self, Inits, Refusal};
use crate::context::Context;
use crate::db::recordings::Recording;
use crate::db::segments::{Content, Segment};
use crate::staging::{self, Place, Uri};
use crate::storage::Meta;
use bytes::Bytes;
use domain::id::Sha256;
use domain::key::Keys;
use domain::retry::Fault;
use domain::segment::Name;
use media::walk::Walker;
use queue::JobError;
use sha2::Digest as _;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes up to this length are written with one request, longer ones in parts of it. A few are in memory for each of a
/// few segments at once.
const PART_BYTES: usize = 8 << 20;

/// What became of one segment's bytes.
pub(super) struct Brought {
    pub(super) segment: Segment,
    pub(super) fate: Fate,
}

pub(super) enum Fate {
    /// The store has the object; what is inside, if nobody had looked before.
    Stored { etag: Option<String>, content: Option<Content> },
    /// The bytes that were acknowledged are gone or others, and the store has no object.
    Lost { cause: String },
}

/// What the bytes of one segment are held to.
struct Expected<'a> {
    recording: &'a Recording,
    segment: &'a Segment,
    inits: &'a Inits,
}

/// Staged bytes are not those of their row, in this way.
struct Wrong(String);

impl From<&str> for Wrong {
    fn from(cause: &str) -> Wrong {
        Wrong(cause.to_owned())
    }
}

pub(super) async fn bring(
    cx: &Context,
    recording: &Recording,
    inits: &Inits,
    segment: Segment,
) -> Result<Brought, JobError> {
    let key = Keys::new(&recording.owner, &recording.id).segment(segment.row.track, Name::of_index(segment.row.index));
    let expected = Expected { recording, segment: &segment, inits };
    let fate = match from_staging(cx, &key, &expected).await? {
        Ok((etag, content)) => Fate::Stored { etag, content },
        Err(Wrong(cause)) => from_store(cx, &key, &expected, cause).await?,
    };
    Ok(Brought { segment, fate })
}

/// An earlier attempt may have written the object and removed the bytes although its commit is not known here.
async fn from_store(cx: &Context, key: &str, expected: &Expected<'_>, cause: String) -> Result<Fate, JobError> {
    let Some(meta) = cx.store.stat(key).await?.filter(|meta| meta.size_bytes == expected.segment.row.size_bytes) else {
        // A store that cannot be seen has lost nothing.
        cx.store.require_there(key).await?;
        return Ok(Fate::Lost { cause });
    };
    let bytes = cx.store.get(key).await?;
    let mut check = match Check::begin(cx, expected).await? {
        Ok(check) => check,
        Err(_) => return Ok(Fate::Lost { cause }),
    };
    check.push(&bytes);
    Ok(match check.end(expected) {
        Ok(content) => Fate::Stored { etag: meta.etag, content },
        Err(_) => Fate::Lost { cause },
    })
}

type Copied = Result<(Option<String>, Option<Content>), Wrong>;

async fn from_staging(cx: &Context, key: &str, expected: &Expected<'_>) -> Result<Copied, JobError> {
    let segment = expected.segment;
    let Some(uri) = segment.staging_uri.as_deref().and_then(|uri| uri.parse::<Uri>().ok()) else {
        return Ok(Err("no-staging-uri".into()));
    };
    let Some(meta) = cx.staging.stat(&uri).await? else { return Ok(Err("gone".into())) };
    if meta.size_bytes != segment.row.size_bytes {
        return Ok(Err("another-length".into()));
    }
    if let (false, true, Some(from)) = (segment.unread, is_unchanged(&uri, &meta), uri.key()) {
        return match cx.store.copy(&from, key).await {
            Ok(copied) => Ok(Ok((copied.etag, None))),
            Err(error) if error.is_not_found() => Ok(Err("gone".into())),
            Err(error) => Err(error.into()),
        };
    }
    let reader = match cx.staging.open_bytes(&uri).await {
        Ok((reader, _)) => reader,
        Err(staging::Error::NotFound { .. }) => return Ok(Err("gone".into())),
        Err(error) => return Err(error.into()),
    };
    let check = match Check::begin(cx, expected).await? {
        Ok(check) => check,
        Err(wrong) => return Ok(Err(wrong)),
    };
    through(cx, key, reader, check, expected).await
}

/// The store's object still has the tag that it was given when these bytes were written.
fn is_unchanged(uri: &Uri, meta: &Meta) -> bool {
    match &uri.place {
        Place::Store { etag: Some(etag), .. } => meta.etag.as_ref() == Some(etag),
        Place::Store { etag: None, .. } | Place::Local { .. } => false,
    }
}

/// Carries bytes through this process, and lets their object appear only when they are the right ones.
async fn through(
    cx: &Context,
    key: &str,
    mut reader: impl AsyncRead + Unpin + Send,
    mut check: Check,
    expected: &Expected<'_>,
) -> Result<Copied, JobError> {
    if expected.segment.row.size_bytes <= PART_BYTES as u64 {
        let bytes = part(&mut reader, PART_BYTES + 1).await?;
        check.push(&bytes);
        return match check.end(expected) {
            Ok(content) => Ok(Ok((cx.store.put(key, bytes).await?.etag, content))),
            Err(wrong) => Ok(Err(wrong)),
        };
    }
    let mut writer = cx.store.writer(key, PART_BYTES).await?;
    loop {
        let bytes = part(&mut reader, PART_BYTES).await?;
        if bytes.is_empty() {
            break;
        }
        check.push(&bytes);
        writer.write(bytes).await?;
    }
    match check.end(expected) {
        Ok(content) => Ok(Ok((writer.close().await?.etag, content))),
        Err(wrong) => {
            writer.abort().await;
            Ok(Err(wrong))
        }
    }
}

/// Reads up to `limit` bytes; fewer only at the end.
async fn part(reader: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<Bytes, JobError> {
    let mut bytes = Vec::new();
    let read = reader.take(limit as u64).read_to_end(&mut bytes).await;
    read.map_err(|error| JobError::new(Fault::Transient, "staging", error))?;
    Ok(Bytes::from(bytes))
}

/// Bytes as they pass by: hashed, and walked if nobody has looked into them yet.
struct Check {
    hasher: sha2::Sha256,
    walker: Option<Walker>,
    defect: Option<String>,
}

impl Check {
    async fn begin(cx: &Context, expected: &Expected<'_>) -> Result<Result<Check, Wrong>, JobError> {
        let (hasher, defect) = (sha2::Sha256::new(), None);
        let row = &expected.segment.row;
        let walker = match (expected.segment.unread, Name::of_index(row.index)) {
            (false, _) => None,
            (true, Name::Init) => Some(Walker::init(row.track, accept::limits(&cx.config))),
            (true, Name::Media(_)) => match expected.inits.get(cx, expected.recording, row.track).await {
                Ok(init) => Some(Walker::media(&init, accept::limits(&cx.config))),
                Err(Refusal::Database(error)) => return Err(error.into()),
                Err(Refusal::Storage(error)) => return Err(error.into()),
                Err(Refusal::Staging(error)) => return Err(error.into()),
                Err(refusal) => return Ok(Err(Wrong(refusal.to_string()))),
            },
        };
        Ok(Ok(Check { hasher, walker, defect }))
    }

    fn push(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        if let (None, Some(walker)) = (&self.defect, &mut self.walker) {
            self.defect = walker.push(bytes).err().map(|defect| defect.to_string());
        }
    }

    fn end(self, expected: &Expected<'_>) -> Result<Option<Content>, Wrong> {
        if Some(Sha256(self.hasher.finalize().into())) != expected.segment.row.sha256 {
            return Err("other-bytes".into());
        }
        match (self.defect, self.walker) {
            (Some(defect), _) => Err(Wrong(defect)),
            (None, None) => Ok(None),
            (None, Some(walker)) => match walker.finish() {
                Ok(accepted) => Ok(Some(accept::content_of(&accepted))),
                Err(defect) => Err(Wrong(defect.to_string())),
            },
        }
    }
}
