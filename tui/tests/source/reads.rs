//! What is read: the right rows, few of them however many there are, and nothing that steers a terminal.

use crate::world::World;
use domain::filter::{Filter, List};
use domain::id::RecordingId;
use domain::recording::State;
use domain::segment::Track;
use domain::standing::Standing;
use sqlx::postgres::PgPool;
use tui::source::ask::What;
use tui::source::rows::{Cell, Counts, JobPage, NumberKind, RecordingPage, RecordingView, Strip};
use tui::source::told::{Body, Value};

fn jobs(text: &str) -> What {
    What::Jobs { filter: Filter::parse(text, List::Jobs).unwrap(), after: None, limit: 100 }
}

fn recordings(text: &str, limit: u32) -> What {
    What::Recordings { filter: Filter::parse(text, List::Recordings).unwrap(), after: None, limit }
}

fn page(value: Value) -> RecordingPage {
    match value {
        Value::Recordings(page) => page,
        other => panic!("{other:?}"),
    }
}

fn ids(page: &RecordingPage) -> String {
    page.rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>().join(" ")
}

fn view(value: Value) -> RecordingView {
    match value {
        Value::Recording(view) => *view,
        other => panic!("{other:?}"),
    }
}

fn shown(strip: &Strip) -> String {
    let run = |run: &tui::source::rows::Run| format!("{:?} {}-{}", run.cell, run.from, run.to);
    strip.runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn a_recording_is_shown_with_its_strips_its_listing_and_its_jobs() {
    let world = World::new().await;
    world.recording("r1", "live").await;
    world.segments("r1", "video", "SELECT generate_series(0, 20)").await;
    world.segments("r1", "audio", "SELECT generate_series(1, 5)").await;
    world
        .run(
            "DELETE FROM spool.segment WHERE track = 'video' AND index IN (8, 9); \
             UPDATE spool.segment SET state = 'received', stored_at = NULL WHERE track = 'video' AND index >= 19; \
             UPDATE spool.segment SET state = 'lost', stored_at = NULL WHERE track = 'video' AND index = 15; \
             UPDATE spool.segment SET codec = '{\"codec\": \"avc1.640028\\u001b\", \"timescale\": 1000, \"width\": 640, \
               \"height\": 360, \"channels\": 0, \"sample_rate\": 0}' WHERE track = 'video' AND index = 0; \
             INSERT INTO spool.listing (recording_id, track, seq, index, kind, duration, timescale, program_date_time) \
               SELECT 'r1', 'video', i, i, CASE WHEN i IN (8, 9, 10) THEN 'gap' ELSE 'media' END, 2000, 1000, \
                 CASE WHEN i = 1 THEN timestamptz '2026-01-01 00:00:00Z' END FROM generate_series(1, 12) AS i; \
             UPDATE spool.recording SET declared = '{\"tracks\": {\"video\": {\"last_index\": 22}, \"audio\": {\"last_index\": 5}}, \
               \"duration_ms\": 1}', stored_seq = 18, manifest_seq = 17, \
               gaps = '[{\"track\": \"video\", \"from_ms\": 1, \"to_ms\": 2, \"segments\": [8, 9], \"cause\": \"missing\"}]' WHERE id = 'r1'; \
             SELECT spool.append_event('r1', 'recording.live', '{}')",
        )
        .await;
    let job = world.enqueue("mux", "r1", r#"{"n": 12345678901234567890123456789, "s": "\u001b]52;c;x\u0007"}"#).await;
    let done = world.enqueue("cleanup", "r1", "{}").await;
    world.discard(done).await;
    let mut console = world.console();
    let view = view(console.value(What::Recording(RecordingId::parse("r1").unwrap())).await);
    let video = &view.tracks[0];
    assert_eq!(
        shown(&video.strip),
        "Stored 1-7, Missing 8-9, Late 10-10, Stored 11-14, Lost 15-15, Stored 16-18, Received 19-20, Missing 21-22"
    );
    assert_eq!(video.strip.counts, Counts { stored: 14, received: 2, late: 1, missing: 4, lost: 1 });
    assert_eq!((video.listed_seq, video.listed_index, video.listed_gaps, video.declared_last), (12, 12, 3, Some(22)));
    assert_eq!(video.edge_at.unwrap().to_rfc3339(), "2026-01-01T00:00:24+00:00");
    assert_eq!((video.size, video.duration_ms, video.waiting_since.is_some()), (Some((640, 360)), 36_000, true));
    assert_eq!(video.codec.as_ref().unwrap().as_str(), "avc1.640028␛");
    assert_eq!((view.tracks.len(), view.tracks[1].strip.track), (2, Track::Audio));
    assert_eq!((shown(&view.tracks[1].strip).as_str(), view.tracks[1].edge_at), ("Stored 1-5", None));
    assert_eq!((view.stored_seq, view.manifest_seq, view.gap_count, view.gaps[0].segments), (18, 17, 1, Some((8, 9))));
    assert_eq!((view.events.len(), view.row.state, view.row.listed_index), (1, State::Live, Some(12)));
    let standings: Vec<Standing> = view.jobs.iter().map(|job| job.standing).collect();
    assert_eq!(standings, [Standing::Available, Standing::Discarded]);
    assert_eq!((view.mux.unwrap().job.id, view.row.job.unwrap().id), (job, job));

    let Value::Job(shown) = console.value(What::Job(job)).await else { panic!() };
    let payload: Vec<String> = shown.payload.iter().map(ToString::to_string).collect();
    assert_eq!(payload, ["{", "  \"n\": 12345678901234567890123456789,", r#"  "s": "\u001b]52;c;x\u0007""#, "}"]);
    let Value::Job(shown) = console.value(What::Job(done)).await else { panic!() };
    assert_eq!(shown.row.reason.unwrap().as_str(), "no ␛[2J use");
    let gone = console.read(What::Recording(RecordingId::parse("none").unwrap()), false);
    assert_eq!(console.reply(gone).await.body, Body::Gone);
}

#[tokio::test]
async fn lists_are_narrowed_down_and_go_on_page_by_page() {
    let world = World::new().await;
    for (id, state) in [("a1", "live"), ("a2", "ready"), ("b1", "failed"), ("b2", "live"), ("a_x", "archived")] {
        world.recording(id, state).await;
    }
    world.run("UPDATE spool.recording SET error_code = 'mux', error_message = 'No Space left' WHERE id = 'b1'").await;
    let mut console = world.console();
    for (text, want) in [
        ("", "a_x b2 b1 a2 a1"),
        ("state:live", "b2 a1"),
        ("state:live,failed owner:o-b", "b2 b1"),
        ("rec:a*", "a_x a2 a1"),
        ("rec:a_*", "a_x"),
        ("rec:b1", "b1"),
        ("b", "b2 b1"),
        ("-state:archived,ready", "b2 b1 a1"),
        ("err:\"no space\"", "b1"),
        ("owner:o-a -rec:a1", "a_x a2"),
        ("state:live age:>1d", ""),
    ] {
        assert_eq!(ids(&page(console.value(recordings(text, 100)).await)), want, "{text}");
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let filter = Filter::parse("-state:ready", List::Recordings).unwrap();
        let page = page(console.value(What::Recordings { filter, after, limit: 2 }).await);
        seen.push(ids(&page));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["a_x b2", "b1 a1", ""]);
    let live = world.enqueue("noop", "a1", "{}").await;
    let done = world.enqueue("noop", "a1", "{}").await;
    world.discard(done).await;
    let Value::Jobs(JobPage { rows, window, .. }) = console.value(jobs("rec:a1")).await else { panic!() };
    assert_eq!((rows.iter().map(|row| row.id).collect::<Vec<_>>(), window), (vec![live, done], None));
    let Value::Jobs(JobPage { rows, window, .. }) = console.value(jobs("state:discarded err:USE")).await else {
        panic!()
    };
    assert_eq!((rows.len(), window), (1, Some(100_000)));
    let Value::Count(number) = console.value(What::Count(Filter::parse("rec:a*", List::Jobs).unwrap())).await else {
        panic!()
    };
    assert_eq!((number.n, number.kind), (2, NumberKind::Exact));
    let Value::Numbers(numbers) = console.value(What::Numbers).await else { panic!() };
    let of = |standing| (numbers.of(standing).n, numbers.of(standing).kind);
    assert_eq!((of(Standing::Available), of(Standing::Discarded)), ((1, NumberKind::Exact), (1, NumberKind::Exact)));
    assert_eq!(numbers.recordings.map(|number| number.n), [2, 0, 1, 1, 1, 0, 0]);
    let Value::Queues(queues) = console.value(What::Queues).await else { panic!() };
    assert_eq!(queues.len(), 5);
    let Value::Workers(workers) = console.value(What::Workers).await else { panic!() };
    assert!(workers.is_empty());
}

#[tokio::test]
async fn a_worker_is_shown_with_what_it_runs() {
    let world = World::new().await;
    let job = world.enqueue("mux", "r1", "{}").await;
    world
        .run(&format!(
            "INSERT INTO queue.worker (id, pod, version, kinds, slots, busy, rss_kb, lease_until) \
               VALUES ('00000000-0000-7000-8000-000000000001', 'w12\u{9b}', '1.0', '[\"mux/mux\", \"mux/preview\"]', 2, 1, 10, now() + interval '9 s'); \
             UPDATE queue.job SET state = 3, ready_seq = NULL, attempt = 1, epoch = 7, started_at = now(), \
               worker_id = '00000000-0000-7000-8000-000000000001' WHERE id = '{job}'; \
             INSERT INTO queue.progress (job_id, epoch, pct) VALUES ('{job}', 7, 63)"
        ))
        .await;
    let mut console = world.console();
    let Value::Workers(workers) = console.value(What::Workers).await else { panic!() };
    let worker = &workers[0];
    assert_eq!((worker.name.as_str(), worker.memory_bytes, worker.queues.len()), ("w12\u{fffd}", Some(10_240), 1));
    assert_eq!((worker.running[0].id, worker.running[0].pct), (job, Some(63.0)));
    let Value::Jobs(JobPage { rows, .. }) = console.value(jobs("state:running worker:w12")).await else { panic!() };
    assert_eq!(rows[0].worker.as_ref().unwrap().as_str(), "w12\u{fffd}");
}

/// Eight hours of two tracks: what is shipped are runs, and what is read is each segment once or twice.
#[tokio::test]
async fn a_long_recording_costs_its_segments_and_ships_its_runs() {
    const SEGMENTS: i64 = 14_400;
    let world = World::new().await;
    world.recording("long", "live").await;
    for track in ["video", "audio"] {
        world.segments("long", track, &format!("SELECT generate_series(0, {SEGMENTS})")).await;
        world
            .run(&format!(
                "INSERT INTO spool.listing (recording_id, track, seq, index, kind, duration, timescale, program_date_time) \
                 SELECT 'long', '{track}', i, i, 'media', 2000, 1000, CASE WHEN i = 1 THEN now() END FROM generate_series(1, {SEGMENTS}) AS i"
            ))
            .await;
    }
    world.run("DELETE FROM spool.segment WHERE track = 'audio' AND index % 5 = 0 AND index < 10000").await;
    world.run("DELETE FROM spool.segment WHERE track = 'video' AND index % 2 = 0").await;
    world.run("ANALYZE spool.segment, spool.listing").await;
    let begun = rows_read(&world.pool).await;
    let mut console = world.console();
    let view = view(console.value(What::Recording(RecordingId::parse("long").unwrap())).await);
    drop(console);
    let read = rows_read(&world.pool).await - begun;
    assert!(read < 8 * SEGMENTS, "{read} rows were read");
    let runs: usize = view.tracks.iter().map(|track| track.strip.runs.len()).sum();
    assert!(runs <= 2 * tui::source::rows::RUNS_MAX, "{runs} runs");
    let video = &view.tracks[0].strip;
    assert_eq!((video.counts.stored, video.last_index), (7_200, 14_399));
    assert_eq!(video.counts.missing, 7_199);
    assert!(video.runs.iter().all(|run| run.cell == Cell::Missing), "the worst of what a run covers");
    assert_eq!(view.tracks[1].strip.counts.missing, 1_999);
    let follows = |pair: &[tui::source::rows::Run]| pair[0].to + 1 == pair[1].from;
    assert!(video.runs.windows(2).all(follows) && view.tracks[1].strip.runs.windows(2).all(follows));
}

#[tokio::test]
async fn a_page_of_recordings_reads_a_page_however_many_there_are() {
    let world = World::new().await;
    world
        .run(
            "INSERT INTO spool.recording (id, owner_id, source, state, result_key, created_at) \
               SELECT 'r' || lpad(i::text, 6, '0'), 'o' || i % 500, 'spool', CASE WHEN i % 1000 = 0 THEN 'live' ELSE 'archived' END, 'k', \
                 now() - i * interval '1 second' FROM generate_series(1, 30000) AS i",
        )
        .await;
    for known in ["unknown", "analyzed"] {
        for text in
            ["", "state:live", "owner:o7", "state:live owner:o0", "rec:r0123*", "rec:r000077", "-state:archived"]
        {
            let begun = rows_read(&world.pool).await;
            let mut console = world.console();
            let found = page(console.value(recordings(text, 50)).await);
            assert!(!found.rows.is_empty(), "{text}");
            if let Some(after) = found.next {
                let filter = Filter::parse(text, List::Recordings).unwrap();
                page(console.value(What::Recordings { filter, after: Some(after), limit: 50 }).await);
            }
            drop(console);
            let read = rows_read(&world.pool).await - begun;
            assert!(read < 2_000, "tables {known}: {read} rows were read for {text:?}");
        }
        world.run("ANALYZE spool.recording").await;
    }
}

/// Table rows and index entries that were read in schema `spool` so far, once every console has gone: a connection hands
/// its counts in when it ends.
async fn rows_read(pool: &PgPool) -> i64 {
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'spool-tui/%' AND datname = current_database()";
    for _ in 0..1_000 {
        if sqlx::query_scalar::<_, i64>(open).fetch_one(pool).await.unwrap() == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    // What the test itself has read counts only from here on: otherwise it may be added some time after it ended. A pool
    // that is used by one statement after another has this one connection.
    sqlx::query("SELECT pg_stat_force_next_flush()").execute(pool).await.unwrap();
    let read = "SELECT ((SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables WHERE schemaname = 'spool') \
        + (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes WHERE schemaname = 'spool'))::int8";
    sqlx::query_scalar(read).fetch_one(pool).await.unwrap()
}
