//! FFmpeg as a player.

use crate::checker::Checker;
use crate::serving::{Serving, checked, settings, settled, token};
use crate::support::{PATIENCE, packets, wait};
use crate::world::{World, set};
use domain::id::RecordingId;
use domain::job::Queue;
use domain::segment::{Name, Track};
use std::process::Command;

/// Packets of each kind of stream that a player gets from a playlist.
fn played(url: &str) -> Vec<(String, usize)> {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-count_packets",
            "-show_entries",
            "stream=codec_type,nb_read_packets",
            "-of",
            "csv=p=0",
            url,
        ])
        .output()
        .expect("ffprobe is installed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{complaint}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: std::collections::BTreeSet<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let pair = |line: &str| {
        let (kind, count) = line.split_once(',').unwrap_or_else(|| panic!("{text}"));
        (kind.to_owned(), count.trim_end_matches(',').parse().unwrap_or_else(|_| panic!("{text}")))
    };
    lines.into_iter().map(pair).collect()
}

async fn ended(world: &World, id: &RecordingId) {
    let sql = "SELECT count(*) FROM spool.recording WHERE id = $1 AND listing_ended_at IS NOT NULL";
    wait::until("the listing has ended", PATIENCE, async || {
        (world.number(sql, [id.as_str().into()]).await == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_gets_every_packet_of_a_finished_recording() {
    let world = World::with(settings).await;
    let worker = world.work_on(&[Queue::Ingest, Queue::Control]);
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, _| true).await;
    world.declare(&id, set()).await;
    world.complete(&id).await;
    ended(&world, &id).await;
    let serving = Serving::start(&world).await;
    let folder = tempfile::tempdir().unwrap();
    set().write_to(folder.path());
    let sent =
        ["audio", "video"].map(|track| (track.to_owned(), packets::hashes_of_segments(folder.path(), track).len()));
    let url = format!("{}/hls/{id}/index.m3u8?token={}", serving.base, token(&world, &id));
    let got = tokio::task::spawn_blocking(move || played(&url)).await.unwrap();
    assert_eq!(got, sent);
    worker.stop().await;
}

/// The end that viewers were told of holds, and so does everything before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reopened_recording_adds_nothing_to_what_has_ended() {
    let world = World::with(settings).await;
    let worker = world.work_on(&[Queue::Ingest, Queue::Control]);
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, index| index <= 2).await;
    settled(&world, &id).await;
    let serving = Serving::start(&world).await;
    let mut checker = Checker::new(id.as_str(), &token(&world, &id));
    checker.look(&serving).await;
    // Without a declaration the end waits for one; half a minute later it does not.
    world.complete(&id).await;
    checked(&world, &id).await;
    let by = std::time::Duration::from_secs(31);
    world.advance(by).await;
    checker.advanced(by);
    checker.may_end = true;
    ended(&world, &id).await;
    checker.look(&serving).await;
    assert!(checker.ended(Track::Video) && checker.ended(Track::Audio));
    let reopen = "UPDATE spool.recording SET state = 'live', plan_version = frozen_version + 1, signalled_at = NULL";
    world.execute(reopen, []).await;
    world.accept(&id, Track::Video, Name::Media(3), &set().tracks[&Track::Video].1[2]).await.unwrap();
    settled(&world, &id).await;
    checker.look(&serving).await;
    checker.look(&Serving::start(&world).await).await;
    assert_eq!(checker.count(Track::Video), 2);
    worker.stop().await;
}

/// Sound alone, and a picture alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_track_alone_is_a_recording_too() {
    let world = World::with(settings).await;
    let worker = world.work_on(&[Queue::Ingest]);
    let serving = Serving::start(&world).await;
    for only in Track::ALL {
        let id = world.create(only.as_str()).await;
        world.accept_set(&id, set(), |track, index| track == only && index <= 2).await;
        settled(&world, &id).await;
        let mut checker = Checker::new(id.as_str(), &token(&world, &id));
        checker.look(&serving).await;
        let counts = Track::ALL.map(|track| (track, checker.count(track)));
        assert!(counts.iter().all(|(track, count)| (*count == 2) == (*track == only)), "{counts:?}");
    }
    worker.stop().await;
}
