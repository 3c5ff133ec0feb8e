//! Every way an attempt can end, in the row and in its history.

use crate::support::{Nap, Say, World, nap, quick, start};
use domain::retry::Fault;
use queue::{JobCtx, JobError, Outcome, Runtime};
use std::time::Duration;

async fn say(job: Say, ctx: JobCtx) -> Result<Outcome, JobError> {
    let broken = |fault, class| JobError::new(fault, class, format!("said {}", job.what));
    match job.what.as_str() {
        "panic" => panic!("boom in attempt {}", ctx.attempt()),
        "transient" => Err(broken(Fault::Transient, "storage").context("say it")),
        "permanent" => Err(broken(Fault::Permanent, "not-iso-bmff")),
        "nul" => Err(JobError::new(Fault::Permanent, "nul", "a\0b")),
        "later" if ctx.attempt() == 1 => Err(broken(Fault::Transient, "busy").after(Duration::from_secs(3600))),
        "discard" => Ok(Outcome::Discard("nothing decodable".into())),
        "obsolete" => Ok(Outcome::CompletedAs("obsolete".into())),
        _ => Ok(Outcome::Completed),
    }
}

#[tokio::test]
async fn attempts_end_in_exactly_one_recorded_outcome() {
    let world = World::new().await;
    let runtime = Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(4, say).register::<Nap, _, _>(2, nap);
    let running = start(runtime, Duration::from_secs(1));

    for (what, job, attempts) in [
        ("ok", "completed attempt=1 snoozes=0 crashes=0", "1 completed"),
        ("obsolete", "completed attempt=1 snoozes=0 crashes=0 reason=obsolete", "1 completed"),
        ("discard", "discarded attempt=1 snoozes=0 crashes=0 reason=nothing decodable", "1 discarded"),
        (
            "permanent",
            "discarded attempt=1 snoozes=0 crashes=0 reason=not-iso-bmff class=not-iso-bmff",
            "1 discarded not-iso-bmff",
        ),
        ("nul", "discarded attempt=1 snoozes=0 crashes=0 reason=nul class=nul", "1 discarded nul"),
        (
            "transient",
            "discarded attempt=3 snoozes=0 crashes=0 reason=attempts class=storage",
            "1 failed storage, 2 failed storage, 3 discarded storage",
        ),
        (
            "panic",
            "discarded attempt=3 snoozes=0 crashes=0 reason=attempts class=panic",
            "1 failed panic, 2 failed panic, 3 discarded panic",
        ),
    ] {
        let id = world.say(what).await;
        assert_eq!(world.ends(id).await, job, "{what}");
        assert_eq!(world.attempts(id).await, attempts, "{what}");
    }
    assert_eq!(running.engine.busy(), 0);
    running.stop().await;
}
