//! The database goes away: running handlers do not notice, finished work is kept until it can be written.

use crate::support::{Nap, Say, World, nap, quick, start, until};
use postgres::{Cluster, Profile, Shutdown};
use queue::{Config, JobCtx, Outcome, Runtime, Stop, enqueue::Enqueue};
use serde_json::json;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

/// The defaults, shortened only where the test would wait for nothing: the lease must outlast no outage by luck.
fn patient() -> Config {
    Config { lease: Duration::from_secs(15), beat: Duration::from_secs(5), ..quick() }
}

#[tokio::test]
async fn handlers_survive_a_stopped_database_and_complete_once() {
    let mut cluster = Cluster::temporary(Profile::Durable).await.expect("a server of our own");
    let world = World::on(&cluster.url("postgres")).await;
    let starts = Arc::new(AtomicUsize::new(0));
    let seen = starts.clone();
    let handler = move |job: Nap, ctx: JobCtx| {
        seen.fetch_add(1, Ordering::SeqCst);
        nap(job, ctx)
    };
    let running = start(Runtime::new(world.db.clone(), patient()).register::<Nap, _, _>(4, handler), Duration::ZERO);
    // One ends while the database is away, one after it is back.
    let short = world.put(Enqueue::raw("nap", json!({ "ms": 2000 }))).await;
    let long = world.put(Enqueue::raw("nap", json!({ "ms": 8000 }))).await;
    until("both run", async || starts.load(Ordering::SeqCst) == 2).await;

    cluster.stop(Shutdown::Immediate).await.expect("stop");
    sleep(Duration::from_secs(6)).await;
    cluster.start_again().await.expect("start");

    for id in [short, long] {
        assert_eq!(world.ends(id).await, "completed attempt=1 snoozes=0 crashes=0");
        assert_eq!(world.attempts(id).await, "1 completed");
    }
    let after = world.nap(0).await;
    assert!(world.ends(after).await.starts_with("completed"));
    assert_eq!(starts.load(Ordering::SeqCst), 3, "nothing ran twice");
    assert_eq!(running.engine.counters().rescued.load(Ordering::Relaxed), 0);
    running.stop().await;
}

#[tokio::test]
async fn worker_that_starts_without_a_database_waits_for_it() {
    let mut cluster = Cluster::temporary(Profile::Durable).await.expect("a server of our own");
    let world = World::on(&cluster.url("postgres")).await;
    let id = world.nap(0).await;
    cluster.stop(Shutdown::Fast).await.expect("stop");
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Nap, _, _>(4, nap), Duration::ZERO);
    until("it has tried", async || running.engine.counters().away.load(Ordering::Relaxed) > 0).await;
    cluster.start_again().await.expect("start");
    assert!(world.ends(id).await.starts_with("completed attempt=1"));
    running.stop().await;
}

