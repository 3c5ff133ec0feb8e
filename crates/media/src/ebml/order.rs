//! Pieces of a stream in the order of their clusters' times, without those that are copies.

use super::{Damage, Survey};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read, Seek, SeekFrom};

/// Which bytes of a stream follow one another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Order {
    /// Where each range lies in the new order, and in the stream; ascending by the former.
    ranges: Vec<Placed>,
    /// The same, ascending by where they lie in the stream.
    by_source: Vec<Placed>,
    /// Where pieces begin in the stream, ascending.
    starts: Vec<u64>,
    size_bytes: u64,
    /// Copies: the number of the copy, and of what it is a copy of; numbers count pieces from 0.
    pub copies: Vec<(usize, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Placed {
    /// Number of the piece that begins here; `None`: what stands before the first one, or the rest of one.
    piece: Option<usize>,
    at: u64,
    source_at: u64,
    len: u64,
}

/// A piece that has a time, with those behind it that have none.
struct Group {
    /// Its number in the stream.
    nth: usize,
    stamp: Option<u64>,
    pieces: Vec<usize>,
}

/// Puts pieces that begin at `starts` in order, by the time stamps that a walk has found for them. A piece without one
/// stays behind the one that it follows. Where times say that pieces lie in one another, as they do when a clock begins
/// anew, all stay where they are. A damage of a single byte is left out: no padding is that short.
///
/// # Errors
/// Pieces that may be copies of one another cannot be read.
pub fn order(mut reader: impl Read + Seek, size_bytes: u64, starts: &[u64], survey: &Survey) -> io::Result<Order> {
    let end_of = |piece: usize| starts.get(piece + 1).copied().unwrap_or(size_bytes);
    let len_of = |piece: usize| end_of(piece) - starts[piece];
    let mut copies = Vec::new();
    let mut kept: Vec<Group> = Vec::new();
    for group in sorted(&survey.stamps[..starts.len().min(survey.stamps.len())]) {
        if let Some(earlier) = kept.last()
            && group.stamp.is_some()
            && earlier.stamp == group.stamp
            && len_of(group.pieces[0]) == len_of(earlier.pieces[0])
            && digest(&mut reader, starts[group.pieces[0]], len_of(group.pieces[0]))?
                == digest(&mut reader, starts[earlier.pieces[0]], len_of(earlier.pieces[0]))?
        {
            copies.push((group.pieces[0], earlier.pieces[0]));
            if let [_, rest @ ..] = &group.pieces[..]
                && !rest.is_empty()
            {
                kept.push(Group { nth: group.nth, stamp: None, pieces: rest.to_vec() });
            }
            continue;
        }
        kept.push(group);
    }
    if !is_one_clock(&kept, &survey.spans) {
        kept.sort_by_key(|group| group.nth);
    }
    let head = starts.first().copied().unwrap_or(size_bytes);
    let mut order = Order { starts: starts.to_vec(), copies, ..Order::default() };
    let hidden = single_bytes(&order, survey);
    order.push(None, 0, head, &hidden);
    for piece in kept.into_iter().flat_map(|group| group.pieces) {
        order.push(Some(piece), starts[piece], end_of(piece), &hidden);
    }
    order.by_source = order.ranges.clone();
    order.by_source.sort_by_key(|range| (range.source_at, range.len));
    Ok(order)
}

/// Each group begins with a piece that has a time; what stands before the first such piece stays in front.
fn sorted(stamps: &[Option<u64>]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (piece, stamp) in stamps.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if stamp.is_none() => group.pieces.push(piece),
            _ => groups.push(Group { nth: groups.len(), stamp: *stamp, pieces: vec![piece] }),
        }
    }
    groups.sort_by_key(|group| group.stamp);
    groups
}

/// Whether sorted groups follow one another in time: none shares its stamp with another, and none that was put behind
/// another begins before the latter ends.
fn is_one_clock(sorted: &[Group], spans: &[Option<(i64, i64)>]) -> bool {
    let span = |piece: &usize| spans.get(*piece).copied().flatten();
    let timed: Vec<&Group> = sorted.iter().filter(|group| group.stamp.is_some()).collect();
    timed.windows(2).all(|pair| {
        let [earlier, later] = pair else { return true };
        let first = later.pieces.iter().find_map(span).map(|(first, _)| first);
        let last = earlier.pieces.iter().filter_map(span).map(|(_, last)| last).max();
        let moved = later.nth != earlier.nth + 1;
        later.stamp != earlier.stamp && !(moved && first.zip(last).is_some_and(|(first, last)| first < last))
    })
}

/// Damages of one byte, and parts of others that are that short because a piece begins behind them; ascending.
fn single_bytes(order: &Order, survey: &Survey) -> Vec<u64> {
    let parts = survey.damages.iter().flat_map(|damage| order.parts_of(damage));
    parts.filter_map(|(from, to)| (to - from == 1).then_some(from)).collect()
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

    /// Puts a range of the stream behind all others, without the bytes that are hidden.
    fn push(&mut self, piece: Option<usize>, from: u64, to: u64, hidden: &[u64]) {
        let (mut piece, mut source_at) = (piece, from);
        let inside = hidden.partition_point(|at| *at < from)..hidden.partition_point(|at| *at < to);
        for end in hidden[inside].iter().copied().chain([to]) {
            let (at, len) = (self.size_bytes, end - source_at);
            // Where a piece begins is told even of one of which nothing is left.
            if len > 0 || piece.is_some() {
                self.ranges.push(Placed { piece: piece.take(), at, source_at, len });
            }
            self.size_bytes += len;
            source_at = end + 1;
        }
    }

    /// Where the pieces lie in the new order: number and first byte, ascending by the latter.
    pub fn pieces(&self) -> impl Iterator<Item = (usize, u64)> {
        self.ranges.iter().filter_map(|range| Some((range.piece?, range.at)))
    }

    /// The places of a byte of the stream in the new order; `None` for what is left out.
    pub fn place_of(&self, source_at: u64) -> Option<u64> {
        // The byte behind a range is the first of another one, unless nothing follows.
        let behind = self.by_source.partition_point(|range| range.source_at <= source_at);
        let holding = self.by_source[..behind].last()?;
        let into = source_at - holding.source_at;
        (into <= holding.len).then(|| holding.at + into)
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
        let behind = self.starts.partition_point(|start| *start <= from);
        self.starts[behind..].iter().copied().take_while(move |start| *start < to)
    }

    /// A damage as it lies in the pieces, which may be put apart: where each part begins and ends.
    pub(super) fn parts_of(&self, damage: &Damage) -> impl Iterator<Item = (u64, u64)> {
        let ends = self.cuts_in(damage.from, damage.to).chain([damage.to]);
        ends.scan(damage.from, |from, to| Some((std::mem::replace(from, to), to)))
    }
}
