//! What is counted of jobs: told to a listener, written by the minute, sampled.

use crate::support::{Nap, Say, World, nap, quick, start, until};
use queue::{Config, Event, JobCtx, JobError, Outcome, Runtime, enqueue::Enqueue};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Events as lines, with how often each came.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<BTreeMap<String, u32>>>);

impl Heard {
    fn hear(&self, event: Event<'_>) {
        let line = match event {
            Event::Claimed(claim) => {
                assert!(claim.waited < Duration::from_secs(60), "{claim:?}");
                format!("{}/{} claimed{}", claim.queue, claim.kind, if claim.first { " first" } else { "" })
            }
            Event::Ended(end) => {
                let (job, why) = (end.job.unwrap_or("goes on"), [end.class, end.reason].join(" "));
                format!("{}/{} {} {job} {}", end.queue, end.kind, end.outcome, why.trim())
            }
            Event::TakenBack(back) => {
                let (job, how) = (back.job.unwrap_or("goes on"), if back.lost { "lost" } else { "late" });
                format!("{}/{} {how} {job} {}", back.queue, back.kind, back.reason)
            }
        };
        *self.0.lock().unwrap().entry(line.trim_end().to_owned()).or_default() += 1;
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(line, n)| format!("{n} {line}")).collect()
    }

    /// Ends of attempts by their outcome, those that were taken back among them.
    fn by_outcome(&self) -> BTreeMap<String, u32> {
        let mut ends = BTreeMap::new();
        for (line, n) in self.0.lock().unwrap().iter() {
            let word = line.split(' ').nth(1).unwrap();
            if word != "claimed" {
                *ends.entry(word.to_owned()).or_default() += n;
            }
        }
        ends
    }
}

async fn say(job: Say, ctx: JobCtx) -> Result<Outcome, JobError> {
    let failed = || JobError::new(domain::retry::Fault::Transient, "storage", "503");
    match (job.what.as_str(), ctx.attempt()) {
        ("bad", _) => Ok(Outcome::Discard("no".into())),
        ("twice", 1) => Err(failed()),
        ("never", _) => Err(failed()),
        ("later", _) if ctx.saved().is_none() => {
            ctx.checkpoint(&json!(1)).await?;
            Ok(Outcome::Snooze(Duration::from_millis(1)))
        }
        _ => Ok(Outcome::Completed),
    }
}

/// Everything that a job can go through, counted once each: by the listener and in the rows of the minute.
#[tokio::test]
async fn what_happens_is_told_once_and_written_by_the_minute() {
    let world = World::new().await;
    let heard = Heard::default();
    let mut jobs = Vec::new();
    for what in ["good", "good", "bad", "twice", "never", "later"] {
        jobs.push(world.say(what).await);
    }
    // Put in minutes ago and due since then; and one that its worker lost.
    world
        .run(&format!("UPDATE queue.job SET created_at = now() - interval '5 minutes' WHERE id = '{}'", jobs[0]))
        .await;
    let lost = world.say("lost").await;
    world
        .run(&format!(
            "UPDATE queue.job SET state = 3, ready_seq = NULL, epoch = nextval('queue.epoch_seq'), started_at = now(), \
             worker_id = gen_random_uuid(), attempt = 1 WHERE id = '{lost}'"
        ))
        .await;
    jobs.push(lost);
    let ears = heard.clone();
    let runtime = Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(2, say);
    let running = start(runtime.observe(move |event| ears.hear(event)), Duration::ZERO);
    for job in jobs {
        world.ends(job).await;
    }
    running.stop().await;
    assert_eq!(
        heard.lines(),
        [
            "5 control/say claimed",
            "6 control/say claimed first",
            "5 control/say completed completed",
            "1 control/say discarded discarded no",
            "1 control/say discarded discarded storage attempts",
            "3 control/say failed goes on storage",
            "1 control/say lost goes on",
            "1 control/say snoozed goes on",
        ]
    );
    // As many ends were told as the history has attempts, of each outcome.
    let attempts = "SELECT string_agg(word || ' ' || n, ', ' ORDER BY word) FROM (SELECT (ARRAY['completed', 'failed', 'snoozed', \
        'discarded', 'cancelled', 'lost', 'handed_back'])[outcome + 1] AS word, count(*) AS n FROM queue.attempt GROUP BY 1) AS a";
    let told = heard.by_outcome().iter().map(|(word, n)| format!("{word} {n}")).collect::<Vec<_>>().join(", ");
    assert_eq!(world.text(attempts).await, told);
    let sum = "SELECT format('%s %s %s %s %s', sum(enq), sum(ok), sum(err), (SELECT sum(n) FROM queue.stat AS s, unnest(s.hist) AS n), \
        (SELECT sum(n) FROM queue.stat AS s, unnest(s.wait_hist) AS n)) FROM queue.stat";
    assert_eq!(world.text(sum).await, "6 5 5 10 11");
    let earlier = "SELECT count(*) FROM queue.stat WHERE enq = 1 AND minute < now() - interval '4 minutes' \
        AND minute = date_trunc('minute', minute) AND ok + err = 0";
    assert_eq!(world.number(earlier).await, 1, "what came is written in the minute in which it came");
}

