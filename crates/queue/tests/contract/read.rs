//! What people see.

use crate::support::{Say, World, connect, quick, start};
use domain::filter::{Filter, List};
use queue::read::{COUNT_MAX, Follow, list_jobs, queues, show_job, workers};
use queue::{Outcome, Runtime, enqueue::Enqueue};
use serde_json::json;
use std::time::Duration;

fn jobs(text: &str) -> Filter {
    Filter::parse(text, List::Jobs).expect("a filter")
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let world = World::new().await;
    let mut put = Vec::new();
    for n in 0..25u64 {
        let wait = Duration::from_secs(if n % 2 == 0 { 0 } else { 100 + n });
        let job = Enqueue { subject: Some("r1".into()), ..Enqueue::raw("say", json!({ "what": "good" })) };
        put.push(world.put(job.after(wait)).await);
    }
    for filter in [
        Filter::default(),
        jobs("rec:r1"),
        jobs("rec:r*"),
        jobs("queue:control kind:say"),
        jobs("state:scheduled,available attempt:<1 -worker:x age:<1h"),
    ] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = list_jobs(&world.db, &filter, after, 4).await.unwrap();
            seen.extend(page.rows.iter().map(|row| row.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        seen.sort();
        let mut want = put.clone();
        want.sort();
        assert_eq!(seen, want, "{filter:?}");
    }
    assert_eq!(list_jobs(&world.db, &jobs("state:scheduled"), None, 100).await.unwrap().rows.len(), 12);
}

#[tokio::test]
async fn finished_jobs_are_listed_shown_and_followed() {
    let world = World::new().await;
    let mut follow = Follow::default();
    assert!(follow.look(&world.db).await.unwrap().is_empty());
    let handler = async |job: Say| if job.what == "bad" { Outcome::Discard("no".into()) } else { Outcome::Completed };
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(2, handler), Duration::ZERO);
    let (good, bad) = (world.say("good").await, world.say("bad").await);
    world.ends(good).await;
    world.ends(bad).await;

    let ended = list_jobs(&world.db, &jobs("state:ended"), None, 1).await.unwrap();
    let rest = list_jobs(&world.db, &jobs("state:ended"), ended.next, 10).await.unwrap();
    let mut ids = vec![ended.rows[0].id, rest.rows[0].id];
    ids.sort();
    assert_eq!((ids, rest.rows.len()), (vec![good, bad], 1));
    let discarded = list_jobs(&world.db, &jobs("state:discarded"), None, 10).await.unwrap();
    assert_eq!(discarded.rows.len(), 1);
    assert_eq!((discarded.rows[0].state.as_str(), discarded.rows[0].reason.as_deref()), ("discarded", Some("no")));

    let shown = show_job(&world.db, bad).await.unwrap().expect("in the archive");
    assert_eq!((shown.payload.as_str(), shown.attempts.len()), (r#"{"what": "bad"}"#, 1));
    assert_eq!(shown.attempts[0].outcome, "discarded");
    assert!(show_job(&world.db, uuid::Uuid::now_v7()).await.unwrap().is_none());

    let mut tail: Vec<_> = follow.look(&world.db).await.unwrap().iter().map(|row| row.job_id).collect();
    tail.sort();
    assert_eq!(tail, [good, bad]);
    assert!(follow.look(&world.db).await.unwrap().is_empty(), "shown once");
    let third = world.say("good").await;
    world.ends(third).await;
    let tail: Vec<_> = follow.look(&world.db).await.unwrap().iter().map(|row| row.job_id).collect();
    assert_eq!(tail, [third]);

    let rows = queues(&world.db).await.unwrap();
    let control = rows.iter().find(|row| row.name == "control").expect("declared");
    // The follow-up of the discarded job waits there; nobody runs its kind.
    assert_eq!((control.available, control.running, control.paused), (1, 0, false));
    let rows = workers(&world.db).await.unwrap();
    assert_eq!((rows.len(), rows[0].id, rows[0].slots), (1, running.engine.worker_id(), Some(2)));
    assert!(rows[0].lease_left_s > 0.0);
    running.stop().await;
}

/// What a look costs is counted in rows, of tables and of index entries, so that a busy machine cannot change the verdict;
/// and whatever the planner knows of the live jobs: nothing, all of it, or how they were before.
#[tokio::test]
async fn looks_read_a_page_however_much_there_is() {
    let world = World::new().await;
    world.run("ALTER TABLE queue.job SET (autovacuum_enabled = false)").await;
    // One connection: it hands its counts in when it is told to, and nobody else looks.
    let db = connect(&world.url, 1).await;
    fill(&world, "control", 2).await;
    world
        .run(
            "INSERT INTO queue.job_archive (id, queue, kind, schema_ver, rev, priority, state, run_at, attempt, max_attempts, \
                 crashes, snoozes, payload, subject, created_at, finished_at, outcome) \
               SELECT queue.uuid_v7(), 'control', 'say', 1, 0, 5, 3, now(), 1, 10, 0, 0, '{}', 'r' || i, now(), \
                 now() - i * interval '10 milliseconds', CASE WHEN i % 250 = 0 THEN 1 ELSE 0 END \
               FROM generate_series(1, 50000) AS i",
        )
        .await;
    world.run("ANALYZE queue.job_archive").await;
    look_at_everything(&db, "unknown", 1).await;
    world.run("ANALYZE queue.job").await;
    look_at_everything(&db, "analyzed", 1).await;
    world.run("VACUUM queue.job").await;
    look_at_everything(&db, "vacuumed", 1).await;
    fill(&world, "mux", 1).await;
    fill(&world, "control", 1).await;
    look_at_everything(&db, "as it was before", 3).await;
}

/// Fifty thousand more live jobs.
async fn fill(world: &World, queue: &str, state: i16) {
    let jobs = format!(
        "INSERT INTO queue.job (id, queue, kind, state, ready_seq, run_at, payload, subject) \
           SELECT queue.uuid_v7(), '{queue}', 'say', {state}, CASE WHEN {state} = 2 THEN nextval('queue.ready_seq') END, \
             now() + i * interval '1 second' * (2 - {state}), '{{}}', 'r' || i FROM generate_series(1, 50000) AS i"
    );
    world.run(&jobs).await;
}

async fn look_at_everything(db: &sea_orm::DatabaseConnection, known: &str, full_cells: i64) {
    for text in [
        "",
        "state:live",
        "state:available",
        "state:available queue:control",
        "state:scheduled queue:control",
        "state:live queue:control",
        "state:live rec:r77",
        "state:live rec:r77*",
        "state:live kind:say queue:control",
        "state:ended",
        "state:discarded",
        "state:discarded,cancelled",
        "state:ended queue:control",
        "state:ended rec:r77",
        "state:ended rec:r77*",
        "state:discarded queue:control kind:say",
        "state:ended attempt:>=1 -worker:x",
    ] {
        let filter = jobs(text);
        let begun = rows_read(db).await;
        let first = list_jobs(db, &filter, None, 50).await.unwrap();
        if let Some(after) = first.next {
            assert!(!list_jobs(db, &filter, Some(after), 50).await.unwrap().rows.is_empty(), "{text}");
        }
        assert!(!first.rows.is_empty() || text.contains("scheduled"), "{text}");
        let read = rows_read(db).await - begun;
        // Two pages of each cell, and of each partition of the archive.
        assert!(read < 4_000, "tables {known}: {read} rows were read for {text:?}");
    }
    let begun = rows_read(db).await;
    let rows = queues(db).await.unwrap();
    let control = rows.iter().find(|row| row.name == "control").expect("the queue that was filled");
    assert_eq!(control.available, COUNT_MAX);
    assert!(control.oldest_s.is_some());
    let read = rows_read(db).await - begun;
    // Each full cell, counted no further than people are told.
    let counted = COUNT_MAX * full_cells;
    assert!((counted..counted + 1_000).contains(&read), "tables {known}: {read} rows were read for the queues");
}

/// Table rows and index entries that were read in schema `queue` so far.
pub(crate) async fn rows_read(db: &sea_orm::DatabaseConnection) -> i64 {
    let pool = db.get_postgres_connection_pool();
    sqlx::query("SELECT pg_stat_force_next_flush()").execute(pool).await.unwrap();
    let read = "SELECT ((SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables WHERE schemaname = 'queue') \
        + (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes WHERE schemaname = 'queue'))::int8";
    sqlx::query_scalar(read).fetch_one(pool).await.unwrap()
}
