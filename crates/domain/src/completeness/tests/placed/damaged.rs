//! Damaged segments of which something is whole: what of them is lost.

use super::{Made, check_seen, later};
use crate::completeness::*;
use expect_test::expect;
use std::ops::Range;

/// Leaves the samples `kept` of a segment.
fn keep(seen: &mut Seen, track: Track, index: u32, kept: Range<u32>) {
    let (_, frame) = Made::scale(track);
    let shape = seen.shapes.get_mut(&(track, index)).unwrap();
    let (head, tail) = (u64::from(kept.start) * frame, u64::from(shape.samples - kept.end) * frame);
    shape.samples = kept.len() as u32;
    (shape.start, shape.end) = (shape.start + head, shape.end - tail);
    (shape.presented_from, shape.presented_to) = (shape.presented_from + head as i64, shape.presented_to - tail as i64);
    super::super::find(seen, track, index).defect = Some("damaged".to_owned());
}

fn damage(seen: &mut Seen, track: Track, index: u32, samples: u32) {
    keep(seen, track, index, 0..samples);
}

#[test]
fn a_damaged_end_is_a_gap_behind_its_whole_samples() {
    check_seen(
        |_| {},
        |seen| damage(seen, Track::Video, 3, 40),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        gap: video segment 3 is cut off (5.333 s to 6.000 s)
        Salvage: video 3: its 40 whole samples are kept: damaged
        Hold: video 3: its last picture stands for 0.667 s, until segment 4"#]],
    );
    check_seen(
        |_| {},
        |seen| damage(seen, Track::Video, 6, 40),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        gap: video segment 6 is cut off (11.333 s to 12.000 s)
        Salvage: video 6: its 40 whole samples are kept: damaged"#]],
    );
    check_seen(
        |_| {},
        |seen| damage(seen, Track::Audio, 3, 50),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Silence
        gap: audio segment 3 is cut off (5.056 s to 5.994 s)
        Salvage: audio 3: its 50 whole samples are kept: damaged
        Silence: audio 3: silence of 0.938 s behind it, until segment 4"#]],
    );
    // Only its head was damaged.
    check_seen(
        |_| {},
        |seen| damage(seen, Track::Video, 3, 60),
        expect![[r#"
            incomplete
            video 1 2 3 4 5 6 Hold
            audio 1 2 3 4 5 6 Hold
            gap: video segment 3 damaged (6.000 s to 6.000 s)
            Salvage: video 3: its 60 whole samples are kept: damaged"#]],
    );
    check_seen(
        |all| all.retain(|made| (made.track, made.index) != (Track::Video, 4)),
        |seen| damage(seen, Track::Video, 3, 30),
        expect![[r#"
            incomplete
            video 1 2 3 5 6 Hold
            audio 1 2 3 4 5 6 Hold
            gap: video segment 3 is cut off (5.000 s to 6.000 s)
            gap: video segment 4 never came (6.000 s to 8.000 s)
            Salvage: video 3: its 30 whole samples are kept: damaged
            Hold: video 3: its last picture stands for 3.000 s, until segment 5"#]],
    );
}

const WHOLE: fn(&mut Vec<Made>) = |_| {};

fn lost(all: &mut Vec<Made>, track: Track, index: u32) {
    all.retain(|made| (made.track, made.index) != (track, index));
}

#[test]
fn a_damaged_beginning_is_a_gap_before_its_whole_samples() {
    check_seen(
        WHOLE,
        |seen| keep(seen, Track::Video, 3, 20..60),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        gap: video segment 3 damaged (4.000 s to 4.666 s)
        Hold: video 2: its last picture stands for 0.666 s, until segment 3
        Salvage: video 3: its 40 whole samples are kept: damaged"#]],
    );
    check_seen(
        WHOLE,
        |seen| keep(seen, Track::Audio, 3, 1..94),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        gap: audio segment 3 damaged (3.989 s to 4.010 s)
        Hold: audio 2: its last sound stands for 0.021 s, until segment 3
        Salvage: audio 3: its 93 whole samples are kept: damaged"#]],
    );
    // The first one, before which the sound goes on; and in both tracks, where the result begins with what is kept.
    check_seen(
        WHOLE,
        |seen| keep(seen, Track::Video, 1, 20..60),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        gap: video segment 1 damaged (0.000 s to 0.666 s)
        Salvage: video 1: its 40 whole samples are kept: damaged"#]],
    );
    check_seen(
        WHOLE,
        |seen| {
            keep(seen, Track::Video, 1, 30..60);
            keep(seen, Track::Audio, 1, 47..94);
        },
        expect![[r#"
            incomplete
            video 1 2 3 4 5 6 Hold
            audio 1 2 3 4 5 6 Hold
            gap: video segment 1 damaged (0.018 s to 0.018 s)
            gap: audio segment 1 damaged (0.000 s to 0.000 s)
            Salvage: video 1: its 30 whole samples are kept: damaged
            Salvage: audio 1: its 47 whole samples are kept: damaged"#]],
    );
    check_seen(
        WHOLE,
        |seen| keep(seen, Track::Video, 6, 20..60),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        gap: video segment 6 damaged (10.000 s to 10.666 s)
        Hold: video 5: its last picture stands for 0.666 s, until segment 6
        Salvage: video 6: its 40 whole samples are kept: damaged"#]],
    );
    // Behind a segment that never came, and before one.
    check_seen(
        |all| lost(all, Track::Video, 2),
        |seen| keep(seen, Track::Video, 3, 20..60),
        expect![[r#"
        incomplete
        video 1 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        gap: video segment 2 never came (2.000 s to 3.999 s)
        gap: video segment 3 damaged (3.999 s to 4.666 s)
        Hold: video 1: its last picture stands for 2.666 s, until segment 3
        Salvage: video 3: its 40 whole samples are kept: damaged"#]],
    );
    check_seen(
        |all| lost(all, Track::Video, 4),
        |seen| keep(seen, Track::Video, 3, 20..60),
        expect![[r#"
        incomplete
        video 1 2 3 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        gap: video segment 3 damaged (4.000 s to 4.666 s)
        gap: video segment 4 never came (6.000 s to 8.000 s)
        Hold: video 2: its last picture stands for 0.666 s, until segment 3
        Salvage: video 3: its 40 whole samples are kept: damaged
        Hold: video 3: its last picture stands for 2.000 s, until segment 5"#]],
    );
    // Behind one of which the end is lost.
    check_seen(
        WHOLE,
        |seen| {
            keep(seen, Track::Video, 3, 0..40);
            keep(seen, Track::Video, 4, 40..60);
        },
        expect![[r#"
            incomplete
            video 1 2 3 4 5 6 Hold
            audio 1 2 3 4 5 6 Hold
            gap: video segment 3 is cut off (5.333 s to 6.000 s)
            gap: video segment 4 damaged (6.000 s to 7.333 s)
            Salvage: video 3: its 40 whole samples are kept: damaged
            Hold: video 3: its last picture stands for 2.000 s, until segment 4
            Salvage: video 4: its 20 whole samples are kept: damaged"#]],
    );
}

#[test]
fn what_is_kept_of_the_middle_has_a_gap_on_either_side() {
    check_seen(
        WHOLE,
        |seen| keep(seen, Track::Video, 3, 20..40),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        gap: video segment 3 damaged (4.000 s to 4.666 s)
        gap: video segment 3 is cut off (5.333 s to 6.000 s)
        Hold: video 2: its last picture stands for 0.666 s, until segment 3
        Salvage: video 3: its 20 whole samples are kept: damaged
        Hold: video 3: its last picture stands for 0.667 s, until segment 4"#]],
    );
    check_seen(
        WHOLE,
        |seen| keep(seen, Track::Audio, 6, 30..60),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Silence
        gap: audio segment 6 damaged (10.005 s to 10.645 s)
        gap: audio segment 6 is cut off (11.285 s to 12.010 s)
        Silence: audio 5: silence of 0.640 s behind it, until segment 6
        Salvage: audio 6: its 30 whole samples are kept: damaged"#]],
    );
    check_seen(
        |all| lost(all, Track::Video, 4),
        |seen| keep(seen, Track::Video, 3, 20..40),
        expect![[r#"
        incomplete
        video 1 2 3 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        gap: video segment 3 damaged (4.000 s to 4.666 s)
        gap: video segment 3 is cut off (5.333 s to 6.000 s)
        gap: video segment 4 never came (6.000 s to 8.000 s)
        Hold: video 2: its last picture stands for 0.666 s, until segment 3
        Salvage: video 3: its 20 whole samples are kept: damaged
        Hold: video 3: its last picture stands for 2.667 s, until segment 5"#]],
    );
}

#[test]
fn a_pause_beside_a_damaged_segment_is_not_lost() {
    let paused = |at| {
        move |all: &mut Vec<Made>| {
            later(all, Track::Video, at, 900_000);
            later(all, Track::Audio, at, 480_000);
        }
    };
    check_seen(
        paused(3),
        |seen| keep(seen, Track::Video, 3, 20..60),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Silence
        gap: video segment 3 damaged (13.989 s to 14.666 s)
        Hold: video 2: its last picture stands for 10.666 s, until segment 3
        Salvage: video 3: its 40 whole samples are kept: damaged
        Silence: audio 2: silence of 10.000 s behind it, until segment 3"#]],
    );
    check_seen(
        paused(4),
        |seen| keep(seen, Track::Video, 3, 20..60),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Silence
        gap: video segment 3 damaged (4.000 s to 4.666 s)
        Hold: video 2: its last picture stands for 0.666 s, until segment 3
        Salvage: video 3: its 40 whole samples are kept: damaged
        Hold: video 3: its last picture stands for 10.000 s, until segment 4
        Silence: audio 3: silence of 10.000 s behind it, until segment 4"#]],
    );
    check_seen(
        paused(3),
        |seen| keep(seen, Track::Video, 3, 0..40),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Silence
        gap: video segment 3 is cut off (15.333 s to 16.000 s)
        Hold: video 2: its last picture stands for 10.000 s, until segment 3
        Salvage: video 3: its 40 whole samples are kept: damaged
        Hold: video 3: its last picture stands for 0.667 s, until segment 4
        Silence: audio 2: silence of 10.000 s behind it, until segment 3"#]],
    );
    check_seen(
        paused(4),
        |seen| keep(seen, Track::Video, 3, 0..40),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Silence
        gap: video segment 3 is cut off (5.333 s to 5.994 s)
        Salvage: video 3: its 40 whole samples are kept: damaged
        Hold: video 3: its last picture stands for 10.667 s, until segment 4
        Silence: audio 3: silence of 10.000 s behind it, until segment 4"#]],
    );
}

#[test]
fn a_clock_that_begins_with_a_damaged_segment_tells_of_it() {
    let renewed = |all: &mut Vec<Made>| {
        later(all, Track::Video, 4, -3 * 180_000);
        later(all, Track::Audio, 4, -3 * 94 * 1024);
    };
    check_seen(
        renewed,
        |seen| keep(seen, Track::Video, 4, 20..60),
        expect![[r#"
        incomplete
        video 1 2 3 4+541920 5+541920 6+541920 Hold
        audio 1 2 3 4+289024 5+289024 6+289024 Hold
        gap: video begins its clock anew (6.000 s to 6.021 s)
        gap: video segment 4 damaged (6.021 s to 6.688 s)
        gap: audio begins its clock anew (5.994 s to 6.000 s)
        Hold: video 3: its last picture stands for 0.688 s, until segment 4
        Rebase: video 4: its clock began anew: it and those after it are moved by 6.021 s
        Salvage: video 4: its 40 whole samples are kept: damaged
        Rebase: audio 4: its clock began anew: it and those after it are moved by 6.021 s"#]],
    );
    check_seen(
        renewed,
        |seen| {
            keep(seen, Track::Video, 4, 20..60);
            keep(seen, Track::Audio, 4, 40..94);
        },
        expect![[r#"
            incomplete
            video 1 2 3 4+480000 5+480000 6+480000 Hold
            audio 1 2 3 4+256000 5+256000 6+256000 Silence
            gap: video begins its clock anew (6.000 s to 6.000 s)
            gap: video segment 4 damaged (6.000 s to 6.000 s)
            gap: audio begins its clock anew (5.994 s to 5.994 s)
            gap: audio segment 4 damaged (5.994 s to 6.165 s)
            Rebase: video 4: its clock began anew: it and those after it are moved by 5.333 s
            Salvage: video 4: its 40 whole samples are kept: damaged
            Silence: audio 3: silence of 0.171 s behind it, until segment 4
            Rebase: audio 4: its clock began anew: it and those after it are moved by 5.333 s
            Salvage: audio 4: its 54 whole samples are kept: damaged"#]],
    );
}

#[test]
fn a_result_that_begins_in_the_midst_of_what_is_lost_tells_of_it_by_the_usual_length() {
    check_seen(
        |all| {
            lost(all, Track::Video, 1);
            lost(all, Track::Audio, 1);
        },
        |seen| {
            let second = super::super::find(seen, Track::Video, 2);
            (second.state, second.span) = (State::Lost, None);
            second.defect = Some("damaged".to_owned());
        },
        expect![[r#"
            incomplete
            video 3 4 5 6 Hold
            audio 2 3 4 5 6 Hold
            gap: video segment 1 never came (0.000 s to 0.016 s)
            gap: video segment 2 damaged (0.016 s to 2.016 s)
            gap: audio segment 1 never came (0.000 s to 0.000 s)"#]],
    );
}
