//! What operators do: cancel, pause, limit, and what follows a job that ends without having done its work.

use crate::support::{Nap, Say, World, nap, quick, start, until, within};
use domain::job::Control;
use queue::operate::{self, Answer, By, Limit};
use queue::{Config, JobCtx, Outcome, Runtime, enqueue::Enqueue};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

pub(crate) fn by() -> By {
    By { actor: "ada".into(), via: "test".into(), reason: Some("because".into()) }
}

async fn cancels_within(config: Config, job: serde_json::Value, bound: Duration) {
    let world = World::new().await;
    let id = world.put(Enqueue::raw("nap", job)).await;
    let running = start(Runtime::new(world.db.clone(), config).register::<Nap, _, _>(2, nap), Duration::ZERO);
    world.job_starts_with(id, "running").await;
    until("the handler is held", async || running.engine.busy() == 1).await;

    let asked = Instant::now();
    assert_eq!(operate::cancel(&world.db, id, &by()).await.unwrap(), Answer::Requested);
    let end = world.ends(id).await;
    let took = asked.elapsed();

    assert_eq!(end, "cancelled attempt=1 snoozes=0 crashes=0 reason=because");
    assert_eq!(world.attempts(id).await, "1 cancelled");
    assert!(took < bound, "cancel took {took:?}");
    assert_eq!(world.number("SELECT count(*) FROM queue.op_log WHERE action = 'cancel' AND actor = 'ada'").await, 1);
    running.stop().await;
}

#[tokio::test]
async fn cancel_of_a_running_job_comes_by_wake_up() {
    let config = Config { poll: Duration::from_secs(30), ..quick() };
    cancels_within(config, json!({ "ms": 60_000 }), Duration::from_secs(2)).await;
}

#[tokio::test]
async fn cancel_of_a_running_job_comes_by_poll() {
    let config = Config { listen: false, poll: Duration::from_secs(1), ..quick() };
    cancels_within(config, json!({ "ms": 60_000 }), Duration::from_secs(2)).await;
}

#[tokio::test]
async fn cancel_drops_a_handler_that_does_not_listen() {
    cancels_within(quick(), json!({ "ms": 60_000, "stubborn": true }), Duration::from_secs(2)).await;
}

#[tokio::test]
async fn cancel_wins_over_a_retry_but_not_over_success() {
    let world = World::new().await;
    let handler = async |job: Say, ctx: JobCtx| {
        ctx.stop().cancelled().await;
        if job.what == "good" { Outcome::Completed } else { Outcome::Snooze(Duration::from_secs(60)) }
    };
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(2, handler), Duration::ZERO);
    for (what, end) in [("good", "completed"), ("bad", "cancelled")] {
        let id = world.say(what).await;
        world.job_starts_with(id, "running").await;
        operate::cancel(&world.db, id, &by()).await.unwrap();
        assert!(world.ends(id).await.starts_with(end), "{what}");
    }
    running.stop().await;
}

#[tokio::test]
async fn waiting_jobs_are_cancelled_discarded_and_brought_back() {
    let world = World::new().await;
    let (one, two) = (world.say("x").await, world.say("y").await);
    assert_eq!(operate::cancel(&world.db, one, &by()).await.unwrap(), Answer::Done);
    assert_eq!(operate::discard(&world.db, two, &by()).await.unwrap(), Answer::Done);
    assert_eq!(operate::cancel(&world.db, one, &by()).await.unwrap(), Answer::WrongState("cancelled".into()));
    assert_eq!(operate::retry(&world.db, two, &by()).await.unwrap(), Answer::Done);
    assert!(world.job(two).await.starts_with("available attempt=0"));
    assert_eq!(operate::snooze(&world.db, two, Duration::from_secs(3600), &by()).await.unwrap(), Answer::Done);
    assert!(world.job(two).await.starts_with("scheduled"));
    assert_eq!(operate::run_now(&world.db, two, &by()).await.unwrap(), Answer::Done);
    assert_eq!(operate::priority(&world.db, two, 0, &by()).await.unwrap(), Answer::Done);
    assert_eq!(operate::retry(&world.db, uuid::Uuid::nil(), &by()).await.unwrap(), Answer::NotFound);
    assert_eq!(world.number("SELECT count(*) FROM queue.op_log").await, 6);
}

#[tokio::test]
async fn paused_queue_is_not_claimed_until_resumed() {
    let world = World::new().await;
    assert_eq!(operate::pause(&world.db, "control", None, &by()).await.unwrap(), Answer::Done);
    let running = start(
        Runtime::new(world.db.clone(), quick())
            .register::<Say, _, _>(2, async |_: Say| Outcome::Completed)
            .register::<Nap, _, _>(2, nap),
        Duration::ZERO,
    );
    let paused = world.say("x").await;
    // A job of another queue, put in later, runs: the claim has looked and left the paused one.
    let other = world.nap(0).await;
    assert!(world.ends(other).await.starts_with("completed"));
    assert!(world.job(paused).await.starts_with("available"));
    assert_eq!(operate::resume(&world.db, "control", &by()).await.unwrap(), Answer::Done);
    assert!(world.ends(paused).await.starts_with("completed"));

    operate::pause(&world.db, "control", Some(Duration::from_millis(300)), &by()).await.unwrap();
    let id = world.say("y").await;
    assert!(world.ends(id).await.starts_with("completed"), "a pause ends by itself");
    running.stop().await;
}

