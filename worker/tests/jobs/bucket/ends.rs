//! How such a recording ends: declared or not, with everything there or not, by signal or by silence.

use super::uploader::{Form, Place, Uploader, world};
use crate::support::{PATIENCE, wait};
use domain::job::Kind;
use domain::recording::{Policy, State};
use domain::segment::Track;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_in_the_bucket_is_a_failure_with_its_name() {
    let world = world(&Place::Folder, |_| {}).await;
    let worker = world.work();
    let uploader = Uploader::new(&world, "r", Form::Objects).await;
    world.complete(&uploader.id).await;
    let failed = world.until_state(&uploader.id, State::Failed).await;
    assert_eq!(failed.error.unwrap().0, "nothing-uploaded");
    let over = wait::until("nobody looks any more", PATIENCE, async || {
        Some(world.jobs(&uploader.id, Kind::Upload, "live").await).filter(Vec::is_empty)
    });
    over.await;
    // What came after all is found when somebody asks again.
    uploader.put_all(|_, _| true).await;
    world.complete(&uploader.id).await;
    let ready = world.until_state(&uploader.id, State::Ready).await;
    assert!(!ready.degraded && !ready.tail_confirmed);
    worker.stop().await;
}

/// Claims and objects do not agree; what is missing is waited for, what follows on is taken in, and all of it is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holes_follow_the_policy_and_what_no_manifest_names_is_noted() {
    let world = world(&Place::Folder, |_| {}).await;
    let worker = world.work();
    let hole = |track: Track, index: u32| track == Track::Video && index == 2;
    let mut degrade = Uploader::new(&world, "degrade", Form::Objects).await;
    degrade.upload_without(hole).await;
    let mut fail = Uploader::under(&world, "fail", Form::Objects, Policy::Fail).await;
    fail.upload_without(hole).await;
    // Complete, but for what came later: the fifth follows on, the sixth would not if it were missing.
    let mut late = Uploader::new(&world, "late", Form::Objects).await;
    late.put_all(|_, _| true).await;
    late.name(|track, index| track == Track::Audio || index <= 3);
    late.complete = true;
    late.put_manifest().await;
    world.complete(&late.id).await;
    let mut stray = Uploader::new(&world, "stray", Form::Objects).await;
    stray.put_all(|track, index| track == Track::Video && index != 5).await;
    stray.name(|track, index| track == Track::Video && index <= 3);
    stray.complete = true;
    stray.put_manifest().await;
    world.complete(&stray.id).await;

    let degraded = world.until_state(&degrade.id, State::Ready).await;
    let gaps: Vec<_> = degraded.gaps.iter().map(|gap| (gap.track, gap.segments.clone())).collect();
    assert_eq!((degraded.degraded, degraded.tail_confirmed, gaps), (true, true, vec![(Track::Video, vec![2])]));
    let failed = world.until_state(&fail.id, State::Failed).await;
    assert_eq!(failed.error.unwrap().0, "gaps-under-policy-fail");
    let ready = world.until_state(&late.id, State::Ready).await;
    assert!(!ready.degraded, "{:?}", ready.gaps);
    let words = async |uploader: &Uploader<'_>| {
        let repairs = world.plan(&uploader.id, 1).await.unwrap().repairs;
        repairs.iter().map(|repair| format!("{} {}", repair.segment, &repair.what[..8])).collect::<Vec<_>>()
    };
    assert_eq!(words(&late).await, ["4 recovere", "5 recovere", "6 recovere"]);
    world.until_state(&stray.id, State::Ready).await;
    assert_eq!(words(&stray).await, ["4 recovere", "6 left out"]);
    let planned = world.plan(&stray.id, 1).await.unwrap().tracks[0].segments.len();
    assert_eq!(planned, 4);
    worker.stop().await;
}

