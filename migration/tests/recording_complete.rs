//! `spool.recording_complete` and the events it writes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use sqlx::{Acquire, Executor};
use support::{World, claim, world};

async fn complete(world: &World, id: &str) -> String {
    sqlx::query_scalar("SELECT spool.recording_complete($1)").bind(id).fetch_one(&world.pool).await.unwrap()
}

async fn recording(world: &World, id: &str, source: &str, state: &str, provisional: bool) {
    let sql = "INSERT INTO spool.recording (id, owner_id, source, state, provisional, result_key, error_code, state_at)
               VALUES ($1, 'o1', $2, $3, $4, 'o1/r/result.mp4', CASE $3 WHEN 'failed' THEN 'empty' END, now() - interval '1 hour')";
    sqlx::query(sql).bind(id).bind(source).bind(state).bind(provisional).execute(&world.pool).await.unwrap();
}

async fn segment(world: &World, id: &str, index: i32) {
    let sql = "INSERT INTO spool.segment (recording_id, track, index, size_bytes, sha256) VALUES ($1, 'video', $2, 1, sha256('x'))";
    sqlx::query(sql).bind(id).bind(index).execute(&world.pool).await.unwrap();
}

#[tokio::test]
async fn answers_follow_the_state() {
    let world = world().await;
    // State and provisional before, answer, state after, signal recorded, a check enqueued.
    let table = [
        ("live", false, "queued", "finalizing", true, true),
        ("live", true, "queued", "finalizing", true, true),
        ("failed", false, "queued", "finalizing", true, true),
        ("failed", true, "queued", "finalizing", true, true),
        ("finalizing", false, "already-processing", "finalizing", false, false),
        ("finalizing", true, "already-processing", "finalizing", true, true),
        ("ready", true, "already-processing", "ready", true, true),
        ("ready", false, "already-complete", "ready", false, false),
        ("archived", false, "already-complete", "archived", false, false),
        ("cancelled", false, "refused", "cancelled", false, false),
        ("deleted", false, "refused", "deleted", false, false),
    ];
    for (n, (state, provisional, answer, after, signalled, checked)) in table.into_iter().enumerate() {
        let id = format!("r{n}");
        recording(&world, &id, "spool", state, provisional).await;
        segment(&world, &id, 1).await;
        assert_eq!(complete(&world, &id).await, answer, "{state} {provisional}");

        let row: (String, bool, bool) =
            sqlx::query_as("SELECT state, signalled_at IS NOT NULL, provisional FROM spool.recording WHERE id = $1")
                .bind(&id)
                .fetch_one(&world.pool)
                .await
                .unwrap();
        // Only the check may make an end final that was silence; a live recording has no end yet.
        let still = provisional && state != "live";
        assert_eq!(row, (after.to_owned(), signalled, still), "{state} {provisional}");

        let expected = if checked { vec!["available".to_owned()] } else { Vec::new() };
        assert_eq!(world.states(&format!("check:{id}")).await, expected, "{state} {provisional}");
        let events: Vec<String> =
            sqlx::query_scalar("SELECT type || ' ' || (body ->> 'from') FROM spool.event WHERE recording_id = $1")
                .bind(&id)
                .fetch_all(&world.pool)
                .await
                .unwrap();
        let expected = if answer == "queued" { vec![format!("recording.finalizing {state}")] } else { Vec::new() };
        assert_eq!(events, expected, "{state} {provisional}");
    }
}

#[tokio::test]
async fn nothing_uploaded_is_refused_for_source_spool_only() {
    let world = world().await;
    for (id, source, answer) in [("a", "spool", "refused"), ("b", "bucket", "queued")] {
        recording(&world, id, source, "live", false).await;
        assert_eq!(complete(&world, id).await, answer);
    }
    // An initialization section alone holds no picture and no sound.
    segment(&world, "a", 0).await;
    assert_eq!(complete(&world, "a").await, "refused");
    segment(&world, "a", 1).await;
    assert_eq!(complete(&world, "a").await, "queued");

    recording(&world, "c", "spool", "live", false).await;
    world.run("UPDATE spool.recording SET whole_file = '{}' WHERE id = 'c'").await;
    assert_eq!(complete(&world, "c").await, "queued");
    assert_eq!(complete(&world, "unknown").await, "not-found");
}

#[tokio::test]
async fn failure_is_forgotten_when_it_is_queued_again() {
    let world = world().await;
    recording(&world, "r", "spool", "failed", false).await;
    complete(&world, "r").await;
    let sql = "SELECT concat_ws(' ', error_code, state_at > now() - interval '1 minute') FROM spool.recording";
    assert_eq!(world.text(sql).await, "t");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_calls_at_once_have_one_winner_one_check_and_one_event() {
    let world = world().await;
    recording(&world, "r", "spool", "live", false).await;
    segment(&world, "r", 1).await;
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let pool = world.pool.clone();
            tokio::spawn(async move {
                sqlx::query_scalar::<_, String>("SELECT spool.recording_complete('r')").fetch_one(&pool).await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap().unwrap());
    }
    answers.sort();
    assert_eq!(answers.iter().filter(|answer| *answer == "queued").count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| *answer == "already-processing").count(), 9, "{answers:?}");
    assert_eq!(world.states("check:r").await, ["available"]);
    assert_eq!(world.text("SELECT count(*)::text FROM spool.event").await, "1");
}

