//! The number that decides how many workers there are.

use crate::support::{World, connect};
use queue::read::{COUNT_MAX, QueueGauges, gauges, load, load_sql};

/// One job in every state, due and not yet due, in every queue: `n` of each.
async fn seed(world: &World, queue: &str, n: u32) {
    for (state, due) in [(0, "0"), (1, "1 hour"), (1, "-1 minute"), (2, "0"), (3, "0"), (4, "1 hour"), (4, "-1 minute")]
    {
        world
            .run(&format!(
                "INSERT INTO queue.job (id, queue, kind, state, ready_seq, epoch, worker_id, run_at, payload) \
                 SELECT queue.uuid_v7(), '{queue}', 'say', {state}, CASE WHEN {state} = 2 THEN nextval('queue.ready_seq') END, \
                   CASE WHEN {state} = 3 THEN 1 END, CASE WHEN {state} = 3 THEN gen_random_uuid() END, \
                   now() + interval '{due}', '{{}}' FROM generate_series(1, {n})"
            ))
            .await;
    }
}

async fn gauge(world: &World, queue: &str) -> QueueGauges {
    let rows = gauges(&world.db).await.unwrap();
    rows.into_iter().find(|row| row.name == queue).expect("the queue is declared")
}

#[tokio::test]
async fn load_is_what_runs_and_what_could_run() {
    let world = World::new().await;
    seed(&world, "control", 3).await;
    seed(&world, "mux", 2).await;
    let row = gauge(&world, "control").await;
    assert_eq!((row.pending, row.scheduled, row.available, row.running, row.retryable), (3, 6, 3, 3, 6));
    assert!((55.0..200.0).contains(&row.oldest_s), "{row:?}");
    assert_eq!((row.load, row.paused, row.workers), (12, false, 0));
    assert_eq!(load(&world.db, &["control"], 1000).await.unwrap(), 12);
    assert_eq!(load(&world.db, &["control", "mux"], 1000).await.unwrap(), 20);
    assert_eq!(load(&world.db, &["ingest"], 1000).await.unwrap(), 0);
    assert_eq!(load(&world.db, &["control", "mux"], 7).await.unwrap(), 7, "counted no further than it matters");

    world.run("UPDATE queue.queue SET paused_at = now() WHERE name = 'mux'").await;
    assert_eq!(load(&world.db, &["control", "mux"], 1000).await.unwrap(), 14, "what runs in a paused queue still runs");
    assert_eq!((gauge(&world, "mux").await.load, gauge(&world, "mux").await.paused), (2, true));
    world.run("UPDATE queue.queue SET paused_until = now() - interval '1 second' WHERE name = 'mux'").await;
    assert_eq!(load(&world.db, &["mux"], 1000).await.unwrap(), 8, "a pause that is over is none");
    assert_eq!(gauge(&world, "mux").await.load, 8);

    world
        .run(
            "INSERT INTO queue.worker (id, kinds, draining, lease_until) VALUES \
             (gen_random_uuid(), '[\"mux/nap\", \"mux/say\", \"control/say\"]', false, now() + interval '1 minute'), \
             (gen_random_uuid(), '[\"mux/nap\"]', true, now() + interval '1 minute'), \
             (gen_random_uuid(), '[\"mux/nap\"]', false, now() - interval '1 second')",
        )
        .await;
    assert_eq!((gauge(&world, "mux").await.workers, gauge(&world, "ingest").await.workers), (1, 0));
}

/// The autoscaler's role may ask it, and nothing else of a job.
#[tokio::test]
async fn load_can_be_asked_by_the_autoscaler() {
    let world = World::new().await;
    seed(&world, "control", 1).await;
    let asked = format!("SET LOCAL ROLE spool_scaler; {}", load_sql(&["control"], 10));
    let pool = world.pool();
    let mut tx = pool.begin().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(asked)).execute(&mut *tx).await.unwrap();
    let refused = sqlx::raw_sql("SELECT payload FROM queue.job").execute(&mut *tx).await;
    assert!(refused.is_err());
}

/// Counted in rows, whatever the planner knows: what waits for a later time is not read, and the rest no further than asked.
#[tokio::test]
async fn load_and_gauges_read_no_more_than_they_count() {
    let world = World::new().await;
    world.run("ALTER TABLE queue.job SET (autovacuum_enabled = false)").await;
    for (queue, state, due) in
        [("control", 2, "0"), ("control", 1, "1 hour"), ("mux", 1, "1 hour"), ("mux", 4, "1 hour")]
    {
        world
            .run(&format!(
                "INSERT INTO queue.job (id, queue, kind, state, ready_seq, run_at, payload) \
                 SELECT queue.uuid_v7(), '{queue}', 'say', {state}, CASE WHEN {state} = 2 THEN nextval('queue.ready_seq') END, \
                   now() + interval '{due}' + i * interval '1 ms', '{{}}' FROM generate_series(1, 30000) AS i"
            ))
            .await;
    }
    let db = connect(&world.url, 1).await;
    for known in ["SELECT 1", "ANALYZE queue.job", "VACUUM queue.job"] {
        world.run(known).await;
        let begun = crate::read::rows_read(&db).await;
        assert_eq!(load(&db, &["control", "mux"], 60).await.unwrap(), 60);
        assert_eq!(load(&db, &["mux"], 60).await.unwrap(), 0);
        let read = crate::read::rows_read(&db).await - begun;
        assert!(read < 400, "{known}: {read} rows were read for the load");
        let begun = crate::read::rows_read(&db).await;
        let rows = gauges(&db).await.unwrap();
        assert_eq!(rows.iter().find(|row| row.name == "control").map(|row| row.load), Some(COUNT_MAX));
        let read = crate::read::rows_read(&db).await - begun;
        assert!(read < 5 * COUNT_MAX, "{known}: {read} rows were read for the gauges");
    }
}
