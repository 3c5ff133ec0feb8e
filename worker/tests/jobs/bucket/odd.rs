//! A track of another container in the bucket: Opus in WebM segments, as FFmpeg's dash muxer writes it.

use super::uploader::{Form, Place, Uploader, set, world};
use crate::support::{PATIENCE, S3Server, packets, wait};
use crate::world::World;
use domain::job::{Kind, Queue};
use domain::mux::{Gap, GapCause};
use domain::recording::State;
use domain::segment::{Name, Track};
use sea_orm::ConnectionTrait as _;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use worker::config::Engine;

/// Twelve seconds of sound in four WebM segments and their head, below `folder`.
fn sound_in_webm(folder: &Path, codec: &str) -> PathBuf {
    let folder = folder.join("audio");
    std::fs::create_dir(&folder).unwrap();
    let words = format!(
        "-v error -f lavfi -i sine=frequency=440:sample_rate=48000:duration=11.9 -c:a {codec} -f dash \
         -dash_segment_type webm -seg_duration 3 -use_template 1 -use_timeline 0 -init_seg_name init.mp4 \
         -media_seg_name segment_$Number%03d$.m4s manifest.mpd"
    );
    let output = Command::new("ffmpeg").args(words.split_whitespace()).current_dir(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

fn object(folder: &Path, index: u32) -> Vec<u8> {
    std::fs::read(folder.join(Name::of_index(index).to_string())).unwrap()
}

/// The set's picture and this sound, whole and declared, up to the frozen plan.
async fn planned<'a>(world: &'a World, id: &str, audio: &Path) -> Uploader<'a> {
    let mut uploader = Uploader::new(world, id, Form::Objects).await;
    uploader.put_all(|track, _| track == Track::Video).await;
    for index in 0..=4 {
        uploader.put_bytes(Track::Audio, Name::of_index(index), &object(audio, index)).await;
    }
    uploader.name(|_, _| true);
    uploader.complete = true;
    uploader.put_manifest().await;
    let worker = world.work_on(&[Queue::Ingest, Queue::Control]);
    world.complete(&uploader.id).await;
    world.until_planned(&uploader.id).await;
    worker.stop().await;
    uploader
}

/// What `result.json` says.
async fn told(world: &World, id: &str) -> Value {
    serde_json::from_slice(&world.cx.store.get(&format!("o/{id}/result.json")).await.unwrap()).unwrap()
}

fn told_gaps(gaps: &[Gap]) -> Vec<(Track, Vec<u32>, GapCause)> {
    gaps.iter().map(|gap| (gap.track, gap.segments.clone(), gap.cause)).collect()
}

/// A segment of sound never comes, and one of picture is cut off. The sound is filled with silence; the picture, which is
/// plain, is not touched by libavformat and keeps its whole samples.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn track_in_webm_is_finalized_through_libavformat_and_the_plain_one_as_ever() {
    let world = world(&Place::Folder, |_| {}).await;
    let worker = world.work();
    let made = tempfile::tempdir().unwrap();
    let audio = sound_in_webm(made.path(), "libopus");
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    let third = &set().tracks[&Track::Video].1[2];
    uploader.put_bytes(Track::Video, Name::Media(3), &third[..third.len() * 2 / 3]).await;
    uploader.put_all(|track, index| track == Track::Video && index != 3).await;
    for index in [0, 1, 3, 4] {
        uploader.put_bytes(Track::Audio, Name::of_index(index), &object(&audio, index)).await;
    }
    uploader.name(|_, _| true);
    uploader.complete = true;
    uploader.put_manifest().await;
    world.complete(&uploader.id).await;
    let ready = world.until_state(&uploader.id, State::Ready).await;
    assert!(ready.degraded, "{:?}", ready.error);
    let served = ready.result.unwrap();
    assert!(served.key.starts_with("o/r/result.v1-"), "{}", served.key);
    assert_eq!(served.audio_codec.as_deref(), Some("opus"));
    let expected = [(Track::Video, vec![3], GapCause::Truncated), (Track::Audio, vec![2], GapCause::Missing)];
    assert_eq!(told_gaps(&ready.gaps), expected);
    let gap = &ready.gaps[1];
    assert!(gap.from_ms.abs_diff(3_000) < 150 && gap.to_ms.abs_diff(6_000) < 150, "{gap:?}");

    let result = uploader.result(&made).await;
    set().write_to(&made.path().join("sent"));
    let sent = packets::hashes_of_segments(&made.path().join("sent"), "video");
    let (shown, a_segment) = (packets::hashes(&result, "v"), sent.len() / 6);
    let kept = shown.len() - 5 * a_segment;
    assert!((5..a_segment).contains(&kept), "{kept} pictures of the one that is cut");
    assert_eq!(shown, [&sent[..2 * a_segment + kept], &sent[3 * a_segment..]].concat());

    std::fs::remove_file(audio.join("segment_002.m4s")).unwrap();
    let (heard, recorded) = (packets::hashes(&result, "a"), packets::hashes_of_segments(made.path(), "audio"));
    let facts = told(&world, "r").await;
    let silent = facts["tracks"][1]["silent_packets"].as_u64().unwrap() as usize;
    assert!((140..=150).contains(&silent) && heard.len() == recorded.len() + silent, "{silent} packets of silence");
    let before = heard.iter().zip(&recorded).take_while(|(heard, recorded)| heard == recorded).count();
    assert!(heard[before..before + silent].iter().all(|packet| *packet == heard[before]));
    assert_eq!(heard[before + silent..], recorded[before..]);
    packets::assert_decodes(&result);
    assert_eq!((&facts["engine"], &facts["status"]), (&"libavformat".into(), &"degraded".into()), "{facts}");
    let kinds: Vec<_> = facts["repairs"].as_array().unwrap().iter().map(|repair| &repair["kind"]).collect();
    assert!(kinds.contains(&&"salvage".into()) && kinds.contains(&&"silence".into()), "{kinds:?}");
    assert_eq!(facts["segments"].as_array().unwrap().len(), 6 + 3);
    worker.stop().await;
}