#[tokio::test]
async fn waiting_check_is_hastened_and_a_running_one_gets_a_successor() {
    let world = world().await;
    recording(&world, "r", "spool", "finalizing", true).await;
    let waiting = support::job("manifest_check", "check:r").later();
    waiting.put(&world.pool).await.unwrap();
    complete(&world, "r").await;
    assert_eq!(world.states("check:r").await, ["available"]);
    claim(&world, waiting.id).await;
    complete(&world, "r").await;
    assert_eq!(world.states("check:r").await, ["running", "available"]);
}

/// The web app's transaction may stay open for long; meanwhile segments must be accepted.
#[tokio::test]
async fn open_transaction_of_the_caller_blocks_no_accept_and_rolls_back_whole() {
    let world = world().await;
    recording(&world, "r", "spool", "live", false).await;
    segment(&world, "r", 1).await;
    let mut caller = world.connection().await;
    let mut tx = caller.begin().await.unwrap();
    assert_eq!(
        sqlx::query_scalar::<_, String>("SELECT spool.recording_complete('r')").fetch_one(&mut *tx).await.unwrap(),
        "queued"
    );

    let mut accept = world.connection().await;
    let mut put = accept.begin().await.unwrap();
    put.execute("SET LOCAL lock_timeout = '1s'").await.unwrap();
    put.execute("SELECT state FROM spool.recording WHERE id = 'r' FOR KEY SHARE").await.unwrap();
    put.execute("INSERT INTO spool.segment (recording_id, track, index, size_bytes, sha256) VALUES ('r', 'video', 2, 1, sha256('y'))")
        .await
        .unwrap();
    support::job("upload", "upload:r").put(&mut *put).await.unwrap();
    put.commit().await.unwrap();

    tx.rollback().await.unwrap();
    assert_eq!(world.text("SELECT state FROM spool.recording").await, "live");
    assert_eq!(world.text("SELECT count(*)::text FROM spool.event").await, "0");
    assert!(world.states("check:r").await.is_empty());
    assert_eq!(complete(&world, "r").await, "queued");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_one_recording_are_numbered_without_gaps() {
    let world = world().await;
    recording(&world, "r", "spool", "live", false).await;
    let writers: Vec<_> = (0..20)
        .map(|n| {
            let pool = world.pool.clone();
            tokio::spawn(async move {
                let mut tx = pool.begin().await?;
                sqlx::query("SELECT spool.append_event('r', 'segment.lost', '{}')").execute(&mut *tx).await?;
                if n % 4 == 0 { tx.rollback().await } else { tx.commit().await }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(world.text("SELECT concat_ws(' ', min(seq), max(seq), count(*)) FROM spool.event").await, "1 15 15");
    assert_eq!(world.text("SELECT spool.append_event('nobody', 'segment.lost', '{}')::text").await, "null");
}

#[tokio::test]
async fn rows_that_cannot_be_true_are_refused() {
    let world = world().await;
    recording(&world, "r", "spool", "live", false).await;
    let bad = [
        "UPDATE spool.recording SET state = 'done'",
        "UPDATE spool.recording SET state = 'ready', result_key = NULL",
        "UPDATE spool.recording SET frozen_version = plan_version + 1",
        "UPDATE spool.recording SET manifest_seq = 1",
        "INSERT INTO spool.recording (id, owner_id, source) VALUES ('../up', 'o', 'spool')",
        "INSERT INTO spool.recording (id, owner_id, source) VALUES ('', 'o', 'spool')",
        "INSERT INTO spool.recording (id, owner_id, source) VALUES ('x', 'o/p', 'spool')",
        "INSERT INTO spool.segment (recording_id, track, index, size_bytes, sha256) VALUES ('r', 'text', 1, 1, sha256('x'))",
        "INSERT INTO spool.segment (recording_id, track, index, size_bytes, sha256) VALUES ('r', 'video', -1, 1, sha256('x'))",
        "INSERT INTO spool.segment (recording_id, track, index, size_bytes, sha256) VALUES ('r', 'video', 1, 1, 'short')",
        "INSERT INTO spool.segment (recording_id, track, index, size_bytes, sha256) VALUES ('nobody', 'video', 1, 1, sha256('x'))",
        "INSERT INTO spool.segment (recording_id, track, index, size_bytes, sha256, state) VALUES ('r', 'video', 1, 1, sha256('x'), 'stored')",
        "INSERT INTO spool.event VALUES ('r', 1, 'no dot', '{}')",
    ];
    for sql in bad {
        let error = world.pool.execute(sql).await.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        assert!(code == "23514" || code == "23503", "{sql}: {error}");
    }
}
