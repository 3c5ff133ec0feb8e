//! Packs samples into an index, fragment by fragment.

#![forbid(unsafe_code)]

use super::{RUNS_MAX, SAMPLES_MAX, Sample, Summary, TIME_MAX, VERSION, column, varint};

/// Why samples cannot be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More samples than a segment may have.
    #[error("a segment has at most {SAMPLES_MAX} samples")]
    TooManySamples,
    /// More runs of samples than a segment may have.
    #[error("a segment has at most {RUNS_MAX} runs of samples")]
    TooManyRuns,
    /// Decode times or byte offsets leave the range in which they can be added up.
    #[error("the decode time or the offset of a sample is out of range")]
    OutOfRange,
    /// A fragment begins before the one before it.
    #[error("the decode time of a fragment goes back")]
    GoesBack,
}

/// Collects the samples of one segment.
#[derive(Debug, Default)]
pub struct Builder {
    packed: Vec<u8>,
    fragments: u64,
    summary: Option<Summary>,
    /// End of the fragment before.
    before: u64,
    start: u64,
    end: u64,
    samples: Vec<Sample>,
    ranges: Vec<(u64, u64)>,
    runs: u32,
    total: u32,
}

impl Builder {
    /// Begins a fragment whose first sample is decoded at `tfdt`, in units of the track's timescale.
    pub fn begin_fragment(&mut self, tfdt: u64) -> Result<(), Refused> {
        let started = self.summary.is_some() || !self.samples.is_empty();
        self.end_fragment();
        match tfdt {
            _ if tfdt > TIME_MAX => return Err(Refused::OutOfRange),
            _ if started && tfdt < self.start => return Err(Refused::GoesBack),
            _ => {}
        }
        (self.start, self.end) = (tfdt, tfdt);
        Ok(())
    }

    /// Begins a run of samples that lie one after the other from byte `offset` of the object on.
    pub fn begin_run(&mut self, offset: u64) -> Result<(), Refused> {
        if self.runs == RUNS_MAX {
            return Err(Refused::TooManyRuns);
        }
        self.runs += 1;
        self.ranges.push((offset, self.samples.len() as u64));
        if offset > TIME_MAX { Err(Refused::OutOfRange) } else { Ok(()) }
    }

    /// Adds a sample to the run.
    pub fn sample(&mut self, sample: Sample) -> Result<(), Refused> {
        if self.total == SAMPLES_MAX {
            return Err(Refused::TooManySamples);
        }
        self.total += 1;
        self.end += u64::from(sample.duration);
        self.samples.push(sample);
        if self.end > TIME_MAX { Err(Refused::OutOfRange) } else { Ok(()) }
    }

    /// The packed index and what it amounts to; `None` without any sample.
    pub fn finish(mut self) -> Option<(Vec<u8>, Summary)> {
        self.end_fragment();
        let summary = self.summary?;
        let mut bytes = vec![VERSION];
        varint::write(&mut bytes, self.fragments);
        bytes.extend(self.packed);
        Some((bytes, summary))
    }

    /// A fragment without samples leaves no trace: it has no bytes and no time.
    fn end_fragment(&mut self) {
        let samples = std::mem::take(&mut self.samples);
        let ranges = std::mem::take(&mut self.ranges);
        let Some(first) = samples.first() else { return };
        let out = &mut self.packed;
        varint::write(out, varint::zigzag(self.start as i64 - self.before as i64));
        self.before = self.end;
        varint::write(out, samples.len() as u64);
        column::write(out, samples.iter().map(|sample| u64::from(sample.duration)));
        column::write(out, samples.iter().map(|sample| varint::zigzag(i64::from(sample.composition_offset))));
        column::write(out, samples.iter().map(|sample| u64::from(sample.sync)));
        column::write(out, samples.iter().map(|sample| u64::from(sample.size_bytes)));
        let filled = ranges.iter().enumerate().map(|(n, &(offset, from))| {
            let to = ranges.get(n + 1).map_or(samples.len() as u64, |next| next.1);
            (offset, &samples[from as usize..to as usize])
        });
        let filled: Vec<_> = filled.filter(|(_, run)| !run.is_empty()).collect();
        varint::write(out, filled.len() as u64);
        let mut behind = 0i64;
        for (offset, run) in filled {
            let len: u64 = run.iter().map(|sample| u64::from(sample.size_bytes)).sum();
            // Samples without bytes lie nowhere, and nobody has checked that theirs is a place in the object.
            let offset = if len == 0 { behind as u64 } else { offset };
            varint::write(out, varint::zigzag(offset as i64 - behind));
            varint::write(out, run.len() as u64);
            behind = (offset + len) as i64;
        }
        let summary = self.summary.get_or_insert(Summary::starting(self.start, first.sync));
        summary.end = summary.end.max(self.end);
        summary.fragments += 1;
        samples.iter().for_each(|sample| summary.add(sample));
        self.fragments += 1;
    }
}
