//! Recordings made up of numbers: segments whose samples, times and places are known before anything is packed.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a recording that cannot be made ends the test")]

pub(crate) mod init;

use bytes::Bytes;
use domain::id::Sha256;
use domain::mux::Fill;
use domain::segment::Track;
use init::{Codec, avc1, mp4a};
use media::index::{Builder, Sample};
use media::init::Init;
use media::layout::{Layout, SegmentInput, TrackInput};
use media::mux::{Fetched, ResultSink, SegmentReader, SegmentRef, Tag};
use proptest::prelude::*;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};

/// One sample and its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) sample: Sample,
    pub(crate) bytes: Vec<u8>,
}

/// A fragment: decode time of its first sample, and its samples.
#[derive(Debug, Clone)]
pub(crate) struct MadeFragment {
    pub(crate) tfdt: u64,
    pub(crate) samples: Vec<Made>,
}

/// A track: segments of fragments.
#[derive(Debug, Clone)]
pub(crate) struct MadeTrack {
    pub(crate) kind: Track,
    pub(crate) timescale: u32,
    pub(crate) media_time: i64,
    pub(crate) segments: Vec<Vec<MadeFragment>>,
}

static INITS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    // AAC-LC, 48 kHz, stereo.
    let (picture, sound) = (avc1(), mp4a(2, 48_000, &[0x11, 0x90]));
    let init = |track, entry: &[u8]| Codec { track, timescale: 48_000, entry, media_time: Some(1024) }.init();
    [init(Track::Video, &picture), init(Track::Audio, &sound)]
});

impl MadeTrack {
    /// The objects of the track, and what the layout is made of.
    pub(crate) fn pack(&self) -> (TrackInput, Vec<Bytes>) {
        let bytes = &INITS[usize::from(self.kind == Track::Audio)];
        let mut init = Init::parse(self.kind, bytes).unwrap();
        (init.timescale, init.media_time) = (self.timescale, self.media_time);
        let (mut segments, mut objects) = (Vec::new(), Vec::new());
        for (n, fragments) in self.segments.iter().enumerate() {
            let (mut object, mut builder) = (b"styp".to_vec(), Builder::default());
            for fragment in fragments {
                object.extend(b"moof and mdat");
                builder.begin_fragment(fragment.tfdt).unwrap();
                builder.begin_run(object.len() as u64).unwrap();
                for made in &fragment.samples {
                    object.extend(&made.bytes);
                    builder.sample(made.sample).unwrap();
                }
            }
            let (packed, _) = builder.finish().unwrap();
            let (size_bytes, sha256) = (object.len() as u64, Some(Sha256::of(&object)));
            segments.push(SegmentInput {
                index: n as u32 + 1,
                size_bytes,
                sha256,
                packed: Bytes::from(packed),
                shift: 0,
                salvaged: false,
            });
            objects.push(Bytes::from(object));
        }
        (TrackInput { init, segments, fill: Fill::Hold }, objects)
    }

    /// All samples with their decode times, in order.
    pub(crate) fn samples(&self) -> Vec<(u64, &Made)> {
        let mut samples = Vec::new();
        for fragment in self.segments.iter().flatten() {
            let mut at = fragment.tfdt;
            for made in &fragment.samples {
                samples.push((at, made));
                at += u64::from(made.sample.duration);
            }
        }
        samples
    }
}

/// Bytes, duration, composition offset, sync.
type Drawn = (Vec<u8>, u32, i32, bool);

