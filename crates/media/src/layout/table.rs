//! The sample tables of one track, generated from its packed indexes.
//!
//! Counting and writing are the same walk, so what was counted is what is written.

#![forbid(unsafe_code)]

use super::timeline::{Join, Timeline};
use super::{Chunk, TrackInput};
use crate::index::{Fragment, IndexReader};

/// A sample table (ISO/IEC 14496-12 8.6 and 8.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// Durations, `stts`.
    Durations,
    /// Sync samples, `stss`; left out when every sample is sync.
    Syncs,
    /// Composition offsets, `ctts`; left out when all are 0.
    CompositionOffsets,
    /// Samples of each chunk, `stsc`.
    Chunks,
    /// Sizes, `stsz`.
    Sizes,
    /// Where each chunk begins, `stco` or `co64`.
    Offsets,
}

impl Table {
    /// In the order in which they are written.
    pub(super) const ALL: [Table; 6] =
        [Table::Durations, Table::Syncs, Table::CompositionOffsets, Table::Chunks, Table::Sizes, Table::Offsets];
}

/// Number of entries of every table of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    durations: u64,
    /// `None` when every sample is sync.
    syncs: Option<u64>,
    /// `None` when all offsets are 0.
    composition_offsets: Option<u64>,
    chunk_runs: u64,
    samples: u64,
    chunks: u64,
}

impl Counts {
    pub(super) fn of<'a>(
        track: &TrackInput,
        timeline: &Timeline,
        bias: u32,
        chunks: impl Iterator<Item = &'a Chunk>,
    ) -> Counts {
        let mut counts = Counts {
            durations: 0,
            syncs: None,
            composition_offsets: None,
            chunk_runs: 0,
            samples: timeline.samples,
            chunks: 0,
        };
        let count = |table| {
            let mut walk = SampleWalk::of(track, &timeline.joins, table, bias);
            let mut entries = 0;
            while walk.step(&mut |_, _| entries += 1) {}
            entries
        };
        counts.durations = count(Table::Durations);
        counts.syncs = Some(count(Table::Syncs)).filter(|&syncs| syncs < timeline.samples);
        counts.composition_offsets = timeline.has_offsets(bias).then(|| count(Table::CompositionOffsets));
        let mut before = None;
        for chunk in chunks {
            counts.chunks += 1;
            counts.chunk_runs += u64::from(before.replace(chunk.samples) != Some(chunk.samples));
        }
        counts
    }

    /// Number of entries; `None` when the table is left out.
    pub(super) fn entries(&self, table: Table) -> Option<u64> {
        match table {
            Table::Durations => Some(self.durations),
            Table::Syncs => self.syncs,
            Table::CompositionOffsets => self.composition_offsets,
            Table::Chunks => Some(self.chunk_runs),
            Table::Sizes => Some(self.samples),
            Table::Offsets => Some(self.chunks),
        }
    }

    /// Length of the box; 0 when it is left out.
    pub(super) fn bytes(&self, table: Table, wide: bool) -> u64 {
        let (head, entry) = match table {
            Table::Durations | Table::CompositionOffsets => (16, 8),
            Table::Syncs => (16, 4),
            Table::Chunks => (16, 12),
            Table::Sizes => (20, 4),
            Table::Offsets => (16, if wide { 8 } else { 4 }),
        };
        self.entries(table).map_or(0, |entries| head + entry * entries)
    }
}

/// Goes through the samples of a track segment by segment and gives the entries of one table.
#[derive(Debug)]
pub(super) struct SampleWalk<'a> {
    track: &'a TrackInput,
    joins: &'a [Join],
    table: Table,
    bias: i64,
    segment: usize,
    fragment: u64,
    sample: u64,
    open: Option<(u32, u32)>,
}

impl<'a> SampleWalk<'a> {
    pub(super) fn of(track: &'a TrackInput, joins: &'a [Join], table: Table, bias: u32) -> SampleWalk<'a> {
        let (bias, segment, fragment, sample, open) = (i64::from(bias), 0, 0, 0, None);
        SampleWalk { track, joins, table, bias, segment, fragment, sample, open }
    }

    /// Gives the entries of the next segment as (count, value), or (number, 0) where the table has one field.
    /// False when there are no more.
    pub(super) fn step(&mut self, give: &mut impl FnMut(u32, u32)) -> bool {
        let Some(segment) = self.track.segments.get(self.segment) else {
            if let Some((count, value)) = self.open.take() {
                give(count, value);
            }
            return false;
        };
        let reader = IndexReader::open(&segment.packed).expect("every index was read when the timeline was made");
        for fragment in reader.fragments() {
            match self.table {
                Table::Durations => self.durations(&fragment, give),
                Table::Syncs => self.syncs(&fragment, give),
                Table::CompositionOffsets => {
                    for (offset, count) in fragment.composition_offsets() {
                        self.run((i64::from(offset) + self.bias) as u32, count, give);
                    }
                }
                Table::Sizes => fragment.sizes().for_each(|size| give(size, 0)),
                Table::Chunks | Table::Offsets => {}
            }
            self.fragment += 1;
        }
        self.segment += 1;
        true
    }

    /// The last duration of a fragment changes where the next one does not begin at its end.
    fn durations(&mut self, fragment: &Fragment<'_>, give: &mut impl FnMut(u32, u32)) {
        let join = self.joins.first().filter(|join| join.fragment == self.fragment).copied();
        let mut runs = fragment.durations().peekable();
        while let Some((duration, count)) = runs.next() {
            match join.filter(|_| runs.peek().is_none()) {
                None => self.run(duration, count, give),
                Some(join) => {
                    self.joins = &self.joins[1..];
                    self.run(duration, count - 1, give);
                    self.run((i64::from(duration) + join.delta) as u32, 1, give);
                }
            }
        }
    }

    fn syncs(&mut self, fragment: &Fragment<'_>, give: &mut impl FnMut(u32, u32)) {
        for (sync, count) in fragment.syncs() {
            if sync {
                (1..=u64::from(count)).for_each(|n| give((self.sample + n) as u32, 0));
            }
            self.sample += u64::from(count);
        }
    }

    /// Joins equal values; gives the run before when the value changes.
    fn run(&mut self, value: u32, count: u32, give: &mut impl FnMut(u32, u32)) {
        match &mut self.open {
            _ if count == 0 => {}
            Some((open, same)) if *same == value => *open += count,
            open => {
                if let Some((count, value)) = open.replace((count, value)) {
                    give(count, value);
                }
            }
        }
    }
}
