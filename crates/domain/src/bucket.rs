//! Recordings that another uploader writes straight into the bucket: what a look at the bucket makes of what it finds.
//!
//! Objects are the truth and the manifest is a claim: it says what is still to come and when all of it is there, never
//! what is. Claims only grow, because an uploader that starts again rewrites its manifest from nothing.

use crate::completeness::{Declaration, Last};
use crate::manifest::{LEGACY_DURATION_US, Manifest};
use crate::recording::{Door, State};
use crate::segment::{self, INDEX_MAX, Name, Track};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Objects up to which everything is listed at each look: one page of every store holds so many.
const WHOLE_MAX: u32 = 800;

/// Segments before a number of one more digit at which that number is looked for too: no uploader is so far ahead of its
/// oldest missing segment.
const ROLLOVER: u32 = 64;

/// The part of the time without anything new after which the bucket is looked at again.
const QUIET_PARTS: u32 = 8;

/// Every index that any readable manifest of a recording has named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Claims {
    /// Runs of indexes, first and last, ascending.
    tracks: BTreeMap<Track, Vec<(u32, u32)>>,
}

impl Claims {
    /// Adds what `manifest` names; an index that no segment can have is left out. True when something is new.
    pub fn add(&mut self, manifest: &Manifest) -> bool {
        let before = self.clone();
        for track in Track::ALL {
            let runs = self.tracks.entry(track).or_default();
            let known = runs.iter().flat_map(|&(first, last)| first..=last);
            let named = manifest.claim(track).segments.iter().filter_map(|entry| u32::try_from(entry.index).ok());
            let all: BTreeSet<u32> = known.chain(named.filter(|index| (1..=INDEX_MAX).contains(index))).collect();
            runs.clear();
            for index in all {
                match runs.last_mut() {
                    Some((_, last)) if *last + 1 == index => *last = index,
                    Some(_) | None => runs.push((index, index)),
                }
            }
        }
        self.tracks.retain(|_, runs| !runs.is_empty());
        *self != before
    }

    /// Whether a manifest has named this segment.
    pub fn names(&self, track: Track, index: u32) -> bool {
        let mut runs = self.tracks.get(&track).into_iter().flatten();
        runs.any(|(first, last)| (*first..=*last).contains(&index))
    }

    /// The same without what lies behind the last index that `last` gives for a track.
    pub fn up_to(&self, last: impl Fn(Track) -> u32) -> Claims {
        let cut = |(&track, runs): (&Track, &Vec<(u32, u32)>)| {
            let end = last(track);
            let runs = runs.iter().filter(|(first, _)| *first <= end).map(|&(first, last)| (first, last.min(end)));
            (track, runs.collect::<Vec<_>>())
        };
        Claims { tracks: self.tracks.iter().map(cut).filter(|(_, runs)| !runs.is_empty()).collect() }
    }

    /// The highest index named; 0 when none of the track is.
    pub fn last_index(&self, track: Track) -> u32 {
        self.tracks.get(&track).and_then(|runs| runs.last()).map_or(0, |(_, last)| *last)
    }
}

/// What a manifest that says that it is complete declares, joined with what was declared before: the end is never moved
/// back. `None` when it does not say so.
pub fn declaration(manifest: &Manifest, before: Option<&Declaration>) -> Option<Declaration> {
    if !manifest.complete {
        return None;
    }
    let mut declared = before.cloned().unwrap_or_default();
    for track in Track::ALL {
        if let Some(named) = manifest.last_index(track) {
            let last = declared.tracks.entry(track).or_insert(Last { last_index: 0 });
            last.last_index = last.last_index.max(named);
        }
    }
    declared.duration_ms = declared.duration_ms.max(duration_ms(manifest));
    Some(declared)
}

/// The length of the longer track. One entry of the first version, whose length is always said to be three seconds,
/// makes the sum of a track worthless.
fn duration_ms(manifest: &Manifest) -> u64 {
    let of_track = |track| {
        let entries = &manifest.claim(track).segments;
        if entries.iter().any(|entry| entry.duration_us == LEGACY_DURATION_US) {
            return 0;
        }
        let lengths = entries.iter().map(|entry| u64::try_from(entry.duration_us).unwrap_or(0));
        lengths.fold(0, u64::saturating_add) / 1000
    };
    Track::ALL.into_iter().map(of_track).max().unwrap_or(0)
}

