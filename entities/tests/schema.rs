//! The models against the migrated schema: every table, every column, its type, whether it may be null, the keys.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use entities::{queue, spool};
use postgres::testing::TestDb;
use sea_orm::sea_query::ColumnType;
use sea_orm::{
    ColumnTrait, ConnectionTrait, Database, DatabaseConnection, DbBackend, EntityTrait, Iden, Iterable,
    PrimaryKeyToColumn, Statement,
};
use std::collections::{BTreeMap, BTreeSet};

async fn migrate(url: String) -> anyhow::Result<()> {
    let db = Database::connect(&url).await?;
    migration::run(&db).await?;
    Ok(db.close().await?)
}

async fn world() -> (DatabaseConnection, TestDb) {
    let db = TestDb::new(migrate).await.unwrap();
    (Database::connect(db.url()).await.unwrap(), db)
}

/// A column as text: its type, `null` when it may be null, `key` when it is part of the primary key.
type Columns = BTreeMap<String, String>;

fn line(kind: &str, nullable: bool, key: bool) -> String {
    let words = [Some(kind), nullable.then_some("null"), key.then_some("key")];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn columns_of<E: EntityTrait>() -> (String, Columns) {
    let entity = E::default();
    let name = format!("{}.{}", entity.schema_name().unwrap(), entity.table_name());
    let keys: BTreeSet<String> = E::PrimaryKey::iter().map(|key| key.into_column().to_string()).collect();
    let columns = E::Column::iter().map(|column| {
        let def = column.def();
        let name = column.to_string();
        let key = keys.contains(&name);
        (name, line(&kind(def.get_column_type()), def.is_null(), key))
    });
    (name, columns.collect())
}

fn kind(column: &ColumnType) -> String {
    match column {
        ColumnType::Text => "text".into(),
        ColumnType::SmallInteger => "int2".into(),
        ColumnType::Integer => "int4".into(),
        ColumnType::BigInteger => "int8".into(),
        ColumnType::Float => "float4".into(),
        ColumnType::Double => "float8".into(),
        ColumnType::Boolean => "bool".into(),
        ColumnType::Uuid => "uuid".into(),
        ColumnType::JsonBinary => "jsonb".into(),
        ColumnType::VarBinary(_) => "bytea".into(),
        ColumnType::TimestampWithTimeZone => "timestamptz".into(),
        ColumnType::Custom(name) => name.to_string(),
        ColumnType::Array(of) => match of.as_ref() {
            // What sea-orm makes of a Vec<String>; the elements are text.
            ColumnType::String(_) => "_text".into(),
            other => format!("_{}", kind(other)),
        },
        other => format!("{other:?}"),
    }
}

/// Every table of both schemas, in the words of [`columns_of`].
async fn migrated(db: &DatabaseConnection) -> BTreeMap<String, Columns> {
    let sql =
        "SELECT c.table_schema || '.' || c.table_name AS name, c.column_name::text AS col, c.udt_name::text AS kind,
        c.is_nullable = 'YES' AS nullable,
        EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
                 WHERE i.indisprimary AND i.indrelid = t.oid AND a.attname = c.column_name) AS key
      FROM information_schema.columns c
      JOIN pg_class t ON t.oid = format('%I.%I', c.table_schema, c.table_name)::regclass
     WHERE c.table_schema IN ('queue', 'spool') AND t.relkind IN ('r', 'p') AND NOT t.relispartition";
    let mut tables: BTreeMap<String, Columns> = BTreeMap::new();
    for row in db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap() {
        let get = |column: &str| row.try_get::<String>("", column).unwrap();
        let flag = |column: &str| row.try_get::<bool>("", column).unwrap();
        let text = line(&get("kind"), flag("nullable"), flag("key"));
        tables.entry(get("name")).or_default().insert(get("col"), text);
    }
    tables
}

macro_rules! tables {
    ($($schema:ident: $($table:ident)+;)+) => {
        fn modelled() -> BTreeMap<String, Columns> {
            BTreeMap::from([$($(columns_of::<$schema::$table::Entity>(),)+)+])
        }

        /// Reads every row of every table through its model; returns how many each has.
        async fn read_all(db: &DatabaseConnection) -> BTreeMap<&'static str, usize> {
            let mut counts = BTreeMap::new();
            $($(
                let rows = $schema::$table::Entity::find().all(db).await;
                let name = concat!(stringify!($schema), ".", stringify!($table));
                counts.insert(name, rows.unwrap_or_else(|error| panic!("{name}: {error}")).len());
            )+)+
            counts
        }
    };
}

tables! {
    queue: attempt depth fault job job_archive kind leader op_log operation operation_item progress queue schedule stat worker;
    spool: bucket event listing liveness picture plan recording segment setting webhook_delivery webhook_endpoint;
}

