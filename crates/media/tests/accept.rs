//! What accept lets through and what it refuses, on segments of FFmpeg's dash muxer.

#![allow(clippy::unwrap_used, reason = "a set that cannot be read ends the test")]

mod sets;

use domain::retry::Classify as _;
use domain::segment::Track;
use media::boxes::{Boxes, FourCc};
use media::defect::Defect;
use media::index::IndexReader;
use media::init::Init;
use media::walk::{self, Accepted, Limits, Media, Walker};
use proptest::prelude::*;
use sets::{AAC, H264, Lane, Set};
use std::sync::LazyLock;

struct Fixture {
    video: (Vec<u8>, Vec<Vec<u8>>),
    audio: (Vec<u8>, Vec<Vec<u8>>),
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let set = Set::of(Some(H264), Some(AAC), "8");
    let read = |track| (set.bytes(track, 0), set.indexes(track).iter().map(|&n| set.bytes(track, n)).collect());
    Fixture { video: read("video"), audio: read("audio") }
});

fn init(track: Track) -> Init {
    let bytes = match track {
        Track::Video => &FIXTURE.video.0,
        Track::Audio => &FIXTURE.audio.0,
    };
    Init::parse(track, bytes).unwrap()
}

/// Walks `object` in pieces that end at the given places.
fn walk_in_pieces(init: &Init, object: &[u8], cuts: &[usize]) -> Result<Media, Defect> {
    let mut walker = Walker::media(init, Limits::DEFAULT);
    let mut from = 0;
    for &cut in cuts.iter().chain([&object.len()]) {
        walker.push(&object[from..cut])?;
        from = cut;
    }
    match walker.finish()? {
        Accepted::Media(media) => Ok(media),
        Accepted::Init(_) => panic!("a media segment was taken for an init"),
    }
}

#[test]
fn init_tells_codec_and_format() {
    let video = init(Track::Video);
    assert_eq!(video.facts.codec, "avc1.64000d");
    assert_eq!((video.facts.width, video.facts.height, video.timescale), (320, 180, 15360));
    let audio = init(Track::Audio);
    assert_eq!(audio.facts.codec, "mp4a.40.2");
    assert_eq!((audio.facts.channels, audio.facts.sample_rate, audio.media_time), (2, 48000, 1024));
}

#[test]
fn init_tells_codec_strings_of_other_codecs() {
    let picture = H264.input;
    let sound = AAC.input;
    let check = |track: Track, input: &[&str], encode: &[&str], expected: &str| {
        let set = Set::empty();
        set.add(track.as_str(), Lane { input, encode, mux: &["-strict", "experimental"] }, "1");
        let init = Init::parse(track, &set.bytes(track.as_str(), 0)).unwrap();
        assert_eq!(init.facts.codec, expected);
        let media = walk::media(&init, &set.bytes(track.as_str(), 1), Limits::DEFAULT).unwrap();
        assert!(media.summary.starts_with_sync);
    };
    let hevc = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-tag:v", "hvc1"];
    check(Track::Video, picture, &hevc, "hvc1.1.6.L60.90");
    check(Track::Video, picture, &["-c:v", "libsvtav1", "-preset", "12", "-pix_fmt", "yuv420p"], "av01.0.00M.08");
    let vp9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p"];
    check(Track::Video, picture, &vp9, "vp09.00.11.08");
    check(Track::Video, picture, &["-c:v", "libx264", "-profile:v", "baseline", "-pix_fmt", "yuv420p"], "avc1.42c00d");
    check(Track::Audio, sound, &["-c:a", "libopus"], "opus");
    check(Track::Audio, sound, &["-c:a", "flac"], "flac");
}

/// The type of an unknown sample entry becomes the codec string, which stands in quotes in a playlist.
#[test]
fn init_whose_codec_would_break_a_playlist_is_refused() {
    let named = |kind: &[u8; 4]| {
        let mut bytes = FIXTURE.video.0.clone();
        let at = bytes.windows(4).rposition(|word| word == b"avc1").unwrap();
        bytes[at..at + 4].copy_from_slice(kind);
        Init::parse(Track::Video, &bytes)
    };
    assert_eq!(named(b"mp4v").unwrap().facts.codec, "mp4v");
    for kind in [*b"a\"c1", *b"a,b1", *b"a\\c1"] {
        assert_eq!(named(&kind), Err(Defect::UnsupportedCodec { kind: FourCc(kind) }));
    }
}

