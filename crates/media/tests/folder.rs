//! One really damaged set for each way in which segments can lie: what is told of it, and that what follows is in time.
//!
//! Every packet's bytes are known, and with them when it is to be presented: the outcome says by how much the packets of
//! the result lie elsewhere, picture and sound apart.

#![allow(clippy::unwrap_used, reason = "a set that cannot be read ends the test")]

mod sets;

use domain::completeness::Pauses;
use expect_test::{Expect, expect};
use media::folder::{Options, Report};
use sets::result::{assert_decodes, mux_with, packets};
use sets::{AAC, H264, Lane, Set};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Sound of which no two packets are equal.
const NOISE: Lane<'_> = Lane { input: &["-f", "lavfi", "-i", "anoisesrc=r=48000:seed=7:amplitude=0.3"], ..AAC };

const TRACKS: [(&str, &str, f64); 2] = [("video", "v", 15_360.0), ("audio", "a", 48_000.0)];

/// A set of twelve seconds, and when each of its packets is presented.
struct Whole {
    set: Set,
    objects: BTreeMap<(&'static str, u32), Vec<u8>>,
    moments: HashMap<String, f64>,
}

impl Whole {
    fn new() -> Whole {
        let set = Set::of(Some(H264), Some(NOISE), "12");
        let (mut objects, mut moments) = (BTreeMap::new(), HashMap::new());
        for (track, stream, timescale) in TRACKS {
            set.indexes(track).into_iter().for_each(|n| drop(objects.insert((track, n), set.bytes(track, n))));
            for packet in packets(&set.concat(track), stream) {
                let known = moments.insert(packet.hash, packet.pts as f64 / timescale);
                assert!(known.is_none(), "two packets have the same bytes");
            }
        }
        Whole { set, objects, moments }
    }

    /// Damages the set, makes a result of it and says what became of it.
    fn check(&self, damage: impl Fn(&Set), expected: Expect) {
        self.check_with(&Options::default(), damage, expected);
    }

    fn check_with(&self, options: &Options, damage: impl Fn(&Set), expected: Expect) {
        for ((track, n), bytes) in &self.objects {
            fs::write(self.set.segment(track, *n), bytes).unwrap();
        }
        damage(&self.set);
        // A failure leaves what was there before.
        let _ = fs::remove_file(self.set.path().join("result.mp4"));
        let (report, out) = mux_with(&self.set, options);
        let mut told = tell(&report);
        if report.error.is_none() {
            assert_decodes(&out);
            TRACKS.iter().for_each(|&(track, stream, timescale)| {
                let _ = write!(told, "\n{track}: {}", self.moved(&out, stream, timescale));
            });
        }
        expected.assert_eq(&told);
    }

