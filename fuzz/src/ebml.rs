//! The walk over Matroska: what it says is damaged lies inside, is ascending and bounded, and nothing is left of it when
//! the same bytes are read with padding in its place.
//!
//! Input: four options (where three pieces begin, in bytes), and the stream.

use media::ebml::{self, DAMAGES_MAX, Damage, Mended, Survey};
use std::io::{Cursor, Read};

/// Holds the walk to its promises.
pub fn check(bytes: &[u8]) {
    let Some((options, stream)) = bytes.split_first_chunk::<4>() else { return };
    let size_bytes = stream.len() as u64;
    let mut starts: Vec<u64> = options[..3].iter().map(|at| size_bytes * u64::from(*at) / 256).collect();
    starts.sort_unstable();
    starts.dedup();
    let survey = walk(stream, &starts);
    assert_eq!(survey.stamps.len(), starts.len());
    assert!(survey.damages.len() <= DAMAGES_MAX);
    assert!(survey.damages.iter().all(|damage| damage.from <= damage.to && damage.to <= size_bytes));
    assert!(survey.damages.windows(2).all(|pair| pair[0].to < pair[1].from), "{:?}", survey.damages);

    // In place: every byte that is not damaged is as it was, but for the lengths of clusters that were cut.
    let mended = read(stream, &survey, &[]);
    let hidden = single_bytes(&survey, &[]);
    let shown = (0..).zip(stream).filter(|(at, _)| hidden.binary_search(at).is_err());
    assert_eq!(mended.len() + hidden.len(), stream.len());
    let inside = |at: u64, damage: &Damage| (damage.from..damage.to).contains(&at);
    let length = |at: u64| survey.clusters_cut.iter().any(|(from, len)| (*from..from + u64::from(*len)).contains(&at));
    for ((at, byte), read) in shown.zip(&mended) {
        assert!(byte == read || length(at) || survey.damages.iter().any(|damage| inside(at, damage)), "byte {at}");
    }

    // In order: the pieces that are no copies, each whole.
    let ordered = read(stream, &survey, &starts);
    let order = ebml::order(Cursor::new(stream), size_bytes, &starts, &survey).expect("memory can be read");
    let range_of = |piece: usize| starts[piece]..starts.get(piece + 1).copied().unwrap_or(size_bytes);
    let left_out: Vec<_> = order.copies.iter().map(|(copy, _)| range_of(*copy)).collect();
    let shown = |at: &&u64| !left_out.iter().any(|range| range.contains(*at));
    let hidden = single_bytes(&survey, &starts).iter().filter(shown).count() as u64;
    let left_out_bytes: u64 = left_out.iter().map(|range| range.end - range.start).sum();
    assert_eq!(ordered.len() as u64 + left_out_bytes + hidden, size_bytes);
    assert_eq!(order.pieces().count() + order.copies.len(), starts.len());
    assert!(order.copies.iter().all(|(copy, of)| survey.stamps[*copy] == survey.stamps[*of]));
}

/// Bytes that no padding can hide: damages, or parts of them in a piece, that are no longer; ascending.
fn single_bytes(survey: &Survey, starts: &[u64]) -> Vec<u64> {
    let mut bytes = Vec::new();
    for damage in &survey.damages {
        let mut from = damage.from;
        let cuts = starts.iter().copied().filter(|cut| damage.from < *cut && *cut < damage.to);
        for to in cuts.chain([damage.to]) {
            bytes.extend((to - from == 1).then_some(from));
            from = to;
        }
    }
    bytes
}

fn walk(stream: &[u8], starts: &[u64]) -> Survey {
    ebml::walk(Cursor::new(stream), stream.len() as u64, starts).expect("memory can be read")
}

/// What is read of a mended stream, in pieces that are cut anywhere.
fn read(stream: &[u8], survey: &Survey, starts: &[u64]) -> Vec<u8> {
    let order = ebml::order(Cursor::new(stream), stream.len() as u64, starts, survey).expect("memory can be read");
    let mut mended = Mended::of(Cursor::new(stream), survey, order);
    let (mut all, mut buffer) = (Vec::new(), [0; 7]);
    loop {
        match mended.read(&mut buffer).expect("memory can be read") {
            0 => return all,
            read => all.extend_from_slice(&buffer[..read]),
        }
    }
}
