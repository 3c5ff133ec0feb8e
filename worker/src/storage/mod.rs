//! The object store: every object Spool keeps, behind one type.
//!
//! Owns the only use of `opendal`, its layers (stacked once, in `open`) and the retries inside one request; whatever
//! takes longer belongs to the queue. It knows keys as text that `domain::key` built, and nothing of recordings.
//! No correctness rests on conditional writes: servers ignore them without an error.

mod after;
mod check;
mod copy;
mod error;
mod faults;
mod folder;
mod open;
mod presign;
mod read;
mod timing;
mod writer;

pub use check::Checked;
pub use error::{Error, Op};
pub use faults::{Call, Fault, Faults};
pub use open::{Addressing, Config, Identity, Service};
pub use presign::Presigned;
pub(crate) use presign::TTL_MAX as PRESIGN_TTL_MAX;
pub use read::Got;
pub(crate) use read::is_entity_tag;
pub use timing::{Request, StoreOutcome};
pub use writer::ObjectWriter;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::id::Sha256;
use folder::{Folder, Held};
use futures_util::StreamExt as _;
use std::sync::Arc;
use std::time::Duration;
use timing::Watch;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bodies up to this length are written in one request; longer ones in parts of it. Small enough to hold a few in
/// memory, large enough for S3's least part of 5 MiB.
const PIECE_BYTES: usize = 8 << 20;

/// S3 takes 10,000 parts of one object; the longest whole file, 20 GiB, is far below.
const _: () = assert!((20 << 30) / PIECE_BYTES as u64 <= 9_000);

/// Keys deleted with one call; S3 takes 1000.
const DELETE_BATCH: usize = 1000;

/// Prefix of what Spool keeps in a store for itself and is nobody's recording; a listing of everything leaves it out.
pub(crate) const OWN: &str = ".spool/";

/// How often two who delete the same objects of a folder may get in each other's way before it is an error: each time
/// at least one object is gone, and nobody meets another one at all of them.
const MEETINGS_MAX: u32 = 100;

/// The object store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    op: opendal::Operator,
    /// The same with more patience, for objects that are written in parts.
    large: opendal::Operator,
    place: Place,
    /// Longest read of a range, all tries together.
    patience: Duration,
    watch: Watch,
}

/// What kind of place objects lie in.
#[derive(Debug, Clone)]
enum Place {
    /// A folder: a new object's name must be synced too.
    Folder(Folder),
    /// A bucket of a server, and what signs URLs for it.
    Bucket(Arc<presign::Presigner>),
    /// Memory of this process.
    Memory,
}

