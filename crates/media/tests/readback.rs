//! Reading results back: what is wrong with a stored file is found, whoever wrote it.

#![allow(clippy::unwrap_used, reason = "a set that cannot be made ends the test")]

mod sets;

use bytes::Bytes;
use domain::mux::{Mismatch, verify};
use domain::segment::Track;
use media::defect::Defect;
use media::files::{AsideFile, FileRanges};
use media::mux::ResultSink as _;
use media::readback::{self, Error, RangedReader, Readback};
use proptest::prelude::*;
use sets::result::{block_on, mux};
use sets::{AAC, H264, Set, run};
use std::io;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

static RESULT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let set = Set::of(Some(H264), Some(AAC), "5");
    std::fs::read(mux(&set).1).unwrap()
});

#[derive(Default)]
struct Object {
    bytes: Vec<u8>,
    reads: AtomicU64,
}

impl RangedReader for Object {
    type Error = io::Error;

    async fn read(&self, at: u64, len: u64) -> Result<Bytes, io::Error> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        Ok(Bytes::copy_from_slice(&self.bytes[at as usize..][..len as usize]))
    }
}

fn read(bytes: &[u8]) -> Result<Readback, Defect> {
    let object = Object { bytes: bytes.to_vec(), ..Object::default() };
    block_on(readback::read(&object, bytes.len() as u64)).map_err(|error| match error {
        Error::Defect(defect) => defect,
        Error::Read { source, .. } => panic!("{source}"),
    })
}

#[test]
fn short_result_is_read_back_in_two_reads() {
    let object = Object { bytes: RESULT.clone(), ..Object::default() };
    let found = block_on(readback::read(&object, object.bytes.len() as u64)).unwrap();
    assert_eq!(found.facts.tracks.iter().map(|facts| facts.track).collect::<Vec<_>>(), Track::ALL);
    assert_eq!((found.facts.tracks[0].samples, found.duration_ms), (150, 5000));
    assert!(object.reads.load(Ordering::SeqCst) <= 2);
}

#[test]
fn result_of_another_muxer_is_read_back_and_is_not_faststart() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, options: &[&str]| {
        let path = folder.path().join(name);
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-nostdin"]).args(H264.input).args(AAC.input).args(["-t", "3"]);
        run(ffmpeg.args(H264.encode).args(AAC.encode).args(options).arg(&path));
        block_on(async {
            let ranges = FileRanges::open(&path).await.unwrap();
            readback::read(&ranges, ranges.size_bytes()).await
        })
    };
    let plain = write("plain.mp4", &[]).unwrap();
    assert!(!plain.facts.faststart);
    assert_eq!((plain.facts.tracks[0].samples, plain.fps()), (90, Some(30.0)));
    let front = write("front.mp4", &["-movflags", "faststart"]).unwrap();
    assert!(front.facts.faststart);
    assert_eq!(front.facts.tracks, plain.facts.tracks);
    let found = verify(&front.facts, &plain.facts);
    assert!(found.contains(&Mismatch::NotFaststart), "{found:?}");
    assert!(write("fragments.mp4", &["-movflags", "frag_keyframe+empty_moov"]).is_err());
    assert!(matches!(
        write("whole.webm", &["-c:v", "libvpx", "-c:a", "libopus"]),
        Err(Error::Defect(Defect::NotIsoBmff))
    ));
}

#[test]
fn result_cut_anywhere_is_refused() {
    let whole = &*RESULT;
    read(whole).unwrap();
    let step = whole.len() / 200;
    for len in (0..whole.len()).step_by(step).chain([whole.len() - 1, 8, 16, 40]) {
        assert!(read(&whole[..len]).is_err(), "cut at {len}");
    }
}

