//! `upload`: every acknowledged segment comes into the store, or is recorded as lost.

use crate::support::s3::S3Server;
use crate::support::{PATIENCE, wait};
use crate::world::{World, set};
use domain::id::Sha256;
use domain::job::{Kind, Queue};
use domain::key::Keys;
use domain::manifest::Manifest;
use domain::mux::GapCause;
use domain::recording::State;
use domain::segment::{self, Name, Track};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use std::time::Duration;
use worker::db::{recordings, segments};
use worker::staging::Mode;
use worker::storage::{Call, Fault};

crate::support::modes::in_both_modes! {
    upload_brings_what_was_accepted_into_the_store_and_lists_it,
    upload_takes_a_segment_committed_between_its_last_look_and_its_end,
    upload_records_bytes_that_are_gone_or_others_as_lost,
    upload_ends_when_its_recording_is_cancelled_under_it,
    upload_loses_nothing_that_is_sent_again_while_it_is_being_given_up,
    upload_keeps_what_went_well_beside_a_fault,
    upload_carries_large_bytes_in_parts_and_lets_only_the_right_ones_appear,
}

async fn upload_brings_what_was_accepted_into_the_store_and_lists_it(mode: Mode) {
    let world = World::in_mode(mode).await;
    let id = world.create("r").await;
    let worker = world.work_on(&[Queue::Ingest]);
    world.accept_set(&id, set(), |_, _| true).await;
    wait::until("everything is stored", PATIENCE, || async {
        let rows = segments::rows(&world.db, &id).await.unwrap();
        rows.iter().all(|segment| segment.row.state == segment::State::Stored).then_some(())
    })
    .await;
    wait::until("staging is empty", PATIENCE, || async { world.staged().is_empty().then_some(()) }).await;
    let keys = Keys::new(&world.recording(&id).await.owner, &id);
    for (track, name, bytes) in set().objects() {
        assert_eq!(std::fs::read(world.object(&keys.segment(track, name))).unwrap(), bytes, "{track}/{name}");
    }
    let listing = world.listing(&id).await;
    assert_eq!(listing.len(), set().segments(), "{listing:?}");
    assert!(listing.iter().all(|row| row.ends_with("media")), "{listing:?}");
    worker.stop().await;
}

/// A segment is committed after the job has looked for the last time and before it ends. Its accept found the job
/// running, so nobody else would ever come for it.
async fn upload_takes_a_segment_committed_between_its_last_look_and_its_end(mode: Mode) {
    let world = World::in_mode(mode).await;
    let id = world.create("r").await;
    let objects = set().objects();
    let (late, early) = objects.split_last().unwrap();
    for (track, name, bytes) in early {
        world.accept(&id, *track, *name, bytes).await.unwrap();
    }
    // What accept does, up to its commit: the recording is locked for sharing, the row inserted.
    let accepting = world.db.begin().await.unwrap();
    recordings::lock_share(&accepting, &id).await.unwrap();
    let (track, name, bytes) = *late;
    let other = world.create("other").await;
    world.accept(&other, track, Name::Init, &set().tracks[&track].0).await.unwrap();
    world.accept(&other, track, name, bytes).await.unwrap();
    let copy = "INSERT INTO spool.segment SELECT $1, track, index, state, size_bytes, sha256, etag, \
        replace(staging_uri, 'other/', 'r/'), sample_index, timescale, tfdt, duration, sample_count, starts_with_sync \
        FROM spool.segment WHERE recording_id = 'other' AND index > 0";
    let copy = sea_orm::Statement::from_sql_and_values(sea_orm::DbBackend::Postgres, copy, [id.as_str().into()]);
    accepting.execute_raw(copy).await.unwrap();
    let stem = format!("{track}-{:03}", name.index());
    for path in world.staged_of("other", &stem) {
        let twin = path.to_str().unwrap().replace("/other.", "/r.").replace("/o/other/", "/o/r/");
        std::fs::copy(&path, twin).unwrap();
    }
    world.execute("DELETE FROM queue.job WHERE subject = 'other'", []).await;

    let worker = world.work_on(&[Queue::Ingest]);
    world.until_blocked("FOR UPDATE").await;
    let waiting = segments::received(&world.db, &id, 10).await.unwrap();
    assert!(waiting.is_empty(), "the job has drained what it could see: {waiting:?}");
    accepting.commit().await.unwrap();

    wait::until("the late segment is stored", PATIENCE, || async {
        let found = segments::get(&world.db, &id, track, name).await.unwrap().unwrap();
        (found.row.state == segment::State::Stored).then_some(())
    })
    .await;
    let jobs = "SELECT count(*) FROM queue.job_archive WHERE subject = 'r' AND kind = 'upload'";
    let live = "SELECT count(*) FROM queue.job WHERE subject = 'r' AND kind = 'upload'";
    assert_eq!(world.number(jobs, []).await + world.number(live, []).await, 1, "it was the same job");
    worker.stop().await;
}