/// An attempt that is handed back has not come twice, and a handler's own transaction is counted as well.
#[tokio::test]
async fn job_that_is_handed_back_came_once() {
    let world = World::new().await;
    let heard = Heard::default();
    for _ in 0..2 {
        let ears = heard.clone();
        let runtime = Runtime::new(world.db.clone(), quick()).register::<Nap, _, _>(1, nap);
        let running = start(runtime.observe(move |event| ears.hear(event)), Duration::from_secs(5));
        if world.number("SELECT count(*) FROM queue.job").await == 0 {
            world.nap(60_000).await;
        }
        until("it runs", async || world.number("SELECT count(*) FROM queue.job WHERE state = 3").await == 1).await;
        running.stop().await;
    }
    assert_eq!(heard.lines(), ["1 mux/nap claimed", "1 mux/nap claimed first", "2 mux/nap handed_back goes on"]);
    assert_eq!(world.number("SELECT sum(enq) FROM queue.stat").await, 1);
}

#[tokio::test]
async fn cancel_that_overrules_a_retry_is_told_as_a_cancel() {
    let world = World::new().await;
    let heard = Heard::default();
    let ears = heard.clone();
    let handler = async |_: Say, ctx: JobCtx| -> Result<Outcome, JobError> {
        ctx.stop().cancelled().await;
        Err(JobError::new(domain::retry::Fault::NotYet, "storage", "told to stop"))
    };
    let runtime = Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(1, handler);
    let running = start(runtime.observe(move |event| ears.hear(event)), Duration::ZERO);
    let job = world.say("x").await;
    world.job_starts_with(job, "running").await;
    world.run(&format!("UPDATE queue.job SET cancel_at = now(), cancel_reason = 'enough' WHERE id = '{job}'")).await;
    world.ends(job).await;
    running.stop().await;
    assert_eq!(heard.lines()[0], "1 control/say cancelled cancelled");
}

/// Two processes, one sampler: each moment has one row of each cell, and when the sampler is gone the other goes on.
#[tokio::test]
async fn depth_is_sampled_by_one_process_and_goes_on_when_it_is_gone() {
    let world = World::new().await;
    for n in 0..3u64 {
        world.put(Enqueue::raw("solo", json!({ "n": n }))).await;
    }
    world.put(Enqueue::raw("solo", json!({})).after(Duration::from_secs(3600))).await;
    let config = || Config { sample: Duration::from_millis(300), ..quick() };
    let one = start(Runtime::new(world.db.clone(), config()).register::<Nap, _, _>(1, nap), Duration::ZERO);
    let samples = "SELECT count(DISTINCT at) FROM queue.depth";
    until("one samples", async || world.number(samples).await >= 2).await;
    let leader = world.text("SELECT holder::text FROM queue.leader WHERE name = 'depth'").await;
    assert_eq!(leader, one.engine.worker_id().to_string());
    let two = start(Runtime::new(world.db.clone(), config()).register::<Nap, _, _>(1, nap), Duration::ZERO);
    one.stop().await;
    let term = "SELECT term FROM queue.leader WHERE name = 'depth'";
    until("the other took over", async || world.number(term).await == 2).await;
    let since = world.number(samples).await;
    until("it samples", async || world.number(samples).await > since).await;
    two.stop().await;
    let cells = "SELECT string_agg(DISTINCT format('%s %s %s %s %s', queue, kind, state, n, oldest_at < now()), ', ') FROM queue.depth";
    assert_eq!(world.text(cells).await, "ingest solo 1 1 f, ingest solo 2 3 t");
}
