//! Tables of the verdict.

mod foreign;
mod modelled;
mod placed;
mod properties;

use super::*;
use crate::id::Sha256;
use crate::segment::Span;

const VIDEO_MS: u64 = 2000;
const AUDIO_MS: u64 = 3000;

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn span(start_ms: u64, duration_ms: u64) -> Span {
    Span { timescale: 1000, start: start_ms, duration: duration_ms }
}

pub(super) fn row(track: Track, index: u32, start_ms: u64, duration_ms: u64) -> Row {
    let size_bytes = 1000 + u64::from(index);
    let span = (index > 0).then_some(span(start_ms, duration_ms));
    let sha256 = Some(Sha256::of(&index.to_be_bytes()));
    Row { track, index, state: State::Stored, size_bytes, sha256, span, defect: None }
}

/// Twelve seconds: six video and four audio segments, declared, all in the store, asked an hour after the end.
pub(super) fn whole() -> Seen {
    let video = (0..=6).map(|i| row(Track::Video, i, u64::from(i.max(1) - 1) * VIDEO_MS, VIDEO_MS));
    let audio = (0..=4).map(|i| row(Track::Audio, i, u64::from(i.max(1) - 1) * AUDIO_MS, AUDIO_MS));
    let rows: Vec<Row> = video.chain(audio).collect();
    let objects = rows.iter().map(|row| Object { track: row.track, index: row.index, size_bytes: row.size_bytes });
    let last = |last_index| Last { last_index };
    Seen {
        owner: OwnerId::parse("o").unwrap(),
        recording: RecordingId::parse("r").unwrap(),
        policy: Policy::Degrade,
        accept_gaps: false,
        version: 1,
        declared: Some(Declaration {
            tracks: [(Track::Video, last(6)), (Track::Audio, last(4))].into(),
            duration_ms: 12_000,
        }),
        claimed: None,
        shapes: BTreeMap::new(),
        silent_frame: None,
        pauses: Pauses::Auto,
        objects: objects.collect(),
        rows,
        signalled_at: at(0),
        now: at(3600),
        limits: Limits::default(),
    }
}

pub(super) fn lose(seen: &mut Seen, track: Track, indexes: impl Fn(u32) -> bool) {
    seen.rows.retain(|row| row.track != track || !indexes(row.index));
    seen.objects.retain(|object| object.track != track || !indexes(object.index));
}

fn later(seen: &mut Seen, track: Track, from_index: u32, by_ms: u64) {
    for row in seen.rows.iter_mut().filter(|row| row.track == track && row.index >= from_index) {
        row.span = row.span.map(|span| Span { start: span.start + by_ms, ..span });
    }
}

pub(super) fn find(seen: &mut Seen, track: Track, index: u32) -> &mut Row {
    seen.rows.iter_mut().find(|row| row.track == track && row.index == index).unwrap()
}

pub(super) fn words(verdict: &Completeness) -> String {
    let tracks = |plan: &Plan| {
        let of = |track: &PlanTrack| {
            let indexes: Vec<_> = track.segments.iter().map(|segment| segment.index.to_string()).collect();
            format!("{} {}", track.track, indexes.join(","))
        };
        plan.tracks.iter().map(of).collect::<Vec<_>>().join(" | ")
    };
    match verdict {
        Completeness::Complete(plan) => format!("complete: {}; confirmed {}", tracks(plan), plan.tail_confirmed),
        Completeness::Waiting { on, until } => {
            format!("waiting: {on:?} {:?}", until.map(|until| (until - at(0)).num_seconds()))
        }
        Completeness::Incomplete(plan) => format!("incomplete: {}; {}", tracks(plan), describe(&plan.gaps)),
        Completeness::Broken(broken) => format!("broken: {}: {broken}", broken.code()),
    }
}

fn check_words(change: impl FnOnce(&mut Seen), expected: expect_test::Expect) {
    let mut seen = whole();
    change(&mut seen);
    expected.assert_eq(&words(&check(&seen)));
}

