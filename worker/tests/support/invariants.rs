//! held against what is really there: rows, staged bytes and objects of one installation.
//!
//! A picture is not taken in one moment: rows are read, then objects, while everything goes on. So each is read before
//! what it promises, and a breach counts only when several pictures in a row show it.

use super::Site;
use domain::id::{RecordingId, Sha256};
use domain::invariant::{self, Attempt, Job, Recording, Served, World};
use domain::job::Kind;
use domain::key::{Keys, Object};
use domain::manifest::Manifest;
use domain::mux::{Plan, ResultFacts};
use domain::playlist::ListingRow;
use domain::recording::{Source, State};
use domain::segment::{self, Track};
use entities::spool::listing;
use media::readback;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _, QueryFilter as _, QueryOrder as _, Statement,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::Mutex;
use worker::context::Context;
use worker::db::{plans, recordings, segments};
use worker::{result, storage};

/// Pictures that must agree on a breach.
const PICTURES: u32 = 4;

/// Between them: longer than any of the steps that a torn picture can show half of.
const APART: Duration = Duration::from_millis(500);

/// Recordings looked at; a test has a handful.
const RECORDINGS_MAX: u32 = 1_000;

/// The last picture of an installation: some rules compare with it.
#[derive(Debug, Default)]
pub struct Seen(Mutex<Option<World>>);

/// Fails unless every rule holds now, and since the last time it was asked.
pub async fn hold(site: &Site) {
    let cx = Context::open(site.config()).await.expect("everything opens");
    hold_in(&cx, &site.seen).await;
}

/// [`hold`] of an installation in this process.
pub async fn hold_in(cx: &Context, seen: &Seen) {
    let mut seen = seen.0.lock().await;
    for left in (0..PICTURES).rev() {
        let now = picture(cx).await;
        let breaches = invariant::check(seen.as_ref().unwrap_or(&now), &now);
        if breaches.is_empty() {
            *seen = Some(now);
            return;
        }
        assert!(left > 0, "broken:\n{}", breaches.join("\n"));
        tokio::time::sleep(APART).await;
    }
}

/// Everything as it is.
pub async fn picture(cx: &Context) -> World {
    let filter = recordings::Filter { owner: None, state: None, after: None, limit: RECORDINGS_MAX };
    let mut world = World { jobs: jobs(cx).await, attempts: attempts(cx).await, ..World::default() };
    for row in recordings::list(&cx.db, &filter).await.unwrap() {
        world.recordings.push(recording(cx, row).await);
    }
    world
}

async fn recording(cx: &Context, row: recordings::Recording) -> Recording {
    let keys = Keys::new(&row.owner, &row.id);
    // What is listed somewhere was stored before, so what lists is read first.
    let manifest = match row.source {
        Source::Spool => manifest(cx, &keys).await,
        // Another uploader's: it may claim what it likes.
        Source::Bucket => BTreeSet::new(),
    };
    let listing = listing(cx, &row.id).await;
    let segments = segments::rows(&cx.db, &row.id).await.unwrap();
    let staged = staged(cx, &segments).await;
    let plan = match &row.result {
        Some(served) => plans::get(&cx.db, &row.id, served.version).await.unwrap().map(|found| found.unwrap().plan),
        None => None,
    };
    let result = match (&row.result, &plan) {
        (Some(served), Some(plan)) => Some(served_as(cx, &keys, row.state, served, plan).await),
        _ => None,
    };
    Recording {
        grace_over: grace_over(cx, &row).await,
        id: row.id,
        state: row.state,
        provisional: row.provisional,
        rows: segments.into_iter().map(|segment| segment.row).collect(),
        staged,
        objects: objects(cx, &keys).await,
        manifest,
        listing,
        plan,
        result,
    }
}

async fn manifest(cx: &Context, keys: &Keys) -> BTreeSet<(Track, u32)> {
    let bytes = match cx.store.get(&keys.manifest()).await {
        Err(storage::Error::NotFound { .. }) => return BTreeSet::new(),
        bytes => bytes.unwrap(),
    };
    let manifest = Manifest::parse(&bytes).unwrap();
    let listed = |track| manifest.claim(track).segments.iter().map(move |entry| (track, entry.index));
    let listed = Track::ALL.into_iter().flat_map(listed);
    listed.map(|(track, index)| (track, u32::try_from(index).unwrap())).collect()
}

async fn listing(cx: &Context, id: &RecordingId) -> Vec<ListingRow> {
    let rows = listing::Entity::find().filter(listing::Column::RecordingId.eq(id.as_str()));
    let rows = rows.order_by_asc(listing::Column::Track).order_by_asc(listing::Column::Seq).all(&cx.db).await.unwrap();
    rows.iter().map(|row| ListingRow::try_from(row).unwrap()).collect()
}

async fn staged(cx: &Context, rows: &[segments::Segment]) -> BTreeSet<(Track, u32)> {
    let mut staged = BTreeSet::new();
    for segment in rows.iter().filter(|segment| segment.row.state == segment::State::Received) {
        let uri = segment.staging_uri.as_ref().expect("a received segment waits somewhere").parse().unwrap();
        if cx.staging.contains(&uri).await.unwrap() {
            staged.insert((segment.row.track, segment.row.index));
        }
    }
    staged
}

