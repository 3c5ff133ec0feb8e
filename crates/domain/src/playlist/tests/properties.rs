//! Properties of listings and playlists over random arrivals.

use super::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Segments arrive in any order, some late and some never, with a pause in the middle; after each arrival the listing
    /// is extended, in as many calls as their bound asks for. It only grows, index by index, a playlist of it begins with
    /// every earlier one, and both tracks are cut equally often.
    #[test]
    fn next_is_append_only_under_any_order_of_arrival(
        order in Just((1u32..=12).collect::<Vec<_>>()).prop_shuffle(),
        audio_order in Just((1u32..=8).collect::<Vec<_>>()).prop_shuffle(),
        losses in proptest::collection::btree_set(1u32..12, 0..4),
        pause_ms in prop_oneof![Just(0u64), 1000u64..100_000],
        pace_ms in 1i64..8000,
        rows_max in 1usize..6,
    ) {
        let shift = |from: u32| move |index: u32| if index >= from { pause_ms } else { 0 };
        let all = [segments(&order, 2000, shift(7)), segments(&audio_order, 3000, shift(5))];
        let mut stored: [Vec<Candidate>; 2] = [vec![], vec![]];
        let mut listed: [Vec<Listed>; 2] = [vec![], vec![]];
        let mut now_ms = 200_000;
        let mut told = [String::new(), String::new()];
        for arrival in 0..40 {
            now_ms += pace_ms;
            for track in 0..2 {
                if let Some(came) = all[track].get(arrival).filter(|came| track == 1 || !losses.contains(&came.index)) {
                    stored[track].push(Candidate { received_at: at(now_ms), ..*came });
                    stored[track].sort_by_key(|candidate| candidate.index);
                }
            }
            // In the end, everything held back has waited long enough.
            let now_ms = if arrival == 39 { now_ms + 60_000 } else { now_ms };
            let mut more = true;
            while more {
                let sides = (0..2).map(|track| Side {
                    track: Track::ALL[track],
                    init_stored: true,
                    tail: Tail::of(&listed[track]),
                    stored: stored[track].clone(),
                    awaited: vec![],
                });
                let append = up_to(rows_max, sides.collect(), at(now_ms), PATIENCE);
                prop_assert!(append.wait_until.is_none_or(|until| until > at(now_ms)));
                prop_assert!(append.rows.len() <= rows_max);
                more = append.more;
                for row in append.rows {
                    let track = usize::from(row.track == Track::Audio);
                    prop_assert_eq!(usize::try_from(row.seq).unwrap(), listed[track].len() + 1);
                    prop_assert_eq!(u64::from(row.index), row.seq);
                    let span = stored[track].iter().find(|known| known.index == row.index).map(|known| known.span);
                    let span = span.filter(|_| row.kind == ListingKind::Media);
                    prop_assert_eq!(span.is_some(), row.kind == ListingKind::Media, "listed before it was stored");
                    listed[track].push(Listed { row, span });
                }
            }
            for (told, listed) in told.iter_mut().zip(&listed).filter(|(_, listed)| !listed.is_empty()) {
                let rows: Vec<_> = listed.iter().map(|listed| listed.row.clone()).collect();
                let links = Links { prefix: "", suffix: "" };
                let snapshot =
                    Snapshot { target_duration_s: 4, rows: &rows, ended: false, independent: true, from_start: true, links };
                let text = render_media(&snapshot);
                prop_assert!(text.starts_with(told.as_str()), "{told}\n{text}");
                *told = text;
            }
        }
        for track in 0..2 {
            let last = stored[track].last().map_or(0, |last| last.index);
            prop_assert_eq!(listed[track].len(), usize::try_from(last).unwrap(), "something stayed unlisted");
        }
        let cuts: Vec<_> = listed.iter().map(|rows| rows.iter().filter(|listed| listed.row.discontinuity).count()).collect();
        // Where the hole of one track hides the pause from it, the cut may fall to the other track alone.
        let gaps = listed.iter().flatten().any(|listed| listed.row.kind == ListingKind::Gap);
        prop_assert!(cuts[0] == cuts[1] || (gaps && cuts[0].abs_diff(cuts[1]) == 1), "{cuts:?}");
        prop_assert!(pause_ms > 0 || cuts[0] == 0);
    }

    /// Times come out of the bytes of a stranger, the patience out of a settings file: no number of either may stop the
    /// listing, because what is not listed is not served.
    #[test]
    fn next_survives_any_times(
        times in proptest::collection::vec((prop_oneof![0..100_000u64, 0..=1u64 << 60], 0..=1u64 << 60, 1..100_000u32), 8),
        patience_s in prop_oneof![Just(0u64), Just(30), Just(u64::MAX)],
    ) {
        let one = |(n, &(start, duration, timescale)): (usize, &(u64, u64, u32))| {
            // A hole in the middle, and often the largest times there are.
            let (index, timescale) = (n as u32 + if n < 2 { 1 } else { 3 }, if timescale % 2 == 0 { 1 } else { timescale });
            Candidate { index, span: Span { timescale, start, duration }, starts_with_sync: true, received_at: at(0) }
        };
        let stored: Vec<Vec<Candidate>> = times.chunks(4).map(|times| times.iter().enumerate().map(one).collect()).collect();
        let sides = || Track::ALL.into_iter().zip(&stored).map(|(track, stored)| side(track, stored.clone())).collect();
        next(sides(), at(0), Duration::from_secs(patience_s));
        let append = next(sides(), at(100_000), PATIENCE);
        prop_assert_eq!(append.rows.len(), 12);
        prop_assert!(append.rows.iter().all(|row| row.duration <= 1 << 60));
    }
}
