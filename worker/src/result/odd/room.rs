//! A scratch of bounded size.

use crate::child::Pieces;
use crate::odd::Scratch;
use bytes::Bytes;
use domain::segment::{Name, Track};
use std::io;
use std::path::Path;

/// Takes pieces into a scratch until it is full.
#[derive(Debug)]
pub(super) struct Room {
    scratch: Scratch,
    taken_bytes: u64,
    max_bytes: u64,
}

impl Room {
    /// A new scratch in `folder` for at most `max_bytes`.
    pub(super) fn new_in(folder: &Path, max_bytes: u64) -> io::Result<Room> {
        Ok(Room { scratch: Scratch::new_in(folder)?, taken_bytes: 0, max_bytes })
    }

    /// What it would have had to hold, when that was too much.
    pub(super) fn overflow(&self) -> Option<u64> {
        (self.taken_bytes > self.max_bytes).then_some(self.taken_bytes)
    }

    /// What was taken.
    pub(super) fn into_scratch(self) -> Scratch {
        self.scratch
    }
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
        let scratch = room.into_scratch();
        assert!(scratch.has(Track::Audio, Name::Media(1)) && !scratch.has(Track::Audio, Name::Media(2)));
        drop(scratch);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