use expect_test::expect;

#[test]
fn check_completes_what_is_whole() {
    check_words(|_| {}, expect!["complete: video 1,2,3,4,5,6 | audio 1,2,3,4; confirmed true"]);
    check_words(
        |seen| {
            lose(seen, Track::Audio, |_| true);
            seen.declared.as_mut().unwrap().tracks.remove(&Track::Audio);
        },
        expect!["complete: video 1,2,3,4,5,6; confirmed true"],
    );
    check_words(|seen| seen.declared = None, expect!["complete: video 1,2,3,4,5,6 | audio 1,2,3,4; confirmed false"]);
    let later_start = |seen: &mut Seen| later(seen, Track::Audio, 1, 500);
    check_words(later_start, expect!["complete: video 1,2,3,4,5,6 | audio 1,2,3,4; confirmed true"]);
}

#[test]
fn check_waits_for_the_store_without_deadline() {
    let received = |seen: &mut Seen| find(seen, Track::Video, 3).state = State::Received;
    check_words(received, expect!["waiting: Store None"]);
}

#[test]
fn check_waits_for_the_declaration_and_goes_on_without() {
    let undeclared = |seconds| {
        move |seen: &mut Seen| {
            seen.declared = None;
            seen.now = at(seconds);
        }
    };
    check_words(undeclared(29), expect!["waiting: Declaration Some(30)"]);
    check_words(undeclared(30), expect!["complete: video 1,2,3,4,5,6 | audio 1,2,3,4; confirmed false"]);
}

#[test]
fn check_waits_for_what_is_missing_until_the_deadline() {
    let missing = |seconds| {
        move |seen: &mut Seen| {
            lose(seen, Track::Video, |index| index == 3 || index == 4);
            seen.now = at(seconds);
        }
    };
    check_words(missing(599), expect!["waiting: Missing Some(600)"]);
    check_words(
        missing(600),
        expect!["incomplete: video 1,2,5,6 | audio 1,2,3,4; video segments 3 to 4 never came (4.000 s to 8.000 s)"],
    );
}

#[test]
fn check_treats_a_stored_segment_that_the_store_does_not_show_as_missing() {
    let unseen = |seconds| {
        move |seen: &mut Seen| {
            seen.objects.retain(|object| object.index != 2);
            seen.objects.iter_mut().filter(|object| object.index == 4).for_each(|object| object.size_bytes = 1);
            seen.now = at(seconds);
        }
    };
    check_words(unseen(0), expect!["waiting: Missing Some(600)"]);
    check_words(
        unseen(600),
        expect![[
            r#"incomplete: video 1,3,5,6 | audio 1,3; video segment 2 lost before the store had it (2.000 s to 4.000 s); video segment 4 damaged (6.000 s to 8.000 s); audio segment 2 lost before the store had it (3.000 s to 6.000 s); audio segment 4 damaged (9.000 s to 12.000 s)"#
        ]],
    );
}

#[test]
fn check_does_not_wait_for_what_is_lost() {
    check_words(
        |seen| {
            find(seen, Track::Audio, 2).state = State::Lost;
            seen.now = at(0);
        },
        expect![
            "incomplete: video 1,2,3,4,5,6 | audio 1,3,4; audio segment 2 lost before the store had it (3.000 s to 6.000 s)"
        ],
    );
}

