//! A process starts only on the store of its database.

use crate::staged::migrated;
use crate::support::{PATIENCE, S3Server, wait};
use domain::retry::{Classify as _, Fault};
use postgres::testing::TestDb;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement, TransactionTrait as _};
use std::process::{Command, Output};
use worker::config::{Config as Settings, Secret};
use worker::context::{self, Context};
use worker::pairing::{self, Error, KEY, Stand};
use worker::storage::{self, Call, Config, Faults, Service, Store};

async fn database() -> (TestDb, DatabaseConnection) {
    let database = TestDb::new(migrated).await.expect("a test database");
    let db = Database::connect(database.url()).await.unwrap();
    (database, db)
}

fn folder(parent: &tempfile::TempDir, name: &str) -> Config {
    Config { root: parent.path().join(name).to_string_lossy().into_owned(), ..Config::default() }
}

/// The store's id.
async fn id(store: &Store) -> String {
    let object: serde_json::Value = serde_json::from_slice(&store.get(KEY).await.unwrap()).unwrap();
    object["id"].as_str().unwrap().to_owned()
}

async fn check_pair(first: &Config, second: &Config) {
    let (_database, db) = database().await;
    let (first, second) = (Store::open(first).await.unwrap(), Store::open(second).await.unwrap());
    assert_eq!(pairing::stand(&first, &db).await.unwrap(), Stand::New);
    pairing::require(&first, &db).await.unwrap();
    pairing::require(&first, &db).await.unwrap();
    let known = id(&first).await;
    assert!(first.list("").await.unwrap().all().await.unwrap().is_empty(), "it is nobody's object");

    let error = pairing::require(&second, &db).await.unwrap_err();
    assert!(error.fault() == Fault::Permanent && matches!(error, Error::Foreign { found: None, .. }), "{error:?}");
    assert!(error.to_string().contains(&known) && error.to_string().contains("--adopt-store"), "{error}");
    assert!(second.stat(KEY).await.unwrap().is_none(), "who is refused writes nothing");

    // Another database's store, and then a person says that it is ours.
    let (_other, other) = database().await;
    pairing::require(&second, &other).await.unwrap();
    let foreign = id(&second).await;
    let said = pairing::require(&second, &db).await.unwrap_err().to_string();
    assert!(said.contains(&known) && said.contains(&foreign), "{said}");
    assert_eq!(pairing::adopt(&second, &db).await.unwrap().to_string(), foreign);
    pairing::require(&second, &db).await.unwrap();
    assert!(matches!(pairing::require(&first, &db).await, Err(Error::Foreign { .. })));

    // A new database, or one from before there were ids, takes the store as it is.
    let (_new, new) = database().await;
    pairing::require(&second, &new).await.unwrap();
    assert_eq!(id(&second).await, foreign);

    // A copy that left the object out gets an id of its own, and what still works on the original is refused.
    second.delete(&[KEY.to_owned()]).await.unwrap();
    assert!(matches!(pairing::require(&second, &new).await, Err(Error::Foreign { found: None, .. })));
    assert_ne!(pairing::adopt(&second, &new).await.unwrap().to_string(), foreign);
    pairing::require(&second, &new).await.unwrap();
}

#[tokio::test]
async fn folder_of_another_database_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    check_pair(&folder(&parent, "a"), &folder(&parent, "b")).await;
}

#[tokio::test]
async fn bucket_or_prefix_of_another_database_is_refused() {
    let server = S3Server::start().await;
    let below = |root: &str| Config { root: root.to_owned(), ..server.config() };
    check_pair(&below(""), &below("below/this")).await;
}

/// Memory is a new one in each process, so there is nothing to hold it against.
#[tokio::test]
async fn memory_passes_and_claims_nothing() {
    let (_database, db) = database().await;
    let store = Store::open(&Config { service: Service::Memory, ..Config::default() }).await.unwrap();
    pairing::require(&store, &db).await.unwrap();
    assert_eq!(pairing::stand(&store, &db).await.unwrap(), Stand::New);
}

