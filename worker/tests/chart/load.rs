//! What the autoscaler asks, on a real database, as the role it has.

use crate::Case;
use postgres::testing::TestDb;
use queue::read::{load, load_sql};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement, TransactionTrait as _};

async fn migrated(url: String) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let db = Database::connect(url).await?;
    migration::run(&db).await?;
    let kinds = domain::job::Kind::ALL.map(domain::job::Kind::spec);
    queue::kinds::sync(&db, &kinds).await?;
    Ok(db.close().await?)
}

async fn run(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The first column of the first rows, asked as the autoscaler asks.
async fn asked(db: &DatabaseConnection, sql: &str) -> Vec<sea_orm::QueryResult> {
    let tx = db.begin().await.unwrap();
    tx.execute_unprepared("SET LOCAL ROLE spool_scaler").await.unwrap();
    let rows = tx.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
    tx.rollback().await.unwrap();
    rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn number(db: &DatabaseConnection, sql: &str) -> i64 {
    asked(db, sql).await[0].try_get_by_index(0).unwrap()
}

/// Puts `n` jobs into a queue, in one state and due at one time.
async fn put(db: &DatabaseConnection, queue: &str, state: u8, due: &str, n: u32) {
    let sql = format!(
        "INSERT INTO queue.job (id, queue, kind, state, ready_seq, epoch, worker_id, run_at, payload) \
         SELECT gen_random_uuid(), '{queue}', 'noop', {state}, CASE WHEN {state} = 2 THEN nextval('queue.ready_seq') END, \
           CASE WHEN {state} = 3 THEN 1 END, CASE WHEN {state} = 3 THEN gen_random_uuid() END, \
           now() + interval '{due}', '{{}}' FROM generate_series(1, {n})"
    );
    run(db, &sql).await;
}

fn keda() -> Case {
    Case::all().into_iter().find(|case| case.name == "keda-postgresql").unwrap()
}

#[test]
fn queries_are_the_engines_own() {
    let mut seen = 0;
    for case in Case::all() {
        for (pool, query) in case.queries() {
            let queues = case.queues(&pool);
            let queues: Vec<_> = queues.iter().map(String::as_str).collect();
            let (_, most) = query.rsplit_once("LIMIT ").unwrap();
            let most = most.split_whitespace().next().unwrap().parse().unwrap();
            assert_eq!(query, load_sql(&queues, most), "{}, pool {pool}", case.name);
            seen += 1;
        }
    }
    assert_eq!(seen, 3, "two pools of one case and one of another are scaled");
}

#[tokio::test]
async fn query_gives_the_load_that_was_put_there() {
    let database = TestDb::new(migrated).await.unwrap();
    let db = Database::connect(database.url()).await.unwrap();
    let (io, mux) = (&keda().queries()["io"], &keda().queries()["mux"]);
    assert_eq!((number(&db, io).await, number(&db, mux).await), (0, 0), "an empty queue is 0 and never nothing");

    // Kept for others, later, due, available, running, failed and due, failed and later: the second to the last count.
    for (queue, n) in [("ingest", 1), ("control", 2), ("webhook", 3), ("mux", 5), ("preview", 7)] {
        for (state, due) in [
            (0, "0"),
            (1, "1 hour"),
            (1, "-1 minute"),
            (2, "0"),
            (2, "1 hour"),
            (3, "0"),
            (4, "-1 minute"),
            (4, "1 hour"),
        ] {
            put(&db, queue, state, due, n).await;
        }
    }
    assert_eq!(
        (number(&db, io).await, number(&db, mux).await),
        (5 * 6, 3 * 12),
        "sixty of mux, of which its pods at most run so many"
    );
    assert_eq!(load(&db, &["ingest", "control", "webhook"], 1000).await.unwrap(), 30, "metrics say the same");

    run(&db, "UPDATE queue.queue SET paused_at = now() WHERE name = 'webhook'").await;
    assert_eq!(number(&db, io).await, 30 - 4 * 3, "what runs in a paused queue still needs its pods");
    assert_eq!(load(&db, &["ingest", "control", "webhook"], 1000).await.unwrap(), 18);
    run(&db, "UPDATE queue.queue SET paused_until = now() - interval '1 second' WHERE name = 'webhook'").await;
    assert_eq!(number(&db, io).await, 30, "a pause that is over is none");

    put(&db, "ingest", 2, "0", 500).await;
    assert_eq!(number(&db, io).await, 8 * 16, "more than the most pods can run changes nothing");
}

/// A hundred thousand jobs wait, most of them for a later time, and the statistics know nothing of it.
#[tokio::test]
async fn query_reads_the_live_index_and_never_the_whole_table() {
    let database = TestDb::new(migrated).await.unwrap();
    let db = Database::connect(database.url()).await.unwrap();
    run(&db, "ALTER TABLE queue.job SET (autovacuum_enabled = false)").await;
    put(&db, "ingest", 1, "1 hour", 60_000).await;
    put(&db, "control", 2, "0", 40_000).await;
    put(&db, "mux", 4, "1 hour", 10_000).await;
    for known in ["SELECT 1", "ANALYZE queue.job"] {
        run(&db, known).await;
        for (pool, query) in keda().queries() {
            let rows = asked(&db, &format!("EXPLAIN (COSTS OFF) {query}")).await;
            let plan: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
            let plan = plan.join("\n");
            assert!(plan.contains("job_live on job"), "pool {pool} after {known:?}:\n{plan}");
            assert!(!plan.contains("Seq Scan on job"), "pool {pool} after {known:?}:\n{plan}");
            assert_eq!(number(&db, &query).await, if pool == "io" { 128 } else { 0 });
        }
    }
}
