//! What becomes of a result of which more is missing than its plan knew, or cannot be decoded: it is published with that as
//! gaps, or it fails.
//!
//! The plan is frozen before anybody decodes, so what is found later is weighed here by the same policy and the same share
//! that weighed the plan's gaps.

use crate::completeness::describe;
use crate::mux::{Gap, GapCause, Plan};
use crate::recording::Policy;
use crate::segment::Track;
use std::collections::BTreeSet;
use thiserror::Error;

/// What holds for a recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// What becomes of gaps.
    pub policy: Policy,
    /// Largest share of a track, by time and by number, that gaps may be; 1.0 lets everything pass.
    pub max_gap_ratio: f64,
    /// An operator said that gaps do not matter.
    pub accept_gaps: bool,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// How long the result is presented.
    pub duration_ms: u64,
    /// Segments that the result is made of, in the order of [`Track::ALL`].
    pub segments: [usize; 2],
}

impl Extent {
    /// Of the result of a plan.
    pub fn of(plan: &Plan, duration_ms: u64) -> Extent {
        let count = |track| plan.tracks.iter().filter(|of| of.track == track).map(|of| of.segments.len()).sum();
        Extent { duration_ms, segments: Track::ALL.map(count) }
    }

    /// The share of a track that gaps are, 0.0 to 1.0: by time, and by number of those segments of which nothing tells how
    /// long they were.
    fn share(&self, at: usize, gaps: &[&Gap]) -> f64 {
        // A track that was cut off ends before its gap does.
        let total_ms = gaps.iter().map(|gap| gap.to_ms).max().unwrap_or(0).max(self.duration_ms);
        let missing_ms = covered_ms(gaps);
        let never = gaps.iter().filter(|gap| matches!(gap.cause, GapCause::Missing | GapCause::Lost));
        let unplaced = never.filter(|gap| gap.duration_ms() == 0).flat_map(|gap| &gap.segments);
        let unplaced = unplaced.collect::<BTreeSet<_>>().len();
        let by_number = unplaced as f64 / (unplaced + self.segments[at]).max(1) as f64;
        (missing_ms as f64 / total_ms.max(1) as f64).max(by_number).min(1.0)
    }
}

/// How much time the gaps of a track take: what is missing at one place and cannot be decoded around it counts once.
fn covered_ms(gaps: &[&Gap]) -> u64 {
    let mut stretches: Vec<_> = gaps.iter().map(|gap| (gap.from_ms, gap.to_ms)).collect();
    stretches.sort_unstable();
    let (mut covered_ms, mut end_ms) = (0, 0);
    for (from_ms, to_ms) in stretches {
        covered_ms += to_ms.saturating_sub(from_ms.max(end_ms));
        end_ms = end_ms.max(to_ms);
    }
    covered_ms
}

/// Too much of a result is missing or cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TooCorrupt {
    /// No gap is allowed.
    #[error("{flaw}: {what}")]
    Policy {
        /// What is wrong with it, in words.
        flaw: &'static str,
        /// Which stretches.
        what: String,
    },
    /// More than the share that is allowed.
    #[error(
        "{percent} % of the {track} track is missing or cannot be decoded, more than the {limit_percent} % allowed: {what}"
    )]
    Share {
        /// The track that lacks most.
        track: Track,
        /// How much.
        percent: u32,
        /// How much is allowed.
        limit_percent: u32,
        /// Which stretches were found.
        what: String,
    },
}

/// Weighs what was found in a result, together with what its plan lacks already.
///
/// # Errors
/// It is more than the rules let pass.
pub fn weigh(rules: Rules, planned: &[Gap], found: &[Gap], extent: Extent) -> Result<(), TooCorrupt> {
    if found.is_empty() || rules.accept_gaps {
        return Ok(());
    }
    let what = describe(found);
    if rules.policy == Policy::Fail {
        return Err(TooCorrupt::Policy { flaw: flaw(found), what });
    }
    for (at, track) in Track::ALL.into_iter().enumerate() {
        let of_track: Vec<&Gap> = planned.iter().chain(found).filter(|gap| gap.track == track).collect();
        let share = extent.share(at, &of_track);
        if share > rules.max_gap_ratio {
            let percent = |share: f64| (share * 100.0).round() as u32;
            let (percent, limit_percent) = (percent(share), percent(rules.max_gap_ratio));
            return Err(TooCorrupt::Share { track, percent, limit_percent, what });
        }
    }
    Ok(())
}

fn flaw(found: &[Gap]) -> &'static str {
    let corrupt = found.iter().filter(|gap| gap.cause == GapCause::Corrupt).count();
    match corrupt {
        0 => "not all of it is there",
        _ if corrupt == found.len() => "its bytes are whole and cannot be decoded",
        _ => "not all of it is there, and not all that is there can be decoded",
    }
}

