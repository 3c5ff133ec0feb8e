//! What must always hold: R-1 to R-11, each with its sentence and a check over a picture of the world.
//!
//! A picture is taken by whoever tests or watches, from rows and a listing of the bucket. Some rules compare it with an
//! earlier one. A check names what it found; an empty answer means that the rule holds in what was looked at.

use crate::id::{RecordingId, Sha256};
use crate::job::Kind;
use crate::mux::{Mismatch, Plan, ResultFacts, verify};
use crate::playlist::ListingRow;
use crate::recording::{Cause, State, transition};
use crate::segment::{self, Row, Track};
use std::collections::{BTreeMap, BTreeSet};

/// A picture of everything, at one moment.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Every recording.
    pub recordings: Vec<Recording>,
    /// Every live job.
    pub jobs: Vec<Job>,
    /// Every attempt that was started.
    pub attempts: Vec<Attempt>,
}

/// One recording with all that belongs to it.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Its id.
    pub id: RecordingId,
    /// Its state.
    pub state: State,
    /// Its end came by silence.
    pub provisional: bool,
    /// The cleanup's grace period was over when the recording was archived, or it is not archived.
    pub grace_over: bool,
    /// Its segments.
    pub rows: Vec<Row>,
    /// Segments of which staging has the bytes.
    pub staged: BTreeSet<(Track, u32)>,
    /// Segments that the store has, with the digest of their bytes.
    pub objects: BTreeMap<(Track, u32), Sha256>,
    /// Segments that the manifest lists.
    pub manifest: BTreeSet<(Track, u32)>,
    /// What viewers were shown.
    pub listing: Vec<ListingRow>,
    /// The plan of the result that is served.
    pub plan: Option<Plan>,
    /// The result that is served.
    pub result: Option<Served>,
}

/// A result that is served.
#[derive(Debug, Clone)]
pub struct Served {
    /// The store has the object that `result_key` names.
    pub exists: bool,
    /// What the plan makes it.
    pub expected: ResultFacts,
    /// What it is.
    pub found: ResultFacts,
}

/// A live job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its kind.
    pub kind: Kind,
    /// Its recording.
    pub subject: Option<RecordingId>,
}

/// An attempt that was started.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Whose it is, for a person.
    pub name: String,
    /// It still runs.
    pub running: bool,
    /// Outcomes recorded for it.
    pub outcomes: u32,
}

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Invariant {
    /// `R-1` to `R-11`.
    pub id: &'static str,
    /// The rule, word for word as in the design.
    pub sentence: &'static str,
    check: fn(&World, &World) -> Vec<String>,
}

/// Every rule.
pub const ALL: [Invariant; 11] = [
    Invariant { id: "R-1", sentence: "`ready` ⇔ a result exists and was verified.", check: verified },
    Invariant { id: "R-2", sentence: "A stored segment's bytes never change.", check: immutable },
    Invariant {
        id: "R-3",
        sentence: "The manifest lists only stored objects and never less than before.",
        check: manifest,
    },
    Invariant { id: "R-4", sentence: "At most one live `upload` job per recording.", check: one_upload },
    Invariant { id: "R-5", sentence: "A recording's state moves only along the list in CONTRACTS §4.", check: moves },
    Invariant { id: "R-6", sentence: "Every attempt ends in exactly one recorded outcome.", check: outcomes },
    Invariant {
        id: "R-7",
        sentence: "Segments are deleted only after R-1, the grace period, and a signalled end.",
        check: deleted,
    },
    Invariant {
        id: "R-8",
        sentence: "The result's duration is the plan's, per track, within one sample.",
        check: duration,
    },
    Invariant {
        id: "R-9",
        sentence: "An acknowledged segment keeps its row and bytes until the store has the object.",
        check: kept,
    },
    Invariant {
        id: "R-10",
        sentence: "Every acknowledged segment is in the result or in the recorded gaps.",
        check: accounted,
    },
    Invariant {
        id: "R-11",
        sentence: "What a playlist once listed it lists unchanged until the recording is archived.",
        check: listed,
    },
];

/// Every breach of every rule, as `R-n: what`. `before` is an earlier picture, or the same one.
pub fn check(before: &World, now: &World) -> Vec<String> {
    let of = |rule: &Invariant| {
        (rule.check)(before, now).into_iter().map(move |what| format!("{}: {what}", rule.id)).collect::<Vec<_>>()
    };
    ALL.iter().flat_map(of).collect()
}

