//! Tables of where segments lie: copies, swapped objects, clocks that begin anew, pauses, overlaps, damaged ends.

use super::whole;
use crate::completeness::*;
use crate::id::Sha256;
use crate::segment::Span;
use expect_test::{Expect, expect};

/// A frame of the picture at 30 a second, and of AAC, in units of their timescales.
const FRAME: u64 = 3000;
const AAC: u64 = 1024;

/// A segment of a track as its bytes have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    pub(super) track: Track,
    pub(super) index: u32,
    /// First decode time.
    pub(super) start: u64,
    pub(super) samples: u32,
    /// Of which bytes: equal numbers are equal bytes.
    pub(super) bytes: u64,
}

impl Made {
    pub(super) fn scale(track: Track) -> (u32, u64) {
        match track {
            Track::Video => (90_000, FRAME),
            Track::Audio => (48_000, AAC),
        }
    }

    fn shape(&self) -> Shape {
        let (timescale, frame) = Made::scale(self.track);
        let end = self.start + u64::from(self.samples) * frame;
        // Sound begins with a frame of priming before 0.
        let primed = if self.track == Track::Audio { AAC as i64 } else { 0 };
        Shape {
            timescale,
            start: self.start,
            end,
            presented_from: self.start as i64 - primed,
            presented_to: end as i64 - primed,
            last_duration: frame as u32,
            samples: self.samples,
            starts_with_sync: true,
            index_sha256: Sha256::of(format!("{} {}", self.start, self.samples).as_bytes()),
        }
    }
}

/// Of six segments each: two seconds of picture, and of sound a few milliseconds more.
fn made(track: Track, index: u32) -> Made {
    let (samples, (_, frame)) = (if track == Track::Video { 60 } else { 94 }, Made::scale(track));
    let start = u64::from(index - 1) * u64::from(samples) * frame;
    Made { track, index, start, samples, bytes: u64::from(index) + 100 * track as u64 }
}

pub(super) fn seen(made: Vec<Made>, hashed: bool) -> Seen {
    let mut seen = Seen { rows: Vec::new(), objects: Vec::new(), silent_frame: Some(1024), ..whole() };
    for track in Track::ALL {
        let last_index = made.iter().filter(|made| made.track == track).map(|made| made.index).max().unwrap_or(0);
        seen.declared.as_mut().unwrap().tracks.insert(track, Last { last_index });
        seen.rows.push(super::row(track, 0, 0, 0));
    }
    for made in made {
        let shape = made.shape();
        let sha256 = hashed.then(|| Sha256::of(&made.bytes.to_be_bytes()));
        let span = Span { timescale: shape.timescale, start: shape.start, duration: shape.end - shape.start };
        let size_bytes = 1000 + made.bytes;
        let Made { track, index, .. } = made;
        seen.rows.push(Row { track, index, state: State::Stored, size_bytes, sha256, span: Some(span), defect: None });
        seen.shapes.insert((track, index), shape);
    }
    let object = |row: &Row| Object { track: row.track, index: row.index, size_bytes: row.size_bytes };
    seen.objects = seen.rows.iter().map(object).collect();
    seen
}

/// Changes what was made, then says what becomes of it: segments with their shifts, gaps and repairs.
fn check_made(change: impl Fn(&mut Vec<Made>), expected: Expect) {
    check_seen(change, |_| {}, expected);
}

fn check_seen(change: impl Fn(&mut Vec<Made>), and: impl Fn(&mut Seen), expected: Expect) {
    let told = |hashed| {
        let mut all: Vec<Made> = Track::ALL.iter().flat_map(|&track| (1..=6).map(move |n| made(track, n))).collect();
        change(&mut all);
        let mut seen = seen(all, hashed);
        and(&mut seen);
        tell(&check(&seen))
    };
    let outcome = told(true);
    assert_eq!(outcome, told(false), "with and without digests");
    expected.assert_eq(&outcome);
}

pub(super) fn tell(verdict: &Completeness) -> String {
    let (word, plan) = match verdict {
        Completeness::Complete(plan) => ("complete", plan),
        Completeness::Incomplete(plan) => ("incomplete", plan),
        Completeness::Broken(broken) => return format!("broken: {}: {broken}", broken.code()),
        Completeness::Waiting { .. } => return format!("{verdict:?}"),
    };
    let mut lines = vec![word.to_owned()];
    for track in &plan.tracks {
        let segments = track.segments.iter().map(|segment| match segment.shift {
            0 => format!("{}", segment.index),
            shift => format!("{}{shift:+}", segment.index),
        });
        lines.push(format!("{} {} {:?}", track.track, segments.collect::<Vec<_>>().join(" "), track.fill));
    }
    lines.extend(plan.gaps.iter().map(|gap| format!("gap: {}", describe(std::slice::from_ref(gap)))));
    let repair = |repair: &Repair| format!("{:?}: {} {}: {}", repair.kind, repair.track, repair.segment, repair.what);
    lines.extend(plan.repairs.iter().map(repair));
    lines.join("\n")
}

/// Moves segments of a track from an index on.
fn later(all: &mut [Made], track: Track, from: u32, units: i64) {
    let moved = all.iter_mut().filter(|made| made.track == track && made.index >= from);
    moved.for_each(|made| made.start = made.start.checked_add_signed(units).unwrap());
}

fn get(all: &mut [Made], track: Track, index: u32) -> &mut Made {
    all.iter_mut().find(|made| made.track == track && made.index == index).unwrap()
}

fn copy(all: &mut [Made], track: Track, of: u32, at: u32) {
    let Made { start, samples, bytes, .. } = *get(all, track, of);
    let copy = get(all, track, at);
    (copy.start, copy.samples, copy.bytes) = (start, samples, bytes);
}

fn swap(all: &mut [Made], track: Track, one: u32, other: u32) {
    let kept = *get(all, track, one);
    copy(all, track, other, one);
    let swapped = get(all, track, other);
    (swapped.start, swapped.samples, swapped.bytes) = (kept.start, kept.samples, kept.bytes);
}

#[test]
fn what_is_whole_needs_no_repair() {
    check_made(
        |_| {},
        expect![[r#"
        complete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Hold"#]],
    );
}

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

fn damage(seen: &mut Seen, track: Track, index: u32, samples: u32) {
    let (_, frame) = Made::scale(track);
    let shape = seen.shapes.get_mut(&(track, index)).unwrap();
    let lost = u64::from(shape.samples - samples) * frame;
    (shape.samples, shape.end) = (samples, shape.end - lost);
    shape.presented_to -= lost as i64;
    super::find(seen, track, index).defect = Some("the box mdat at byte 900 is cut off".to_owned());
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
        Salvage: video 3: its 40 whole samples are kept: the box mdat at byte 900 is cut off
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
        Salvage: video 6: its 40 whole samples are kept: the box mdat at byte 900 is cut off"#]],
    );
    check_seen(
        |_| {},
        |seen| damage(seen, Track::Audio, 3, 50),
        expect![[r#"
        incomplete
        video 1 2 3 4 5 6 Hold
        audio 1 2 3 4 5 6 Silence
        gap: audio segment 3 is cut off (5.056 s to 5.994 s)
        Salvage: audio 3: its 50 whole samples are kept: the box mdat at byte 900 is cut off
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
            Salvage: video 3: its 60 whole samples are kept: the box mdat at byte 900 is cut off"#]],
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
            Salvage: video 3: its 30 whole samples are kept: the box mdat at byte 900 is cut off
            Hold: video 3: its last picture stands for 3.000 s, until segment 5"#]],
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
