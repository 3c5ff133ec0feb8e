//! One property of all samples of an index that was checked before, without a look at the others.
//!
//! Every table of a header is generated from one property. The columns lie one behind the other, so those in front of
//! the wanted one are passed over, and those behind it only where another fragment follows.

#![forbid(unsafe_code)]

use super::column::Column;
use super::{head, varint};

/// A property of samples, in the order in which the columns lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skimmed {
    /// How long samples last.
    Durations,
    /// Presentation time minus decode time.
    CompositionOffsets,
    /// 1 where decoding can begin.
    Syncs,
    /// Lengths in bytes.
    Sizes,
}

/// Columns of a fragment.
const COLUMNS: usize = 4;

/// Goes through an index fragment by fragment and gives one property of each.
#[derive(Debug)]
pub(crate) struct Skim<'a> {
    wanted: Skimmed,
    rest: &'a [u8],
    left: u64,
}

impl<'a> Skim<'a> {
    /// Opens an index that [`super::Checked`] has read to its end; of any other bytes something is given, or nothing.
    pub(crate) fn open(packed: &'a [u8], wanted: Skimmed) -> Skim<'a> {
        let (left, rest) = head(packed).unwrap_or((0, &[]));
        Skim { wanted, rest, left }
    }

    fn read(&mut self) -> Option<Runs<'a>> {
        let rest = &mut self.rest;
        varint::read(rest)?;
        let count = varint::read(rest)?;
        let mut wanted = None;
        for n in 0..COLUMNS {
            let column = Column::open(rest, count)?;
            if n == self.wanted as usize {
                wanted = Some(Runs(column.clone()));
                if self.left == 1 {
                    break;
                }
            }
            *rest = column.behind()?;
        }
        self.left -= 1;
        if self.left > 0 {
            for _ in 0..varint::read(rest)? {
                varint::read(rest)?;
                varint::read(rest)?;
            }
        }
        wanted
    }
}

impl<'a> Iterator for Skim<'a> {
    type Item = Runs<'a>;

    fn next(&mut self) -> Option<Runs<'a>> {
        if self.left == 0 { None } else { self.read() }
    }
}

/// Runs of equal values: the value, of composition offsets folded without a sign, and how many samples have it.
#[derive(Debug, Clone)]
pub(crate) struct Runs<'a>(Column<'a>);

impl Iterator for Runs<'_> {
    type Item = (u32, u32);

    /// Checked values and counts have 32 bits.
    fn next(&mut self) -> Option<(u32, u32)> {
        self.0.run().map(|(value, count)| (value as u32, count as u32))
    }
}

/// The composition offset that a folded value stands for.
pub(crate) fn unfold(value: u32) -> i32 {
    varint::unzigzag(u64::from(value)) as i32
}