/// One field of a table, of a track, at a byte of its box, changed: a lie that no length gives away.
#[test]
fn tables_that_contradict_one_another_are_refused() {
    let whole = &*RESULT;
    let find = |kind: &[u8; 4], nth: usize| {
        let mut found = whole.windows(4).enumerate().filter(|(_, word)| word == kind).map(|(at, _)| at - 4);
        found.nth(nth).unwrap()
    };
    // Bytes of the box behind its size and type: version and flags, count, then entries.
    for (kind, nth, at, value, what) in [
        (b"stts", 0, 4, 2u32, "more entries than it has"),
        (b"stts", 0, 8, 151, "another count of samples"),
        (b"ctts", 0, 8, 9, "another count of samples"),
        (b"ctts", 0, 4, 1, "fewer entries than it has"),
        (b"stss", 0, 8, 0, "sample 0"),
        (b"stss", 0, 12, 1, "a sample twice"),
        (b"stss", 0, 16, 151, "a sample that is not there"),
        (b"stsc", 0, 8, 2, "no samples of the first chunk"),
        (b"stsc", 0, 12, 0, "a chunk without samples"),
        (b"stsc", 0, 16, 2, "another sample description"),
        (b"stsc", 1, 20, 1, "runs that do not ascend"),
        (b"stco", 0, 4, 1, "fewer chunks than there are"),
        (b"stco", 0, 8, 8, "a chunk in the header"),
        (b"stco", 1, 8, u32::MAX, "a chunk behind the end"),
        (b"stsz", 0, 8, 149, "a sample less"),
        (b"stsz", 1, 12, u32::MAX, "a sample longer than the file"),
        (b"elst", 0, 4, 2, "an edit that is not there"),
    ] {
        let mut bytes = whole.clone();
        let at = find(kind, nth) + 8 + at;
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        assert!(read(&bytes).is_err(), "{}: {what}", String::from_utf8_lossy(kind));
    }
}

#[test]
fn edit_list_is_read_back_and_another_one_is_found() {
    let found = read(&RESULT).unwrap();
    let picture = found.presented[0].unwrap();
    assert_eq!((picture.start, picture.duration), (0, 450_000));
    assert_eq!(found.presented[1].unwrap().media_time, 1024);
    let mut moved = RESULT.clone();
    let elst = moved.windows(4).rposition(|word| word == b"elst").unwrap();
    // Media time of the first edit in version 1.
    moved[elst + 4 + 8 + 8 + 7] = 7;
    let moved = read(&moved).unwrap();
    assert_eq!(moved.facts, found.facts);
    assert_ne!(moved.presented, found.presented);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn damaged_header_never_panics(hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = RESULT.clone();
        let moov = bytes.windows(4).position(|word| word == b"mdat").unwrap();
        for (at, byte) in &hits {
            bytes[at.index(moov)] = *byte;
        }
        let _ = read(&bytes);
    }
}

#[test]
fn aside_file_appears_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.mp4");
    let names =
        || std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    block_on(async {
        let mut file = AsideFile::create(&path).await.unwrap();
        file.write(vec![Bytes::from_static(b"half"), Bytes::new()]).await.unwrap();
        assert_eq!(names(), ["result.mp4.part"]);
        assert!(AsideFile::create(&path).await.is_err(), "two writers of one result");
        drop(file);
        assert!(names().is_empty());
        std::fs::write(folder.path().join("result.mp4.part"), b"left behind by a killed process").unwrap();
        let mut file = AsideFile::create(&path).await.unwrap();
        file.write(vec![Bytes::from_static(b"the "), Bytes::from_static(b"whole")]).await.unwrap();
        file.publish().await.unwrap();
    });
    assert_eq!(names(), ["result.mp4"]);
    assert_eq!(std::fs::read(&path).unwrap(), b"the whole");
}

/// Four writers want the same name at once. Whoever is let in publishes a whole file, and nobody opens what another one
/// is publishing.
#[test]
fn aside_file_of_rivals_is_whole_whenever_it_is_there() {
    const ROUNDS: usize = 300;
    const LEN: usize = 64 << 10;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("result.mp4");
    let rival = &|letter: u8| {
        let mut published = 0;
        for _ in 0..ROUNDS {
            let done = block_on(async {
                let mut file = AsideFile::create(&path).await?;
                file.write(vec![Bytes::from(vec![letter; LEN])]).await?;
                file.publish().await
            });
            published += usize::from(done.is_ok());
            let Ok(found) = std::fs::read(&path) else { continue };
            let whole = found.len() == LEN && found.iter().all(|byte| *byte == found[0]);
            assert!(whole, "{} bytes", found.len());
        }
        published
    };
    let published: usize = std::thread::scope(|scope| {
        let rivals: Vec<_> = [b'a', b'b', b'c', b'd'].map(|letter| scope.spawn(move || rival(letter))).into();
        rivals.into_iter().map(|rival| rival.join().unwrap()).sum()
    });
    assert!(published >= 4, "{published} of {} rounds", 4 * ROUNDS);
}
