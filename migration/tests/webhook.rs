//! Events that go out: what they tell, that a delivery and its job are there with them or not at all, and replays.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use sqlx::Executor;
use support::{World, world};

const DECLARE: &str = r#"SELECT queue.declare_kinds('[{"kind": "webhook", "queue": "webhook", "unique_mask": 31}]')"#;

/// One recording that endpoint `app` hears of, and one that nobody hears of.
async fn told() -> World {
    let world = world().await;
    world.run(DECLARE).await;
    world.run("INSERT INTO spool.webhook_endpoint (name, url) VALUES ('app', 'https://app.example/hook')").await;
    world
        .run(
            "INSERT INTO spool.recording (id, owner_id, source, webhook) \
             VALUES ('r', 'o', 'bucket', 'app'), ('silent', 'o', 'bucket', NULL), ('lost', 'o', 'bucket', 'gone')",
        )
        .await;
    world
}

const DELIVERIES: &str =
    "SELECT coalesce(string_agg(concat_ws(' ', recording_id, endpoint, seq, state, tries), ', ' ORDER BY recording_id, seq), '-')
       FROM spool.webhook_delivery";
const JOBS: &str = "SELECT coalesce(string_agg(concat_ws(' ', unique_key, queue, owner_id, queue.state_word(state), payload::text), ', '), '-')
       FROM queue.job WHERE kind = 'webhook'";

#[tokio::test]
async fn event_brings_its_delivery_and_one_job_with_it() {
    let world = told().await;
    world.run("SELECT spool.recording_complete('r')").await;
    world.run("SELECT spool.append_event('r', 'segment.lost', '{\"index\": 3}')").await;
    world.run("SELECT spool.append_event('r', 'recording.failed', '{\"error\": {\"code\": \"c\"}}')").await;
    for nobody in ["silent", "lost"] {
        sqlx::query("SELECT spool.recording_complete($1)").bind(nobody).execute(&world.pool).await.unwrap();
    }
    assert_eq!(world.text(DELIVERIES).await, "r app 1 pending 0, r app 3 pending 0");
    let job = r#"webhook:r:app webhook o available {"endpoint": "app", "recording": "r"}"#;
    assert_eq!(world.text(JOBS).await, job);
    assert_eq!(world.text("SELECT count(*)::text FROM spool.event").await, "5");
}

