//! An object in memory: bytes, and zeros behind them as far as it reaches.

use bytes::Bytes;
use futures_util::FutureExt as _;
use media::readback::{Error, RangedReader, Readback};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what is read of it.
#[derive(Debug)]
pub struct Memory {
    /// Its first bytes.
    pub bytes: Bytes,
    /// Length of the object.
    pub size_bytes: u64,
    read_bytes: AtomicU64,
    reads: AtomicU64,
}

impl Memory {
    /// An object of `size_bytes` that begins with `bytes`.
    pub fn new(bytes: impl Into<Bytes>, size_bytes: u64) -> Memory {
        Memory { bytes: bytes.into(), size_bytes, read_bytes: AtomicU64::new(0), reads: AtomicU64::new(0) }
    }

    /// Reads it back as a result.
    pub fn read_back(&self) -> Result<Readback, Error<io::Error>> {
        let read = media::readback::read(self, self.size_bytes);
        read.now_or_never().expect("memory answers at once")
    }

    /// Bytes and calls so far.
    pub fn read(&self) -> (u64, u64) {
        (self.read_bytes.load(Ordering::Relaxed), self.reads.load(Ordering::Relaxed))
    }
}

impl RangedReader for Memory {
    type Error = io::Error;

    async fn read(&self, at: u64, len: u64) -> Result<Bytes, io::Error> {
        assert!(at.checked_add(len).is_some_and(|end| end <= self.size_bytes), "asked for bytes behind the end");
        self.read_bytes.fetch_add(len, Ordering::Relaxed);
        self.reads.fetch_add(1, Ordering::Relaxed);
        let there = self.bytes.len() as u64;
        let (from, to) = (at.min(there) as usize, (at + len).min(there) as usize);
        if (to - from) as u64 == len {
            return Ok(self.bytes.slice(from..to));
        }
        let mut read = self.bytes[from..to].to_vec();
        read.resize(len as usize, 0);
        Ok(Bytes::from(read))
    }
}