#[tokio::test]
async fn killed_connections_lose_and_burn_nothing() {
    let cluster = Cluster::temporary(Profile::Durable).await.expect("a server of our own");
    let world = World::on(&cluster.url("postgres")).await;
    let jobs = 3000;
    world
        .run(&format!(
            "INSERT INTO queue.job (id, queue, kind, state, ready_seq, payload) \
             SELECT queue.uuid_v7(), 'control', 'say', 2, nextval('queue.ready_seq'), '{{\"what\": \"x\"}}' FROM generate_series(1, {jobs})"
        ))
        .await;
    let ran = Arc::new(Mutex::new(std::collections::HashMap::new()));
    let seen = ran.clone();
    let handler = move |_: Say, ctx: JobCtx| {
        *seen.lock().unwrap().entry(ctx.id()).or_insert(0) += 1;
        async { Outcome::Completed }
    };
    let running = start(Runtime::new(world.db.clone(), patient()).register::<Say, _, _>(16, handler), Duration::ZERO);
    let kill = "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE backend_type = 'client backend' AND application_name LIKE 'spool %') AS k";
    let mut kills = 0;
    loop {
        let done = world.number("SELECT count(*) FROM queue.job_archive").await;
        if done == jobs {
            break;
        }
        if kills < 20 {
            kills += world.number(kill).await;
        }
        sleep(Duration::from_millis(15)).await;
    }
    assert!(kills > 0, "it was over before anything was killed");
    let ran = ran.lock().unwrap().clone();
    assert_eq!(ran.len() as i64, jobs);
    assert_eq!(ran.values().filter(|n| **n > 1).count(), 0, "nothing ran twice");
    assert_eq!(world.number("SELECT count(*) FROM queue.job_archive WHERE attempt <> 1 OR outcome <> 0").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM queue.attempt WHERE outcome = 0").await, jobs);
    running.stop().await;
}

/// Every server process stands still, the sockets stay open: nothing ever answers, and nothing says so.
#[tokio::test]
async fn lease_in_doubt_stops_what_is_not_fenced_by_itself() {
    let cluster = Cluster::temporary(Profile::Durable).await.expect("a server of our own");
    let world = World::on(&cluster.url("postgres")).await;
    let reasons: Arc<Mutex<Vec<Option<Stop>>>> = Arc::default();
    let seen = reasons.clone();
    let abort = move |_: Say, ctx: JobCtx| {
        let seen = seen.clone();
        async move {
            if !seen.lock().unwrap().is_empty() {
                return Outcome::Completed;
            }
            ctx.stop().cancelled().await;
            seen.lock().unwrap().push(ctx.stop_reason().cloned());
            Outcome::HandBack
        }
    };
    let running = start(
        Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(1, abort).register::<Nap, _, _>(1, nap),
        Duration::ZERO,
    );
    let aborts = world.say("x").await;
    let finishes = world.nap(4000).await;
    for id in [aborts, finishes] {
        world.job_starts_with(id, "running").await;
    }
    until("both held", async || running.engine.busy() == 2).await;
    let frozen = Frozen::new(cluster.pid().expect("running"));
    until("stopped", async || !reasons.lock().unwrap().is_empty()).await;
    assert_eq!(*reasons.lock().unwrap(), [Some(Stop::LeaseAtRisk)]);
    sleep(Duration::from_secs(2)).await;
    drop(frozen);
    // Nobody took the jobs meanwhile, so the lease is renewed and both go on under the same identity.
    assert_eq!(world.ends(aborts).await, "completed attempt=1 snoozes=0 crashes=0");
    assert_eq!(world.attempts(aborts).await, "1 handed_back, 1 completed");
    assert_eq!(world.ends(finishes).await, "completed attempt=1 snoozes=0 crashes=0");
    running.stop().await;
}

struct Frozen {
    pids: Vec<String>,
}

impl Frozen {
    fn new(postmaster: i32) -> Self {
        let ps = std::process::Command::new("pgrep").args(["-P", &postmaster.to_string()]).output().expect("run pgrep");
        let children = String::from_utf8(ps.stdout).expect("process ids");
        // The parent first, so that it starts nobody new.
        let pids: Vec<String> =
            std::iter::once(postmaster.to_string()).chain(children.lines().map(str::to_owned)).collect();
        let frozen = Frozen { pids };
        frozen.send("-STOP");
        frozen
    }

    fn send(&self, signal: &str) {
        let _ = std::process::Command::new("kill").arg(signal).args(&self.pids).status();
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.send("-CONT");
    }
}

/// A batch is refused because of one row and gone through row by row; in the middle of it a look at the table fails. The
/// ends behind it must not be forgotten: their jobs would stay running, and their slots taken, for ever.
#[tokio::test]
async fn ends_behind_a_look_that_failed_are_written() {
    let world = World::new().await;
    // While the obstacle is there the end of "refused" is refused; that of "unseen" matches nothing, once, and leaves the
    // connection without the right to look again.
    world.run("CREATE TABLE queue.obstacle AS SELECT 1 AS one").await;
    world.run("CREATE TABLE queue.once AS SELECT 1 AS one").await;
    world
        .run(
            "CREATE FUNCTION queue.stand_in_the_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
               IF OLD.payload ->> 'what' = 'refused' AND EXISTS (SELECT FROM queue.obstacle) THEN \
                 RAISE EXCEPTION USING ERRCODE = '22000'; \
               END IF; \
               IF OLD.payload ->> 'what' = 'unseen' THEN \
                 DELETE FROM queue.once; \
                 IF FOUND THEN PERFORM set_config('role', 'pg_read_all_stats', false); RETURN NULL; END IF; \
               END IF; \
               RETURN OLD; END $$",
        )
        .await;
    world
        .run("CREATE TRIGGER stand_in_the_way BEFORE DELETE ON queue.job FOR EACH ROW EXECUTE FUNCTION queue.stand_in_the_way()")
        .await;
    const ORDER: [&str; 4] = ["first", "refused", "unseen", "behind"];
    let (release, released) = tokio::sync::watch::channel(0);
    let handler = move |job: Say, _: JobCtx| {
        let mut released = released.clone();
        async move {
            let place = ORDER.iter().position(|what| *what == job.what).unwrap();
            released.wait_for(|upto| *upto > place).await.unwrap();
            Outcome::Completed
        }
    };
    let mut jobs = Vec::new();
    for what in ORDER {
        jobs.push(world.say(what).await);
    }
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(4, handler), Duration::ZERO);
    until("all run", async || running.engine.busy() == ORDER.len()).await;
    // The pump waits for the lock on the first one's row while the others end, one behind the other.
    let mut holding = world.pool().begin().await.unwrap();
    let lock = sqlx::query("SELECT FROM queue.job WHERE id = $1 FOR UPDATE").bind(jobs[0]);
    lock.execute(&mut *holding).await.unwrap();
    release.send(1).unwrap();
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("the pump waits", async || world.number(waiting).await > 0).await;
    for upto in 2..=ORDER.len() {
        release.send(upto).unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.ends(jobs[3]).await, "completed attempt=1 snoozes=0 crashes=0");
    assert_eq!(world.number("SELECT count(*) FROM queue.once").await, 0, "the look failed");
    holding.rollback().await.unwrap();
    world.run("DELETE FROM queue.obstacle").await;
    for id in jobs {
        assert!(world.ends(id).await.starts_with("completed attempt=1"), "{id}");
    }
    running.stop().await;
}
