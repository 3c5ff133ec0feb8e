//! Where acknowledged bytes wait for the store.
//!
//! Owns the bytes between the moment a segment is acknowledged and the moment the store has it under its final key:
//! they are durable before the answer, their name tells whose they are, and nothing removes them but `remove`. It decides
//! nothing and knows no rows. Bytes on their way in vanish when they are not committed.
//!
//! Two modes, one interface. `store`: bytes lie in the object store below `.incoming`, so any number of processes take in
//! and any worker brings them to their final key. `local`: one volume; the folder carries an id, and only processes whose
//! folder carries the registered id take in and work `ingest`. The mode says where new bytes go; what a [`Uri`] names is
//! found wherever it lies, so that segments sent past this server wait in the store in either mode.

mod folder;
mod incoming;
mod objects;
mod uri;

pub use uri::{InvalidUri, Place, Uri};

use crate::storage::{Meta, Store};
use crate::{db, storage};
use bytesize::ByteSize;
use chrono::{DateTime, Utc};
use domain::id::{OwnerId, RecordingId, Sha256};
use domain::key::Keys;
use domain::retry::{Classify, Fault};
use domain::segment::{Name, Track};
use folder::Folder;
use futures_util::TryStreamExt as _;
use sea_orm::DatabaseConnection;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

/// Settings of staging; see `config.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where bytes wait.
    pub mode: Mode,
    /// The folder of mode `local`.
    pub dir: PathBuf,
    /// Most bytes that may wait.
    pub size_max: ByteSize,
    /// Space that must stay free.
    pub free_min: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Local,
            dir: PathBuf::from("data/staging"),
            size_max: ByteSize::gib(16),
            free_min: ByteSize::mib(256),
        }
    }
}

/// Where acknowledged bytes wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// In a folder of one volume.
    Local,
    /// In the object store.
    Store,
}

/// Why staging did not do what it was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// No room: the volume is full, or the configured bounds are reached.
    #[error("stage {object}: staging is full")]
    Full {
        /// What was to be staged.
        object: String,
    },
    /// There are no such bytes: acknowledged bytes that are gone.
    #[error("{operation} {object}: staged bytes not found")]
    NotFound {
        /// What was being done.
        operation: &'static str,
        /// With which bytes.
        object: String,
    },
    /// The volume failed.
    #[error("{operation} {object}: staging volume failed")]
    Volume {
        /// What was being done.
        operation: &'static str,
        /// With what.
        object: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another folder is the registered one and is still in use.
    #[error(
        "staging folder {} has id {own}, but acknowledged bytes wait in the folder with id {registered}: \
         set staging.dir to that folder, or let its process finish first", dir.display()
    )]
    Foreign {
        /// This process's folder.
        dir: PathBuf,
        /// Its id.
        own: uuid::Uuid,
        /// The id in the database.
        registered: String,
    },
    /// The bytes wait in a folder, and this process sees none: they are not gone, another process brings them.
    #[error("{object}: staged bytes wait in a folder that this process does not see")]
    Elsewhere {
        /// Which bytes.
        object: String,
    },
    /// The object store did not do what it was asked.
    #[error("staged bytes in the object store")]
    Storage(#[source] storage::Error),
    /// The folder's id could not be registered.
    #[error("register staging folder")]
    Database(#[source] db::Error),
}

impl Error {
    /// Sorts what the volume said.
    fn of(operation: &'static str, object: impl ToString, source: std::io::Error) -> Error {
        let object = object.to_string();
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::Full { object },
            std::io::ErrorKind::NotFound => Error::NotFound { operation, object },
            _ => Error::Volume { operation, object, source },
        }
    }
}

impl From<storage::Error> for Error {
    fn from(source: storage::Error) -> Error {
        Error::Storage(source)
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Error::Full { .. } | Error::Volume { .. } | Error::Elsewhere { .. } => Fault::Transient,
            Error::NotFound { .. } | Error::Foreign { .. } => Fault::Permanent,
            Error::Database(source) => source.fault(),
            Error::Storage(source) => source.fault(),
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Error::Database(source) => source.class(),
            Error::Storage(source) => source.class(),
            Error::Full { .. }
            | Error::NotFound { .. }
            | Error::Volume { .. }
            | Error::Foreign { .. }
            | Error::Elsewhere { .. } => "staging",
        }
    }
}

