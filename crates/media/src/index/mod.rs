//! The sample index of one segment: where its samples lie, when they are decoded and shown, which of them are sync.
//!
//! It is made once, when the segment is accepted, and kept beside the segment's row as a few bytes a sample, so that
//! a result can be laid out without reading any segment. The first byte is the version of the form.
//! Reading is bounded: the bytes are checked whole before the first sample is given out, nothing is expanded, and
//! bytes from a stranger cost at most their own length and [`SAMPLES_MAX`] steps.

#![forbid(unsafe_code)]

mod column;
mod pack;
mod skim;
mod varint;

pub use pack::{Builder, Refused};
pub(crate) use skim::{Runs, Skim, Skimmed, unfold};

use column::Column;
use domain::retry::{Classify, Fault};
use thiserror::Error;

/// Most samples of one segment: 10 s of uncompressed sound at 48 kHz, one sample each.
pub const SAMPLES_MAX: u32 = 1 << 19;

/// Most runs of samples of one segment. Each is kept until its fragment ends, however few bytes say it.
pub const RUNS_MAX: u32 = 1 << 16;

/// Largest decode time and byte offset. Sums of them stay far inside 64 bits.
pub(crate) const TIME_MAX: u64 = 1 << 60;

const VERSION: u8 = 1;

/// One sample of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Length of its bytes.
    pub size_bytes: u32,
    /// How long it lasts, in units of the track's timescale.
    pub duration: u32,
    /// Presentation time minus decode time, in units of the track's timescale.
    pub composition_offset: i32,
    /// Decoding can begin here.
    pub sync: bool,
}

/// What an index amounts to. Times are in units of the track's timescale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Decode time of the first sample.
    pub start: u64,
    /// First unit after the last sample.
    pub end: u64,
    /// Number of samples; at least 1.
    pub samples: u32,
    /// Number of fragments that have samples.
    pub fragments: u32,
    /// Sum of the sample sizes.
    pub payload_bytes: u64,
    /// Decoding can begin at the first sample.
    pub starts_with_sync: bool,
}

impl Summary {
    fn starting(start: u64, starts_with_sync: bool) -> Summary {
        Summary { start, end: start, samples: 0, fragments: 0, payload_bytes: 0, starts_with_sync }
    }

    fn add(&mut self, sample: &Sample) {
        self.samples += 1;
        self.payload_bytes += u64::from(sample.size_bytes);
    }
}

/// The bytes are not a sample index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Damaged {
    /// Made by a build that knows another form.
    #[error("the sample index has version {found}, this build reads version {VERSION}")]
    Version {
        /// The first byte.
        found: u8,
    },
    /// Cut off, or numbers that contradict one another.
    #[error("the sample index is damaged")]
    Bytes,
}

impl Classify for Damaged {
    fn fault(&self) -> Fault {
        Fault::Permanent
    }

    fn class(&self) -> &'static str {
        match self {
            Damaged::Version { .. } => "index-version",
            Damaged::Bytes => "index-damaged",
        }
    }
}

/// A packed index, checked and ready to be read as often as wanted.
#[derive(Debug, Clone, Copy)]
pub struct IndexReader<'a> {
    fragments: &'a [u8],
    summary: Summary,
}

impl<'a> IndexReader<'a> {
    /// Checks the bytes whole; afterwards reading cannot fail.
    pub fn open(packed: &'a [u8]) -> Result<IndexReader<'a>, Damaged> {
        let mut checked = Checked::open(packed)?;
        let (fragments, mut summary) = (checked.fragments.rest, None);
        while let Some(fragment) = checked.next()? {
            let starts_with_sync = fragment.syncs.clone().run().is_some_and(|(sync, _)| sync == 1);
            let summary = summary.get_or_insert(Summary::starting(fragment.tfdt, starts_with_sync));
            summary.samples += fragment.count;
            summary.fragments += 1;
            summary.payload_bytes += fragment.payload_bytes;
            summary.end = summary.end.max(fragment.end);
        }
        Ok(IndexReader { fragments, summary: summary.ok_or(Damaged::Bytes)? })
    }

    /// What the index amounts to.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// The fragments, in the order of the segment.
    pub fn fragments(&self) -> Fragments<'a> {
        Fragments { rest: self.fragments, left: u64::from(self.summary.fragments), before: 0 }
    }
}

