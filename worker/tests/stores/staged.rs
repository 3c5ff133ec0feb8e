//! What staging promises, in a folder and in the store.

use crate::support::S3Server;
use domain::id::{OwnerId, RecordingId, Sha256};
use domain::retry::{Classify as _, Fault};
use domain::segment::{Name, Track};
use postgres::testing::TestDb;
use sea_orm::{Database, DatabaseConnection};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use worker::staging::{Config, Error, Mode, Staging, Uri};
use worker::storage::{self, Service, Store};

struct Site {
    folder: tempfile::TempDir,
    db: DatabaseConnection,
    _database: TestDb,
}

pub(crate) async fn migrated(url: String) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let db = Database::connect(url).await?;
    migration::run(&db).await?;
    db.close().await?;
    Ok(())
}

impl Site {
    async fn new() -> Site {
        let database = TestDb::new(migrated).await.expect("a test database");
        let db = Database::connect(database.url()).await.unwrap();
        Site { folder: tempfile::tempdir().unwrap(), db, _database: database }
    }

    async fn open(&self, name: &str) -> Staging {
        let free_min = bytesize::ByteSize::mib(1);
        let config = Config { dir: self.folder.path().join(name), free_min, ..Config::default() };
        Staging::open(&config, &memory().await, &self.db).await.unwrap()
    }

    /// Staging in `store`.
    async fn in_store(&self, store: &Store) -> Staging {
        Staging::open(&Config { mode: Mode::Store, ..Config::default() }, store, &self.db).await.unwrap()
    }
}

async fn memory() -> Store {
    Store::open(&storage::Config { service: Service::Memory, ..storage::Config::default() }).await.unwrap()
}

fn owner() -> OwnerId {
    OwnerId::parse("o").unwrap()
}

fn recording() -> RecordingId {
    RecordingId::parse("r1").unwrap()
}

async fn stage(staging: &Staging, name: Name, bytes: &[u8]) -> Uri {
    let mut incoming = staging.receive(&owner(), &recording(), Track::Video, name, bytes.len() as u64).await.unwrap();
    for piece in bytes.chunks(70_000) {
        incoming.write(piece).await.unwrap();
    }
    assert_eq!((incoming.sha256(), incoming.size_bytes()), (Sha256::of(bytes), bytes.len() as u64));
    incoming.commit().await.unwrap()
}

async fn read(staging: &Staging, uri: &Uri) -> Vec<u8> {
    let (mut reader, size_bytes) = staging.open_bytes(uri).await.unwrap();
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes.len() as u64, size_bytes);
    bytes
}

#[tokio::test]
async fn committed_bytes_are_found_read_and_removed() {
    let site = Site::new().await;
    let staging = site.open("s").await;
    let bytes = vec![7; 1_000_000];
    let uri = stage(&staging, Name::Media(3), &bytes).await;
    let name = format!("local:r1/video-003-{}-{}", Sha256::of(&bytes), uri.nonce.simple());
    assert_eq!(uri.to_string(), name);
    assert_eq!(read(&staging, &uri).await, bytes);
    let found = staging.scan().await.unwrap();
    assert_eq!((found.len(), &found[0].uri, found[0].size_bytes), (1, &uri, 1_000_000));
    assert!(found[0].age < Duration::from_secs(60));
    // The same again has a name of its own: who gives one of them up takes nothing from the other.
    let again = stage(&staging, Name::Media(3), &bytes).await;
    assert_eq!(staging.scan().await.unwrap().len(), 2);
    staging.remove(std::slice::from_ref(&uri)).await.unwrap();
    staging.remove(std::slice::from_ref(&uri)).await.unwrap();
    assert!(!staging.contains(&uri).await.unwrap() && staging.contains(&again).await.unwrap());
    let gone = staging.open_bytes(&uri).await.err().unwrap();
    assert!(matches!(gone, Error::NotFound { .. }) && gone.fault() == Fault::Permanent);
}

