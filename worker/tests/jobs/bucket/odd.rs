//! A track of another container in the bucket: Opus in WebM segments, as FFmpeg's dash muxer writes it.

use super::uploader::{Form, Place, Uploader, set, world};
use crate::support::packets;
use domain::recording::State;
use domain::segment::{Name, Track};
use std::path::Path;
use std::process::Command;
use worker::config::Engine;

/// Twelve seconds of sound in four WebM segments and their head, into `folder`.
fn opus_in_webm(folder: &Path) {
    let words = "-v error -f lavfi -i sine=frequency=440:sample_rate=48000:duration=11.9 -c:a libopus -f dash \
                 -dash_segment_type webm -seg_duration 3 -use_template 1 -use_timeline 0 -init_seg_name init.mp4 \
                 -media_seg_name segment_$Number%03d$.m4s manifest.mpd";
    let output = Command::new("ffmpeg").args(words.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn track_in_webm_is_finalized_through_libavformat_and_its_gap_has_its_place() {
    let world = world(&Place::Folder, |_| {}).await;
    let worker = world.work();
    let made = tempfile::tempdir().unwrap();
    let audio = made.path().join("audio");
    std::fs::create_dir(&audio).unwrap();
    opus_in_webm(&audio);
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.put_all(|track, _| track == Track::Video).await;
    // The second one never comes.
    for index in [0, 1, 3, 4] {
        let name = Name::of_index(index);
        uploader.put_bytes(Track::Audio, name, &std::fs::read(audio.join(name.to_string())).unwrap()).await;
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
    let gaps: Vec<_> = ready.gaps.iter().map(|gap| (gap.track, gap.segments.clone())).collect();
    assert_eq!(gaps, [(Track::Audio, vec![2])]);
    let gap = &ready.gaps[0];
    assert!(gap.from_ms.abs_diff(3_000) < 150 && gap.to_ms.abs_diff(6_000) < 150, "{gap:?}");

    let result = uploader.result(&made).await;
    set().write_to(&made.path().join("sent"));
    let sent = packets::hashes_of_segments(&made.path().join("sent"), "video");
    assert_eq!(packets::hashes(&result, "v"), sent);
    std::fs::remove_file(audio.join("segment_002.m4s")).unwrap();
    assert_eq!(packets::hashes(&result, "a"), packets::hashes_of_segments(made.path(), "audio"));
    packets::assert_decodes(&result);
    let facts: serde_json::Value =
        serde_json::from_slice(&std::fs::read(world.object("o/r/result.json")).unwrap()).unwrap();
    assert_eq!((&facts["engine"], &facts["status"]), (&"libavformat".into(), &"degraded".into()), "{facts}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn track_in_webm_is_a_failure_where_only_the_index_may_read() {
    let world = world(&Place::Folder, |config| config.mux.engine = Engine::Index).await;
    let worker = world.work();
    let made = tempfile::tempdir().unwrap();
    opus_in_webm(made.path());
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.put_all(|track, _| track == Track::Video).await;
    let init = std::fs::read(made.path().join("init.mp4")).unwrap();
    uploader.put_bytes(Track::Audio, Name::Init, &init).await;
    let first = std::fs::read(made.path().join("segment_001.m4s")).unwrap();
    uploader.put_bytes(Track::Audio, Name::Media(1), &first).await;
    uploader.name(|track, index| track == Track::Video || index == 1);
    uploader.complete = true;
    uploader.put_manifest().await;
    world.complete(&uploader.id).await;
    let failed = world.until_state(&uploader.id, State::Failed).await;
    assert_eq!(failed.error.unwrap().0, "damaged-init");
    worker.stop().await;
}
