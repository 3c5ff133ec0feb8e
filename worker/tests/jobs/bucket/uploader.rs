//! An uploader that is not ours: it puts segments straight into the bucket and rewrites its manifest as it goes.

use crate::support::{PATIENCE, S3Server, Set, wait};
use crate::world::World;
use domain::id::{OwnerId, RecordingId};
use domain::key::Keys;
use domain::recording::{Policy, Source};
use domain::segment::{Name, Track};
use media::ff::segmenter::{Event, Options, segment_synthetic};
use media::ff::synth;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;
use worker::config::Config;
use worker::storage::Store;

/// Twelve seconds: six segments of picture and four of sound, as such an uploader cuts them.
pub(super) fn set() -> &'static Set {
    static SET: OnceLock<Set> = OnceLock::new();
    SET.get_or_init(|| {
        let mut set = cut(Duration::from_secs(2), 30);
        let sound = cut(Duration::from_secs(3), 10).tracks.remove(&Track::Audio).unwrap();
        set.tracks.insert(Track::Audio, sound);
        assert_eq!((set.last_index(Track::Video), set.last_index(Track::Audio)), (6, 4));
        set
    })
}

fn cut(target: Duration, fps: u32) -> Set {
    let config = synth::Config { width: 320, height: 180, fps, ..synth::Config::default() };
    let options = Options { target, limit: Some(Duration::from_secs(12)), ..Options::default() };
    let mut set = Set::default();
    let summary = segment_synthetic(&config, &options, |event| {
        match event {
            Event::Init { track, bytes } => set.tracks.entry(track).or_default().0 = bytes,
            Event::Segment { track, bytes, .. } => set.tracks.entry(track).or_default().1.push(bytes),
        }
        ControlFlow::Continue(())
    });
    set.duration_ms = summary.unwrap().duration_ms();
    set
}

/// Where the bucket is.
pub(super) enum Place {
    Folder,
    Server(S3Server),
}

/// An installation that looks often and waits little.
pub(super) async fn world(place: &Place, change: impl FnOnce(&mut Config)) -> World {
    World::with(|config| {
        if let Place::Server(server) = place {
            config.storage = server.config();
        }
        config.bucket.look_min = Duration::from_millis(50);
        config.bucket.look_max = Duration::from_millis(200);
        config.bucket.provisional_look_max = Duration::from_millis(200);
        config.live.declaration_wait = Duration::from_millis(500);
        config.live.missing_deadline = Duration::from_secs(2);
        config.cleanup.grace = Duration::from_secs(3600);
        change(config);
    })
    .await
}

/// How a manifest is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Version 2, an object an entry.
    Objects,
    /// Version 1: bare numbers, and the flag of the sound never set.
    Numbers,
    /// Both in one list.
    Mixed,
}

/// The uploader of one recording. It uses the store's client, but nothing else of the installation.
pub(super) struct Uploader<'a> {
    world: &'a World,
    pub(super) id: RecordingId,
    pub(super) keys: Keys,
    store: Store,
    form: Form,
    /// What its manifest names.
    pub(super) named: Vec<(Track, i64)>,
    pub(super) complete: bool,
}

