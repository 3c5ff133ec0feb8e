//! The sample tables of one track, generated from its packed indexes.
//!
//! Counting and writing are the same walk, so what was counted is what is written.

#![forbid(unsafe_code)]

use super::timeline::{Join, Timeline};
use super::{Chunk, SegmentInput, TrackInput};
use crate::index::{Runs, Skim, Skimmed, unfold};
use crate::silence::SilentFrame;

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
        let count = |wanted| {
            let mut walk = SampleWalk::of(track, timeline, wanted, bias);
            let mut entries = 0;
            while walk.step(&mut |_, _| entries += 1) {}
            entries
        };
        counts.durations = count(Skimmed::Durations);
        counts.syncs = Some(count(Skimmed::Syncs)).filter(|&syncs| syncs < timeline.samples);
        counts.composition_offsets = timeline.has_offsets(bias).then(|| count(Skimmed::CompositionOffsets));
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

/// Silent samples given in one step; a bound on how long a step takes, nothing else.
const SILENT_PER_STEP: u32 = 16 << 10;

/// Goes through the samples of a track fragment by fragment and gives the entries of one table.
#[derive(Debug)]
pub(super) struct SampleWalk<'a> {
    segments: std::slice::Iter<'a, SegmentInput>,
    joins: &'a [Join],
    silent: Option<&'a SilentFrame>,
    wanted: Skimmed,
    bias: i64,
    /// The rest of the segment that was begun.
    begun: Option<Skim<'a>>,
    fragment: u64,
    sample: u64,
    /// Silent samples that are still to be given before the next fragment.
    silent_left: u32,
    open: Option<(u32, u32)>,
}

impl<'a> SampleWalk<'a> {
    pub(super) fn of(track: &'a TrackInput, timeline: &'a Timeline, wanted: Skimmed, bias: u32) -> SampleWalk<'a> {
        SampleWalk {
            segments: track.segments.iter(),
            joins: &timeline.joins,
            silent: timeline.silent.as_ref(),
            wanted,
            bias: i64::from(bias),
            begun: None,
            fragment: 0,
            sample: 0,
            silent_left: 0,
            open: None,
        }
    }

    /// An entry of the table has one field.
    pub(super) fn is_single(&self) -> bool {
        matches!(self.wanted, Skimmed::Syncs | Skimmed::Sizes)
    }

    /// Gives the entries of the next fragment as (count, value), or (number, 0) where the table has one field.
    /// False when there are no more.
    pub(super) fn step(&mut self, give: &mut impl FnMut(u32, u32)) -> bool {
        if self.silent_left > 0 {
            self.silence(give);
            return true;
        }
        let Some(runs) = self.next_fragment() else {
            if let Some((count, value)) = self.open.take() {
                give(count, value);
            }
            return false;
        };
        let join = self.joins.first().filter(|join| join.fragment == self.fragment).copied();
        if join.is_some() {
            self.joins = &self.joins[1..];
        }
        self.fragment += 1;
        let silent = join.map_or(0, |join| join.silent);
        match self.wanted {
            Skimmed::Durations => self.durations(runs, join, give),
            Skimmed::CompositionOffsets => self.composition_offsets(runs, silent, give),
            Skimmed::Syncs => {
                self.syncs(runs, give);
                self.silent_left = silent;
            }
            Skimmed::Sizes => {
                for (size, count) in runs {
                    (0..count).for_each(|_| give(size, 0));
                }
                self.silent_left = silent;
            }
        }
        true
    }

    fn next_fragment(&mut self) -> Option<Runs<'a>> {
        loop {
            if let Some(runs) = self.begun.as_mut().and_then(Skim::next) {
                return Some(runs);
            }
            self.begun = Some(Skim::open(&self.segments.next()?.packed, self.wanted));
        }
    }

    /// Entries of silent samples, each of which is sync.
    fn silence(&mut self, give: &mut impl FnMut(u32, u32)) {
        let count = self.silent_left.min(SILENT_PER_STEP);
        self.silent_left -= count;
        match self.wanted {
            Skimmed::Syncs => {
                (1..=u64::from(count)).for_each(|n| give((self.sample + n) as u32, 0));
                self.sample += u64::from(count);
            }
            Skimmed::Sizes | Skimmed::Durations | Skimmed::CompositionOffsets => {
                let size = self.silent.map_or(0, |frame| frame.bytes.len() as u32);
                (0..count).for_each(|_| give(size, 0));
            }
        }
    }

    /// The last duration of a fragment, or of the silence behind it, changes where the next one does not begin at its
    /// end.
    fn durations(&mut self, runs: Runs<'a>, join: Option<Join>, give: &mut impl FnMut(u32, u32)) {
        let mut runs = runs.peekable();
        while let Some((duration, count)) = runs.next() {
            match join.filter(|_| runs.peek().is_none()) {
                None => self.run(duration, count, give),
                Some(join) => match self.silent.filter(|_| join.silent > 0) {
                    None => self.stretch(duration, count, join.delta, give),
                    Some(frame) => {
                        self.run(duration, count, give);
                        self.stretch(frame.duration, join.silent, join.delta, give);
                    }
                },
            }
        }
    }

    /// A run whose last sample lasts `delta` longer.
    fn stretch(&mut self, duration: u32, count: u32, delta: i64, give: &mut impl FnMut(u32, u32)) {
        self.run(duration, count - 1, give);
        self.run((i64::from(duration) + delta) as u32, 1, give);
    }

    /// Silence is composed as the sample before it, so that it follows that one.
    fn composition_offsets(&mut self, runs: Runs<'a>, silent: u32, give: &mut impl FnMut(u32, u32)) {
        let mut last = 0;
        for (folded, count) in runs {
            last = (i64::from(unfold(folded)) + self.bias) as u32;
            self.run(last, count, give);
        }
        self.run(last, silent, give);
    }

    fn syncs(&mut self, runs: Runs<'a>, give: &mut impl FnMut(u32, u32)) {
        for (sync, count) in runs {
            if sync == 1 {
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