#[test]
fn check_finds_head_and_tail() {
    check_words(
        |seen| lose(seen, Track::Video, |index| index == 1),
        expect!["incomplete: video 2,3,4,5,6 | audio 1,2,3,4; video segment 1 never came (0.000 s to 2.000 s)"],
    );
    check_words(
        |seen| lose(seen, Track::Audio, |index| index == 4),
        expect!["incomplete: video 1,2,3,4,5,6 | audio 1,2,3; audio segment 4 never came (9.000 s to 12.000 s)"],
    );
    check_words(
        |seen| {
            lose(seen, Track::Video, |index| index == 6);
            seen.declared = None;
        },
        expect!["incomplete: video 1,2,3,4,5 | audio 1,2,3,4; video ends early (10.000 s to 12.000 s)"],
    );
    check_words(
        |seen| {
            seen.rows.iter_mut().filter(|row| row.index == 4).for_each(|row| row.state = State::Lost);
            lose(seen, Track::Video, |index| index == 3);
            seen.now = at(7200);
        },
        expect![
            "incomplete: video 1,2,5,6 | audio 1,2,3; video segment 3 never came (4.000 s to 6.000 s); video segment 4 lost before the store had it (6.000 s to 8.000 s); audio segment 4 lost before the store had it (9.000 s to 12.000 s)"
        ],
    );
}

#[test]
fn check_names_a_whole_track_that_never_came() {
    check_words(
        |seen| {
            lose(seen, Track::Audio, |_| true);
            seen.accept_gaps = true;
        },
        expect!["incomplete: video 1,2,3,4,5,6; audio segments 1 to 4 never came (0.000 s to 12.000 s)"],
    );
}

#[test]
fn check_tells_of_a_track_that_was_begun_and_got_no_segment() {
    let silent = |seen: &mut Seen| {
        lose(seen, Track::Audio, |index| index > 0);
        seen.declared.as_mut().unwrap().tracks.remove(&Track::Audio);
    };
    check_words(silent, expect!["complete: video 1,2,3,4,5,6; confirmed true"]);
    let undeclared = |seen: &mut Seen| {
        silent(seen);
        seen.declared = None;
        seen.now = at(30);
    };
    check_words(undeclared, expect!["incomplete: video 1,2,3,4,5,6; audio never came (0.000 s to 12.000 s)"]);
    check_words(
        |seen| {
            undeclared(seen);
            seen.policy = Policy::Fail;
        },
        expect![
            "broken: gaps-under-policy-fail: the recording has gaps and its policy is to fail: audio never came (0.000 s to 12.000 s)"
        ],
    );
}

#[test]
fn check_makes_nothing_of_a_picture_of_which_no_segment_can_be_read() {
    let unreadable = |track: Track| {
        move |seen: &mut Seen| {
            seen.limits.max_gap_ratio = 1.0;
            for row in seen.rows.iter_mut().filter(|row| row.track == track && row.index > 0) {
                (row.state, row.span) = (State::Lost, None);
                row.defect = Some("the box moof at byte 24 is cut off".to_owned());
            }
        }
    };
    check_words(
        unreadable(Track::Video),
        expect![
            "broken: empty: not one segment of the video track can be read, so there is nothing to make a result of"
        ],
    );
    check_words(
        unreadable(Track::Audio),
        expect!["incomplete: video 1,2,3,4,5,6; audio segments 1 to 4 damaged (0.000 s to 12.000 s)"],
    );
    check_words(
        |seen| {
            unreadable(Track::Video)(seen);
            seen.accept_gaps = true;
        },
        expect!["incomplete: audio 1,2,3,4; video segments 1 to 6 damaged (0.000 s to 12.000 s)"],
    );
    check_words(
        |seen| {
            lose(seen, Track::Video, |_| true);
            unreadable(Track::Audio)(seen);
        },
        expect![
            "broken: empty: not one segment of the audio track can be read, so there is nothing to make a result of"
        ],
    );
    // What never came was perhaps never meant to.
    check_words(
        |seen| {
            lose(seen, Track::Video, |_| true);
            seen.limits.max_gap_ratio = 1.0;
        },
        expect!["incomplete: audio 1,2,3,4; video segments 1 to 6 never came (0.000 s to 12.000 s)"],
    );
}

