//! What a segment's sample index amounts to on the time axis, for the verdict on a recording.

#![forbid(unsafe_code)]

use crate::index::{Damaged, IndexReader};
use crate::init::Init;
use domain::id::Sha256;
use domain::segment::Shape;

/// Reads a packed index of a track. `None` when its fragments contradict one another: one that begins before the last
/// sample of the one before it can be put in no order.
///
/// # Errors
/// The bytes are no index, or one of another build.
pub fn of(packed: &[u8], init: &Init) -> Result<Option<Shape>, Damaged> {
    let index = IndexReader::open(packed)?;
    let (mut presented_from, mut presented_to) = (i64::MAX, i64::MIN);
    let (mut before, mut last) = (None::<u64>, 0);
    for fragment in index.fragments() {
        let over = before.map_or(0, |end| end.saturating_sub(fragment.tfdt));
        if over > 0 && over >= u64::from(last) {
            return Ok(None);
        }
        // Times of an index are far below the end of 63 bits.
        let mut at = fragment.tfdt as i64 - init.media_time;
        for sample in fragment.samples() {
            let composed = at + i64::from(sample.composition_offset);
            presented_from = presented_from.min(composed);
            presented_to = presented_to.max(composed + i64::from(sample.duration));
            at += i64::from(sample.duration);
            last = sample.duration;
        }
        before = Some(fragment.end);
    }
    let summary = index.summary();
    Ok(before.map(|end| Shape {
        timescale: init.timescale,
        start: summary.start,
        end,
        presented_from,
        presented_to,
        last_duration: last,
        samples: summary.samples,
        starts_with_sync: summary.starts_with_sync,
        index_sha256: Sha256::of(packed),
    }))
}
