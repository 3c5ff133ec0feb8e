//! Objects that are not what they should be: told of once, never a reason to go round and round.

use super::uploader::{Form, Place, Uploader, set, world};
use crate::support::{PATIENCE, packets, wait};
use domain::job::{Kind, Queue};
use domain::mux::GapCause;
use domain::recording::State;
use domain::segment::{Name, Track};
use media::init::Init;
use media::salvage;
use media::walk::{self, Limits};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_objects_are_told_of_once_and_become_gaps() {
    let world = world(&Place::Folder, |_| {}).await;
    let worker = world.work();
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    let video = &set().tracks[&Track::Video].1;
    uploader.put_bytes(Track::Video, Name::Media(2), &vec![0; 5000]).await;
    uploader.put_bytes(Track::Video, Name::Media(3), &video[2][..video[2].len() - 7]).await;
    uploader.put_bytes(Track::Video, Name::Media(4), b"").await;
    // Five bytes that belong to no sample.
    let mut longer = [video[4].as_slice(), b"extra"].concat();
    let at = longer.windows(4).position(|word| word == b"mdat").unwrap() - 4;
    let size = u32::from_be_bytes(longer[at..at + 4].try_into().unwrap()) + 5;
    longer[at..at + 4].copy_from_slice(&size.to_be_bytes());
    uploader.put_bytes(Track::Video, Name::Media(5), &longer).await;
    let cut = &video[5][..video[5].len() * 2 / 3];
    uploader.put_bytes(Track::Video, Name::Media(6), cut).await;
    uploader.put_all(|track, index| track == Track::Audio || ![2, 3, 4, 5, 6].contains(&index)).await;
    wait::until("all were read", PATIENCE, async || {
        (uploader.events("segment.damaged").await.len() >= 5).then_some(())
    })
    .await;
    uploader.until_looked(5).await;
    assert!(!world.listing(&uploader.id).await.contains(&"video 3 media".to_owned()), "no player can use it");
    let told: Vec<_> = uploader.events("segment.damaged").await;
    let told: Vec<_> =
        told.iter().map(|body| (body["index"].as_u64().unwrap(), body["cause"].as_str().unwrap())).collect();
    let expected = [(2, "bad-box"), (3, "truncated-box"), (4, "zero-byte"), (5, "mdat-coverage"), (6, "truncated-box")];
    assert_eq!(told, expected);
    // An uploader that starts again mends two of them.
    uploader.put(Track::Video, 3).await;
    uploader.upload_without(|track, index| track == Track::Video && [2, 4, 6].contains(&index)).await;
    let ready = world.until_state(&uploader.id, State::Ready).await;
    let gaps: Vec<_> = ready.gaps.iter().map(|gap| (gap.track, gap.segments.clone(), gap.cause)).collect();
    let gap = |segment, cause| (Track::Video, vec![segment], cause);
    let expected = [gap(2, GapCause::Damaged), gap(4, GapCause::Missing), gap(6, GapCause::Truncated)];
    assert_eq!(gaps, expected);
    assert_kept(&uploader, &[1, 3, 5], cut).await;
    worker.stop().await;
}

/// The result has the pictures of whole segments, and of the last one those before the cut.
async fn assert_kept(uploader: &Uploader<'_>, whole: &[usize], cut: &[u8]) {
    let (init, segments) = &set().tracks[&Track::Video];
    let init = Init::parse(Track::Video, init).unwrap();
    let defect = walk::media(&init, cut, Limits::NONE).unwrap_err();
    let saved = salvage::media(&init, cut, &defect).unwrap().summary.samples as usize;
    assert!((5..60).contains(&saved), "{saved}");
    let folder = tempfile::tempdir().unwrap();
    let sent = folder.path().join("sent");
    set().write_to(&sent);
    let sent = packets::hashes_of_segments(&sent, "video");
    let per_segment = sent.len() / segments.len();
    let kept = whole.iter().flat_map(|&n| &sent[(n - 1) * per_segment..n * per_segment]);
    let expected: Vec<_> = kept.chain(&sent[5 * per_segment..5 * per_segment + saved]).cloned().collect();
    assert_eq!(packets::hashes(&uploader.result(&folder).await, "v"), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn initialization_section_of_the_wrong_kind_fails_the_recording_by_name() {
    let world = world(&Place::Folder, |_| {}).await;
    let worker = world.work();
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.put_bytes(Track::Video, Name::Init, &set().tracks[&Track::Audio].0).await;
    uploader.upload_without(|track, index| track == Track::Video && index == 0).await;
    let failed = world.until_state(&uploader.id, State::Failed).await;
    let (code, message) = failed.error.unwrap();
    assert_eq!(code, "damaged-init");
    assert!(message.contains("video") && message.contains("soun"), "{message}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segment_written_again_after_the_plan_is_held_to_what_was_planned() {
    for (name, other) in [("same", false), ("other", true)] {
        let world = world(&Place::Folder, |_| {}).await;
        let worker = world.work_on(&[Queue::Ingest, Queue::Control]);
        let mut uploader = Uploader::new(&world, name, Form::Objects).await;
        uploader.upload_whole().await;
        world.until_planned(&uploader.id).await;
        worker.stop().await;
        let (init, segments) = &set().tracks[&Track::Video];
        let mut bytes = segments[2].clone();
        if other {
            // The decode time, of the same length as before.
            let at = bytes.windows(4).position(|word| word == b"tfdt").unwrap() + 12;
            bytes[at] ^= 1;
        }
        assert!(!init.is_empty());
        uploader.put_bytes(Track::Video, Name::Media(3), &bytes).await;
        let worker = world.work();
        if other {
            let given_up = world.until_ended(&uploader.id, Kind::Mux, "discarded").await;
            assert_eq!(given_up.error_class.as_deref(), Some("source-changed"), "{given_up:?}");
            let failed = world.until_state(&uploader.id, State::Failed).await;
            assert!(failed.error.is_some());
        } else {
            world.until_state(&uploader.id, State::Ready).await;
            let folder = tempfile::tempdir().unwrap();
            set().write_to(&folder.path().join("sent"));
            packets::assert_same_packets(&uploader.result(&folder).await, &folder.path().join("sent"));
        }
        worker.stop().await;
    }
}
