//! What a poll costs: counted, not timed.

use crate::serving::{SERVICE, Serving, settings, settled, token};
use crate::world::{World, set};
use domain::job::Queue;
use domain::segment::{Name, Track};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use std::sync::{Arc, Mutex};
use tokio_util::sync::CancellationToken;
use worker::playlist::{Kind, Links, Made, Playlists};

/// Statements of one serving process.
#[derive(Debug, Clone, Default)]
pub struct Counted(Arc<Mutex<Vec<String>>>);

impl Counted {
    /// Takes what was counted since the last time, without what a process says of itself every few seconds.
    pub fn take(&self) -> Vec<String> {
        let mut statements = std::mem::take(&mut *self.0.lock().unwrap());
        let own = ["spool.setting", "clock_timestamp()", "queue.worker"];
        statements.retain(|sql| !own.iter().any(|word| sql.contains(word)));
        statements
    }
}

/// The world's context, with a pool whose statements are counted.
pub fn counting(world: &World) -> (worker::context::Context, Counted) {
    let (mut cx, counted) = (world.cx.clone(), Counted::default());
    let statements = counted.clone();
    cx.db.set_metric_callback(move |info| statements.0.lock().unwrap().push(info.statement.sql.clone()));
    (cx, counted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poll_of_an_unchanged_playlist_is_one_indexed_statement_and_no_look_into_the_store() {
    let world = World::with(settings).await;
    let worker = world.work_on(&[Queue::Ingest]);
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, index| index <= 2).await;
    settled(&world, &id).await;
    let (cx, counted) = counting(&world);
    let serving = Serving::with(cx).await;
    let path = |name: &str| format!("/hls/{id}/{name}?token={}", token(&world, &id));
    // Whatever a process does at its start is over when it has answered everything once.
    for name in ["index.m3u8", "video.m3u8", "audio.m3u8"] {
        assert_eq!(serving.get(&path(name)).await.status, 200);
    }
    let objects = world.object("");
    std::fs::rename(&objects, objects.with_extension("away")).unwrap();
    counted.take();
    let mut polls = Vec::new();
    for name in ["index.m3u8", "video.m3u8", "audio.m3u8"] {
        let first = serving.get(&path(name)).await;
        let again = serving.ask(&path(name), &[("If-None-Match", first.header("etag"))]).await;
        assert_eq!((first.status, again.status, again.bytes.len()), (200, 304, 0), "{name}");
        polls.push(counted.take());
    }
    let compatible = format!("/api/playlist?videoId={id}&videoType=segments-video&token={}", token(&world, &id));
    assert_eq!(serving.get(&compatible).await.status, 200);
    polls.push(counted.take());
    assert_eq!(polls.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 1], "{polls:?}");
    std::fs::rename(objects.with_extension("away"), &objects).unwrap();

    // What was appended is read once, for whoever comes.
    world.accept(&id, Track::Video, Name::Media(3), &set().tracks[&Track::Video].1[2]).await.unwrap();
    settled(&world, &id).await;
    for expected in [2, 1] {
        assert_eq!(serving.get(&path("video.m3u8")).await.status, 200);
        let statements = counted.take();
        assert_eq!(statements.len(), expected, "{statements:?}");
    }
    assert_eq!(serving.get(&path("video.m3u8")).await.text().matches("#EXTINF").count(), 3);
    let sql = polls[0][0].clone();
    check_plan(&world, &sql).await;
    worker.stop().await;
}

