//! Tables of the verdict on recordings that another uploader writes.

use super::{at, find, lose, row, whole, words};
use crate::completeness::*;
use crate::manifest::{Claim, Entry, Manifest};
use crate::mux::GapCause;

/// Claims of one manifest.
fn claims(video: &[i64], audio: &[i64]) -> Claims {
    let claim = |indexes: &[i64]| {
        let segments = indexes.iter().map(|index| Entry { index: *index, duration_us: 2_000_000 }).collect();
        Claim { init_uploaded: true, segments }
    };
    let mut claims = Claims::default();
    claims.add(&Manifest { version: 2, video: claim(video), audio: claim(audio), complete: false });
    claims
}

/// Nobody declared anything; the manifest named this.
fn claimed(video: &[i64], audio: &[i64]) -> Seen {
    Seen { declared: None, claimed: Some(claims(video, audio)), ..whole() }
}

fn repairs(verdict: Completeness) -> Vec<String> {
    match verdict {
        Completeness::Complete(plan) | Completeness::Incomplete(plan) => plan
            .repairs
            .iter()
            .map(|repair| {
                let word = repair.what.split(':').next().unwrap_or_default();
                format!("{} {} {word}", repair.track, repair.segment)
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_follows_the_manifest_without_a_hole_is_recovered() {
    let mut seen = claimed(&[1, 2, 4], &[1, 2, 3, 4]);
    assert_eq!(words(&check(&seen)), "complete: video 1,2,3,4,5,6 | audio 1,2,3,4; confirmed false");
    assert_eq!(repairs(check(&seen)), ["video 3 recovered", "video 5 recovered", "video 6 recovered"]);

    lose(&mut seen, Track::Video, |index| index == 5);
    // The sound goes on, so the picture ends early; and that is said.
    let Completeness::Incomplete(plan) = check(&seen) else { panic!("{:?}", check(&seen)) };
    let indexes: Vec<_> = plan.tracks[0].segments.iter().map(|segment| segment.index).collect();
    assert_eq!(indexes, [1, 2, 3, 4], "video 6 may be left from an earlier try");
    assert_eq!(repairs(check(&seen)), ["video 3 recovered", "video 6 left out"]);
}

#[test]
fn what_the_manifest_names_is_waited_for_and_then_a_gap() {
    let mut seen = claimed(&[1, 2, 3, 4, 5, 6, 7], &[1, 2, 3, 4]);
    seen.now = at(599);
    assert_eq!(check(&seen), Completeness::Waiting { on: Awaited::Missing, until: Some(at(600)) });
    seen.now = at(600);
    let Completeness::Incomplete(plan) = check(&seen) else { panic!("{:?}", check(&seen)) };
    assert_eq!((plan.gaps.len(), &plan.gaps[0].segments, plan.gaps[0].cause), (1, &vec![7], GapCause::Missing));
    assert!(!plan.tail_confirmed);
}

#[test]
fn a_track_that_no_manifest_names_is_taken_as_it_lies() {
    let mut seen = claimed(&[1, 2, 3, 4, 5, 6], &[]);
    lose(&mut seen, Track::Audio, |index| index == 1);
    let Completeness::Incomplete(plan) = check(&seen) else { panic!("{:?}", check(&seen)) };
    let audio: Vec<_> = plan.tracks[1].segments.iter().map(|segment| segment.index).collect();
    assert_eq!(audio, [2, 3, 4]);
}

#[test]
fn damaged_objects_are_gaps_that_nobody_waits_for() {
    let mut seen = claimed(&[1, 2, 3, 4, 5, 6], &[1, 2, 3, 4]);
    seen.now = at(31);
    let damage = |row: &mut Row| {
        (row.state, row.span, row.sha256) = (State::Lost, None, None);
        row.defect = Some("the box moof at byte 24 is cut off".to_owned());
    };
    damage(find(&mut seen, Track::Video, 2));
    let Completeness::Incomplete(plan) = check(&seen) else { panic!("{:?}", check(&seen)) };
    assert_eq!((&plan.gaps[0].segments, plan.gaps[0].cause), (&vec![2], GapCause::Damaged));

    find(&mut seen, Track::Video, 2).size_bytes = 0;
    assert_eq!(
        check(&seen),
        Completeness::Waiting { on: Awaited::Missing, until: Some(at(600)) },
        "still being written"
    );

    damage(find(&mut seen, Track::Audio, 0));
    let Completeness::Broken(broken) = check(&seen) else { panic!("{:?}", check(&seen)) };
    assert_eq!(broken.code(), "damaged-init");
}

#[test]
fn media_without_its_initialization_section_is_waited_for_and_then_named() {
    let mut seen = claimed(&[1, 2, 3, 4, 5, 6], &[]);
    lose(&mut seen, Track::Audio, |_| true);
    // Nobody can read the sound, so there is no row of it.
    seen.objects.extend((1..=4).map(|index| Object { track: Track::Audio, index, size_bytes: 9 }));
    seen.now = at(31);
    assert_eq!(check(&seen), Completeness::Waiting { on: Awaited::Missing, until: Some(at(600)) });
    seen.now = at(601);
    assert_eq!(check(&seen), Completeness::Broken(Broken::MissingInit { track: Track::Audio }));
}

#[test]
fn an_empty_bucket_is_nothing_uploaded() {
    let mut seen = Seen { rows: Vec::new(), objects: Vec::new(), declared: None, ..whole() };
    seen.now = at(29);
    assert_eq!(check(&seen), Completeness::Waiting { on: Awaited::Declaration, until: Some(at(30)) });
    seen.now = at(30);
    assert_eq!(check(&seen), Completeness::Broken(Broken::NothingUploaded));
    seen.rows.push(row(Track::Video, 0, 0, 0));
    assert_eq!(check(&seen), Completeness::Broken(Broken::NothingUploaded), "an initialization section is no segment");
}