/// Skips the version and gives the number of fragments.
fn head(packed: &[u8]) -> Result<(u64, &[u8]), Damaged> {
    let (&version, mut rest) = packed.split_first().ok_or(Damaged::Bytes)?;
    if version != VERSION {
        return Err(Damaged::Version { found: version });
    }
    let count = varint::read(&mut rest).ok_or(Damaged::Bytes)?;
    Ok((count, rest))
}

/// The fragments of an index that nobody has checked yet, each checked as it is given out: whoever reads an index once
/// need not read it twice.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    fragments: Fragments<'a>,
    started: u64,
    samples: u32,
}

impl<'a> Checked<'a> {
    pub(crate) fn open(packed: &'a [u8]) -> Result<Checked<'a>, Damaged> {
        let (left, rest) = head(packed)?;
        Ok(Checked { fragments: Fragments { rest, left, before: 0 }, started: 0, samples: 0 })
    }

    /// The next fragment; `None` when all of them, and so the whole bytes, were found to be an index.
    pub(crate) fn next(&mut self) -> Result<Option<Fragment<'a>>, Damaged> {
        if self.fragments.left == 0 {
            let whole = self.fragments.rest.is_empty() && self.samples > 0;
            return if whole { Ok(None) } else { Err(Damaged::Bytes) };
        }
        let fragment = self.fragments.read().filter(|fragment| fragment.tfdt >= self.started).ok_or(Damaged::Bytes)?;
        self.started = fragment.tfdt;
        let samples = self.samples.checked_add(fragment.count).filter(|&all| all <= SAMPLES_MAX);
        self.samples = samples.ok_or(Damaged::Bytes)?;
        Ok(Some(fragment))
    }
}

/// The fragments of an index, in order.
#[derive(Debug, Clone)]
pub struct Fragments<'a> {
    rest: &'a [u8],
    left: u64,
    before: u64,
}

impl<'a> Fragments<'a> {
    fn read(&mut self) -> Option<Fragment<'a>> {
        let rest = &mut self.rest;
        let step = varint::unzigzag(varint::read(rest)?);
        let tfdt = self.before.checked_add_signed(step).filter(|&tfdt| tfdt <= TIME_MAX)?;
        let count = varint::read(rest)?;
        if count == 0 || count > u64::from(SAMPLES_MAX) {
            return None;
        }
        let durations = Column::open(rest, count)?;
        let duration = total(durations.clone(), rest, |value| value <= u64::from(u32::MAX))?;
        let compositions = Column::open(rest, count)?;
        total(compositions.clone(), rest, |value| i32::try_from(varint::unzigzag(value)).is_ok())?;
        let syncs = Column::open(rest, count)?;
        total(syncs.clone(), rest, |value| value <= 1)?;
        let sizes = Column::open(rest, count)?;
        let payload = total(sizes.clone(), rest, |value| value <= u64::from(u32::MAX))?;
        let ranges = Ranges::open(rest, sizes.clone(), count, payload)?;
        let end = tfdt.checked_add(duration).filter(|&end| end <= TIME_MAX)?;
        self.before = end;
        self.left -= 1;
        let (count, payload_bytes) = (count as u32, payload);
        Some(Fragment { tfdt, end, count, payload_bytes, durations, compositions, syncs, sizes, ranges })
    }
}

impl<'a> Iterator for Fragments<'a> {
    type Item = Fragment<'a>;

    fn next(&mut self) -> Option<Fragment<'a>> {
        if self.left == 0 { None } else { self.read() }
    }
}

/// Reads a column to its end, moves `rest` behind it and adds its values up.
fn total<'a>(mut column: Column<'a>, rest: &mut &'a [u8], fits: impl Fn(u64) -> bool) -> Option<u64> {
    let mut total = 0u64;
    while let Some((value, count)) = column.run() {
        if !fits(value) {
            return None;
        }
        total = total.checked_add(value.checked_mul(count)?)?;
    }
    *rest = column.rest();
    column.is_done().then_some(total)
}

