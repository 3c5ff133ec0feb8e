//! Where acknowledged bytes wait for the store.
//!
//! Owns the bytes between the moment a segment is acknowledged and the moment the store has it: they are synced
//! before the answer, their name tells whose they are, and nothing removes them but `remove`. It decides nothing and
//! knows no rows. Bytes on their way in lie under a name of their own and vanish when they are not committed.
//!
//! One mode so far, `local`: one volume, seen by the process that accepts and by those that work `ingest`. The folder
//! carries an id, and only processes whose folder carries the registered id bring bytes into the store.

mod incoming;
mod uri;

pub use incoming::Incoming;
pub use uri::{InvalidUri, Uri};

use crate::db;
use bytesize::ByteSize;
use domain::id::RecordingId;
use domain::retry::{Classify, Fault};
use domain::segment::{Name, Track};
use sea_orm::DatabaseConnection;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::Mutex;

/// Folder of committed bytes: flat, because a folder for each recording would have to be synced when it is made and
/// could vanish under the next segment when it is emptied.
const RECEIVED: &str = "received";

/// Folder of bytes on their way in.
const INCOMING: &str = "incoming";

/// File that carries the folder's id.
const ID_FILE: &str = "spool-staging-id";

/// What a process that died left on its way in is removed after this: far longer than any body may take.
const INCOMING_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long a count of the waiting bytes is believed; in between only what comes in is added, so it errs upwards.
const USAGE_AGE_MAX: Duration = Duration::from_secs(5);

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

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Error::Full { .. } | Error::Volume { .. } => Fault::Transient,
            Error::NotFound { .. } | Error::Foreign { .. } => Fault::Permanent,
            Error::Database(source) => source.fault(),
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Error::Database(source) => source.class(),
            Error::Full { .. } | Error::NotFound { .. } | Error::Volume { .. } | Error::Foreign { .. } => "staging",
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

/// Where acknowledged bytes wait. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Staging {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    id: uuid::Uuid,
    size_max: u64,
    free_min: u64,
    usage: Mutex<Usage>,
    /// Another folder took over at the last look: what came in here would wait for ever.
    foreign: AtomicBool,
}

#[derive(Debug)]
struct Usage {
    bytes: u64,
    counted: Option<Instant>,
}

impl Staging {
    /// Makes the folder, gives it an id and registers the id if none is, or if the registered folder is given up.
    ///
    /// # Errors
    /// The folder cannot be made or the database does not answer. That another folder is registered is no error here:
    /// such a process does not work `ingest` ([`Staging::is_registered`]) and must not accept
    /// ([`Staging::require_registered`]).
    pub async fn open(config: &Config, db: &DatabaseConnection) -> Result<Staging, Error> {
        match config.mode {
            Mode::Local => {}
        }
        let dir = config.dir.clone();
        let prepared =
            tokio::task::spawn_blocking(move || prepare(&dir)).await.expect("making a folder does not panic");
        let (dir, id) = prepared.map_err(|source| Error::of("open", config.dir.display(), source))?;
        let usage = Mutex::new(Usage { bytes: 0, counted: None });
        let (size_max, free_min) = (config.size_max.0, config.free_min.0);
        let staging = Staging {
            shared: Arc::new(Shared { dir, id, size_max, free_min, usage, foreign: AtomicBool::new(false) }),
        };
        staging.register(db).await?;
        Ok(staging)
    }

    /// Registers the folder's id, or says that it is still in use. `serve` repeats it every quarter of a minute. False
    /// when another folder is the registered one: then nothing more is taken in here.
    ///
    /// # Errors
    /// The database does not answer; then the last answer holds.
    pub async fn register(&self, db: &DatabaseConnection) -> Result<bool, Error> {
        let ours = db::settings::register_staging(db, self.shared.id).await.map_err(Error::Database)?;
        self.shared.foreign.store(!ours, Ordering::Relaxed);
        Ok(ours)
    }

