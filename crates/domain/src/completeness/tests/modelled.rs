//! Properties of where segments lie, over random facts, held to models that know nothing of how it is decided.

use super::find;
use super::placed::{Made, seen, tell};
use crate::completeness::*;
use crate::mux::GapCause;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Half a second, on a grid of which segments of random time stamps collide often and fit sometimes.
fn grid(track: Track) -> u64 {
    u64::from(Made::scale(track).0) / 2
}

fn planned(verdict: &Completeness) -> Option<&Plan> {
    match verdict {
        Completeness::Complete(plan) | Completeness::Incomplete(plan) => Some(plan),
        Completeness::Waiting { .. } | Completeness::Broken(_) => None,
    }
}

/// Nothing is waited for and nothing is refused for being missing.
fn asked(made: Vec<Made>, hashed: bool) -> Seen {
    Seen { accept_gaps: true, ..seen(made, hashed) }
}

/// Every index is in the plan or its gaps, once; and the timeline never goes back by a whole sample.
fn assert_sound(seen: &Seen, plan: &Plan) {
    for track in Track::ALL {
        let rows = seen.rows.iter().filter(|row| row.track == track && row.index > 0);
        let last = rows.map(|row| row.index).max().unwrap_or(0);
        let of_track = plan.tracks.iter().filter(|of| of.track == track);
        let segments: Vec<_> = of_track.flat_map(|of| of.segments.clone()).collect();
        let in_plan: Vec<u32> = segments.iter().map(|segment| segment.index).collect();
        let in_gaps = plan.gaps.iter().filter(|gap| gap.track == track).flat_map(|gap| gap.segments.clone());
        let mut all: Vec<u32> = in_plan.iter().copied().chain(in_gaps).collect();
        all.sort_unstable();
        assert_eq!(all, (1..=last).collect::<Vec<_>>(), "{track}");
        let mut end: Option<(i128, u32)> = None;
        for segment in segments {
            let shape = &seen.shapes[&(track, segment.index)];
            let at = |units: u64| i128::from(units) + i128::from(segment.shift);
            if let Some((end, last_duration)) = end {
                assert!(end - at(shape.start) < i128::from(last_duration), "{track} {}", segment.index);
            }
            end = Some((at(shape.end), shape.last_duration));
        }
    }
}

/// The shifts of each track as they follow one another, and that they are the same time in both.
fn assert_moved_together(plan: &Plan) {
    let shifts = |track: &PlanTrack| {
        let mut shifts: Vec<i64> = track.segments.iter().map(|segment| segment.shift).collect();
        shifts.dedup();
        shifts
    };
    if let [video, audio] = &*plan.tracks {
        let (video, audio) = (shifts(video), shifts(audio));
        assert_eq!(video.len(), audio.len(), "{video:?} {audio:?}");
        for (video, audio) in video.into_iter().zip(audio) {
            let (video, audio) = (i128::from(video) * 48_000, i128::from(audio) * 90_000);
            assert!((video - audio).abs() <= 90_000, "more than a unit apart: {video} {audio}");
        }
    }
}

fn some_made(track: Track) -> impl Strategy<Value = Vec<Made>> {
    let (_, frame) = Made::scale(track);
    // Beside the grid by as little as is shrunk, or by a few samples more.
    let early = prop_oneof![3 => Just(0u64), 1 => 0..=4u64];
    let one = (0u64..14, 1u64..5, 0u64..3, any::<bool>(), early);
    prop::collection::vec(one, 0..8).prop_map(move |all| {
        let made = |(nth, (at, length, bytes, lost, early)): (usize, (u64, u64, u64, bool, u64))| {
            let samples = (length * grid(track) / frame) as u32;
            let index = nth as u32 + 1;
            (!lost || !index.is_multiple_of(3)).then_some(Made {
                track,
                index,
                start: (at * grid(track)).saturating_sub(early * frame),
                samples,
                bytes,
            })
        };
        all.into_iter().enumerate().filter_map(made).collect()
    })
}

/// What is left when of equal segments only the first is kept, in the order of time.
fn without_copies(made: &[Made], hashed: bool) -> Vec<Made> {
    let mut known = BTreeSet::new();
    let key = |made: &Made| (if hashed { made.bytes } else { 0 }, made.bytes, made.start, made.samples);
    let mut kept: Vec<Made> = made.iter().filter(|made| known.insert(key(made))).copied().collect();
    kept.sort_by_key(|made| made.start);
    kept
}