async fn upload_records_bytes_that_are_gone_or_others_as_lost(mode: Mode) {
    let world = World::with(|config| {
        config.live.missing_deadline = Duration::from_secs(3600);
        config.staging.mode = mode;
    })
    .await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, _| true).await;
    std::fs::remove_file(&world.staged_of("r", "video-002")[0]).unwrap();
    let damaged = &world.staged_of("r", "audio-001")[0];
    let size = std::fs::metadata(damaged).unwrap().len();
    std::fs::write(damaged, vec![0; usize::try_from(size).unwrap()]).unwrap();
    world.declare(&id, set()).await;
    world.complete(&id).await;
    let worker = world.work();
    let ready = world.until_state(&id, State::Ready).await;
    assert!(ready.degraded);
    let gaps: Vec<_> = ready.gaps.iter().map(|gap| (gap.track, gap.segments.clone(), gap.cause)).collect();
    assert_eq!(gaps, [(Track::Video, vec![2], GapCause::Lost), (Track::Audio, vec![1], GapCause::Lost)]);
    let events = "SELECT count(*) FROM spool.event WHERE recording_id = 'r' AND type = 'segment.lost'";
    assert_eq!(world.number(events, []).await, 2);
    assert!(world.jobs(&id, Kind::Upload, "discarded").await.is_empty(), "a lost segment is no reason to give up");
    worker.stop().await;
}

/// To whoever only looks at objects, a bucket that is not there is one whose objects are gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upload_loses_nothing_of_a_bucket_that_is_not_there() {
    let server = S3Server::start().await;
    let world = World::with(|config| {
        config.storage = server.config();
        config.staging.mode = Mode::Store;
    })
    .await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, _| true).await;
    let (there, away) = (server.objects(), server.objects().with_extension("away"));
    std::fs::rename(&there, &away).unwrap();
    let worker = world.work_on(&[Queue::Ingest]);
    let tried = "SELECT count(*) FROM queue.job WHERE subject = 'r' AND kind = 'upload' AND state = 4";
    wait::until("it was tried", PATIENCE, || async { (world.number(tried, []).await > 0).then_some(()) }).await;
    let rows = segments::rows(&world.db, &id).await.unwrap();
    assert!(rows.iter().all(|segment| segment.row.state == segment::State::Received), "{rows:?}");

    // Nobody has to ask for it: the recorder may be gone.
    std::fs::rename(&away, &there).unwrap();
    wait::until("everything is stored", PATIENCE, || async {
        let rows = segments::rows(&world.db, &id).await.unwrap();
        rows.iter().all(|segment| segment.row.state == segment::State::Stored).then_some(())
    })
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upload_keeps_what_waits_in_a_folder_that_is_not_mounted() {
    let world = World::in_mode(Mode::Store).await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, _| true).await;
    let (there, away) = (world.object(""), world.object("").with_file_name("away"));
    std::fs::rename(&there, &away).unwrap();
    std::fs::create_dir(&there).unwrap();
    let worker = world.work_on(&[Queue::Ingest]);
    let tried = "SELECT count(*) FROM queue.job WHERE subject = 'r' AND kind = 'upload' AND state = 4";
    wait::until("it was tried", PATIENCE, || async { (world.number(tried, []).await > 0).then_some(()) }).await;
    let rows = segments::rows(&world.db, &id).await.unwrap();
    assert!(rows.iter().all(|segment| segment.row.state == segment::State::Received), "{rows:?}");
    std::fs::remove_dir_all(&there).unwrap();
    std::fs::rename(&away, &there).unwrap();
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upload_lists_a_hole_as_a_gap_when_viewers_have_waited() {
    let world = World::with(|config| config.live.gap_after = Duration::from_millis(300)).await;
    let id = world.create("r").await;
    let worker = world.work_on(&[Queue::Ingest]);
    world.accept_set(&id, set(), |track, index| track == Track::Video && index != 2).await;
    let gap = "SELECT count(*) FROM spool.listing WHERE recording_id = 'r' AND kind = 'gap' AND index = 2";
    wait::until("the hole is listed", PATIENCE, || async { (world.number(gap, []).await == 1).then_some(()) }).await;
    // It stays one although its segment comes after all.
    world.accept(&id, Track::Video, Name::Media(2), &set().tracks[&Track::Video].1[1]).await.unwrap();
    wait::until("the late segment is stored", PATIENCE, || async {
        let found = segments::get(&world.db, &id, Track::Video, Name::Media(2)).await.unwrap().unwrap();
        (found.row.state == segment::State::Stored).then_some(())
    })
    .await;
    assert_eq!(world.listing(&id).await, ["video 1 media", "video 2 gap", "video 3 media"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upload_sets_a_provisional_end_back_to_live() {
    let world = World::with(|config| config.live.declaration_wait = Duration::ZERO).await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, index| index < 3).await;
    let worker = world.work();
    wait::until("everything is stored", PATIENCE, || async {
        segments::received(&world.db, &id, 1).await.unwrap().is_empty().then_some(())
    })
    .await;
    crate::sweep::fall_silent(&world, &id).await;
    let first = world.until_state(&id, State::Ready).await;
    assert!(first.provisional && first.result.is_some());
    world.accept_set(&id, set(), |_, index| index == 3).await;
    let live = world.until_state(&id, State::Live).await;
    assert_eq!((live.plan_version, live.provisional), (2, false));
    assert!(live.result.is_some(), "the first result stays served");
    world.declare(&id, set()).await;
    world.complete(&id).await;
    let ready = world.until_state(&id, State::Ready).await;
    let served = ready.result.unwrap();
    assert_eq!((served.version, served.key.as_str()), (2, "o/r/result.v2.mp4"));
    worker.stop().await;
}

async fn upload_ends_when_its_recording_is_cancelled_under_it(mode: Mode) {
    let world = World::in_mode(mode).await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, _| true).await;
    let cancelling = world.db.begin().await.unwrap();
    recordings::lock(&cancelling, &id).await.unwrap();
    let worker = world.work_on(&[Queue::Ingest]);
    world.until_blocked("FOR NO KEY UPDATE").await;
    let cancel = "UPDATE spool.recording SET state = 'cancelled' WHERE id = 'r'";
    cancelling.execute_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, cancel)).await.unwrap();
    cancelling.commit().await.unwrap();
    let ended = world.until_ended(&id, Kind::Upload, "completed").await;
    assert_eq!(ended.reason.as_deref(), Some("obsolete"));
    assert!(world.listing(&id).await.is_empty());
    worker.stop().await;
}

