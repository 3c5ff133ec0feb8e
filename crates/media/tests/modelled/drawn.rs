//! A random recording, and what becomes of its objects.

use domain::segment::Track;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Samples of sound in a packet of AAC.
const AAC_FRAME: u32 = 1024;

#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) bytes: Vec<u8>,
    pub(super) offset: u32,
    pub(super) sync: bool,
}

/// A segment as it was recorded.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// Units of its own clock.
    pub(super) tfdt: i64,
    pub(super) samples: Vec<Sample>,
}

/// A track as it was recorded.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) timescale: u32,
    pub(super) frame: u32,
    pub(super) media_time: u32,
    pub(super) fragments: usize,
    /// Index 1 first.
    pub(super) segments: Vec<Segment>,
}

/// What happens to both tracks before a segment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Event {
    Pause { at: usize, seconds: i64 },
    NewClock { at: usize },
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    Lost,
    Empty,
    /// Cut off at this share of its bytes, in 1/65536.
    Cut(u16),
    /// The heads of these fragments are damaged, a bit for each.
    BadMoofs(u16),
    /// Overwritten by the one before.
    Copy,
    SwappedWith(usize),
}

/// A track's time stamps go back a little before a segment: by this share of a sample, in 1/65536.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Overlap {
    pub(super) track: usize,
    pub(super) at: usize,
    pub(super) share: u16,
}

#[derive(Debug, Clone)]
pub(super) struct Drawn {
    pub(super) rate: (u32, u32),
    pub(super) reordered: bool,
    pub(super) count: usize,
    half_seconds: u32,
    begins_s: i64,
    /// Of picture and sound, in 1/1000 s.
    late_ms: [i64; 2],
    sound: u32,
    primed: bool,
    pub(super) fragments: [usize; 2],
    /// Decoding can begin at every fragment of the picture.
    sync_fragments: bool,
    event: Option<(bool, usize, i64)>,
    pub(super) cuts_pauses: bool,
    overlaps: Vec<(usize, usize, u16)>,
    fates: Vec<(usize, usize, u8, u16)>,
}

pub(super) fn drawn() -> impl Strategy<Value = Drawn> {
    let rate = prop::sample::select(vec![(15_360, 512), (90_000, 9000), (1000, 100), (24_000, 1001), (12_800, 1024)]);
    let picture = (rate, any::<bool>(), 6..11usize, 3..6u32);
    let begins = prop_oneof![Just(0i64), Just(100), Just(36_000)];
    let late = prop_oneof![Just(0i64), 0..400i64];
    let sound = (prop::sample::select(vec![48_000, 44_100]), any::<bool>());
    let events = (prop::option::of((any::<bool>(), 2..8usize, 1..20i64)), any::<bool>());
    let overlaps = prop::collection::vec((0..2usize, 0..10usize, any::<u16>()), 0..3);
    let fates = prop::collection::vec((0..2usize, 0..11usize, 0..11u8, any::<u16>()), 0..9);
    let times = (begins, late.clone(), late);
    let fragments = (1..4usize, 1..4usize, any::<bool>());
    (picture, times, sound, fragments, events, overlaps, fates).prop_map(
        |(picture, (begins_s, video, audio), (sound, primed), fragments, (event, cuts_pauses), overlaps, fates)| {
            Drawn {
                rate: picture.0,
                reordered: picture.1,
                count: picture.2,
                half_seconds: picture.3,
                begins_s,
                late_ms: [video, audio],
                sound,
                primed,
                fragments: [fragments.0, fragments.1],
                sync_fragments: fragments.2,
                event,
                cuts_pauses,
                overlaps,
                fates,
            }
        },
    )
}

impl Drawn {
    pub(super) fn event(&self) -> Option<Event> {
        let (pause, at, seconds) = self.event?;
        let at = 2 + at % (self.count - 3);
        Some(if pause { Event::Pause { at, seconds } } else { Event::NewClock { at } })
    }