async fn start_at_once(config: &Config) {
    let (database, db) = database().await;
    let starts = (0..8).map(async |_| {
        let db = Database::connect(database.url()).await.unwrap();
        pairing::require(&Store::open(config).await.unwrap(), &db).await
    });
    for started in futures_util::future::join_all(starts).await {
        started.unwrap();
    }
    let store = Store::open(config).await.unwrap();
    let known = id(&store).await.parse().unwrap();
    assert_eq!(pairing::stand(&store, &db).await.unwrap(), Stand::Paired(known));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_start_at_once_end_with_one_id() {
    let parent = tempfile::tempdir().unwrap();
    start_at_once(&folder(&parent, "a")).await;
    start_at_once(&S3Server::start().await.config()).await;
}

/// One process looks at both while another one gives the store its id: it must not take the store of before and the
/// database of afterwards for a pair.
#[tokio::test]
async fn store_that_is_paired_during_a_look_is_no_foreign_one() {
    let parent = tempfile::tempdir().unwrap();
    let (_database, db) = database().await;
    let store = Store::open(&folder(&parent, "a")).await.unwrap();
    let tx = db.begin().await.unwrap();
    tx.execute_unprepared("LOCK TABLE spool.setting IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let looking = pairing::require(&store, &db);
    let pairing = async {
        let blocked = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let blocked = Statement::from_string(DbBackend::Postgres, blocked);
        wait::until("it waits for the database", PATIENCE, || async {
            db.query_one_raw(blocked.clone()).await.unwrap()
        })
        .await;
        let id = uuid::Uuid::new_v4();
        store.put(KEY, format!(r#"{{"id": "{id}"}}"#).into()).await.unwrap();
        let settle = "INSERT INTO spool.setting (key, value) \
            VALUES ('storage.id', jsonb_build_object('id', $1::text, 'settled', true))";
        let settle = Statement::from_sql_and_values(DbBackend::Postgres, settle, [id.to_string().into()]);
        tx.execute_raw(settle).await.unwrap();
        tx.commit().await.unwrap();
    };
    let (looked, ()) = tokio::join!(looking, pairing);
    looked.unwrap();
}

/// Two machines whose folders are not shared, although both think so: one of them starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_folders_never_become_the_store_of_one_database() {
    let parent = tempfile::tempdir().unwrap();
    let (database, _db) = database().await;
    let starts = (0..6).map(async |n| {
        let db = Database::connect(database.url()).await.unwrap();
        let store = Store::open(&folder(&parent, ["a", "b"][n % 2])).await.unwrap();
        pairing::require(&store, &db).await.is_ok()
    });
    let started = futures_util::future::join_all(starts).await;
    let of = |folder: usize| started.iter().skip(folder).step_by(2).filter(|started| **started).count();
    assert!([(3, 0), (0, 3)].contains(&(of(0), of(1))), "{started:?}");
}

#[tokio::test]
async fn claim_of_a_process_that_died_or_could_not_write_holds_up_nobody_for_long() {
    let (_database, db) = database().await;
    let parent = tempfile::tempdir().unwrap();
    let faults = Faults::new();
    let store = Store::open_with(&folder(&parent, "a"), &faults).await.unwrap();
    faults.set(Call::Write, 0..1, storage::Fault::Refuse);
    assert!(matches!(pairing::require(&store, &db).await, Err(Error::Storage(_))));
    assert_eq!(pairing::stand(&store, &db).await.unwrap(), Stand::New);
    pairing::require(&store, &db).await.unwrap();

    // One that was killed between claim and write.
    let (_database, db) = database().await;
    let store = Store::open(&folder(&parent, "b")).await.unwrap();
    let claim = "INSERT INTO spool.setting (key, value, updated_at) VALUES ('storage.id', \
        '{\"id\": \"00000000-0000-0000-0000-000000000001\", \"settled\": false}', now() - interval '31 s')";
    db.execute_unprepared(claim).await.unwrap();
    pairing::require(&store, &db).await.unwrap();
    assert!(matches!(pairing::stand(&store, &db).await.unwrap(), Stand::Paired(_)));
}

#[tokio::test]
async fn nothing_starts_on_another_store_and_doctor_says_why() {
    let (database, db) = database().await;
    let parent = tempfile::tempdir().unwrap();
    let open = async |name: &str| {
        let mut config = Settings { storage: folder(&parent, name), ..Settings::default() };
        config.database.url = Secret::new(database.url());
        config.staging.dir = parent.path().join("staging");
        Context::open(config).await.map(drop)
    };
    open("a").await.unwrap();
    let error = open("b").await.unwrap_err();
    assert!(matches!(&error, context::Error::Pairing(Error::Foreign { .. })) && error.is_configuration(), "{error:?}");

    let spool = async |name: &str, arguments: &[&str]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spool"));
        command.args(arguments).current_dir(parent.path()).env("DATABASE_URL", database.url());
        command.env("SPOOL__STORAGE__ROOT", parent.path().join(name)).env("SPOOL__WORK__LISTEN", "127.0.0.1:0");
        command.env("SPOOL__AUTH__SERVICE_TOKENS", "test:service-token-of-a-test");
        command.env("SPOOL__AUTH__SIGNING_KEYS", "k1:signing-key-of-a-test-32-characters");
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    };
    let known = id(&Store::open(&folder(&parent, "a")).await.unwrap()).await;
    for command in ["work", "serve"] {
        let refused = spool("b", &[command]).await;
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(7) && said.contains(&known), "{command}: {said}");
    }
    let doctor = spool("b", &["doctor"]).await;
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(doctor.status.code() == Some(7) && said.contains(&known) && said.contains("--adopt-store"), "{said}");
    let adopted = spool("b", &["doctor", "--adopt-store"]).await;
    assert_eq!(adopted.status.code(), Some(0), "{}", String::from_utf8_lossy(&adopted.stdout));
    open("b").await.unwrap();
    assert!(matches!(open("a").await, Err(context::Error::Pairing(Error::Foreign { .. }))));
    drop(db);
}
