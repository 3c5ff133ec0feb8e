//! A few bytes anywhere in a stream, read through one window that moves on.

#![forbid(unsafe_code)]

use std::io::{self, Read, Seek, SeekFrom};

/// A block of a picture of low quality fits; a larger one is jumped over.
const WINDOW_BYTES: usize = 64 << 10;

/// A window of a stream.
pub(crate) struct Window<R> {
    reader: R,
    size_bytes: u64,
    at: u64,
    bytes: Vec<u8>,
}

impl<R: Read + Seek> Window<R> {
    pub(crate) fn of(reader: R, size_bytes: u64) -> Window<R> {
        Window { reader, size_bytes, at: 0, bytes: Vec::new() }
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// At most `len` bytes from `at` on; fewer at the end of the stream only.
    pub(crate) fn peek(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let there = usize::try_from(self.size_bytes.saturating_sub(at)).unwrap_or(usize::MAX).min(len);
        let inside = at >= self.at && at - self.at + there as u64 <= self.bytes.len() as u64;
        if !inside {
            self.fill(at)?;
        }
        let from = (at - self.at) as usize;
        Ok(self.bytes.get(from..from + there).unwrap_or_default())
    }

    /// What there is in the window from `at` on: at least a byte, unless the stream ends there.
    pub(crate) fn rest(&mut self, at: u64) -> io::Result<&[u8]> {
        self.peek(at, 1)?;
        Ok(self.bytes.get((at - self.at) as usize..).unwrap_or_default())
    }

    /// An unsigned integer of at most eight bytes, the first one the highest (RFC 8794, 7.2).
    pub(crate) fn unsigned(&mut self, at: u64, len: usize) -> io::Result<Option<u64>> {
        let bytes = self.peek(at, len)?;
        let whole = bytes.len() == len && len <= 8;
        Ok(whole.then(|| bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))))
    }

    fn fill(&mut self, at: u64) -> io::Result<()> {
        self.bytes.clear();
        self.at = at;
        self.reader.seek(SeekFrom::Start(at))?;
        let wanted = self.size_bytes.saturating_sub(at).min(WINDOW_BYTES as u64);
        let read = self.reader.by_ref().take(wanted).read_to_end(&mut self.bytes)?;
        // Less than the length that was told: whatever is read next would be taken for damage.
        if (read as u64) < wanted { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}
