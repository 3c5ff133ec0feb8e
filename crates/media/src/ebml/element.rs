//! One element: its identifier, its length, and which of them may stand where.

use super::MAGIC;
use crate::window::Window;
use std::io::{self, Read, Seek};

/// Identifier and length take no more (RFC 8794, 5 and 6; RFC 9559, 4.1).
pub(super) const HEAD_BYTES_MAX: usize = 12;

/// An EBML header has some forty bytes.
const HEADER_BYTES_MAX: u64 = 1_024;

/// Elements by what they mean to a walk (RFC 9559, 5.1, and RFC 8794, 11.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The header of a document.
    Top,
    /// What holds all of a recording; it is entered.
    Segment,
    /// What holds blocks; it is entered.
    Cluster,
    /// Another part of a segment: tracks, index, tags.
    Other,
    /// The time of a cluster.
    Stamp,
    /// Pictures or sound.
    Block,
    /// Another part of a cluster.
    InCluster,
    /// Padding or a checksum, which may stand anywhere.
    Padding,
}

/// The head of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) kind: Kind,
    pub(super) at: u64,
    /// First byte behind the head.
    pub(super) body: u64,
    /// `None`: it ends where something else begins.
    pub(super) length: Option<u64>,
    /// Bytes in which the length is written.
    pub(super) length_bytes: u8,
}

impl Element {
    /// First byte behind it; `None` where it does not say.
    pub(super) fn end(&self) -> Option<u64> {
        self.length.map(|length| self.body.saturating_add(length))
    }
}

/// Identifiers with their marker bits, as they stand in a file.
fn kind_of(id: u32) -> Option<Kind> {
    Some(match id {
        0x1a45_dfa3 => Kind::Top,
        0x1853_8067 => Kind::Segment,
        0x1f43_b675 => Kind::Cluster,
        // SeekHead, Info, Tracks, Cues, Attachments, Chapters, Tags.
        0x114d_9b74 | 0x1549_a966 | 0x1654_ae6b | 0x1c53_bb6b | 0x1941_a469 | 0x1043_a770 | 0x1254_c367 => Kind::Other,
        0xe7 => Kind::Stamp,
        // SimpleBlock, BlockGroup, EncryptedBlock.
        0xa3 | 0xa0 | 0xaf => Kind::Block,
        // Position, PrevSize, SilentTracks.
        0xa7 | 0xab | 0x5854 => Kind::InCluster,
        // Void, CRC-32.
        0xec | 0xbf => Kind::Padding,
        _ => return None,
    })
}

/// The element at `at`; `None`: what stands there is none that Matroska knows, or its length is none that it may have.
pub(super) fn at<R: Read + Seek>(window: &mut Window<R>, at: u64) -> io::Result<Option<Element>> {
    Ok(parse(at, window.peek(at, HEAD_BYTES_MAX)?))
}

/// Whether the head of an element goes on behind `end`, or behind the end of the stream.
pub(super) fn head_is_cut<R: Read + Seek>(window: &mut Window<R>, at: u64, end: u64) -> io::Result<bool> {
    let len = (end - at).min(HEAD_BYTES_MAX as u64) as usize;
    let bytes = window.peek(at, len)?;
    let Some(id) = bytes.first().and_then(|_| id_of(bytes)) else {
        // Less than an identifier.
        return Ok(bytes.first().is_some_and(|first| bytes.len() <= first.leading_zeros() as usize));
    };
    let id_bytes = 4 - id.leading_zeros() as usize / 8;
    let length_bytes = bytes.get(id_bytes).map_or(1, |first| first.leading_zeros() as usize + 1);
    Ok(kind_of(id).is_some() && length_bytes <= 8 && bytes.len() < id_bytes + length_bytes)
}

/// The track of a block, as it is coded, and how long after its cluster it is (RFC 9559, 10.1 and 10.2); `None`: it is no
/// block, or does not begin with that.
pub(super) fn track_and_time<R: Read + Seek>(
    window: &mut Window<R>,
    element: &Element,
) -> io::Result<Option<(u64, i16)>> {
    let head = (element.body - element.at) as usize;
    let bytes = window.peek(element.at, head + HEAD_BYTES_MAX + 10)?;
    Ok(match (bytes.first(), bytes.get(head..)) {
        (Some(0xa3), Some(block)) => track_and_time_of(block),
        // A group, whose first part is the block.
        (Some(0xa0), Some([0xa1, rest @ ..])) => {
            rest.first().and_then(|first| track_and_time_of(rest.get(first.leading_zeros() as usize + 1..)?))
        }
        _ => None,
    })
}