/// An object that a listing of the bucket shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its track.
    pub track: Track,
    /// Initialization section or media segment.
    pub name: Name,
    /// Length of the object.
    pub size_bytes: u64,
    /// Changes when the object is written again: the entity tag, or length and time.
    pub stamp: String,
}

/// What the rows say of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its track.
    pub track: Track,
    /// 0 for the initialization section.
    pub index: u32,
    /// State of its row.
    pub state: segment::State,
    /// [`Found::stamp`] of the object that was found damaged.
    pub stamp: Option<String>,
}

/// The objects to be read now: initialization sections first, then both tracks by index. Left out is what has a row, what
/// was damaged and has not been written again, what lies behind the highest index taken, and media of a track whose
/// initialization section has not come: nobody could read it.
pub fn unread(found: Vec<Found>, known: &[Known], index_max: u32) -> Vec<Found> {
    let rows: BTreeMap<(Track, u32), &Known> = known.iter().map(|row| ((row.track, row.index), row)).collect();
    let wanted = |found: &Found| match rows.get(&(found.track, found.name.index())) {
        None => found.name.index() <= index_max,
        Some(row) => row.state == segment::State::Lost && row.stamp.as_deref() != Some(found.stamp.as_str()),
    };
    let mut unread: Vec<Found> = found.into_iter().filter(wanted).collect();
    let coming: BTreeSet<Track> =
        unread.iter().filter(|found| found.name == Name::Init).map(|found| found.track).collect();
    let stored = |track| rows.get(&(track, 0)).is_some_and(|row| row.state == segment::State::Stored);
    unread.retain(|found| coming.contains(&found.track) || stored(found.track));
    unread.sort_by_key(|found| (found.name, found.track));
    unread
}

/// How much of the bucket a look lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All of the recording, the manifest with it.
    Whole,
    /// Of each track what may be new: behind what viewers have seen.
    Ahead,
}

/// How much to list: everything while it fits a page, and from the end of the recording on, when nothing may be missed.
pub fn reach(state: State, listed: [u32; 2]) -> Reach {
    match state {
        State::Live if listed.iter().fold(0, |sum: u32, last| sum.saturating_add(*last)) > WHOLE_MAX => Reach::Ahead,
        State::Live
        | State::Finalizing
        | State::Ready
        | State::Failed
        | State::Archived
        | State::Cancelled
        | State::Deleted => Reach::Whole,
    }
}

/// The name behind which a listing in order of names shows every segment behind index `listed`. Names are padded to three
/// digits, so `segment_1000` comes before `segment_101`; shortly before a number gets longer, the list begins where the
/// longer ones do.
pub fn behind(listed: u32) -> Name {
    let longer = 10_u32.pow(listed.max(100).ilog10() + 1);
    if longer - listed <= ROLLOVER { Name::Media(longer / 10) } else { Name::Media(listed) }
}

/// Bounds on the time between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// While new objects come.
    pub min: Duration,
    /// While nothing comes.
    pub max: Duration,
    /// While nothing comes and the end was silence.
    pub provisional_max: Duration,
}

