//! Every way an attempt can end, in the row and in its history.

use crate::support::{Nap, Say, World, nap, quick, spec, start, until};
use domain::job::{KindSpec, Queue};
use domain::retry::{Fault, RetryPolicy};
use queue::{JobCtx, JobError, JobKind, Outcome, Runtime, enqueue::Enqueue, kinds};
use sea_orm::TransactionTrait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

async fn say(job: Say, ctx: JobCtx) -> Result<Outcome, JobError> {
    let broken = |fault, class| JobError::new(fault, class, format!("said {}", job.what));
    match job.what.as_str() {
        "panic" => panic!("boom in attempt {}", ctx.attempt()),
        "transient" => Err(broken(Fault::Transient, "storage").context("say it")),
        "permanent" => Err(broken(Fault::Permanent, "not-iso-bmff")),
        "nul" => Err(JobError::new(Fault::Permanent, "nul", "a\0b")),
        "later" if ctx.attempt() == 1 => Err(broken(Fault::Transient, "busy").after(Duration::from_secs(3600))),
        "discard" => Ok(Outcome::Discard("nothing decodable".into())),
        "obsolete" => Ok(Outcome::CompletedAs("obsolete".into())),
        _ => Ok(Outcome::Completed),
    }
}

#[tokio::test]
async fn attempts_end_in_exactly_one_recorded_outcome() {
    let world = World::new().await;
    let runtime = Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(4, say).register::<Nap, _, _>(2, nap);
    let running = start(runtime, Duration::from_secs(1));

    for (what, job, attempts) in [
        ("ok", "completed attempt=1 snoozes=0 crashes=0", "1 completed"),
        ("obsolete", "completed attempt=1 snoozes=0 crashes=0 reason=obsolete", "1 completed"),
        ("discard", "discarded attempt=1 snoozes=0 crashes=0 reason=nothing decodable", "1 discarded"),
        (
            "permanent",
            "discarded attempt=1 snoozes=0 crashes=0 reason=not-iso-bmff class=not-iso-bmff",
            "1 discarded not-iso-bmff",
        ),
        ("nul", "discarded attempt=1 snoozes=0 crashes=0 reason=nul class=nul", "1 discarded nul"),
        (
            "transient",
            "discarded attempt=3 snoozes=0 crashes=0 reason=attempts class=storage",
            "1 failed storage, 2 failed storage, 3 discarded storage",
        ),
        (
            "panic",
            "discarded attempt=3 snoozes=0 crashes=0 reason=attempts class=panic",
            "1 failed panic, 2 failed panic, 3 discarded panic",
        ),
    ] {
        let id = world.say(what).await;
        assert_eq!(world.ends(id).await, job, "{what}");
        assert_eq!(world.attempts(id).await, attempts, "{what}");
    }
    // A slot is given back after the commit that the lines above have seen.
    until("nothing is held any more", async || running.engine.busy() == 0).await;
    running.stop().await;
}

#[tokio::test]
async fn explicit_time_to_come_back_is_kept() {
    let world = World::new().await;
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(4, say), Duration::ZERO);
    let id = world.say("later").await;
    world.job_starts_with(id, "retryable attempt=1 snoozes=0 crashes=0 class=busy").await;
    let wait = format!("SELECT extract(epoch FROM run_at - now())::bigint FROM queue.job WHERE id = '{id}'");
    assert!((3500..=3600).contains(&world.number(&wait).await));
    let error = format!("SELECT error FROM queue.job WHERE id = '{id}'");
    assert_eq!(world.text(&error).await, "said later");
    running.stop().await;
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Bytes {}

impl JobKind for Bytes {
    fn spec() -> KindSpec {
        let retry =
            RetryPolicy { base: Duration::from_millis(20), cap: Duration::from_millis(50), ..RetryPolicy::STORAGE };
        KindSpec { retry, ..spec("bytes", Queue::Ingest) }
    }
}

