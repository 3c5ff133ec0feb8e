//! The objects of a recording, and what of each is whole.

use super::drawn::{Drawn, Fate, Recorded, Sample, Segment};
use super::sets::Set;
use super::synthetic::init::{Codec, atom, avc1, mp4a};
use domain::segment::Track;
use std::fs;
use std::ops::Range;

pub(super) const TRACKS: [&str; 2] = ["video", "audio"];

/// A packet of the result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Packet {
    pub(super) bytes: Vec<u8>,
    pub(super) at_s: f64,
}

/// A segment as it was recorded and what of it is whole, on the axis of its track: seconds.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) index: usize,
    /// All of it, as it was recorded.
    pub(super) recorded: (f64, f64),
    /// What is kept: its first and last presentation, and when its last sample has been decoded if nothing is reordered.
    pub(super) from_s: f64,
    pub(super) to_s: f64,
    pub(super) decoded_to_s: f64,
    /// None of a segment that is lost.
    pub(super) packets: Vec<Packet>,
    /// Nothing of it is kept; or its beginning, or its end, is lost.
    pub(super) is_lost: bool,
    pub(super) lost_head: bool,
    pub(super) lost_tail: bool,
}

impl Piece {
    pub(super) fn shift(&mut self, by_s: f64) {
        let times =
            [&mut self.recorded.0, &mut self.recorded.1, &mut self.from_s, &mut self.to_s, &mut self.decoded_to_s];
        times.into_iter().for_each(|time| *time += by_s);
        self.packets.iter_mut().for_each(|packet| packet.at_s += by_s);
    }
}

/// A fragment of an object: which samples, where its head lies, and of each sample where it ends.
struct Fragment {
    samples: Range<usize>,
    head: Range<usize>,
    ends: Vec<usize>,
}

/// Writes every object of a set; gives each track with its segments, index 1 first.
pub(super) fn stored(drawn: &Drawn, set: &Set) -> [(Recorded, Vec<Piece>); 2] {
    let (fates, mut n) = (drawn.fates(), 0);
    drawn.recorded().map(|recorded| {
        let (name, fates) = (TRACKS[n], &fates[n]);
        fs::create_dir_all(set.path().join(name)).unwrap();
        fs::write(set.segment(name, 0), recorded.init(Track::ALL[n])).unwrap();
        n += 1;
        let mut pieces = Vec::new();
        for index in 1..=drawn.count {
            let (object, kept) = recorded.damaged(index, fates.get(&index).copied());
            if let Some(object) = object {
                fs::write(set.segment(name, index as u32), &object).unwrap();
            }
            pieces.push(recorded.piece(index, kept));
        }
        (recorded, pieces)
    })
}

impl Recorded {
    /// The object of a segment, unless there is none, and which of its samples are kept.
    fn damaged(&self, index: usize, fate: Option<Fate>) -> (Option<Vec<u8>>, Range<usize>) {
        let segment = &self.segments[index - 1];
        let (mut object, fragments) = self.object(segment);
        match fate {
            None => (Some(object), 0..segment.samples.len()),
            Some(Fate::Lost) => (None, 0..0),
            Some(Fate::Empty) => (Some(Vec::new()), 0..0),
            Some(Fate::Cut(share)) => {
                let mut at = 1 + (object.len() - 2) * usize::from(share) / 65_536;
                // Between two boxes nobody could see that anything is missing.
                at += usize::from(at == 24 || fragments.iter().skip(1).any(|fragment| fragment.head.start == at));
                object.truncate(at);
                let whole = |fragment: &&Fragment| fragment.head.end <= at;
                let ends = fragments.iter().filter(whole).flat_map(|fragment| &fragment.ends);
                (Some(object), 0..ends.filter(|end| **end <= at).count())
            }
            Some(Fate::BadMoofs(mask)) => {
                let is_bad = |n: &usize| mask & (1 << n) != 0;
                for n in (0..fragments.len()).filter(is_bad) {
                    let head = &mut object[fragments[n].head.clone()];
                    let trun = head.windows(4).position(|word| word == b"trun").unwrap();
                    head[trun + 16..trun + 32].fill(0xa5);
                }
                // The first run that decoding can begin with.
                let begins = |n: &usize| !is_bad(n) && (*n == 0 || segment.samples[fragments[*n].samples.start].sync);
                let Some(first) = (0..fragments.len()).find(begins) else { return (Some(object), 0..0) };
                let last = (first..fragments.len()).take_while(|n| !is_bad(n)).last().unwrap();
                (Some(object), fragments[first].samples.start..fragments[last].samples.end)
            }
            Some(Fate::Copy) => (Some(self.object(&self.segments[index - 2]).0), 0..0),
            // By their time stamps both are where they were.
            Some(Fate::SwappedWith(other)) => {
                (Some(self.object(&self.segments[other - 1]).0), 0..segment.samples.len())
            }
        }
    }

    fn piece(&self, index: usize, kept: Range<usize>) -> Piece {
        let segment = &self.segments[index - 1];
        let (scale, frame) = (f64::from(self.timescale), f64::from(self.frame));
        let at = |units: f64| (segment.tfdt as f64 + units - f64::from(self.media_time)) / scale;
        let packet = |(n, sample): (usize, &Sample)| Packet {
            bytes: sample.bytes.clone(),
            at_s: at(n as f64 * frame + f64::from(sample.offset)),
        };
        let all: Vec<Packet> = segment.samples.iter().enumerate().map(packet).collect();
        let begin = |packets: &[Packet]| packets.iter().map(|packet| packet.at_s).fold(f64::MAX, f64::min);
        let end =
            |packets: &[Packet]| packets.iter().map(|packet| packet.at_s).fold(f64::MIN, f64::max) + frame / scale;
        let recorded = (begin(&all), end(&all));
        let packets = all[kept.clone()].to_vec();
        let (from_s, to_s) = if packets.is_empty() { recorded } else { (begin(&packets), end(&packets)) };
        Piece {
            index,
            recorded,
            from_s,
            to_s,
            decoded_to_s: at(kept.end as f64 * frame + f64::from(segment.samples[0].offset)),
            is_lost: packets.is_empty(),
            lost_head: kept.start > 0,
            lost_tail: !packets.is_empty() && kept.end < segment.samples.len(),
            packets,
        }
    }

    fn object(&self, segment: &Segment) -> (Vec<u8>, Vec<Fragment>) {
        let mut object = atom(b"styp", &[b"msdh\0\0\0\0msdhmsix"]);
        let (mut fragments, mut tfdt, mut first) = (Vec::new(), segment.tfdt, 0);
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
            let (at, head) = (object.len(), moof(moof(0).len() as u32 + 8));
            object.extend(&head);
            let (head, mut end) = (at..object.len(), object.len() + 8);
            let ends = samples.iter().map(|sample| {
                end += sample.bytes.len();
                end
            });
            fragments.push(Fragment { samples: first..first + samples.len(), head, ends: ends.collect() });
            first += samples.len();
            let payload: Vec<u8> = samples.iter().flat_map(|sample| sample.bytes.clone()).collect();
            object.extend(atom(b"mdat", &[&payload]));
            tfdt += samples.len() as i64 * i64::from(self.frame);
        }
        (object, fragments)
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