/// Segments of such a recording may be gone.
fn over(state: State) -> bool {
    match state {
        State::Archived | State::Cancelled | State::Deleted => true,
        State::Live | State::Finalizing | State::Ready | State::Failed => false,
    }
}

fn pairs<'a>(before: &'a World, now: &'a World) -> impl Iterator<Item = (&'a Recording, &'a Recording)> {
    let of = |old: &'a Recording| now.recordings.iter().find(|new| new.id == old.id).map(|new| (old, new));
    before.recordings.iter().filter_map(of)
}

fn verified(_: &World, now: &World) -> Vec<String> {
    let served = |recording: &&Recording| matches!(recording.state, State::Ready | State::Archived);
    let breach = |recording: &Recording| match &recording.result {
        None => Some(format!("{} is {} without a result", recording.id, recording.state)),
        Some(served) if !served.exists => Some(format!("the result of {} is not in the store", recording.id)),
        Some(served) => {
            verify(&served.expected, &served.found).first().map(|wrong| format!("{}: {wrong}", recording.id))
        }
    };
    now.recordings.iter().filter(served).filter_map(breach).collect()
}

fn immutable(before: &World, now: &World) -> Vec<String> {
    let mut breaches = Vec::new();
    for (old, new) in pairs(before, now) {
        let differs = old.objects.iter().filter(|(at, digest)| new.objects.get(at).is_some_and(|now| now != *digest));
        breaches.extend(differs.map(|(at, _)| format!("{}: the bytes of {at:?} changed", new.id)));
        let stored = new.rows.iter().filter(|row| row.state == segment::State::Stored);
        let foreign = |row: &&Row| {
            new.objects
                .get(&(row.track, row.index))
                .is_some_and(|digest| row.sha256.is_some_and(|known| known != *digest))
        };
        let foreign = stored.filter(foreign).map(|row| (row.track, row.index));
        breaches.extend(foreign.map(|at| format!("{}: the bytes of {at:?} are not those of its row", new.id)));
    }
    breaches
}

fn manifest(before: &World, now: &World) -> Vec<String> {
    let mut breaches = Vec::new();
    for (old, new) in pairs(before, now).filter(|(_, new)| !over(new.state)) {
        breaches
            .extend(old.manifest.difference(&new.manifest).map(|at| format!("{}: {at:?} left the manifest", new.id)));
        let unstored = new.manifest.iter().filter(|at| !new.objects.contains_key(at));
        breaches.extend(unstored.map(|at| format!("{}: the manifest lists {at:?}, which the store has not", new.id)));
    }
    breaches
}

fn one_upload(_: &World, now: &World) -> Vec<String> {
    let mut count = BTreeMap::<_, u32>::new();
    for job in now.jobs.iter().filter(|job| job.kind == Kind::Upload) {
        *count.entry(&job.subject).or_default() += 1;
    }
    count
        .into_iter()
        .filter(|(_, n)| *n > 1)
        .map(|(subject, n)| format!("{n} live upload jobs of {subject:?}"))
        .collect()
}

/// Several moves may lie between two pictures: the later state must be reachable.
fn moves(before: &World, now: &World) -> Vec<String> {
    let reachable = |from: State, to: State| {
        let mut known = vec![from];
        let mut at = 0;
        while let Some(&state) = known.get(at) {
            let next =
                Cause::ALL.into_iter().flat_map(|cause| [false, true].map(|flag| transition(state, cause, flag)));
            let new: Vec<State> = next.filter_map(Result::ok).filter(|state| !known.contains(state)).collect();
            known.extend(new);
            at += 1;
        }
        known.contains(&to)
    };
    let wrong = |(old, new): &(&Recording, &Recording)| !reachable(old.state, new.state);
    pairs(before, now)
        .filter(wrong)
        .map(|(old, new)| format!("{} went from {} to {}", new.id, old.state, new.state))
        .collect()
}

fn outcomes(_: &World, now: &World) -> Vec<String> {
    let wrong = |attempt: &&Attempt| attempt.outcomes != u32::from(!attempt.running);
    now.attempts
        .iter()
        .filter(wrong)
        .map(|attempt| format!("{} has {} outcomes", attempt.name, attempt.outcomes))
        .collect()
}

fn deleted(_: &World, now: &World) -> Vec<String> {
    let gone = |recording: &&Recording| {
        let stored = |row: &&Row| row.state == segment::State::Stored;
        recording.rows.iter().filter(stored).any(|row| !recording.objects.contains_key(&(row.track, row.index)))
    };
    let allowed = |recording: &Recording| {
        let archived = recording.state == State::Archived && recording.grace_over && !recording.provisional;
        archived || matches!(recording.state, State::Deleted)
    };
    let breach = |recording: &&Recording| gone(recording) && !allowed(recording);
    now.recordings.iter().filter(breach).map(|recording| format!("segments of {} are gone", recording.id)).collect()
}