/// The gaps of a result: those of its plan and those that were found in it, by track and time.
pub fn together(planned: &[Gap], found: &[Gap]) -> Vec<Gap> {
    let mut gaps = [planned, found].concat();
    if !found.is_empty() {
        let place = |track| Track::ALL.into_iter().position(|one| one == track);
        gaps.sort_by_key(|gap| (place(gap.track), gap.from_ms));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mux::GapCause;

    fn gap(track: Track, from_ms: u64, to_ms: u64, cause: GapCause) -> Gap {
        Gap { track, from_ms, to_ms, segments: vec![2], cause }
    }

    const EXTENT: Extent = Extent { duration_ms: 10_000, segments: [4, 4] };

    const RULES: Rules = Rules { policy: Policy::Degrade, max_gap_ratio: 0.5, accept_gaps: false };

    #[test]
    fn weigh_counts_a_stretch_once_that_is_missing_and_cannot_be_decoded() {
        let lost = [gap(Track::Video, 2000, 5000, GapCause::Truncated)];
        let found =
            [gap(Track::Video, 1000, 6000, GapCause::Corrupt), gap(Track::Video, 2000, 3000, GapCause::Corrupt)];
        assert_eq!(weigh(RULES, &lost, &found, EXTENT), Ok(()), "5 of 10 s");
        let more = [found[0].clone(), gap(Track::Video, 5999, 6001, GapCause::Corrupt)];
        assert!(weigh(RULES, &lost, &more, EXTENT).is_err(), "1 ms more");
    }

    #[test]
    fn weigh_lets_pass_what_the_rules_allow_and_counts_the_gaps_of_the_plan() {
        let planned = [gap(Track::Video, 0, 3000, GapCause::Missing)];
        let found = [gap(Track::Video, 4000, 6001, GapCause::Corrupt)];
        assert_eq!(weigh(RULES, &[], &found, EXTENT), Ok(()));
        assert_eq!(weigh(RULES, &planned, &[], EXTENT), Ok(()), "the plan was weighed before");
        let text = |weighed: Result<(), TooCorrupt>| weighed.unwrap_err().to_string();
        expect_test::expect!["50 % of the video track is missing or cannot be decoded, more than the 50 % allowed: video segment 2 cannot be decoded (4.000 s to 6.001 s)"]
            .assert_eq(&text(weigh(RULES, &planned, &found, EXTENT)));
        expect_test::expect![
            "its bytes are whole and cannot be decoded: video segment 2 cannot be decoded (4.000 s to 6.001 s)"
        ]
        .assert_eq(&text(weigh(Rules { policy: Policy::Fail, ..RULES }, &[], &found, EXTENT)));
        assert_eq!(weigh(Rules { policy: Policy::Fail, accept_gaps: true, ..RULES }, &planned, &found, EXTENT), Ok(()));
    }

    #[test]
    fn what_was_cut_off_or_never_came_is_weighed_by_its_own_length_and_number() {
        let text = |found: &[Gap], policy| match weigh(Rules { policy, ..RULES }, &[], found, EXTENT) {
            Ok(()) => "passes".to_owned(),
            Err(error) => error.to_string(),
        };
        // Ten seconds are left of nineteen, then of twenty-one.
        let cut = |to_ms| [gap(Track::Audio, 10_000, to_ms, GapCause::Truncated)];
        assert_eq!(text(&cut(19_000), Policy::Degrade), "passes");
        expect_test::expect!["52 % of the audio track is missing or cannot be decoded, more than the 50 % allowed: audio segment 2 is cut off (10.000 s to 21.000 s)"]
            .assert_eq(&text(&cut(21_000), Policy::Degrade));
        expect_test::expect!["not all of it is there: audio segment 2 is cut off (10.000 s to 19.000 s)"]
            .assert_eq(&text(&cut(19_000), Policy::Fail));
        let never = |segments: Vec<u32>| [Gap { segments, ..gap(Track::Video, 0, 0, GapCause::Missing) }];
        assert_eq!(text(&never(vec![1, 2, 3, 4]), Policy::Degrade), "passes");
        expect_test::expect!["56 % of the video track is missing or cannot be decoded, more than the 50 % allowed: video segments 1 to 5 never came (0.000 s to 0.000 s)"]
            .assert_eq(&text(&never(vec![1, 2, 3, 4, 5]), Policy::Degrade));
        // Of a damaged one of which all samples are there nothing is missing.
        assert_eq!(text(&[gap(Track::Video, 5, 5, GapCause::Damaged)], Policy::Degrade), "passes");
    }

    #[test]
    fn together_is_in_order_of_track_and_time() {
        let planned = [gap(Track::Video, 5, 6, GapCause::Missing), gap(Track::Audio, 0, 1, GapCause::Missing)];
        let found = [gap(Track::Audio, 3, 4, GapCause::Corrupt), gap(Track::Video, 1, 2, GapCause::Corrupt)];
        let order: Vec<_> = together(&planned, &found).iter().map(|gap| (gap.track, gap.from_ms)).collect();
        assert_eq!(order, [(Track::Video, 1), (Track::Video, 5), (Track::Audio, 0), (Track::Audio, 3)]);
    }
}
