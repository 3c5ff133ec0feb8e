//! One track of a search: its candidates, what is known of them, and what has to be looked at next.

#![forbid(unsafe_code)]

use super::{Damage, Picture, Place, Seen};
use crate::layout::SegmentPlace;
use domain::mux::{Gap, GapCause};
use domain::segment::Track;
use std::collections::BTreeMap;

/// Samples of sound decoded at each place: one alone gives no sound yet.
const SOUND_SAMPLES: u32 = 8;

/// Places behind repairs that are looked at in each track; more of them are thinned out evenly.
const REPAIRS_MAX: usize = 64;

/// Segments without a picture that decodes, up to the end, from which on it is the parameters that changed and not the
/// bytes: the last one or two may as well be damaged.
const CHANGED_MIN: usize = 3;

/// Where decoding can begin, and everything up to the next such place.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// Its segments, at least one; the first begins with the sample at which decoding begins.
    parts: Vec<Part>,
    offset: Option<u64>,
    /// Where the next candidate begins.
    until: Option<u64>,
    samples: u32,
    repaired: bool,
}

/// A segment of a candidate, or all of it where nothing is known of segments.
#[derive(Debug, Clone)]
struct Part {
    segment: Option<u32>,
    offset: u64,
    from_us: u64,
    to_us: u64,
}

impl Part {
    fn of(place: &SegmentPlace) -> Part {
        let SegmentPlace { index, offset, from_us, to_us, .. } = *place;
        Part { segment: Some(index), offset, from_us, to_us }
    }
}

impl Candidate {
    fn begins_us(&self) -> u64 {
        self.parts[0].from_us
    }

    /// How many of its segments were decoded whole before `damage` was noticed.
    fn sound_before(&self, damage: &Damage) -> usize {
        self.parts.partition_point(|part| part.offset <= damage.offset).saturating_sub(1)
    }
}

/// What was seen of a candidate.
#[derive(Debug, Clone)]
struct Known {
    /// All its samples were decoded.
    whole: bool,
    picture: Option<Picture>,
    damage: Option<Damage>,
}

/// How much of a candidate is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Its beginning.
    Head,
    /// All of it.
    Whole,
}

/// A candidate to be looked at, and how much of it.
pub(super) type Wanted = (usize, Extent);

/// From which segment on the pictures are of another form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) segment: Option<u32>,
    pub(super) at_us: u64,
    pub(super) from: Option<Picture>,
    /// `None`: they cannot be decoded with the parameters that there are.
    pub(super) to: Option<Picture>,
}

#[derive(Debug)]
pub(super) struct TrackSearch {
    pub(super) track: Track,
    candidates: Vec<Candidate>,
    known: BTreeMap<usize, Known>,
}

impl TrackSearch {
    /// A track whose segments are known.
    pub(super) fn of_segments(track: Track, segments: &[SegmentPlace]) -> TrackSearch {
        let mut candidates: Vec<Candidate> = Vec::new();
        for place in segments {
            match candidates.last_mut() {
                // What begins between two sync samples cannot be decoded without what is before it.
                Some(before) if !place.sync => {
                    before.parts.push(Part::of(place));
                    before.samples = before.samples.saturating_add(place.samples);
                    before.repaired |= place.repaired;
                }
                _ => candidates.push(Candidate {
                    parts: vec![Part::of(place)],
                    offset: Some(place.offset),
                    until: None,
                    samples: place.samples,
                    repaired: place.repaired,
                }),
            }
        }
        for n in 1..candidates.len() {
            candidates[n - 1].until = candidates[n].offset;
        }
        TrackSearch { track, candidates, known: BTreeMap::new() }
    }