/// A track of `kind` with gaps, small overlaps, all sorts of offsets and sizes.
pub(crate) fn track(kind: Track) -> impl Strategy<Value = MadeTrack> {
    let timescale = prop_oneof![
        Just(15_360u32),
        Just(48_000),
        Just(90_000),
        Just(1000),
        Just(24_576),
        Just(10_000_000),
        1..200_000u32
    ];
    let sample = (prop::collection::vec(any::<u8>(), 0..40), 2..3000u32, -1500..3000i32, any::<bool>());
    let fragment = (prop::collection::vec(sample, 1..30), prop_oneof![Just(0i64), -1..20_000i64]);
    let segments = prop::collection::vec(prop::collection::vec(fragment, 1..3), 1..8);
    (timescale, -3000..3000i64, 0..300_000u64, segments, any::<bool>()).prop_map(
        move |(timescale, media_time, start, segments, plain)| {
            let mut at = start;
            let fragment = |(samples, gap): (Vec<Drawn>, i64)| {
                let tfdt = if at == start { at } else { at.saturating_add_signed(gap) };
                at = tfdt;
                let samples = samples.into_iter().map(|(bytes, duration, offset, sync)| {
                    at += u64::from(duration);
                    let (size_bytes, composition_offset) = (bytes.len() as u32, if plain { 0 } else { offset });
                    Made { sample: Sample { size_bytes, duration, composition_offset, sync: sync || plain }, bytes }
                });
                MadeFragment { tfdt, samples: samples.collect() }
            };
            let fragments = segments.iter().map(Vec::len).collect::<Vec<_>>();
            let mut made = segments.into_iter().flatten().map(fragment).collect::<Vec<_>>().into_iter();
            let segments = fragments.into_iter().map(|count| made.by_ref().take(count).collect()).collect();
            MadeTrack { kind, timescale, media_time, segments }
        },
    )
}

/// A whole recording.
pub(crate) fn recording() -> impl Strategy<Value = Vec<MadeTrack>> {
    prop_oneof![
        3 => (track(Track::Video), track(Track::Audio)).prop_map(|(video, audio)| vec![video, audio]),
        1 => track(Track::Audio).prop_map(|audio| vec![audio]),
    ]
}

/// A store in memory that answers late and out of order, and counts.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) objects: HashMap<(Track, u32), Bytes>,
    /// How often a read waits before it answers, by index of the segment.
    pub(crate) waits: Vec<u8>,
    /// What it says of every object; nothing by default.
    pub(crate) tag: Option<Tag>,
    pub(crate) reads: Mutex<HashMap<(Track, u32), u32>>,
    under_way_bytes: AtomicU64,
    pub(crate) under_way_bytes_max: AtomicU64,
}

impl Store {
    /// The layout of a recording and the store that holds its segments.
    pub(crate) fn of(tracks: &[MadeTrack]) -> (Layout, Store) {
        let (mut inputs, mut store) = (Vec::new(), Store::default());
        for track in tracks {
            let (input, objects) = track.pack();
            inputs.push(input);
            for (n, object) in objects.into_iter().enumerate() {
                store.objects.insert((track.kind, n as u32 + 1), object);
            }
        }
        (Layout::new(inputs).unwrap(), store)
    }

    /// Length of all segments.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.objects.values().map(|object| object.len() as u64).sum()
    }
}

impl SegmentReader for Store {
    type Error = io::Error;

    async fn read(&self, segment: SegmentRef) -> Result<Fetched, io::Error> {
        let object = self.objects.get(&(segment.track, segment.index)).cloned();
        let object = object.ok_or(io::ErrorKind::NotFound)?;
        *self.reads.lock().unwrap().entry((segment.track, segment.index)).or_default() += 1;
        let under_way = self.under_way_bytes.fetch_add(segment.size_bytes, Ordering::SeqCst) + segment.size_bytes;
        self.under_way_bytes_max.fetch_max(under_way, Ordering::SeqCst);
        let waits = self.waits.get(segment.index as usize % self.waits.len().max(1)).copied().unwrap_or(0);
        for _ in 0..waits {
            tokio::task::yield_now().await;
        }
        self.under_way_bytes.fetch_sub(segment.size_bytes, Ordering::SeqCst);
        Ok(Fetched { bytes: object, from: 0, tag: self.tag.unwrap_or(Tag::Unknown) })
    }
}

/// A result in memory. Writing yields, so that reads go on meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) bytes: Vec<u8>,
    /// Refuse to grow beyond this.
    pub(crate) full_at: Option<usize>,
}

impl ResultSink for Memory {
    type Error = io::Error;

    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<(), io::Error> {
        for piece in pieces {
            tokio::task::yield_now().await;
            if self.full_at.is_some_and(|full| self.bytes.len() + piece.len() > full) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.extend(piece);
        }
        Ok(())
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
