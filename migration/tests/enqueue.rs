//! `queue.enqueue` as callers of every language see it.

mod support;

use sqlx::postgres::PgListener;
use sqlx::{Connection, Executor, Row};
use std::time::Duration;
use support::{archive, claim, job, world};
use uuid::Uuid;

fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned()
}

#[tokio::test]
async fn job_takes_its_rules_from_its_kind() {
    let world = world().await;
    let put = job("upload", "upload:r1");
    assert_eq!(put.put(&world.pool).await.unwrap(), (put.id, true));
    let sql = "SELECT concat_ws(' ', queue, kind, queue.state_word(state), priority, max_attempts, unique_mask, on_end, owner_id,
               subject, conc_key, attempt, payload) FROM queue.job";
    assert_eq!(world.text(sql).await, r#"ingest upload available 2 3 31 control o1 r1 o1 0 {"recording": "r1"}"#);
}

#[tokio::test]
async fn future_run_at_schedules_and_a_past_one_does_not() {
    let world = world().await;
    job("mux", "a").later().put(&world.pool).await.unwrap();
    support::Job { in_s: Some(-5.0), ..job("mux", "b") }.put(&world.pool).await.unwrap();
    assert_eq!(
        (world.states("a").await, world.states("b").await),
        (vec!["scheduled".to_owned()], vec!["available".to_owned()])
    );
}

#[tokio::test]
async fn unknown_kind_missing_queue_and_unknown_word_raise_22023() {
    let world = world().await;
    for bad in [job("no_such_kind", ""), job("loose", ""), support::Job { on_conflict: "replace", ..job("mux", "") }] {
        assert_eq!(code(&bad.put(&world.pool).await.unwrap_err()), "22023", "{}", bad.kind);
    }
    let sql = "SELECT inserted::text FROM queue.enqueue(NULL, 'any', 'loose', NULL, NULL, NULL, NULL, NULL)";
    assert_eq!(world.text(sql).await, "true");
}

#[tokio::test]
async fn same_id_is_the_same_job_live_running_and_ended() {
    let world = world().await;
    let put = job("mux", "");
    assert_eq!(put.put(&world.pool).await.unwrap(), (put.id, true));
    assert_eq!(put.put(&world.pool).await.unwrap(), (put.id, false));
    claim(&world, put.id).await;
    assert_eq!(put.put(&world.pool).await.unwrap(), (put.id, false));
    archive(&world, put.id, 0).await;
    assert_eq!(put.put(&world.pool).await.unwrap(), (put.id, false), "it has run already");
    assert_eq!(world.text("SELECT count(*)::text FROM queue.job").await, "0");

    // A caller's own uuid of another version is found as well, while the end is recent.
    let other = support::Job { id: Uuid::new_v4(), ..job("mux", "") };
    other.put(&world.pool).await.unwrap();
    claim(&world, other.id).await;
    archive(&world, other.id, 0).await;
    assert_eq!(other.put(&world.pool).await.unwrap(), (other.id, false));
}

#[tokio::test]
async fn key_is_free_again_once_its_job_has_ended() {
    let world = world().await;
    let (first, second) = (job("mux", "mux:r1:1"), job("mux", "mux:r1:1"));
    first.put(&world.pool).await.unwrap();
    assert_eq!(second.put(&world.pool).await.unwrap(), (first.id, false));
    claim(&world, first.id).await;
    assert_eq!(second.put(&world.pool).await.unwrap(), (first.id, false), "all live states, running too");
    archive(&world, first.id, 1).await;
    assert_eq!(second.put(&world.pool).await.unwrap(), (second.id, true));
}

#[tokio::test]
async fn kind_whose_mask_leaves_running_out_queues_exactly_one_more() {
    let world = world().await;
    let running = job("manifest_check", "check:r1");
    running.put(&world.pool).await.unwrap();
    claim(&world, running.id).await;
    let (one, two) = (job("manifest_check", "check:r1"), job("manifest_check", "check:r1"));
    assert_eq!(one.put(&world.pool).await.unwrap(), (one.id, true));
    assert_eq!(two.put(&world.pool).await.unwrap(), (one.id, false));
    assert_eq!(world.states("check:r1").await, ["running", "available"]);
}