    /// Where time stamps go back a little: not where something else happens to them.
    pub(super) fn overlaps(&self) -> Vec<Overlap> {
        let overlap =
            |&(track, at, share): &(usize, usize, u16)| Overlap { track, at: 2 + at % (self.count - 1), share };
        let fits = |overlap: &Overlap| match self.event() {
            Some(Event::Pause { at, .. }) => overlap.at != at,
            Some(Event::NewClock { at }) => overlap.at < at,
            None => true,
        };
        let mut overlaps: Vec<Overlap> = self.overlaps.iter().map(overlap).filter(fits).collect();
        overlaps.dedup_by_key(|overlap| (overlap.track, overlap.at));
        overlaps
    }

    /// Picture and sound of the same time, and then what happened to their clocks.
    pub(super) fn recorded(&self) -> [Recorded; 2] {
        let mut tracks = self.undisturbed();
        let by_s = match self.event() {
            None => 0,
            Some(Event::Pause { seconds, .. }) => seconds,
            // Whole seconds, so that it is the same time for both.
            Some(Event::NewClock { at }) => {
                -tracks.iter().map(|t| t.segments[at - 1].tfdt / i64::from(t.timescale)).min().unwrap()
            }
        };
        if let Some(Event::Pause { at, .. } | Event::NewClock { at }) = self.event() {
            for track in &mut tracks {
                let units = by_s * i64::from(track.timescale);
                track.segments[at - 1..].iter_mut().for_each(|segment| segment.tfdt += units);
            }
        }
        for Overlap { track, at, share } in self.overlaps() {
            let Recorded { frame, segments, .. } = &mut tracks[track];
            let units = i64::from(*frame - 1) * i64::from(share) / 65_536;
            let until = match self.event() {
                Some(Event::NewClock { at }) => at - 1,
                _ => segments.len(),
            };
            segments[at - 1..until].iter_mut().for_each(|segment| segment.tfdt -= units);
        }
        tracks
    }

    fn undisturbed(&self) -> [Recorded; 2] {
        let (timescale, frame) = self.rate;
        let mut nth = 0u32;
        let mut bytes = |track: u8, length: u32| {
            nth += 1;
            let length = 12 + length % 23;
            let mut bytes = vec![track; length as usize];
            bytes[..4].copy_from_slice(&(length - 4).to_be_bytes());
            bytes[6..10].copy_from_slice(&nth.to_be_bytes());
            bytes
        };
        // With pictures out of order: one that stands alone, then threes of which the first is shown last.
        let wanted = (self.half_seconds * timescale / 2 / frame).max(4);
        let per_segment = if self.reordered { wanted / 3 * 3 + 1 } else { wanted };
        let per_fragment = per_segment.div_ceil(self.fragments[0] as u32);
        let offset = |n: u32| match (self.reordered, n, n % 3) {
            (false, ..) => 0,
            (true, 0, _) => frame,
            (true, _, 1) => 3 * frame,
            (true, ..) => 0,
        };
        let is_sync = |n: u32| n == 0 || (self.sync_fragments && n.is_multiple_of(per_fragment));
        let start = (self.begins_s * 1000 + self.late_ms[0]) * i64::from(timescale) / 1000;
        let media_time = if self.reordered { frame } else { 0 };
        let mut video = Recorded { timescale, frame, media_time, fragments: self.fragments[0], segments: Vec::new() };
        for k in 0..self.count {
            let sample = |n| Sample { bytes: bytes(0x65, n * 7), offset: offset(n), sync: is_sync(n) };
            let samples = (0..per_segment).map(sample).collect();
            video.segments.push(Segment { tfdt: start + (k as u32 * per_segment * frame) as i64, samples });
        }
        let media_time = if self.primed { AAC_FRAME } else { 0 };
        let mut tfdt = (self.begins_s * 1000 + self.late_ms[1]) * i64::from(self.sound) / 1000;
        let (timescale_audio, fragments) = (self.sound, self.fragments[1]);
        let mut audio =
            Recorded { timescale: timescale_audio, frame: AAC_FRAME, media_time, fragments, segments: Vec::new() };
        for k in 0..self.count {
            let border = start + (((k as u32) + 1) * per_segment * frame) as i64;
            let mut segment = Segment { tfdt, samples: Vec::new() };
            while i128::from(tfdt - i64::from(media_time)) * i128::from(timescale)
                < i128::from(border) * i128::from(self.sound)
            {
                segment.samples.push(Sample { bytes: bytes(0x21, tfdt as u32 / 64), offset: 0, sync: true });
                tfdt += i64::from(AAC_FRAME);
            }
            audio.segments.push(segment);
        }
        [video, audio]
    }

