//! `sweep`: silence, and recordings that nobody works on.

use crate::support::{PATIENCE, wait};
use crate::world::{World, set};
use domain::id::RecordingId;
use domain::job::{Kind, Mux, Queue, Sweep};
use domain::recording::State;
use domain::segment::{Name, Track};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use std::time::Duration;
use worker::db::sweep;
use worker::staging::Mode;

/// Runs `sweep` once to its end.
async fn sweep_once(world: &World) {
    let before = world.number("SELECT count(*) FROM queue.job_archive WHERE kind = 'sweep'", []).await;
    queue::enqueue::hasten(&world.db, &Sweep {}).await.unwrap();
    wait::until("sweep has run", PATIENCE, || async {
        let now = world.number("SELECT count(*) FROM queue.job_archive WHERE kind = 'sweep'", []).await;
        (now > before).then_some(())
    })
    .await;
}

/// Counts silent minutes beyond the bound and lets `sweep` see them. A worker must be running.
pub async fn fall_silent(world: &World, id: &RecordingId) {
    let silent = "UPDATE spool.liveness SET silent_minutes = 1000, heard_at = now() - interval '1 day', swept_at = now() \
        WHERE recording_id = $1";
    world.execute(silent, [id.as_str().into()]).await;
    sweep_once(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_counts_only_minutes_in_which_sweep_ran() {
    let world = World::new().await;
    let id = world.create("r").await;
    let minutes = "SELECT silent_minutes::int8 FROM spool.liveness WHERE recording_id = 'r'";
    sweep::count_silence(&world.db).await.unwrap();
    assert_eq!(world.number(minutes, []).await, 0, "nobody looked before");
    sweep::count_silence(&world.db).await.unwrap();
    assert_eq!(world.number(minutes, []).await, 0, "the same minute is counted once");
    // An outage of ours of a whole day is one look.
    world.advance(std::time::Duration::from_secs(24 * 3600)).await;
    sweep::count_silence(&world.db).await.unwrap();
    assert_eq!(world.number(minutes, []).await, 1);
    world.advance(std::time::Duration::from_secs(60)).await;
    sweep::count_silence(&world.db).await.unwrap();
    assert_eq!(world.number(minutes, []).await, 2);
    // A segment is a sign of life.
    world.advance(std::time::Duration::from_secs(60)).await;
    world.accept_set(&id, set(), |_, index| index == 0).await;
    sweep::count_silence(&world.db).await.unwrap();
    assert_eq!(world.number(minutes, []).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_recording_ends_provisionally() {
    let world = World::new().await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, _| true).await;
    let worker = world.work_on(&[Queue::Control]);
    world.execute("UPDATE spool.liveness SET silent_minutes = 9, swept_at = now()", []).await;
    sweep_once(&world).await;
    assert_eq!(world.recording(&id).await.state, State::Live);
    fall_silent(&world, &id).await;
    let ended = world.until_state(&id, State::Finalizing).await;
    assert!(ended.provisional && ended.signalled_at.is_none());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_whose_job_vanished_gets_one_again() {
    let world = World::new().await;
    let id = world.create("r").await;
    let worker = world.work();
    world.accept_set(&id, set(), |_, _| true).await;
    wait::until("everything is stored", PATIENCE, || async {
        worker::db::segments::received(&world.db, &id, 1).await.unwrap().is_empty().then_some(())
    })
    .await;
    world.declare(&id, set()).await;
    // A restore from a backup may bring a recording back without its job.
    world.execute("UPDATE spool.recording SET state = 'finalizing', ended_at = now(), signalled_at = now()", []).await;
    sweep_once(&world).await;
    world.until_state(&id, State::Ready).await;

    worker.stop().await;
}

/// The follow-up that would have said why is discarded too: without `sweep` the recording would be finalizing for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recording_whose_job_and_follow_up_were_given_up_fails_with_the_reason() {
    let world = World::new().await;
    // A row of the archive, to make others of.
    let worker = world.work_on(&[Queue::Control]);
    sweep_once(&world).await;
    worker.stop().await;

    let ended = "INSERT INTO queue.job_archive SELECT (jsonb_populate_record(a, jsonb_build_object('id', gen_random_uuid(), \
          'subject', $1::text, 'kind', $2::text, 'unique_key', $3::text, 'outcome', 1, 'finished_at', now(), \
          'reason', 'attempts', 'error_class', 'storage', 'error', 'get object: connection refused'))).* \
        FROM queue.job_archive a WHERE kind = 'sweep' LIMIT 1";
    for (id, frozen, kind, key) in [
        ("check", 0, "manifest_check", "check:check"),
        ("mux", 1, "mux", "mux:mux:1"),
        // The mux of the plan before: the one of this plan was lost, and is given again.
        ("older", 1, "mux", "mux:older:0"),
        // An operator has put it to work again meanwhile.
        ("busy", 1, "mux", "mux:busy:1"),
    ] {
        world.create(id).await;
        let finalizing = "UPDATE spool.recording SET state = 'finalizing', ended_at = now(), signalled_at = now(), \
            frozen_version = $2::int WHERE id = $1";
        assert_eq!(world.execute(finalizing, [id.into(), frozen.into()]).await, 1);
        assert_eq!(world.execute(ended, [id.into(), kind.into(), key.into()]).await, 1);
        world.execute(ended, [id.into(), "control".into(), sea_orm::Value::String(None)]).await;
    }
    let busy = RecordingId::parse("busy").unwrap();
    queue::enqueue::enqueue(&world.db, &Mux { recording: busy.clone(), version: 1 }).await.unwrap();
    let worker = world.work_on(&[Queue::Control]);
    sweep_once(&world).await;
    for id in ["check", "mux"] {
        let id = RecordingId::parse(id).unwrap();
        let failed = world.until_state(&id, State::Failed).await;
        let (code, why) = failed.error.unwrap();
        assert_eq!(code, "storage", "{id}");
        assert!(why.ends_with("job was discarded: get object: connection refused"), "{why}");
    }
    let older = RecordingId::parse("older").unwrap();
    for id in [older, busy] {
        assert_eq!(world.recording(&id).await.state, State::Finalizing, "{id}");
        assert_eq!(world.jobs(&id, Kind::Mux, "live").await.len(), 1, "{id}");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_that_wait_without_a_job_get_one() {
    let world = World::new().await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, index| index < 2).await;
    world.execute("DELETE FROM queue.job", []).await;
    world.execute("UPDATE spool.segment SET received_at = now() - interval '1 minute'", []).await;
    let worker = world.work();
    sweep_once(&world).await;
    wait::until("everything is stored", PATIENCE, || async {
        worker::db::segments::received(&world.db, &id, 1).await.unwrap().is_empty().then_some(())
    })
    .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provisional_end_becomes_final_after_its_time() {
    let world = World::with(|config| {
        config.cleanup.grace = std::time::Duration::ZERO;
        config.live.declaration_wait = std::time::Duration::ZERO;
    })
    .await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, _| true).await;
    let worker = world.work();
    wait::until("everything is stored", PATIENCE, || async {
        worker::db::segments::received(&world.db, &id, 1).await.unwrap().is_empty().then_some(())
    })
    .await;
    fall_silent(&world, &id).await;
    world.until_state(&id, State::Ready).await;
    world.execute("UPDATE spool.recording SET ended_at = now() - interval '31 days'", []).await;
    sweep_once(&world).await;
    world.until_state(&id, State::Archived).await;
    worker.stop().await;
}

/// Every minute `sweep` looks through what came into the store for a part of the recordings. Of ten, one for each minute of
/// a round, it is the turn of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn incoming_objects_without_a_row_are_looked_after() {
    let world = World::in_mode(Mode::Store).await;
    let (track, init) = (Track::Video, &set().tracks[&Track::Video].0);
    for minute in 0..10 {
        let sql =
            "SELECT n FROM generate_series(1, 1000) AS n WHERE mod(abs(hashtext('r' || n)::bigint), 10) = $1 LIMIT 1";
        let n = world.number(&sql.replace("SELECT n", "SELECT n::int8"), [minute.into()]).await;
        let id = world.create(&format!("r{n}")).await;
        world.accept(&id, track, Name::Init, init).await.unwrap();
    }
    world.execute("DELETE FROM spool.segment", []).await;
    world.execute("DELETE FROM queue.job", []).await;
    for path in world.staged() {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(file.metadata().unwrap().modified().unwrap() - Duration::from_secs(600)).unwrap();
    }
    assert_eq!(sweep::taking_in(&world.db, 1, None, 100).await.unwrap().len(), 10);
    let worker = world.work_on(&[Queue::Control]);
    sweep_once(&world).await;
    let restored = world.number("SELECT count(*) FROM spool.segment WHERE state = 'received'", []).await;
    assert!((1..=2).contains(&restored), "{restored}: one, or two when the minute turns");
    worker.stop().await;
}

/// A web app has ended a recording in a transaction that it leaves open: the job that delivers is put in and nobody sees it.
/// `sweep` misses the job, and must neither wait for the web app nor fail for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_whose_job_is_in_an_open_transaction_holds_up_nobody() {
    let world = World::new().await;
    world.create("r").await;
    world.execute("INSERT INTO spool.webhook_endpoint (name, url) VALUES ('app', 'http://127.0.0.1:9/')", []).await;
    world.execute("UPDATE spool.recording SET webhook = 'app'", []).await;
    let append = "SELECT spool.append_event('r', 'recording.reopened', '{}')";
    world.number(append, []).await;
    world.execute("UPDATE spool.webhook_delivery SET due_at = now() - interval '1 hour'", []).await;
    world.execute("DELETE FROM queue.job WHERE kind = 'webhook'", []).await;
    let open = world.db.begin().await.unwrap();
    open.execute_unprepared(append).await.unwrap();

    let worker = world.work_on(&[Queue::Control]);
    sweep_once(&world).await;
    let swept = "SELECT count(*) FROM queue.attempt WHERE kind = 'sweep' AND outcome <> 0";
    assert_eq!(world.number(swept, []).await, 0);
    let jobs = "SELECT count(*) FROM queue.job WHERE unique_key = 'webhook:r:app'";
    assert_eq!(world.number(jobs, []).await, 0);
    open.rollback().await.unwrap();
    sweep_once(&world).await;
    assert_eq!(world.number(jobs, []).await, 1);
    worker.stop().await;
}