fn duration(_: &World, now: &World) -> Vec<String> {
    let of = |recording: &Recording| {
        let served = recording.result.as_ref()?;
        let wrong = verify(&served.expected, &served.found);
        let wrong = wrong.into_iter().find(|wrong| matches!(wrong, Mismatch::Duration { .. }))?;
        Some(format!("{}: {wrong}", recording.id))
    };
    now.recordings.iter().filter_map(of).collect()
}

fn kept(before: &World, now: &World) -> Vec<String> {
    let mut breaches = Vec::new();
    for (old, new) in pairs(before, now).filter(|(_, new)| !over(new.state)) {
        let known: BTreeMap<_, _> = new.rows.iter().map(|row| ((row.track, row.index), row)).collect();
        let lost = old.rows.iter().map(|row| (row.track, row.index)).filter(|at| !known.contains_key(at));
        breaches.extend(lost.map(|at| format!("{}: the row of {at:?} is gone", new.id)));
        let bare = known.iter().filter(|(at, row)| row.state == segment::State::Received && !new.staged.contains(at));
        breaches.extend(bare.map(|(at, _)| format!("{}: the bytes of {at:?} are gone", new.id)));
    }
    breaches
}

fn accounted(_: &World, now: &World) -> Vec<String> {
    let mut breaches = Vec::new();
    for recording in now.recordings.iter().filter(|recording| recording.state == State::Ready && !recording.provisional)
    {
        let Some(plan) = &recording.plan else { continue };
        let planned = plan.tracks.iter().flat_map(|of| of.segments.iter().map(|segment| (of.track, segment.index)));
        let missed = plan.gaps.iter().flat_map(|gap| gap.segments.iter().map(|index| (gap.track, *index)));
        let left_out = plan.repairs.iter().map(|repair| (repair.track, repair.segment));
        let told: BTreeSet<_> = planned.chain(missed).chain(left_out).collect();
        let acknowledged = recording.rows.iter().filter(|row| row.index > 0).map(|row| (row.track, row.index));
        let untold = acknowledged.filter(|at| !told.contains(at));
        breaches.extend(untold.map(|at| format!("{}: {at:?} is in neither", recording.id)));
    }
    breaches
}