    /// What becomes of which object: only what leaves no doubt of what it was.
    pub(super) fn fates(&self) -> [BTreeMap<usize, Fate>; 2] {
        let mut fates = [BTreeMap::new(), BTreeMap::new()];
        for &(track, index, kind, share) in &self.fates {
            let (index, of) = (1 + index % self.count, &mut fates[track]);
            if of.len() + 3 >= self.count || of.contains_key(&index) || self.is_beside_event(index) {
                continue;
            }
            if let Some(fate) = self.fate(Track::ALL[track], of, index, kind, share) {
                if let Fate::SwappedWith(other) = fate {
                    of.insert(other, Fate::SwappedWith(index));
                }
                of.insert(index, fate);
            }
        }
        fates
    }

    fn is_beside_event(&self, index: usize) -> bool {
        match self.event() {
            Some(Event::Pause { at, .. }) => index + 1 == at || index == at,
            // What the new clock began with, and the beginning that it collides with.
            Some(Event::NewClock { at }) => index + 1 == at || index == at || index == 1,
            None => false,
        }
    }

    fn fate(&self, track: Track, of: &BTreeMap<usize, Fate>, index: usize, kind: u8, share: u16) -> Option<Fate> {
        let is_alone = |index: usize| (index - 1..=index + 1).all(|near| !of.contains_key(&near));
        let is_lost = |index: usize| matches!(of.get(&index), Some(Fate::Lost | Fate::Empty));
        let is_cut = |index: usize| matches!(of.get(&index), Some(Fate::Cut(_)));
        let beside = [index - 1, index + 1];
        // What is kept of the middle is placed by one neighbour at least.
        let is_placed = |index: usize, other: usize| match of.get(&index) {
            Some(Fate::BadMoofs(_)) => (1..=self.count).contains(&other) && !of.contains_key(&other),
            _ => false,
        };
        let placed = |near: usize| is_placed(near, if near < index { near - 1 } else { near + 1 });
        let may_be_lost = |near: &usize| !of.contains_key(near) || is_lost(*near) || is_cut(*near) || placed(*near);
        let renewed = matches!(self.event(), Some(Event::NewClock { .. }));
        let other = 1 + usize::from(share) % self.count;
        let fragments = self.fragments[track as usize];
        match kind {
            0..=2 if beside.iter().all(may_be_lost) => Some(Fate::Lost),
            3 if beside.iter().all(may_be_lost) => Some(Fate::Empty),
            4 | 5 if beside.iter().all(|&near| !of.contains_key(&near) || is_lost(near) || is_cut(near)) => {
                Some(Fate::Cut(share))
            }
            // Of pictures out of order what is kept begins and ends nowhere in particular.
            6..=8 if is_alone(index) && (fragments == 1 || track == Track::Audio || !self.reordered) => {
                Some(Fate::BadMoofs(1 + share % ((1 << fragments) - 1)))
            }
            9 if index > 1 && !renewed && is_alone(index) => Some(Fate::Copy),
            10 if index > 1 && other > 1 && index.abs_diff(other) > 1 && !renewed => {
                let fits = is_alone(index) && is_alone(other) && !self.is_beside_event(other);
                fits.then_some(Fate::SwappedWith(other))
            }
            _ => None,
        }
    }
}
