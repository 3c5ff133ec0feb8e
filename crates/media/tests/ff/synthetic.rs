//! The synthetic source through segmenter, oracle and decoders.

use crate::made::{self, Made, assert_same_packets, probe_hashes, run, seconds};
use domain::segment::Track;
use media::ff::segmenter::{Event, Options, Pace, segment_synthetic};
use media::ff::{Error, decode, digest, probe, synth};
use media::folder;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// Every frame is there, once, in order, at its own time.
fn assert_counts(path: &Path, count: u32, frame_ticks: i64) {
    let frames: Vec<_> = decode::frames(path).unwrap().collect::<Result<_, _>>().unwrap();
    let counters: Vec<_> = frames.iter().map(|frame| frame.counter).collect();
    assert_eq!(counters, (0..count).map(Some).collect::<Vec<_>>());
    for (n, frame) in frames.iter().enumerate() {
        assert_eq!(frame.pts * 90_000, n as i64 * frame_ticks * i64::from(frame.timescale), "frame {n}");
    }
}

#[test]
fn synthetic_source_is_exact_in_time_and_every_frame_reads_back() {
    for (config, length, last_index) in
        [("640x360@30", 6, 3), ("1280x720@30", 3, 2), ("320x180@60", 3, 2), ("1920x1080@24", 2, 1)]
    {
        let made = made::synthetic(config, &seconds(length));
        let config: synth::Config = config.parse().unwrap();
        let frames = length as u32 * config.fps;
        assert_eq!(made.summary.duration_ms(), length * 1000);
        assert_eq!(made.length(Track::Video), (length * 90_000, 90_000));
        // The encoder's priming comes on top and is skipped by the edit list.
        assert_eq!(made.length(Track::Audio), (length * 48_000 + 1024, 48_000));
        assert_eq!(made.summary.tracks.iter().map(|t| t.last_index).collect::<Vec<_>>(), [last_index; 2]);
        for (bytes, span) in &made.tracks[&Track::Video].segments {
            assert!(span.duration <= 180_000);
            let bit_rate = bytes.len() as u64 * 8 * 90_000 / span.duration;
            assert!((100_000..20_000_000).contains(&bit_rate), "{bit_rate} bit/s is not that of a recording");
        }
        assert_counts(&made.track_file(Track::Video), frames, config.frame_ticks());
    }
}

#[test]
fn synthetic_source_reorders_frames_unless_told_not_to() {
    let reordered = |made: &Made| {
        let track = digest::packet_digest(&made.track_file(Track::Video), Track::Video).unwrap().unwrap();
        track.packets.iter().filter(|packet| packet.pts != packet.dts).count()
    };
    let with = made::synthetic("320x180@30", &seconds(2));
    assert!(reordered(&with) > 0);
    let config = synth::Config { b_frames: false, sound: false, ..synth::Config::default() };
    let without = made::made(|sink| segment_synthetic(&config, &seconds(2), sink)).unwrap();
    assert_eq!((reordered(&without), without.tracks.len()), (0, 1));
}

#[test]
fn ffprobe_reads_the_same_from_the_concatenated_tracks() {
    let made = made::synthetic("", &seconds(6));
    let entries = ["-count_packets", "-show_entries", "stream=nb_read_packets,start_time,duration", "-of", "csv=p=0"];
    let tell = |track| run("ffprobe", &[&entries[..], &[made.track_file(track).to_str().unwrap()]].concat());
    assert_eq!(tell(Track::Video).trim(), "0.000000,6.000000,180");
    // Priming begins 1024 samples before the clock.
    assert_eq!(tell(Track::Audio).trim(), "-0.021333,6.021333,283");
    for track in Track::ALL {
        let ours = digest::packet_digest(&made.track_file(track), track).unwrap().unwrap();
        assert_eq!(ours.packets.len(), probe_hashes(&made.track_file(track), "0").len());
        let whole = Cursor::new(made::concatenated(&made.tracks[&track]));
        assert!(digest::packet_digest_of("memory", whole, track).unwrap().unwrap() == ours);
    }
}