fn listed(before: &World, now: &World) -> Vec<String> {
    let of = |recording: &Recording, track: Track| -> Vec<ListingRow> {
        recording.listing.iter().filter(|row| row.track == track).cloned().collect()
    };
    let changed = |(old, new): &(&Recording, &Recording)| {
        let kept = |track| of(new, track).starts_with(&of(old, track));
        !over(new.state) && !Track::ALL.into_iter().all(kept)
    };
    pairs(before, now).filter(changed).map(|(_, new)| format!("the listing of {} changed", new.id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::OwnerId;
    use crate::mux::{Fill, Gap, GapCause, PlanObject, PlanSegment, PlanTrack, TrackFacts};
    use crate::playlist::ListingKind;

    fn recording(state: State) -> Recording {
        let digest = Sha256::of(b"1");
        let row = Row {
            track: Track::Video,
            index: 1,
            state: segment::State::Stored,
            size_bytes: 1,
            sha256: Some(digest),
            span: None,
            defect: None,
        };
        Recording {
            id: RecordingId::parse("r").unwrap(),
            state,
            provisional: false,
            grace_over: true,
            rows: vec![row],
            staged: BTreeSet::new(),
            objects: [((Track::Video, 1), digest)].into(),
            manifest: [(Track::Video, 1)].into(),
            listing: Vec::new(),
            plan: None,
            result: None,
        }
    }

    fn world(recording: Recording) -> World {
        World { recordings: vec![recording], ..World::default() }
    }

    #[test]
    fn check_finds_nothing_in_a_sound_world() {
        let sound = world(recording(State::Live));
        assert_eq!(check(&sound, &sound), Vec::<String>::new());
        assert!(ALL.iter().enumerate().all(|(at, rule)| rule.id == format!("R-{}", at + 1)));
    }

    /// A ready recording whose two rows are accounted for: one in the plan, one in its gaps.
    fn ready() -> Recording {
        let mut ready = recording(State::Ready);
        let lost = Row { index: 2, state: segment::State::Lost, ..ready.rows[0].clone() };
        let planned = PlanSegment { index: 1, size_bytes: 1, sha256: lost.sha256, shift: 0, salvaged: false };
        let init = PlanObject { size_bytes: 1, sha256: Sha256::of(b"1") };
        let gap = Gap { track: Track::Video, from_ms: 2, to_ms: 4, segments: vec![2], cause: GapCause::Lost };
        let track = TrackFacts { track: Track::Video, samples: 2, payload_bytes: 1, duration: 2000, timescale: 1000 };
        let facts = ResultFacts { size_bytes: 9, faststart: true, tracks: vec![track] };
        let row = |index, kind| ListingRow {
            track: Track::Video,
            seq: u64::from(index),
            index,
            kind,
            duration: 2,
            timescale: 1,
            discontinuity: false,
            program_date_time: None,
        };
        ready.rows.push(lost);
        ready.listing = vec![row(1, ListingKind::Media), row(2, ListingKind::Gap)];
        ready.result = Some(Served { exists: true, expected: facts.clone(), found: facts });
        ready.plan = Some(Plan {
            layout_version: 1,
            owner: OwnerId::parse("o").unwrap(),
            recording: ready.id.clone(),
            version: 1,
            tracks: vec![PlanTrack {
                track: Track::Video,
                init,
                segments: vec![planned],
                fill: Fill::Hold,
                etags: BTreeMap::new(),
            }],
            gaps: vec![gap],
            repairs: vec![],
            tail_confirmed: true,
        });
        ready
    }

    /// The rule that each of some changes to a ready recording breaks; of several, the last.
    fn breaches_of_results() -> Vec<String> {
        let whole = world(ready());
        assert_eq!(check(&whole, &whole), Vec::<String>::new());
        let changes: [Change; 5] = [
            |r| r.result.as_mut().unwrap().exists = false,
            // Not by more than one sample would pass.
            |r| r.result.as_mut().unwrap().found.tracks[0].duration = 3001,
            |r| r.plan.as_mut().unwrap().gaps.clear(),
            |r| r.listing[1].kind = ListingKind::Media,
            |r| r.listing.truncate(1),
        ];
        let broken = |change: Change| {
            let mut now = ready();
            change(&mut now);
            let breaches = check(&whole, &world(now));
            let last = breaches.last().unwrap_or_else(|| panic!("nothing was found"));
            last.split(':').next().unwrap_or_default().to_owned()
        };
        changes.into_iter().map(broken).collect()
    }

    type Change = fn(&mut Recording);

    /// Each line breaks one rule on purpose.
    #[test]
    fn check_names_the_rule_that_is_broken() {
        let facts = ResultFacts { size_bytes: 1, faststart: true, tracks: vec![] };
        let before = recording(State::Live);
        let broken: [(&str, Change); 7] = [
            ("R-1", |r| r.state = State::Ready),
            ("R-2", |r| r.objects = [((Track::Video, 1), Sha256::of(b"2"))].into()),
            ("R-3", |r| r.manifest.clear()),
            ("R-7", |r| {
                r.objects.clear();
                r.manifest.clear();
                r.state = State::Archived;
                r.grace_over = false;
            }),
            ("R-9", |r| {
                r.rows[0].state = segment::State::Received;
            }),
            ("R-9", |r| r.rows.clear()),
            ("R-3", |r| r.manifest.extend([(Track::Audio, 7)])),
        ];
        for (rule, change) in broken {
            let mut now = before.clone();
            change(&mut now);
            let breaches = check(&world(before.clone()), &world(now));
            assert!(breaches.iter().any(|breach| breach.starts_with(&format!("{rule}: "))), "{rule}: {breaches:?}");
        }
        assert_eq!(breaches_of_results(), ["R-1", "R-8", "R-10", "R-11", "R-11"]);
        let mut archived = recording(State::Archived);
        archived.result = Some(Served { exists: true, expected: facts.clone(), found: facts });
        let moved = check(&world(archived), &world(recording(State::Live)));
        assert_eq!(moved, ["R-5: r went from archived to live"]);
        let job = Job { kind: Kind::Upload, subject: None };
        let twice = World { jobs: vec![job.clone(), job], ..World::default() };
        assert_eq!(check(&twice, &twice), ["R-4: 2 live upload jobs of None"]);
        let attempt = Attempt { name: "a".into(), running: false, outcomes: 0 };
        let silent = World { attempts: vec![attempt], ..World::default() };
        assert_eq!(check(&silent, &silent), ["R-6: a has 0 outcomes"]);
    }
}