/// Samples that were written together, one `traf` of the segment.
#[derive(Debug, Clone)]
pub struct Fragment<'a> {
    /// Decode time of the first sample, in units of the track's timescale.
    pub tfdt: u64,
    /// First unit after the last sample.
    pub end: u64,
    /// Number of samples; at least 1.
    pub count: u32,
    /// Sum of the sample sizes.
    pub payload_bytes: u64,
    durations: Column<'a>,
    compositions: Column<'a>,
    syncs: Column<'a>,
    sizes: Column<'a>,
    ranges: Ranges<'a>,
}

impl<'a> Fragment<'a> {
    /// The samples, in decode order.
    pub fn samples(&self) -> Samples<'a> {
        let (durations, compositions) = (self.durations.clone(), self.compositions.clone());
        Samples { durations, compositions, syncs: self.syncs.clone(), sizes: self.sizes.clone() }
    }

    /// The same samples `shift` units later; `None` when they would be decoded outside 0 to [`TIME_MAX`].
    pub(crate) fn moved(mut self, shift: i64) -> Option<Fragment<'a>> {
        self.tfdt = self.tfdt.checked_add_signed(shift)?;
        self.end = self.end.checked_add_signed(shift).filter(|&end| end <= TIME_MAX)?;
        Some(self)
    }

    /// Where the samples lie in the object, in decode order.
    pub fn ranges(&self) -> Ranges<'a> {
        self.ranges.clone()
    }
}

/// The samples of a fragment, in decode order.
#[derive(Debug, Clone)]
pub struct Samples<'a> {
    durations: Column<'a>,
    compositions: Column<'a>,
    syncs: Column<'a>,
    sizes: Column<'a>,
}

impl Iterator for Samples<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        Some(Sample {
            size_bytes: self.sizes.next()? as u32,
            duration: self.durations.next()? as u32,
            composition_offset: varint::unzigzag(self.compositions.next()?) as i32,
            sync: self.syncs.next()? == 1,
        })
    }
}

/// Bytes of the object that hold samples without a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First byte, from the start of the object.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
    /// Number of samples in it; at least 1.
    pub samples: u32,
}

/// The ranges of a fragment, in decode order.
#[derive(Debug, Clone)]
pub struct Ranges<'a> {
    rest: &'a [u8],
    left: u64,
    behind: u64,
    sizes: Column<'a>,
    /// Length of the only range, which need not be added up.
    whole: Option<u64>,
}

impl<'a> Ranges<'a> {
    /// Opens the ranges of `count` samples with `payload` bytes and moves `rest` behind them; `None` unless they hold
    /// every sample.
    fn open(rest: &mut &'a [u8], sizes: Column<'a>, count: u64, payload: u64) -> Option<Ranges<'a>> {
        let left = varint::read(rest)?;
        let ranges = Ranges { rest, left, behind: 0, sizes, whole: (left == 1).then_some(payload) };
        let mut reading = ranges.clone();
        let mut samples = 0;
        for _ in 0..left {
            samples += u64::from(reading.next()?.samples);
        }
        *rest = reading.rest;
        (samples == count).then_some(ranges)
    }
}