/// What the store says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Length of the object.
    pub size_bytes: u64,
    /// Entity tag, where the store has one.
    pub etag: Option<String>,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Length of the object.
    pub size_bytes: u64,
    /// Entity tag, where the store has one.
    pub etag: Option<String>,
    /// When it was written, by the store's clock, where the store tells.
    pub modified_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Opens the store that the settings name. Makes no request to a server; [`Store::check`] does.
    ///
    /// # Errors
    /// The settings cannot be used, or the folder cannot be made.
    pub async fn open(config: &Config) -> Result<Store, Error> {
        open::open(config, None).await
    }

    /// The same for tests of failure: calls below the timeouts and retries meet `faults` and are counted.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with(config: &Config, faults: &Faults) -> Result<Store, Error> {
        open::open(config, Some(faults)).await
    }

    /// Whether objects are gone with this process, and seen by it alone.
    pub fn is_memory(&self) -> bool {
        matches!(self.place, Place::Memory)
    }

    /// Writes an object in one request. It is durable, and whole or not there.
    ///
    /// # Errors
    /// [`Error::Short`] when the store holds another length afterwards.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<Meta, Error> {
        let size_bytes = bytes.len() as u64;
        let put = async {
            let _held = self.hold(key).await?;
            let written = self.op.write(key, bytes).await.map_err(|source| Error::of(Op::Put, key, source))?;
            self.written(key, size_bytes, &written).await
        };
        self.timed(Request::Put, put).await
    }

    /// Writes an object of `size_bytes` from a reader, with bounded memory. It is durable, and whole or not there.
    ///
    /// # Errors
    /// [`Error::Short`] when the reader gives another length; nothing is written then.
    pub async fn put_from(
        &self,
        key: &str,
        mut reader: impl AsyncRead + Unpin + Send,
        size_bytes: u64,
    ) -> Result<Meta, Error> {
        let short = |found| Error::Short { op: Op::Put, key: key.to_owned(), expected: size_bytes, found };
        if size_bytes <= PIECE_BYTES as u64 {
            let bytes = read_piece(&mut reader, key, PIECE_BYTES + 1).await?;
            let found = bytes.len() as u64;
            return if found == size_bytes { self.put(key, bytes).await } else { Err(short(found)) };
        }
        let mut writer = self.writer(key, PIECE_BYTES).await?;
        let mut found = 0;
        loop {
            let piece = read_piece(&mut reader, key, PIECE_BYTES).await?;
            found += piece.len() as u64;
            if piece.is_empty() || found > size_bytes {
                break;
            }
            writer.write(piece).await?;
        }
        if found == size_bytes {
            return writer.close().await;
        }
        writer.abort().await;
        Err(short(found))
    }

    /// A writer for an object whose length need not be known, in parts of `part_bytes`. Only `close` makes the object
    /// appear; a writer that is dropped leaves none.
    ///
    /// # Errors
    /// The store cannot begin a write.
    pub async fn writer(&self, key: &str, part_bytes: usize) -> Result<ObjectWriter, Error> {
        ObjectWriter::begin(self.clone(), key, part_bytes).await
    }

    /// A URL from which anybody may read an object until `ttl` from now, at the address that clients reach; `None` when
    /// the store cannot presign. Nobody looks whether there is such an object.
    ///
    /// # Errors
    /// The store's credentials cannot be had.
    pub async fn presign_get(&self, key: &str, ttl: Duration) -> Result<Option<Presigned>, Error> {
        match &self.place {
            Place::Bucket(presigner) => presigner.get(key, ttl).await.map(Some),
            Place::Folder(_) | Place::Memory => Ok(None),
        }
    }

    /// A URL to which anybody may write an object of exactly `size_bytes` until `ttl` from now, as often as they like;
    /// `None` when the store cannot presign. Another length is refused by the signature; other bytes than those of
    /// `sha256` only by servers that know checksums, so whoever relies on them must read them.
    ///
    /// # Errors
    /// The store's credentials cannot be had.
    pub async fn presign_put(
        &self,
        key: &str,
        size_bytes: u64,
        sha256: Option<Sha256>,
        ttl: Duration,
    ) -> Result<Option<Presigned>, Error> {
        match &self.place {
            Place::Bucket(presigner) => presigner.put(key, size_bytes, sha256, ttl).await.map(Some),
            Place::Folder(_) | Place::Memory => Ok(None),
        }
    }

    /// Whether [`Store::presign_get`] and [`Store::presign_put`] give URLs.
    pub fn can_presign(&self) -> bool {
        matches!(self.place, Place::Bucket(_))
    }

    /// Scheme, host and port of the URLs that [`Store::presign_get`] gives, for the policy of a page that follows them.
    pub fn public_origin(&self) -> Option<&str> {
        match &self.place {
            Place::Bucket(presigner) => Some(presigner.origin()),
            Place::Folder(_) | Place::Memory => None,
        }
    }

    /// Whether objects are files of a folder: then a listing costs no request, and there are no entity tags.
    pub fn is_folder(&self) -> bool {
        matches!(self.place, Place::Folder(_))
    }

    /// What the store says of an object; `None` when there is none.
    ///
    /// # Errors
    /// The store cannot tell.
    pub async fn stat(&self, key: &str) -> Result<Option<Meta>, Error> {
        let stat = async {
            match self.op.stat(key).await {
                Ok(meta) if meta.is_file() => Ok(Some(meta_of(&meta))),
                Ok(_) => Ok(None),
                Err(source) => match self.honest(Error::of(Op::Stat, key, source)).await {
                    error if error.is_not_found() => Ok(None),
                    error => Err(error),
                },
            }
        };
        self.timed(Request::Stat, stat).await
    }

    /// Everything whose key begins with `prefix`, which is empty or ends in `/`, in no particular order.
    ///
    /// # Errors
    /// The store cannot list.
    pub async fn list(&self, prefix: &str) -> Result<Listing, Error> {
        debug_assert!(prefix.is_empty() || prefix.ends_with('/'), "a prefix ends in /: {prefix}");
        let path = if prefix.is_empty() { "/" } else { prefix };
        let lister = self.op.lister_with(path).recursive(true).await.map_err(|e| Error::of(Op::List, prefix, e))?;
        Ok(Listing { store: self.clone(), lister, prefix: prefix.to_owned() })
    }

    /// Deletes objects; one that is not there is no error, so that it can be repeated.
    ///
    /// # Errors
    /// The store could not delete at least one of them.
    pub async fn delete(&self, keys: &[String]) -> Result<(), Error> {
        for batch in keys.chunks(DELETE_BATCH) {
            self.timed(Request::Delete, self.delete_batch(batch)).await?;
        }
        Ok(())
    }

    async fn delete_batch(&self, batch: &[String]) -> Result<(), Error> {
        let first = batch.first().map_or("", String::as_str);
        let failed = |source| Error::of(Op::Delete, first, source);
        for meetings in 0.. {
            match self.op.delete_iter(batch.iter().cloned()).await {
                Ok(()) => break,
                // In a folder another one deleted it between the look and the deed: it is gone, the others may not be.
                Err(source) if source.kind() == opendal::ErrorKind::NotFound && meetings < MEETINGS_MAX => {}
                Err(source) => return Err(failed(source)),
            }
        }
        if let Place::Folder(folder) = &self.place {
            folder.prune(batch).await;
        }
        Ok(())
    }

    /// That there is no such object, said of a folder that is not there itself, is no answer: the store is away.
    async fn honest(&self, error: Error) -> Error {
        match (&self.place, &error) {
            (Place::Folder(folder), Error::NotFound { key, .. }) => {
                folder.require_there(key).await.err().unwrap_or(error)
            }
            _ => error,
        }
    }

    /// Until it is dropped, an object can be given its name.
    async fn hold(&self, key: &str) -> Result<Option<Held>, Error> {
        match &self.place {
            Place::Folder(folder) => folder.hold(key).await.map(Some),
            Place::Bucket(_) | Place::Memory => Ok(None),
        }
    }

    /// Checks what a finished write left, and makes its name as durable as its bytes.
    async fn written(&self, key: &str, expected: u64, written: &opendal::Metadata) -> Result<Meta, Error> {
        // A server's answer to a write need not tell the length; a folder's does.
        if let Place::Folder(folder) = &self.place {
            if written.content_length() != expected {
                let found = written.content_length();
                return Err(Error::Short { op: Op::Put, key: key.to_owned(), expected, found });
            }
            folder.sync_names(key).await?;
        }
        Ok(Meta { size_bytes: expected, etag: written.etag().map(str::to_owned) })
    }
}