#[tokio::test]
async fn event_tells_how_the_recording_stands_and_the_word_of_the_caller_wins() {
    let world = told().await;
    world
        .run(
            r#"UPDATE spool.recording SET result_key = 'k', result_version = 2, result_bytes = 9, result_sha256 = sha256('x'),
                 duration_ms = 1500, width = 320, fps = 30, video_codec = 'avc1.64001f', degraded = true, tail_confirmed = true,
                 gaps = '[{"track": "video", "from_ms": 0, "to_ms": 9, "segments": [3, 4], "cause": "missing"}]' WHERE id = 'r'"#,
        )
        .await;
    world.run(r#"SELECT spool.append_event('r', 'recording.ready', '{"by": "me", "state": "mine"}')"#).await;
    world.run(r#"SELECT spool.append_event('r', 'segment.lost', '{"index": 3}')"#).await;
    let body = "SELECT (body - 'gaps' - 'result')::text FROM spool.event WHERE seq = 1";
    assert_eq!(
        world.text(body).await,
        r#"{"by": "me", "id": "r", "error": null, "state": "mine", "degraded": true, "owner_id": "o", "provisional": false, "plan_version": 1, "tail_confirmed": true, "segments_missing": 2}"#
    );
    let result =
        "SELECT ((body -> 'result') - 'sha256')::text || (body #>> '{gaps,0,cause}') FROM spool.event WHERE seq = 1";
    assert_eq!(
        world.text(result).await,
        r#"{"fps": 30, "bytes": 9, "width": 320, "height": null, "version": 2, "audio_codec": null, "duration_ms": 1500, "video_codec": "avc1.64001f"}missing"#
    );
    assert_eq!(world.text("SELECT body::text FROM spool.event WHERE seq = 2").await, r#"{"index": 3}"#);
}

#[tokio::test]
async fn event_that_is_rolled_back_takes_its_delivery_and_job_with_it() {
    let world = told().await;
    let mut tx = world.pool.begin().await.unwrap();
    tx.execute("SELECT spool.append_event('r', 'recording.ready', '{}')").await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!((world.text(DELIVERIES).await.as_str(), world.text(JOBS).await.as_str()), ("-", "-"));
}

#[tokio::test]
async fn endpoint_that_is_told_nothing_keeps_what_waits_for_it() {
    let world = told().await;
    world.run("UPDATE spool.webhook_endpoint SET enabled = false, disabled_reason = 'gone'").await;
    world.run("SELECT spool.append_event('r', 'recording.ready', '{}')").await;
    assert_eq!((world.text(DELIVERIES).await.as_str(), world.text(JOBS).await.as_str()), ("r app 1 pending 0", "-"));
    assert_eq!(replay(&world, "r", None, Some(1)).await, "disabled: gone");
}

/// A web app's completion call must not fail because nobody has said yet how events are delivered.
#[tokio::test]
async fn kind_that_nobody_declared_enqueues_nothing() {
    let world = world().await;
    world.run("INSERT INTO spool.webhook_endpoint (name, url) VALUES ('app', 'https://app.example/hook')").await;
    world.run("INSERT INTO spool.recording (id, owner_id, source, webhook) VALUES ('r', 'o', 'bucket', 'app')").await;
    assert_eq!(world.text("SELECT spool.recording_complete('r')").await, "queued");
    assert_eq!((world.text(DELIVERIES).await.as_str(), world.text(JOBS).await.as_str()), ("r app 1 pending 0", "-"));
}

/// A job that snoozes is brought forward; one that backs off is not, because its receiver is in trouble.
#[tokio::test]
async fn next_event_cuts_a_snooze_short_and_no_back_off() {
    let world = told().await;
    world.run("SELECT spool.append_event('r', 'recording.ready', '{}')").await;
    for (state, want) in [(1, "available"), (4, "retryable")] {
        let put_off = "UPDATE queue.job SET state = $1, ready_seq = NULL, run_at = now() + interval '1 hour'";
        sqlx::query(put_off).bind(state).execute(&world.pool).await.unwrap();
        world.run("SELECT spool.append_event('r', 'recording.archived', '{}')").await;
        assert_eq!(world.states("webhook:r:app").await, [want]);
    }
}

async fn replay(world: &World, recording: &str, endpoint: Option<&str>, from: Option<i64>) -> String {
    sqlx::query_scalar("SELECT spool.op_webhook_replay($1, $2, $3, 'ann', 'test', 'why')")
        .bind(recording)
        .bind(endpoint)
        .bind(from)
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn replay_makes_events_pending_again_and_is_audited() {
    let world = told().await;
    world.run("INSERT INTO spool.webhook_endpoint (name, url) VALUES ('other', 'https://other.example/hook')").await;
    for kind in ["recording.finalizing", "segment.lost", "recording.ready", "recording.archived"] {
        sqlx::query("SELECT spool.append_event('r', $1, '{}')").bind(kind).execute(&world.pool).await.unwrap();
    }
    assert_eq!(replay(&world, "nobody", None, None).await, "not-found");
    assert_eq!(replay(&world, "silent", None, None).await, "no-endpoint");
    assert_eq!(replay(&world, "r", Some("third"), None).await, "no-endpoint");
    assert_eq!(replay(&world, "r", None, None).await, "nothing");
    assert_eq!(world.text("SELECT count(*)::text FROM queue.op_log").await, "0", "what changes nothing is not audited");

    world.run("UPDATE spool.webhook_delivery SET state = 'parked', tries = 9, epoch = 1 WHERE seq = 3").await;
    world.run("UPDATE spool.webhook_delivery SET state = 'delivered', tries = 1 WHERE seq <> 3").await;
    assert_eq!(replay(&world, "r", None, None).await, "ok: 1");
    assert_eq!(world.text(DELIVERIES).await, "r app 1 delivered 1, r app 3 pending 0, r app 4 delivered 1");
    assert_eq!(replay(&world, "r", None, Some(2)).await, "ok: 2");
    assert_eq!(world.text(DELIVERIES).await, "r app 1 delivered 1, r app 3 pending 0, r app 4 pending 0");
    // Above that of every attempt so far: one that is delivering learns that its try no longer counts.
    let fenced = "SELECT bool_and(epoch > 1)::text FROM spool.webhook_delivery WHERE state = 'pending'";
    assert_eq!(world.text(fenced).await, "true");

    // A job that backs off runs now, because a person asks.
    world.run("UPDATE queue.job SET state = 4, ready_seq = NULL, run_at = now() + interval '1 hour' WHERE kind = 'webhook'").await;
    assert_eq!(replay(&world, "r", Some("app"), Some(1)).await, "ok: 3");
    assert_eq!(world.states("webhook:r:app").await, ["available"]);
    // To one that never heard of them.
    assert_eq!(replay(&world, "r", Some("other"), Some(4)).await, "ok: 1");
    assert_eq!(world.states("webhook:r:other").await, ["available"]);
    let audit = "SELECT string_agg(action || ' ' || n || ' ' || (selector ->> 'endpoint'), ', ' ORDER BY at) \
        FROM queue.op_log WHERE action = 'webhook_replay' AND actor = 'ann' AND reason = 'why'";
    assert_eq!(
        world.text(audit).await,
        "webhook_replay 1 app, webhook_replay 2 app, webhook_replay 3 app, webhook_replay 1 other"
    );
}
