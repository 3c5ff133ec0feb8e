//! Rescue: what nobody works on any more comes back, once, and poison does not come back for ever.

use crate::support::{Nap, Say, Solo, World, connect, nap, quick, spec, start, until};
use domain::job::{KindSpec, Queue};
use queue::{Config, JobCtx, JobKind, Outcome, Progress, Runtime, enqueue::Enqueue, kinds};
use sea_orm::TransactionTrait as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

async fn good(_: Say) -> Outcome {
    Outcome::Completed
}

/// Makes a waiting job look claimed by a worker.
async fn claimed_by(world: &World, job: Uuid, worker: &str, more: &str) {
    let changed = world
        .run(&format!(
            "UPDATE queue.job SET state = 3, ready_seq = NULL, epoch = nextval('queue.epoch_seq'), worker_id = {worker}, \
             attempt = attempt + 1, started_at = now() {more} WHERE id = '{job}'"
        ))
        .await;
    assert_eq!(changed, 1);
}

#[tokio::test]
async fn rescue_takes_back_from_dead_and_from_missing_workers() {
    let world = World::new().await;
    let (dead, missing) = (world.say("a").await, world.say("b").await);
    let worker = Uuid::new_v4();
    world
        .run(&format!("INSERT INTO queue.worker (id, lease_until) VALUES ('{worker}', now() - interval '1 second')"))
        .await;
    claimed_by(&world, dead, &format!("'{worker}'"), "").await;
    claimed_by(&world, missing, "gen_random_uuid()", "").await;
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(2, good), Duration::ZERO);
    for id in [dead, missing] {
        assert_eq!(world.ends(id).await, "completed attempt=2 snoozes=0 crashes=1");
        assert_eq!(world.attempts(id).await, "1 lost lost, 2 completed");
    }
    let buried = format!("SELECT count(*) FROM queue.worker WHERE id = '{worker}'");
    until("the dead worker's row is gone", async || world.number(&buried).await == 0).await;
    running.stop().await;
}

/// Handlers that hold every connection of the pool are no outage.
#[tokio::test]
async fn rescue_goes_on_while_handlers_hold_the_whole_pool() {
    let world = World::new().await;
    let dead = world.say("a").await;
    claimed_by(&world, dead, "gen_random_uuid()", "").await;
    let pool = connect(&world.url, 1).await;
    let held = pool.begin().await.unwrap();
    let running = start(Runtime::new(pool.clone(), quick()).register::<Say, _, _>(2, good), Duration::ZERO);
    assert_eq!(world.ends(dead).await, "completed attempt=2 snoozes=0 crashes=1");
    held.rollback().await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn rescue_ends_what_must_not_run_again() {
    let world = World::new().await;
    let cases = [
        (", crashes = 9", "discarded attempt=1 snoozes=0 crashes=10 reason=poison class=poison"),
        (", attempt = 3", "discarded attempt=3 snoozes=0 crashes=1 reason=attempts class=attempts"),
        (
            ", cancel_at = now(), cancel_reason = 'enough'",
            "cancelled attempt=1 snoozes=0 crashes=1 reason=enough class=enough",
        ),
    ];
    let mut jobs = Vec::new();
    for (more, end) in cases {
        let id = world.say("x").await;
        // Set twice: an assignment of one column may stand only once.
        claimed_by(&world, id, "gen_random_uuid()", "").await;
        world.run(&format!("UPDATE queue.job SET rev = rev {more} WHERE id = '{id}'")).await;
        jobs.push((id, end));
    }
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Nap, _, _>(2, nap), Duration::ZERO);
    for (id, end) in jobs {
        assert_eq!(world.ends(id).await, end);
        assert!(world.attempts(id).await.ends_with("lost lost"));
    }
    assert_eq!(
        world.number("SELECT count(*) FROM queue.job WHERE kind = 'control'").await,
        3,
        "each has its follow-up"
    );
    running.stop().await;
}

#[tokio::test]
async fn rescued_job_gives_way_to_a_waiting_one_of_its_key() {
    let world = World::new().await;
    let solo = || Enqueue { unique_key: Some("k".into()), ..Enqueue::raw("solo", json!({})) };
    let first = world.put(solo()).await;
    claimed_by(&world, first, "gen_random_uuid()", "").await;
    // Not due yet, so that it waits for as long as the test looks.
    let second = world.put(solo().after(Duration::from_secs(3600))).await;
    assert_ne!(first, second);
    let running = start(
        Runtime::new(world.db.clone(), quick()).register::<Solo, _, _>(1, async |_: Solo| Outcome::Completed),
        Duration::ZERO,
    );
    assert!(world.ends(first).await.starts_with("superseded"));
    queue::operate::run_now(&world.db, second, &crate::control::by()).await.unwrap();
    assert!(world.ends(second).await.starts_with("completed"));
    running.stop().await;
}