#[tokio::test]
async fn models_are_the_migrated_schema() {
    let (db, _keep) = world().await;
    let mut tables = migrated(&db).await;
    assert!(tables.remove("spool.migration").is_some(), "the history's own table has no model");
    // Its key contains a column that may be null, which no primary key can; the model needs some key.
    for column in ["queue", "kind", "minute", "shard"] {
        *tables.get_mut("queue.stat").unwrap().get_mut(column).unwrap() += " key";
    }
    let models = modelled();
    assert_eq!(models.keys().collect::<Vec<_>>(), tables.keys().collect::<Vec<_>>());
    for (name, columns) in &tables {
        assert_eq!(&models[name], columns, "{name}");
    }
}

#[tokio::test]
async fn a_row_of_every_table_is_read() {
    let (db, _keep) = world().await;
    db.execute_unprepared(ROWS).await.unwrap();
    for (name, count) in read_all(&db).await {
        assert!(count >= 1, "{name} has no row");
    }
    let kind = queue::kind::Entity::find_by_id("mux").one(&db).await.unwrap().unwrap();
    assert_eq!((kind.max_runtime.as_str(), kind.aliases.as_slice()), ("06:00:00", ["remux".to_owned()].as_slice()));
}

const ROWS: &str = r#"
    SELECT queue.declare_kinds('[{"kind": "mux", "queue": "mux", "unique_mask": 31, "max_runtime_s": 21600, "aliases": ["remux"]}]');
    SELECT queue.enqueue(queue.uuid_v7(), NULL, 'mux', '{"recording": "r"}', 'r', 'o', 'mux:r:1', NULL);
    SELECT queue.enqueue(queue.uuid_v7(), NULL, 'mux', '{"recording": "r"}', 'r', 'o', 'mux:r:2', NULL);
    SELECT queue.op_cancel(id, 'ann', 'cli', 'why') FROM queue.job WHERE unique_key = 'mux:r:2';
    INSERT INTO queue.attempt (job_id, attempt, epoch, kind, ended_at, outcome) SELECT id, 1, 1, 'mux', now(), 0 FROM queue.job;
    INSERT INTO queue.progress (job_id, epoch, pct, at) SELECT id, 1, 12.5, now() FROM queue.job;
    INSERT INTO queue.worker (id, kinds, lease_until) VALUES (gen_random_uuid(), '["mux"]', now());
    INSERT INTO queue.schedule (name, kind, every, next_at) VALUES ('sweep', 'sweep', '1 minute', now());
    INSERT INTO queue.leader (name) VALUES ('all');
    INSERT INTO queue.stat (queue, kind, minute, shard, hist) VALUES ('mux', 'mux', now(), 0, '{1,2,3}');
    INSERT INTO queue.depth (at, queue, kind, state, n) VALUES (now(), 'mux', 'mux', 2, 1);
    INSERT INTO queue.fault (fp, kind, error_class, template) VALUES ('\x01', 'mux', 'storage', 'no such <id>');
    INSERT INTO queue.operation (id, verb, args, selector, as_of, state, actor) VALUES (gen_random_uuid(), 'retry', '{}', '{}', now(), 'done', 'ann');
    INSERT INTO queue.operation_item (operation_id, job_id, before, result) SELECT id, id, '{}', 'ok' FROM queue.operation;
    INSERT INTO spool.recording (id, owner_id, source, fps, result_sha256) VALUES ('r', 'o', 'spool', 29.97, sha256('x'));
    INSERT INTO spool.liveness (recording_id) VALUES ('r');
    INSERT INTO spool.segment (recording_id, track, index, size_bytes, sha256, sample_index) VALUES ('r', 'video', 1, 9, sha256('x'), '\x00');
    INSERT INTO spool.bucket (recording_id, looked_at, claimed) VALUES ('r', now(), '{}');
    INSERT INTO spool.plan (recording_id, version, layout_version, body, sha256) VALUES ('r', 1, 1, '{}', sha256('{}'));
    INSERT INTO spool.picture (recording_id, kind, version, size_bytes, sha256, width, height) VALUES ('r', 'poster', 1, 9, sha256('x'), 640, 360);
    INSERT INTO spool.listing (recording_id, track, seq, index, kind, duration, timescale) VALUES ('r', 'video', 1, 1, 'media', 2, 1);
    SELECT spool.append_event('r', 'recording.ready', '{}');
    INSERT INTO spool.webhook_endpoint (name, url) VALUES ('app', 'https://app.example/hook');
    INSERT INTO spool.webhook_delivery (recording_id, endpoint, seq) VALUES ('r', 'app', 1);
"#;