#[tokio::test]
async fn dropped_bytes_leave_nothing() {
    let site = Site::new().await;
    let staging = site.open("s").await;
    let mut incoming = staging.receive(&owner(), &recording(), Track::Audio, Name::Init, 600_000).await.unwrap();
    incoming.write(&vec![1; 600_000]).await.unwrap();
    drop(incoming);
    assert!(staging.scan().await.unwrap().is_empty());
    assert_eq!(std::fs::read_dir(site.folder.path().join("s/incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn scan_passes_over_what_is_not_ours_and_forgets_what_dead_processes_left() {
    let site = Site::new().await;
    let staging = site.open("s").await;
    let uri = stage(&staging, Name::Init, b"x").await;
    std::fs::write(site.folder.path().join("s/received/notes.txt"), b"mine").unwrap();
    let (old, young) = (site.folder.path().join("s/incoming/old"), site.folder.path().join("s/incoming/young"));
    for path in [&old, &young] {
        std::fs::write(path, b"half").unwrap();
    }
    let file = std::fs::File::options().write(true).open(&old).unwrap();
    let long_ago = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(48 * 3600);
    file.set_modified(long_ago).unwrap();
    let found = staging.scan().await.unwrap();
    assert_eq!(found.into_iter().map(|staged| staged.uri).collect::<Vec<_>>(), [uri]);
    assert!(!old.exists() && young.exists() && site.folder.path().join("s/received/notes.txt").exists());
}

#[tokio::test]
async fn one_folder_is_registered_and_many_processes_may_see_it() {
    let site = Site::new().await;
    let (one, again, other) = (site.open("a").await, site.open("a").await, site.open("b").await);
    assert!(one.is_registered(&site.db).await.unwrap() && again.is_registered(&site.db).await.unwrap());
    assert!(!other.is_registered(&site.db).await.unwrap());
    let refused = other.require_registered(&site.db).await.unwrap_err();
    assert!(matches!(refused, Error::Foreign { .. }) && refused.to_string().contains("set staging.dir"));
    one.require_registered(&site.db).await.unwrap();
}

#[tokio::test]
async fn full_is_said_before_the_first_byte() {
    let site = Site::new().await;
    let size_max = bytesize::ByteSize::kib(100);
    let free_min = bytesize::ByteSize::mib(1);
    let config = Config { dir: site.folder.path().join("s"), size_max, free_min, ..Config::default() };
    let staging = Staging::open(&config, &memory().await, &site.db).await.unwrap();
    let first = staging.receive(&owner(), &recording(), Track::Video, Name::Init, 60 << 10).await.unwrap();
    let second = staging.receive(&owner(), &recording(), Track::Video, Name::Init, 60 << 10).await.unwrap_err();
    assert!(matches!(second, Error::Full { .. }) && second.fault() == Fault::Transient);
    drop(first);
}

/// A volume that is not mounted any more leaves an empty folder behind. Its bytes are not gone, they cannot be seen: who
/// takes them for gone records acknowledged segments as lost.
#[tokio::test]
async fn bytes_of_a_folder_that_is_away_are_not_taken_for_gone() {
    let site = Site::new().await;
    let staging = site.open("staging").await;
    let uri = stage(&staging, Name::Media(1), b"bytes").await;
    let (dir, aside) = (site.folder.path().join("staging"), site.folder.path().join("aside"));
    std::fs::rename(&dir, &aside).unwrap();
    std::fs::create_dir_all(dir.join("received")).unwrap();
    let away = staging.open_bytes(&uri).await.err().unwrap();
    assert!(matches!(away, Error::Volume { .. }), "{away}");
    assert_eq!(away.fault(), Fault::Transient);
    std::fs::remove_dir_all(&dir).unwrap();
    std::fs::rename(&aside, &dir).unwrap();
    staging.open_bytes(&uri).await.unwrap();
    staging.remove(std::slice::from_ref(&uri)).await.unwrap();
    assert!(matches!(staging.open_bytes(&uri).await, Err(Error::NotFound { .. })));
}

/// Small bodies in one request, large ones in parts; found by a listing, read, removed, and nothing left of what was
/// not committed.
async fn bytes_in_store_are_found_read_and_removed(store: &Store) {
    let site = Site::new().await;
    let staging = site.in_store(store).await;
    assert!(staging.is_registered(&site.db).await.unwrap() && staging.scan().await.unwrap().is_empty());
    let list = async || staging.list(&owner(), &recording(), 100, chrono::DateTime::UNIX_EPOCH).await.unwrap();
    for length in [0, 1, 100_000, 12 << 20] {
        let bytes: Vec<u8> = (0..length).map(|n: usize| (n * 31 % 251) as u8).collect();
        let (uri, again) =
            (stage(&staging, Name::Media(3), &bytes).await, stage(&staging, Name::Media(3), &bytes).await);
        let key = format!("o/r1/segments/.incoming/video-003-{}", uri.nonce.simple());
        assert_eq!((uri.key().as_ref(), uri.to_string().parse().as_ref()), (Some(&key), Ok(&uri)));
        assert_eq!(store.get(&key).await.unwrap(), bytes);
        assert_eq!(read(&staging, &uri).await, bytes);
        let meta = staging.stat(&uri).await.unwrap().unwrap();
        let told = match &uri.place {
            worker::staging::Place::Store { etag, .. } => etag.clone(),
            worker::staging::Place::Local { .. } => panic!("{uri} is in the store"),
        };
        assert_eq!((meta.size_bytes, &meta.etag), (length as u64, &told), "the tag of the write is that of the object");
        assert_eq!(list().await.len(), 2);
        staging.remove(&[uri.clone(), again]).await.unwrap();
        staging.remove(std::slice::from_ref(&uri)).await.unwrap();
        assert!(staging.stat(&uri).await.unwrap().is_none() && list().await.is_empty());
        let gone = staging.open_bytes(&uri).await.err().unwrap();
        assert!(matches!(gone, Error::NotFound { .. }) && gone.fault() == Fault::Permanent);

        let mut dropped =
            staging.receive(&owner(), &recording(), Track::Audio, Name::Init, length as u64).await.unwrap();
        dropped.write(&bytes).await.unwrap();
        drop(dropped);
        assert!(list().await.is_empty());
    }
    // What waits in a folder is not gone because this process has none.
    let uri: Uri = format!("local:r1/video-003-{}-{}", Sha256::of(b"x"), uuid::Uuid::nil().simple()).parse().unwrap();
    let elsewhere = staging.stat(&uri).await.unwrap_err();
    assert!(matches!(elsewhere, Error::Elsewhere { .. }) && elsewhere.fault() == Fault::Transient);
}

#[tokio::test]
async fn bytes_in_memory_are_found_read_and_removed() {
    bytes_in_store_are_found_read_and_removed(&memory().await).await;
}

#[tokio::test]
async fn bytes_in_a_folder_of_objects_are_found_read_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_string_lossy().into_owned();
    let store = Store::open(&storage::Config { root, ..storage::Config::default() }).await.unwrap();
    bytes_in_store_are_found_read_and_removed(&store).await;
}

#[tokio::test]
async fn bytes_in_a_bucket_are_found_read_and_removed() {
    let server = S3Server::start().await;
    bytes_in_store_are_found_read_and_removed(&Store::open(&server.config()).await.unwrap()).await;
    let begun = server.count("CreateMultipartUpload");
    assert!(begun > 0 && server.count("CompleteMultipartUpload") < begun, "what was dropped was not completed");
}
