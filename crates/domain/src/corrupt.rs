//! What becomes of a result of which stretches cannot be decoded: it is published with them as gaps, or it fails.
//!
//! The plan is frozen before anybody decodes, so what decoding finds is weighed here by the same policy and the same share
//! that weighed the plan's gaps.

use crate::completeness::describe;
use crate::mux::Gap;
use crate::recording::Policy;
use crate::segment::Track;
use thiserror::Error;

/// What holds for a recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// What becomes of gaps.
    pub policy: Policy,
    /// Largest share of a track, by time, that gaps may be; 1.0 lets everything pass.
    pub max_gap_ratio: f64,
    /// An operator said that gaps do not matter.
    pub accept_gaps: bool,
}

/// Too much of a result cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TooCorrupt {
    /// No gap is allowed.
    #[error("its bytes are whole and cannot be decoded: {what}")]
    Policy {
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
        /// Which stretches cannot be decoded.
        what: String,
    },
}

/// Weighs what cannot be decoded, together with what the plan lacks already.
///
/// # Errors
/// It is more than the rules let pass.
pub fn weigh(rules: Rules, planned: &[Gap], found: &[Gap], duration_ms: u64) -> Result<(), TooCorrupt> {
    if found.is_empty() || rules.accept_gaps {
        return Ok(());
    }
    let what = describe(found);
    if rules.policy == Policy::Fail {
        return Err(TooCorrupt::Policy { what });
    }
    for track in Track::ALL {
        let of_track = planned.iter().chain(found).filter(|gap| gap.track == track);
        let missing_ms = of_track.map(Gap::duration_ms).fold(0, u64::saturating_add);
        let share = (missing_ms as f64 / duration_ms.max(1) as f64).min(1.0);
        if share > rules.max_gap_ratio {
            let percent = |share: f64| (share * 100.0).round() as u32;
            let (percent, limit_percent) = (percent(share), percent(rules.max_gap_ratio));
            return Err(TooCorrupt::Share { track, percent, limit_percent, what });
        }
    }
    Ok(())
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

    const RULES: Rules = Rules { policy: Policy::Degrade, max_gap_ratio: 0.5, accept_gaps: false };

    #[test]
    fn weigh_lets_pass_what_the_rules_allow_and_counts_the_gaps_of_the_plan() {
        let planned = [gap(Track::Video, 0, 3000, GapCause::Missing)];
        let found = [gap(Track::Video, 4000, 6001, GapCause::Corrupt)];
        assert_eq!(weigh(RULES, &[], &found, 10_000), Ok(()));
        assert_eq!(weigh(RULES, &planned, &[], 1), Ok(()), "the plan was weighed before");
        let text = |weighed: Result<(), TooCorrupt>| weighed.unwrap_err().to_string();
        expect_test::expect!["50 % of the video track is missing or cannot be decoded, more than the 50 % allowed: video segment 2 cannot be decoded (4.000 s to 6.001 s)"]
            .assert_eq(&text(weigh(RULES, &planned, &found, 10_000)));
        expect_test::expect![
            "its bytes are whole and cannot be decoded: video segment 2 cannot be decoded (4.000 s to 6.001 s)"
        ]
        .assert_eq(&text(weigh(Rules { policy: Policy::Fail, ..RULES }, &[], &found, 10_000)));
        assert_eq!(weigh(Rules { policy: Policy::Fail, accept_gaps: true, ..RULES }, &planned, &found, 10), Ok(()));
    }

    #[test]
    fn together_is_in_order_of_track_and_time() {
        let planned = [gap(Track::Video, 5, 6, GapCause::Missing), gap(Track::Audio, 0, 1, GapCause::Missing)];
        let found = [gap(Track::Audio, 3, 4, GapCause::Corrupt), gap(Track::Video, 1, 2, GapCause::Corrupt)];
        let order: Vec<_> = together(&planned, &found).iter().map(|gap| (gap.track, gap.from_ms)).collect();
        assert_eq!(order, [(Track::Video, 1), (Track::Video, 5), (Track::Audio, 0), (Track::Audio, 3)]);
    }
}
