//! The operator's verbs: what they answer, what they change, what they leave in the audit.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use sqlx::postgres::PgListener;
use std::time::Duration;
use support::{World, archive, claim, job, world};
use uuid::Uuid;

const STATES: [&str; 4] = ["scheduled", "available", "running", "retryable"];

/// A job brought into a state, as a worker would leave it there; an outcome means the archive.
async fn in_state(world: &World, state: &str) -> Uuid {
    let put = job("upload", &format!("upload:{state}:{}", Uuid::new_v4()));
    let put = if state == "scheduled" { put.later() } else { put };
    put.put(&world.pool).await.unwrap();
    let outcome = ["completed", "discarded", "cancelled", "superseded"].iter().position(|word| *word == state);
    if state == "running" || outcome.is_some() {
        claim(world, put.id).await;
    }
    if let Some(outcome) = outcome {
        archive(world, put.id, i16::try_from(outcome).unwrap()).await;
    }
    if state == "retryable" {
        let sql = "UPDATE queue.job SET state = 4, ready_seq = NULL, run_at = now() + interval '1 hour', attempt = 2, error = 'e' WHERE id = $1";
        sqlx::query(sql).bind(put.id).execute(&world.pool).await.unwrap();
    }
    put.id
}

async fn verb(world: &World, verb: &str, id: Uuid) -> String {
    let sql = match verb {
        "retry" => "SELECT queue.op_retry($1, 'ann', 'cli', 'why')",
        "cancel" => "SELECT queue.op_cancel($1, 'ann', 'cli', 'why')",
        "discard" => "SELECT queue.op_discard($1, 'ann', 'cli', 'why')",
        "snooze" => "SELECT queue.op_snooze($1, '2 hours', 'ann', 'cli', 'why')",
        "run_now" => "SELECT queue.op_run_now($1, 'ann', 'cli', 'why')",
        "priority" => "SELECT queue.op_priority($1, 0::smallint, 'ann', 'cli', 'why')",
        "delete" => "SELECT queue.op_delete($1, 'ann', 'cli', 'why')",
        other => panic!("no verb {other}"),
    };
    sqlx::query_scalar(sql).bind(id).fetch_one(&world.pool).await.unwrap()
}

/// `live <state>`, `ended <outcome>` or `gone`.
async fn place(world: &World, id: Uuid) -> String {
    let sql = "SELECT coalesce(
        (SELECT 'live ' || queue.state_word(state) FROM queue.job WHERE id = $1),
        (SELECT 'ended ' || queue.outcome_word(outcome) FROM queue.job_archive WHERE id = $1), 'gone')";
    sqlx::query_scalar(sql).bind(id).fetch_one(&world.pool).await.unwrap()
}