    /// A track of which only its length is known: so many places at equal distances, and its end.
    pub(super) fn of_length(track: Track, duration_us: u64, places: u32) -> TrackSearch {
        let parts = u64::from(places) + 1;
        let moment =
            |n: u64| u64::try_from(u128::from(duration_us) * u128::from(n) / u128::from(parts)).unwrap_or(u64::MAX);
        let part = |n| (moment(n), moment(n + 1), 1);
        // The end is decoded from the last sync sample on, to the last sample whatever their number.
        let end = (duration_us, duration_us, u32::MAX);
        let candidates = (0..parts).map(part).chain([end]).map(|(from_us, to_us, samples)| Candidate {
            parts: vec![Part { segment: None, offset: 0, from_us, to_us }],
            offset: None,
            until: None,
            samples,
            repaired: false,
        });
        TrackSearch { track, candidates: candidates.collect(), known: BTreeMap::new() }
    }

    /// The first look: beginning, end, so many between, and whatever was repaired.
    pub(super) fn sampled(&self, between: u32) -> Vec<Wanted> {
        let Some(last) = self.candidates.len().checked_sub(1) else { return Vec::new() };
        let mut wanted = BTreeMap::new();
        for n in 0..=between as usize {
            wanted.insert(last * n / (between as usize + 1), Extent::Head);
        }
        let repaired: Vec<usize> =
            self.candidates.iter().enumerate().filter(|(_, candidate)| candidate.repaired).map(|(n, _)| n).collect();
        let kept = repaired.len().min(REPAIRS_MAX);
        for n in 0..kept {
            wanted.insert(repaired[n * repaired.len() / kept], Extent::Whole);
        }
        wanted.insert(last, Extent::Whole);
        wanted.into_iter().collect()
    }

    pub(super) fn place(&self, (n, extent): Wanted) -> Place {
        let candidate = &self.candidates[n];
        let head = match self.track {
            Track::Video => 1,
            Track::Audio => SOUND_SAMPLES,
        };
        let samples = match extent {
            Extent::Head if candidate.offset.is_some() => head.min(candidate.samples),
            Extent::Head => head.max(candidate.samples),
            Extent::Whole => candidate.samples,
        };
        let Candidate { offset, until, .. } = *candidate;
        Place { track: self.track, at_us: candidate.begins_us(), offset, until, samples }
    }

    pub(super) fn tell(&mut self, (n, extent): Wanted, seen: &Seen) {
        let whole = extent == Extent::Whole || self.candidates[n].offset.is_none();
        let mut damage = seen.damage.clone();
        if let (None, Some(known)) = (&damage, self.known.get(&n)) {
            damage.clone_from(&known.damage);
        }
        let picture = seen.picture.clone().map(Picture::normal);
        self.known.insert(n, Known { whole, picture, damage });
    }

    /// What was noticed first, in the order of time.
    pub(super) fn first_damage(&self) -> Option<&Damage> {
        self.known.values().find_map(|known| known.damage.as_ref())
    }

    pub(super) fn is_sound(&self) -> bool {
        self.first_damage().is_none()
    }

    /// Nothing that was looked at can be decoded.
    pub(super) fn is_all_damaged(&self) -> bool {
        let nothing = |(n, known): (&usize, &Known)| {
            known.damage.as_ref().is_some_and(|damage| self.candidates[*n].sound_before(damage) == 0)
        };
        !self.known.is_empty() && self.known.iter().all(nothing)
    }

    /// Looks for the first picture of another form than the first one. The inner error: this one has to be looked at to
    /// know.
    pub(super) fn changed(&self) -> Result<Option<Changed>, Wanted> {
        let sound = || self.known.iter().filter(|(_, known)| known.damage.is_none());
        let Some(first) = sound().find_map(|(_, known)| known.picture.as_ref()) else { return Ok(None) };
        let differs = |known: &&Known| known.picture.as_ref().is_some_and(|picture| picture != first);
        let change = sound().find(|(_, known)| differs(known)).map(|(n, known)| (*n, known.picture.clone()));
        if let Some((n, to)) = change {
            return self.between(n).map(|()| Some(self.change(n, first, to)));
        }
        let Some(n) = self.undecodable_end() else { return Ok(None) };
        self.between(n).map(|()| (self.candidates.len() - n >= CHANGED_MIN).then(|| self.change(n, first, None)))
    }