    /// How far packets lie from where they were recorded, in milliseconds, and how many of them.
    fn moved(&self, out: &Path, stream: &str, timescale: f64) -> String {
        let mut runs: Vec<(String, u32)> = Vec::new();
        for packet in packets(out, stream) {
            let moment = packet.pts as f64 / timescale;
            let by = self.moments.get(&packet.hash).map(|known| ((moment - known) * 1000.0).round() as i64);
            let word = by.map_or("new".to_owned(), |by| format!("{by:+} ms"));
            match runs.last_mut() {
                Some((same, count)) if *same == word => *count += 1,
                _ => runs.push((word, 1)),
            }
        }
        runs.iter().map(|(word, count)| format!("{count} at {word}")).collect::<Vec<_>>().join(", ")
    }
}

fn tell(report: &Report) -> String {
    let mut told = format!("{:?}, {} ms", report.status, report.duration_ms.unwrap_or(0));
    for gap in &report.gaps {
        let _ =
            write!(told, "\ngap: {} {} to {} ms {:?} {}", gap.track, gap.from_ms, gap.to_ms, gap.segments, gap.cause);
    }
    for repair in &report.repairs {
        let _ = write!(told, "\n{:?}: {} {}: {}", repair.kind, repair.track, repair.segment, repair.what);
    }
    if let Some(error) = &report.error {
        let _ = write!(told, "\n{}: {}", error.code, error.message);
    }
    told
}

/// Moves the decode time of segments by `units` of their track.
fn shift(set: &Set, track: &str, from: u32, units: i64) {
    for n in set.indexes(track).into_iter().filter(|&n| n >= from) {
        let mut bytes = set.bytes(track, n);
        let body = bytes.windows(4).position(|word| word == b"tfdt").unwrap() + 4;
        let time = bytes[body + 4..body + 12].first_chunk_mut::<8>().unwrap();
        *time = u64::from_be_bytes(*time).checked_add_signed(units).unwrap().to_be_bytes();
        fs::write(set.segment(track, n), bytes).unwrap();
    }
}

fn edit(set: &Set, track: &str, n: u32, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = set.bytes(track, n);
    change(&mut bytes);
    fs::write(set.segment(track, n), bytes).unwrap();
}

fn swap(set: &Set, track: &str, one: u32, other: u32) {
    let (first, second) = (set.bytes(track, one), set.bytes(track, other));
    fs::write(set.segment(track, one), second).unwrap();
    fs::write(set.segment(track, other), first).unwrap();
}

fn copy(set: &Set, track: &str, from: u32, to: u32) {
    fs::copy(set.segment(track, from), set.segment(track, to)).unwrap();
}

fn remove(set: &Set, track: &str, n: u32) {
    fs::remove_file(set.segment(track, n)).unwrap();
}

#[test]
fn segments_that_are_missing_or_copies_leave_gaps_that_move_nothing() {
    let whole = Whole::new();
    whole.check(
        |_| {},
        expect![[r#"
        Complete, 12000 ms
        video: 360 at +0 ms
        audio: 564 at +0 ms"#]],
    );
    whole.check(
        |set| remove(set, "video", 3),
        expect![[r#"
        Degraded, 12000 ms
        gap: video 4000 to 6000 ms [3] missing
        Hold: video 2: its last picture stands for 2.000 s, until segment 4
        video: 300 at +0 ms
        audio: 564 at +0 ms"#]],
    );
    whole.check(
        |set| remove(set, "audio", 3),
        expect![[r#"
        Degraded, 12000 ms
        gap: audio 3989 to 5994 ms [3] missing
        Silence: audio 2: silence of 2.005 s behind it, until segment 4
        video: 360 at +0 ms
        audio: 188 at +0 ms, 94 at new, 282 at +0 ms"#]],
    );
    whole.check(
        |set| remove(set, "video", 1),
        expect![[r#"
        Degraded, 12000 ms
        gap: video 0 to 2000 ms [1] missing
        video: 300 at +0 ms
        audio: 564 at +0 ms"#]],
    );
    whole.check(
        |set| remove(set, "audio", 1),
        expect![[r#"
        Degraded, 12000 ms
        gap: audio 0 to 1984 ms [1] missing
        video: 360 at +0 ms
        audio: 470 at +0 ms"#]],
    );
    whole.check(
        |set| copy(set, "video", 3, 4),
        expect![[r#"
        Degraded, 12000 ms
        gap: video 6000 to 8000 ms [4] duplicate
        DropDuplicate: video 4: left out: it is a copy of segment 3
        Hold: video 3: its last picture stands for 2.000 s, until segment 5
        video: 300 at +0 ms
        audio: 564 at +0 ms"#]],
    );
    whole.check(
        |set| copy(set, "audio", 2, 3),
        expect![[r#"
        Degraded, 12000 ms
        gap: audio 3989 to 5994 ms [3] duplicate
        DropDuplicate: audio 3: left out: it is a copy of segment 2
        Silence: audio 2: silence of 2.005 s behind it, until segment 4
        video: 360 at +0 ms
        audio: 188 at +0 ms, 94 at new, 282 at +0 ms"#]],
    );
    whole.check(
        |set| swap(set, "video", 3, 4),
        expect![[r#"
        Complete, 12000 ms
        Sort: video 4: brought into the order of the time stamps, to the place of segment 3
        Sort: video 3: brought into the order of the time stamps, to the place of segment 4
        video: 360 at +0 ms
        audio: 564 at +0 ms"#]],
    );
    whole.check(
        |set| swap(set, "audio", 2, 4),
        expect![[r#"
        Complete, 12000 ms
        Sort: audio 4: brought into the order of the time stamps, to the place of segment 2
        Sort: audio 2: brought into the order of the time stamps, to the place of segment 4
        video: 360 at +0 ms
        audio: 564 at +0 ms"#]],
    );
    whole.check(
        |set| fs::write(set.segment("video", 4), b"").unwrap(),
        expect![[r#"
        Degraded, 12000 ms
        gap: video 6000 to 8000 ms [4] missing
        Hold: video 3: its last picture stands for 2.000 s, until segment 5
        video: 300 at +0 ms
        audio: 564 at +0 ms"#]],
    );
}

#[test]
fn clocks_pauses_and_overlaps_keep_picture_and_sound_together() {
    let whole = Whole::new();
    let reset = |set: &Set| {
        shift(set, "video", 4, -6 * 15_360);
        shift(set, "audio", 4, -6 * 48_000);
    };
    whole.check(
        reset,
        expect![[r#"
            Degraded, 12005 ms
            gap: video 6000 to 6005 ms [] epoch
            gap: audio 5994 to 6000 ms [] epoch
            Rebase: video 4: its clock began anew: it and those after it are moved by 6.005 s
            Rebase: audio 4: its clock began anew: it and those after it are moved by 6.005 s
            video: 180 at +0 ms, 180 at +5 ms
            audio: 282 at +0 ms, 282 at +5 ms"#]],
    );
    whole.check(
        |set| shift(set, "video", 4, -6 * 15_360),
        expect![[r#"
        Failed, 0 ms
        tfdt-back: the time stamps of video segment 4 go back by 6000 ms, and no order of the segments mends it"#]],
    );
    let pause = |set: &Set| {
        shift(set, "video", 4, 10 * 15_360);
        shift(set, "audio", 4, 10 * 48_000);
    };
    whole.check(
        pause,
        expect![[r#"
        Complete, 22000 ms
        Hold: video 3: its last picture stands for 10.000 s, until segment 4
        Silence: audio 3: silence of 10.000 s behind it, until segment 4
        video: 180 at +0 ms, 180 at +10000 ms
        audio: 282 at +0 ms, 468 at new, 282 at +10000 ms"#]],
    );
    whole.check_with(
        &Options { pauses: Pauses::Cut, ..Options::default() },
        pause,
        expect![[r#"
        Complete, 12006 ms
        Cut: video 3: a pause of 9.994 s behind it is cut out
        Cut: audio 3: a pause of 9.994 s behind it is cut out
        video: 180 at +0 ms, 180 at +6 ms
        audio: 282 at +0 ms, 282 at +6 ms"#]],
    );
    whole.check(
        |set| shift(set, "audio", 4, 3 * 48_000),
        expect![[r#"
        Degraded, 15000 ms
        gap: video 12000 to 15000 ms [] missing
        gap: audio 5994 to 8994 ms [] jump
        Silence: audio 3: silence of 3.000 s behind it, until segment 4
        video: 360 at +0 ms
        audio: 282 at +0 ms, 140 at new, 282 at +3000 ms"#]],
    );
    whole.check(
        |set| shift(set, "audio", 1, 24_000),
        expect![[r#"
        Complete, 12500 ms
        video: 360 at +0 ms
        audio: 564 at +500 ms"#]],
    );
    whole.check(
        |set| shift(set, "video", 4, -77),
        expect![[r#"
        Complete, 12000 ms
        video: 180 at +0 ms, 180 at -5 ms
        audio: 564 at +0 ms"#]],
    );
    let everything = |set: &Set| {
        shift(set, "video", 1, 100 * 15_360);
        shift(set, "audio", 1, 100 * 48_000);
    };
    whole.check(
        everything,
        expect![[r#"
        Complete, 12021 ms
        video: 360 at +21 ms
        audio: 564 at +21 ms"#]],
    );
}

#[test]
fn damaged_segments_keep_their_whole_samples() {
    let whole = Whole::new();
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() * 2 / 3);
    whole.check(
        |set| edit(set, "video", 4, cut),
        expect![[r#"
        Degraded, 12000 ms
        gap: video 7300 to 8000 ms [4] truncated
        Salvage: video 4: its 39 whole samples are kept: the box mdat at byte 660 is cut off
        Hold: video 4: its last picture stands for 0.700 s, until segment 5
        video: 339 at +0 ms
        audio: 564 at +0 ms"#]],
    );
    whole.check(
        |set| edit(set, "video", 6, cut),
        expect![[r#"
            Degraded, 12000 ms
            gap: video 11300 to 12000 ms [6] truncated
            Salvage: video 6: its 38 whole samples are kept: the box mdat at byte 660 is cut off
            video: 338 at +0 ms
            audio: 564 at +0 ms"#]],
    );
    whole.check(
        |set| edit(set, "audio", 3, cut),
        expect![[r#"
        Degraded, 12000 ms
        gap: audio 5290 to 5994 ms [3] truncated
        Salvage: audio 3: its 61 whole samples are kept: the box mdat at byte 552 is cut off
        Silence: audio 3: silence of 0.704 s behind it, until segment 4
        video: 360 at +0 ms
        audio: 249 at +0 ms, 33 at new, 282 at +0 ms"#]],
    );
    whole.check(
        |set| edit(set, "video", 4, |bytes| bytes[..24].fill(0x5a)),
        expect![[r#"
        Degraded, 12000 ms
        gap: video 8000 to 8000 ms [4] damaged
        Salvage: video 4: its 60 whole samples are kept: the box ZZZZ at byte 0 has 1515870810 bytes, more than 1048576
        video: 360 at +0 ms
        audio: 564 at +0 ms"#]],
    );
    let moof = |bytes: &mut Vec<u8>| {
        let trun = bytes.windows(4).position(|word| word == b"trun").unwrap();
        bytes[trun + 24..trun + 40].fill(0xa5);
    };
    whole.check(
        |set| edit(set, "video", 4, moof),
        expect![[r#"
        Degraded, 12000 ms
        gap: video 6000 to 8000 ms [4] damaged
        Hold: video 3: its last picture stands for 2.000 s, until segment 5
        video: 300 at +0 ms
        audio: 564 at +0 ms"#]],
    );
}
