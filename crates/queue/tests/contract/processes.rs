//! Worker processes that are killed, stopped and blocked.

use crate::support::{Nap, World, nap, quick, start, until, within};
use queue::{Config, Runtime, enqueue::Enqueue};
use serde_json::json;
use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

/// The example beside this test's own program.
fn program() -> PathBuf {
    let own = std::env::current_exe().expect("own path");
    let target = own.parent().and_then(|deps| deps.parent()).expect("target folder");
    let program = target.join("examples").join("worker");
    assert!(program.exists(), "build the example first: {}", program.display());
    program
}

fn worker(world: &World, lease_ms: Option<u64>) -> Child {
    let mut command = Command::new(program());
    command.arg(&world.url).args(lease_ms.map(|ms| ms.to_string()));
    command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().expect("start a worker")
}

async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("running").to_string();
    let status = Command::new("kill").args([name, &pid]).status().await.expect("run kill");
    assert!(status.success());
}

const SHORT: u64 = 2500;

#[tokio::test]
async fn killed_workers_job_restarts_elsewhere_within_20_s_with_the_default_lease() {
    let world = World::new().await;
    let mut first = worker(&world, None);
    let id = world.put(Enqueue::raw("nap", json!({ "ms": 2000 }))).await;
    world.job_starts_with(id, "running").await;
    let _second = worker(&world, None);
    until("both registered", async || world.number("SELECT count(*) FROM queue.worker").await == 2).await;
    first.kill().await.expect("kill -9");
    let killed = Instant::now();
    let again = format!("SELECT count(*) FROM queue.job WHERE id = '{id}' AND state = 3 AND attempt = 2");
    assert!(within(Duration::from_secs(25), async || world.number(&again).await == 1).await, "{}", world.job(id).await);
    assert!(killed.elapsed() <= Duration::from_secs(20), "restarted after {:?}", killed.elapsed());
    assert_eq!(world.ends(id).await, "completed attempt=2 snoozes=0 crashes=1");
    assert_eq!(world.attempts(id).await, "1 lost lost, 2 completed");
}

#[tokio::test]
async fn restart_under_the_same_name_does_not_keep_the_old_one_alive() {
    let world = World::new().await;
    let id = world.put(Enqueue::raw("nap", json!({ "ms": 1000 }))).await;
    for attempt in 1..=2 {
        let mut child = worker(&world, Some(SHORT));
        world.job_starts_with(id, &format!("running attempt={attempt}")).await;
        child.kill().await.expect("kill -9");
    }
    let _last = worker(&world, Some(SHORT));
    assert_eq!(world.ends(id).await, "completed attempt=3 snoozes=0 crashes=2");
    assert_eq!(world.attempts(id).await, "1 lost lost, 2 lost lost, 3 completed");
}

#[tokio::test]
async fn poison_stops_at_the_crash_cap_and_spares_its_neighbour() {
    let world = World::new().await;
    world.run("UPDATE queue.kind SET crash_cap = 2 WHERE kind = 'nap'").await;
    let poison = world.put(Enqueue::raw("nap", json!({ "ms": 0, "abort": true }))).await;
    let mut deaths = 0;
    while !world.job(poison).await.starts_with("discarded") {
        let mut child = worker(&world, Some(SHORT));
        let over = within(Duration::from_secs(60), async || {
            child.try_wait().expect("wait").is_some() || world.job(poison).await.starts_with("discarded")
        });
        assert!(over.await, "neither dead nor done: {}", world.job(poison).await);
        deaths += 1;
        assert!(deaths <= 3, "the poison goes on");
    }
    assert_eq!(world.job(poison).await, "discarded attempt=2 snoozes=0 crashes=2 reason=poison class=poison");
    let _child = worker(&world, Some(SHORT));
    let healthy = world.put(Enqueue::raw("nap", json!({ "ms": 1 }))).await;
    assert!(world.ends(healthy).await.starts_with("completed"));
}

#[tokio::test]
async fn lease_outlives_a_handler_that_blocks_its_thread() {
    let world = World::new().await;
    let _blocked = worker(&world, Some(SHORT));
    let id = world.put(Enqueue::raw("nap", json!({ "ms": 3 * SHORT, "blocking": true }))).await;
    world.job_starts_with(id, "running").await;
    // Somebody who would take it.
    let config = Config { lease: Duration::from_millis(SHORT), ..quick() };
    let other = start(Runtime::new(world.db.clone(), config).register::<Nap, _, _>(2, nap), Duration::ZERO);
    assert_eq!(world.ends(id).await, "completed attempt=1 snoozes=0 crashes=0");
    assert_eq!(other.engine.counters().rescued.load(std::sync::atomic::Ordering::Relaxed), 0);
    other.stop().await;
}

#[tokio::test]
async fn zombie_changes_nothing_when_it_wakes() {
    let world = World::new().await;
    let zombie = worker(&world, Some(SHORT));
    let id = world.put(Enqueue::raw("nap", json!({ "ms": 4000 }))).await;
    world.job_starts_with(id, "running attempt=1").await;
    signal(&zombie, "-STOP").await;
    let other = worker(&world, Some(SHORT));
    world.job_starts_with(id, "running attempt=2").await;
    signal(&zombie, "-CONT").await;
    // Its own nap is long over; what it says about it does not count, and it goes on as a worker under a new identity.
    assert_eq!(world.ends(id).await, "completed attempt=2 snoozes=0 crashes=1");
    until("both live", async || world.number("SELECT count(*) FROM queue.worker WHERE lease_until > now()").await == 2)
        .await;
    assert_eq!(world.attempts(id).await, "1 lost lost, 2 completed");
    drop(other);
}