#[test]
fn init_of_another_kind_is_refused() {
    let wrong = Init::parse(Track::Video, &FIXTURE.audio.0).unwrap_err();
    assert_eq!(wrong, Defect::WrongInit { expected: Track::Video, found: FourCc(*b"soun") });
    assert_eq!(wrong.class(), "wrong-init");
    let error = |bytes: &[u8]| Init::parse(Track::Video, bytes).unwrap_err().class();
    assert_eq!(error(b""), "zero-byte");
    assert_eq!(error(b"\x1a\x45\xdf\xa3\0\0\0\0"), "not-iso-bmff");
    assert_eq!(error(&FIXTURE.video.1[0]), "bad-box");
    assert_eq!(error(b"\0\0\0\x08ftyp"), "missing-init");
    assert_eq!(error(&vec![b' '; 2 << 20]), "too-large");
}

#[test]
fn init_cut_anywhere_is_refused() {
    for track in Track::ALL {
        let bytes = if track == Track::Video { &FIXTURE.video.0 } else { &FIXTURE.audio.0 };
        for len in 0..bytes.len() {
            assert!(Init::parse(track, &bytes[..len]).is_err(), "{track} cut at {len}");
        }
    }
}

#[test]
fn segments_join_without_a_gap_and_take_few_bytes() {
    for (track, segments) in [(Track::Video, &FIXTURE.video.1), (Track::Audio, &FIXTURE.audio.1)] {
        let init = init(track);
        let (mut end, mut samples, mut packed) = (None, 0, 0);
        for segment in segments {
            let media = walk::media(&init, segment, Limits::DEFAULT).unwrap();
            assert!(end.is_none_or(|end| end == media.span.start), "{track}");
            assert!(media.summary.starts_with_sync);
            assert_eq!(media.size_bytes, segment.len() as u64);
            assert_eq!(IndexReader::open(&media.index).unwrap().summary(), media.summary);
            end = Some(media.span.end());
            samples += media.summary.samples;
            packed += media.index.len();
        }
        assert!(segments.len() >= 4);
        assert!(packed < 10 * samples as usize, "{track}: {packed} bytes for {samples} samples");
    }
}

#[test]
fn index_of_full_size_pictures_takes_some_hundred_bytes_a_segment() {
    let input = ["-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=30,noise=alls=40:allf=t"];
    let encode =
        [H264.encode, &["-preset", "ultrafast", "-bf", "2", "-b:v", "5M", "-maxrate", "6M", "-bufsize", "5M"]].concat();
    let set = Set::of(Some(Lane { input: &input, encode: &encode, mux: &[] }), None, "4");
    let init = Init::parse(Track::Video, &set.bytes("video", 0)).unwrap();
    for n in set.indexes("video") {
        let media = walk::media(&init, &set.bytes("video", n), Limits::DEFAULT).unwrap();
        assert_eq!(media.summary.samples, 60);
        assert!(media.size_bytes > 800_000, "{}", media.size_bytes);
        assert!(media.index.len() < 330, "{} bytes", media.index.len());
    }
}

#[test]
fn segment_cut_anywhere_is_refused() {
    for (track, segments) in [(Track::Video, &FIXTURE.video.1), (Track::Audio, &FIXTURE.audio.1)] {
        let (init, segment) = (init(track), &segments[1]);
        assert!(walk::media(&init, segment, Limits::DEFAULT).is_ok());
        for len in 0..segment.len() {
            assert!(walk::media(&init, &segment[..len], Limits::DEFAULT).is_err(), "{track} cut at {len}");
        }
    }
}