#[tokio::test]
async fn hasten_wakes_a_snooze_but_no_back_off_except_of_a_check() {
    for (kind, key, state, after) in [
        ("upload", "upload:r1", 1, "available"),
        ("upload", "upload:r1", 4, "retryable"),
        ("manifest_check", "check:r1", 1, "available"),
        ("manifest_check", "check:r1", 4, "available"),
    ] {
        let world = world().await;
        let waiting = job(kind, key).later();
        waiting.put(&world.pool).await.unwrap();
        sqlx::query("UPDATE queue.job SET state = $1").bind(state).execute(&world.pool).await.unwrap();

        assert_eq!(job(kind, key).put(&world.pool).await.unwrap(), (waiting.id, false));
        assert_ne!(world.states(key).await, ["available"], "keep leaves it");
        assert_eq!(job(kind, key).hastening().put(&world.pool).await.unwrap(), (waiting.id, false));
        assert_eq!(world.states(key).await, [after], "{kind} in state {state}");
        let due = world.text("SELECT (run_at <= now())::text FROM queue.job").await;
        assert_eq!(due, if after == "available" { "true" } else { "false" });
    }
}

#[tokio::test]
async fn hasten_to_a_later_moment_only_brings_it_nearer() {
    let world = world().await;
    job("upload", "k").later().put(&world.pool).await.unwrap();
    support::Job { in_s: Some(60.0), ..job("upload", "k").hastening() }.put(&world.pool).await.unwrap();
    let near = "SELECT (run_at < now() + interval '2 minutes')::text FROM queue.job";
    assert_eq!((world.states("k").await, world.text(near).await), (vec!["scheduled".to_owned()], "true".to_owned()));
    support::Job { in_s: Some(7200.0), ..job("upload", "k").hastening() }.put(&world.pool).await.unwrap();
    assert_eq!(world.text(near).await, "true");
}

/// Fifty callers in fifty transactions, each of which goes on afterwards: one job, no error, all transactions alive.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_callers_of_one_key_make_one_job_and_keep_their_transactions() {
    for (kind, key) in [("upload", "upload:r1"), ("manifest_check", "check:r1")] {
        let world = world().await;
        world.run("CREATE TABLE public.business (n int)").await;
        let mut callers = Vec::new();
        for n in 0..50 {
            let (url, put) =
                (world.db.url().to_owned(), if n % 2 == 0 { job(kind, key) } else { job(kind, key).hastening() });
            callers.push(tokio::spawn(async move {
                let mut connection = sqlx::PgConnection::connect(&url).await?;
                let mut tx = connection.begin().await?;
                let answer = put.put(&mut *tx).await?;
                sqlx::query("INSERT INTO public.business VALUES ($1)").bind(n).execute(&mut *tx).await?;
                tx.commit().await?;
                Ok::<_, sqlx::Error>(answer)
            }));
        }
        let mut answers = Vec::new();
        for caller in callers {
            answers.push(caller.await.unwrap().unwrap());
        }
        assert_eq!(answers.iter().filter(|(_, inserted)| *inserted).count(), 1);
        assert!(answers.iter().all(|(id, _)| *id == answers[0].0));
        assert_eq!(world.states(key).await, ["available"]);
        assert_eq!(world.text("SELECT count(*)::text FROM public.business").await, "50");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_callers_of_one_id_make_one_job() {
    let world = world().await;
    let put = job("mux", "");
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let (pool, put) = (world.pool.clone(), put.clone());
            tokio::spawn(async move { put.put(&pool).await })
        })
        .collect();
    let mut inserted = 0;
    for caller in callers {
        let answer = caller.await.unwrap().unwrap();
        assert_eq!(answer.0, put.id);
        inserted += usize::from(answer.1);
    }
    assert_eq!(inserted, 1);
}

