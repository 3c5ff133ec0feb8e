//! Properties of the verdict over random recordings.

use super::{AUDIO_MS, VIDEO_MS, at, lose, row, whole};
use crate::completeness::*;
use crate::segment::Span;
use proptest::prelude::*;

/// Largest decode time that is accepted.
const TIME_MAX: u64 = 1 << 60;

/// What happened to one index of a track.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Stored,
    Received,
    Lost,
    Never,
    ObjectGone,
    ObjectShort,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::Stored),
        1 => Just(Fate::Received),
        1 => Just(Fate::Lost),
        2 => Just(Fate::Never),
        1 => Just(Fate::ObjectGone),
        1 => Just(Fate::ObjectShort),
    ]
}

prop_compose! {
    fn some_seen()(
        video in proptest::collection::vec(fate(), 0..12),
        audio in proptest::collection::vec(fate(), 0..9),
        declared in proptest::option::of((0u32..14, 0u32..11, 0u64..60_000)),
        pause_ms in prop_oneof![Just(0u64), 0u64..20_000],
        (accept_gaps, fail) in (any::<bool>(), any::<bool>()),
        now_s in 0i64..1200,
        ratio in prop_oneof![Just(0.5), Just(1.0)],
    ) -> Seen {
        let mut seen = whole();
        seen.rows.clear();
        seen.objects.clear();
        for (track, fates, length_ms) in [(Track::Video, video, VIDEO_MS), (Track::Audio, audio, AUDIO_MS)] {
            for (index, fate) in (0u32..).zip(fates) {
                let start_ms = u64::from(index.max(1) - 1) * length_ms + if index > 3 { pause_ms } else { 0 };
                let mut row = row(track, index, start_ms, length_ms);
                row.state = match fate {
                    Fate::Received => State::Received,
                    Fate::Lost => State::Lost,
                    Fate::Never => continue,
                    Fate::Stored | Fate::ObjectGone | Fate::ObjectShort => State::Stored,
                };
                let size_bytes = if fate == Fate::ObjectShort { 1 } else { row.size_bytes };
                if matches!(fate, Fate::Stored | Fate::ObjectShort) {
                    seen.objects.push(Object { track, index, size_bytes });
                }
                seen.rows.push(row);
            }
        }
        seen.declared = declared.map(|(video, audio, duration_ms)| Declaration {
            tracks: [(Track::Video, Last { last_index: video }), (Track::Audio, Last { last_index: audio })].into(),
            duration_ms,
        });
        seen.accept_gaps = accept_gaps;
        seen.policy = if fail { Policy::Fail } else { Policy::Degrade };
        seen.now = at(now_s);
        seen.limits.max_gap_ratio = ratio;
        seen
    }
}

