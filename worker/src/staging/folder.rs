//! The folder of mode `local`: one volume, seen by the process that accepts and by those that work `ingest`.

use super::incoming::Incoming;
use super::{Config, Error, Staged, Uri};
use crate::db;
use domain::id::RecordingId;
use domain::segment::{Name, Track};
use sea_orm::DatabaseConnection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
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

/// One staging folder. It carries an id, and only processes whose folder carries the registered id take in and bring bytes
/// into the store. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Folder {
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

impl Folder {
    /// Makes the folder, gives it an id and registers the id if none is, or if the registered folder is given up.
    pub(super) async fn open(config: &Config, db: &DatabaseConnection) -> Result<Folder, Error> {
        let dir = config.dir.clone();
        let prepared =
            tokio::task::spawn_blocking(move || prepare(&dir)).await.expect("making a folder does not panic");
        let (dir, id) = prepared.map_err(|source| Error::of("open", config.dir.display(), source))?;
        let usage = Mutex::new(Usage { bytes: 0, counted: None });
        let (size_max, free_min) = (config.size_max.0, config.free_min.0);
        let shared = Shared { dir, id, size_max, free_min, usage, foreign: AtomicBool::new(false) };
        let folder = Folder { shared: Arc::new(shared) };
        folder.register(db).await?;
        Ok(folder)
    }

    pub(super) async fn register(&self, db: &DatabaseConnection) -> Result<bool, Error> {
        let ours = db::settings::register_staging(db, self.shared.id).await.map_err(Error::Database)?;
        self.shared.foreign.store(!ours, Ordering::Relaxed);
        Ok(ours)
    }

    pub(super) async fn is_registered(&self, db: &DatabaseConnection) -> Result<bool, Error> {
        let registered = db::settings::staging(db).await.map_err(Error::Database)?;
        Ok(registered == Some(self.shared.id))
    }

    pub(super) async fn require_registered(&self, db: &DatabaseConnection) -> Result<(), Error> {
        let registered = db::settings::staging(db).await.map_err(Error::Database)?;
        if registered == Some(self.shared.id) {
            return Ok(());
        }
        Err(self.foreign(registered.map_or_else(|| "unknown".to_owned(), |id| id.to_string())))
    }

    fn foreign(&self, registered: String) -> Error {
        Error::Foreign { dir: self.shared.dir.clone(), own: self.shared.id, registered }
    }

    pub(super) async fn receive(
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

    /// The staged bytes and their length. A folder that is away is not one whose bytes are gone.
    pub(super) async fn open_bytes(&self, uri: &Uri) -> Result<(tokio::fs::File, u64), Error> {
        let wrong = |source| Error::of("open", uri, source);
        let file = match tokio::fs::File::open(self.path(uri)?).await {
            Err(source) if source.kind() == std::io::ErrorKind::NotFound && !self.is_there().await => {
                return Err(Error::Volume { operation: "open", object: uri.to_string(), source });
            }
            opened => opened.map_err(wrong)?,
        };
        let size_bytes = file.metadata().await.map_err(wrong)?.len();
        Ok((file, size_bytes))
    }

    pub(super) async fn remove(&self, uri: &Uri) -> Result<(), Error> {
        match tokio::fs::remove_file(self.path(uri)?).await {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::of("remove", uri, source)),
            _ => Ok(()),
        }
    }

    pub(super) async fn scan(&self) -> Result<Vec<Staged>, Error> {
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

    fn path(&self, uri: &Uri) -> Result<PathBuf, Error> {
        let name = uri.file_name().ok_or_else(|| Error::Elsewhere { object: uri.to_string() })?;
        Ok(self.shared.dir.join(RECEIVED).join(name))
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
