//! Writing a result past the page cache.
//!
//! A result is written once, from front to back, made durable, and read by others later, if at all on this machine. By way
//! of the page cache each of its bytes is copied into a fresh page, which costs more than everything else that a mux does,
//! pushes out what is read all the time, and still has to go to the disk before the file appears. Written directly, the
//! disk works while the next bytes are gathered, and there is nothing left to wait for at the end.
//! Where the system or the file system has no such writes, the file is written as any other.

#![forbid(unsafe_code)]

use super::blocking;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Memory, lengths and places in the file are multiples of this: the largest block of a disk in use.
const ALIGNMENT_BYTES: usize = 4 << 10;

/// Written at once. There are two of them, one that is gathered and one that is written; with half of it the disk waits
/// for us, and twice as much is no faster.
const BLOCK_BYTES: usize = 2 << 20;

/// Writes one file from its beginning.
#[derive(Debug)]
pub(super) struct Direct {
    /// The file, opened for such writes.
    direct: Arc<File>,
    /// The same file: for its end, which is no whole block.
    plain: Arc<File>,
    /// Given up by a flush, since mostly nothing follows it.
    gathered: Option<Block>,
    /// What was gathered when it was given up, and begins the next one.
    flushed: Vec<u8>,
    /// Where the gathered block belongs.
    at: u64,
    under_way: Option<JoinHandle<io::Result<Block>>>,
}

impl Direct {
    /// `None` where the file at `path`, open as `plain` and empty, cannot be written so.
    pub(super) fn open(path: &Path, plain: &Arc<File>) -> Option<Direct> {
        let direct = Arc::new(open(path).ok()?);
        let plain = Arc::clone(plain);
        Some(Direct { direct, plain, gathered: None, flushed: Vec::new(), at: 0, under_way: None })
    }

    /// Appends the pieces. They may not be seen by others before [`Direct::flush`].
    pub(super) async fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        for piece in pieces {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let mut gathered =
                    self.gathered.take().unwrap_or_else(|| Block::of(&std::mem::take(&mut self.flushed)));
                rest = gathered.take(rest);
                if gathered.len == BLOCK_BYTES {
                    gathered = self.hand_off(gathered).await?;
                }
                self.gathered = Some(gathered);
            }
        }
        Ok(())
    }

    /// Has the gathered block written while the next one is gathered, which it gives.
    async fn hand_off(&mut self, full: Block) -> io::Result<Block> {
        let empty = self.written().await?.unwrap_or_else(Block::new);
        let (direct, plain, at) = (Arc::clone(&self.direct), Arc::clone(&self.plain), self.at);
        self.at += full.len as u64;
        self.under_way = Some(tokio::task::spawn_blocking(move || {
            match direct.write_all_at(full.bytes(), at) {
                // A disk with other blocks than any we know.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => plain.write_all_at(full.bytes(), at)?,
                written => written?,
            }
            Ok(full.emptied())
        }));
        Ok(empty)
    }

    /// Waits for the block under way, and gives it to be filled again.
    async fn written(&mut self) -> io::Result<Option<Block>> {
        match &mut self.under_way {
            None => Ok(None),
            Some(under_way) => {
                let written = under_way.await;
                self.under_way = None;
                written.map_err(io::Error::other)?.map(Some)
            }
        }
    }

    /// Writes what is gathered, the end of the file among it. More may be appended afterwards.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.written().await?;
        let (plain, at) = (Arc::clone(&self.plain), self.at);
        let Some(gathered) = self.gathered.take() else { return Ok(()) };
        let tail = gathered.bytes().to_vec();
        drop(gathered);
        let written = blocking(move || plain.write_all_at(&tail, at).map(|()| tail));
        self.flushed = written.await?;
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let direct = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).map_err(io::Error::other)?;
    File::options().write(true).custom_flags(direct).open(path)
}

#[cfg(not(target_os = "linux"))]
fn open(_: &Path) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Memory that begins at a multiple of the alignment.
#[derive(Debug)]
struct Block {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Block {
    fn new() -> Block {
        let memory = vec![0; BLOCK_BYTES + ALIGNMENT_BYTES];
        // Where it cannot be told the write is refused, and made the plain way.
        let start = memory.as_ptr().align_offset(ALIGNMENT_BYTES).min(ALIGNMENT_BYTES);
        Block { memory, start, len: 0 }
    }

    /// One that begins with these bytes, fewer than a block.
    fn of(bytes: &[u8]) -> Block {
        let mut block = Block::new();
        block.take(bytes);
        block
    }

    /// Appends as many of the bytes as there is room for, and gives the others back.
    fn take<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.len));
        let from = self.start + self.len;
        self.memory[from..from + now.len()].copy_from_slice(now);
        self.len += now.len();
        later
    }

    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }

    fn emptied(self) -> Block {
        Block { len: 0, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths around those of blocks, given in pieces of every kind: the file is what was given, and grows after a flush.
    #[tokio::test]
    async fn file_is_what_was_given() {
        let folder = tempfile::tempdir().unwrap();
        for (n, len) in [0, 1, 4095, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 5].into_iter().enumerate() {
            let path = folder.path().join(n.to_string());
            let plain = Arc::new(File::create(&path).unwrap());
            // A folder in memory may have none.
            let Some(mut direct) = Direct::open(&path, &plain) else { return };
            let bytes: Bytes = (0..len).map(|n| (n % 251) as u8).collect::<Vec<_>>().into();
            let half = bytes.len() / 2;
            direct.write(&[bytes.slice(..half / 3), bytes.slice(half / 3..half)]).await.unwrap();
            direct.flush().await.unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes[..half]);
            direct.write(&[bytes.slice(half..)]).await.unwrap();
            direct.flush().await.unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }
}
