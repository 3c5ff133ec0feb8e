//! A mux from store to store: what it costs, what it leaves when it ends early, and which changes of a segment it notices.

use crate::support::{PATIENCE, Proxy, S3Server, Set, wait};
use bytes::Bytes;
use domain::id::{OwnerId, RecordingId, Sha256};
use domain::key::Keys;
use domain::mux::Fill;
use domain::segment::{Name, Track};
use media::ff::synth;
use media::init::Init;
use media::layout::{Layout, SegmentInput, TrackInput};
use media::mux::{self, Change, Error, Guard, MuxReport, Options};
use media::salvage;
use media::walk::{self, Limits};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;
use worker::result::{Sink, Source, Tags};
use worker::storage::{Call, Config, Fault, Faults, Store};

/// Six seconds of picture and sound.
static SET: LazyLock<Set> = LazyLock::new(|| {
    let config = synth::Config { width: 960, height: 540, fps: 15, ..synth::Config::default() };
    Set::of(&config, Duration::from_secs(6))
});

const RESULT: &str = "o/r/result.mp4";

/// Parts of a result; several of them, none of which ends with a piece.
const PART_BYTES: u64 = (5 << 20) + 11;

fn keys() -> Keys {
    Keys::new(&OwnerId::parse("o").unwrap(), &RecordingId::parse("r").unwrap())
}

/// Segments in a store, and what a plan of them would lead to.
struct Stored {
    store: Store,
    tags: Tags,
    layout: Layout,
    payload_bytes: u64,
}

/// How segments got into the store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// Through this server: their digests are known.
    Us,
    /// Past it.
    Others,
}

impl Stored {
    /// Puts the set into a store, one time after the other, until it makes several parts.
    async fn long(store: Store) -> Stored {
        let set_bytes: usize = SET.objects().iter().map(|(.., bytes)| bytes.len()).sum();
        let times = (2 * PART_BYTES).div_ceil(set_bytes as u64) + 1;
        Stored::put(store, From::Us, u32::try_from(times).unwrap()).await
    }

    /// Puts the set into a store, so many times one after the other.
    async fn put(store: Store, from: From, times: u32) -> Stored {
        let (mut tags, mut tracks, mut payload_bytes) = (HashMap::new(), Vec::new(), 0);
        for (&track, (init, segments)) in &SET.tracks {
            let init = Init::parse(track, init).unwrap();
            let (mut inputs, mut shift) = (Vec::new(), 0);
            for round in 0..times {
                let mut end = 0;
                for (n, bytes) in (1..).zip(segments) {
                    let index = round * segments.len() as u32 + n;
                    let media = walk::media(&init, bytes, Limits::NONE).unwrap();
                    end = media.span.end();
                    let meta =
                        store.put(&keys().segment(track, Name::Media(index)), bytes.clone().into()).await.unwrap();
                    tags.extend(meta.etag.map(|etag| ((track, index), etag)));
                    payload_bytes += bytes.len() as u64;
                    let (size_bytes, packed) = (bytes.len() as u64, Bytes::from(media.index));
                    let sha256 = (from == From::Us).then(|| Sha256::of(bytes));
                    inputs.push(SegmentInput { index, size_bytes, sha256, packed, shift, salvaged: false });
                }
                shift += end as i64;
            }
            tracks.push(TrackInput { init, segments: inputs, fill: Fill::Hold });
        }
        Stored { store, tags, layout: Layout::new(tracks).unwrap(), payload_bytes }
    }

    fn source(&self) -> Source {
        Source::new(&self.store, keys(), RESULT).tagged(self.tags.clone())
    }

    async fn mux(&self, guard: Guard) -> Result<MuxReport, mux::ErrorOf<Source, Sink>> {
        let size_bytes = self.layout.size_bytes();
        let sink = Sink::begin(&self.store, RESULT, PART_BYTES, size_bytes).await;
        let mut sink = sink.map_err(|source| Error::Write { at: 0, source })?;
        let options = Options { guard, ..Options::default() };
        let report = mux::write(&self.layout, &self.source(), &mut sink, &options, |_| {}).await?;
        let closed = sink.close().await;
        closed.map_err(|source| Error::Write { at: size_bytes, source })?;
        Ok(report)
    }

