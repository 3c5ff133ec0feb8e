//! What became of the segments of a track, run by run: never a row for each.

use domain::segment::Track;

/// What became of the segments of a track, run by run: never a row for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strip {
    /// The track.
    pub track: Track,
    /// Runs that follow each other without hole from index 1 on. When there are more than [`RUNS_MAX`], the shortest
    /// differences are left out and the run says the worst of what it covers.
    pub runs: Vec<Run>,
    /// How many segments there are of each cell.
    pub counts: Counts,
    /// Last index of which anything is known.
    pub last_index: u32,
}

/// Most runs of a strip: more than any terminal has columns.
pub const RUNS_MAX: usize = 4_000;

/// Neighbouring segments of the same fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First index.
    pub from: u32,
    /// Last index.
    pub to: u32,
    /// What became of them.
    pub cell: Cell,
}

/// What became of a segment. The order is from good to bad, so that a column that stands for many shows the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// In the store.
    Stored,
    /// Acknowledged, on its way into the store.
    Received,
    /// It came after viewers had been shown a gap in its place; it will be in the result.
    Late,
    /// Nothing of it has come.
    Missing,
    /// Its bytes are gone or damaged.
    Lost,
}

/// How many segments there are of each cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Of [`Cell::Stored`].
    pub stored: u32,
    /// Of [`Cell::Received`].
    pub received: u32,
    /// Of [`Cell::Late`].
    pub late: u32,
    /// Of [`Cell::Missing`].
    pub missing: u32,
    /// Of [`Cell::Lost`].
    pub lost: u32,
}
