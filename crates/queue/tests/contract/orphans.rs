//! The look at the own rows: claims whose answer was lost, attempts whose job was taken away, rows nobody may claim.

use crate::support::{Nap, Say, World, nap, quick, start, until};
use queue::{JobCtx, Outcome, Runtime, Stop};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

#[tokio::test]
async fn claim_whose_answer_was_lost_is_handed_back_and_run() {
    let world = World::new().await;
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Nap, _, _>(2, nap), Duration::ZERO);
    until("registered", async || world.number("SELECT count(*) FROM queue.worker").await == 1).await;
    let me = running.engine.worker_id();
    let id = uuid::Uuid::now_v7();
    world
        .run(&format!(
            "INSERT INTO queue.job (id, queue, kind, state, epoch, worker_id, attempt, payload) \
             VALUES ('{id}', 'mux', 'nap', 3, nextval('queue.epoch_seq'), '{me}', 1, '{{\"ms\": 1}}')"
        ))
        .await;
    assert_eq!(world.ends(id).await, "completed attempt=1 snoozes=0 crashes=0");
    assert_eq!(world.attempts(id).await, "1 handed_back, 1 completed");
    running.stop().await;
}

#[tokio::test]
async fn fenced_attempt_is_stopped_and_changes_nothing() {
    let world = World::new().await;
    let stops: Arc<Mutex<Vec<Option<Stop>>>> = Arc::default();
    let seen = stops.clone();
    let handler = move |job: Say, ctx: JobCtx| {
        let seen = seen.clone();
        async move {
            if job.what == "first" && ctx.attempt() == 1 && seen.lock().unwrap().is_empty() {
                ctx.stop().cancelled().await;
                assert!(!ctx.is_mine().await.unwrap());
                seen.lock().unwrap().push(ctx.stop_reason().cloned());
                return Outcome::Discard("a stale attempt must not say this".into());
            }
            Outcome::Completed
        }
    };
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(2, handler), Duration::ZERO);
    let id = world.say("first").await;
    world.job_starts_with(id, "running").await;
    until("held", async || running.engine.busy() == 1).await;
    // As a rescue that this process slept through: the job is free again.
    world.run(&format!("UPDATE queue.job SET state = 2, ready_seq = nextval('queue.ready_seq'), epoch = NULL, worker_id = NULL, crashes = 1 WHERE id = '{id}'")).await;
    assert_eq!(world.ends(id).await, "completed attempt=2 snoozes=0 crashes=1");
    until("the stale attempt is over", async || running.engine.busy() == 0).await;
    assert_eq!(*stops.lock().unwrap(), [Some(Stop::Fenced)]);
    assert_eq!(world.attempts(id).await, "2 completed");
    running.stop().await;
}

#[tokio::test]
async fn unknown_kinds_and_newer_payloads_are_left_alone() {
    let world = World::new().await;
    let (alien, newer) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
    for (id, kind, ver) in [(alien, "alien", 1), (newer, "say", 2)] {
        world
            .run(&format!(
                "INSERT INTO queue.job (id, queue, kind, schema_ver, state, ready_seq, payload) \
                 VALUES ('{id}', 'control', '{kind}', {ver}, 2, nextval('queue.ready_seq'), '{{\"what\": \"x\"}}')"
            ))
            .await;
    }
    let running = start(
        Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(2, async |_: Say| Outcome::Completed),
        Duration::ZERO,
    );
    let id = world.say("x").await;
    world.ends(id).await;
    for left in [alien, newer] {
        assert_eq!(world.job(left).await, "available attempt=0 snoozes=0 crashes=0");
    }
    running.stop().await;
}

#[tokio::test]
async fn undecodable_payload_ends_its_own_job_alone() {
    let world = World::new().await;
    let odd = [r#"{"wrong": 1}"#, r#""garbage""#, r#"{"what": 7}"#, "[]", "null"];
    let mut bad = Vec::new();
    for payload in odd {
        let payload = serde_json::from_str(payload).unwrap();
        bad.push(world.put(queue::enqueue::Enqueue::raw("say", payload)).await);
        world.say("good").await;
    }
    let running = start(
        Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(16, async |_: Say| Outcome::Completed),
        Duration::ZERO,
    );
    for id in bad {
        assert_eq!(
            world.ends(id).await,
            "discarded attempt=1 snoozes=0 crashes=0 reason=undecodable class=undecodable"
        );
        assert_eq!(world.attempts(id).await, "1 discarded undecodable");
    }
    until("neighbours ran", async || {
        world.number("SELECT count(*) FROM queue.job_archive WHERE outcome = 0 AND kind = 'say'").await
            == odd.len() as i64
    })
    .await;
    running.stop().await;
}
