//! The index reader: noise is refused or means one thing, and costs no more steps than it has samples.
//!
//! Input: the packed index.

use media::index::{Builder, IndexReader, SAMPLES_MAX, Sample};

/// What was read: decode time, samples, and ranges as (offset, length, samples); one without bytes lies nowhere.
type Read = Vec<(u64, Vec<Sample>, Vec<(u64, u64, u32)>)>;

/// Holds the reader to its promises.
pub fn check(bytes: &[u8]) {
    let Ok(index) = IndexReader::open(bytes) else { return };
    let (summary, read) = (index.summary(), read(&index));
    let samples: Vec<Sample> = read.iter().flat_map(|(_, samples, _)| samples.iter().copied()).collect();
    assert!(!samples.is_empty() && samples.len() <= SAMPLES_MAX as usize);
    assert_eq!(samples.len(), summary.samples as usize);
    assert_eq!(read.len(), summary.fragments as usize);
    assert_eq!(read[0].0, summary.start);
    assert_eq!(samples[0].sync, summary.starts_with_sync);
    assert_eq!(samples.iter().map(|sample| u64::from(sample.size_bytes)).sum::<u64>(), summary.payload_bytes);
    let end = read
        .iter()
        .map(|(tfdt, samples, _)| tfdt + samples.iter().map(|sample| u64::from(sample.duration)).sum::<u64>());
    assert_eq!(end.max(), Some(summary.end));
    assert!(read.windows(2).all(|pair| pair[0].0 <= pair[1].0), "decode times do not go back");

    let (packed, again) = pack(&read).finish().expect("there are samples");
    assert_eq!(again, summary);
    let reopened = IndexReader::open(&packed).expect("what was packed can be read");
    assert_eq!(self::read(&reopened), read, "packing changes the samples");
}

/// Reads all there is, once by samples and once by ranges.
fn read(index: &IndexReader<'_>) -> Read {
    let mut read = Vec::new();
    for fragment in index.fragments() {
        let samples: Vec<Sample> = fragment.samples().collect();
        assert_eq!(samples.len(), fragment.count as usize);
        let duration: u64 = samples.iter().map(|sample| u64::from(sample.duration)).sum();
        assert_eq!(fragment.tfdt + duration, fragment.end);
        let (mut of, mut ranges) = (samples.iter(), Vec::new());
        for range in fragment.ranges() {
            assert!(range.samples > 0);
            let sizes = of.by_ref().take(range.samples as usize).map(|sample| u64::from(sample.size_bytes));
            assert_eq!(sizes.sum::<u64>(), range.len);
            ranges.push((if range.len > 0 { range.offset } else { 0 }, range.len, range.samples));
        }
        assert!(of.next().is_none(), "every sample lies in a range");
        read.push((fragment.tfdt, samples, ranges));
    }
    read
}

/// Packs what was read.
fn pack(read: &Read) -> Builder {
    let mut builder = Builder::default();
    for (tfdt, samples, ranges) in read {
        builder.begin_fragment(*tfdt).expect("it was in range");
        let mut of = samples.iter();
        for &(offset, _, count) in ranges {
            builder.begin_run(offset).expect("it was in range");
            of.by_ref().take(count as usize).for_each(|&sample| builder.sample(sample).expect("it was in range"));
        }
    }
    builder
}