impl Iterator for Ranges<'_> {
    type Item = Range;

    fn next(&mut self) -> Option<Range> {
        self.left = self.left.checked_sub(1)?;
        let step = varint::unzigzag(varint::read(&mut self.rest)?);
        let offset = self.behind.checked_add_signed(step).filter(|&offset| offset <= TIME_MAX)?;
        let samples = varint::read(&mut self.rest)?;
        let len = match self.whole {
            Some(len) => len,
            None => self.sizes.total_of(samples)?,
        };
        self.behind = offset + len;
        let samples = u32::try_from(samples).ok().filter(|&samples| samples > 0)?;
        Some(Range { offset, len, samples })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Run = (u64, Vec<Sample>);

    fn sample() -> impl Strategy<Value = Sample> {
        let size = prop_oneof![0..40u32, 0..100_000u32, any::<u32>()];
        let duration = prop_oneof![Just(512u32), 0..2000u32, any::<u32>()];
        let offset = prop_oneof![Just(0i32), (-4..8i32).prop_map(|n| n * 512), any::<i32>()];
        (size, duration, offset, any::<bool>()).prop_map(|(size_bytes, duration, composition_offset, sync)| Sample {
            size_bytes,
            duration,
            composition_offset,
            sync,
        })
    }

    fn fragment() -> impl Strategy<Value = (u64, Vec<Run>)> {
        let run = (0..1u64 << 40, prop::collection::vec(sample(), 1..20));
        (0..1u64 << 50, prop::collection::vec(run, 1..4))
    }

    fn fragments() -> impl Strategy<Value = Vec<(u64, Vec<Run>)>> {
        prop::collection::vec(fragment(), 1..4).prop_map(|mut fragments| {
            fragments.sort_by_key(|fragment| fragment.0);
            fragments
        })
    }

    fn pack(fragments: &[(u64, Vec<Run>)]) -> (Vec<u8>, Summary) {
        let mut builder = Builder::default();
        for (tfdt, runs) in fragments {
            builder.begin_fragment(*tfdt).unwrap();
            for (offset, samples) in runs {
                builder.begin_run(*offset).unwrap();
                samples.iter().for_each(|&sample| builder.sample(sample).unwrap());
            }
        }
        builder.finish().unwrap()
    }

    /// Runs without bytes lie behind the run before them, or at the start.
    fn placed(mut fragments: Vec<(u64, Vec<Run>)>) -> Vec<(u64, Vec<Run>)> {
        for (_, runs) in &mut fragments {
            let mut behind = 0;
            for (offset, samples) in runs {
                let len: u64 = samples.iter().map(|sample| u64::from(sample.size_bytes)).sum();
                if len == 0 {
                    *offset = behind;
                }
                behind = *offset + len;
            }
        }
        fragments
    }

    proptest! {
        #[test]
        fn index_reads_back(fragments in fragments()) {
            let (packed, summary) = pack(&fragments);
            let reader = IndexReader::open(&packed).unwrap();
            prop_assert_eq!(reader.summary(), summary);
            let read: Vec<_> = reader.fragments().map(|fragment| {
                let mut samples = fragment.samples();
                let runs = fragment.ranges().map(|range| {
                    let run: Vec<_> = samples.by_ref().take(range.samples as usize).collect();
                    let len: u64 = run.iter().map(|sample| u64::from(sample.size_bytes)).sum();
                    assert_eq!(len, range.len);
                    (range.offset, run)
                });
                (fragment.tfdt, runs.collect::<Vec<_>>())
            }).collect();
            prop_assert_eq!(read, placed(fragments));
        }

        #[test]
        fn index_of_a_stranger_is_refused_or_consistent(
            fragments in fragments(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
        ) {
            let (mut packed, _) = pack(&fragments);
            let at = at.index(packed.len());
            packed[at] = byte;
            if cut {
                packed.truncate(at);
            }
            if let Ok(reader) = IndexReader::open(&packed) {
                let samples: usize = reader.fragments().map(|fragment| fragment.samples().count()).sum();
                prop_assert_eq!(samples, reader.summary().samples as usize);
            }
        }

        #[test]
        fn index_of_noise_never_panics(mut noise in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = IndexReader::open(&noise);
            noise.splice(0..0, [VERSION, 1]);
            let _ = IndexReader::open(&noise);
        }
    }

    #[test]
    fn index_of_another_version_is_refused() {
        assert_eq!(IndexReader::open(&[2, 1]).unwrap_err(), Damaged::Version { found: 2 });
        assert_eq!(IndexReader::open(&[]).unwrap_err(), Damaged::Bytes);
        assert_eq!(IndexReader::open(&[VERSION, 0]).unwrap_err(), Damaged::Bytes);
    }

    #[test]
    fn index_of_as_many_equal_samples_as_allowed_is_small() {
        let sample = Sample { size_bytes: 4, duration: 1, composition_offset: 0, sync: true };
        let (packed, summary) = pack(&[(0, vec![(100, vec![sample; SAMPLES_MAX as usize])])]);
        assert!(packed.len() < 40, "{}", packed.len());
        assert_eq!(summary.samples, SAMPLES_MAX);
        let mut builder = Builder::default();
        builder.begin_fragment(0).unwrap();
        for _ in 0..SAMPLES_MAX {
            builder.sample(sample).unwrap();
        }
        assert_eq!(builder.sample(sample), Err(Refused::TooManySamples));
    }
}