fn planned(verdict: &Completeness) -> Option<&Plan> {
    match verdict {
        Completeness::Complete(plan) | Completeness::Incomplete(plan) => Some(plan),
        Completeness::Waiting { .. } | Completeness::Broken(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// R-10, and never `Complete` with a hole.
    #[test]
    fn check_puts_every_index_into_the_plan_or_its_gaps(seen in some_seen()) {
        let verdict = check(&seen);
        let Some(plan) = planned(&verdict) else { return Ok(()) };
        prop_assert_eq!(matches!(verdict, Completeness::Complete(_)), plan.gaps.is_empty());
        for track in Track::ALL {
            let in_plan: Vec<u32> = plan.tracks.iter().filter(|planned| planned.track == track)
                .flat_map(|planned| planned.segments.iter().map(|segment| segment.index)).collect();
            let in_gaps: Vec<u32> = plan.gaps.iter().filter(|gap| gap.track == track)
                .flat_map(|gap| gap.segments.clone()).collect();
            let mut all = [in_plan.clone(), in_gaps].concat();
            all.sort_unstable();
            let declared = seen.declared.as_ref().map_or(0, |declared| declared.last_index(track));
            let last = seen.rows.iter().filter(|row| row.track == track).map(|row| row.index).max().unwrap_or(0);
            prop_assert_eq!(all, (1..=declared.max(last)).collect::<Vec<_>>());
            for index in in_plan {
                let row = seen.rows.iter().find(|row| row.track == track && row.index == index).unwrap();
                prop_assert_eq!(row.state, State::Stored);
                let size_bytes = row.size_bytes;
                let object = Object { track, index, size_bytes };
                prop_assert!(seen.objects.contains(&object));
            }
        }
        for gap in &plan.gaps {
            prop_assert!(gap.from_ms <= gap.to_ms, "{gap:?}");
        }
    }

    /// Time only ends the waiting: what is decided stays decided, and waiting never outlives what it named.
    #[test]
    fn check_is_steady_in_time(seen in some_seen(), wait_s in 0i64..3600) {
        let before = check(&seen);
        let mut seen_later = seen.clone();
        seen_later.now = seen.now + TimeDelta::seconds(wait_s);
        let after = check(&seen_later);
        match before {
            Completeness::Waiting { until: Some(until), .. } => {
                prop_assert!(until > seen.now);
                let still = matches!(after, Completeness::Waiting { on: Awaited::Declaration | Awaited::Missing, .. });
                prop_assert!(still || seen_later.now >= until);
            }
            decided => prop_assert_eq!(decided, after),
        }
    }

    /// A segment that comes after all makes nothing worse.
    #[test]
    fn check_is_monotone_in_what_is_stored(seen in some_seen(), pick in any::<prop::sample::Index>()) {
        let absent: Vec<(usize, u32)> = seen.rows.iter().enumerate()
            .filter(|(_, row)| row.index > 0 && row.state != State::Received)
            .map(|(at, row)| (at, row.index)).collect();
        if absent.is_empty() {
            return Ok(());
        }
        let (at, _) = absent[pick.index(absent.len())];
        let mut better = seen.clone();
        let row = &mut better.rows[at];
        row.state = State::Stored;
        let object = Object { track: row.track, index: row.index, size_bytes: row.size_bytes };
        better.objects.retain(|other| (other.track, other.index) != (object.track, object.index));
        better.objects.push(object);
        let missing = |plan: &Plan| plan.gaps.iter().map(|gap| gap.segments.len()).sum::<usize>();
        match (check(&seen), check(&better)) {
            (Completeness::Complete(left), Completeness::Complete(right)) => prop_assert_eq!(left, right),
            (Completeness::Incomplete(left), Completeness::Incomplete(right)) => {
                prop_assert!(missing(&right) <= missing(&left));
            }
            (Completeness::Complete(_), worse) => prop_assert!(false, "{worse:?}"),
            _ => {}
        }
    }

    /// Times come out of the bytes of a stranger, waits out of a settings file: no number of either may stop the verdict.
    #[test]
    fn check_survives_any_times(
        times in proptest::collection::vec((0..=TIME_MAX, 0..=TIME_MAX, 1..=u32::MAX), 11),
        wait_s in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()],
        duration_ms in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()],
        absent in proptest::collection::btree_set(1u32..6, 0..4),
        declared in any::<bool>(),
    ) {
        let mut seen = whole();
        let rows = seen.rows.iter_mut().filter(|row| row.index > 0);
        for (row, (start, duration, timescale)) in rows.zip(times) {
            // Often the largest times there are: a timescale of 1 makes milliseconds out of whole seconds.
            let timescale = if timescale % 2 == 0 { 1 } else { timescale };
            row.span = Some(Span { timescale, start, duration });
        }
        lose(&mut seen, Track::Video, |index| absent.contains(&index));
        seen.declared = declared.then_some(Declaration { duration_ms, ..seen.declared.unwrap() });
        seen.limits.declaration_wait = Duration::from_secs(wait_s);
        seen.limits.missing_deadline = Duration::from_secs(wait_s);
        check(&seen);
        seen.accept_gaps = true;
        let verdict = check(&seen);
        match planned(&verdict) {
            Some(plan) => plan.gaps.iter().for_each(|gap| assert!(gap.from_ms <= gap.to_ms)),
            // Random time stamps go back, or further ahead than a sample can last.
            None => assert!(matches!(verdict, Completeness::Broken(Broken::TfdtBack { .. } | Broken::GapTooLong { .. }))),
        }
        seen.accept_gaps = false;
        seen.limits = Limits { missing_deadline: Duration::ZERO, declaration_wait: Duration::ZERO, max_gap_ratio: 0.5 };
        check(&seen);
    }
}