#[test]
fn segment_of_another_track_is_refused() {
    let mut init = init(Track::Video);
    init.track_id = 7;
    let wrong = walk::media(&init, &FIXTURE.video.1[0], Limits::DEFAULT).unwrap_err();
    assert!(matches!(wrong, Defect::TrackId { expected: 7, found: 1, .. }), "{wrong}");
    assert_eq!(wrong.class(), "track-id");
}

#[test]
fn segment_that_lasts_too_long_is_refused() {
    let limits = Limits { duration_max_ms: 1999, ..Limits::DEFAULT };
    let wrong = walk::media(&init(Track::Video), &FIXTURE.video.1[0], limits).unwrap_err();
    assert_eq!(wrong, Defect::TooLong { duration_ms: 2000, max_ms: 1999 });
    assert_eq!(wrong.class(), "segment-too-long");
}

#[test]
fn segment_larger_than_allowed_is_refused_before_its_end() {
    let segment = &FIXTURE.video.1[0];
    let limits = Limits { size_max_bytes: segment.len() as u64 - 1, ..Limits::DEFAULT };
    let mut walker = Walker::media(&init(Track::Video), limits);
    assert_eq!(walker.push(&segment[..segment.len() / 2]).unwrap_err().class(), "too-large");
}

#[test]
fn segment_is_accepted_from_its_heads_alone() {
    let (init, segment) = (init(Track::Video), &FIXTURE.video.1[0]);
    let mut walker = Walker::media(&init, Limits::DEFAULT);
    let (mut at, mut read) = (0, 0);
    while at < segment.len() {
        let skip = (walker.skippable_bytes() as usize).min(segment.len() - at);
        walker.skip(skip as u64);
        at += skip;
        let take = (segment.len() - at).min(64);
        walker.push(&segment[at..at + take]).unwrap();
        (at, read) = (at + take, read + take);
    }
    assert_eq!(walker.finish(), Ok(Accepted::Media(walk::media(&init, segment, Limits::DEFAULT).unwrap())));
    assert!(read < 2500, "{read} bytes read");
}

#[test]
fn noise_is_refused() {
    let init = init(Track::Video);
    let error = |bytes: &[u8]| walk::media(&init, bytes, Limits::DEFAULT).unwrap_err().class();
    assert_eq!(error(b""), "zero-byte");
    assert_eq!(error(b"\x1a\x45\xdf\xa3\x01\0\0\0"), "not-iso-bmff");
    assert_eq!(error(b"<html>not found</html>"), "too-large");
    assert_eq!(error(&[0; 4096]), "bad-box");
    assert_eq!(error(&FIXTURE.video.0), "bad-box");
    assert_eq!(error(b"\0\0\0\x08styp"), "empty");
}

#[test]
fn hostile_segment_is_refused_early() {
    let init = init(Track::Video);
    let error = |bytes: &[u8]| walk::media(&init, bytes, Limits::NONE).unwrap_err();
    assert_eq!(error(&b"\0\0\0\x08free".repeat(100_000)).class(), "bad-box");
    // A moof of claimed 4 GiB, a trun of 2^32 samples without a table, a table longer than the box.
    assert_eq!(error(b"\xff\xff\xff\xffmoof").class(), "too-large");
    let segment = &FIXTURE.video.1[0];
    let trun = segment.windows(4).position(|word| word == b"trun").unwrap();
    let mut many = segment.clone();
    many[trun + 8..trun + 12].fill(0xff);
    assert_eq!(error(&many).class(), "too-many-samples");
    many[trun + 8..trun + 12].copy_from_slice(&500u32.to_be_bytes());
    assert_eq!(error(&many).class(), "bad-moof");
}

/// A new kind of defect needs its bytes in the test below.
fn is_made(defect: &Defect) -> bool {
    match defect {
        Defect::ZeroByte
        | Defect::NotIsoBmff
        | Defect::TruncatedBox { .. }
        | Defect::BadBox { .. }
        | Defect::MissingBox { .. }
        | Defect::BadMoof { .. }
        | Defect::MdatCoverage { .. }
        | Defect::TfdtMissing { .. }
        | Defect::TrackId { .. }
        | Defect::SampleDescription { .. }
        | Defect::Descriptions { .. }
        | Defect::WrongInit { .. }
        | Defect::MissingInit
        | Defect::UnsupportedCodec { .. }
        | Defect::TooLarge { .. }
        | Defect::TooManySamples { .. }
        | Defect::TooLong { .. }
        | Defect::Empty => true,
    }
}

