//! Memory that segments are read into, used again and again.
//!
//! Fresh memory costs the kernel a page for every 4 KiB, filled with zeros: for a recording of a gigabyte as much time as
//! reading it.

#![forbid(unsafe_code)]

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes that are kept unused: as much as is read ahead, so that what the writer gives back is what is read next.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Buffers that nobody uses.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// A buffer of `len` bytes with whatever was in it. It comes back when it is dropped.
    pub(super) fn take(self: &Arc<Buffers>, len: usize) -> Buffer {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that fits, so that a segment of sound does not take one that a segment of pictures needs.
        let fitting = kept.iter().enumerate().filter(|(_, bytes)| bytes.len() >= len);
        let fitting = fitting.min_by_key(|(_, bytes)| bytes.len()).map(|(n, _)| n);
        let bytes = fitting.map(|n| kept.swap_remove(n));
        drop(kept);
        Buffer { bytes: bytes.unwrap_or_else(|| vec![0; len]), len, home: Arc::clone(self) }
    }

    fn give_back(&self, bytes: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(bytes);
        // Those that came back first go first: segments grow or shrink in the course of a recording, and buffers with them.
        while kept.iter().map(Vec::len).sum::<usize>() > KEPT_BYTES_MAX {
            kept.remove(0);
        }
    }
}

/// Bytes that belong to somebody until they are dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    home: Arc<Buffers>,
}

impl Buffer {
    /// Shortens it to `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_is_used_again_and_never_longer_than_asked_for() {
        let buffers = Arc::new(Buffers::default());
        let mut first = buffers.take(100);
        first.fill(7);
        let place = first.as_ptr();
        drop(first);
        let second = buffers.take(60);
        assert_eq!((second.as_ptr(), second.len()), (place, 60));
        // In use, so another one is made.
        assert_ne!(buffers.take(60).as_ptr(), place);
    }

    #[test]
    fn unused_memory_is_bounded() {
        let buffers = Arc::new(Buffers::default());
        let taken: Vec<_> = (0..20).map(|_| buffers.take(1 << 20)).collect();
        drop(taken);
        let kept = buffers.0.lock().unwrap();
        assert_eq!(kept.iter().map(Vec::len).sum::<usize>(), KEPT_BYTES_MAX);
    }
}