/// A state in which a verb is allowed, its answer, and where the job is afterwards.
type Eligible = (&'static str, &'static str, &'static str);

#[tokio::test]
async fn verbs_change_eligible_states_only_and_audit_every_change() {
    let world = world().await;
    let all = ["scheduled", "available", "running", "retryable", "completed", "discarded", "cancelled", "superseded"];
    let table: [(&str, &[Eligible]); 7] = [
        (
            "retry",
            &[
                ("retryable", "ok", "live available"),
                ("discarded", "ok", "live available"),
                ("cancelled", "ok", "live available"),
            ],
        ),
        (
            "cancel",
            &[
                ("scheduled", "ok", "ended cancelled"),
                ("available", "ok", "ended cancelled"),
                ("retryable", "ok", "ended cancelled"),
                ("running", "requested", "live running"),
            ],
        ),
        (
            "discard",
            &[
                ("scheduled", "ok", "ended discarded"),
                ("available", "ok", "ended discarded"),
                ("retryable", "ok", "ended discarded"),
            ],
        ),
        (
            "snooze",
            &[
                ("scheduled", "ok", "live scheduled"),
                ("available", "ok", "live scheduled"),
                ("retryable", "ok", "live retryable"),
            ],
        ),
        ("run_now", &[("scheduled", "ok", "live available"), ("retryable", "ok", "live available")]),
        (
            "priority",
            &[
                ("scheduled", "ok", "live scheduled"),
                ("available", "ok", "live available"),
                ("retryable", "ok", "live retryable"),
            ],
        ),
        (
            "delete",
            &[
                ("completed", "ok", "gone"),
                ("discarded", "ok", "gone"),
                ("cancelled", "ok", "gone"),
                ("superseded", "ok", "gone"),
            ],
        ),
    ];
    for (name, eligible) in table {
        assert_eq!(verb(&world, name, Uuid::now_v7()).await, "not-found", "{name}");
        for state in all {
            let id = in_state(&world, state).await;
            let before = place(&world, id).await;
            let answer = verb(&world, name, id).await;
            let (expected, after) = match eligible.iter().find(|(word, ..)| *word == state) {
                Some((_, answer, after)) => ((*answer).to_owned(), (*after).to_owned()),
                None => (format!("wrong-state: {state}"), before),
            };
            assert_eq!((answer.as_str(), place(&world, id).await), (expected.as_str(), after), "{name} of {state}");

            let audit: Option<(String, String, String, String, String)> = sqlx::query_as(
                "SELECT action, actor, via, reason, before ->> 'id' FROM queue.op_log WHERE selector ->> 'job' = $1::text",
            )
            .bind(id)
            .fetch_optional(&world.pool)
            .await
            .unwrap();
            let changed = !expected.starts_with("wrong-state");
            let line = (name.to_owned(), "ann".to_owned(), "cli".to_owned(), "why".to_owned(), id.to_string());
            assert_eq!(audit, changed.then_some(line), "{name} of {state}");
        }
    }
    assert_eq!(world.text("SELECT string_agg(DISTINCT db_user, ',') FROM queue.op_log").await, "postgres");
}

#[tokio::test]
async fn retry_from_the_archive_starts_with_a_fresh_budget_and_the_same_id() {
    let world = world().await;
    let id = in_state(&world, "discarded").await;
    world.run("UPDATE queue.job_archive SET attempt = 3, crashes = 10, checkpoint = '{\"at\": 5}', created_at = now() - interval '9 days'").await;
    assert_eq!(verb(&world, "retry", id).await, "ok");
    let sql = "SELECT concat_ws(' ', attempt, crashes, max_attempts, checkpoint ->> 'at', created_at > now() - interval '1 minute', ready_seq > 0)
               FROM queue.job";
    assert_eq!(world.text(sql).await, "0 0 3 5 t t");
    assert_eq!(world.text("SELECT count(*)::text FROM queue.job_archive").await, "0");
}

#[tokio::test]
async fn retry_of_a_job_whose_key_is_taken_names_the_holder_and_changes_nothing() {
    let world = world().await;
    let old = job("mux", "mux:r1:1");
    old.put(&world.pool).await.unwrap();
    claim(&world, old.id).await;
    archive(&world, old.id, 1).await;
    let new = job("mux", "mux:r1:1");
    new.put(&world.pool).await.unwrap();

    assert_eq!(verb(&world, "retry", old.id).await, format!("superseded-by: {}", new.id));
    assert_eq!(
        (place(&world, old.id).await, place(&world, new.id).await),
        ("ended discarded".into(), "live available".into())
    );
    assert_eq!(world.text("SELECT count(*)::text FROM queue.op_log").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_retries_at_once_bring_one_job_back() {
    let world = world().await;
    let id = in_state(&world, "discarded").await;
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let pool = world.pool.clone();
            tokio::spawn(async move {
                let query = sqlx::query_scalar::<_, String>("SELECT queue.op_retry($1, 'ann', 'cli', NULL)").bind(id);
                query.fetch_one(&pool).await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap().unwrap());
    }
    answers.sort();
    assert_eq!(answers[0], "ok");
    assert!(answers[1..].iter().all(|answer| answer == "wrong-state: available"), "{answers:?}");
    assert_eq!(place(&world, id).await, "live available");
}

#[tokio::test]
async fn waiting_job_that_is_cancelled_or_discarded_leaves_its_follow_up() {
    let world = world().await;
    for (name, outcome) in [("cancel", "cancelled"), ("discard", "discarded")] {
        for state in ["scheduled", "available", "retryable"] {
            let id = in_state(&world, state).await;
            verb(&world, name, id).await;
            let sql =
                "SELECT concat_ws(' ', kind, subject, payload -> 'ended' ->> 'kind', payload -> 'ended' ->> 'outcome',
                       payload -> 'ended' ->> 'error') FROM queue.job WHERE payload -> 'ended' ->> 'job_id' = $1::text";
            let follow_ups: Vec<String> = sqlx::query_scalar(sql).bind(id).fetch_all(&world.pool).await.unwrap();
            assert_eq!(follow_ups, [format!("control r1 upload {outcome} why")], "{name} of {state}");
        }
    }
    // A running job's follow-up comes with its end, from its worker.
    let id = in_state(&world, "running").await;
    verb(&world, "cancel", id).await;
    let sql = "SELECT count(*) FROM queue.job WHERE payload -> 'ended' ->> 'job_id' = $1::text";
    assert_eq!(sqlx::query_scalar::<_, i64>(sql).bind(id).fetch_one(&world.pool).await.unwrap(), 0);
}

#[tokio::test]
async fn cancel_of_a_running_job_asks_its_worker_and_keeps_the_first_reason() {
    let world = world().await;
    let mut listener = PgListener::connect(world.db.url()).await.unwrap();
    listener.listen("queue_ctl").await.unwrap();
    let id = in_state(&world, "running").await;
    assert_eq!(verb(&world, "cancel", id).await, "requested");
    let notice = tokio::time::timeout(Duration::from_secs(10), listener.recv()).await.unwrap().unwrap();
    assert_eq!(notice.payload(), format!("cancel:{id}"));
    world.run("SELECT queue.op_cancel(id, 'bob', 'tui', 'another') FROM queue.job").await;
    assert_eq!(world.text("SELECT concat_ws(' ', cancel_at IS NOT NULL, cancel_reason) FROM queue.job").await, "t why");
}

#[tokio::test]
async fn queues_are_paused_resumed_and_limited() {
    let world = world().await;
    let state = "SELECT concat_ws(' ', paused_at IS NOT NULL, paused_by, paused_reason, paused_until > now() + interval '50 minutes',
                 max_running, key_max) FROM queue.queue WHERE name = 'mux'";
    let calls = [
        ("SELECT queue.op_pause('mux', '1 hour', 'ann', 'cli', 'deploy')", "ok", "t ann deploy t"),
        ("SELECT queue.op_pause('mux', NULL, 'bob', 'cli', NULL)", "ok", "t bob"),
        ("SELECT queue.op_resume('mux', 'ann', 'cli', NULL)", "ok", "f"),
        ("SELECT queue.op_resume('mux', 'ann', 'cli', NULL)", "wrong-state: running", "f"),
        ("SELECT queue.op_limit('mux', 8, 2, 'ann', 'cli', NULL)", "ok", "f 8 2"),
        ("SELECT queue.op_limit('mux', NULL, NULL, 'ann', 'cli', NULL)", "ok", "f"),
        ("SELECT queue.op_pause('nowhere', NULL, 'ann', 'cli', NULL)", "not-found", "f"),
        ("SELECT queue.op_resume('nowhere', 'ann', 'cli', NULL)", "not-found", "f"),
        ("SELECT queue.op_limit('nowhere', 1, 1, 'ann', 'cli', NULL)", "not-found", "f"),
    ];
    for (sql, answer, after) in calls {
        assert_eq!((world.text(sql).await.as_str(), world.text(state).await.as_str()), (answer, after), "{sql}");
    }
    assert_eq!(
        world.text("SELECT string_agg(action, ' ' ORDER BY id) FROM queue.op_log").await,
        "pause pause resume limit limit"
    );
}

#[tokio::test]
async fn worker_is_told_to_drain() {
    let world = world().await;
    assert_eq!(world.text("SELECT queue.op_drain(gen_random_uuid(), 'ann', 'cli', NULL)").await, "not-found");
    world.run("INSERT INTO queue.worker (id, lease_until) VALUES (gen_random_uuid(), now())").await;
    assert_eq!(world.text("SELECT queue.op_drain(id, 'ann', 'cli', NULL) FROM queue.worker").await, "ok");
    assert_eq!(world.text("SELECT draining::text FROM queue.worker").await, "true");
}

#[tokio::test]
async fn storage_check_is_bounded_per_recording() {
    let world = world().await;
    let probe = "SELECT queue.op_probe('r1', 'ann', 'tui', NULL)";
    assert_eq!(world.text(probe).await, "unavailable");
    world.run(r#"SELECT queue.declare_kinds('[{"kind": "probe", "queue": "control"}]')"#).await;
    assert_eq!((world.text(probe).await, world.text(probe).await), ("ok".into(), "too-soon".into()));
    postgres::testing::advance(&world.pool, Duration::from_secs(11)).await.unwrap();
    assert_eq!(world.text(probe).await, "ok");
    assert_eq!(world.states("probe:r1").await, ["available"]);
}

/// Whoever may only look may call it, so it must not be a way to fill the queue and the audit.
#[tokio::test(flavor = "multi_thread")]
async fn storage_checks_at_once_are_one_and_need_an_id() {
    let world = world().await;
    world.run(r#"SELECT queue.declare_kinds('[{"kind": "probe", "queue": "control"}]')"#).await;
    let probe = "SELECT queue.op_probe('r1', 'ann', 'tui', NULL)";
    let mut first = world.pool.begin().await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, String>(probe).fetch_one(&mut *first).await.unwrap(), "ok");
    let second = tokio::spawn({
        let pool = world.pool.clone();
        async move { sqlx::query_scalar::<_, String>(probe).fetch_one(&pool).await }
    });
    while world.text("SELECT count(*)::text FROM pg_locks WHERE NOT granted").await == "0" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    first.commit().await.unwrap();
    assert_eq!(second.await.unwrap().unwrap(), "too-soon", "it has waited for the first and seen it");
    assert_eq!(world.text("SELECT count(*)::text FROM queue.op_log").await, "1");
    for id in ["''", "'../r1'", "repeat('r', 65)", "NULL"] {
        let sql = format!("SELECT queue.op_probe({id}, 'ann', 'tui', NULL)");
        let answer: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&world.pool).await.unwrap();
        assert_eq!(answer, "not-found", "{id}");
    }
    assert_eq!(world.text("SELECT count(*)::text FROM queue.job").await, "1");
}

#[tokio::test]
async fn words_of_states_are_those_of_the_contracts() {
    let world = world().await;
    let words = world
        .text("SELECT string_agg(queue.state_word(n::smallint), ' ' ORDER BY n) FROM generate_series(0, 4) n")
        .await;
    assert_eq!(words, format!("pending {}", STATES.join(" ")));
    let words = world
        .text("SELECT string_agg(queue.outcome_word(n::smallint), ' ' ORDER BY n) FROM generate_series(0, 3) n")
        .await;
    assert_eq!(words, "completed discarded cancelled superseded");
}
