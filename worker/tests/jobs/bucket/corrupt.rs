//! Payload that cannot be decoded, in a bucket whose bytes nobody of ours has read before.

use super::uploader::{Form, Place, Uploader, set, world};
use crate::support::{PATIENCE, wait};
use domain::mux::GapCause;
use domain::recording::State;
use domain::segment::{Name, Track};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payload_of_picture_and_sound_that_cannot_be_decoded_is_told_segment_by_segment() {
    let world = world(&Place::Folder, |_| {}).await;
    let worker = world.work();
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    let damaged = [(Track::Video, 3), (Track::Audio, 2)];
    uploader.put_all(|track, index| !damaged.contains(&(track, index))).await;
    for (track, index) in damaged {
        let mut bytes = set().tracks[&track].1[index as usize - 1].clone();
        let mdat = bytes.windows(4).position(|name| name == b"mdat").unwrap() + 4;
        bytes[mdat..mdat + 2000].fill(0xff);
        uploader.put_bytes(track, Name::of_index(index), &bytes).await;
    }
    uploader.name(|_, _| true);
    uploader.complete = true;
    uploader.put_manifest().await;
    world.complete(&uploader.id).await;
    let ended = wait::until("it has ended", PATIENCE, async || {
        let now = world.recording(&uploader.id).await;
        matches!(now.state, State::Ready | State::Failed).then_some(now)
    });
    let ready = ended.await;
    assert_eq!(ready.error, None);
    let gaps: Vec<_> = ready.gaps.iter().map(|gap| (gap.track, gap.segments.clone(), gap.cause)).collect();
    assert_eq!(gaps, [(Track::Video, vec![3], GapCause::Corrupt), (Track::Audio, vec![2], GapCause::Corrupt)]);
    assert!(ready.degraded);
    worker.stop().await;
}
