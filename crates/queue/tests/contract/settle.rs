//! Ending inside the handler's own transaction: effect and end commit together or not at all.

use crate::support::{Say, World, quick, start, until};
use domain::retry::Fault;
use queue::{CtxError, JobCtx, JobError, Outcome, Runtime};
use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

fn broken(what: &'static str) -> JobError {
    JobError::new(Fault::Transient, "test", what)
}

async fn effect(db: &impl ConnectionTrait, what: &str) {
    db.execute_unprepared(&format!("INSERT INTO effect VALUES ('{what}')")).await.expect("write the effect");
}

async fn say(db: DatabaseConnection, tries: Arc<AtomicUsize>, job: Say, ctx: JobCtx) -> Result<Outcome, JobError> {
    let nth = tries.fetch_add(1, Ordering::SeqCst);
    let tx = db.begin().await.map_err(|error| JobError::new(Fault::Transient, "database", error))?;
    effect(&tx, &job.what).await;
    let outcome = match job.what.as_str() {
        "discard" => Outcome::Discard("no".into()),
        "discard-rollback" if nth == 0 => Outcome::Discard("no".into()),
        "again" if nth < 20 => Outcome::Snooze(Duration::ZERO),
        _ => Outcome::Completed,
    };
    if job.what == "taken" && nth == 0 {
        let pool = db.get_postgres_connection_pool();
        let take = "UPDATE queue.job SET state = 2, ready_seq = nextval('queue.ready_seq'), epoch = NULL, worker_id = NULL WHERE id = $1";
        sqlx::query(take).bind(ctx.id()).execute(pool).await.expect("take the job away");
        let lost = ctx.settle_in(&tx, outcome).await;
        assert!(matches!(lost, Err(CtxError::Lost(_))), "{lost:?}");
        return Err(lost.expect_err("lost").into());
    }
    ctx.settle_in(&tx, outcome).await?;
    match job.what.as_str() {
        // Dropped without a commit: rolled back.
        "rollback" | "discard-rollback" if nth == 0 => Err(broken("changed its mind")),
        "forgets" if nth == 0 => Ok(Outcome::Settled),
        "answer-lost" => {
            tx.commit().await.expect("commit");
            Err(broken("the answer to the commit was lost"))
        }
        _ => {
            tx.commit().await.expect("commit");
            Ok(Outcome::Settled)
        }
    }
}

#[tokio::test]
async fn end_and_effect_commit_together_or_not_at_all() {
    for (what, end, attempts, effects) in [
        ("plain", "completed attempt=1 snoozes=0 crashes=0", "1 completed", 1),
        ("discard", "discarded attempt=1 snoozes=0 crashes=0 reason=no", "1 discarded", 1),
        ("rollback", "completed attempt=2 snoozes=0 crashes=0", "1 failed test, 2 completed", 1),
        ("discard-rollback", "completed attempt=2 snoozes=0 crashes=0", "1 failed test, 2 completed", 1),
        ("forgets", "completed attempt=2 snoozes=0 crashes=0", "1 failed unsettled, 2 completed", 1),
        ("answer-lost", "completed attempt=1 snoozes=0 crashes=0", "1 completed", 1),
        ("taken", "completed attempt=2 snoozes=0 crashes=0", "2 completed", 1),
    ] {
        let world = World::new().await;
        world.run("CREATE TABLE effect (what text)").await;
        let (db, tries) = (world.db.clone(), Arc::new(AtomicUsize::new(0)));
        let handler = move |job: Say, ctx: JobCtx| say(db.clone(), tries.clone(), job, ctx);
        let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(2, handler), Duration::ZERO);
        let id = world.say(what).await;
        assert_eq!(world.ends(id).await, end, "{what}");
        until("nothing held", async || running.engine.busy() == 0).await;
        assert_eq!(world.attempts(id).await, attempts, "{what}");
        assert_eq!(world.number("SELECT count(*) FROM effect").await, effects, "{what}");
        let followers = i64::from(what == "discard");
        assert_eq!(world.number("SELECT count(*) FROM queue.job WHERE kind = 'control'").await, followers, "{what}");
        running.stop().await;
    }
}

#[tokio::test]
async fn second_look_comes_at_once_and_burns_nothing() {
    let world = World::new().await;
    world.run("CREATE TABLE effect (what text)").await;
    let (db, tries) = (world.db.clone(), Arc::new(AtomicUsize::new(0)));
    let handler = move |job: Say, ctx: JobCtx| say(db.clone(), tries.clone(), job, ctx);
    let config = queue::Config { poll: Duration::from_secs(20), ..quick() };
    let running = start(Runtime::new(world.db.clone(), config).register::<Say, _, _>(1, handler), Duration::ZERO);
    let id = world.say("again").await;
    running.engine.bell().ring("control");
    // Twenty looks within less than one poll: each came from the end of the one before.
    let end = world.ends_within(id, Duration::from_secs(15)).await;
    assert_eq!(end, "completed attempt=1 snoozes=20 crashes=0");
    running.stop().await;
}
