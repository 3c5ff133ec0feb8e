//! Writing a result: each segment once, bounded read-ahead, the same bytes whatever the store does.

#![allow(clippy::unwrap_used, reason = "a store in memory does not fail")]

mod synthetic;

use bytes::Bytes;
use domain::id::Sha256;
use domain::segment::Track;
use media::index::Sample;
use media::mux::{self, Change, Error, Guard, Hashing, MuxReport, Options, Tag};
use proptest::prelude::*;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use synthetic::{Made, MadeFragment, MadeTrack, Memory, Store, block_on, recording};

fn write(layout: &media::layout::Layout, store: &Store, options: &Options) -> (Vec<u8>, MuxReport) {
    let mut sink = Memory::default();
    let report = block_on(mux::write(layout, store, &mut sink, options, |_| {})).unwrap();
    (sink.bytes, report)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn result_does_not_depend_on_the_store(tracks in recording(), waits in prop::collection::vec(0..20u8, 1..8), read_ahead_bytes in 0..3000u64) {
        let (layout, mut store) = Store::of(&tracks);
        let (expected, _) = write(&layout, &store, &Options::default());
        store.waits = waits;
        store.reads.lock().unwrap().clear();
        store.under_way_bytes_max.store(0, Ordering::SeqCst);
        let (bytes, report) = write(&layout, &store, &Options { read_ahead_bytes, ..Options::default() });
        prop_assert_eq!(report.sha256, Some(Sha256::of(&bytes)));
        prop_assert_eq!(report.size_bytes, bytes.len() as u64);
        prop_assert!(bytes == expected);
        // Each segment is read once, whole.
        let reads = store.reads.lock().unwrap();
        prop_assert_eq!(reads.len(), store.objects.len());
        prop_assert!(reads.values().all(|&times| times == 1));
        prop_assert_eq!((report.segments, report.read_bytes), (reads.len() as u64, store.size_bytes()));
        // The window bounds what is under way, but for the one segment of each track that the writer cannot do without.
        let longest = store.objects.values().map(|object| object.len() as u64).max().unwrap();
        let most = store.under_way_bytes_max.load(Ordering::SeqCst);
        prop_assert!(most <= read_ahead_bytes.max(tracks.len() as u64 * longest), "{most} bytes under way");
    }
}

/// Ten segments of ten samples in each track.
fn plain() -> Vec<MadeTrack> {
    let track = |kind, timescale: u32| {
        let segment = |n: u64| {
            let sample = |m: u8| {
                let bytes = vec![m; 1000];
                let sample = Sample { size_bytes: 1000, duration: timescale / 5, composition_offset: 0, sync: true };
                Made { sample, bytes }
            };
            vec![MadeFragment { tfdt: n * 2 * u64::from(timescale), samples: (0..10).map(sample).collect() }]
        };
        MadeTrack { kind, timescale, media_time: 0, segments: (0..10).map(segment).collect() }
    };
    vec![track(Track::Video, 15_360), track(Track::Audio, 48_000)]
}

#[test]
fn segment_that_has_changed_is_named() {
    let (layout, mut store) = Store::of(&plain());
    let object = store.objects[&(Track::Audio, 4)].clone();
    let (expected, mut other) = (Sha256::of(&object), object.to_vec());
    other[20] ^= 1;
    let found = Sha256::of(&other);
    store.objects.insert((Track::Audio, 4), Bytes::from(other));
    let mut sink = Memory::default();
    let failed = block_on(mux::write(&layout, &store, &mut sink, &Options::default(), |_| {})).unwrap_err();
    let Error::SourceChanged { track: Track::Audio, segment: 4, change } = failed else { panic!("{failed}") };
    assert_eq!(change, Change::Digest { expected, found });
    // Another tag is no proof of other bytes, and the tag that was recorded is one of the same; of another length nothing is.
    let fails = |store: &Store, guard| {
        let options = Options { guard, ..Options::default() };
        match block_on(mux::write(&layout, store, &mut Memory::default(), &options, |_| {})) {
            Ok(_) => None,
            Err(Error::SourceChanged { change, .. }) => Some(change),
            Err(other) => panic!("{other}"),
        }
    };
    store.tag = Some(Tag::Other);
    assert_eq!(fails(&store, Guard::Samples), Some(Change::Digest { expected, found }));
    store.tag = Some(Tag::Same);
    assert_eq!(fails(&store, Guard::Digest), None);
    store.objects.insert((Track::Audio, 4), object.slice(..object.len() - 1));
    let (expected, found) = (object.len() as u64, object.len() as u64 - 1);
    assert_eq!(fails(&store, Guard::Digest), Some(Change::Size { expected, found }));
    store.objects.insert((Track::Audio, 4), object);
    for tag in [Tag::Other, Tag::Anew] {
        store.tag = Some(tag);
        assert_eq!(fails(&store, Guard::Samples), None, "the same bytes under another tag");
    }
}

#[test]
fn segment_that_cannot_be_read_and_sink_that_is_full_are_named() {
    let (layout, mut store) = Store::of(&plain());
    let mut full = Memory { full_at: Some(10_000), ..Memory::default() };
    let failed = block_on(mux::write(&layout, &store, &mut full, &Options::default(), |_| {})).unwrap_err();
    assert_eq!(failed.to_string(), "write result at byte 0");
    store.objects.remove(&(Track::Video, 9));
    let failed = block_on(mux::write(&layout, &store, &mut Memory::default(), &Options::default(), |_| {}));
    assert_eq!(failed.unwrap_err().to_string(), "read video segment 9");
}

#[test]
fn write_can_be_dropped_at_any_await_and_done_again() {
    let (layout, mut store) = Store::of(&plain());
    store.waits = vec![1, 3, 0];
    let (expected, _) = write(&layout, &store, &Options::default());
    let mut dropped = 0;
    for polls in 0.. {
        let mut sink = Memory::default();
        let options = Options::default();
        let mut writing = Box::pin(mux::write(&layout, &store, &mut sink, &options, |_| {}));
        let mut context = Context::from_waker(Waker::noop());
        if (0..polls).any(|_| matches!(writing.as_mut().poll(&mut context), Poll::Ready(_))) {
            break;
        }
        drop(writing);
        dropped += 1;
        assert!(expected.starts_with(&sink.bytes));
        assert!(polls < 10_000);
    }
    assert!(dropped > 20, "{dropped}");
    assert_eq!(write(&layout, &store, &Options::default()).0, expected);
}

#[test]
fn hash_is_made_only_when_asked_for_and_progress_reaches_the_end() {
    let (layout, store) = Store::of(&plain());
    let (mut sink, mut done) = (Memory::default(), Vec::new());
    let off = Options { hashing: Hashing::Off, ..Options::default() };
    let report = block_on(mux::write(&layout, &store, &mut sink, &off, |progress| done.push(progress))).unwrap();
    assert_eq!(report.sha256, None);
    let last = done.last().unwrap();
    assert_eq!((last.done_bytes, last.total_bytes), (sink.bytes.len() as u64, layout.size_bytes()));
    assert!(done.windows(2).all(|pair| pair[0].done_bytes < pair[1].done_bytes));
}
