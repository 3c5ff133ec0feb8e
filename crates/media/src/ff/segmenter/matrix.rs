//! How a picture is to be shown: the display matrix of a source, on its way into our initialization section.
//!
//! A muxer takes it from its stream, where the safe API cannot put it; so it is set in what our own muxer has just
//! written. The frames themselves stay as they were encoded.

use crate::boxes::{BoxRef, Boxes};
use ffmpeg_next::Stream;
use ffmpeg_next::packet::side_data;
use std::ops::Range;

/// Length of the matrix in a `tkhd`: nine numbers of 32 bits.
const BYTES: usize = 36;

/// The display matrix of a `tkhd` (ISO/IEC 14496-12 8.3.2), as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matrix([u8; BYTES]);

impl Matrix {
    /// That of a stream, where it says one. FFmpeg's side data has the nine numbers in the order of a `tkhd`, in the
    /// machine's own bytes.
    pub(super) fn of(stream: &Stream<'_>) -> Option<Matrix> {
        let found = stream.side_data().find(|found| found.kind() == side_data::Type::DisplayMatrix)?;
        Matrix::read(found.data())
    }

    fn read(side_data: &[u8]) -> Option<Matrix> {
        let (numbers, rest) = side_data.as_chunks::<4>();
        let stored = numbers.iter().flat_map(|number| i32::from_ne_bytes(*number).to_be_bytes()).collect::<Vec<u8>>();
        if rest.is_empty() { Some(Matrix(stored.try_into().ok()?)) } else { None }
    }

    /// Puts it into the only track of an initialization section.
    pub(super) fn put_into(&self, init: &mut [u8]) {
        if let Some(place) = place(init)
            && let Some(bytes) = init.get_mut(place)
        {
            bytes.copy_from_slice(&self.0);
        }
    }
}

fn place(init: &[u8]) -> Option<Range<usize>> {
    let moov = Boxes::of(init).filter_map(Result::ok).find(|found| found.kind.0 == *b"moov")?;
    let tkhd: BoxRef<'_> = moov.require(b"trak").ok()?.require(b"tkhd").ok()?;
    let body = usize::try_from(tkhd.at).ok()? + (tkhd.whole.len() - tkhd.body.len());
    let before = if tkhd.body.first() == Some(&1) { 52 } else { 40 };
    Some(body + before..body + before + BYTES)
}
