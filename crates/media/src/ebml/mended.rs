//! A stream as it would be if its damages were padding, and its pieces lay in the order of time.

use super::{Order, Survey};
use std::io::{self, Read, Seek, SeekFrom};

/// Identifier of padding (RFC 8794, 11.3.2).
const VOID: u8 = 0xec;

/// Reads a stream so: the heads of padding stand where damages begin, and clusters that were cut leave their length open.
/// Every other byte is as it is.
#[derive(Debug)]
pub struct Mended<R> {
    reader: R,
    /// Where bytes differ from the stream's, by its own places, ascending.
    patches: Vec<(u64, Vec<u8>)>,
    order: Order,
    at: u64,
    /// Where the reader stands, so that reading on costs no seek.
    reader_at: Option<u64>,
}

impl<R: Read + Seek> Mended<R> {
    /// Of what a walk over the same bytes has found.
    pub fn of(reader: R, survey: &Survey, order: Order) -> Mended<R> {
        let mut patches = Vec::new();
        for &(at, bytes) in &survey.clusters_cut {
            // All bits set: of unknown length (RFC 8794, 6.2).
            let mut open = vec![0xff; usize::from(bytes)];
            open[0] = 0xff >> (bytes - 1);
            patches.push((at, open));
        }
        for damage in &survey.damages {
            // Padding may not lie across two pieces: they may be put apart.
            patches.extend(order.parts_of(damage).filter_map(|(from, to)| Some((from, void(to - from)?))));
        }
        patches.sort_unstable();
        Mended { reader, patches, order, at: 0, reader_at: None }
    }
}

/// The head of padding of `len` bytes in all; `None` for what is too short for one, which the order leaves out.
fn void(len: u64) -> Option<Vec<u8>> {
    match len {
        0 | 1 => None,
        2..=128 => Some(vec![VOID, 0x80 | (len - 2) as u8]),
        _ => {
            let coded = (len - 9) | 1 << 56;
            Some([&[VOID][..], &coded.to_be_bytes()].concat())
        }
    }
}

impl<R: Read + Seek> Read for Mended<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some((at, len)) = self.order.source_of(self.at) else { return Ok(0) };
        let wanted = usize::try_from(len).unwrap_or(usize::MAX).min(buffer.len());
        if self.reader_at != Some(at) {
            self.reader.seek(SeekFrom::Start(at))?;
        }
        self.reader_at = None;
        let read = self.reader.read(&mut buffer[..wanted])?;
        self.reader_at = Some(at + read as u64);
        let end = at + read as u64;
        let first = self.patches.partition_point(|(place, bytes)| place + bytes.len() as u64 <= at);
        for (place, bytes) in self.patches[first..].iter().take_while(|(place, _)| *place < end) {
            for (n, byte) in (*place..).zip(bytes) {
                if (at..end).contains(&n) {
                    buffer[(n - at) as usize] = *byte;
                }
            }
        }
        self.at += read as u64;
        Ok(read)
    }
}

impl<R> Seek for Mended<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.order.size_bytes().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "before the first byte"))?;
        Ok(self.at)
    }
}
