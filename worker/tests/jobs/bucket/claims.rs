//! Manifests in every form that uploaders write.

use super::uploader::{Form, Place, Uploader, set, world};
use domain::recording::State;
use domain::segment::Track;

/// Each of these recordings is whole, whatever its manifest looks like.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_of_every_form_declare_the_same_recording() {
    let world = world(&Place::Folder, |_| {}).await;
    let worker = world.work();
    let mut uploaders = Vec::new();
    for (name, form) in [("objects", Form::Objects), ("numbers", Form::Numbers), ("mixed", Form::Mixed)] {
        let mut uploader = Uploader::new(&world, name, form).await;
        uploader.upload_whole().await;
        uploaders.push(uploader);
    }
    let odd = |uploader: &mut Uploader<'_>| {
        uploader.name(|_, _| true);
        uploader.named.reverse();
        uploader.named.extend([(Track::Video, -1), (Track::Video, 0), (Track::Audio, 2), (Track::Video, 100_000)]);
        uploader.complete = true;
    };
    let mut unsorted = Uploader::new(&world, "unsorted", Form::Mixed).await;
    unsorted.put_all(|_, _| true).await;
    odd(&mut unsorted);
    let text = unsorted.manifest().replace("\"duration\":2.0", "\"duration\":-0.5");
    unsorted.put_text(&text).await;
    world.complete(&unsorted.id).await;
    uploaders.push(unsorted);

    for uploader in &uploaders {
        let ready = world.until_state(&uploader.id, State::Ready).await;
        assert_eq!((ready.degraded, ready.tail_confirmed), (false, true), "{}: {:?}", uploader.id, ready.gaps);
        let plan = world.plan(&uploader.id, 1).await.unwrap();
        let counts: Vec<_> = plan.tracks.iter().map(|track| track.segments.len()).collect();
        assert_eq!((counts, plan.repairs.len()), (vec![6, 4], 0), "{}", uploader.id);
        let declared = uploader.events("manifest.complete").await;
        let doubts = declared[0]["doubts"].as_array().unwrap().len();
        assert_eq!((declared.len(), doubts > 0), (1, uploader.id.as_str() == "unsorted"), "{declared:?}");
    }
    worker.stop().await;
}

/// The manifest names what is not there yet, and the bucket has what the manifest does not name yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_are_listed_and_not_claims() {
    let world = world(&Place::Folder, |config| config.live.gap_after = std::time::Duration::from_secs(3600)).await;
    let worker = world.work();
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.name(|_, _| true);
    uploader.put_manifest().await;
    uploader.until_looked(2).await;
    assert!(world.listing(&uploader.id).await.is_empty(), "nothing is there");
    // A segment before its initialization section cannot be read.
    uploader.put(Track::Video, 2).await;
    uploader.until_looked(2).await;
    assert!(world.listing(&uploader.id).await.is_empty());
    uploader.put(Track::Video, 0).await;
    uploader.until_looked(2).await;
    assert!(world.listing(&uploader.id).await.is_empty(), "viewers wait for the first one");
    uploader.put(Track::Video, 1).await;
    assert_eq!(uploader.until_listed(2).await, ["video 1 media", "video 2 media"]);
    // One that starts again rewrites its manifest from nothing: nothing is taken back.
    uploader.named.clear();
    uploader.put_manifest().await;
    uploader.until_looked(2).await;
    assert_eq!(world.listing(&uploader.id).await.len(), 2);
    uploader.upload_whole().await;
    let ready = world.until_state(&uploader.id, State::Ready).await;
    assert!(!ready.degraded && ready.tail_confirmed, "{:?}", ready.gaps);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifest_that_cannot_be_read_is_told_of_once_and_the_last_good_one_counts() {
    let world = world(&Place::Folder, |_| {}).await;
    let worker = world.work();
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.put_all(|track, index| track == Track::Video && index <= 2).await;
    uploader.name(|track, index| track == Track::Video && index <= 3);
    uploader.put_manifest().await;
    uploader.until_listed(2).await;
    // The look that found the objects may have come before the manifest.
    uploader.until_looked(2).await;
    uploader.put_text("{\"version\":2,\"video_segm").await;
    uploader.until_looked(4).await;
    let told = uploader.events("manifest.malformed").await;
    assert_eq!(told.len(), 1, "{told:?}");
    world.complete(&uploader.id).await;
    let ready = world.until_state(&uploader.id, State::Ready).await;
    let gaps: Vec<_> = ready.gaps.iter().map(|gap| (gap.track, gap.segments.clone())).collect();
    assert_eq!(gaps, [(Track::Video, vec![3])], "the good manifest has named it");
    assert!(!ready.tail_confirmed);
    worker.stop().await;
}

/// From 1000 on the names no longer sort by number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_are_ordered_by_number_and_not_by_name() {
    let world = world(&Place::Folder, |config| config.live.gap_after = std::time::Duration::ZERO).await;
    let worker = world.work();
    let uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.put(Track::Video, 0).await;
    let segments = &set().tracks[&Track::Video].1;
    for (index, bytes) in [998, 999, 1000, 1001].into_iter().zip(segments) {
        uploader.put_bytes(Track::Video, domain::segment::Name::Media(index), bytes).await;
    }
    let listed = uploader.until_listed(1001).await;
    assert_eq!(
        &listed[996..],
        ["video 997 gap", "video 998 media", "video 999 media", "video 1000 media", "video 1001 media"]
    );
    worker.stop().await;
}
