//! Leaving without loss: nothing is burnt, nothing is forgotten.

use crate::support::{Nap, World, nap, quick, start, until};
use queue::{JobCtx, Outcome, Runtime, enqueue::Enqueue};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn four_drains_leave_the_attempt_unchanged() {
    let world = World::new().await;
    let id = world.nap(60_000).await;
    for round in 1..=4 {
        let running =
            start(Runtime::new(world.db.clone(), quick()).register::<Nap, _, _>(1, nap), Duration::from_millis(50));
        world.job_starts_with(id, "running attempt=1").await;
        running.stop().await;
        assert_eq!(world.job(id).await, "available attempt=0 snoozes=0 crashes=0", "drain {round}");
    }
    assert_eq!(world.attempts(id).await, "1 handed_back, 1 handed_back, 1 handed_back, 1 handed_back");
    assert_eq!(world.number("SELECT count(*) FROM queue.worker").await, 0, "every worker took its row away");
}

#[tokio::test]
async fn drain_lets_short_jobs_end_and_takes_stubborn_ones_back() {
    let world = World::new().await;
    let short = world.put(Enqueue::raw("nap", json!({ "ms": 400, "stubborn": true }))).await;
    let stubborn = world.put(Enqueue::raw("nap", json!({ "ms": 60_000, "stubborn": true }))).await;
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Nap, _, _>(2, nap), Duration::from_secs(1));
    world.job_starts_with(short, "running").await;
    world.job_starts_with(stubborn, "running").await;
    let waiting = world.nap(0).await;
    let asked = Instant::now();
    running.stop().await;
    let took = asked.elapsed();
    assert_eq!(world.job(short).await, "completed attempt=1 snoozes=0 crashes=0");
    assert_eq!(world.job(stubborn).await, "available attempt=0 snoozes=0 crashes=0");
    assert_eq!(world.job(waiting).await, "available attempt=0 snoozes=0 crashes=0");
    assert!(took < Duration::from_secs(8), "bound and grace were kept: {took:?}");
}

#[tokio::test]
async fn checkpoint_of_a_handed_back_job_reaches_its_next_attempt() {
    let world = World::new().await;
    let handler = async |_: Nap, ctx: JobCtx| {
        if let Some(saved) = ctx.saved() {
            return Outcome::CompletedAs(format!("went on at {}", saved["at"]));
        }
        ctx.checkpoint(&json!({ "at": 42 })).await.expect("save");
        ctx.draining().cancelled().await;
        Outcome::HandBack
    };
    let id = world.nap(0).await;
    let first =
        start(Runtime::new(world.db.clone(), quick()).register::<Nap, _, _>(1, handler), Duration::from_secs(5));
    until("saved", async || world.number("SELECT count(*) FROM queue.job WHERE checkpoint IS NOT NULL").await == 1)
        .await;
    first.stop().await;
    let second =
        start(Runtime::new(world.db.clone(), quick()).register::<Nap, _, _>(1, handler), Duration::from_secs(5));
    assert_eq!(world.ends(id).await, "completed attempt=1 snoozes=0 crashes=0 reason=went on at 42");
    second.stop().await;
}
