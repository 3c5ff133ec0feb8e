//! What layout 1 gave, to the byte: plans of recordings that were frozen by an earlier build are still carried out.

use crate::synthetic::{Made, MadeFragment, MadeTrack, Memory, Store, block_on};
use domain::id::Sha256;
use domain::segment::Track;
use media::index::Sample;
use media::layout::Layout;
use media::mux::{self, Options};

/// Numbers that look random and are the same everywhere (Knuth's MMIX constants).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Two fragments a segment, gaps, small overlaps, reordered pictures, sync samples now and then.
fn track(kind: Track, timescale: u32, media_time: i64, start: u64, segments: u32) -> MadeTrack {
    let mut numbers = Numbers(u64::from(timescale) + start);
    let mut at = start;
    let mut fragment = |n: u32| {
        let duration = u64::from(timescale) / if kind == Track::Video { 30 } else { 47 };
        match n % 7 {
            3 => at += numbers.below(u64::from(timescale)),
            5 => at -= numbers.below(duration / 2),
            _ => {}
        }
        let tfdt = at;
        let samples = (0..25).map(|m| {
            let duration = if n % 11 == 6 { duration + numbers.below(9) } else { duration } as u32;
            let offset = [1, 3, 0, 0][m % 4] * duration as i32 - i32::from(n > 40) * duration as i32;
            let bytes = vec![numbers.below(256) as u8; numbers.below(300) as usize];
            at += u64::from(duration);
            let (composition_offset, sync) = match kind {
                Track::Video => (offset, m == 0),
                Track::Audio => (0, true),
            };
            Made { sample: Sample { size_bytes: bytes.len() as u32, duration, composition_offset, sync }, bytes }
        });
        MadeFragment { samples: samples.collect(), tfdt }
    };
    let segments = (0..segments).map(|n| vec![fragment(2 * n), fragment(2 * n + 1)]).collect();
    MadeTrack { kind, timescale, media_time, segments }
}

fn digest(tracks: &[MadeTrack]) -> String {
    let (_, store) = Store::of(tracks);
    let layout = Layout::of_version(1, tracks.iter().map(|track| track.pack().0).collect()).unwrap();
    let mut sink = Memory::default();
    let report = block_on(mux::write(&layout, &store, &mut sink, &Options::default(), |_| {})).unwrap();
    assert_eq!(report.sha256, Some(Sha256::of(&sink.bytes)));
    Sha256::of(&sink.bytes).to_string()
}

#[test]
fn result_of_a_plan_of_layout_1_is_what_it_always_was() {
    let video = track(Track::Video, 15_360, 1024, 0, 40);
    let audio = track(Track::Audio, 48_000, 1024, 24_000, 37);
    let late = track(Track::Video, 90_000, -45_000, 9_000_000, 12);
    let early = track(Track::Audio, 44_100, 2112, 4_420_000, 15);
    assert_eq!(
        [digest(&[video, audio.clone()]), digest(&[late, early]), digest(&[audio])],
        [
            "00d37b23c6d92598826d8c4378c44a4764930162871e5d04146e8ab5f18b6690",
            "7745d2d0859a15ca5889a4d6612684f913c3560b974b35b8e74e3c82962a1c2e",
            "318db3c17110f662d609801c67d1f0d19351dac89ef9c3fcd705a3fb801e6dc4",
        ],
    );
}