    /// Whether this process's folder is the registered one: only then may it work `ingest`.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn is_registered(&self, db: &DatabaseConnection) -> Result<bool, Error> {
        let registered = db::settings::staging(db).await.map_err(Error::Database)?;
        Ok(registered == Some(self.shared.id))
    }

    /// Refuses to go on unless this process's folder is the registered one.
    ///
    /// # Errors
    /// [`Error::Foreign`] when it is not.
    pub async fn require_registered(&self, db: &DatabaseConnection) -> Result<(), Error> {
        let registered = db::settings::staging(db).await.map_err(Error::Database)?;
        if registered == Some(self.shared.id) {
            return Ok(());
        }
        Err(self.foreign(registered.map_or_else(|| "unknown".to_owned(), |id| id.to_string())))
    }

    fn foreign(&self, registered: String) -> Error {
        Error::Foreign { dir: self.shared.dir.clone(), own: self.shared.id, registered }
    }

    /// Makes room for `size_bytes` bytes that are on their way in.
    ///
    /// # Errors
    /// [`Error::Full`] when there is none, [`Error::Foreign`] when another folder has taken over.
    pub async fn receive(
        &self,
        recording: &RecordingId,
        track: Track,
        name: Name,
        size_bytes: u64,
    ) -> Result<Incoming, Error> {
        if self.shared.foreign.load(Ordering::Relaxed) {
            return Err(self.foreign("another one".to_owned()));
        }
        let object = format!("{recording}/{track}/{name}");
        self.reserve(&object, size_bytes).await?;
        let aside = self.shared.dir.join(INCOMING).join(uuid::Uuid::new_v4().simple().to_string());
        Incoming::begin(aside, self.shared.dir.join(RECEIVED), recording.clone(), track, name, object).await
    }

    /// The staged bytes and their length.
    ///
    /// # Errors
    /// [`Error::NotFound`] when they are gone; [`Error::Volume`] when the folder itself is.
    pub async fn open_bytes(&self, uri: &Uri) -> Result<(tokio::fs::File, u64), Error> {
        let wrong = |source| Error::of("open", uri, source);
        let file = match tokio::fs::File::open(self.path(uri)).await {
            Err(source) if source.kind() == std::io::ErrorKind::NotFound && !self.is_there().await => {
                return Err(Error::Volume { operation: "open", object: uri.to_string(), source });
            }
            opened => opened.map_err(wrong)?,
        };
        let size_bytes = file.metadata().await.map_err(wrong)?.len();
        Ok((file, size_bytes))
    }

    /// Whether the staged bytes are there.
    ///
    /// # Errors
    /// The volume failed.
    pub async fn contains(&self, uri: &Uri) -> Result<bool, Error> {
        tokio::fs::try_exists(self.path(uri)).await.map_err(|source| Error::of("look for", uri, source))
    }

    /// Removes staged bytes; those that are not there are no error, so that it can be repeated.
    ///
    /// # Errors
    /// The volume failed.
    pub async fn remove(&self, uri: &Uri) -> Result<(), Error> {
        match tokio::fs::remove_file(self.path(uri)).await {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::of("remove", uri, source)),
            _ => Ok(()),
        }
    }

    /// Everything that waits, in no particular order. Removes what dead processes left on its way in; leaves alone what
    /// it cannot read the name of.
    ///
    /// # Errors
    /// The volume failed.
    pub async fn scan(&self) -> Result<Vec<Staged>, Error> {
        let shared = Arc::clone(&self.shared);
        let scanned = tokio::task::spawn_blocking(move || scan(&shared.dir)).await.expect("a scan does not panic");
        scanned.map_err(|source| Error::of("scan", self.shared.dir.display(), source))
    }

    /// Whether the folder is the one that was opened. A volume that is not mounted any more looks like an empty folder:
    /// nothing in it is gone, it cannot be seen.
    async fn is_there(&self) -> bool {
        let id = tokio::fs::read_to_string(self.shared.dir.join(ID_FILE)).await;
        id.is_ok_and(|text| text.trim() == self.shared.id.to_string())
    }

    fn path(&self, uri: &Uri) -> PathBuf {
        self.shared.dir.join(RECEIVED).join(uri.file_name())
    }

    async fn reserve(&self, object: &str, size_bytes: u64) -> Result<(), Error> {
        let full = || Error::Full { object: object.to_owned() };
        let space = rustix::fs::statvfs(&self.shared.dir);
        let space = space.map_err(|errno| Error::of("measure", self.shared.dir.display(), errno.into()))?;
        if space.f_bavail.saturating_mul(space.f_frsize) < self.shared.free_min.saturating_add(size_bytes) {
            return Err(full());
        }
        let mut usage = self.shared.usage.lock().await;
        if usage.counted.is_none_or(|at| at.elapsed() > USAGE_AGE_MAX) {
            usage.bytes = self.scan().await?.iter().map(|staged| staged.size_bytes).sum();
            usage.counted = Some(Instant::now());
        }
        if usage.bytes.saturating_add(size_bytes) > self.shared.size_max {
            return Err(full());
        }
        usage.bytes += size_bytes;
        Ok(())
    }
}

/// Makes the folder and reads or writes its id.
fn prepare(dir: &Path) -> std::io::Result<(PathBuf, uuid::Uuid)> {
    for folder in [RECEIVED, INCOMING] {
        std::fs::create_dir_all(dir.join(folder))?;
    }
    let dir = std::fs::canonicalize(dir)?;
    let path = dir.join(ID_FILE);
    if !path.exists() {
        // Two processes may start on an empty folder at once: each writes its own file aside, and a link, which never
        // replaces, lets exactly one of them become the id.
        let id = uuid::Uuid::new_v4();
        let aside = dir.join(INCOMING).join(id.simple().to_string());
        std::fs::write(&aside, id.to_string())?;
        std::fs::File::open(&aside)?.sync_all()?;
        match std::fs::hard_link(&aside, &path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => std::fs::remove_file(&aside)?,
        }
        std::fs::File::open(&dir)?.sync_all()?;
    }
    let text = std::fs::read_to_string(&path)?;
    let id = uuid::Uuid::parse_str(text.trim());
    let id = id.map_err(|error| {
        std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
    })?;
    Ok((dir, id))
}

fn scan(dir: &Path) -> std::io::Result<Vec<Staged>> {
    let mut staged = Vec::new();
    for entry in std::fs::read_dir(dir.join(RECEIVED))? {
        let entry = entry?;
        let Some(uri) = entry.file_name().to_str().and_then(Uri::of_file_name) else { continue };
        // Removed between the two looks: it no longer waits.
        let Ok(meta) = entry.metadata() else { continue };
        staged.push(Staged { uri, size_bytes: meta.len(), age: age(&meta) });
    }
    for entry in std::fs::read_dir(dir.join(INCOMING))? {
        let entry = entry?;
        if entry.metadata().is_ok_and(|meta| age(&meta) > INCOMING_AGE_MAX)
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::debug!(error = %error, "old incoming bytes not removed");
        }
    }
    Ok(staged)
}

/// Time since a file was written; zero when its time lies ahead.
fn age(meta: &std::fs::Metadata) -> Duration {
    meta.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default()
}