/// A whole file of FFmpeg's where a segment should be.
fn webm() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sound.webm");
    let mut ffmpeg = std::process::Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin"]).args(AAC.input).args(["-t", "1", "-c:a", "libopus"]).arg(&path);
    sets::run(&mut ffmpeg);
    std::fs::read(path).unwrap()
}

/// Class of a defect, the box and the byte that it names, and the defect.
type Case<'a> = (&'a str, Option<(&'a [u8; 4], usize)>, Defect);

/// Damage as it comes: a cut, wrong bytes in a head or a table, an object of something else. Each is told with the box and
/// the byte where somebody has to look.
#[test]
fn each_defect_names_its_box_and_its_byte() {
    let (init_bytes, segment) = (&FIXTURE.video.0, &FIXTURE.video.1[1]);
    let at = |bytes: &[u8], kind: &[u8; 4]| bytes.windows(4).position(|word| word == kind).unwrap() - 4;
    let put = |bytes: &[u8], at: usize, new: &[u8]| {
        let mut damaged = bytes.to_vec();
        damaged[at..at + new.len()].copy_from_slice(new);
        damaged
    };
    let [moof, traf, tfhd, tfdt, trun, mdat] =
        [b"moof", b"traf", b"tfhd", b"tfdt", b"trun", b"mdat"].map(|kind| at(segment, kind));
    let (trex, stsd, stsd_entry) = (at(init_bytes, b"trex"), at(init_bytes, b"stsd"), at(init_bytes, b"avc1"));
    let media = |bytes: &[u8]| walk::media(&init(Track::Video), bytes, Limits::DEFAULT).unwrap_err();
    let head = |bytes: &[u8]| Init::parse(Track::Video, bytes).unwrap_err();
    // Version and flags, count, data offset, flags of the first sample, and then its size, as all samples last as long.
    let size = trun + 24..trun + 28;
    let longer = u32::from_be_bytes(segment[size.clone()].try_into().unwrap()) + 1;
    let second = Init::parse(Track::Video, &put(init_bytes, trex + 16, &2u32.to_be_bytes())).unwrap();
    let short = Limits { duration_max_ms: 10, ..Limits::DEFAULT };
    let cases: [Case<'_>; 20] = [
        ("zero-byte", None, media(b"")),
        ("not-iso-bmff", None, media(&webm())),
        ("truncated-box", Some((b"mdat", mdat)), media(&segment[..segment.len() * 2 / 3])),
        ("truncated-box", Some((b"moof", moof)), media(&segment[..trun])),
        ("bad-box", Some((b"\0\0\0\0", 0)), media(&put(segment, 4, &[0; 4]))),
        ("bad-box", Some((b"traf", traf)), media(&put(segment, tfhd + 4, b"free"))),
        ("bad-moof", Some((b"trun", trun)), media(&put(segment, trun + 12, &59u32.to_be_bytes()))),
        ("bad-moof", Some((b"trun", trun)), media(&put(segment, trun + 8, &[2]))),
        ("bad-moof", Some((b"tfdt", tfdt)), media(&put(segment, tfdt + 8, &[0]))),
        ("mdat-coverage", Some((b"mdat", segment.len())), media(&put(segment, size.start, &longer.to_be_bytes()))),
        ("tfdt-missing", Some((b"traf", traf)), media(&put(segment, tfdt + 4, b"free"))),
        ("track-id", Some((b"tfhd", tfhd)), media(&put(segment, tfhd + 15, &[9]))),
        ("sample-description", Some((b"tfhd", tfhd)), walk::media(&second, segment, Limits::DEFAULT).unwrap_err()),
        ("sample-description", Some((b"stsd", stsd)), head(&put(init_bytes, stsd + 12, &2u32.to_be_bytes()))),
        ("wrong-init", None, head(&FIXTURE.audio.0)),
        ("missing-init", None, head(&init_bytes[..at(init_bytes, b"moov")])),
        ("unsupported-codec", Some((b"stsd", 0)), head(&put(init_bytes, stsd_entry + 4, b"encv"))),
        ("too-large", Some((b"mdat", mdat)), media(&put(segment, mdat, &[0x7f; 4]))),
        ("too-many-samples", None, media(&put(segment, trun + 12, &[0xff; 4]))),
        ("segment-too-long", None, walk::media(&init(Track::Video), segment, short).unwrap_err()),
    ];
    for (class, place, defect) in cases {
        let expected = place.map(|(kind, at)| (FourCc(*kind), at as u64));
        assert_eq!((defect.class(), defect.place()), (class, expected), "{defect}");
        let tells =
            expected.is_none_or(|(_, at)| defect.to_string().contains(&at.to_string()) || class == "unsupported-codec");
        assert!(is_made(&defect) && tells, "{defect}");
    }
    let empty = media(&segment[..moof]);
    assert_eq!((empty.class(), empty.place()), ("empty", None));
}

/// Where the `moof` of a segment lies.
fn moof(segment: &[u8]) -> std::ops::Range<usize> {
    let moof = Boxes::of(segment).map(Result::unwrap).find(|found| found.kind == FourCc(*b"moof")).unwrap();
    moof.at as usize..moof.at as usize + moof.whole.len()
}

/// Every byte of every `mdat` belongs to exactly one sample, told from the accepted index and the boxes alone.
fn assert_covered(segment: &[u8], media: &Media) {
    let mut ranges: Vec<_> = IndexReader::open(&media.index)
        .unwrap()
        .fragments()
        .flat_map(|fragment| fragment.ranges())
        .filter(|range| range.len > 0)
        .map(|range| (range.offset, range.offset + range.len))
        .collect();
    ranges.sort_unstable();
    for found in Boxes::of(segment).map(Result::unwrap).filter(|found| found.kind == FourCc(*b"mdat")) {
        let end = found.at + found.whole.len() as u64;
        let mut at = end - found.body.len() as u64;
        while at < end {
            assert_eq!(ranges.first().map(|range| range.0), Some(at));
            at = ranges.remove(0).1;
        }
        assert_eq!(at, end);
    }
    assert_eq!(ranges, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn walker_does_not_care_how_the_bytes_arrive(mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40), cut_short in any::<Option<prop::sample::Index>>()) {
        let (init, segment) = (init(Track::Audio), &FIXTURE.audio.1[1]);
        let object = &segment[..cut_short.map_or(segment.len(), |at| at.index(segment.len()))];
        let mut cuts: Vec<_> = cuts.drain(..).map(|cut| cut.index(object.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(walk_in_pieces(&init, object, &cuts), walk::media(&init, object, Limits::DEFAULT));
    }

    #[test]
    fn damaged_fragment_is_refused_or_covers_its_bytes(hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        for track in Track::ALL {
            let init = init(track);
            let mut segment = if track == Track::Video { FIXTURE.video.1[1].clone() } else { FIXTURE.audio.1[1].clone() };
            let place = moof(&segment);
            for (at, byte) in &hits {
                segment[place.start + at.index(place.len())] = *byte;
            }
            if let Ok(media) = walk::media(&init, &segment, Limits::DEFAULT) {
                assert_covered(&segment, &media);
            }
        }
    }

    #[test]
    fn noise_in_an_init_never_panics(hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = FIXTURE.video.0.clone();
        for (at, byte) in &hits {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        let _ = Init::parse(Track::Video, &bytes);
    }
}

#[test]
fn walker_takes_single_bytes() {
    let (init, segment) = (init(Track::Video), &FIXTURE.video.1[0]);
    let cuts: Vec<_> = (1..segment.len()).collect();
    assert_eq!(walk_in_pieces(&init, segment, &cuts), walk::media(&init, segment, Limits::DEFAULT));
}
