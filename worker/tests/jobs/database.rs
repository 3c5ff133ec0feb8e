//! What a connection is set to, and how.

use crate::world::World;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

/// A pooler refuses what stands in the options of a start and it does not know, so that nothing may stand there. What was
/// said later has the session as its source.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_a_connection_are_said_after_its_start() {
    let world = World::with(|config| config.database.statement_timeout = std::time::Duration::from_millis(1234)).await;
    let sql = "SELECT name || '=' || setting || ' ' || source FROM pg_settings \
        WHERE name IN ('statement_timeout', 'jit') OR (source = 'client' AND name NOT IN \
          ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'IntervalStyle')) ORDER BY name";
    let rows = world.cx.db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    let settings: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    assert_eq!(settings, ["jit=off session", "statement_timeout=1234 session"]);
    let name =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'spool' AND datname = current_database()";
    assert!(world.number(name, []).await >= 1);
}
