//! Random sets of segments, of which random ones are lost, cut off, damaged, copied or swapped, held to a model of what must
//! be in the result: every packet by its bytes, when it is presented, and what is told of the rest.
//!
//! The model knows what was done to the set and nothing of how a result is made.

#![allow(clippy::unwrap_used, reason = "a set that cannot be made or read ends the test")]

mod sets;
mod synthetic;

use domain::id::Sha256;
use domain::mux::{GapCause, RepairKind};
use domain::segment::Track;
use media::folder::{Report, Status};
use proptest::prelude::*;
use sets::result::mux;
use sets::{Set, run};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::process::Command;
use synthetic::init::{Codec, atom, avc1, mp4a};

/// Samples of sound in a packet of AAC.
const AAC_FRAME: u32 = 1024;

/// What is longer than this is told, in seconds.
const TOLD_S: f64 = 0.1;

const TRACKS: [&str; 2] = ["video", "audio"];

#[derive(Debug, Clone)]
struct Sample {
    bytes: Vec<u8>,
    offset: u32,
    sync: bool,
}

/// A segment as it was recorded.
#[derive(Debug, Clone)]
struct Segment {
    /// Units of its own clock.
    tfdt: i64,
    samples: Vec<Sample>,
}

/// A track as it was recorded.
#[derive(Debug, Clone)]
struct Recorded {
    timescale: u32,
    frame: u32,
    media_time: u32,
    fragments: usize,
    /// Index 1 first.
    segments: Vec<Segment>,
}

/// What happens to both tracks before a segment.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    Pause { at: usize, seconds: i64 },
    NewClock { at: usize },
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Lost,
    Empty,
    /// Cut off at this share of its bytes, in 1/65536.
    Cut(u16),
    BadMoof,
    /// Overwritten by the one before.
    Copy,
    SwappedWith(usize),
}

#[derive(Debug, Clone)]
struct Drawn {
    rate: (u32, u32),
    reordered: bool,
    count: usize,
    half_seconds: u32,
    begins_s: i64,
    /// Of picture and sound, in 1/1000 s.
    late_ms: [i64; 2],
    sound: u32,
    primed: bool,
    fragments: [usize; 2],
    event: Option<(bool, usize, i64)>,
    fates: Vec<(usize, usize, u8, u16)>,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let rate = prop::sample::select(vec![(15_360, 512), (90_000, 9000), (1000, 100), (24_000, 1001), (12_800, 1024)]);
    let picture = (rate, any::<bool>(), 6..10usize, 3..6u32);
    let begins = prop_oneof![Just(0i64), Just(100), Just(36_000)];
    let late = prop_oneof![Just(0i64), 0..400i64];
    let sound = (prop::sample::select(vec![48_000, 44_100]), any::<bool>());
    let event = prop::option::of((any::<bool>(), 2..8usize, 1..20i64));
    let fates = prop::collection::vec((0..2usize, 0..10usize, 0..9u8, any::<u16>()), 0..6);
    let times = (begins, late.clone(), late);
    (picture, times, sound, (1..3usize, 1..3usize), event, fates).prop_map(
        |(picture, (begins_s, video, audio), (sound, primed), fragments, event, fates)| Drawn {
            rate: picture.0,
            reordered: picture.1,
            count: picture.2,
            half_seconds: picture.3,
            begins_s,
            late_ms: [video, audio],
            sound,
            primed,
            fragments: [fragments.0, fragments.1],
            event,
            fates,
        },
    )
}

impl Drawn {
    fn event(&self) -> Option<Event> {
        let (pause, at, seconds) = self.event?;
        let at = 2 + at % (self.count - 3);
        Some(if pause { Event::Pause { at, seconds } } else { Event::NewClock { at } })
    }

