//! Recordings that another uploader writes straight into the bucket: shown while they go on, and finalized.

mod claims;
mod corrupt;
mod cost;
mod damage;
mod ends;
mod odd;
mod placed;
mod uploader;

use crate::support::{PATIENCE, S3Server, packets, wait};
use domain::job::Kind;
use domain::recording::State;
use domain::segment::Track;
use uploader::{Form, Place, Uploader, set, world};

/// From the first object to the last delete, on one kind of store.
async fn whole_life(place: Place) {
    let world = world(&place, |config| config.cleanup.grace = std::time::Duration::from_secs(2)).await;
    let worker = world.work();
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.put(Track::Video, 0).await;
    uploader.put(Track::Audio, 0).await;
    let (mut listed, mut heard) = (Vec::new(), 0);
    // Six rounds of two seconds; a segment of sound comes when it is full.
    for round in 1..=6_u32 {
        uploader.put(Track::Video, round).await;
        let sound = round * 2 / 3;
        if sound > heard {
            uploader.put(Track::Audio, sound).await;
            heard = sound;
        }
        uploader.name(|track, index| if track == Track::Video { index <= round } else { index <= sound });
        uploader.put_manifest().await;
        let before = listed;
        listed = uploader.until_listed((round + sound) as usize).await;
        assert_eq!(listed.len(), (round + sound) as usize, "{listed:?}");
        let kept = before.iter().all(|row: &String| listed.contains(row));
        assert!(kept && listed.iter().all(|row| row.ends_with("media")), "{before:?} {listed:?}");
    }
    uploader.complete = true;
    uploader.put_manifest().await;
    world.complete(&uploader.id).await;
    let ready = world.until_state(&uploader.id, State::Ready).await;
    assert_eq!((ready.degraded, ready.tail_confirmed, ready.gaps.len()), (false, true, 0));
    let folder = tempfile::tempdir().unwrap();
    let sent = folder.path().join("sent");
    set().write_to(&sent);
    let result = uploader.result(&folder).await;
    packets::assert_same_packets(&result, &sent);
    packets::assert_decodes(&result);
    let plan = world.plan(&uploader.id, 1).await.unwrap();
    assert!(plan.repairs.is_empty(), "{:?}", plan.repairs);
    assert!(plan.tracks.iter().all(|track| track.segments.iter().all(|segment| segment.sha256.is_none())));

    world.until_state(&uploader.id, State::Archived).await;
    let left = wait::until("the segments are gone", PATIENCE, async || {
        Some(world.keys().await).filter(|keys| !keys.iter().any(|key| key.contains("/segments/")))
    });
    let left: Vec<_> = left.await.into_iter().filter(|key| key.contains("/result.")).collect();
    assert_eq!(left, ["o/r/result.json", "o/r/result.mp4"]);
    let over = wait::until("nobody looks any more", PATIENCE, async || {
        Some(world.jobs(&uploader.id, Kind::Upload, "live").await).filter(Vec::is_empty)
    });
    over.await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_recording_in_a_folder_is_shown_live_and_finalized() {
    whole_life(Place::Folder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_recording_on_a_server_is_shown_live_and_finalized() {
    whole_life(Place::Server(S3Server::start().await)).await;
}
