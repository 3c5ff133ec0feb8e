//! The schema as a whole: migrated by many at once, taken back, rights, versions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use postgres::testing::TestDb;
use postgres::{Cluster, Profile};
use sea_orm::{Database, DatabaseConnection};
use sqlx::postgres::PgPool;
use sqlx::{Executor, Row};
use support::world;

async fn connect(url: &str) -> DatabaseConnection {
    Database::connect(url).await.unwrap()
}

/// Everything that makes up the two schemas, as text.
async fn shape(url: &str) -> Vec<String> {
    let sql = "
        SELECT format('column %s.%s %s %s %s %s', table_schema, table_name, column_name, data_type, is_nullable, column_default)
          FROM information_schema.columns WHERE table_schema IN ('queue', 'spool')
        UNION ALL SELECT format('index %s', indexdef) FROM pg_indexes WHERE schemaname IN ('queue', 'spool')
        UNION ALL SELECT format('constraint %s %s', conrelid::regclass, pg_get_constraintdef(oid))
          FROM pg_constraint WHERE connamespace IN ('queue'::regnamespace, 'spool'::regnamespace)
        UNION ALL SELECT format('function %s %s', pg_get_functiondef(oid), proacl)
          FROM pg_proc WHERE pronamespace IN ('queue'::regnamespace, 'spool'::regnamespace)
        UNION ALL SELECT format('rights %s %s %s', oid::regclass, relowner::regrole, relacl)
          FROM pg_class WHERE relnamespace IN ('queue'::regnamespace, 'spool'::regnamespace)
        ORDER BY 1";
    let pool = PgPool::connect(url).await.unwrap();
    pool.fetch_all(sql).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_processes_migrate_an_empty_database_at_once() {
    let db = TestDb::empty().await.unwrap();
    let runs: Vec<_> = (0..20)
        .map(|_| {
            let url = db.url().to_owned();
            tokio::spawn(async move { migration::run(&connect(&url).await).await })
        })
        .collect();
    let mut first = 0;
    for run in runs {
        let report = run.await.unwrap().unwrap();
        assert!(report.to >= 1 && report.missing_roles.is_empty(), "{report:?}");
        first += usize::from(report.from == 0);
    }
    assert_eq!(first, 1, "one of them did the work");
    assert!(migration::status(&connect(db.url()).await).await.unwrap().is_current());
}

/// The program bounds its statements; a migration may take as long as it takes, and so may the wait for another one.
#[tokio::test(flavor = "multi_thread")]
async fn migration_does_not_meet_the_timeout_of_statements() {
    let db = TestDb::empty().await.unwrap();
    let pool = PgPool::connect(db.url()).await.unwrap();
    let mut other = pool.begin().await.unwrap();
    other.execute("SELECT pg_advisory_xact_lock(x'53504f4f4c000001'::bigint)").await.unwrap();
    let url = format!("{}&options=-c%20statement_timeout%3D300", db.url());
    let run = tokio::spawn(async move { migration::run(&connect(&url).await).await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory' \
        AND query_start < now() - interval '600 milliseconds'";
    while pool.fetch_one(waits).await.unwrap().get::<i64, _>(0) == 0 {
        assert!(!run.is_finished(), "{:?}", run.await.unwrap());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    other.rollback().await.unwrap();
    assert_eq!(run.await.unwrap().unwrap().from, 0);
}

#[tokio::test]
async fn history_goes_up_down_and_up_to_the_same_schema() {
    let db = TestDb::empty().await.unwrap();
    let connection = connect(db.url()).await;
    assert_eq!(migration::status(&connection).await.unwrap().version, 0);

    migration::run(&connection).await.unwrap();
    let up = shape(db.url()).await;
    assert!(up.len() > 300, "{}", up.len());

    migration::revert(&connection).await.unwrap();
    assert_eq!(migration::status(&connection).await.unwrap().version, 0);
    let pool = PgPool::connect(db.url()).await.unwrap();
    let left: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'S')
            AND c.relnamespace::regnamespace::text NOT LIKE 'pg\\_%' AND c.relnamespace <> 'information_schema'::regnamespace
         UNION ALL SELECT p.proname::text FROM pg_proc p WHERE p.pronamespace = 'spool'::regnamespace",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(left, ["migration"]);

    migration::run(&connection).await.unwrap();
    assert_eq!(shape(db.url()).await, up);
    // A second run changes nothing.
    let again = migration::run(&connection).await.unwrap();
    assert_eq!(again.from, again.to);
    assert_eq!(shape(db.url()).await, up);
}

#[tokio::test]
async fn nothing_is_written_outside_the_two_schemas() {
    let world = world().await;
    let sql = "SELECT count(*)::text FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(world.text(sql).await, "0");
}

#[tokio::test]
async fn older_program_works_on_with_a_newer_schema_until_it_no_longer_fits() {
    let world = world().await;
    let connection = connect(world.db.url()).await;
    let set = "UPDATE spool.setting SET value = $1::jsonb WHERE key = 'schema'";

    let known = migration::status(&connection).await.unwrap().known;
    let (newer, newest) = (known + 2, known + 3);
    sqlx::query(set).bind(format!(r#"{{"version": {newer}, "oldest": 1}}"#)).execute(&world.pool).await.unwrap();
    // The rows of the newer migrations, which this program has never heard of.
    world.run("INSERT INTO spool.migration VALUES ('m20990101_1_add_column', 0), ('m20990102_1_add_index', 0)").await;
    let report = migration::run(&connection).await.unwrap();
    assert_eq!((report.from, report.to), (newer, newer));
    assert!(migration::status(&connection).await.unwrap().is_current());
    assert_eq!(world.text("SELECT spool.schema_version()::text").await, newer.to_string());

    sqlx::query(set)
        .bind(format!(r#"{{"version": {newest}, "oldest": {}}}"#, known + 1))
        .execute(&world.pool)
        .await
        .unwrap();
    let error = migration::run(&connection).await.unwrap_err();
    let migration::Error::TooNew { found, oldest, known: ours } = error else { panic!("{error}") };
    assert_eq!((found, oldest, ours), (newest, known + 1, known));
    let status = migration::status(&connection).await.unwrap();
    assert!(status.is_too_new() && !status.is_current());
}

#[tokio::test]
async fn no_function_may_be_executed_by_everybody() {
    let world = world().await;
    // A role of the test's own, member of nothing: what it may, everybody may.
    let open: Vec<String> = sqlx::query_scalar(
        "SELECT p.oid::regprocedure::text FROM pg_proc p
          WHERE p.pronamespace IN ('queue'::regnamespace, 'spool'::regnamespace)
            AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE a.grantee = 0)",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    assert_eq!(open, Vec::<String>::new());

    let loose: Vec<String> = sqlx::query_scalar(
        "SELECT p.oid::regprocedure::text FROM pg_proc p
          WHERE p.pronamespace IN ('queue'::regnamespace, 'spool'::regnamespace) AND p.prosecdef
            AND NOT coalesce(array_to_string(p.proconfig, ','), '') LIKE '%search_path=pg_catalog, pg_temp%'",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    assert_eq!(loose, Vec::<String>::new(), "run as their owner with the caller's search path");
}

#[tokio::test]
async fn every_role_may_ask_how_the_schema_stands() {
    let world = world().await;
    for role in ["spool_run", "spool_app", "spool_view", "spool_operate", "spool_scaler"] {
        let url = format!("{}&options=-c%20role%3D{role}", world.db.url());
        let status = migration::status(&connect(&url).await).await.unwrap();
        assert!(status.is_current(), "{role}: {status:?}");
    }
}

#[tokio::test]
async fn roles_may_what_they_are_for_and_nothing_else() {
    let world = world().await;
    world.run("INSERT INTO spool.recording (id, owner_id, source) VALUES ('r1', 'o1', 'bucket')").await;
    let enqueue = "SELECT queue.enqueue(NULL, NULL, 'control', '{}', 'r1', NULL, NULL, NULL)";
    let complete = "SELECT spool.recording_complete('r1')";
    let cases = [
        ("spool_app", complete, true),
        ("spool_app", enqueue, true),
        ("spool_app", "SELECT spool.schema_version()", true),
        ("spool_app", "SELECT FROM spool.recording", false),
        ("spool_app", "SELECT FROM queue.job", false),
        ("spool_app", "SELECT queue.op_pause('mux', NULL, 'a', 'b', NULL)", false),
        ("spool_app", "SELECT spool.append_event('r1', 'a.b', '{}')", false),
        ("spool_run", "UPDATE spool.recording SET gaps = '[]'", true),
        ("spool_run", "DELETE FROM queue.job", true),
        ("spool_run", "SELECT nextval('queue.epoch_seq')", true),
        ("spool_run", "SELECT queue.ensure_partitions(1), queue.drop_partitions('1 year')", true),
        (
            "spool_run",
            "INSERT INTO queue.op_log (actor, via, action, selector, n) VALUES ('a', 'b', 'c', '{}', 0)",
            true,
        ),
        ("spool_run", "UPDATE queue.op_log SET actor = 'somebody else'", false),
        ("spool_run", "DELETE FROM queue.op_log", false),
        ("spool_run", "TRUNCATE queue.op_log", false),
        ("spool_run", "SELECT queue.op_pause('mux', NULL, 'a', 'b', NULL)", true),
        ("spool_run", "DROP TABLE queue.stat", false),
        ("spool_run", "CREATE TABLE queue.mine ()", false),
        ("spool_view", "SELECT id, state FROM spool.recording", true),
        ("spool_view", "SELECT index, state FROM spool.segment", true),
        ("spool_view", "SELECT * FROM queue.job, queue.job_archive, queue.attempt, queue.op_log", true),
        ("spool_view", "SELECT queue.op_probe('r1', 'a', 'b', NULL)", true),
        ("spool_view", "SELECT staging_uri FROM spool.segment", false),
        ("spool_view", "SELECT url FROM spool.webhook_endpoint", false),
        ("spool_view", "SELECT name, enabled, disabled_reason FROM spool.webhook_endpoint", true),
        ("spool_view", "SELECT spool.op_webhook_replay('r1', NULL, 1, 'a', 'b', NULL)", false),
        ("spool_operate", "SELECT spool.op_webhook_replay('r1', NULL, 1, 'a', 'b', NULL)", true),
        ("spool_view", "SELECT value FROM spool.setting", false),
        ("spool_view", "UPDATE queue.job SET priority = 1", false),
        ("spool_view", "SELECT queue.op_resume('mux', 'a', 'b', NULL)", false),
        (
            "spool_operate",
            "SELECT queue.op_pause('mux', NULL, 'a', 'b', NULL), queue.op_resume('mux', 'a', 'b', NULL)",
            true,
        ),
        ("spool_operate", "SELECT id FROM spool.recording", true),
        ("spool_operate", "DELETE FROM queue.op_log", false),
        ("spool_operate", enqueue, false),
        ("spool_scaler", "SELECT queue, kind, count(*) FROM queue.job WHERE state IN (2, 3) GROUP BY 1, 2", true),
        ("spool_scaler", "SELECT payload FROM queue.job", false),
        ("spool_scaler", complete, false),
    ];
    for (role, sql, allowed) in cases {
        let mut tx = world.pool.begin().await.unwrap();
        sqlx::query("SELECT set_config('role', $1, true)").bind(role).execute(&mut *tx).await.unwrap();
        let result = tx.execute(sql).await;
        let refused =
            result.as_ref().err().and_then(|error| error.as_database_error()?.code().map(|code| code == "42501"));
        assert_eq!(result.is_ok(), allowed, "{role}: {sql}: {result:?}");
        assert!(allowed || refused == Some(true), "{role}: {sql}: {result:?}");
    }
}

/// A server of its own with a database `app`, owned by a login role `plain` that has these attributes and no others.
async fn server_of(attributes: &str) -> (Cluster, PgPool, DatabaseConnection) {
    let cluster = Cluster::temporary(Profile::Throwaway).await.unwrap();
    let admin = PgPool::connect(&cluster.url("postgres")).await.unwrap();
    let create = format!("CREATE ROLE plain LOGIN PASSWORD 'plain' {attributes}");
    admin.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
    admin.execute("CREATE DATABASE app OWNER plain").await.unwrap();
    let url = cluster.url("app");
    let (_, address) = url.split_once('@').unwrap();
    let owner = connect(&format!("postgres://plain:plain@{address}")).await;
    (cluster, admin, owner)
}

async fn app_may_complete(cluster: &Cluster) -> bool {
    let app = PgPool::connect(&cluster.url("app")).await.unwrap();
    let right = "SELECT has_function_privilege('spool_app', 'spool.recording_complete(text)', 'EXECUTE')";
    app.fetch_one(right).await.unwrap().get(0)
}

/// On a server where nobody has made the roles, by an owner of the database who may not make them either.
#[tokio::test]
async fn roles_that_cannot_be_made_are_reported_and_get_their_rights_later() {
    let (cluster, admin, owner) = server_of("").await;
    let report = migration::run(&owner).await.unwrap();
    let roles = ["spool_owner", "spool_run", "spool_app", "spool_view", "spool_operate", "spool_scaler"];
    assert_eq!(report.missing_roles, roles);
    for statement in report.role_statements() {
        admin.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
    assert_eq!(migration::run(&owner).await.unwrap().missing_roles, Vec::<String>::new());
    assert!(app_may_complete(&cluster).await);
}

#[tokio::test]
async fn owner_of_the_database_who_may_make_roles_makes_them() {
    let (cluster, _admin, owner) = server_of("CREATEROLE").await;
    assert_eq!(migration::run(&owner).await.unwrap().missing_roles, Vec::<String>::new());
    let again = migration::run(&owner).await.unwrap();
    assert_eq!(again.from, again.to);
    assert!(app_may_complete(&cluster).await);
}

#[tokio::test]
async fn partitions_are_made_ahead_dropped_behind_and_never_missing() {
    let world = world().await;
    let count = "SELECT count(*)::text FROM pg_inherits WHERE inhparent = 'queue.attempt'::regclass";
    let before: u32 = world.text(count).await.parse().unwrap();
    world.run("SELECT queue.ensure_partitions(9)").await;
    assert_eq!(world.text(count).await.parse::<u32>().unwrap(), before + 6);
    assert_eq!(world.text("SELECT queue.ensure_partitions(9)::text").await, "0");

    let put = "INSERT INTO queue.attempt (job_id, attempt, epoch, kind, ended_at, outcome)
               SELECT gen_random_uuid(), 1, 1, 'mux', now() + d * interval '1 day', 0 FROM unnest(ARRAY[-40, 0, 9, 40]) AS d";
    world.run(put).await;
    let places =
        "SELECT string_agg(CASE WHEN tableoid = 'queue.attempt_default'::regclass THEN 'default' ELSE 'day' END, ' '
                  ORDER BY ended_at) FROM queue.attempt";
    assert_eq!(world.text(places).await, "default day day default");

    // A day whose rows already lie in the default partition is left there instead of failing.
    world.run("SELECT queue.ensure_partitions(40)").await;
    assert_eq!(world.text(places).await, "default day day default");

    // A day is dropped once its last moment is older than what is kept, and never one that is not over.
    world
        .run(
            "CREATE TABLE queue.attempt_20200101 PARTITION OF queue.attempt
               FOR VALUES FROM ('2020-01-01 00:00:00+00') TO ('2020-01-02 00:00:00+00');
             INSERT INTO queue.attempt VALUES (gen_random_uuid(), 1, 1, 'mux', NULL, NULL, '2020-01-01 12:00:00+00', 0)",
        )
        .await;
    let dropped = async |keep: &str| {
        let sql = "SELECT queue.drop_partitions(now() - '2020-01-02 00:00:00+00' + $1::interval)";
        sqlx::query_scalar::<_, i32>(sql).bind(keep).fetch_one(&world.pool).await.unwrap()
    };
    assert_eq!((dropped("1 second").await, dropped("-1 second").await), (0, 1));
    assert_eq!(world.text("SELECT queue.drop_partitions('-1 day')::text").await, "0");
    assert_eq!(world.text(places).await, "default day day default");
}
