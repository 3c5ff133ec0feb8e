//! Brings the bytes of one segment to their final key. Writes no row: what became of them is for `settle` to commit.

use crate::context::Context;
use crate::db::segments::Segment;
use crate::staging::{self, Uri};
use domain::id::Sha256;
use domain::key::Keys;
use domain::retry::Fault;
use domain::segment::Name;
use queue::JobError;
use sha2::Digest as _;
use tokio::io::AsyncReadExt as _;

/// Piece in which staged bytes are hashed.
const PIECE_BYTES: usize = 256 << 10;

/// What became of one segment's bytes.
pub(super) struct Brought {
    pub(super) segment: Segment,
    pub(super) fate: Fate,
}

pub(super) enum Fate {
    /// The store has the object.
    Stored { etag: Option<String> },
    /// The bytes that were acknowledged are gone or others, and the store has no object.
    Lost { cause: &'static str },
}

pub(super) async fn bring(cx: &Context, keys: &Keys, segment: Segment) -> Result<Brought, JobError> {
    let key = keys.segment(segment.row.track, Name::of_index(segment.row.index));
    let cause = match copy(cx, &key, &segment).await? {
        Ok(etag) => return Ok(Brought { segment, fate: Fate::Stored { etag } }),
        Err(cause) => cause,
    };
    // An earlier attempt may have written the object and removed the bytes although its commit is not known here.
    let fate = match cx.store.stat(&key).await? {
        Some(meta) if meta.size_bytes == segment.row.size_bytes => {
            let same = Some(Sha256::of(&cx.store.get(&key).await?)) == segment.row.sha256;
            if same { Fate::Stored { etag: meta.etag } } else { Fate::Lost { cause } }
        }
        _ => Fate::Lost { cause },
    };
    Ok(Brought { segment, fate })
}

/// Copies staged bytes to their final key, after they were held to their length and digest. The inner error says in
/// which way the bytes are not those that were acknowledged.
async fn copy(cx: &Context, key: &str, segment: &Segment) -> Result<Result<Option<String>, &'static str>, JobError> {
    let Some(uri) = segment.staging_uri.as_deref().and_then(|uri| uri.parse::<Uri>().ok()) else {
        return Ok(Err("no-staging-uri"));
    };
    let open = || async {
        match cx.staging.open_bytes(&uri).await {
            Err(staging::Error::NotFound { .. }) => Ok(None),
            opened => opened.map(Some),
        }
    };
    let Some((mut file, size_bytes)) = open().await? else { return Ok(Err("gone")) };
    if size_bytes != segment.row.size_bytes {
        return Ok(Err("another-length"));
    }
    if Some(hash(&mut file).await?) != segment.row.sha256 {
        return Ok(Err("other-bytes"));
    }
    let Some((file, _)) = open().await? else { return Ok(Err("gone")) };
    let meta = cx.store.put_from(key, file, segment.row.size_bytes).await?;
    Ok(Ok(meta.etag))
}

async fn hash(file: &mut tokio::fs::File) -> Result<Sha256, JobError> {
    let (mut hasher, mut piece) = (sha2::Sha256::new(), vec![0; PIECE_BYTES]);
    loop {
        let read = file.read(&mut piece).await;
        let read = read.map_err(|error| JobError::new(Fault::Transient, "staging", error))?;
        if read == 0 {
            return Ok(Sha256(hasher.finalize().into()));
        }
        hasher.update(&piece[..read]);
    }
}
