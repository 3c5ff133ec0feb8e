//! One live job of a key, whoever asks and however often.

use crate::support::{Say, Solo, World, quick, spec, start, until};
use domain::job::Queue;
use domain::retry::Fault;
use queue::{JobError, Outcome, Runtime, enqueue::Enqueue, kinds};
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

fn keyed(kind: &str, key: &str) -> Enqueue {
    Enqueue { unique_key: Some(key.into()), ..Enqueue::raw(kind, json!({ "what": "x" })) }
}

#[tokio::test]
async fn duplicate_key_keeps_the_callers_transaction_alive() {
    let world = World::new().await;
    let first = world.put(keyed("say", "k")).await;
    let tx = world.db.begin().await.unwrap();
    let second = keyed("say", "k").put(&tx).await.unwrap();
    assert_eq!((second.id, second.inserted), (first, false));
    tx.execute_unprepared("CREATE TABLE alive (x int)").await.expect("the transaction goes on");
    tx.commit().await.unwrap();
    world.run("INSERT INTO alive VALUES (1)").await;
}

#[tokio::test]
async fn key_is_free_once_the_job_has_ended() {
    let world = World::new().await;
    let running = start(
        Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(1, async |_: Say| Outcome::Completed),
        Duration::ZERO,
    );
    let first = world.put(keyed("say", "k")).await;
    world.ends(first).await;
    let second = keyed("say", "k").put(&world.db).await.unwrap();
    assert!(second.inserted);
    // The same id again, after its job has ended: no second run.
    let again = Enqueue { id: first, ..keyed("say", "other") }.put(&world.db).await.unwrap();
    assert_eq!((again.id, again.inserted), (first, false));
    running.stop().await;
}

#[tokio::test]
async fn hundred_callers_at_once_make_one_job() {
    let world = World::new().await;
    let calls = (0..100).map(|_| {
        let db = world.db.clone();
        async move {
            let tx = db.begin().await.unwrap();
            let put = keyed("say", "k").put(&tx).await.unwrap();
            tx.commit().await.expect("no caller's transaction is lost");
            put
        }
    });
    let put = futures_util::future::join_all(calls).await;
    assert_eq!(put.iter().filter(|put| put.inserted).count(), 1);
    assert!(put.iter().all(|p| p.id == put[0].id));
    assert_eq!(world.number("SELECT count(*) FROM queue.job").await, 1);
}

#[tokio::test]
async fn rolled_back_enqueue_leaves_nothing() {
    let world = World::new().await;
    let tx = world.db.begin().await.unwrap();
    keyed("say", "k").put(&tx).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(world.number("SELECT count(*) FROM queue.job").await, 0);
}

#[tokio::test]
async fn hasten_cuts_a_snooze_short_but_not_a_back_off() {
    let world = World::new().await;
    let snoozed = world.put(keyed("say", "s").after(Duration::from_secs(3600))).await;
    let failed = world.put(keyed("say", "f").after(Duration::from_secs(3600))).await;
    world.run(&format!("UPDATE queue.job SET state = 4 WHERE id = '{failed}'")).await;
    for key in ["s", "f"] {
        assert!(!keyed("say", key).hastening().put(&world.db).await.unwrap().inserted);
    }
    assert!(world.job(snoozed).await.starts_with("available"));
    assert!(world.job(failed).await.starts_with("retryable"));
}

/// One runs, one more waits; the running one must retry: it gives way, and its batch does not suffer.
#[tokio::test]
async fn running_job_gives_way_to_a_waiting_one_of_its_key() {
    let world = World::new().await;
    let db = world.db.clone();
    let handler = move |_: Solo, ctx: queue::JobCtx| {
        let db = db.clone();
        async move {
            let others = "SELECT count(*) AS n FROM queue.job_archive WHERE kind = 'solo'";
            let row = db.query_one_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, others)).await;
            if row.unwrap().unwrap().try_get::<i64>("", "n").unwrap() > 0 {
                return Ok(Outcome::Completed);
            }
            let waiting = Enqueue { unique_key: Some("solo".into()), ..Enqueue::raw("solo", json!({})) }
                .after(Duration::from_millis(300))
                .put(&db)
                .await
                .unwrap();
            assert!(waiting.inserted && waiting.id != ctx.id(), "one more may wait while one runs");
            Err(JobError::new(Fault::Transient, "storage", "503"))
        }
    };
    let running = start(
        Runtime::new(world.db.clone(), quick())
            .register::<Solo, _, _>(1, handler)
            .register::<Say, _, _>(8, async |_: Say| Outcome::Completed),
        Duration::ZERO,
    );
    let first = world.put(Enqueue { unique_key: Some("solo".into()), ..Enqueue::raw("solo", json!({})) }).await;
    for _ in 0..50 {
        world.say("neighbour").await;
    }
    assert_eq!(world.ends(first).await, "superseded attempt=1 snoozes=0 crashes=0 class=storage");
    assert_eq!(world.attempts(first).await, "1 failed storage");
    until("all ended", async || world.number("SELECT count(*) FROM queue.job").await == 0).await;
    assert_eq!(world.number("SELECT count(*) FROM queue.job_archive WHERE outcome = 0").await, 51);
    running.stop().await;
}

#[tokio::test]
async fn kinds_are_declared_once_and_unknown_ones_refused() {
    let world = World::new().await;
    assert_eq!(kinds::sync(&world.db, &[spec("fresh", Queue::Control)]).await.unwrap(), 1);
    assert_eq!(kinds::sync(&world.db, &[spec("fresh", Queue::Control)]).await.unwrap(), 0);
    let refused = Enqueue::raw("nobody", json!({})).put(&world.db).await.expect_err("unknown kind");
    assert!(matches!(refused, queue::enqueue::Error::Database { .. }));
    assert_eq!(world.job(Uuid::nil()).await, "");
}