#[tokio::test]
async fn rollback_leaves_no_job_no_notification_and_a_free_key() {
    let world = world().await;
    let mut listener = PgListener::connect(world.db.url()).await.unwrap();
    listener.listen("queue_ready").await.unwrap();

    let mut connection = world.connection().await;
    let mut tx = connection.begin().await.unwrap();
    job("mux", "k").put(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(world.text("SELECT count(*)::text FROM queue.job").await, "0");

    // One after it: the only notification that comes is this one's, once for two jobs of one transaction.
    let mut tx = connection.begin().await.unwrap();
    assert!(job("upload", "k").put(&mut *tx).await.unwrap().1);
    assert!(job("upload", "l").put(&mut *tx).await.unwrap().1);
    assert!(job("mux", "m").later().put(&mut *tx).await.unwrap().1);
    tx.commit().await.unwrap();
    world.run("NOTIFY queue_ready, 'end'").await;
    let mut heard = Vec::new();
    while heard.last().is_none_or(|word| word != "end") {
        let notice = tokio::time::timeout(Duration::from_secs(10), listener.recv()).await.unwrap().unwrap();
        heard.push(notice.payload().to_owned());
    }
    assert_eq!(heard, ["ingest", "end"]);
}

/// The caller's changes are not yet visible when it meets a waiting check: a claim before its commit would miss them.
#[tokio::test]
async fn waiting_check_cannot_be_claimed_before_the_callers_commit() {
    let world = world().await;
    let waiting = job("manifest_check", "check:r1");
    waiting.put(&world.pool).await.unwrap();
    let claimable = async || {
        let sql = "SELECT id FROM queue.job WHERE state = 2 FOR UPDATE SKIP LOCKED";
        world.pool.fetch_all(sql).await.unwrap().len()
    };
    assert_eq!(claimable().await, 1);

    let (mut one, mut two) = (world.connection().await, world.connection().await);
    let mut first = one.begin().await.unwrap();
    job("manifest_check", "check:r1").hastening().put(&mut *first).await.unwrap();
    // A second caller neither waits for the first nor frees the row by its end.
    let mut second = two.begin().await.unwrap();
    second.execute("SET LOCAL lock_timeout = '2s'").await.unwrap();
    job("manifest_check", "check:r1").hastening().put(&mut *second).await.unwrap();
    second.commit().await.unwrap();
    assert_eq!(claimable().await, 0);
    first.commit().await.unwrap();
    assert_eq!(claimable().await, 1);
}

/// The row that was waiting is claimed by a transaction that commits while the caller waits for its lock.
#[tokio::test(flavor = "multi_thread")]
async fn check_claimed_under_the_caller_makes_room_for_one_more() {
    let world = world().await;
    let waiting = job("manifest_check", "check:r1");
    waiting.put(&world.pool).await.unwrap();

    let mut claimer = world.connection().await;
    let mut claim = claimer.begin().await.unwrap();
    let sql =
        "UPDATE queue.job SET state = 3, ready_seq = NULL, epoch = 1, worker_id = gen_random_uuid() WHERE id = $1";
    sqlx::query(sql).bind(waiting.id).execute(&mut *claim).await.unwrap();

    let next = job("manifest_check", "check:r1");
    let caller = tokio::spawn({
        let (pool, next) = (world.pool.clone(), next.clone());
        async move { next.put(&pool).await }
    });
    let blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    while world.pool.fetch_one(blocked).await.unwrap().get::<i64, _>(0) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    claim.commit().await.unwrap();
    assert_eq!(caller.await.unwrap().unwrap(), (next.id, true));
    assert_eq!(world.states("check:r1").await, ["running", "available"]);
}

#[tokio::test]
async fn uuid_v7_made_by_the_database_carries_its_moment() {
    let world = world().await;
    let row = world
        .pool
        .fetch_one("SELECT queue.uuid_v7(), (extract(epoch FROM clock_timestamp()) * 1000)::int8")
        .await
        .unwrap();
    let (id, now_ms): (Uuid, i64) = (row.get(0), row.get(1));
    assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
    let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
    let made_ms = i64::try_from(seconds * 1000 + u64::from(nanos) / 1_000_000).unwrap();
    assert!((now_ms - made_ms).abs() <= 5, "{made_ms} {now_ms}");

    let mine = Uuid::now_v7();
    let ms = mine.get_timestamp().unwrap().to_unix();
    let sql = "SELECT (extract(epoch FROM queue.uuid_time($1)) * 1000)::int8";
    let read: i64 = sqlx::query_scalar(sql).bind(mine).fetch_one(&world.pool).await.unwrap();
    assert_eq!(read, i64::try_from(ms.0 * 1000 + u64::from(ms.1) / 1_000_000).unwrap());
    assert_eq!(world.text("SELECT queue.uuid_time(gen_random_uuid())::text").await, "null");
}

#[tokio::test]
async fn follow_up_is_put_in_for_jobs_given_up_only() {
    let world = world().await;
    let call = async |on_end: Option<&str>, outcome: i16| {
        let sql =
            "SELECT queue.follow_up($1, $2, 'mux', 'mux:r1:2', 'r1', 'o1', $3, 'poison', repeat('x', 300)) IS NOT NULL";
        let id = Uuid::nil();
        sqlx::query_scalar::<_, bool>(sql).bind(on_end).bind(id).bind(outcome).fetch_one(&world.pool).await.unwrap()
    };
    for (on_end, outcome, expected) in [
        (None, 1, false),
        (Some("control"), 0, false),
        (Some("control"), 3, false),
        (Some("undeclared"), 1, false),
        (Some("control"), 1, true),
    ] {
        assert_eq!(call(on_end, outcome).await, expected, "{on_end:?} {outcome}");
    }
    let payload = world.text("SELECT payload::text FROM queue.job WHERE kind = 'control' AND subject = 'r1'").await;
    let expected = format!(
        r#"{{"ended": {{"kind": "mux", "error": "{}", "job_id": "{}", "outcome": "discarded", "unique_key": "mux:r1:2", "error_class": "poison"}}, "subject": "r1"}}"#,
        "x".repeat(200),
        Uuid::nil()
    );
    assert_eq!(payload, expected);
    assert_eq!(world.text("SELECT count(*)::text FROM queue.job").await, "1");
}
