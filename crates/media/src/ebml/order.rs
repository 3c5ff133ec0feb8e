//! Pieces of a stream in the order of their clusters' times, without those that are copies.

use sha2::{Digest as _, Sha256};
use std::io::{self, Read, Seek, SeekFrom};

/// Which bytes of a stream follow one another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Order {
    /// Where each range lies in the new order, and in the stream; ascending by the former.
    ranges: Vec<Placed>,
    size_bytes: u64,
    /// Copies: the number of the copy, and of what it is a copy of; numbers count pieces from 0.
    pub copies: Vec<(usize, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Placed {
    /// Number of the piece; `None`: what stands before the first one.
    piece: Option<usize>,
    at: u64,
    source_at: u64,
    len: u64,
}

/// Puts pieces that begin at `starts` in order, by the time stamps that a walk has found for them. A piece without one
/// stays behind the one that it follows.
///
/// # Errors
/// Pieces that may be copies of one another cannot be read.
pub fn order(
    mut reader: impl Read + Seek,
    size_bytes: u64,
    starts: &[u64],
    stamps: &[Option<u64>],
) -> io::Result<Order> {
    let end_of = |piece: usize| starts.get(piece + 1).copied().unwrap_or(size_bytes);
    let len_of = |piece: usize| end_of(piece) - starts[piece];
    // Each group begins with a piece that has a time; what stands before the first such piece stays in front.
    let mut groups: Vec<(Option<u64>, Vec<usize>)> = Vec::new();
    for (piece, stamp) in stamps.iter().enumerate().take(starts.len()) {
        match groups.last_mut() {
            Some((_, group)) if stamp.is_none() => group.push(piece),
            _ => groups.push((*stamp, vec![piece])),
        }
    }
    groups.sort_by_key(|(stamp, _)| *stamp);
    let mut copies = Vec::new();
    let mut kept: Vec<(Option<u64>, Vec<usize>)> = Vec::new();
    for (stamp, group) in groups {
        if let Some((before, earlier)) = kept.last()
            && stamp.is_some()
            && *before == stamp
            && len_of(group[0]) == len_of(earlier[0])
            && digest(&mut reader, starts[group[0]], len_of(group[0]))?
                == digest(&mut reader, starts[earlier[0]], len_of(earlier[0]))?
        {
            copies.push((group[0], earlier[0]));
            if let [_, rest @ ..] = &group[..]
                && !rest.is_empty()
            {
                kept.push((None, rest.to_vec()));
            }
            continue;
        }
        kept.push((stamp, group));
    }
    let head = starts.first().copied().unwrap_or(size_bytes);
    let mut ranges = vec![Placed { piece: None, at: 0, source_at: 0, len: head }];
    let mut at = head;
    for piece in kept.into_iter().flat_map(|(_, group)| group) {
        ranges.push(Placed { piece: Some(piece), at, source_at: starts[piece], len: len_of(piece) });
        at += len_of(piece);
    }
    Ok(Order { ranges, size_bytes: at, copies })
}

fn digest(reader: &mut (impl Read + Seek), at: u64, len: u64) -> io::Result<[u8; 32]> {
    reader.seek(SeekFrom::Start(at))?;
    let (mut digest, mut left, mut buffer) = (Sha256::new(), len, vec![0; 64 << 10]);
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        reader.read_exact(&mut buffer[..wanted])?;
        digest.update(&buffer[..wanted]);
        left -= wanted as u64;
    }
    Ok(digest.finalize().into())
}

impl Order {
    /// Length of all.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Where the pieces lie in the new order: number and first byte, ascending by the latter.
    pub fn pieces(&self) -> impl Iterator<Item = (usize, u64)> {
        self.ranges.iter().filter_map(|range| Some((range.piece?, range.at)))
    }

    /// The places of a byte of the stream in the new order; `None` for what is left out.
    pub fn place_of(&self, source_at: u64) -> Option<u64> {
        let inside = |range: &&Placed| (range.source_at..=range.source_at + range.len).contains(&source_at);
        // The byte behind a range is the first of another one, unless nothing follows.
        let holding = self.ranges.iter().filter(inside).max_by_key(|range| range.source_at)?;
        Some(holding.at + (source_at - holding.source_at))
    }

    /// Where in the stream the byte at `at` lies, and how many follow it there; `None` behind the end.
    pub(super) fn source_of(&self, at: u64) -> Option<(u64, u64)> {
        let behind = self.ranges.partition_point(|range| range.at <= at);
        let range = self.ranges[..behind].iter().rev().find(|range| range.len > 0)?;
        let into = at - range.at;
        (into < range.len).then(|| (range.source_at + into, range.len - into))
    }

    /// Places of the stream inside `from..to` where a piece begins, ascending.
    pub fn cuts_in(&self, from: u64, to: u64) -> impl Iterator<Item = u64> {
        let mut cuts: Vec<u64> = self.ranges.iter().map(|range| range.source_at).collect();
        cuts.retain(|cut| from < *cut && *cut < to);
        cuts.sort_unstable();
        cuts.into_iter()
    }
}