    fn change(&self, n: usize, from: &Picture, to: Option<Picture>) -> Changed {
        let candidate = &self.candidates[n];
        Changed { segment: candidate.parts[0].segment, at_us: candidate.begins_us(), from: Some(from.clone()), to }
    }

    /// The middle between `n` and what is known before it, if something lies between that is not known.
    fn between(&self, n: usize) -> Result<(), Wanted> {
        let before = self.known.range(..n).next_back().map_or(0, |(before, _)| *before);
        if n - before > 1 { Err((before + (n - before) / 2, Extent::Head)) } else { Ok(()) }
    }

    /// The first candidate from which on nothing decodes although the bytes are as an encoder wrote them, when everything
    /// before it does.
    fn undecodable_end(&self) -> Option<usize> {
        let (first, _) = self.known.iter().find(|(_, known)| known.damage.is_some())?;
        let foreign = |known: &Known| known.damage.as_ref().is_some_and(|damage| damage.framed);
        self.known.range(first..).all(|(_, known)| foreign(known)).then_some(*first)
    }

    /// Neighbours of what is damaged that are not known whole, nearest first in each direction.
    pub(super) fn neighbours(&self) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for (n, _) in self.known.iter().filter(|(_, known)| known.damage.is_some()) {
            let after = (n + 1 < self.candidates.len()).then_some(n + 1);
            for neighbour in [n.checked_sub(1), after].into_iter().flatten() {
                let settled = self.known.get(&neighbour).is_some_and(|known| known.whole || known.damage.is_some());
                if !settled && !wanted.contains(&(neighbour, Extent::Whole)) {
                    wanted.push((neighbour, Extent::Whole));
                }
            }
        }
        wanted
    }

    /// Stretches that cannot be decoded. What lies unknown beside something damaged counts as damaged up to the next place
    /// that is known to be sound: rather too much is told than too little.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        let mut damaged = vec![false; self.candidates.len()];
        for (&n, _) in self.known.iter().filter(|(_, known)| known.damage.is_some()) {
            let before = self.known.range(..n).next_back().map_or(0, |(known, _)| known + 1);
            let behind = self.known.range(n + 1..).next().map_or(damaged.len(), |(known, _)| *known);
            damaged[before..behind].fill(true);
        }
        // What precedes the damage behind the same sync sample was decoded.
        let sound = |n: usize| {
            let damage = self.known.get(&n).and_then(|known| known.damage.as_ref());
            damage.map_or(0, |damage| self.candidates[n].sound_before(damage))
        };
        let parts = |(n, candidate): (usize, &'_ Candidate)| -> Vec<(Part, bool)> {
            let marked = |(m, part): (usize, &Part)| (part.clone(), damaged[n] && m >= sound(n));
            candidate.parts.iter().enumerate().map(marked).collect()
        };
        let parts: Vec<(Part, bool)> = self.candidates.iter().enumerate().flat_map(parts).collect();
        let runs = parts.chunk_by(|left, right| left.1 == right.1).filter(|run| run[0].1);
        let gap = |run: &[(Part, bool)]| Gap {
            track: self.track,
            from_ms: run[0].0.from_us / 1000,
            to_ms: run.iter().map(|(part, _)| part.to_us).max().unwrap_or(0) / 1000,
            segments: run.iter().filter_map(|(part, _)| part.segment).collect(),
            cause: GapCause::Corrupt,
        };
        runs.map(gap).collect()
    }
}

impl Picture {
    /// The same without what changes nothing for a decoder: `yuvj420p` is `yuv420p` in full range.
    fn normal(mut self) -> Picture {
        if let Some(rest) = self.format.strip_prefix("yuvj") {
            self.format = format!("yuv{rest}");
        }
        self
    }
}