/// How long to wait until the next look, when nothing new has come for `quiet`; `None` when no look is wanted any more.
pub fn pause(door: Door, quiet: Duration, pace: Pace) -> Option<Duration> {
    let max = match door.state {
        State::Finalizing | State::Ready if door.provisional && door.frozen => pace.provisional_max,
        State::Live => pace.max,
        State::Finalizing if !door.frozen => pace.max,
        State::Finalizing | State::Ready | State::Failed | State::Archived | State::Cancelled | State::Deleted => {
            return None;
        }
    };
    Some((quiet / QUIET_PARTS).clamp(pace.min, max.max(pace.min)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Claim, Entry};

    fn manifest(video: &[i64], audio: &[i64], complete: bool) -> Manifest {
        let claim = |indexes: &[i64]| {
            let segments = indexes.iter().map(|index| Entry { index: *index, duration_us: 2_000_000 }).collect();
            Claim { init_uploaded: true, segments }
        };
        Manifest { version: 2, video: claim(video), audio: claim(audio), complete }
    }

    #[test]
    fn claims_only_grow_and_leave_out_what_cannot_be() {
        let mut claims = Claims::default();
        assert!(claims.add(&manifest(&[3, 1, 2, 2, -1, 0, 7], &[], false)));
        assert!(!claims.add(&manifest(&[], &[], true)), "a manifest that starts again takes nothing back");
        assert_eq!((claims.last_index(Track::Video), claims.last_index(Track::Audio)), (7, 0));
        assert!(claims.names(Track::Video, 2) && !claims.names(Track::Video, 4) && !claims.names(Track::Audio, 1));
        let text = serde_json::to_string(&claims).unwrap();
        assert_eq!(text, r#"{"video":[[1,3],[7,7]]}"#);
        assert_eq!(serde_json::from_str::<Claims>(&text).unwrap(), claims);
    }

    #[test]
    fn declaration_is_that_of_complete_manifests_and_never_moves_back() {
        assert_eq!(declaration(&manifest(&[1, 2], &[], false), None), None);
        let first = declaration(&manifest(&[1, 2, 5], &[1], true), None).unwrap();
        assert_eq!((first.last_index(Track::Video), first.last_index(Track::Audio), first.duration_ms), (5, 1, 6000));
        let second = declaration(&manifest(&[1], &[1, 2], true), Some(&first)).unwrap();
        assert_eq!((second.last_index(Track::Video), second.last_index(Track::Audio)), (5, 2));
        let mut legacy = manifest(&[1, 2], &[], true);
        legacy.video.segments[1].duration_us = LEGACY_DURATION_US;
        assert_eq!(declaration(&legacy, None).unwrap().duration_ms, 0);
    }

    fn found(track: Track, name: Name, stamp: &str) -> Found {
        Found { track, name, size_bytes: 9, stamp: stamp.to_owned() }
    }

    #[test]
    fn unread_are_new_objects_that_can_be_read() {
        let all = || {
            vec![
                found(Track::Video, Name::Media(3), "c"),
                found(Track::Video, Name::Media(2), "b"),
                found(Track::Video, Name::Init, "i"),
                found(Track::Video, Name::Media(60_000), "z"),
                found(Track::Audio, Name::Media(1), "a"),
            ]
        };
        let names = |known: &[Known]| -> Vec<_> {
            unread(all(), known, 50_000).into_iter().map(|found| (found.track, found.name.index())).collect()
        };
        assert_eq!(names(&[]), [(Track::Video, 0), (Track::Video, 2), (Track::Video, 3)], "sound has no section yet");
        let row = |index, state, stamp: Option<&str>| Known {
            track: Track::Video,
            index,
            state,
            stamp: stamp.map(str::to_owned),
        };
        let stored = segment::State::Stored;
        assert_eq!(names(&[row(0, stored, None), row(2, stored, Some("x"))]), [(Track::Video, 3)]);
        let lost = segment::State::Lost;
        assert_eq!(names(&[row(0, stored, None), row(2, lost, Some("b")), row(3, stored, None)]), []);
        assert_eq!(
            names(&[row(0, stored, None), row(2, lost, Some("before")), row(3, stored, None)]),
            [(Track::Video, 2)]
        );
    }

    /// Every index behind the listed one, as far as an uploader gets ahead, is in the list in order of names.
    #[test]
    fn behind_misses_nothing_when_numbers_get_longer() {
        for listed in (1..2000).chain(9_900..10_100) {
            let after = behind(listed).to_string();
            for index in listed + 1..=listed + ROLLOVER {
                let name = Name::Media(index).to_string();
                assert!(name > after, "{name} is not behind {after} although {listed} is listed");
            }
        }
        assert_eq!(behind(500), Name::Media(500), "and begins as late as it can");
    }

    #[test]
    fn pause_grows_with_the_quiet_and_ends_with_the_recording() {
        let pace = Pace {
            min: Duration::from_secs(2),
            max: Duration::from_secs(30),
            provisional_max: Duration::from_secs(600),
        };
        let door = |state, provisional, frozen| Door { state, provisional, frozen };
        let secs = |door, quiet| pause(door, Duration::from_secs(quiet), pace).map(|pause| pause.as_secs());
        let live = door(State::Live, false, false);
        assert_eq!([0, 2, 40, 240, 9000].map(|quiet| secs(live, quiet)), [2, 2, 5, 30, 30].map(Some));
        assert_eq!(secs(door(State::Finalizing, false, false), 9000), Some(30));
        assert_eq!(secs(door(State::Finalizing, false, true), 0), None, "nothing more comes into a frozen plan");
        assert_eq!(secs(door(State::Ready, true, true), 90_000), Some(600), "silence may go on");
        for state in [State::Ready, State::Failed, State::Archived, State::Cancelled, State::Deleted] {
            assert_eq!(secs(door(state, false, true), 0), None, "{state}");
        }
    }
}