/// No two segments share more than is shrunk.
fn is_sortable(made: &[Made]) -> bool {
    made.windows(2).all(|pair| {
        let (_, frame) = Made::scale(pair[0].track);
        let end = pair[0].start + u64::from(pair[0].samples) * frame;
        end <= pair[1].start || end - pair[1].start < frame
    })
}

/// What really happened: both tracks were recorded by one clock or two, with a pause on the way.
#[derive(Debug, Clone)]
struct Truth {
    /// Segments of each clock.
    clocks: Vec<u32>,
    /// Before which segment of the first clock both tracks paused, and for how many seconds.
    pause: (u32, u64),
    /// Objects that were swapped with their neighbour, lost, or written over by a copy of the one before.
    swapped: [Option<u32>; 2],
    copied: [Option<u32>; 2],
}

fn truth() -> impl Strategy<Value = Truth> {
    let clocks = prop::collection::vec(4u32..8, 1..4);
    let one = || [prop::option::of(0u32..24), prop::option::of(0u32..24)];
    (clocks, (1u32..4, 0u64..20), one(), one()).prop_map(|(clocks, pause, swapped, copied)| Truth {
        clocks,
        pause,
        swapped,
        copied,
    })
}

impl Truth {
    /// Segments as they were recorded, in order.
    fn recorded(&self, track: Track) -> Vec<Made> {
        let (scale, frame) = Made::scale(track);
        let samples = if track == Track::Video { 60 } else { 94 };
        let mut all = Vec::new();
        for (clock, &count) in self.clocks.iter().enumerate() {
            for n in 0..count {
                let paused = if clock == 0 && n >= self.pause.0 { self.pause.1 * u64::from(scale) } else { 0 };
                let index = all.len() as u32 + 1;
                let start = u64::from(n * samples) * frame + paused;
                let bytes = u64::from(index) + 100 * track as u64;
                all.push(Made { track, index, start, samples, bytes });
            }
        }
        all
    }

