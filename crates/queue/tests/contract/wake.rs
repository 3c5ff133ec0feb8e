//! How soon a job starts: by wake-up, by poll, by the schedule, and not at all before its time.

use crate::support::{Say, World, quick, spec, start, until, within};
use domain::job::Queue;
use queue::{Config, JobKind, Outcome, Runtime, kinds};
use std::time::{Duration, Instant};

async fn good(_: Say) -> Outcome {
    Outcome::Completed
}

#[tokio::test]
async fn wake_up_is_heard_and_a_deaf_listener_is_rebuilt() {
    let world = World::new().await;
    let config = Config { poll: Duration::from_secs(60), ..quick() };
    let running = start(Runtime::new(world.db.clone(), config).register::<Say, _, _>(2, good), Duration::ZERO);
    let ears =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'spool ears'";
    until("listening", async || world.number(ears).await == 1).await;
    for round in 0..2 {
        let asked = Instant::now();
        let heard = within(Duration::from_secs(20), async || {
            // Rung again and again: the first ring may fall between connecting and listening.
            let id = world.say("x").await;
            running.engine.bell().ring("control");
            within(Duration::from_millis(500), async || world.job(id).await.starts_with("completed")).await
        });
        assert!(heard.await, "round {round}: nothing heard for {:?}", asked.elapsed());
        if round == 0 {
            let killed = "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                WHERE datname = current_database() AND application_name = 'spool ears') AS k";
            assert_eq!(world.number(killed).await, 1);
            until("listening again", async || world.number(ears).await == 1).await;
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn lost_wake_up_costs_one_poll() {
    let world = World::new().await;
    let config = Config { listen: false, poll: Duration::from_millis(500), ..quick() };
    let running = start(Runtime::new(world.db.clone(), config).register::<Say, _, _>(2, good), Duration::ZERO);
    until("registered", async || world.number("SELECT count(*) FROM queue.worker").await == 1).await;
    let id = world.say("x").await;
    world.ends_within(id, Duration::from_secs(5)).await;
    running.stop().await;
}

#[tokio::test]
async fn enqueue_itself_is_quiet_for_us_and_loud_for_others() {
    let world = World::new().await;
    let mut listener = sqlx::postgres::PgListener::connect_with(world.pool()).await.unwrap();
    listener.listen("queue_ready").await.unwrap();
    world.say("x").await;
    queue::notify::notify(&world.db, "mark").await.unwrap();
    assert_eq!(listener.recv().await.unwrap().payload(), "mark", "ours is woken by the bell alone");
    let theirs = "SELECT count(*) FROM queue.enqueue(queue.uuid_v7(), NULL, 'say', '{}', NULL, NULL, NULL, NULL)";
    assert_eq!(world.number(theirs).await, 1);
    assert_eq!(listener.recv().await.unwrap().payload(), "control", "who writes SQL cannot ring");
}

#[tokio::test]
async fn burst_of_rings_is_one_wake_up_and_a_last_one() {
    let world = World::new().await;
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(2, good), Duration::ZERO);
    let heard = || running.engine.counters().heard.load(std::sync::atomic::Ordering::Relaxed);
    until("listening", async || {
        running.engine.bell().ring("control");
        heard() > 0
    })
    .await;
    // Until the rings of that loop have come to their end.
    let mut before = 0;
    until("quiet", async || {
        let last = std::mem::replace(&mut before, heard());
        tokio::time::sleep(Duration::from_millis(200)).await;
        last == heard()
    })
    .await;
    let before = heard();
    let began = Instant::now();
    for _ in 0..1000 {
        running.engine.bell().ring("control");
    }
    // What the window allows for as long as the burst took, and the trailing one.
    let most = u64::try_from(began.elapsed().as_millis() / 10).unwrap() + 3;
    until("the last one came", async || heard() > before).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let rings = heard() - before;
    assert!((1..=most).contains(&rings), "{rings} wake-ups, at most {most}");
    running.stop().await;
}

#[tokio::test]
async fn snooze_keeps_the_attempt_and_bounds_the_rate() {
    let world = World::new().await;
    let db = world.db.clone();
    let handler = move |_: Say, ctx: queue::JobCtx| {
        let db = db.clone();
        async move {
            let row: (i32,) = sqlx::query_as("SELECT snoozes FROM queue.job WHERE id = $1")
                .bind(ctx.id())
                .fetch_one(db.get_postgres_connection_pool())
                .await
                .unwrap();
            assert_eq!(ctx.attempt(), 1);
            // Shorter than allowed: the engine makes it the least delay.
            if row.0 < 30 { Outcome::Snooze(Duration::from_nanos(1)) } else { Outcome::Completed }
        }
    };
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(1, handler), Duration::ZERO);
    let began = Instant::now();
    let id = world.say("x").await;
    assert_eq!(world.ends(id).await, "completed attempt=1 snoozes=30 crashes=0");
    assert!(began.elapsed() >= quick().snooze_min * 30);
    running.stop().await;
}

#[tokio::test]
async fn schedule_fires_once_a_tick_among_many_workers() {
    let world = World::new().await;
    kinds::sync(&world.db, &[spec("tick", Queue::Webhook)]).await.unwrap();
    kinds::schedule(&world.db, "tick", Duration::from_secs(3600)).await.unwrap();
    let workers: Vec<_> = (0..3)
        .map(|_| start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(1, good), Duration::ZERO))
        .collect();
    let fired = "SELECT count(*) FROM queue.schedule WHERE last_at IS NOT NULL AND next_at > now()";
    until("fired", async || world.number(fired).await == 1).await;
    assert_eq!(world.number("SELECT count(*) FROM queue.job WHERE kind = 'tick'").await, 1);
    // Nobody was there for three hours: one job, no burst.
    world.run("DELETE FROM queue.job").await;
    world.run("UPDATE queue.schedule SET next_at = now() - interval '3 hours', last_at = NULL").await;
    until("fired again", async || world.number(fired).await == 1).await;
    assert_eq!(world.number("SELECT count(*) FROM queue.job WHERE kind = 'tick'").await, 1);
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn history_is_kept_for_its_time_and_no_longer() {
    let world = World::new().await;
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(4, good), Duration::ZERO);
    let old = world.say("x").await;
    world.ends(old).await;
    running.stop().await;
    postgres::testing::advance(world.pool(), Duration::from_secs(15 * 24 * 3600)).await.unwrap();
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(4, good), Duration::ZERO);
    let young = world.say("x").await;
    world.ends(young).await;
    for (table, key) in [("job_archive", "id"), ("attempt", "job_id")] {
        until(table, async || {
            world.number(&format!("SELECT count(*) FROM queue.{table} WHERE {key} = '{old}'")).await == 0
        })
        .await;
        assert_eq!(world.number(&format!("SELECT count(*) FROM queue.{table} WHERE {key} = '{young}'")).await, 1);
    }
    running.stop().await;
}

#[tokio::test]
async fn numbers_and_partitions_are_kept() {
    let world = World::new().await;
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(4, good), Duration::ZERO);
    for _ in 0..20 {
        world.say("x").await;
    }
    until("counted", async || {
        world.number("SELECT coalesce(sum(ok), 0) FROM queue.stat WHERE kind = 'say'").await == 20
    })
    .await;
    assert_eq!(world.number("SELECT sum(n) FROM queue.stat, unnest(hist) AS n").await, 20);
    let days = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'queue.attempt'::regclass";
    until("partitions made", async || world.number(days).await >= 4).await;
    assert_eq!(Say::spec().name, "say");
    running.stop().await;
}