/// Reads up to `limit` bytes; fewer only at the end.
async fn read_piece(reader: &mut (impl AsyncRead + Unpin), key: &str, limit: usize) -> Result<Bytes, Error> {
    let mut piece = Vec::new();
    let mut bounded = reader.take(limit as u64);
    bounded.read_to_end(&mut piece).await.map_err(|source| Error::Source { key: key.to_owned(), source })?;
    Ok(Bytes::from(piece))
}

fn meta_of(meta: &opendal::Metadata) -> Meta {
    Meta { size_bytes: meta.content_length(), etag: meta.etag().map(str::to_owned) }
}

/// A listing under way.
pub struct Listing {
    store: Store,
    lister: opendal::Lister,
    prefix: String,
}

impl Listing {
    /// The next objects, at most `limit`; none at the end.
    ///
    /// # Errors
    /// The store stopped answering; what was given so far holds.
    pub async fn page(&mut self, limit: usize) -> Result<Vec<Listed>, Error> {
        let store = self.store.clone();
        store.timed(Request::List, self.next_page(limit)).await
    }

    async fn next_page(&mut self, limit: usize) -> Result<Vec<Listed>, Error> {
        let mut page = Vec::new();
        while page.len() < limit {
            let Some(entry) = self.lister.next().await else {
                // A volume that is not mounted lists as empty, and what is listed as missing becomes a gap.
                if let Place::Folder(folder) = &self.store.place {
                    folder.require_there(&self.prefix).await?;
                }
                break;
            };
            let entry = entry.map_err(|source| Error::of(Op::List, &self.prefix, source))?;
            // A folder lists itself, its folders, and what is being written beside the objects; and Spool keeps something
            // of its own beside them.
            let beside = self.prefix.is_empty() && [open::ASIDE, OWN].iter().any(|own| entry.path().starts_with(own));
            if entry.metadata().is_file() && !beside {
                let Meta { size_bytes, etag } = meta_of(entry.metadata());
                let modified_at = entry.metadata().last_modified().map(|at| std::time::SystemTime::from(at).into());
                page.push(Listed { key: entry.path().to_owned(), size_bytes, etag, modified_at });
            }
        }
        Ok(page)
    }

    /// The rest of the listing as one list, for prefixes that are known to be small.
    ///
    /// # Errors
    /// The store stopped answering.
    pub async fn all(mut self) -> Result<Vec<Listed>, Error> {
        let mut listed = Vec::new();
        loop {
            let page = self.page(1000).await?;
            if page.is_empty() {
                return Ok(listed);
            }
            listed.extend(page);
        }
    }
}
