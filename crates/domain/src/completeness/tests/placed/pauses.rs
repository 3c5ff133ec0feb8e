//! Pauses, jumps and segments that are longer than promised.

use super::{Made, check_made, check_seen, get, later};
use crate::completeness::*;
use expect_test::expect;

#[test]
fn a_pause_is_kept_or_cut() {
    let paused = |all: &mut Vec<Made>| {
        later(all, Track::Video, 4, 900_000);
        later(all, Track::Audio, 4, 480_000);
    };
    check_made(
        paused,
        expect![[r#"
        complete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Silence
        Hold: video 3: its last picture stands for 10.000 s, until segment 4
        Silence: audio 3: silence of 10.000 s behind it, until segment 4"#]],
    );
    check_seen(
        paused,
        |seen| seen.pauses = Pauses::Cut,
        expect![[r#"
        complete
        video 1 2 3 4-899460 5-899460 6-899460 Hold
        audio 1 2 3 4-479712 5-479712 6-479712 Hold
        Cut: video 3: a pause of 9.994 s behind it is cut out
        Cut: audio 3: a pause of 9.994 s behind it is cut out"#]],
    );
    let alone = |all: &mut Vec<Made>| {
        paused(all);
        all.retain(|made| made.track == Track::Audio);
    };
    check_seen(
        alone,
        |seen| seen.pauses = Pauses::Cut,
        expect![[r#"
        complete
        audio 1 2 3 4-480000 5-480000 6-480000 Hold
        Cut: audio 3: a pause of 10.000 s behind it is cut out"#]],
    );
    // The sound lost a segment at the pause: only what both skip is cut.
    let lost = |all: &mut Vec<Made>| {
        paused(all);
        all.retain(|made| (made.track, made.index) != (Track::Audio, 4));
    };
    check_seen(
        lost,
        |seen| seen.pauses = Pauses::Cut,
        expect![[r#"
        incomplete
        video 1 2 3 4-900000 5-900000 6-900000 Hold
        audio 1 2 3 5-480000 6-480000 Silence
        gap: audio segment 4 never came (5.994 s to 8.000 s)
        Cut: video 3: a pause of 10.000 s behind it is cut out
        Cut: audio 3: a pause of 10.000 s behind it is cut out
        Silence: audio 3: silence of 2.006 s behind it, until segment 5"#]],
    );
}

#[test]
fn a_jump_of_one_track_is_a_gap_of_silence_or_a_picture_that_stands() {
    check_made(
        |all| later(all, Track::Audio, 4, 144_000),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Silence
        gap: audio skips time (5.994 s to 8.994 s)
        Silence: audio 3: silence of 3.000 s behind it, until segment 4"#]],
    );
    check_seen(
        |all| later(all, Track::Audio, 4, 144_000),
        |seen| seen.silent_frame = None,
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        gap: audio skips time (5.994 s to 8.994 s)
        Hold: audio 3: its last sound stands for 3.000 s, until segment 4"#]],
    );
    check_made(
        |all| later(all, Track::Video, 4, 90_000),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        gap: video skips time (6.000 s to 7.000 s)
        Hold: video 3: its last picture stands for 1.000 s, until segment 4"#]],
    );
    check_made(
        |all| later(all, Track::Video, 4, 9000),
        expect![[r#"
        complete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold"#]],
    );
}

#[test]
fn a_segment_longer_than_a_playlist_promises_is_told() {
    let long = |all: &mut Vec<Made>| {
        get(all, Track::Video, 3).samples = 330;
        later(all, Track::Video, 4, 9 * 90_000);
        later(all, Track::Audio, 4, 9 * 48_000);
        get(all, Track::Audio, 3).samples = 516;
    };
    check_made(
        long,
        expect![[r#"
        complete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        Overlong: video 3: it lasts 11 s, longer than the 4 s that a playlist promises
        Overlong: audio 3: it lasts 11 s, longer than the 4 s that a playlist promises"#]],
    );
}

#[test]
fn a_pause_that_no_sample_can_stand_for_is_named() {
    let day = |all: &mut Vec<Made>| {
        later(all, Track::Video, 4, 24 * 3600 * 90_000);
        later(all, Track::Audio, 4, 24 * 3600 * 48_000);
    };
    check_made(
        day,
        expect![
            "broken: gap-too-long: nothing is there for 86400000 ms before video segment 4, longer than one sample can be held; cutting pauses (mux.pauses) would leave it out"
        ],
    );
    check_seen(
        day,
        |seen| seen.pauses = Pauses::Cut,
        expect![[r#"
        complete
        video 1 2 3 4-7775999460 5-7775999460 6-7775999460 Hold
        audio 1 2 3 4-4147199712 5-4147199712 6-4147199712 Hold
        Cut: video 3: a pause of 86399.994 s behind it is cut out
        Cut: audio 3: a pause of 86399.994 s behind it is cut out"#]],
    );
}