    /// Picture and sound of the same time, before anything happens to the clock.
    fn recorded(&self) -> [Recorded; 2] {
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
        let offset = |n: u32| match (self.reordered, n, n % 3) {
            (false, ..) => 0,
            (true, 0, _) => frame,
            (true, _, 1) => 3 * frame,
            (true, ..) => 0,
        };
        let start = (self.begins_s * 1000 + self.late_ms[0]) * i64::from(timescale) / 1000;
        let mut video = Recorded {
            timescale,
            frame,
            media_time: if self.reordered { frame } else { 0 },
            fragments: self.fragments[0],
            segments: Vec::new(),
        };
        for k in 0..self.count {
            let sample = |n| Sample { bytes: bytes(0x65, n * 7), offset: offset(n), sync: n == 0 };
            let samples = (0..per_segment).map(sample).collect();
            video.segments.push(Segment { tfdt: start + (k as u32 * per_segment * frame) as i64, samples });
        }
        let media_time = if self.primed { AAC_FRAME } else { 0 };
        let mut tfdt = (self.begins_s * 1000 + self.late_ms[1]) * i64::from(self.sound) / 1000;
        let mut audio = Recorded {
            timescale: self.sound,
            frame: AAC_FRAME,
            media_time,
            fragments: self.fragments[1],
            segments: Vec::new(),
        };
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
        let mut tracks = [video, audio];
        let by_s = match self.event() {
            None => return tracks,
            Some(Event::Pause { seconds, .. }) => seconds,
            // Whole seconds, so that it is the same time for both.
            Some(Event::NewClock { at }) => {
                -tracks.iter().map(|t| t.segments[at - 1].tfdt / i64::from(t.timescale)).min().unwrap()
            }
        };
        let Some(Event::Pause { at, .. } | Event::NewClock { at }) = self.event() else { return tracks };
        for track in &mut tracks {
            let units = by_s * i64::from(track.timescale);
            track.segments[at - 1..].iter_mut().for_each(|segment| segment.tfdt += units);
        }
        tracks
    }

    /// What becomes of which object: only what leaves no doubt of what it was.
    fn fates(&self) -> [BTreeMap<usize, Fate>; 2] {
        let mut fates = [BTreeMap::new(), BTreeMap::<usize, Fate>::new()];
        let event = self.event();
        let beside_event = |index: usize| match event {
            Some(Event::Pause { at, .. }) => index + 1 == at || index == at,
            // What the new clock began with, and the beginning that it collides with.
            Some(Event::NewClock { at }) => index + 1 == at || index == at || index == 1,
            None => false,
        };
        let may_lose = |fates: &BTreeMap<usize, Fate>| fates.len() + 3 < self.count;
        for &(track, index, kind, share) in &self.fates {
            let index = 1 + index % self.count;
            let of = &mut fates[track];
            let is_alone = |index: usize| (index - 1..=index + 1).all(|near| !of.contains_key(&near));
            let is_lost_near = |index: usize| {
                [index - 1, index + 1].iter().all(|near| matches!(of.get(near), None | Some(Fate::Lost | Fate::Empty)))
            };
            if !may_lose(of) || of.contains_key(&index) || beside_event(index) || !is_lost_near(index) {
                continue;
            }
            let renewed = matches!(event, Some(Event::NewClock { .. }));
            let other = 1 + usize::from(share) % self.count;
            let fate = match kind {
                0..=2 => Fate::Lost,
                3 => Fate::Empty,
                _ if renewed || !is_alone(index) => continue,
                4 | 5 if index > 1 => Fate::Cut(share),
                // Of several fragments the others are kept, which is told elsewhere.
                6 if self.fragments[track] == 1 => Fate::BadMoof,
                7 if index > 1 => Fate::Copy,
                8 if index > 1 && other > 1 && index.abs_diff(other) > 1 && is_alone(other) && !beside_event(other) => {
                    of.insert(other, Fate::SwappedWith(index));
                    Fate::SwappedWith(other)
                }
                _ => continue,
            };
            of.insert(index, fate);
        }
        fates
    }
}