#[test]
fn oracle_holds_every_packet_and_decodes_clean() {
    let made = made::synthetic("", &seconds(6));
    let (result, report) = made.mux();
    let bytes = std::fs::read(&result).unwrap();
    assert_eq!((&bytes[4..8], report.bytes), (&b"ftyp"[..], bytes.len() as u64));
    let index = bytes.windows(4).position(|name| name == b"moov").unwrap();
    assert!(index < bytes.windows(4).position(|name| name == b"mdat").unwrap(), "the index comes first");
    for (track, stream) in [(Track::Video, "v:0"), (Track::Audio, "a:0")] {
        let source = digest::packet_digest(&made.track_file(track), track).unwrap().unwrap();
        let muxed = digest::packet_digest(&result, track).unwrap().unwrap();
        let times = |digest: &digest::TrackDigest| {
            let scale = i64::from(digest.timescale);
            digest
                .packets
                .iter()
                .map(|p| (p.sha256, p.key, p.pts * 90_000 / scale, p.dts * 90_000 / scale))
                .collect::<Vec<_>>()
        };
        assert!(times(&source) == times(&muxed), "{track}: payload, sync flag and both times of every packet");
        assert_same_packets(&result, stream, &made.track_file(track), "0");
        let counted = report.tracks.iter().find(|counted| counted.track == track).unwrap();
        assert_eq!(counted.packets as usize, source.packets.len());
        assert_eq!(counted.payload_bytes, source.packets.iter().map(|p| p.size_bytes).sum::<u64>());
        assert_eq!(counted.start, 0);
        // FFmpeg's demuxer does not tell that the last packet of sound is short.
        let late = counted.end - 6 * i64::from(counted.timescale);
        assert!(late == 0 || track == Track::Audio && (0..1024).contains(&late), "{track} ends {late} late");
    }
    let check = decode::check_all(&result).unwrap();
    assert_eq!(check.video.unwrap(), decode::Decoded { packets: 180, frames: 180 });
    assert_eq!(check.audio.unwrap().packets, 283);
    assert!(made::sampled(&result).unwrap().frames >= 3);
    run("ffmpeg", &["-xerror", "-i", result.to_str().unwrap(), "-f", "null", "-"]);
    assert_counts(&result, 180, 3000);
    let probe = probe::probe(&result).unwrap();
    assert!(probe.duration_ms.abs_diff(6000) <= 16, "{probe:?}");
    let [video, audio] = &probe.tracks[..] else { panic!("{probe:?}") };
    assert_eq!((video.codec.as_str(), video.width, video.height, video.fps), ("h264", 640, 360, 30.0));
    assert_eq!((audio.codec.as_str(), audio.sample_rate, audio.channels), ("aac", 48_000, 2));
    assert_eq!((video.start, audio.start), (0, 0));
}

#[test]
fn index_path_and_oracle_make_the_same_of_the_same_segments() {
    let made = made::synthetic("320x180@30", &seconds(5));
    let (oracle, _) = made.mux();
    let ours = made.dir.path().join("ours.mp4");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let report = runtime.block_on(folder::mux(made.dir.path(), &ours, &folder::Options::default(), |_| {}));
    assert_eq!((report.status, report.duration_ms), (folder::Status::Complete, Some(5000)), "{report:?}");
    for track in Track::ALL {
        let [ours, oracle] = [&ours, &oracle].map(|path| digest::packet_digest(path, track).unwrap().unwrap());
        let facts = |digest: &digest::TrackDigest| {
            let scale = i64::from(digest.timescale);
            digest
                .packets
                .iter()
                .map(|p| (p.sha256, p.key, p.pts * 90_000 / scale, p.dts * 90_000 / scale))
                .collect::<Vec<_>>()
        };
        assert!(facts(&ours) == facts(&oracle), "{track}: payload, sync flag and both times of every packet");
    }
    assert_eq!(decode::check_all(&ours).unwrap(), decode::check_all(&oracle).unwrap());
    assert_counts(&ours, 150, 3000);
}

#[test]
fn beeps_are_heard_on_the_seconds_that_the_picture_shows() {
    let made = made::synthetic("320x180@30", &seconds(4));
    let (result, _) = made.mux();
    let raw = made.dir.path().join("sound.f32");
    run("ffmpeg", &["-i", result.to_str().unwrap(), "-map", "0:a", "-ac", "1", "-f", "f32le", raw.to_str().unwrap()]);
    let samples: Vec<f32> =
        std::fs::read(raw).unwrap().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    for second in 0..4 {
        let at = second * 48_000;
        let loudest = |range: std::ops::Range<usize>| samples[range].iter().fold(0.0_f32, |max, s| max.max(s.abs()));
        // An encoder smears what is sudden over one of its frames, so the edge is sought within 10 ms. FFmpeg's own
        // decoder presents the priming packet of some files (21 ms): that would be found here.
        assert!(loudest(at + 480..at + 4000) > 0.3, "beep of second {second}");
        assert!(loudest(at + 5300..at + 47_000) < 0.05, "silence after the beep of second {second}");
        if second > 0 {
            assert!(loudest(at - 2000..at - 480) < 0.1, "silence before second {second}");
        }
    }
}

#[test]
fn paced_source_takes_its_time_and_stops_when_asked() {
    let options = Options { pace: Pace::Realtime, limit: None, ..Options::default() };
    let stop = options.stop.clone();
    let begun = Instant::now();
    let made = made::made(|sink| {
        segment_synthetic(&"320x180@30".parse()?, &options, |event| {
            if matches!(event, Event::Segment { track: Track::Video, .. }) {
                stop.ask();
            }
            sink(event)
        })
    });
    let made = made.unwrap();
    // The first segment ends after 2 s of the source; what was begun until the end was asked for still comes out.
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert!(made.summary.duration_ms() >= 2000, "{:?}", made.summary);
    let frames = made.length(Track::Video).0 / 3000;
    assert_counts(&made.track_file(Track::Video), frames as u32, 3000);
}

#[test]
fn source_ends_when_nobody_takes_its_segments() {
    let mut taken = 0;
    let answer = segment_synthetic(&synth::Config::default(), &Options::default(), |_| {
        taken += 1;
        if taken < 4 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    assert!(matches!(answer, Err(Error::Abandoned)), "{answer:?}");
    assert_eq!(taken, 4);
}