    /// What lies in the bucket, and for each index what is in the result, in the order of the timeline.
    fn stored(&self, track: Track) -> (Vec<Made>, Vec<u32>, Option<u32>) {
        let recorded = self.recorded(track);
        let mut names: Vec<u32> = recorded.iter().map(|made| made.index).collect();
        let mut copied = None;
        // Neither at the seam of two clocks, where nobody could tell what it means.
        let firsts: BTreeSet<u32> =
            self.clocks.iter().scan(1, |first, count| Some(std::mem::replace(first, *first + count))).collect();
        let last = names.len() as u32;
        let inner =
            |index: u32| index > 1 && index < last && !firsts.contains(&index) && !firsts.contains(&(index + 1));
        let mut all = recorded.clone();
        if let Some(index) = self.swapped[track as usize].filter(|&index| inner(index)) {
            let (one, other) = (index as usize - 1, index as usize);
            (all[one], all[other]) = (Made { index, ..recorded[other] }, Made { index: index + 1, ..recorded[one] });
            names.swap(one, other);
        } else if let Some(index) = self.copied[track as usize].filter(|&index| inner(index)) {
            all[index as usize - 1] = Made { index, ..recorded[index as usize - 2] };
            names.retain(|&name| name != index);
            copied = Some(index);
        }
        (all, names, copied)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn random_time_stamps_are_put_in_order_or_named(
        video in some_made(Track::Video),
        audio in some_made(Track::Audio),
        hashed in any::<bool>(),
    ) {
        let sortable = [&video, &audio].map(|made| is_sortable(&without_copies(made, hashed)));
        let seen = asked([video, audio].concat(), hashed);
        let verdict = check(&seen);
        prop_assert_eq!(tell(&verdict), tell(&check(&seen)));
        match &verdict {
            Completeness::Broken(Broken::TfdtBack { track, .. }) => {
                prop_assert!(!sortable[*track as usize], "{} of {:?}", track, sortable);
            }
            Completeness::Broken(Broken::NothingUploaded) => prop_assert!(seen.shapes.is_empty()),
            Completeness::Broken(broken) => prop_assert!(false, "{broken}"),
            _ => {
                let plan = planned(&verdict).unwrap();
                assert_sound(&seen, plan);
                assert_moved_together(plan);
            }
        }
    }

    #[test]
    fn what_happened_is_found_again(truth in truth(), hashed in any::<bool>(), cut in any::<bool>()) {
        let [video, audio] = Track::ALL.map(|track| truth.stored(track));
        let mut seen = asked([video.0.clone(), audio.0.clone()].concat(), hashed);
        seen.pauses = if cut { Pauses::Cut } else { Pauses::Keep };
        let verdict = check(&seen);
        let plan = planned(&verdict).unwrap_or_else(|| panic!("{truth:?}: {}", tell(&verdict)));
        assert_sound(&seen, plan);
        assert_moved_together(plan);
        for (track, (_, names, copied)) in plan.tracks.iter().zip([video, audio]) {
            let found: Vec<u32> = track.segments.iter().map(|segment| segment.index).collect();
            prop_assert_eq!(found, names, "{}", tell(&verdict));
            let gaps = plan.gaps.iter().filter(|gap| gap.track == track.track);
            let clocks = gaps.clone().filter(|gap| gap.cause == GapCause::Epoch).count();
            prop_assert_eq!(clocks, truth.clocks.len() - 1, "{}", tell(&verdict));
            let copies: Vec<u32> = gaps.clone().filter(|gap| gap.cause == GapCause::Duplicate).flat_map(|gap| gap.segments.clone()).collect();
            prop_assert_eq!(copies, copied.into_iter().collect::<Vec<_>>());
            // Nothing else is missing.
            prop_assert!(gaps.clone().all(|gap| matches!(gap.cause, GapCause::Epoch | GapCause::Duplicate)), "{}", tell(&verdict));
            let sorted = plan.repairs.iter().filter(|repair| repair.track == track.track && repair.kind == RepairKind::Sort).count();
            prop_assert!(sorted == 0 || sorted == 2);
        }
        let cuts = plan.repairs.iter().filter(|repair| repair.kind == RepairKind::Cut).count();
        prop_assert_eq!(cuts, if cut && truth.pause.1 > 0 { 2 } else { 0 }, "{}", tell(&verdict));
    }

    /// A set that is whole but for its origin gives the same plan, wherever its clock began.
    #[test]
    fn where_a_clock_begins_does_not_matter(truth in truth(), by_s in 0u64..1_000_000) {
        let all = || Track::ALL.map(|track| truth.recorded(track)).concat();
        let mut moved = all();
        moved.iter_mut().for_each(|made| made.start += by_s * u64::from(Made::scale(made.track).0));
        let (here, there) = (check(&asked(all(), true)), check(&asked(moved, true)));
        let (here, there) = (planned(&here).unwrap(), planned(&there).unwrap());
        let order = |plan: &Plan| plan.tracks.iter().map(|track| track.segments.iter().map(|segment| segment.index).collect::<Vec<_>>()).collect::<Vec<_>>();
        prop_assert_eq!(order(here), order(there));
        // Priming lies before 0 only where the clock does: what is longer than that is the same.
        let lengths = |plan: &Plan| plan.gaps.iter().map(|gap| gap.duration_ms() / 50).collect::<Vec<_>>();
        prop_assert_eq!(lengths(here), lengths(there));
    }
}

#[test]
fn a_segment_of_another_clock_that_was_lost_is_a_gap_of_its_own_clock() {
    let truth = Truth { clocks: vec![5, 5], pause: (1, 0), swapped: [None; 2], copied: [None; 2] };
    let mut seen = asked(Track::ALL.map(|track| truth.recorded(track)).concat(), true);
    find(&mut seen, Track::Video, 5).state = State::Lost;
    find(&mut seen, Track::Audio, 7).state = State::Lost;
    let verdict = check(&seen);
    let plan = planned(&verdict).unwrap();
    assert_sound(&seen, plan);
    assert_moved_together(plan);
}

/// The picture's fourth segment overlaps the third, which fits into a hole of the old clock.
#[test]
fn a_new_clock_does_not_begin_with_an_overlap() {
    let of = |track, all: &[(u64, u32)]| {
        let made = |(at, &(start, samples)): (usize, &(u64, u32))| Made {
            track,
            index: at as u32 + 1,
            start,
            samples,
            bytes: at as u64,
        };
        all.iter().enumerate().map(made).collect::<Vec<_>>()
    };
    let video = of(Track::Video, &[(0, 15), (360_000, 15), (225_000, 45), (357_000, 15), (0, 15), (135_000, 45)]);
    let audio = of(Track::Audio, &[(0, 23), (192_000, 46), (144_000, 70), (0, 23)]);
    let seen = asked([video, audio].concat(), true);
    match check(&seen) {
        Completeness::Broken(Broken::TfdtBack { .. }) => {}
        verdict => {
            let plan = planned(&verdict).unwrap();
            assert_sound(&seen, plan);
            assert_moved_together(plan);
        }
    }
}
