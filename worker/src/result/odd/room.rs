//! A scratch of bounded size, and what becomes of those whose process was killed.
//!
//! A container that is started again finds the folder for temporary files as it was left, so the next scratch takes away
//! what nobody uses any more: every one holds a lock as long as its process lives.

use crate::child::Pieces;
use crate::odd::{SCRATCH_PREFIX, Scratch};
use bytes::Bytes;
use domain::segment::{Name, Track};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// File in a scratch that is locked as long as somebody uses it.
const LOCK: &str = "lock";

/// Takes pieces into a scratch until it is full.
#[derive(Debug)]
pub(super) struct Room {
    scratch: Scratch,
    _lock: File,
    taken_bytes: u64,
    max_bytes: u64,
}

impl Room {
    /// A new scratch in `folder` for at most `max_bytes`.
    pub(super) fn new_in(folder: &Path, max_bytes: u64) -> io::Result<Room> {
        take_away_unused(folder)?;
        let scratch = Scratch::new_in(folder)?;
        // Locked before it has its name: nobody may find it free.
        let (aside, lock) = (scratch.path().join("aside"), scratch.path().join(LOCK));
        let file = File::create(&aside)?;
        file.lock()?;
        fs::rename(aside, lock)?;
        Ok(Room { scratch, _lock: file, taken_bytes: 0, max_bytes })
    }

    /// What it would have had to hold, when that was too much.
    pub(super) fn overflow(&self) -> Option<u64> {
        (self.taken_bytes > self.max_bytes).then_some(self.taken_bytes)
    }

    /// What was taken.
    pub(super) fn scratch(&self) -> &Scratch {
        &self.scratch
    }
}

/// Takes away scratches of processes that are gone. One without a lock is another command's, or not ready yet.
fn take_away_unused(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(SCRATCH_PREFIX) {
            continue;
        }
        // Whoever does the same at the same time may have been quicker.
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(error = %error, "scratch of a process that is gone is left behind");
        }
    }
    Ok(())
}

impl Pieces for Room {
    async fn take(&mut self, track: Track, name: Name, bytes: Bytes) -> io::Result<()> {
        self.taken_bytes = self.taken_bytes.saturating_add(bytes.len() as u64);
        if self.overflow().is_some() {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        self.scratch.take(track, name, bytes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_is_given_up_when_it_turns_out_too_small() {
        let folder = tempfile::tempdir().unwrap();
        let mut room = Room::new_in(folder.path(), 10).unwrap();
        room.take(Track::Audio, Name::Init, Bytes::from_static(b"123456")).await.unwrap();
        room.take(Track::Audio, Name::Media(1), Bytes::from_static(b"7890")).await.unwrap();
        assert_eq!(room.overflow(), None);
        room.take(Track::Audio, Name::Media(2), Bytes::from_static(b"1")).await.unwrap_err();
        assert_eq!(room.overflow(), Some(11));
        let has = |index| room.scratch().has(Track::Audio, Name::Media(index));
        assert_eq!((has(1), has(2)), (true, false));
        drop(room);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn scratch_of_a_process_that_is_gone_is_taken_away_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let old = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.join("audio")).unwrap();
            path
        };
        let (gone, foreign) = (old(".spool-scratch-gone"), old(".spool-scratch-foreign"));
        fs::write(gone.join(LOCK), b"").unwrap();
        let used = Room::new_in(folder.path(), 10).unwrap();
        let other = Room::new_in(folder.path(), 10).unwrap();
        assert!(!gone.exists() && foreign.exists());
        assert!(used.scratch().path().exists() && other.scratch().path().exists());
    }
}