/// The uploader has lost three seconds without a number for them, and of its last segment nothing can be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jump_and_garbage_inside_webm_are_gaps_with_their_times() {
    let world = world(&Place::Folder, |config| config.live.max_gap_ratio = 0.6).await;
    let worker = world.work();
    let made = tempfile::tempdir().unwrap();
    let audio = sound_in_webm(made.path(), "libopus");
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.put_all(|track, _| track == Track::Video).await;
    for (index, of) in [(0, 0), (1, 1), (2, 3)] {
        uploader.put_bytes(Track::Audio, Name::of_index(index), &object(&audio, of)).await;
    }
    uploader.put_bytes(Track::Audio, Name::Media(3), &vec![0; 20_000]).await;
    uploader.name(|track, index| track == Track::Video || index <= 3);
    uploader.complete = true;
    uploader.put_manifest().await;
    world.complete(&uploader.id).await;
    let ready = wait::until("it has ended", PATIENCE, async || {
        Some(world.recording(&uploader.id).await).filter(|now| matches!(now.state, State::Ready | State::Failed))
    })
    .await;
    assert_eq!(ready.error, None);
    let expected = [(Track::Audio, vec![], GapCause::Jump), (Track::Audio, vec![3], GapCause::Damaged)];
    assert_eq!(told_gaps(&ready.gaps), expected, "{:?}", ready.gaps);
    for (gap, (from_ms, to_ms)) in ready.gaps.iter().zip([(3_000, 6_000), (9_000, 12_000)]) {
        assert!(gap.from_ms.abs_diff(from_ms) < 150 && gap.to_ms.abs_diff(to_ms) < 150, "{gap:?}");
    }
    worker.stop().await;
}

