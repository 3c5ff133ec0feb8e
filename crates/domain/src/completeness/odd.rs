//! The verdict on a recording that libavformat has to take apart: nobody knows what is inside its segments, so they are
//! counted and not placed.

use super::view::view;
use super::{Awaited, Broken, Completeness, Seen, describe};
use crate::mux::{Fill, Gap, GapCause, LAYOUT_ODD, Plan, PlanObject, PlanSegment, PlanTrack};
use crate::recording::Policy;
use crate::segment::Track;
use chrono::TimeDelta;
use std::collections::BTreeMap;

/// Decides whether the recording can be muxed, by its objects alone. `inits` are the initialization sections that were read.
pub fn check_odd(seen: &Seen, inits: &BTreeMap<Track, PlanObject>) -> Completeness {
    let (mut tracks, mut gaps, mut share) = (Vec::new(), Vec::new(), 0.0_f64);
    for track in Track::ALL {
        let objects: BTreeMap<u32, u64> = seen
            .objects
            .iter()
            .filter(|object| object.track == track && object.index > 0 && object.size_bytes > 0)
            .map(|object| (object.index, object.size_bytes))
            .collect();
        let Some(view) = view(seen, track) else { continue };
        if objects.is_empty() {
            continue;
        }
        let Some(&init) = inits.get(&track) else { return Completeness::Broken(Broken::MissingInit { track }) };
        let missing: Vec<u32> = view.absent.keys().copied().filter(|index| !objects.contains_key(index)).collect();
        share = share.max(missing.len() as f64 / (missing.len() + objects.len()) as f64);
        if !missing.is_empty() {
            gaps.push(Gap { track, from_ms: 0, to_ms: 0, segments: missing, cause: GapCause::Missing });
        }
        let segment = |(index, size_bytes)| PlanSegment { index, size_bytes, sha256: None, shift: 0, salvaged: false };
        let segments = objects.into_iter().map(segment).collect();
        tracks.push(PlanTrack { track, init, segments, fill: Fill::Hold, etags: BTreeMap::new() });
    }
    if tracks.is_empty() {
        return Completeness::Broken(Broken::NothingUploaded);
    }
    if let Some(verdict) = weigh(seen, &gaps, share) {
        return verdict;
    }
    let complete = gaps.is_empty();
    let plan = Plan {
        layout_version: LAYOUT_ODD,
        owner: seen.owner.clone(),
        recording: seen.recording.clone(),
        version: seen.version,
        tracks,
        gaps,
        repairs: Vec::new(),
        tail_confirmed: seen.declared.is_some(),
    };
    if complete { Completeness::Complete(plan) } else { Completeness::Incomplete(plan) }
}