impl Recorded {
    /// The object of a segment, and of each sample where it ends and where the `moof` that tells of it ends.
    fn object(&self, segment: &Segment) -> (Vec<u8>, Vec<(usize, usize)>) {
        let mut object = atom(b"styp", &[b"msdh\0\0\0\0msdhmsix"]);
        let (mut ends, mut tfdt) = (Vec::new(), segment.tfdt);
        let per_fragment = segment.samples.len().div_ceil(self.fragments);
        for samples in segment.samples.chunks(per_fragment) {
            let word = |word: u32| word.to_be_bytes();
            let entry = |sample: &Sample| {
                let flags: u32 = if sample.sync { 0x200_0000 } else { 0x101_0000 };
                [word(self.frame), word(sample.bytes.len() as u32), word(flags), word(sample.offset)].concat()
            };
            let entries: Vec<u8> = samples.iter().flat_map(entry).collect();
            let moof = |payload_at: u32| {
                let trun = [&word(0xf01)[..], &word(samples.len() as u32), &word(payload_at), &entries].concat();
                let time = [&word(0x100_0000)[..], &tfdt.to_be_bytes()].concat();
                let traf =
                    [atom(b"tfhd", &[&word(0x2_0000), &word(1)]), atom(b"tfdt", &[&time]), atom(b"trun", &[&trun])];
                atom(b"moof", &[&atom(b"mfhd", &[&word(0), &word(1)]), &atom(b"traf", &[&traf.concat()])])
            };
            let head = moof(moof(0).len() as u32 + 8);
            object.extend(&head);
            let (moof_end, mut end) = (object.len(), object.len() + 8);
            for sample in samples {
                end += sample.bytes.len();
                ends.push((moof_end, end));
            }
            let payload: Vec<u8> = samples.iter().flat_map(|sample| sample.bytes.clone()).collect();
            object.extend(atom(b"mdat", &[&payload]));
            tfdt += samples.len() as i64 * i64::from(self.frame);
        }
        (object, ends)
    }

    fn init(&self, track: Track) -> Vec<u8> {
        let entry = match (track, self.timescale) {
            (Track::Video, _) => avc1(),
            (Track::Audio, 44_100) => mp4a(2, 44_100, &[0x12, 0x10]),
            (Track::Audio, _) => mp4a(2, 48_000, &[0x11, 0x90]),
        };
        let media_time = (self.media_time > 0).then_some(self.media_time);
        Codec { track, timescale: self.timescale, entry: &entry, media_time }.init()
    }
}

/// A packet of the result.
#[derive(Debug, Clone, PartialEq)]
struct Packet {
    bytes: Vec<u8>,
    /// From the start of the result.
    at_s: f64,
}

#[derive(Debug, Clone, PartialEq)]
struct Gap {
    track: usize,
    cause: GapCause,
    segments: Vec<u32>,
    from_s: f64,
    to_s: f64,
}

/// What is whole of a segment, on the axis of its track: seconds.
#[derive(Debug, Clone)]
struct Piece {
    index: usize,
    /// Decode time of its first sample, and end of its last one, as they are presented when nothing is reordered.
    from_s: f64,
    decoded_to_s: f64,
    to_s: f64,
    packets: Vec<Packet>,
    is_cut: bool,
}

/// What must come of a set.
#[derive(Debug)]
struct Model {
    packets: [Vec<Packet>; 2],
    gaps: Vec<Gap>,
    repairs: BTreeMap<(usize, String), usize>,
    /// It depends on a bound that is nobody's business here.
    doubtful: bool,
}