fn track_and_time_of(block: &[u8]) -> Option<(u64, i16)> {
    let track_bytes = block.first()?.leading_zeros() as usize + 1;
    let (track, rest) = block.split_at_checked(track_bytes).filter(|_| track_bytes <= 8)?;
    let after = i16::from_be_bytes(*rest.first_chunk()?);
    Some((track.iter().fold(0, |track, byte| track << 8 | u64::from(*byte)), after))
}

/// An identifier with its marker bits.
fn id_of(bytes: &[u8]) -> Option<u32> {
    let id_bytes = bytes.first()?.leading_zeros() as usize + 1;
    let id = bytes.get(..id_bytes).filter(|_| id_bytes <= 4)?;
    Some(id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte)))
}

fn parse(at: u64, bytes: &[u8]) -> Option<Element> {
    let id = id_of(bytes)?;
    let id_bytes = 4 - id.leading_zeros() as usize / 8;
    let kind = kind_of(id)?;
    let rest = bytes.get(id_bytes..)?;
    let length_bytes = rest.first()?.leading_zeros() as usize + 1;
    if length_bytes > 8 {
        return None;
    }
    let coded = rest.get(..length_bytes)?.iter().fold(0, |coded, byte| coded << 8 | u64::from(*byte));
    let most = (1_u64 << (7 * length_bytes)) - 1;
    let value = coded & most;
    let length = (value != most).then_some(value);
    let body = at + (id_bytes + length_bytes) as u64;
    let sane = match (kind, length) {
        // Only these may leave their length open (RFC 9559, 5.1 and 5.1.3).
        (Kind::Segment | Kind::Cluster, _) => true,
        (_, None) => false,
        (Kind::Top, Some(length)) => length <= HEADER_BYTES_MAX,
        (Kind::Stamp | Kind::InCluster, Some(length)) => length <= 8 || id == 0x5854,
        // Track, time and flags of a block (RFC 9559, 10.1).
        (Kind::Block, Some(length)) => length >= 4,
        (Kind::Other | Kind::Padding, Some(_)) => true,
    };
    let length_bytes = length_bytes as u8;
    sane.then_some(Element { kind, at, body, length, length_bytes })
}

/// The first place from `from` on where a walk may begin again: a cluster with its time, a document, or, at the very end
/// of the stream or its segment, an index or tags.
pub(super) fn resume<R: Read + Seek>(
    window: &mut Window<R>,
    from: u64,
    segment_end: Option<u64>,
) -> io::Result<Option<u64>> {
    let (mut at, mut id, size_bytes) = (from, 0_u32, window.size_bytes());
    while at < size_bytes {
        let rest = window.rest(at)?;
        let mut found = None;
        for (n, byte) in (1..).zip(rest) {
            id = id << 8 | u32::from(*byte);
            if id >> 28 == 1 && at + n >= from + 4 && kind_of(id).is_some() {
                found = Some(n);
                break;
            }
        }
        at += found.unwrap_or(rest.len() as u64);
        if found.is_some() && safe(window, at - 4, segment_end)? {
            return Ok(Some(at - 4));
        }
    }
    Ok(None)
}

/// Four bytes are four bytes; what follows them tells whether they are an element.
pub(super) fn safe<R: Read + Seek>(window: &mut Window<R>, at: u64, segment_end: Option<u64>) -> io::Result<bool> {
    let size_bytes = window.size_bytes();
    let Some(element) = self::at(window, at)? else { return Ok(false) };
    Ok(match element.kind {
        Kind::Cluster => {
            // A checksum may come first (RFC 8794, 11.3.1).
            let mut first = self::at(window, element.body)?;
            if let Some(padding) = first.filter(|first| first.kind == Kind::Padding) {
                first = match padding.end().filter(|end| *end - at < 64) {
                    Some(end) => self::at(window, end)?,
                    None => None,
                };
            }
            first.is_some_and(|first| first.kind == Kind::Stamp)
        }
        Kind::Top => {
            let next = element.end().unwrap_or(size_bytes);
            window.peek(at, 4)? == MAGIC && self::at(window, next)?.is_some_and(|next| next.kind == Kind::Segment)
        }
        Kind::Other => element.end() == Some(size_bytes) || (segment_end.is_some() && element.end() == segment_end),
        Kind::Segment | Kind::Stamp | Kind::Block | Kind::InCluster | Kind::Padding => false,
    })
}