async fn objects(cx: &Context, keys: &Keys) -> BTreeMap<(Track, u32), Sha256> {
    let mut objects = BTreeMap::new();
    for listed in cx.store.list(&keys.segments_prefix()).await.unwrap().all().await.unwrap() {
        let Some(Object::Segment(track, name)) = keys.parse(&listed.key) else { continue };
        match cx.store.get(&listed.key).await {
            // Deleted since it was listed.
            Err(storage::Error::NotFound { .. }) => {}
            bytes => drop(objects.insert((track, name.index()), Sha256::of(&bytes.unwrap()))),
        }
    }
    objects
}

/// A result, and what its plan makes of it. When the recording is archived, what the plan was laid out from is gone: then
/// `result.json` says what was verified.
async fn served_as(cx: &Context, keys: &Keys, state: State, served: &recordings::Served, plan: &Plan) -> Served {
    let source = result::Source::new(&cx.store, keys.clone(), &served.key);
    let Some(meta) = cx.store.stat(&served.key).await.unwrap() else {
        let nothing = ResultFacts { size_bytes: 0, faststart: true, tracks: Vec::new() };
        return Served { exists: false, expected: nothing.clone(), found: nothing };
    };
    let found = readback::read(&source, meta.size_bytes).await.unwrap().facts;
    let expected = match state {
        State::Archived => recorded(cx, keys, served, &found).await,
        _ => match result::lay_out(cx, plan).await {
            Ok(layout) => layout.expected(),
            // Archived since its row was read.
            Err(_) => recorded(cx, keys, served, &found).await,
        },
    };
    Served { exists: true, expected, found }
}

async fn recorded(cx: &Context, keys: &Keys, served: &recordings::Served, found: &ResultFacts) -> ResultFacts {
    let json = cx.store.get(&keys.result_json(served.version)).await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let mut expected = found.clone();
    expected.size_bytes = served.size_bytes;
    for (track, told) in expected.tracks.iter_mut().zip(json["tracks"].as_array().unwrap()) {
        track.samples = told["packets"].as_u64().unwrap();
        track.payload_bytes = told["payload_bytes"].as_u64().unwrap();
    }
    expected
}

/// The grace period lay between the result and the archive.
async fn grace_over(cx: &Context, row: &recordings::Recording) -> bool {
    if row.state != State::Archived {
        return true;
    }
    let sql = "SELECT max(at) FILTER (WHERE type = 'recording.archived') \
            >= max(at) FILTER (WHERE type = 'recording.ready') + $2::float8 * interval '1 second' AS over \
        FROM spool.event WHERE recording_id = $1";
    // A clock that was set shows in both events; what was shifted by a test was shifted before the archive.
    let grace_s = cx.config.cleanup.grace.as_secs_f64();
    let values = [row.id.as_str().into(), grace_s.into()];
    let found = cx.db.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await.unwrap();
    found.unwrap().try_get::<Option<bool>>("", "over").unwrap().unwrap_or(false)
}

async fn jobs(cx: &Context) -> Vec<Job> {
    let rows = cx.db.query_all_raw(Statement::from_string(DbBackend::Postgres, "SELECT kind, subject FROM queue.job"));
    let job = |row: &sea_orm::QueryResult| {
        let kind: String = row.try_get("", "kind").unwrap();
        let subject: Option<String> = row.try_get("", "subject").unwrap();
        let subject = subject.and_then(|subject| RecordingId::parse(&subject).ok());
        Kind::parse(&kind).map(|kind| Job { kind, subject })
    };
    rows.await.unwrap().iter().filter_map(job).collect()
}

/// Every attempt that anything tells of: those with outcomes, those that run, and the numbers that a job has used up.
async fn attempts(cx: &Context) -> Vec<Attempt> {
    let sql = "WITH job AS ( \
          SELECT id, kind, attempt, epoch, state = 3 AS running FROM queue.job \
          UNION ALL SELECT id, kind, attempt, NULL, false FROM queue.job_archive \
        ) \
        SELECT job.kind || ' ' || job.id || ' claim ' || job.epoch AS name, true AS running, \
          (SELECT count(*) FROM queue.attempt a WHERE a.job_id = job.id AND a.epoch = job.epoch) AS outcomes \
          FROM job WHERE running \
        UNION ALL \
        SELECT a.kind || ' ' || a.job_id || ' claim ' || a.epoch, false, count(*) FROM queue.attempt a \
          WHERE NOT EXISTS (SELECT FROM job WHERE job.id = a.job_id AND job.running AND job.epoch = a.epoch) \
          GROUP BY a.kind, a.job_id, a.epoch \
        UNION ALL \
        SELECT job.kind || ' ' || job.id || ' attempt ' || n, false, 0 \
          FROM job CROSS JOIN LATERAL generate_series(1, job.attempt - job.running::int) AS n \
          WHERE NOT EXISTS (SELECT FROM queue.attempt a WHERE a.job_id = job.id AND a.attempt = n)";
    let rows = cx.db.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    let attempt = |row: &sea_orm::QueryResult| Attempt {
        name: row.try_get("", "name").unwrap(),
        running: row.try_get("", "running").unwrap(),
        outcomes: u32::try_from(row.try_get::<i64>("", "outcomes").unwrap()).unwrap(),
    };
    rows.iter().map(attempt).collect()
}
