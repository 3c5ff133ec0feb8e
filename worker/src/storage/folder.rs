//! What a folder needs beyond its client to be a store: names as durable as bytes, and no folders where no objects are.
//!
//! A server has no folders; here an emptied one stays until somebody takes it away, and the one who does must not take
//! it from under a writer. The story: a writer makes the folder of its key; a cleaner finds the folder empty and takes
//! it away; the writer's rename finds no folder and fails, for no fault of anybody. So a writer holds a lock, shared
//! with all writers, from making the folder to the rename, and a cleaner takes folders away only while it has the lock
//! for itself. Where locks do not work, nobody cleans.

use super::open::ASIDE;
use super::{Error, Op};
use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// The file that is locked, beside what is being written.
pub(super) const LOCK: &str = "lock";

/// Between two looks at a lock that another one has.
const LOOK: Duration = Duration::from_millis(10);

/// A cleaner has it for as long as removing some empty folders takes. After this many looks a writer goes on without:
/// at worst its rename fails and is tried again, and waiting for a process that stands still would be worse.
const WRITER_LOOKS_MAX: u32 = 200;

/// Writers have it for as long as syncing a file takes. After this many looks the empty folders stay, which hurts nobody.
const CLEANER_LOOKS_MAX: u32 = 20;

/// A folder as a store.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: PathBuf,
}

/// As long as it lives, no folder is taken away.
#[derive(Debug)]
pub(super) struct Held(#[expect(dead_code, reason = "closing it gives the lock back")] Option<File>);

impl Folder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where an object lies.
    pub(super) fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// Makes sure that this is still the folder that was opened.
    pub(super) async fn require_there(&self, key: &str) -> Result<(), Error> {
        let looked = tokio::fs::metadata(self.root.join(ASIDE)).await;
        let away = |source| Error::Unavailable { op: Op::Stat, key: key.to_owned(), source: Box::new(source) };
        looked.map(drop).map_err(away)
    }

    /// Makes the folder of a key, and keeps it there until the result is dropped. The root is not made again: where a
    /// volume is not mounted any more, objects written below its mount point would be gone when it is back.
    pub(super) async fn hold(&self, key: &str) -> Result<Held, Error> {
        let refused = |source: io::Error| Error::of_io(Op::Put, key, source);
        if !Path::new(key).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(refused(io::Error::new(io::ErrorKind::PermissionDenied, "the key leads out of the folder")));
        }
        self.require_there(key).await?;
        let held = Held(self.lock(File::try_lock_shared, WRITER_LOOKS_MAX).await);
        let path = self.path(key);
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(refused)?;
        }
        Ok(held)
    }

    /// Syncs every folder between the object and the root: a rename is durable only when the folder it happened in is,
    /// and so is a folder that was made on the way.
    pub(super) async fn sync_names(&self, key: &str) -> Result<(), Error> {
        let (root, path) = (self.root.clone(), self.path(key));
        let sync = move || {
            let mut folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&root));
            folders.try_for_each(|folder| File::open(folder)?.sync_all())
        };
        let synced = tokio::task::spawn_blocking(sync).await.expect("syncing a folder does not panic");
        synced.map_err(|source| Error::of_io(Op::Put, key, source))
    }

    /// Takes away the folders that deleting these objects has left empty, up to the root. Best effort: an empty folder
    /// is seen by no listing.
    pub(super) async fn prune(&self, keys: &[String]) {
        let root = self.root.clone();
        let folders = keys.iter().filter_map(|key| self.path(key).parent().map(Path::to_owned));
        let mut folders: BTreeSet<PathBuf> =
            folders.filter(|folder| folder.starts_with(&root) && *folder != root).collect();
        // Most folders still have objects, and writers need not be kept waiting to see that.
        let empty = move || {
            folders.retain(|folder| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none()));
            folders
        };
        let folders = tokio::task::spawn_blocking(empty).await.expect("looking into folders does not panic");
        if folders.is_empty() {
            return;
        }
        let Some(alone) = self.lock(File::try_lock, CLEANER_LOOKS_MAX).await else { return };
        let prune = move || {
            for folder in folders {
                // The first that is not empty, or not there, ends the way up.
                let mut upwards = folder.ancestors().take_while(|folder| *folder != root);
                let _ = upwards.try_for_each(fs::remove_dir);
            }
            drop(alone);
        };
        tokio::task::spawn_blocking(prune).await.expect("removing folders does not panic");
    }

    /// Tries to lock until it may; `None` when it took too long or cannot be done here.
    async fn lock(&self, try_lock: fn(&File) -> Result<(), TryLockError>, looks_max: u32) -> Option<File> {
        let file = tokio::fs::File::create(self.root.join(ASIDE).join(LOCK)).await.ok()?.into_std().await;
        for _ in 0..looks_max {
            match try_lock(&file) {
                Ok(()) => return Some(file),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK).await,
                Err(TryLockError::Error(_)) => return None,
            }
        }
        None
    }
}