    /// How a mux sees that a segment has changed.
    async fn change(&self, guard: Guard) -> Option<(Track, u32, Change)> {
        match self.mux(guard).await {
            Ok(_) => None,
            Err(Error::SourceChanged { track, segment, change }) => Some((track, segment, change)),
            Err(other) => panic!("{other:?}"),
        }
    }
}

async fn folder(faults: &Faults) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_string_lossy().into_owned();
    let store = Store::open_with(&Config { root, ..Config::default() }, faults).await.unwrap();
    (folder, store)
}

/// At most so many hundredths more than the payload.
#[track_caller]
fn assert_at_most(bytes: u64, payload_bytes: u64, more_percent: u64) {
    assert!(bytes * 100 <= payload_bytes * (100 + more_percent), "{bytes} bytes for {payload_bytes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_segment_is_read_once_and_the_result_is_written_once() {
    let server = S3Server::start().await;
    let wire = Proxy::to(&[server.address()]).await;
    let endpoint = wire.before(&server.endpoint());
    let stored = Stored::long(Store::open(&Config { endpoint, ..server.config() }).await.unwrap()).await;
    server.forget_counts();
    let before = wire.counts();
    let report = stored.mux(Guard::Digest).await.unwrap();
    let after = wire.counts();
    let parts = stored.layout.size_bytes().div_ceil(PART_BYTES);
    assert!(parts >= 3, "{parts} parts");
    assert_eq!(report.segments, stored.tags.len() as u64);
    let expected = [
        ("CompleteMultipartUpload", 1),
        ("CreateMultipartUpload", 1),
        ("GetObject", report.segments),
        ("UploadPart", parts),
    ];
    assert_eq!(server.counts().into_iter().collect::<Vec<_>>(), expected);
    let sizes = server.part_sizes();
    let (last, equal) = sizes.split_last().unwrap();
    assert!(equal.iter().all(|size| *size == PART_BYTES) && *last <= PART_BYTES, "{sizes:?}");
    assert_eq!(sizes.iter().sum::<u64>(), stored.layout.size_bytes());
    assert_at_most(after.down_bytes - before.down_bytes, stored.payload_bytes, 3);
    assert_at_most(after.up_bytes - before.up_bytes, stored.payload_bytes, 1);
    let result = stored.store.get(RESULT).await.unwrap();
    assert_eq!(report.sha256, Some(Sha256::of(&result)));

    let faults = Faults::new();
    let (_folder, store) = folder(&faults).await;
    let stored = Stored::long(store).await;
    let (read, written) = (faults.size_bytes(Call::Read), faults.size_bytes(Call::Write));
    stored.mux(Guard::Digest).await.unwrap();
    assert_at_most(faults.size_bytes(Call::Read) - read, stored.payload_bytes, 0);
    assert_at_most(faults.size_bytes(Call::Write) - written, stored.payload_bytes, 1);
}

/// Waits until no upload and no file aside is left.
async fn until_taken_back(server: Option<&S3Server>, folder: Option<&tempfile::TempDir>) {
    wait::until("what was written is taken back", PATIENCE, async || {
        let uploads = server.map_or(0, |server| server.unfinished_uploads().len());
        let aside = folder.and_then(|folder| std::fs::read_dir(folder.path().join(".aside")).ok());
        let aside = aside.into_iter().flatten().filter(|entry| entry.as_ref().unwrap().file_name() != "lock").count();
        (uploads + aside == 0).then_some(())
    })
    .await;
}

/// Muxes until so many calls of a kind were made, and then for a moment more, and drops it.
async fn mux_until(stored: &Stored, moment: Duration, reached: impl Fn() -> bool) {
    let far_enough = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(moment).await;
    };
    tokio::select! {
        ended = stored.mux(Guard::Digest) => drop(ended.unwrap()),
        () = far_enough => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mux_that_is_dropped_at_any_moment_leaves_nothing() {
    let seed = rand::random::<u64>();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let server = S3Server::start().await;
    let faults = Faults::new();
    let (folder, in_folder) = folder(&faults).await;
    let on_server = Stored::long(Store::open(&server.config()).await.unwrap()).await;
    let in_folder = Stored::long(in_folder).await;
    for round in 0..9 {
        let moment = Duration::from_micros(random.random_range(0..5000));
        let reads = random.random_range(0..on_server.tags.len() as u64);
        let (request, count) = [("GetObject", reads), ("CreateMultipartUpload", 1), ("UploadPart", 1)][round % 3];
        server.forget_counts();
        mux_until(&on_server, moment, || server.count(request) >= count).await;
        until_taken_back(Some(&server), None).await;
        // With its last segment read, it may have come to its end.
        let there = on_server.store.stat(RESULT).await.unwrap().is_some();
        assert!(!there || server.count("CompleteMultipartUpload") > 0);
        on_server.store.delete(&[RESULT.to_owned()]).await.unwrap();
        if request == "UploadPart" {
            wait::until("the upload is taken back", PATIENCE, async || {
                (server.count("AbortMultipartUpload") + server.count("CompleteMultipartUpload") > 0).then_some(())
            })
            .await;
        }

        let (call, count) = [(Call::Read, reads), (Call::Write, 1), (Call::Write, 2)][round % 3];
        let before = faults.calls(call);
        mux_until(&in_folder, moment, || faults.calls(call) >= before + count).await;
        until_taken_back(None, Some(&folder)).await;
        in_folder.store.delete(&[RESULT.to_owned()]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mux_whose_store_fails_at_any_point_leaves_nothing() {
    let seed = rand::random::<u64>();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let server = S3Server::start().await;
    let faults = Faults::new();
    let (folder, in_folder) = folder(&faults).await;
    let on_server = Stored::long(Store::open_with(&server.config(), &faults).await.unwrap()).await;
    let in_folder = Stored::long(in_folder).await;
    for round in 0..8 {
        for stored in [&on_server, &in_folder] {
            let call = [Call::Read, Call::Write, Call::Finish][round % 3];
            let calls = match call {
                Call::Read => SET.segments() as u64,
                Call::Write => 3,
                _ => 1,
            };
            let first = random.random_range(0..calls);
            faults.set(call, first..u64::MAX, Fault::Refuse);
            let failed = stored.mux(Guard::Digest).await;
            faults.clear();
            assert!(failed.is_err(), "{call:?} {first}");
            until_taken_back(Some(&server), Some(&folder)).await;
            assert_eq!(stored.store.stat(RESULT).await.unwrap(), None);
        }
    }
}

/// Other bytes with the same samples: the last byte of the media data.
fn other_payload(bytes: &[u8]) -> Bytes {
    let mut other = bytes.to_vec();
    *other.last_mut().unwrap() ^= 1;
    other.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segment_that_was_written_again_is_noticed_where_a_store_has_tags() {
    let server = S3Server::start().await;
    let store = Store::open(&server.config()).await.unwrap();
    let key = keys().segment(Track::Video, Name::Media(3));
    let good = &SET.tracks[&Track::Video].1[2];
    for from in [From::Us, From::Others] {
        let mut stored = Stored::put(store.clone(), from, 1).await;
        assert_eq!(stored.change(Guard::Samples).await, None);
        server.forget_counts();
        store.put(&key, other_payload(good)).await.unwrap();
        let (track, index, change) = stored.change(Guard::Samples).await.unwrap();
        assert_eq!((track, index), (Track::Video, 3));
        assert_eq!(matches!(change, Change::Digest { .. }), from == From::Us, "{change}");
        assert_eq!(matches!(change, Change::Tag), from == From::Others, "{change}");
        store.put(&key, good[..good.len() - 1].to_vec().into()).await.unwrap();
        assert!(matches!(stored.change(Guard::Samples).await, Some((_, 3, Change::Size { .. }))));
        store.put(&key, [good.as_slice(), b"more"].concat().into()).await.unwrap();
        assert!(matches!(stored.change(Guard::Samples).await, Some((_, 3, Change::Size { .. }))));
        // The same bytes are the same segment, whatever their tag is by now.
        store.put(&key, good.clone().into()).await.unwrap();
        for tag in ["\"of an earlier day\"", "\"0123456789abcdef0123456789abcdef-2\""] {
            stored.tags.values_mut().for_each(|recorded| *recorded = tag.to_owned());
            assert_eq!(stored.change(Guard::Samples).await, None, "{tag}");
        }
        // Such a tag does not tell of bytes: without a digest they are held to the samples.
        store.put(&key, other_payload(good)).await.unwrap();
        let change = stored.change(Guard::Samples).await;
        assert_eq!(change.is_some(), from == From::Us, "{change:?}");
        let mut moved = good.clone();
        let at = moved.windows(4).position(|word| word == b"tfdt").unwrap() + 15;
        moved[at] ^= 1;
        store.put(&key, moved.into()).await.unwrap();
        assert!(stored.change(Guard::Samples).await.is_some());
        store.delete(&[RESULT.to_owned()]).await.unwrap();
    }
}

/// A server that has other tags for reads than for writes is asked twice for one segment, not for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_that_refuses_conditions_for_nothing_is_not_asked_again() {
    let server = S3Server::start().await;
    let mut stored = Stored::put(Store::open(&server.config()).await.unwrap(), From::Us, 1).await;
    for tag in stored.tags.values_mut() {
        *tag = "\"other\"".to_owned();
    }
    server.forget_counts();
    let report = stored.mux(Guard::Samples).await.unwrap();
    let under_way = 32;
    let gets = server.count("GetObject");
    assert!(gets > report.segments && gets <= report.segments + under_way, "{gets} for {}", report.segments);
}

#[tokio::test]
async fn salvaged_segment_is_held_to_what_was_whole_of_it() {
    let (_folder, store) = folder(&Faults::new()).await;
    let (init, segments) = &SET.tracks[&Track::Video];
    let init = Init::parse(Track::Video, init).unwrap();
    let key = keys().segment(Track::Video, Name::Media(1));
    let cut = &segments[0][..segments[0].len() / 2];
    let defect = walk::media(&init, cut, Limits::NONE).unwrap_err();
    let saved = salvage::media(&init, cut, &defect).unwrap();
    let packed = Bytes::from(saved.index);
    let input = SegmentInput { index: 1, size_bytes: cut.len() as u64, sha256: None, packed, shift: 0, salvaged: true };
    let layout = Layout::new(vec![TrackInput { init, segments: vec![input], fill: Fill::Hold }]).unwrap();
    let stored = Stored { store, tags: Tags::new(), layout, payload_bytes: 0 };
    stored.store.put(&key, cut.to_vec().into()).await.unwrap();
    assert_eq!(stored.change(Guard::Digest).await, None);
    let mut other = cut.to_vec();
    let at = other.windows(4).position(|word| word == b"tfdt").unwrap() + 15;
    other[at] ^= 1;
    stored.store.put(&key, other.into()).await.unwrap();
    assert_eq!(stored.change(Guard::Digest).await, Some((Track::Video, 1, Change::Samples)));
    // As long as what was cut, and whole: another object.
    let mut whole = segments[0].clone();
    whole.truncate(cut.len());
    stored.store.put(&key, Bytes::from(vec![0; whole.len()])).await.unwrap();
    assert_eq!(stored.change(Guard::Digest).await, Some((Track::Video, 1, Change::Samples)));
}