#[tokio::test]
async fn limits_hold_across_workers_and_rotate_owners() {
    let world = World::new().await;
    let limit = Limit { max_running: Some(3), key_max: Some(2) };
    assert_eq!(operate::limit(&world.db, "control", limit, &by()).await.unwrap(), Answer::Done);
    // The first owner has all of the front of the queue.
    for owner in ["a", "a", "a", "a", "a", "a", "a", "a", "b", "b"] {
        world.put(Enqueue::raw("say", json!({ "what": owner })).owned_by(owner)).await;
    }
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let of_a = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (now, most, of_a) = (now.clone(), most.clone(), of_a.clone());
            let handler = move |_: Say, ctx: JobCtx| {
                let (now, most, of_a) = (now.clone(), most.clone(), of_a.clone());
                async move {
                    let a = usize::from(ctx.owner_id() == Some("a"));
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    of_a.1.fetch_max(of_a.0.fetch_add(a, Ordering::SeqCst) + a, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(60)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    of_a.0.fetch_sub(a, Ordering::SeqCst);
                    Outcome::Completed
                }
            };
            start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(4, handler), Duration::ZERO)
        })
        .collect();
    until("all done", async || world.number("SELECT count(*) FROM queue.job_archive").await == 10).await;
    assert_eq!((most.load(Ordering::SeqCst), of_a.1.load(Ordering::SeqCst)), (3, 2));
    let ahead = "SELECT count(*) FROM queue.job_archive a WHERE a.owner_id = 'a' AND a.started_at > \
        (SELECT max(b.started_at) FROM queue.job_archive b WHERE b.owner_id = 'b')";
    assert!(world.number(ahead).await >= 4, "the second owner did not wait for the first");
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn limited_slot_of_a_dead_worker_is_free_after_rescue() {
    let world = World::new().await;
    operate::limit(&world.db, "control", Limit { max_running: Some(1), key_max: None }, &by()).await.unwrap();
    let lost = world.say("lost").await;
    world.run(&format!("UPDATE queue.job SET state = 3, ready_seq = NULL, epoch = 1, worker_id = gen_random_uuid(), attempt = 1 WHERE id = '{lost}'")).await;
    let running = start(
        Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(2, async |_: Say| Outcome::Completed),
        Duration::ZERO,
    );
    let id = world.say("next").await;
    assert!(world.ends(id).await.starts_with("completed"));
    assert!(world.ends(lost).await.starts_with("completed attempt=2 snoozes=0 crashes=1"));
    running.stop().await;
}

#[tokio::test]
async fn follow_up_comes_once_from_every_way_of_ending() {
    let world = World::new().await;
    let handler = async |job: Say| match job.what.as_str() {
        "discard" => Outcome::Discard("no".into()),
        _ => Outcome::Completed,
    };
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(2, handler), Duration::ZERO);
    let put = async |what: &str, subject: &str, wait_s: u64| {
        let mut job = Enqueue::raw("say", json!({ "what": what })).after(Duration::from_secs(wait_s));
        job.subject = Some(subject.into());
        world.put(job).await
    };
    // By the handler, by an operator on a waiting job, by rescue; and none for a good end.
    let by_handler = put("discard", "r1", 0).await;
    let by_operator = put("x", "r2", 3600).await;
    operate::cancel(&world.db, by_operator, &by()).await.unwrap();
    let by_rescue = put("x", "r3", 3600).await;
    world.run(&format!("UPDATE queue.job SET state = 3, epoch = 1, worker_id = gen_random_uuid(), attempt = 3 WHERE id = '{by_rescue}'")).await;
    let good = put("good", "r4", 0).await;
    for id in [by_handler, by_operator, by_rescue, good] {
        world.ends(id).await;
    }
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT subject, payload::text FROM queue.job WHERE kind = 'control' ORDER BY subject")
            .fetch_all(world.pool())
            .await
            .unwrap();
    let seen: Vec<_> = rows
        .iter()
        .map(|(subject, payload)| match serde_json::from_str::<Control>(payload).unwrap() {
            Control::FollowUp(follow_up) => {
                let ended = follow_up.ended;
                (subject.as_str(), ended.job_id, ended.outcome, ended.kind, ended.error_class)
            }
            Control::Verb { .. } => panic!("not a follow-up: {payload}"),
        })
        .collect();
    let want = |subject, id, outcome: &str, class: Option<&str>| {
        (subject, id, outcome.to_owned(), "say".to_owned(), class.map(str::to_owned))
    };
    assert_eq!(
        seen,
        [
            want("r1", by_handler, "discarded", Some("no")),
            want("r2", by_operator, "cancelled", None),
            want("r3", by_rescue, "discarded", Some("attempts"))
        ]
    );
    running.stop().await;
}

#[tokio::test]
async fn operator_drains_a_worker() {
    let world = World::new().await;
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Nap, _, _>(2, nap), Duration::from_secs(1));
    until("registered", async || world.number("SELECT count(*) FROM queue.worker").await == 1).await;
    let worker = running.engine.worker_id();
    assert_eq!(operate::drain(&world.db, worker, &by()).await.unwrap(), Answer::Done);
    let left = within(Duration::from_secs(10), async || world.number("SELECT count(*) FROM queue.worker").await == 0);
    assert!(left.await, "the worker did not leave");
    running.stop().await;
}