#[tokio::test]
async fn store_that_is_away_costs_no_attempt() {
    let world = World::new().await;
    kinds::sync(&world.db, &[Bytes::spec()]).await.unwrap();
    let tries = Arc::new(Mutex::new(0));
    let handler = move |_: Bytes| {
        let nth = {
            let mut tries = tries.lock().unwrap();
            *tries += 1;
            *tries
        };
        async move {
            if nth <= 15 { Err(JobError::new(Fault::Transient, "storage", "503")) } else { Ok(Outcome::Completed) }
        }
    };
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Bytes, _, _>(1, handler), Duration::ZERO);
    let id = world.put(Enqueue::raw("bytes", json!({}))).await;
    assert_eq!(world.ends(id).await, "completed attempt=1 snoozes=0 crashes=0");
    assert_eq!(world.attempts(id).await.matches("1 failed storage").count(), 15);
    let faults = "SELECT coalesce(sum(n), 0)::bigint FROM queue.fault WHERE template = 'storage: ?'";
    until("the fault is counted", async || world.number(faults).await == 15).await;
    running.stop().await;
}

#[tokio::test]
async fn row_that_cannot_be_written_does_not_hold_up_its_batch() {
    let world = World::new().await;
    // As whatever the database may object to in one row of a batch.
    world.run("ALTER TABLE queue.attempt ADD CONSTRAINT cursed CHECK (error_class <> 'not-iso-bmff')").await;
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for n in 0..40 {
        if n % 10 == 0 { bad.push(world.say("permanent").await) } else { good.push(world.say("ok").await) }
    }
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(20, say), Duration::ZERO);
    for id in good {
        assert_eq!(world.ends(id).await, "completed attempt=1 snoozes=0 crashes=0");
    }
    for id in bad {
        assert_eq!(world.ends(id).await, "discarded attempt=1 snoozes=0 crashes=0 class=unrecordable");
    }
    running.stop().await;
}

#[tokio::test]
async fn row_that_somebody_has_locked_holds_up_only_itself() {
    let world = World::new().await;
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Nap, _, _>(20, nap), Duration::ZERO);
    let locked = world.nap(500).await;
    world.job_starts_with(locked, "running").await;
    let tx = world.db.begin().await.unwrap();
    let lock = format!("SELECT 1 FROM queue.job WHERE id = '{locked}' FOR UPDATE");
    sea_orm::ConnectionTrait::execute_unprepared(&tx, &lock).await.unwrap();
    for _ in 0..20 {
        let id = world.nap(30).await;
        assert!(world.ends(id).await.starts_with("completed"));
    }
    assert!(world.job(locked).await.starts_with("running"), "its end waits for the lock");
    tx.rollback().await.unwrap();
    assert_eq!(world.ends(locked).await, "completed attempt=1 snoozes=0 crashes=0");
    running.stop().await;
}

#[tokio::test]
async fn many_workers_claim_each_job_once() {
    let world = World::new().await;
    let jobs = 400;
    world
        .run(&format!(
            "INSERT INTO queue.job (id, queue, kind, state, ready_seq, payload) SELECT queue.uuid_v7(), 'control', 'say', 2, \
             nextval('queue.ready_seq'), '{{\"what\": \"ok\"}}' FROM generate_series(1, {jobs})"
        ))
        .await;
    let ran: Arc<Mutex<HashMap<uuid::Uuid, u32>>> = Arc::default();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let ran = ran.clone();
            let handler = move |_: Say, ctx: JobCtx| {
                *ran.lock().unwrap().entry(ctx.id()).or_default() += 1;
                async { Outcome::Completed }
            };
            start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(10, handler), Duration::ZERO)
        })
        .collect();
    until("all ended", async || world.number("SELECT count(*) FROM queue.job_archive").await == jobs).await;
    for worker in workers {
        assert_eq!(worker.engine.counters().stale.load(std::sync::atomic::Ordering::Relaxed), 0);
        worker.stop().await;
    }
    let ran = ran.lock().unwrap();
    assert_eq!((ran.len() as i64, ran.values().max()), (jobs, Some(&1)));
}

/// The runtime itself is torn down while a handler runs: the attempt and its end live on.
#[tokio::test]
async fn attempt_outlives_the_runtime_that_started_it() {
    let world = World::new().await;
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Nap, _, _>(1, nap), Duration::ZERO);
    let id = world.nap(600).await;
    world.job_starts_with(id, "running").await;
    until("held", async || running.engine.busy() == 1).await;
    running.run.abort();
    assert_eq!(world.ends(id).await, "completed attempt=1 snoozes=0 crashes=0");
}
