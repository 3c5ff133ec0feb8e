//! Copies, objects under each other's names, overlaps, and time stamps that go back for no reason.

use super::{Made, check_made, copy, get, later, swap};
use crate::completeness::*;
use expect_test::expect;

#[test]
fn a_copy_is_left_out_and_its_place_is_a_gap() {
    check_made(
        |all| copy(all, Track::Video, 3, 4),
        expect![[r#"
        incomplete
        video 1 2 3 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        gap: video segment 4 is a copy of one before it (6.000 s to 8.000 s)
        DropDuplicate: video 4: left out: it is a copy of segment 3
        Hold: video 3: its last picture stands for 2.000 s, until segment 5"#]],
    );
    check_made(
        |all| copy(all, Track::Video, 1, 4),
        expect![[r#"
        incomplete
        video 1 2 3 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        gap: video segment 4 is a copy of one before it (6.000 s to 8.000 s)
        DropDuplicate: video 4: left out: it is a copy of segment 1
        Hold: video 3: its last picture stands for 2.000 s, until segment 5"#]],
    );
    check_made(
        |all| copy(all, Track::Audio, 5, 6),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 Hold
        gap: audio segment 6 is a copy of one before it (10.005 s to 12.000 s)
        DropDuplicate: audio 6: left out: it is a copy of segment 5"#]],
    );
}

#[test]
fn a_copy_that_was_numbered_on_top_of_the_others_leaves_no_time_behind() {
    let numbered = |all: &mut Vec<Made>| {
        all.iter_mut().filter(|made| made.track == Track::Video && made.index > 3).for_each(|made| made.index += 1);
        let third = *get(all, Track::Video, 3);
        all.push(Made { index: 4, ..third });
    };
    check_made(
        numbered,
        expect![[r#"
        incomplete
        video 1 2 3 5 6 7 Hold
        audio 1 2 3 4 5 6 Hold
        gap: video segment 4 is a copy of one before it (6.000 s to 6.000 s)
        DropDuplicate: video 4: left out: it is a copy of segment 3"#]],
    );
}

#[test]
fn swapped_objects_are_sorted() {
    check_made(
        |all| swap(all, Track::Video, 3, 4),
        expect![[r#"
        complete
        video 1 2 4 3 5 6 Hold
        audio 1 2 3 4 5 6 Hold
        Sort: video 4: brought into the order of the time stamps, to the place of segment 3
        Sort: video 3: brought into the order of the time stamps, to the place of segment 4"#]],
    );
    check_made(
        |all| swap(all, Track::Audio, 1, 2),
        expect![[r#"
        complete
        video 1 2 3 4 5 6 Hold
        audio 2 1 3 4 5 6 Hold
        Sort: audio 2: brought into the order of the time stamps, to the place of segment 1
        Sort: audio 1: brought into the order of the time stamps, to the place of segment 2"#]],
    );
    check_made(
        |all| swap(all, Track::Video, 2, 5),
        expect![[r#"
        complete
        video 1 5 3 4 2 6 Hold
        audio 1 2 3 4 5 6 Hold
        Sort: video 5: brought into the order of the time stamps, to the place of segment 2
        Sort: video 2: brought into the order of the time stamps, to the place of segment 5"#]],
    );
}

#[test]
fn time_stamps_that_go_back_for_no_reason_are_named() {
    check_made(
        |all| later(all, Track::Video, 4, -3 * 180_000),
        expect![
            "broken: tfdt-back: the time stamps of video segment 4 go back by 6000 ms, and no order of the segments mends it"
        ],
    );
    check_made(
        |all| get(all, Track::Audio, 5).start -= 20 * 1024,
        expect![
            "broken: tfdt-back: the time stamps of audio segment 5 go back by 426 ms, and no order of the segments mends it"
        ],
    );
}

#[test]
fn an_overlap_shorter_than_the_last_sample_shrinks_it() {
    check_made(
        |all| later(all, Track::Video, 4, -450),
        expect![[r#"
        complete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold"#]],
    );
    check_made(
        |all| later(all, Track::Video, 4, -3000),
        expect![
            "broken: tfdt-back: the time stamps of video segment 4 go back by 33 ms, and no order of the segments mends it"
        ],
    );
}
