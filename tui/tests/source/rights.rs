//! What the roles of the console may do: the boundary is what was granted, and not what the console asks for.

use crate::world::World;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

async fn texts(world: &World, sql: &str) -> Vec<String> {
    world.pool.fetch_all(AssertSqlSafe(sql.to_owned())).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn refused(db: &mut PgConnection, sql: String) -> bool {
    let done = db.execute(AssertSqlSafe(sql)).await;
    done.err()
        .and_then(|error| error.into_database_error())
        .is_some_and(|error| error.code().as_deref() == Some("42501"))
}

#[tokio::test]
async fn no_table_is_written_by_either_role_and_no_function_called_that_it_may_not() {
    let world = World::new().await;
    let tables = texts(
        &world,
        "SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relkind IN ('r', 'p') \
         AND c.relnamespace IN ('queue'::regnamespace, 'spool'::regnamespace) ORDER BY 1",
    )
    .await;
    assert!(tables.len() > 20, "{tables:?}");
    let functions = "SELECT format('SELECT %s(%s)', p.oid::regproc, (SELECT string_agg(format('NULL::%s', t::regtype), ', ') \
         FROM unnest(p.proargtypes) AS t)) FROM pg_proc AS p \
         WHERE p.pronamespace IN ('queue'::regnamespace, 'spool'::regnamespace) AND p.provolatile = 'v' AND p.prokind = 'f'";
    for (role, allowed) in [("spool_view", vec!["queue.op_probe"]), ("spool_operate", vec!["queue.op_", "spool.op_"])] {
        let mut db = PgConnection::connect(world.db.url()).await.unwrap();
        db.execute(AssertSqlSafe(format!("SET ROLE {role}"))).await.unwrap();
        for table in &tables {
            for sql in [
                format!("INSERT INTO {table} DEFAULT VALUES"),
                format!("DELETE FROM {table}"),
                format!("TRUNCATE {table} CASCADE"),
                format!("SELECT FROM {table} FOR KEY SHARE"),
            ] {
                assert!(refused(&mut db, sql.clone()).await, "{role} may {sql}");
            }
            let columns = format!(
                "SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = '{table}'::regclass AND a.attnum > 0 \
                 AND NOT a.attisdropped AND has_column_privilege('{role}', a.attrelid, a.attnum, 'INSERT, UPDATE, REFERENCES')"
            );
            assert_eq!(texts(&world, &columns).await, Vec::<String>::new(), "{role} may write columns of {table}");
        }
        for call in texts(&world, functions).await {
            let may = allowed.iter().any(|name| call.starts_with(&format!("SELECT {name}")));
            assert_eq!(!refused(&mut db, call.clone()).await, may, "{role}: {call}");
        }
    }
}

#[tokio::test]
async fn what_is_for_nobodys_eyes_cannot_be_read() {
    let world = World::new().await;
    for role in ["spool_view", "spool_operate"] {
        let mut db = PgConnection::connect(world.db.url()).await.unwrap();
        db.execute(AssertSqlSafe(format!("SET ROLE {role}"))).await.unwrap();
        for sql in [
            "SELECT staging_uri FROM spool.segment",
            "SELECT whole_file FROM spool.recording",
            "SELECT url FROM spool.webhook_endpoint",
            "SELECT value FROM spool.setting",
            "SELECT * FROM spool.segment",
        ] {
            assert!(refused(&mut db, sql.to_owned()).await, "{role} may {sql}");
        }
    }
}
