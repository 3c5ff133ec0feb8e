//! The salvage: what it saves lies in the object once, and of a segment that was cut off it saves all that is left.
//!
//! Input: that of the walk; its seed says where a whole segment is cut.

use super::walk::Input;
use media::index::{IndexReader, Sample};
use media::salvage::{CANDIDATES_MAX, RESYNC_BYTES_MAX, Salvager, media};
use media::walk::{self, BOXES_MAX, Limits, Media};

/// Holds the salvage to its promises.
pub fn check(bytes: &[u8]) {
    let Some(Input { seed, init, object, .. }) = Input::of(bytes) else { return };
    match walk::media(&init, object, Limits::NONE) {
        Err(defect) => {
            let saved = media(&init, object, &defect);
            bounded(Salvager::of(&init, object.len() as u64, &defect), object);
            if let Some(saved) = saved {
                assert_eq!(saved.size_bytes, object.len() as u64);
                inside(&placed(&saved), object.len() as u64);
            }
        }
        Ok(whole) => {
            let cut = object.len() * usize::from(seed) / 256;
            let saved = match walk::media(&init, &object[..cut], Limits::NONE) {
                Ok(shorter) => Some(shorter),
                Err(defect) => media(&init, &object[..cut], &defect),
            };
            let (all, left) = (placed(&whole), saved.as_ref().map(placed).unwrap_or_default());
            assert!(all.iter().map(|(_, sample)| sample).zip(&left).all(|(all, (_, left))| all == left), "a prefix");
            assert!(left.len() <= all.len());
            inside(&left, cut as u64);
            let first_lost = all[left.len()..].iter().find(|(_, sample)| sample.size_bytes > 0);
            if let Some((at, sample)) = first_lost {
                assert!(at + u64::from(sample.size_bytes) > cut as u64, "a whole sample was given up at {at} of {cut}");
            }
        }
    }
}

/// Every sample with its first byte, in decode order.
fn placed(media: &Media) -> Vec<(u64, Sample)> {
    let index = IndexReader::open(&media.index).expect("what was packed can be read");
    assert_eq!(index.summary(), media.summary);
    let mut placed = Vec::new();
    for fragment in index.fragments() {
        let mut samples = fragment.samples();
        for range in fragment.ranges() {
            let mut at = range.offset;
            for sample in samples.by_ref().take(range.samples as usize) {
                placed.push((at, sample));
                at += u64::from(sample.size_bytes);
            }
        }
    }
    placed
}

/// No sample reaches behind the object, and no two share a byte.
fn inside(placed: &[(u64, Sample)], size_bytes: u64) {
    let mut ranges: Vec<_> = placed.iter().map(|(at, sample)| (*at, at + u64::from(sample.size_bytes))).collect();
    ranges.retain(|(from, to)| from < to);
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0), "two samples share a byte");
    assert!(ranges.last().is_none_or(|last| last.1 <= size_bytes), "a sample ends behind the object");
}

/// Only bytes of the object are asked for, and not too often.
fn bounded(mut salvager: Salvager, object: &[u8]) {
    let (mut reads, mut read_bytes) = (0u64, 0u64);
    while let Some(wanted) = salvager.wants() {
        assert!(wanted.start < wanted.end && wanted.end <= object.len() as u64, "{wanted:?} of {}", object.len());
        (reads, read_bytes) = (reads + 1, read_bytes + wanted.end - wanted.start);
        salvager.push(&object[wanted.start as usize..wanted.end as usize]);
    }
    assert!(reads <= u64::from(BOXES_MAX));
    let most = (u64::from(CANDIDATES_MAX) + 2) * (object.len() as u64).min(2 * RESYNC_BYTES_MAX) + object.len() as u64;
    assert!(read_bytes <= most, "{read_bytes} bytes read of {}", object.len());
}