/// One byte of a segment is another one than when the plan was made; where the store has entity tags it has another tag.
/// What was written again with the same bytes is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_that_was_written_again_after_the_plan_is_no_longer_the_source() {
    let made = tempfile::tempdir().unwrap();
    let audio = sound_in_webm(made.path(), "libopus");
    for place in [Place::Folder, Place::Server(S3Server::start().await)] {
        let world = world(&place, |_| {}).await;
        for (id, index, change) in [("same", 2, 0), ("head", 0, 1), ("segment", 2, 1)] {
            let uploader = planned(&world, id, &audio).await;
            let mut bytes = object(&audio, index);
            let last = bytes.len() - 1;
            bytes[last] ^= change;
            let name = Name::of_index(index);
            uploader.put_bytes(Track::Audio, name, &bytes).await;
            let worker = world.work();
            if change == 0 {
                assert!(!world.until_state(&uploader.id, State::Ready).await.degraded);
                worker.stop().await;
                continue;
            }
            let given_up = world.until_ended(&uploader.id, Kind::Mux, "discarded").await;
            assert_eq!(
                (given_up.error_class.as_deref(), given_up.attempt),
                (Some("source-changed"), 2),
                "{given_up:?}"
            );
            let (code, why) = world.until_state(&uploader.id, State::Failed).await.error.unwrap();
            assert!(code == "source-changed" && why.contains(&format!("audio {name}")), "{code}: {why}");
            worker.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_that_needs_more_scratch_than_allowed_is_refused_with_what_it_needs() {
    let made = tempfile::tempdir().unwrap();
    let audio = sound_in_webm(made.path(), "libopus");
    let size_bytes: usize = (0..=4).map(|index| object(&audio, index).len()).sum();
    let world = world(&Place::Folder, |config| config.mux.scratch_max.0 = size_bytes as u64 - 1).await;
    let uploader = planned(&world, "r", &audio).await;
    let worker = world.work();
    let (code, why) = world.until_state(&uploader.id, State::Failed).await.error.unwrap();
    assert_eq!(code, "scratch-max", "{why}");
    let words = [&format!("recording r needs {size_bytes} bytes"), "mux.scratch_max", &format!("{}", size_bytes - 1)];
    assert!(words.iter().all(|word| why.contains(word)), "{why}");
    assert_eq!(world.until_ended(&uploader.id, Kind::Mux, "discarded").await.attempt, 1);
    assert!(world.keys().await.iter().all(|key| !key.contains("result")));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_that_mp4_has_no_place_for_is_encoded_again_where_the_setting_allows_it() {
    let made = tempfile::tempdir().unwrap();
    let audio = sound_in_webm(made.path(), "libvorbis");
    for transcode in [false, true] {
        let world = world(&Place::Folder, |config| config.mux.transcode = transcode).await;
        let uploader = planned(&world, "r", &audio).await;
        // What is declared after the plan was frozen is nothing that the plan lacks.
        let late = r#"UPDATE spool.recording SET declared = jsonb_set(declared, '{tracks,audio,last_index}', '6')"#;
        world.cx.db.execute_unprepared(late).await.unwrap();
        let worker = world.work();
        if !transcode {
            let (code, why) = world.until_state(&uploader.id, State::Failed).await.error.unwrap();
            assert_eq!(code, "codec-not-in-mp4", "{why}");
            assert!(["audio", "vorbis", "AAC", "mux.transcode"].iter().all(|word| why.contains(word)), "{why}");
            worker.stop().await;
            continue;
        }
        let ready = world.until_state(&uploader.id, State::Ready).await;
        assert_eq!((ready.degraded, ready.gaps.as_slice()), (false, &[][..]));
        assert_eq!(ready.result.unwrap().audio_codec.as_deref(), Some("mp4a.40.2"));
        let facts = told(&world, "r").await;
        let repairs = facts["repairs"].as_array().unwrap();
        assert!(
            repairs.iter().any(|repair| repair["kind"] == "transcode" && repair["track"] == "audio"),
            "{repairs:?}"
        );
        let made_of: Vec<_> =
            facts["segments"].as_array().unwrap().iter().map(|of| (&of["track"], &of["index"])).collect();
        assert_eq!(made_of.len(), 6 + 4, "each has the source's index: {made_of:?}");
        let result = uploader.result(&made).await;
        packets::assert_decodes(&result);
        // Of 11.9 s at 48 kHz, in frames of 1024 samples.
        let heard = packets::hashes(&result, "a").len();
        assert!((557..=560).contains(&heard), "{heard} packets of sound");
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn track_in_webm_is_a_failure_where_only_the_index_may_read() {
    let world = world(&Place::Folder, |config| config.mux.engine = Engine::Index).await;
    let worker = world.work();
    let made = tempfile::tempdir().unwrap();
    let audio = sound_in_webm(made.path(), "libopus");
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.put_all(|track, _| track == Track::Video).await;
    for index in [0, 1] {
        uploader.put_bytes(Track::Audio, Name::of_index(index), &object(&audio, index)).await;
    }
    uploader.name(|track, index| track == Track::Video || index == 1);
    uploader.complete = true;
    uploader.put_manifest().await;
    world.complete(&uploader.id).await;
    let failed = world.until_state(&uploader.id, State::Failed).await;
    assert_eq!(failed.error.unwrap().0, "damaged-init");
    worker.stop().await;
}