/// However many viewers ask how a recording stands, it is looked at once a second; a look passes over its segments once,
/// by their key, and gives a line for each run of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_for_many_viewers_is_one_look_that_passes_once_over_the_segments() {
    let world = World::with(settings).await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, index| index <= 2).await;
    let (cx, counted) = counting(&world);
    let serving = Serving::with(cx).await;
    let path = format!("/api/recordings/{id}?token={}", token(&world, &id));
    counted.take();
    let begun = std::time::Instant::now();
    let polls = futures_util::future::join_all((0..40).map(|_| serving.get(&path))).await;
    assert!(polls.iter().all(|reply| reply.status == 200 && reply.bytes == polls[0].bytes));
    let looks = 1 + usize::try_from(begun.elapsed().as_secs()).unwrap();
    let statements = counted.take();
    let passes: Vec<_> = statements.iter().filter(|sql| sql.contains("spool.segment")).collect();
    assert!((1..=looks).contains(&passes.len()), "{statements:#?}");

    // A web app reads what it has written, also when a viewer has just asked.
    world.accept(&id, Track::Video, Name::Media(3), &set().tracks[&Track::Video].1[2]).await.unwrap();
    let own = serving.ask(&format!("/api/recordings/{id}"), &[("Authorization", &format!("Bearer {SERVICE}"))]).await;
    assert!(own.text().contains("\"last_index\":3"), "{}", own.text());

    // Half an hour of both tracks, with a hole in each, among the recordings of others.
    world.execute("INSERT INTO spool.recording (id, owner_id, source) SELECT 'x' || n, 'o', 'spool' FROM generate_series(1, 20) AS n", []).await;
    let long = "INSERT INTO spool.segment (recording_id, track, index, state, stored_at, size_bytes, sha256, sample_index) \
        SELECT r.id, track, n, 'stored', now(), 1, sha256('x'), decode(repeat('00', 500), 'hex') \
        FROM spool.recording AS r, unnest(ARRAY['video', 'audio']) AS track, generate_series(10, 1000) AS n WHERE n <> 500";
    world.execute(long, []).await;
    world.execute("ANALYZE spool.segment", []).await;
    let values = || [id.as_str().into(), sea_orm::Value::from(200_000_i64)];
    let look = |sql: String| world.db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values()));
    let plan: Vec<String> = look(format!("EXPLAIN {}", passes[0]))
        .await
        .unwrap()
        .iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect();
    let plan = plan.join("\n");
    assert!(plan.matches(" on segment ").count() == 1, "more than one pass:\n{plan}");
    assert!(!plan.contains("Seq Scan") && plan.contains("segment_pkey"), "{plan}");
    let runs = look(passes[0].clone()).await.unwrap().len();
    assert_eq!(runs, 6, "of each track what waits, and what is stored before and after the hole");
}

/// Two hours, long enough to be made on another thread: written when something was appended and not for each viewer, and
/// compressed once for those who share a token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_playlist_is_written_once_for_all_viewers_and_compressed_once_for_each_token() {
    const ROWS: i64 = 3600;
    let world = World::with(settings).await;
    let id = world.create("r").await;
    let listing = "INSERT INTO spool.listing (recording_id, track, seq, index, kind, duration, timescale) \
        SELECT $1, 'video', n, n, 'media', 2, 1 FROM generate_series($2::int8, $3::int8) AS n";
    let append = async |from: i64, to: i64| {
        world.execute(listing, [id.as_str().into(), from.into(), to.into()]).await;
    };
    append(1, ROWS).await;
    world.execute("UPDATE spool.recording SET target_duration_s = 4", []).await;
    let playlists = Playlists::new(world.db.clone(), &world.cx.config, CancellationToken::new());
    let links = |suffix: &str| Links { prefix: String::new(), suffix: suffix.to_owned() };
    let viewers = ["", "?token=a", "?token=b"].map(links);
    let kind = Kind::Media(Track::Video);
    let mut made = Vec::new();
    for round in 0..2_i64 {
        let head = playlists.head(&id).await.unwrap().unwrap();
        // All at once: whoever comes while it is written or compressed waits for it.
        let watch = |n: usize| (&playlists, &head, &viewers[n % 3]);
        let polls = (0..9).map(watch).map(async |(playlists, head, links)| {
            let body = playlists.body(head, kind, links).await.unwrap();
            let (plain, gzip) = (body.plain().await, body.gzip().await);
            (String::from_utf8(plain.to_vec()).unwrap(), gzip)
        });
        let polls = futures_util::future::join_all(polls).await;
        for (n, (plain, gzip)) in polls.iter().enumerate() {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&gzip[..]), &mut text).unwrap();
            assert!(text == *plain && text.matches("#EXTINF").count() as i64 == ROWS + round, "viewer {n}");
            let ends = format!("segments/video/segment_{ROWS}.m4s{}", viewers[n % 3].suffix);
            assert_eq!(text.lines().filter(|line| *line == ends).count(), 1, "viewer {n}");
        }
        made.push(playlists.made());
        append(ROWS + 1 + round, ROWS + 1 + round).await;
    }
    let expected = |written, compressed| Made { written, compressed };
    assert_eq!(made, [expected(1, 3), expected(2, 6)], "three viewers' links, twice something new");
}

