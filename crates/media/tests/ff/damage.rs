//! Damage is found, never taken for the end.

use crate::made::{self, run, seconds};
use domain::segment::Track;
use media::ff::oracle::{self, TrackInput};
use media::ff::{Error, decode, digest, full, probe};
use std::io::{Cursor, Read};

/// Fails after so many bytes, as a store does.
struct Failing {
    bytes: Cursor<Vec<u8>>,
    good: u64,
}

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = self.good - self.bytes.position();
        if left == 0 {
            return Err(std::io::Error::other("the store is away"));
        }
        let room = buffer.len().min(left as usize);
        self.bytes.read(&mut buffer[..room])
    }
}

#[test]
fn an_error_of_the_reader_is_not_the_end_of_the_file() {
    let made = made::synthetic("320x180@30", &seconds(6));
    let whole = made::concatenated(&made.tracks[&Track::Video]);
    // Between two segments, inside a moof, inside an mdat.
    let second = made.tracks[&Track::Video].init.len() + made.tracks[&Track::Video].segments[0].0.len();
    for good in [second, second + 100, second + 5000] {
        let reader = Failing { bytes: Cursor::new(whole.clone()), good: good as u64 };
        let answer = digest::packet_digest_of("failing", reader, Track::Video);
        assert!(matches!(answer, Err(Error::Ffmpeg { .. })), "{good}: {answer:?}");
        let reader = Failing { bytes: Cursor::new(whole.clone()), good: good as u64 };
        let out = made.dir.path().join("short.mp4");
        let inputs = vec![TrackInput { track: Track::Video, reader: Box::new(reader) }];
        assert!(oracle::mux(inputs, &out).is_err());
        assert!(!out.exists(), "no short result is left");
    }
}

#[test]
fn damaged_payload_is_found_by_the_full_check() {
    let made = made::synthetic("320x180@30", &seconds(4));
    let (result, _) = made.mux();
    let good = std::fs::read(&result).unwrap();
    assert!(decode::check_all_of("good", Cursor::new(good.clone())).is_ok());
    let mdat = good.windows(4).position(|name| name == b"mdat").unwrap();
    let mut found = 0;
    for place in 1..=8 {
        let mut bad = good.clone();
        let at = mdat + (bad.len() - mdat) * place / 9;
        for byte in &mut bad[at..at + 400] {
            *byte ^= 0x5a;
        }
        match decode::check_all_of("bad", Cursor::new(bad)) {
            Err(Error::Corrupt { object, .. }) => {
                assert_eq!(object, "bad");
                found += 1;
            }
            Err(other) => panic!("{other}"),
            // Entropy-coded bits of one slice may happen to decode; most do not.
            Ok(_) => {}
        }
    }
    assert!(found >= 6, "{found} of 8 found");
}

#[test]
fn damaged_first_picture_is_found_by_the_sampled_check() {
    let made = made::synthetic("320x180@30", &seconds(4));
    let (result, _) = made.mux();
    assert_eq!(made::sampled(&result).unwrap().gaps, []);
    let mut bad = std::fs::read(&result).unwrap();
    let entries = ["-select_streams", "v", "-show_entries", "packet=pos", "-of", "csv=p=0", result.to_str().unwrap()];
    let first: usize = run("ffprobe", &entries).lines().next().unwrap().trim_end_matches(',').parse().unwrap();
    // The first bytes of a sample are its length and its header: nothing decodes without them.
    bad[first..first + 2000].fill(0xff);
    let bad_file = result.with_file_name("bad.mp4");
    std::fs::write(&bad_file, &bad).unwrap();
    let found = made::sampled(&bad_file).unwrap();
    assert!(found.gaps.iter().any(|gap| gap.track == Track::Video && gap.from_ms == 0), "{found:?}");
    assert!(found.what.unwrap().contains("damaged at packet"));
    let full = full::decode(&bad_file, |_| {}).unwrap();
    let video = full.iter().find(|full| full.track == Track::Video).unwrap();
    assert_eq!((video.packets, video.first[0].offset, video.first[0].framed), (120, first as u64, false));
    assert!(video.frames >= 59, "everything behind the damage is decoded: {} frames", video.frames);
}

#[test]
fn an_init_of_the_other_kind_is_no_track() {
    let made = made::synthetic("320x180@30", &seconds(2));
    let audio = made::concatenated(&made.tracks[&Track::Audio]);
    let out = made.dir.path().join("wrong.mp4");
    let inputs = vec![TrackInput { track: Track::Video, reader: Box::new(Cursor::new(audio)) }];
    assert!(matches!(oracle::mux(inputs, &out), Err(Error::NoStream { .. })));
    assert!(!out.exists());
}

#[test]
fn a_list_of_other_files_is_not_opened() {
    let made = made::synthetic("320x180@30", &seconds(2));
    let (result, _) = made.mux();
    assert!(probe::probe(&result).is_ok());
    let name = result.file_name().unwrap().to_str().unwrap();
    let playlist = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{name}\n#EXT-X-ENDLIST\n");
    let script = format!("ffconcat version 1.0\nfile {name}\n");
    for (list, extension) in [(playlist, "m3u8"), (script, "ffconcat")] {
        let path = result.with_extension(extension);
        std::fs::write(&path, &list).unwrap();
        // FFmpeg itself follows both.
        run(
            "ffprobe",
            &["-allowed_extensions", "ALL", path.to_str().unwrap()][if extension == "m3u8" { 0 } else { 2 }..],
        );
        assert!(probe::probe(&path).is_err(), "{extension}");
        assert!(probe::probe_of("stranger", Cursor::new(list.clone().into_bytes())).is_err());
        assert!(decode::check_all(&path).is_err());
        let inputs = vec![TrackInput { track: Track::Video, reader: Box::new(Cursor::new(list.into_bytes())) }];
        assert!(oracle::mux(inputs, &made.dir.path().join("followed.mp4")).is_err());
    }
}