/// The staged bytes are gone, and the job is about to record the segment as lost. In this moment the recorder, which never
/// heard the answer, sends the same bytes again and is told that they are acknowledged.
async fn upload_loses_nothing_that_is_sent_again_while_it_is_being_given_up(mode: Mode) {
    let world = World::in_mode(mode).await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |track, index| track == Track::Video && index < 2).await;
    std::fs::remove_file(&world.staged_of("r", "video-001")[0]).unwrap();
    // Accept is let in, the one who marks rows is not.
    let holding = world.db.begin().await.unwrap();
    let hold = "SELECT id FROM spool.recording WHERE id = 'r' FOR NO KEY UPDATE";
    holding.execute_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, hold)).await.unwrap();
    // The initialization section is stored already, so what waits is the verdict on the segment.
    world
        .execute("UPDATE spool.segment SET state = 'stored', stored_at = now(), staging_uri = NULL WHERE index = 0", [])
        .await;
    let worker = world.work_on(&[Queue::Ingest]);
    world.until_blocked("FOR NO KEY UPDATE").await;
    let again = world.accept(&id, Track::Video, Name::Media(1), &set().tracks[&Track::Video].1[0]).await.unwrap();
    assert_eq!((again.new, again.state), (false, segment::State::Received));
    holding.commit().await.unwrap();
    wait::until("the segment is stored", PATIENCE, || async {
        let found = segments::get(&world.db, &id, Track::Video, Name::Media(1)).await.unwrap().unwrap();
        assert_ne!(found.row.state, segment::State::Lost, "it was acknowledged again");
        (found.row.state == segment::State::Stored).then_some(())
    })
    .await;
    assert_eq!(world.number("SELECT count(*) FROM spool.event WHERE type = 'segment.lost'", []).await, 0);
    worker.stop().await;
}