/// The statement touches a few pages, however long the listings of this and other recordings are.
async fn check_plan(world: &World, sql: &str) {
    world.execute("INSERT INTO spool.recording (id, owner_id, source) SELECT 'x' || n, 'o', 'spool' FROM generate_series(1, 2000) AS n", []).await;
    let listing = "INSERT INTO spool.listing (recording_id, track, seq, index, kind, duration, timescale) \
        SELECT 'x' || r, track, n, n, 'media', 2, 1 FROM generate_series(1, 5) AS r, unnest(ARRAY['video', 'audio']) AS track, \
            generate_series(1, 2000) AS n";
    world.execute(listing, []).await;
    world.execute("ANALYZE spool.recording", []).await;
    world.execute("ANALYZE spool.listing", []).await;
    check_pages(world, sql, vec!["x3".into()]).await;
}

/// The plan of a statement reads no table whole, and few pages.
async fn check_pages(world: &World, sql: &str, values: Vec<sea_orm::Value>) {
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) {sql}");
    let rows = world.db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, explain, values));
    let lines: Vec<String> = rows.await.unwrap().iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    let plan = lines.join("\n");
    assert!(!plan.contains("Seq Scan") && plan.contains("Index"), "{plan}");
    let buffers = lines.iter().find(|line| line.contains("hit=")).map_or("", String::as_str);
    let pages = buffers.split("hit=").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse::<u32>().ok());
    assert!(pages.is_some_and(|pages| pages <= 32), "{plan}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn append_reads_the_end_of_a_long_listing_only() {
    let world = World::with(settings).await;
    let id = world.create("r").await;
    let listing = "INSERT INTO spool.listing (recording_id, track, seq, index, kind, duration, timescale, program_date_time) \
        SELECT $1, track, n, n, 'media', 2, 1, CASE WHEN n % 5000 = 1 THEN now() END \
        FROM unnest(ARRAY['video', 'audio']) AS track, generate_series(1, 14400) AS n";
    world.execute(listing, [id.as_str().into()]).await;
    let rows = "INSERT INTO spool.segment (recording_id, track, index, state, size_bytes, stored_at, timescale, tfdt, duration) \
        SELECT $1, track, n, 'stored', 1, now(), 1, 2 * n, 2 \
        FROM unnest(ARRAY['video', 'audio']) AS track, generate_series(1, 14400) AS n";
    world.execute(rows, [id.as_str().into()]).await;
    world.execute("ANALYZE spool.listing", []).await;
    world.execute("ANALYZE spool.segment", []).await;
    let (cx, counted) = counting(&world);
    let tx = worker::db::begin(&cx.db).await.unwrap();
    let extended = worker::playlist::extend(&tx, &id, std::time::Duration::from_secs(30)).await.unwrap();
    assert_eq!(extended.rows, 0);
    drop(tx);
    let statements = counted.take();
    let tail = statements.iter().find(|sql| sql.contains("program_date_time IS NOT NULL")).expect("the end is read");
    check_pages(&world, tail, vec![id.as_str().into(), "video".into(), 100_000_i64.into()]).await;
}