#[test]
fn check_takes_a_jump_of_both_tracks_as_a_pause() {
    let pause = |video_ms, audio_ms| {
        move |seen: &mut Seen| {
            later(seen, Track::Video, 4, video_ms);
            later(seen, Track::Audio, 3, audio_ms);
        }
    };
    check_words(pause(10_000, 10_000), expect!["complete: video 1,2,3,4,5,6 | audio 1,2,3,4; confirmed true"]);
    check_words(pause(10_000, 10_050), expect!["complete: video 1,2,3,4,5,6 | audio 1,2,3,4; confirmed true"]);
    check_words(
        pause(0, 3000),
        expect!["incomplete: video 1,2,3,4,5,6 | audio 1,2,3,4; audio skips time (6.000 s to 9.000 s)"],
    );
    check_words(pause(0, 100), expect!["complete: video 1,2,3,4,5,6 | audio 1,2,3,4; confirmed true"]);
}

#[test]
fn check_does_not_count_a_pause_as_missing_when_a_segment_at_its_edge_is() {
    let pause = |lost: &'static [u32]| {
        move |seen: &mut Seen| {
            later(seen, Track::Video, 4, 3_600_000);
            later(seen, Track::Audio, 3, 3_600_000);
            lose(seen, Track::Audio, |index| lost.contains(&index));
        }
    };
    check_words(
        pause(&[3]),
        expect!["incomplete: video 1,2,3,4,5,6 | audio 1,2,4; audio segment 3 never came (3606.000 s to 3609.000 s)"],
    );
    check_words(
        pause(&[2]),
        expect!["incomplete: video 1,2,3,4,5,6 | audio 1,3,4; audio segment 2 never came (3.000 s to 6.000 s)"],
    );
    check_words(
        pause(&[2, 3]),
        expect![
            "incomplete: video 1,2,3,4,5,6 | audio 1,4; audio segment 2 never came (3.000 s to 6.000 s); audio segment 3 never came (3606.000 s to 3609.000 s)"
        ],
    );
}

#[test]
fn check_says_where_one_track_skips_more_than_the_other() {
    check_words(
        |seen| {
            later(seen, Track::Video, 4, 10_000);
            later(seen, Track::Audio, 3, 13_000);
        },
        expect!["incomplete: video 1,2,3,4,5,6 | audio 1,2,3,4; audio skips time (16.000 s to 19.000 s)"],
    );
}

#[test]
fn check_breaks_with_a_reason() {
    let empty = |seen: &mut Seen| {
        seen.rows.clear();
        seen.objects.clear();
    };
    check_words(empty, expect!["broken: nothing-uploaded: nothing was uploaded: not one segment is in the store"]);
    check_words(
        |seen| {
            empty(seen);
            seen.now = at(599);
        },
        expect!["waiting: Missing Some(600)"],
    );
    check_words(
        |seen| lose(seen, Track::Audio, |index| index == 0),
        expect![
            "broken: missing-init: the initialization section of the audio track is missing, so none of its segments can be read"
        ],
    );
    check_words(
        |seen| lose(seen, Track::Video, |index| (2..6).contains(&index)),
        expect![
            "broken: too-many-gaps: 67 % of the recording is missing, more than the 50 % allowed: video segments 2 to 5 never came (2.000 s to 10.000 s)"
        ],
    );
    check_words(
        |seen| {
            lose(seen, Track::Video, |index| index == 2);
            seen.policy = Policy::Fail;
        },
        expect![
            "broken: gaps-under-policy-fail: the recording has gaps and its policy is to fail: video segment 2 never came (2.000 s to 4.000 s)"
        ],
    );
}

#[test]
fn check_lets_an_operator_accept_gaps_at_once() {
    check_words(
        |seen| {
            lose(seen, Track::Video, |index| (2..6).contains(&index));
            seen.policy = Policy::Fail;
            seen.accept_gaps = true;
            seen.now = at(0);
        },
        expect!["incomplete: video 1,6 | audio 1,2,3,4; video segments 2 to 5 never came (2.000 s to 10.000 s)"],
    );
}