#[tokio::test]
async fn job_long_past_its_deadline_is_taken_from_a_live_worker() {
    let world = World::new().await;
    let id = world.say("x").await;
    let alive = Uuid::new_v4();
    world
        .run(&format!("INSERT INTO queue.worker (id, lease_until) VALUES ('{alive}', now() + interval '1 hour')"))
        .await;
    claimed_by(&world, id, &format!("'{alive}'"), ", deadline_at = now() - interval '1 hour'").await;
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(2, good), Duration::ZERO);
    assert_eq!(world.ends(id).await, "completed attempt=2 snoozes=0 crashes=0");
    assert_eq!(world.attempts(id).await, "1 lost timeout, 2 completed");
    running.stop().await;
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Slow {}

impl JobKind for Slow {
    fn spec() -> KindSpec {
        KindSpec { max_runtime: Duration::from_millis(200), ..spec("slow", Queue::Preview) }
    }
}

#[tokio::test]
async fn timeout_frees_the_slot_and_tries_again() {
    let world = World::new().await;
    kinds::sync(&world.db, &[Slow::spec()]).await.unwrap();
    let handler = async |_: Slow, ctx: JobCtx| {
        if ctx.attempt() < 3 {
            // The first listens and stops, the second does not.
            tokio::select! { () = ctx.stop().cancelled(), if ctx.attempt() == 1 => {}, () = std::future::pending() => {} }
            return Err(queue::JobError::new(domain::retry::Fault::Cancelled, "stopped", "told to stop"));
        }
        Ok(Outcome::Completed)
    };
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Slow, _, _>(1, handler), Duration::ZERO);
    let id = world.put(Enqueue::raw("slow", json!({}))).await;
    assert_eq!(world.ends(id).await, "completed attempt=3 snoozes=0 crashes=0");
    assert_eq!(world.attempts(id).await, "1 failed timeout, 2 failed timeout, 3 completed");
    running.stop().await;
}

#[tokio::test]
async fn progress_is_seen_and_clears_the_crashes() {
    let world = World::new().await;
    let id = world.nap(0).await;
    world.run(&format!("UPDATE queue.job SET crashes = 5 WHERE id = '{id}'")).await;
    let handler = async |_: Nap, ctx: JobCtx| {
        assert_eq!(ctx.crashes(), 5);
        ctx.progress(Progress { pct: Some(40.0), stage: Some("copy".into()), ..Progress::default() }).await;
        ctx.stop().cancelled().await;
        Outcome::HandBack
    };
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Nap, _, _>(1, handler), Duration::ZERO);
    world.job_starts_with(id, "running attempt=1 snoozes=0 crashes=0").await;
    let seen = queue::read::show_job(&world.db, id).await.unwrap().expect("the job");
    let progress = seen.progress.expect("progress");
    assert_eq!((progress.pct, progress.stage.as_deref()), (Some(40.0), Some("copy")));
    running.stop().await;
}

/// A lease that this process could not know it had lost: the row of the worker is gone, its job with it.
#[tokio::test]
async fn worker_taken_for_dead_goes_on_under_a_new_identity() {
    let world = World::new().await;
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Nap, _, _>(2, nap), Duration::ZERO);
    let id = world.nap(1000).await;
    world.job_starts_with(id, "running").await;
    until("held", async || running.engine.busy() == 1).await;
    let old = running.engine.worker_id();
    world.run("DELETE FROM queue.worker").await;
    until("a new identity", async || running.engine.worker_id() != old).await;
    let end = world.ends(id).await;
    assert!(end.starts_with("completed attempt=2 snoozes=0 crashes=1"), "{end}");
    assert_eq!(world.attempts(id).await, "1 lost lost, 2 completed");
    running.stop().await;
}

/// The registration was written and its answer lost, then it was said again: the process counts its lease from the second
/// time, and so must the table.
#[tokio::test]
async fn registration_said_twice_counts_from_the_second_time() {
    let world = World::new().await;
    let config = Config { lease: Duration::from_secs(300), beat: Duration::from_secs(100), upkeep: false, ..quick() };
    let runtime = Runtime::new(world.db.clone(), config).register::<Say, _, _>(2, good);
    let me = runtime.engine().worker_id();
    world
        .run(&format!("INSERT INTO queue.worker (id, lease_until) VALUES ('{me}', now() - interval '1 second')"))
        .await;
    let running = start(runtime, Duration::ZERO);
    let id = world.say("x").await;
    assert_eq!(world.ends(id).await, "completed attempt=1 snoozes=0 crashes=0");
    running.stop().await;
}
