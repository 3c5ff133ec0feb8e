//! The way up: how far a picture is turned before it is shown.

#![forbid(unsafe_code)]

use domain::segment::CodecFacts;

/// Where the matrix lies behind the duration of `tkhd`: reserved, layer, group, volume, reserved (ISO/IEC 14496-12 8.3.2).
const MATRIX: usize = 16;

/// Puts the size as it is shown and the rotation into the facts of a picture. `tkhd_tail` is what follows the duration.
pub(super) fn shown(facts: CodecFacts, tkhd_tail: &[u8]) -> CodecFacts {
    let rotation = rotation(tkhd_tail);
    match rotation {
        90 | 270 => CodecFacts { width: facts.height, height: facts.width, rotation, ..facts },
        _ => CodecFacts { rotation, ..facts },
    }
}

/// Degrees clockwise. A point (x, y) is shown at (a x + c y, b x + d y); other angles than quarters are shown as 0, and
/// of a mirrored picture only whether its rows become columns is told.
fn rotation(tkhd_tail: &[u8]) -> u16 {
    let entry = |n: usize| {
        let bytes = tkhd_tail.get(MATRIX + n * 4..).and_then(<[u8]>::first_chunk::<4>);
        bytes.map_or(0, |bytes| i32::from_be_bytes(*bytes).signum())
    };
    match (entry(0), entry(1), entry(3), entry(4)) {
        (0, 1, _, 0) => 90,
        (-1, 0, 0, -1) => 180,
        (0, -1, _, 0) => 270,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarters_are_told_and_sides_change_places() {
        for ([a, b, c, d], expected) in [
            ([1, 0, 0, 1], (0, 160, 90)),
            ([0, 1, -1, 0], (90, 90, 160)),
            ([-1, 0, 0, -1], (180, 160, 90)),
            ([0, -1, 1, 0], (270, 90, 160)),
            // Mirrored; mirrored along the diagonal; an eighth of a turn.
            ([-1, 0, 0, 1], (0, 160, 90)),
            ([0, 1, 1, 0], (90, 90, 160)),
            ([1, 1, -1, 1], (0, 160, 90)),
        ] {
            let matrix = [a, b, 0, c, d, 0, 0, 0, 1 << 30];
            let tail: Vec<u8> = [0; 16].into_iter().chain(matrix.iter().flat_map(|n: &i32| n.to_be_bytes())).collect();
            let (codec, channels, sample_rate) = ("avc1.64000b".to_owned(), 0, 0);
            let coded = CodecFacts { codec, timescale: 1, width: 160, height: 90, rotation: 0, channels, sample_rate };
            let facts = shown(coded, &tail);
            assert_eq!((facts.rotation, facts.width, facts.height), expected, "{a} {b} {c} {d}");
        }
    }
}