/// Bytes that wait, as a scan found them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Whose they are.
    pub uri: Uri,
    /// Their length.
    pub size_bytes: u64,
    /// Time since they were written.
    pub age: Duration,
}

/// Staged bytes, piece by piece.
pub type Reader = Box<dyn AsyncRead + Send + Unpin>;

/// Where acknowledged bytes wait. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Staging {
    /// In mode `local`.
    folder: Option<Folder>,
    store: Store,
}

impl Staging {
    /// Opens the place that the settings name. In mode `local` it makes the folder, gives it an id and registers the id if
    /// none is, or if the registered folder is given up.
    ///
    /// # Errors
    /// The folder cannot be made or the database does not answer. That another folder is registered is no error here:
    /// such a process does not work `ingest` ([`Staging::is_registered`]) and must not accept
    /// ([`Staging::require_registered`]).
    pub async fn open(config: &Config, store: &Store, db: &DatabaseConnection) -> Result<Staging, Error> {
        let folder = match config.mode {
            Mode::Local => Some(Folder::open(config, db).await?),
            Mode::Store => None,
        };
        Ok(Staging { folder, store: store.clone() })
    }

    /// Where bytes go that come in now.
    pub fn mode(&self) -> Mode {
        if self.folder.is_some() { Mode::Local } else { Mode::Store }
    }

    /// Whether bytes may lie in the object store: they come in there, or are sent there past this server.
    pub fn uses_store(&self) -> bool {
        self.mode() == Mode::Store || self.store.can_presign()
    }

    /// Registers the folder's id, or says that it is still in use. `serve` repeats it every quarter of a minute. False
    /// when another folder is the registered one: then nothing more is taken in here.
    ///
    /// # Errors
    /// The database does not answer; then the last answer holds.
    pub async fn register(&self, db: &DatabaseConnection) -> Result<bool, Error> {
        match &self.folder {
            Some(folder) => folder.register(db).await,
            None => Ok(true),
        }
    }