impl<'a> Uploader<'a> {
    /// The web app makes the recording.
    pub(super) async fn new(world: &'a World, id: &str, form: Form) -> Uploader<'a> {
        Uploader::under(world, id, form, Policy::Degrade).await
    }

    pub(super) async fn under(world: &'a World, id: &str, form: Form, policy: Policy) -> Uploader<'a> {
        let (id, owner) = (RecordingId::parse(id).unwrap(), OwnerId::parse("o").unwrap());
        let new = worker::db::recordings::New {
            id: id.clone(),
            owner: owner.clone(),
            source: Source::Bucket,
            policy,
            webhook: None,
        };
        let tx = worker::db::begin(&world.db).await.unwrap();
        worker::db::recordings::create(&tx, &new).await.unwrap();
        worker::bucket::watch(&tx, &id, &owner).await.unwrap();
        tx.commit().await.unwrap();
        let keys = Keys::new(&owner, &id);
        let store = Store::open(&world.cx.config.storage).await.unwrap();
        Uploader { world, id, keys, store, form, named: Vec::new(), complete: false }
    }

    pub(super) async fn put_bytes(&self, track: Track, name: Name, bytes: &[u8]) {
        self.store.put(&self.keys.segment(track, name), bytes.to_vec().into()).await.unwrap();
    }

    /// One object of the set; index 0 is the initialization section.
    pub(super) async fn put(&self, track: Track, index: u32) {
        let (init, segments) = &set().tracks[&track];
        let bytes = if index == 0 { init } else { &segments[index as usize - 1] };
        self.put_bytes(track, Name::of_index(index), bytes).await;
    }

    pub(super) async fn put_all(&self, wanted: impl Fn(Track, u32) -> bool) {
        for (track, name, bytes) in set().objects() {
            if wanted(track, name.index()) {
                self.put_bytes(track, name, bytes).await;
            }
        }
    }

    /// Names everything of the set that `wanted` lets through, in the order of the set.
    pub(super) fn name(&mut self, wanted: impl Fn(Track, u32) -> bool) {
        let all = set().objects().into_iter().map(|(track, name, _)| (track, name.index()));
        let named = all.filter(|&(track, index)| index > 0 && wanted(track, index));
        self.named = named.map(|(track, index)| (track, i64::from(index))).collect();
    }

    pub(super) fn manifest(&self) -> String {
        let list = |track: Track| {
            let length = if track == Track::Video { "2.0" } else { "3.0" };
            let entries = self.named.iter().filter(|(of, _)| *of == track).map(|(_, index)| match self.form {
                Form::Objects => format!("{{\"index\":{index},\"duration\":{length}}}"),
                Form::Mixed if index % 2 == 0 => format!("{{\"index\":{index},\"duration\":{length},\"later\":true}}"),
                Form::Numbers | Form::Mixed => index.to_string(),
            });
            entries.collect::<Vec<_>>().join(",")
        };
        let version = if self.form == Form::Numbers { 1 } else { 2 };
        let sound = self.form != Form::Numbers;
        format!(
            "{{\"version\":{version},\"video_init_uploaded\":true,\"audio_init_uploaded\":{sound},\
             \"video_segments\":[{}],\"audio_segments\":[{}],\"is_complete\":{}}}",
            list(Track::Video),
            list(Track::Audio),
            self.complete
        )
    }

    pub(super) async fn put_manifest(&self) {
        self.put_text(&self.manifest()).await;
    }

    pub(super) async fn put_text(&self, text: &str) {
        self.store.put(&self.keys.manifest(), text.to_owned().into_bytes().into()).await.unwrap();
    }

    /// Everything at once, declared and signalled.
    pub(super) async fn upload_whole(&mut self) {
        self.upload_without(|_, _| false).await;
    }

    /// The same, but some objects never come.
    pub(super) async fn upload_without(&mut self, lost: impl Fn(Track, u32) -> bool) {
        self.put_all(|track, index| !lost(track, index)).await;
        self.name(|_, _| true);
        self.complete = true;
        self.put_manifest().await;
        self.world.complete(&self.id).await;
    }

    /// Waits until so many media segments are listed for viewers, gaps with them.
    pub(super) async fn until_listed(&self, count: usize) -> Vec<String> {
        wait::until(&format!("{count} segments of {} are listed", self.id), PATIENCE, async || {
            Some(self.world.listing(&self.id).await).filter(|listed| listed.len() >= count)
        })
        .await
    }

    /// Waits until at least `count` looks have ended since now.
    pub(super) async fn until_looked(&self, count: i64) {
        let before = self.looks().await;
        let enough = async || (self.looks().await >= before + count).then_some(());
        wait::until("somebody has looked", PATIENCE, enough).await;
    }

    /// Looks that have ended.
    pub(super) async fn looks(&self) -> i64 {
        let looks = "SELECT count(*) FROM queue.attempt AS a JOIN queue.job AS j ON j.id = a.job_id \
            WHERE j.subject = $1 AND j.kind = 'upload' AND a.ended_at IS NOT NULL";
        self.world.number(looks, [self.id.as_str().into()]).await
    }

    /// Events of a type, as JSON text.
    pub(super) async fn events(&self, kind: &str) -> Vec<serde_json::Value> {
        let sql = "SELECT body::text FROM spool.event WHERE recording_id = $1 AND type = $2 ORDER BY seq";
        let values = [self.id.as_str().into(), kind.into()];
        let rows = self.world.db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await;
        let rows = rows.unwrap();
        rows.iter().map(|row| serde_json::from_str(&row.try_get_by_index::<String>(0).unwrap()).unwrap()).collect()
    }

    /// The result as a file.
    pub(super) async fn result(&self, folder: &tempfile::TempDir) -> PathBuf {
        let served = self.world.recording(&self.id).await.result.unwrap();
        let path = folder.path().join(format!("{}.mp4", self.id));
        std::fs::write(&path, self.store.get(&served.key).await.unwrap()).unwrap();
        path
    }
}
