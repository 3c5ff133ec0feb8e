//! Clocks that begin anew.

use super::{Made, check_made, copy, get, later};
use crate::completeness::*;
use expect_test::expect;

#[test]
fn a_clock_that_began_anew_goes_on_where_the_one_before_it_ended() {
    let reset = |all: &mut Vec<Made>| {
        later(all, Track::Video, 4, -3 * 180_000);
        later(all, Track::Audio, 4, -3 * 94 * 1024);
    };
    check_made(
        reset,
        expect![[r#"
        incomplete
        video 1 2 3 4+541920 5+541920 6+541920 Hold
        audio 1 2 3 4+289024 5+289024 6+289024 Hold
        gap: video begins its clock anew (6.000 s to 6.021 s)
        gap: audio begins its clock anew (5.994 s to 6.000 s)
        Rebase: video 4: its clock began anew: it and those after it are moved by 6.021 s
        Rebase: audio 4: its clock began anew: it and those after it are moved by 6.021 s"#]],
    );
    // A source that begins with the very same bytes again.
    let same = |all: &mut Vec<Made>| {
        for track in Track::ALL {
            (1..=3).for_each(|index| copy(all, track, index, index + 3));
        }
    };
    check_made(
        same,
        expect![[r#"
        incomplete
        video 1 2 3 4+541920 5+541920 6+541920 Hold
        audio 1 2 3 4+289024 5+289024 6+289024 Hold
        gap: video begins its clock anew (6.000 s to 6.021 s)
        gap: audio begins its clock anew (5.994 s to 6.000 s)
        Rebase: video 4: its clock began anew: it and those after it are moved by 6.021 s
        Rebase: audio 4: its clock began anew: it and those after it are moved by 6.021 s"#]],
    );
    // The sound had gone on for half a second longer, and the new clock does not begin at 0.
    let uneven = |all: &mut Vec<Made>| {
        reset(all);
        get(all, Track::Audio, 3).samples += 24;
        later(all, Track::Video, 4, 90_000);
        later(all, Track::Audio, 4, 48_000 + 480);
    };
    check_made(
        uneven,
        expect![[r#"
        incomplete
        video 1 2 3 4+496620 5+496620 6+496620 Hold
        audio 1 2 3 4+264864 5+264864 6+264864 Hold
        gap: video begins its clock anew (6.000 s to 6.518 s)
        gap: audio begins its clock anew (6.506 s to 6.506 s)
        Hold: video 3: its last picture stands for 0.518 s, until segment 4
        Rebase: video 4: its clock began anew: it and those after it are moved by 5.518 s
        Rebase: audio 4: its clock began anew: it and those after it are moved by 5.518 s"#]],
    );
    let lost = |all: &mut Vec<Made>| {
        reset(all);
        all.retain(|made| (made.track, made.index) != (Track::Video, 4));
    };
    check_made(
        lost,
        expect![[r#"
        incomplete
        video 1 2 3 5+541920 6+541920 Hold
        audio 1 2 3 4+289024 5+289024 6+289024 Hold
        gap: video segment 4 never came (6.000 s to 8.021 s)
        gap: video begins its clock anew (8.021 s to 8.021 s)
        gap: audio begins its clock anew (5.994 s to 6.000 s)
        Hold: video 3: its last picture stands for 2.021 s, until segment 5
        Rebase: video 5: its clock began anew: it and those after it are moved by 6.021 s
        Rebase: audio 4: its clock began anew: it and those after it are moved by 6.021 s"#]],
    );
}
