//! The plan of every statement in a loop, over a backlog that punishes a wrong one. No timing: the plan is the promise.

use super::{CANDIDATES, CLAIM, CLAIM_LIMITED, COMPLETE, COMPLETE_ONE, FUSED, MINE, PROMOTE, RESCUE};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

async fn migrate(url: String) -> anyhow::Result<()> {
    let db = sea_orm::Database::connect(url).await?;
    migration::run(&db).await?;
    Ok(db.close().await?)
}

async fn plan(connection: &mut PgConnection, name: &str, sql: &str) -> String {
    let parameters = (1..=20).rev().find(|n| sql.contains(&format!("${n}"))).unwrap_or(0);
    let nulls = vec!["NULL"; parameters].join(", ");
    let prepare = format!("PREPARE {name} AS {sql}");
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap_or_else(|e| panic!("{name}: {e}"));
    let explain = format!("EXPLAIN EXECUTE {name} ({nulls})");
    let rows =
        sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(connection).await.unwrap_or_else(|e| panic!("{name}: {e}"));
    rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn statements_find_their_index_under_a_generic_plan() {
    let db = postgres::testing::TestDb::new(migrate).await.unwrap();
    let mut connection = PgConnection::connect(db.url()).await.unwrap();
    // Another kind stands in front, most jobs wait, some are due, some run, one in ten has ended.
    let fill = "INSERT INTO queue.queue (name) VALUES ('control'), ('mux');
        INSERT INTO queue.job (id, queue, kind, state, ready_seq, payload, epoch, worker_id, deadline_at, run_at, conc_key)
        SELECT gen_random_uuid(), CASE WHEN i % 2 = 0 THEN 'control' ELSE 'mux' END, CASE WHEN i < 150000 THEN 'other' ELSE 'say' END,
          s, CASE WHEN s = 2 THEN nextval('queue.ready_seq') END, '{}', CASE WHEN s = 3 THEN i END,
          CASE WHEN s = 3 THEN gen_random_uuid() END, CASE WHEN s = 3 THEN now() + interval '1 hour' END,
          now() + CASE WHEN s IN (1, 4) THEN interval '1 day' ELSE interval '0' END, 'owner' || i % 100
        FROM (SELECT i, CASE WHEN i % 1000 = 0 THEN 3 WHEN i % 7 = 0 THEN 4 WHEN i % 5 = 0 THEN 1 ELSE 2 END::int2 AS s
          FROM generate_series(1, 200000) AS i) AS g;
        ANALYZE queue.job; SET plan_cache_mode = force_generic_plan; SET jit = off";
    sqlx::raw_sql(fill).execute(&mut connection).await.unwrap();

    for (name, sql, indexes) in [
        ("claim", CLAIM, &["job_claim", "job_pkey"][..]),
        ("claim_limited", CLAIM_LIMITED, &["job_claim", "job_pkey"]),
        ("complete", COMPLETE.as_str(), &["job_pkey"]),
        ("complete_one", COMPLETE_ONE.as_str(), &["job_pkey"]),
        ("fused", FUSED.as_str(), &["job_claim", "job_pkey"]),
        ("mine", MINE, &["job_run"]),
        ("promote", PROMOTE, &["job_due", "job_pkey"]),
        ("rescue", RESCUE, &["job_run", "job_deadline", "job_pkey"]),
        ("candidates", CANDIDATES, &[]),
    ] {
        let plan = plan(&mut connection, name, sql).await;
        for index in indexes {
            assert!(
                plan.contains(&format!("{index} on job")) || plan.contains(&format!("on {index}")),
                "{name} does not use {index}:\n{plan}"
            );
        }
        assert!(!plan.contains("Seq Scan on job"), "{name} reads the whole table:\n{plan}");
        let dead_rows = matches!(name, "complete" | "complete_one" | "fused")
            && (plan.contains("job_run") || plan.contains("job_deadline"));
        assert!(!dead_rows, "{name} reads a small partial index full of dead rows:\n{plan}");
    }
}
