//! An object of which ranges can be asked for, read like a file.
//!
//! A demuxer reads a header, then jumps to a key frame, reads on a little and jumps again; each range may cost a request
//! to a store. So a jump fetches about a picture, and whoever reads on gets twice as much each time, up to a bound: a
//! few requests for each place, and one window in memory.

use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};

/// Fetched behind a jump: a key frame of 1080p is half of it.
const FIRST_BYTES: u64 = 512 << 10;

/// Largest window: the header of eight hours, some 16 MiB, takes eight fetches.
pub const WINDOW_BYTES_MAX: u64 = 4 << 20;

/// Reads ranges through `fetch`, which is given the first byte and a length and gives exactly so many bytes.
pub struct Ahead<F> {
    fetch: F,
    size_bytes: u64,
    at: u64,
    window_at: u64,
    window: Vec<u8>,
    next_bytes: u64,
}

impl<F: FnMut(u64, u64) -> Result<Vec<u8>>> Ahead<F> {
    /// An object of `size_bytes` bytes; nothing is fetched yet.
    pub fn new(size_bytes: u64, fetch: F) -> Ahead<F> {
        Ahead { fetch, size_bytes, at: 0, window_at: 0, window: Vec::new(), next_bytes: FIRST_BYTES }
    }

    fn window_end(&self) -> u64 {
        self.window_at + self.window.len() as u64
    }

    /// Makes the window hold the byte at the place of reading.
    fn fill(&mut self) -> Result<()> {
        let reads_on = self.at == self.window_end() && !self.window.is_empty();
        self.next_bytes = if reads_on { (self.next_bytes * 2).min(WINDOW_BYTES_MAX) } else { FIRST_BYTES };
        let wanted = self.next_bytes.min(self.size_bytes - self.at);
        // The old one goes first: there is never more than one.
        self.window = Vec::new();
        self.window_at = self.at;
        let window = (self.fetch)(self.at, wanted)?;
        if window.len() as u64 != wanted {
            // Not `UnexpectedEof`: libavformat would take that for the end of the file and call it good.
            return Err(Error::new(ErrorKind::InvalidData, "another length than asked for"));
        }
        self.window = window;
        Ok(())
    }
}

impl<F: FnMut(u64, u64) -> Result<Vec<u8>>> Read for Ahead<F> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.at >= self.size_bytes || buffer.is_empty() {
            return Ok(0);
        }
        if !(self.window_at..self.window_end()).contains(&self.at) {
            self.fill()?;
        }
        let skip = usize::try_from(self.at - self.window_at).map_err(Error::other)?;
        let there = &self.window[skip..];
        let read = there.len().min(buffer.len());
        buffer[..read].copy_from_slice(&there[..read]);
        self.at += read as u64;
        Ok(read)
    }
}

impl<F> Seek for Ahead<F> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size_bytes.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "before the first byte"))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was asked for, while `work` reads an object of `size_bytes` bytes.
    fn asked(size_bytes: u64, work: impl FnOnce(&mut dyn Reading)) -> Vec<(u64, u64)> {
        let mut asked = Vec::new();
        let mut ahead = Ahead::new(size_bytes, |at, len| {
            asked.push((at, len));
            Ok((at..at + len).map(|n| n as u8).collect())
        });
        work(&mut ahead);
        asked
    }

    trait Reading: Read + Seek {}
    impl<T: Read + Seek> Reading for T {}

    #[test]
    fn reading_on_fetches_more_each_time_up_to_a_bound() {
        let asked = asked(20 << 20, |ahead| {
            let mut bytes = Vec::new();
            ahead.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len(), 20 << 20);
            assert!(bytes.iter().enumerate().all(|(n, byte)| *byte == n as u8));
        });
        let lengths: Vec<u64> = asked.iter().map(|(_, len)| len >> 10).collect();
        assert_eq!(lengths, [512, 1024, 2048, 4096, 4096, 4096, 4096, 512]);
        assert!(asked.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0));
    }

    #[test]
    fn jump_inside_the_window_costs_nothing_and_outside_begins_small() {
        let asked = asked(100 << 20, |ahead| {
            for at in [0, 500_000, 10, 50 << 20, (50 << 20) + 400_000, 100 << 20, (100 << 20) - 10] {
                ahead.seek(SeekFrom::Start(at)).unwrap();
                let mut byte = [0; 1];
                let read = ahead.read(&mut byte).unwrap();
                assert_eq!((read, byte[0]), if at == 100 << 20 { (0, 0) } else { (1, at as u8) });
            }
            assert_eq!(ahead.seek(SeekFrom::End(-3)).unwrap(), (100 << 20) - 3);
            assert_eq!(ahead.seek(SeekFrom::Current(2)).unwrap(), (100 << 20) - 1);
            assert!(ahead.seek(SeekFrom::Current(-(200 << 20))).is_err());
        });
        assert_eq!(asked, [(0, FIRST_BYTES), (50 << 20, FIRST_BYTES), ((100 << 20) - 10, 10)]);
    }

    #[test]
    fn failed_or_short_fetch_is_an_error_and_never_the_end() {
        for answer in [None, Some(vec![1, 2])] {
            let mut ahead = Ahead::new(1000, |_, _| answer.clone().ok_or_else(|| Error::other("away")));
            let error = ahead.read(&mut [0; 10]).unwrap_err();
            assert_ne!(error.kind(), ErrorKind::UnexpectedEof);
        }
    }
}