    /// Whether this process may work `ingest`: in mode `local` only where its folder is the registered one.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn is_registered(&self, db: &DatabaseConnection) -> Result<bool, Error> {
        match &self.folder {
            Some(folder) => folder.is_registered(db).await,
            None => Ok(true),
        }
    }

    /// Refuses to go on unless this process may take in.
    ///
    /// # Errors
    /// [`Error::Foreign`] when its folder is not the registered one.
    pub async fn require_registered(&self, db: &DatabaseConnection) -> Result<(), Error> {
        match &self.folder {
            Some(folder) => folder.require_registered(db).await,
            None => Ok(()),
        }
    }

    /// Makes room for `size_bytes` bytes that are on their way in.
    ///
    /// # Errors
    /// [`Error::Full`] when there is none, [`Error::Foreign`] when another folder has taken over, [`Error::Storage`]
    /// when the store is away.
    pub async fn receive(
        &self,
        owner: &OwnerId,
        recording: &RecordingId,
        track: Track,
        name: Name,
        size_bytes: u64,
    ) -> Result<Incoming, Error> {
        let to = match &self.folder {
            Some(folder) => To::Folder(Box::new(folder.receive(recording, track, name, size_bytes).await?)),
            None => {
                let store = self.store.clone();
                let begun = objects::Incoming::begin(store, owner, recording, track, name, size_bytes).await?;
                To::Store(Box::new(begun))
            }
        };
        Ok(Incoming { to, hasher: sha2::Sha256::new(), size_bytes: 0 })
    }

    /// The staged bytes and their length.
    ///
    /// # Errors
    /// [`Error::NotFound`] when they are gone; [`Error::Volume`] and [`Error::Storage`] when the place itself is;
    /// [`Error::Elsewhere`] when only another process can tell.
    pub async fn open_bytes(&self, uri: &Uri) -> Result<(Reader, u64), Error> {
        let Some(key) = uri.key() else {
            let (file, size_bytes) = self.folder(uri)?.open_bytes(uri).await?;
            return Ok((Box::new(file), size_bytes));
        };
        let Some(Meta { size_bytes, .. }) = self.store.stat(&key).await? else {
            return Err(Error::NotFound { operation: "open", object: uri.to_string() });
        };
        let stream = self.store.stream(&key, 0..size_bytes).await?;
        Ok((Box::new(StreamReader::new(Box::pin(stream.map_err(std::io::Error::other)))), size_bytes))
    }

    /// What is known of staged bytes without reading them; `None` when they are gone.
    ///
    /// # Errors
    /// As [`Staging::open_bytes`].
    pub async fn stat(&self, uri: &Uri) -> Result<Option<Meta>, Error> {
        if let Some(key) = uri.key() {
            return Ok(self.store.stat(&key).await?);
        }
        match self.folder(uri)?.open_bytes(uri).await {
            Ok((_, size_bytes)) => Ok(Some(Meta { size_bytes, etag: None })),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the staged bytes are there.
    ///
    /// # Errors
    /// As [`Staging::open_bytes`].
    pub async fn contains(&self, uri: &Uri) -> Result<bool, Error> {
        Ok(self.stat(uri).await?.is_some())
    }

    /// Removes staged bytes; those that are not there are no error, so that it can be repeated.
    ///
    /// # Errors
    /// The volume or the store failed.
    pub async fn remove(&self, uris: &[Uri]) -> Result<(), Error> {
        let mut keys = Vec::new();
        for uri in uris {
            match uri.key() {
                Some(key) => keys.push(key),
                None => self.folder(uri)?.remove(uri).await?,
            }
        }
        if keys.is_empty() { Ok(()) } else { Ok(self.store.delete(&keys).await?) }
    }

    /// Everything that waits in the folder of mode `local`, in no particular order. Removes what dead processes left on
    /// its way in; leaves alone what it cannot read the name of.
    ///
    /// # Errors
    /// The volume failed.
    pub async fn scan(&self) -> Result<Vec<Staged>, Error> {
        match &self.folder {
            Some(folder) => folder.scan().await,
            None => Ok(Vec::new()),
        }
    }

    /// What lies in the object store below `.incoming` of one recording, at most `limit`. `now` is the database's clock;
    /// an object whose time the store does not tell has no age.
    ///
    /// # Errors
    /// The store cannot list.
    pub async fn list(
        &self,
        owner: &OwnerId,
        recording: &RecordingId,
        limit: usize,
        now: DateTime<Utc>,
    ) -> Result<Vec<Staged>, Error> {
        let mut listing = self.store.list(&Keys::new(owner, recording).incoming_prefix()).await?;
        let listed = listing.page(limit).await?;
        let staged = listed.into_iter().filter_map(|listed| {
            let uri = Uri::of_key(owner, recording, &listed.key)?;
            let age = listed.modified_at.and_then(|at| (now - at).to_std().ok()).unwrap_or_default();
            Some(Staged { uri, size_bytes: listed.size_bytes, age })
        });
        Ok(staged.collect())
    }

    fn folder(&self, uri: &Uri) -> Result<&Folder, Error> {
        self.folder.as_ref().ok_or_else(|| Error::Elsewhere { object: uri.to_string() })
    }
}

/// One body on its way in: written and hashed. Dropped before `commit`, it leaves nothing.
pub struct Incoming {
    to: To,
    hasher: sha2::Sha256,
    size_bytes: u64,
}

enum To {
    Folder(Box<incoming::Incoming>),
    Store(Box<objects::Incoming>),
}

impl Incoming {
    /// Appends bytes of the body.
    ///
    /// # Errors
    /// [`Error::Full`] when the volume has no room left; this can only be dropped then.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        self.size_bytes += bytes.len() as u64;
        match &mut self.to {
            To::Folder(incoming) => incoming.write(bytes).await,
            To::Store(incoming) => incoming.write(bytes).await,
        }
    }

    /// Length of what was written so far.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Digest of what was written so far.
    pub fn sha256(&self) -> Sha256 {
        Sha256(self.hasher.clone().finalize().into())
    }

    /// Makes the bytes durable under a name that tells whose they are.
    ///
    /// # Errors
    /// The volume or the store failed; nothing is left then, or what is left is found without a row.
    pub async fn commit(self) -> Result<Uri, Error> {
        let sha256 = self.sha256();
        match self.to {
            To::Folder(incoming) => incoming.commit(sha256).await,
            To::Store(incoming) => incoming.commit().await,
        }
    }
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("size_bytes", &self.size_bytes).finish_non_exhaustive()
    }
}
