//! A source as libavformat gets to read it.
//!
//! Of Matroska a walk over the elements comes first: what is damaged is read as padding, pieces in the order of their
//! times, copies not at all. libavformat by itself would look for the next cluster and go on without a word, and of two
//! pieces that lie under each other's names one would be gone.

use super::super::super::Error;
use super::super::super::error::During as _;
use super::super::super::input::Input;
use super::{Readable, Source};
use crate::ebml::{self, DamageKind, Mended, Order, Survey};
use crate::ts;
use domain::mux::GapCause;
use ffmpeg_next::Packet;
use std::io::{self, Read as _, Seek as _, SeekFrom};

/// A place behind which something is lost, in the order of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) at: u64,
    pub(super) cause: GapCause,
    /// The source's segment in which the damage begins.
    pub(super) segment: Option<u32>,
}

/// How a source is read.
pub(super) struct View<'a> {
    source: &'a Source,
    found: Option<(Survey, Order)>,
    /// Where the source's segments begin in the order of reading.
    pub(super) pieces: Vec<(u32, u64)>,
    /// Ascending.
    pub(super) marks: Vec<Mark>,
    /// Segments that are copies, each with the one that it is a copy of.
    pub(super) copies: Vec<(u32, u32)>,
}

impl<'a> View<'a> {
    pub(super) fn of(source: &'a Source) -> Result<View<'a>, Error> {
        let mut reader = (source.open)();
        let (size_bytes, head) = size_and_head(&mut reader).during("read", &source.name)?;
        let pieces = source.pieces.clone();
        if !head.starts_with(&ebml::MAGIC) {
            let marks = match ts::is_one(&head) {
                true => marks_in_packets(&ts::walk(reader, size_bytes).during("walk over", &source.name)?, &pieces),
                false => Vec::new(),
            };
            return Ok(View { source, found: None, pieces, marks, copies: Vec::new() });
        }
        let starts: Vec<u64> = pieces.iter().map(|(_, at)| *at).collect();
        let survey = ebml::walk(&mut reader, size_bytes, &starts).during("walk over", &source.name)?;
        let order = ebml::order(reader, size_bytes, &starts, &survey).during("put in order", &source.name)?;
        let index = |piece: usize| pieces.get(piece).map(|(index, _)| *index);
        let copies = order.copies.iter().filter_map(|&(copy, of)| Some((index(copy)?, index(of)?))).collect();
        let marks = marks(&survey, &order, &pieces);
        let pieces = order.pieces().filter_map(|(piece, at)| Some((index(piece)?, at))).collect();
        Ok(View { source, found: Some((survey, order)), pieces, marks, copies })
    }

    /// Opens it.
    pub(super) fn input(&self) -> Result<Input, Error> {
        let (name, reader) = (&self.source.name, (self.source.open)());
        match &self.found {
            Some((survey, order)) => Input::from_read_seek(name, Mended::of(reader, survey, order.clone())),
            None => Input::from_read_seek(name, reader),
        }
    }
}

/// Which of the source's segments a packet lies in: its number and index; `None` where the source has none. `pieces` are
/// those of a [`View`].
pub(super) fn piece_of(pieces: &[(u32, u64)], packet: &Packet) -> Option<(usize, u32)> {
    let at = u64::try_from(packet.position()).unwrap_or(0);
    let piece = pieces.partition_point(|(_, first)| *first <= at).saturating_sub(1);
    pieces.get(piece).map(|(index, _)| (piece, *index))
}

/// Length of a source and its first bytes.
fn size_and_head(reader: &mut Box<dyn Readable>) -> io::Result<(u64, Vec<u8>)> {
    let mut head = Vec::new();
    reader.by_ref().take(ts::HEAD_BYTES).read_to_end(&mut head)?;
    let size_bytes = reader.seek(SeekFrom::End(0))?;
    Ok((size_bytes, head))
}

fn segment_at(pieces: &[(u32, u64)], at: u64) -> Option<u32> {
    let behind = pieces.partition_point(|(_, first)| *first <= at);
    pieces.get(behind.checked_sub(1)?).map(|(index, _)| *index)
}

fn marks_in_packets(found: &ts::Survey, pieces: &[(u32, u64)]) -> Vec<Mark> {
    let mark = |at: u64, cause| Mark { at, cause, segment: segment_at(pieces, at.saturating_sub(1)) };
    let breaks = found.breaks.iter().map(|&at| mark(at, GapCause::Damaged));
    breaks.chain(found.cut_at.map(|at| mark(at, GapCause::Truncated))).collect()
}

fn marks(survey: &Survey, order: &Order, pieces: &[(u32, u64)]) -> Vec<Mark> {
    let mut marks = Vec::new();
    for damage in &survey.damages {
        let (cause, before) = match damage.kind {
            // Where bytes are missing the damage belongs to what ends there.
            DamageKind::Cut => (GapCause::Truncated, 1),
            DamageKind::Broken => (GapCause::Damaged, 0),
        };
        let from = damage.from.saturating_sub(before);
        let places = std::iter::once(from).chain(order.cuts_in(damage.from, damage.to));
        let mark = |at: u64| Some(Mark { at: order.place_of(at)? + before, cause, segment: segment_at(pieces, at) });
        marks.extend(places.filter_map(mark));
    }
    marks.sort_by_key(|mark| mark.at);
    marks
}