/// Every object of a set, and the segments of the result, by track.
fn stored(drawn: &Drawn, set: &Set) -> [(Recorded, Vec<Piece>); 2] {
    let fates = drawn.fates();
    let mut n = 0;
    drawn.recorded().map(|recorded| {
        let (track, fates) = (n, &fates[n]);
        n += 1;
        let name = TRACKS[track];
        fs::create_dir_all(set.path().join(name)).unwrap();
        fs::write(set.segment(name, 0), recorded.init(Track::ALL[track])).unwrap();
        let mut pieces = Vec::new();
        for index in 1..=drawn.count {
            let segment = &recorded.segments[index - 1];
            let (mut object, ends) = recorded.object(segment);
            let mut whole = segment.samples.len();
            match fates.get(&index) {
                None => {}
                Some(Fate::Lost) => {
                    object.clear();
                    whole = 0;
                }
                Some(Fate::Empty) => {
                    object.clear();
                    whole = 0;
                    fs::write(set.segment(name, index as u32), []).unwrap();
                }
                Some(Fate::Cut(share)) => {
                    let mut at = 1 + (object.len() - 2) * usize::from(*share) / 65_536;
                    // At the border of two fragments nobody could see that anything is missing.
                    at +=
                        usize::from(ends.windows(2).any(|pair| pair[0].0 != pair[1].0 && pair[0].1 == at) || at == 24);
                    object.truncate(at);
                    whole = ends.iter().filter(|(moof, end)| *moof <= at && *end <= at).count();
                }
                Some(Fate::BadMoof) => {
                    let trun = object.windows(4).position(|word| word == b"trun").unwrap();
                    object[trun + 16..trun + 32].fill(0xa5);
                    whole = 0;
                }
                Some(Fate::Copy) => {
                    object = recorded.object(&recorded.segments[index - 2]).0;
                    whole = 0;
                }
                // By their time stamps both are where they were.
                Some(Fate::SwappedWith(other)) => object = recorded.object(&recorded.segments[other - 1]).0,
            }
            if !object.is_empty() {
                fs::write(set.segment(name, index as u32), &object).unwrap();
            }
            let (scale, frame) = (f64::from(recorded.timescale), f64::from(recorded.frame));
            let at = |units: f64| (segment.tfdt as f64 + units) / scale;
            let packet = |(n, sample): (usize, &Sample)| Packet {
                bytes: sample.bytes.clone(),
                at_s: at(n as f64 * frame + f64::from(sample.offset) - f64::from(recorded.media_time)),
            };
            let packets: Vec<Packet> = segment.samples[..whole].iter().enumerate().map(packet).collect();
            if whole > 0 {
                let offset = f64::from(segment.samples[0].offset) - f64::from(recorded.media_time);
                pieces.push(Piece {
                    index,
                    from_s: packets[0].at_s,
                    decoded_to_s: at(whole as f64 * frame + offset),
                    to_s: packets.iter().map(|packet| packet.at_s).fold(f64::MIN, f64::max) + frame / scale,
                    packets,
                    is_cut: whole < segment.samples.len(),
                });
            }
        }
        (recorded, pieces)
    })
}