/// The uploader fell silent and comes back: what it brings sets the recording back to live, and the signal ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_ends_provisionally_and_a_new_object_goes_on() {
    let world = world(&Place::Folder, |_| {}).await;
    let worker = world.work();
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.put_all(|track, index| track == Track::Video && index <= 2).await;
    uploader.until_listed(2).await;
    crate::sweep::fall_silent(&world, &uploader.id).await;
    let first = world.until_state(&uploader.id, State::Ready).await;
    assert!(first.provisional && !first.tail_confirmed);
    uploader.put(Track::Video, 3).await;
    let live = world.until_state(&uploader.id, State::Live).await;
    assert_eq!((live.plan_version, live.provisional), (2, false));
    uploader.upload_whole().await;
    let ready = world.until_state(&uploader.id, State::Ready).await;
    assert_eq!((ready.result.unwrap().version, ready.provisional, ready.tail_confirmed), (2, false, true));
    worker.stop().await;
}

/// The end was silence, and nobody is due to look for an hour; then the last objects and the signal come together. What
/// came before the signal belongs to the recording.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signal_after_silence_looks_before_it_makes_the_end_final() {
    let rare = Duration::from_secs(3600);
    let world = world(&Place::Folder, |config| config.bucket.provisional_look_max = rare).await;
    let worker = world.work();
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.put_all(|track, index| track == Track::Video && index <= 2).await;
    uploader.until_listed(2).await;
    // So that the pause, a part of the quiet, is long.
    world.execute("UPDATE spool.bucket SET newest_at = now() - interval '30 days'", []).await;
    crate::sweep::fall_silent(&world, &uploader.id).await;
    world.until_state(&uploader.id, State::Ready).await;
    wait::until("the next look is far away", PATIENCE, async || {
        let far = "SELECT count(*) FROM queue.job WHERE kind = 'upload' AND state = 1 AND run_at > now() + interval '30 minutes'";
        (world.number(far, []).await == 1).then_some(())
    })
    .await;
    uploader.upload_whole().await;
    let ready = wait::until("the end is final", PATIENCE, async || {
        Some(world.recording(&uploader.id).await).filter(|now| now.state == State::Ready && !now.provisional)
    })
    .await;
    assert_eq!((ready.result.unwrap().version, ready.degraded, ready.tail_confirmed), (2, false, true));
    assert_eq!(world.plan(&uploader.id, 2).await.unwrap().tracks[0].segments.len(), 6);
    worker.stop().await;
}

/// Only minutes in which somebody looked are silent: an outage of ours ends nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minutes_without_a_look_are_not_silent() {
    let world = world(&Place::Folder, |_| {}).await;
    let uploader = Uploader::new(&world, "r", Form::Objects).await;
    let minutes = "SELECT silent_minutes::int8 FROM spool.liveness WHERE recording_id = 'r'";
    let minute = Duration::from_secs(60);
    worker::db::sweep::count_silence(&world.db).await.unwrap();
    world.advance(minute).await;
    worker::db::sweep::count_silence(&world.db).await.unwrap();
    assert_eq!(world.number(minutes, []).await, 0, "nobody has looked");
    let worker = world.work_on(&[domain::job::Queue::Ingest]);
    uploader.until_looked(2).await;
    worker.stop().await;
    world.execute("UPDATE spool.liveness SET swept_at = now() - interval '1 minute'", []).await;
    worker::db::sweep::count_silence(&world.db).await.unwrap();
    assert_eq!(world.number(minutes, []).await, 1, "somebody has, and found nothing");
}

/// The end comes while a look is under way, and a job that is lost is found by `sweep`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_that_nobody_looks_at_is_found() {
    let world = world(&Place::Folder, |_| {}).await;
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    world.execute("DELETE FROM queue.job WHERE kind = 'upload'", []).await;
    let worker = world.work();
    queue::enqueue::hasten(&world.db, &domain::job::Sweep {}).await.unwrap();
    wait::until("somebody looks", PATIENCE, async || {
        (!world.jobs(&uploader.id, Kind::Upload, "live").await.is_empty()).then_some(())
    })
    .await;
    uploader.upload_whole().await;
    world.until_state(&uploader.id, State::Ready).await;
    worker.stop().await;
}