/// Whether holes are waited for, or too many; `None`: the recording finishes with them.
fn weigh(seen: &Seen, gaps: &[Gap], share: f64) -> Option<Completeness> {
    if gaps.is_empty() || seen.accept_gaps {
        return None;
    }
    let wait = TimeDelta::from_std(seen.limits.missing_deadline).unwrap_or(TimeDelta::MAX);
    let until = seen.signalled_at.checked_add_signed(wait).filter(|until| seen.now < *until);
    if until.is_some() {
        return Some(Completeness::Waiting { on: Awaited::Missing, until });
    }
    let gaps = describe(gaps);
    if seen.policy == Policy::Fail {
        return Some(Completeness::Broken(Broken::GapsUnderPolicyFail { gaps }));
    }
    let percent = |share: f64| (share * 100.0).round() as u32;
    let (percent, limit_percent) = (percent(share), percent(seen.limits.max_gap_ratio));
    (share > seen.limits.max_gap_ratio).then_some(Completeness::Broken(Broken::TooManyGaps {
        percent,
        limit_percent,
        gaps,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::completeness::{Limits, Object, Pauses};
    use crate::id::{OwnerId, RecordingId, Sha256};
    use crate::segment::{Row, State};
    use chrono::DateTime;

    /// Picture 1 to 4, sound 1 to 3 of which `lost` never came, `after_s` seconds after the end.
    fn seen(lost: &[u32], after_s: i64) -> Seen {
        let object = |track, index| Object { track, index, size_bytes: 100 };
        let mut objects: Vec<Object> = (0..=4).map(|index| object(Track::Video, index)).collect();
        let sound = (0..=3).filter(|index| !lost.contains(index));
        objects.extend(sound.map(|index| object(Track::Audio, index)));
        Seen {
            owner: OwnerId::parse("o").unwrap(),
            recording: RecordingId::parse("r").unwrap(),
            policy: Policy::Degrade,
            accept_gaps: false,
            version: 1,
            declared: None,
            claimed: None,
            rows: Vec::new(),
            shapes: BTreeMap::new(),
            silent_frame: None,
            pauses: Pauses::Auto,
            objects,
            signalled_at: DateTime::UNIX_EPOCH,
            now: DateTime::UNIX_EPOCH + TimeDelta::seconds(after_s),
            limits: Limits::default(),
        }
    }

    fn judged(seen: &Seen) -> Completeness {
        let init = PlanObject { size_bytes: 100, sha256: Sha256([0; 32]) };
        check_odd(seen, &BTreeMap::from([(Track::Video, init), (Track::Audio, init)]))
    }

    #[test]
    fn everything_that_is_there_is_planned_in_order() {
        let Completeness::Complete(plan) = judged(&seen(&[], 0)) else { panic!("it is complete") };
        assert_eq!(plan.layout_version, LAYOUT_ODD);
        let counts: Vec<_> = plan.tracks.iter().map(|track| (track.track, track.segments.len())).collect();
        assert_eq!(counts, [(Track::Video, 4), (Track::Audio, 3)]);
        assert!(plan.tracks[0].segments.is_sorted_by_key(|segment| segment.index));
    }

    /// What its initialization section is was read and kept in a row; no manifest names anything.
    #[test]
    fn objects_of_a_track_that_is_no_mp4_count_without_a_manifest() {
        let mut seen = seen(&[], 600);
        let init = |track| Row {
            track,
            index: 0,
            state: State::Lost,
            size_bytes: 100,
            sha256: None,
            span: None,
            defect: Some("the object is WebM, not MP4".to_owned()),
        };
        seen.rows = vec![init(Track::Video), init(Track::Audio)];
        let Completeness::Complete(plan) = judged(&seen) else { panic!("it is complete") };
        assert_eq!(plan.tracks.len(), 2);
        let verdict = crate::completeness::check(&seen);
        assert!(matches!(verdict, Completeness::Broken(Broken::DamagedInit { .. })), "{verdict:?}");
    }

    #[test]
    fn hole_is_waited_for_then_told_or_refused() {
        let until = Some(DateTime::UNIX_EPOCH + TimeDelta::seconds(600));
        assert_eq!(judged(&seen(&[2], 599)), Completeness::Waiting { on: Awaited::Missing, until });
        let Completeness::Incomplete(plan) = judged(&seen(&[2], 600)) else { panic!("it finishes with a gap") };
        assert_eq!((plan.gaps[0].track, &plan.gaps[0].segments[..]), (Track::Audio, &[2][..]));
        let code = |seen: &Seen| match judged(seen) {
            Completeness::Broken(broken) => broken.code(),
            verdict => panic!("{verdict:?}"),
        };
        assert_eq!(code(&Seen { policy: Policy::Fail, ..seen(&[2], 600) }), "gaps-under-policy-fail");
        assert_eq!(code(&seen(&[1, 2], 600)), "too-many-gaps");
        assert!(matches!(judged(&Seen { accept_gaps: true, ..seen(&[1, 2], 0) }), Completeness::Incomplete(_)));
        assert_eq!(code(&Seen { objects: Vec::new(), ..seen(&[], 600) }), "nothing-uploaded");
    }
}