fn model(drawn: &Drawn, mut tracks: [(Recorded, Vec<Piece>); 2]) -> Model {
    let fates = drawn.fates();
    let mut repairs = BTreeMap::new();
    let mut tell = |track: usize, kind: RepairKind| *repairs.entry((track, format!("{kind:?}"))).or_insert(0) += 1;
    // The new clock goes on where everything before it has ended.
    let seam = match drawn.event() {
        Some(Event::NewClock { at }) => Some(at),
        _ => None,
    };
    if let Some(at) = seam {
        let of = |before: bool| {
            tracks.iter().flat_map(move |(_, pieces)| pieces.iter().filter(move |piece| (piece.index < at) == before))
        };
        let end = of(true).map(|piece| piece.to_s).fold(f64::MIN, f64::max);
        let by = end - of(false).map(|piece| piece.from_s).fold(f64::MAX, f64::min);
        for (track, (_, pieces)) in tracks.iter_mut().enumerate() {
            tell(track, RepairKind::Rebase);
            for piece in pieces.iter_mut().filter(|piece| piece.index >= at) {
                (piece.from_s, piece.to_s, piece.decoded_to_s) =
                    (piece.from_s + by, piece.to_s + by, piece.decoded_to_s + by);
                piece.packets.iter_mut().for_each(|packet| packet.at_s += by);
            }
        }
    }
    let origin = tracks.iter().map(|(_, pieces)| pieces[0].from_s.max(0.0)).fold(f64::MAX, f64::min);
    for piece in tracks.iter_mut().flat_map(|(_, pieces)| pieces) {
        (piece.from_s, piece.to_s, piece.decoded_to_s) =
            (piece.from_s - origin, piece.to_s - origin, piece.decoded_to_s - origin);
        piece.packets.iter_mut().for_each(|packet| packet.at_s -= origin);
    }
    let end_s = tracks.iter().map(|(_, pieces)| pieces.last().unwrap().to_s).fold(0.0, f64::max);
    let (mut gaps, mut doubtful, mut packets) = (Vec::new(), false, [Vec::new(), Vec::new()]);
    for (track, (recorded, pieces)) in tracks.iter().enumerate() {
        let fates = &fates[track];
        let frame_s = f64::from(recorded.frame) / f64::from(recorded.timescale);
        let whole_s = f64::from(drawn.rate.1) * tracks[0].0.segments[0].samples.len() as f64 / f64::from(drawn.rate.0);
        let cause = |index: usize| match fates.get(&index) {
            Some(Fate::Lost | Fate::Empty) => GapCause::Missing,
            Some(Fate::Copy) => GapCause::Duplicate,
            _ => GapCause::Damaged,
        };
        let mut gap = |cause, segments: &[usize], from_s: f64, to_s: f64| {
            let segments = segments.iter().map(|&index| index as u32).collect();
            gaps.push(Gap { track, cause, segments, from_s, to_s });
        };
        for fate in fates.values() {
            match fate {
                Fate::Copy => tell(track, RepairKind::DropDuplicate),
                Fate::SwappedWith(_) => tell(track, RepairKind::Sort),
                _ => {}
            }
        }
        let head: Vec<usize> = (1..pieces[0].index).collect();
        if !head.is_empty() {
            gap(cause(head[0]), &head, 0.0, pieces[0].from_s);
        }
        let mut stretches = Vec::new();
        for pair in pieces.windows(2) {
            let absent: Vec<usize> = (pair[0].index + 1..pair[1].index).collect();
            if pair[0].is_cut {
                gap(GapCause::Truncated, &[pair[0].index], pair[0].to_s, pair[1].from_s);
            } else if !absent.is_empty() {
                gap(cause(absent[0]), &absent, pair[0].to_s, pair[1].from_s);
            }
            if seam == Some(pair[1].index) {
                gap(GapCause::Epoch, &[], pair[0].to_s, pair[1].from_s);
            }
            stretches.push((pair[0].decoded_to_s, pair[1].from_s));
        }
        let last = pieces.last().unwrap();
        pieces.iter().filter(|piece| piece.is_cut).for_each(|_| tell(track, RepairKind::Salvage));
        // An object that is empty says at least that there should be one.
        let known = (1..=drawn.count).rev().find(|index| fates.get(index) != Some(&Fate::Lost)).unwrap();
        let behind: Vec<usize> = (last.index + 1..=known).collect();
        let short_s = end_s - last.to_s;
        if last.is_cut {
            gap(GapCause::Truncated, &[last.index], last.to_s, last.from_s + whole_s);
        } else if !behind.is_empty() {
            gap(cause(behind[0]), &behind, last.to_s, end_s);
        } else if short_s > whole_s * 0.9 {
            gap(GapCause::Missing, &[], last.to_s, end_s);
        }
        doubtful |= (short_s - whole_s * 0.9).abs() < 0.1 || last.is_cut && behind.len() > 1;

        // A hole in sound is silent from one frame on, as soon as there is one that is told of for its length.
        doubtful |= stretches.iter().any(|(from, to)| (to - from - TOLD_S).abs() < 0.002);
        let silent = track == 1 && stretches.iter().any(|(from, to)| to - from > TOLD_S);
        for (n, piece) in pieces.iter().enumerate() {
            packets[track].extend(piece.packets.clone());
            let Some(&(from, to)) = stretches.get(n).filter(|_| silent) else { continue };
            let frames = ((to - from) / frame_s + 1e-6) as u32;
            let frame = |n| Packet { bytes: Vec::new(), at_s: from + f64::from(n) * frame_s };
            packets[track].extend((0..frames).map(frame));
        }
    }
    Model { packets, gaps, repairs, doubtful }
}

/// What FFmpeg reads in a result: hash of the bytes, and when it is presented.
fn read(out: &Path) -> [Vec<(String, f64)>; 2] {
    let mut ffprobe = Command::new("ffprobe");
    ffprobe.args(["-v", "fatal", "-show_data_hash", "sha256", "-of", "json", "-show_entries"]);
    ffprobe.arg("packet=stream_index,pts,data_hash:stream=time_base").arg(out);
    let told: serde_json::Value = serde_json::from_str(&run(&mut ffprobe)).unwrap();
    let mut packets = [Vec::new(), Vec::new()];
    for packet in told["packets"].as_array().unwrap() {
        let stream = packet["stream_index"].as_u64().unwrap() as usize;
        let base = told["streams"][stream]["time_base"].as_str().unwrap();
        let scale: f64 = base.strip_prefix("1/").unwrap().parse().unwrap();
        let hash = packet["data_hash"].as_str().unwrap().strip_prefix("SHA256:").unwrap().to_owned();
        packets[stream].push((hash, packet["pts"].as_i64().unwrap() as f64 / scale));
    }
    packets
}

