//! Databases of tests: their own each, and time that passes on demand.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use postgres::testing::{TestDb, advance};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection, Executor, Row};
use std::time::Duration;

/// Tables of the shapes that occur: times in keys, partitions, columns that may be null.
const SCHEMA: &str = "
    CREATE SCHEMA spool; CREATE SCHEMA queue;
    CREATE TABLE spool.plain (id int PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), later timestamptz, day date DEFAULT '2020-01-01');
    CREATE TABLE queue.minute (minute timestamptz PRIMARY KEY);
    CREATE TABLE queue.part (id int, at timestamptz NOT NULL, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
    CREATE TABLE queue.part_today PARTITION OF queue.part FOR VALUES FROM ('2026-06-02') TO ('2026-06-03');
    CREATE TABLE queue.part_default PARTITION OF queue.part DEFAULT;
    CREATE TABLE public.foreign_rows (at timestamptz);
    CREATE TABLE public.migrated (times int);
    INSERT INTO public.migrated VALUES (1);
";

async fn migrate(url: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(&url).await?;
    connection.execute(SCHEMA).await?;
    connection.close().await
}

async fn pool(db: &TestDb) -> PgPool {
    PgPool::connect(db.url()).await.unwrap()
}

#[tokio::test]
async fn databases_are_isolated_and_migrated_once() {
    let (one, two) = tokio::join!(TestDb::new(migrate), TestDb::new(migrate));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.url(), two.url());
    let (first, second) = (pool(&one).await, pool(&two).await);
    first.execute("INSERT INTO spool.plain (id) VALUES (1)").await.unwrap();
    let rows: i64 = second.fetch_one("SELECT count(*) FROM spool.plain").await.unwrap().get(0);
    assert_eq!(rows, 0);
    let migrated: i64 = second.fetch_one("SELECT count(*) FROM migrated").await.unwrap().get(0);
    assert_eq!(migrated, 1);
}

#[tokio::test]
async fn database_is_gone_after_its_test() {
    let keeper = TestDb::empty().await.unwrap();
    let gone = TestDb::new(migrate).await.unwrap();
    // With somebody still connected.
    let _left = pool(&gone).await;
    let name = gone.url().rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let exists = async || {
        let sql = sqlx::query("SELECT FROM pg_database WHERE datname = $1").bind(&name);
        sql.fetch_optional(&pool(&keeper).await).await.unwrap().is_some()
    };
    assert!(exists().await);
    drop(gone);
    assert!(!exists().await);
}

#[tokio::test]
async fn migration_that_fails_is_named_and_leaves_no_template() {
    async fn fails(_: String) -> Result<(), std::io::Error> {
        Err(std::io::Error::other("no such column"))
    }
    for _ in 0..2 {
        let error = TestDb::new(fails).await.unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!((error.to_string().as_str(), cause.as_str()), ("migrate the template database", "no such column"));
    }
}

#[tokio::test]
async fn advance_moves_every_timestamp_of_both_schemas() {
    let db = TestDb::new(migrate).await.unwrap();
    let pool = pool(&db).await;
    pool.execute(
        "INSERT INTO spool.plain (id, at, later) VALUES (1, '2026-06-02 12:00Z', NULL), (2, '2028-02-29 12:00Z', '2026-06-02 13:00Z');
         INSERT INTO queue.minute SELECT '2026-06-02 12:00Z'::timestamptz + n * interval '1 minute' FROM generate_series(1, 100) n;
         INSERT INTO queue.part VALUES (1, '2026-06-02 00:30Z'), (2, '2026-06-02 12:00Z');
         INSERT INTO foreign_rows VALUES ('2026-06-02 12:00Z')",
    )
    .await
    .unwrap();

    advance(&pool, Duration::from_secs(60)).await.unwrap();
    advance(&pool, Duration::from_millis(3_540_500)).await.unwrap();

    let text = async |sql: &'static str| {
        let mut connection = pool.acquire().await.unwrap();
        connection.execute("SET timezone = 'UTC'").await.unwrap();
        connection.fetch_one(sql).await.unwrap().get::<String, _>(0)
    };
    assert_eq!(
        text("SELECT string_agg(concat_ws(' ', id, at, later, day), ', ' ORDER BY id) FROM spool.plain").await,
        "1 2026-06-02 10:59:59.5+00 2020-01-01, 2 2028-02-29 10:59:59.5+00 2026-06-02 11:59:59.5+00 2020-01-01"
    );
    assert_eq!(
        text("SELECT concat_ws(' ', min(minute), max(minute), count(*)) FROM queue.minute").await,
        "2026-06-02 11:00:59.5+00 2026-06-02 12:39:59.5+00 100"
    );
    assert_eq!(
        text("SELECT string_agg(concat_ws(' ', tableoid::regclass, at), ', ' ORDER BY id) FROM queue.part").await,
        "queue.part_default 2026-06-01 23:29:59.5+00, queue.part_today 2026-06-02 10:59:59.5+00"
    );
    assert_eq!(text("SELECT at::text FROM foreign_rows").await, "2026-06-02 12:00:00+00");
}