/// The plan is frozen while the manifest that does not know it is on its way. What is noted of that one, later than the
/// freeze, must not pass for the last one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifest_on_its_way_when_the_plan_is_frozen_is_not_the_last() {
    let (world, faults) = World::with_faults(Mode::Local).await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, _| true).await;
    // Behind every object of the recording.
    let objects = set().objects().len() as u64;
    faults.set(Call::Finish, objects..objects + 1, Fault::Hold);
    let ingest = world.work_on(&[Queue::Ingest]);
    wait::until("a manifest is on its way", PATIENCE, || async {
        (faults.calls(Call::Finish) > objects).then_some(())
    })
    .await;
    world.declare(&id, set()).await;
    world.complete(&id).await;
    let control = world.work_on(&[Queue::Control]);
    world.until_planned(&id).await;
    faults.clear();
    let key = Keys::new(&world.recording(&id).await.owner, &id).manifest();
    wait::until("the manifest is complete", PATIENCE, || async {
        let bytes = world.cx.store.get(&key).await.ok()?;
        Manifest::parse(&bytes).unwrap().complete.then_some(())
    })
    .await;
    control.stop().await;
    ingest.stop().await;
}

/// Of four segments on their way one meets a fault and the others take longer. They are not brought again.
async fn upload_keeps_what_went_well_beside_a_fault(mode: Mode) {
    let (world, faults) = World::with_faults(mode).await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, _| true).await;
    // Behind the two initialization sections.
    faults.set(Call::Finish, 2..3, Fault::Fail);
    faults.set(Call::Finish, 3..6, Fault::Delay(Duration::from_millis(500)));
    faults.set(Call::Finish, 6..u64::MAX, Fault::Fail);
    let worker = world.work_on(&[Queue::Ingest]);
    let failed = "SELECT count(*) FROM queue.attempt WHERE kind = 'upload' AND outcome = 1";
    wait::until("an attempt has failed", PATIENCE, || async { (world.number(failed, []).await > 0).then_some(()) })
        .await;
    let stored = "SELECT count(*) FROM spool.segment WHERE state = 'stored'";
    assert_eq!(world.number(stored, []).await, 5, "two initialization sections and three segments");
    faults.clear();
    let all = i64::try_from(set().objects().len()).unwrap();
    wait::until("the rest is stored", PATIENCE, || async { (world.number(stored, []).await == all).then_some(()) })
        .await;
    assert!(world.jobs(&id, Kind::Upload, "discarded").await.is_empty());
    worker.stop().await;
}

/// What no entity tag vouches for is hashed on its way to its final key; longer than a part, it is written in parts, and
/// the object appears only when the hash is right.
async fn upload_carries_large_bytes_in_parts_and_lets_only_the_right_ones_appear(mode: Mode) {
    let world = World::in_mode(mode).await;
    let id = world.create("r").await;
    let owner = world.recording(&id).await.owner;
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let size_bytes = bytes.len() as u64;
    for (index, sha256) in [(1, Sha256::of(&bytes)), (2, Sha256::of(b"other bytes"))] {
        let staging = &world.cx.staging;
        let mut incoming = staging.receive(&owner, &id, Track::Video, Name::Media(index), size_bytes).await.unwrap();
        for piece in bytes.chunks(1 << 20) {
            incoming.write(piece).await.unwrap();
        }
        let uri = incoming.commit().await.unwrap().to_string();
        let insert = "INSERT INTO spool.segment (recording_id, track, index, size_bytes, sha256, staging_uri, timescale, tfdt, duration) \
            VALUES ('r', 'video', $1, $2, $3, $4, 90000, 0, 180000)";
        let uri = uri.split('#').next().unwrap().to_owned();
        let size = i64::try_from(size_bytes).unwrap();
        world.execute(insert, [i64::from(index).into(), size.into(), sha256.0.to_vec().into(), uri.into()]).await;
    }
    queue::enqueue::Enqueue::of(&domain::job::Upload { recording: id.clone() }).unwrap().put(&world.db).await.unwrap();
    let worker = world.work_on(&[Queue::Ingest]);
    let waiting = "SELECT count(*) FROM spool.segment WHERE state = 'received'";
    wait::until("both are settled", PATIENCE, || async { (world.number(waiting, []).await == 0).then_some(()) }).await;
    worker.stop().await;
    let key = |index| Keys::new(&owner, &id).segment(Track::Video, Name::Media(index));
    assert_eq!(world.cx.store.get(&key(1)).await.unwrap(), bytes);
    assert_eq!(world.cx.store.stat(&key(2)).await.unwrap(), None);
    let lost = "SELECT count(*) FROM spool.segment WHERE index = 2 AND lost_cause = 'other-bytes'";
    assert_eq!(world.number(lost, []).await, 1);
}