fn assert_as_modelled(drawn: &Drawn) {
    let set = Set::empty();
    let tracks = stored(drawn, &set);
    let scales = [0, 1].map(|track| tracks[track].0.timescale);
    let recorded = tracks.each_ref().map(|(recorded, _)| recorded.clone());
    let model = model(drawn, tracks);
    if model.doubtful {
        return;
    }
    let (report, out) = mux(&set);
    let status = if model.gaps.is_empty() { Status::Complete } else { Status::Degraded };
    let (fates, event) = (drawn.fates(), drawn.event());
    let told = format!("{fates:?} {event:?}\n{:#?}\n{:#?}", model.gaps, report);
    assert_eq!(report.status, status, "{told}");
    assert_gaps(&model, &report, scales, &recorded, &told);

    let mut repairs = BTreeMap::new();
    for repair in &report.repairs {
        let of = (usize::from(repair.track == Track::Audio), format!("{:?}", repair.kind));
        if !matches!(repair.kind, RepairKind::Hold | RepairKind::Silence) {
            *repairs.entry(of).or_insert(0) += 1;
        }
    }
    assert_eq!(repairs, model.repairs, "{told}");

    let read = read(&out);
    for (track, stream) in TRACKS.into_iter().enumerate() {
        let known = recorded[track].segments.iter().flat_map(|segment| &segment.samples);
        let known: HashMap<String, Vec<u8>> =
            known.map(|sample| (Sha256::of(&sample.bytes).to_string(), sample.bytes.clone())).collect();
        let found =
            |(hash, at_s): &(String, f64)| Packet { bytes: known.get(hash).cloned().unwrap_or_default(), at_s: *at_s };
        let (found, expected) = (read[track].iter().map(found).collect::<Vec<_>>(), &model.packets[track]);
        assert_eq!(found.len(), expected.len(), "packets of {stream}: {told}");
        // A new clock is moved by whole units, and then the beginning of the track is.
        let units = if matches!(event, Some(Event::NewClock { .. })) { 2.01 } else { 1.01 };
        let unit_s = units / f64::from(scales[track]);
        for (n, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert_eq!(found.bytes, expected.bytes, "packet {n} of {stream}: {told}");
            assert!(
                (found.at_s - expected.at_s).abs() <= unit_s,
                "packet {n} of {stream}: {found:?} {expected:?} {told}"
            );
        }
        let different: BTreeSet<_> =
            found.iter().map(|packet| &packet.bytes).filter(|bytes| !bytes.is_empty()).collect();
        assert_eq!(different.len(), found.iter().filter(|packet| !packet.bytes.is_empty()).count(), "twice: {told}");
    }
}

fn assert_gaps(model: &Model, report: &Report, scales: [u32; 2], recorded: &[Recorded; 2], told: &str) {
    assert_eq!(report.gaps.len(), model.gaps.len(), "{told}");
    for (found, expected) in report.gaps.iter().zip(&model.gaps) {
        let track = usize::from(found.track == Track::Audio);
        let near_s = 0.002 + f64::from(recorded[track].frame) / f64::from(scales[track]);
        let (from_s, to_s) = (found.from_ms as f64 / 1000.0, found.to_ms as f64 / 1000.0);
        assert_eq!((track, &found.segments), (expected.track, &expected.segments), "{told}");
        assert!((from_s - expected.from_s.max(0.0)).abs() < 0.002, "from of {found:?}: {told}");
        assert!((to_s - expected.to_s).abs() < near_s, "to of {found:?}: {told}");
        // Pictures that are out of order may be missing without a hole behind them.
        let damaged = found.cause == GapCause::Damaged && expected.cause == GapCause::Truncated && from_s >= to_s;
        assert!(found.cause == expected.cause || damaged, "{found:?}: {told}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn result_of_a_random_set_is_what_its_model_says(drawn in drawn()) {
        assert_as_modelled(&drawn);
    }
}
