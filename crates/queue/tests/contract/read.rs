//! What people see.

use crate::support::{Say, World, quick, start};
use queue::read::{Filter, Follow, Which, list_jobs, queues, show_job, workers};
use queue::{Outcome, Runtime, enqueue::Enqueue};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let world = World::new().await;
    let mut put = Vec::new();
    for n in 0..25u64 {
        let wait = Duration::from_secs(if n % 2 == 0 { 0 } else { 100 + n });
        let job = Enqueue { subject: Some("r1".into()), ..Enqueue::raw("say", json!({ "what": "good" })) };
        put.push(world.put(job.after(wait)).await);
    }
    for filter in [
        Filter::default(),
        Filter { subject: Some("r1".into()), ..Filter::default() },
        Filter { queue: Some("control".into()), kind: Some("say".into()), ..Filter::default() },
    ] {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = list_jobs(&world.db, &filter, after, 4).await.unwrap();
            seen.extend(page.rows.iter().map(|row| row.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        seen.sort();
        let mut want = put.clone();
        want.sort();
        assert_eq!(seen, want, "{filter:?}");
    }
    let scheduled = Filter { which: Which::parse("scheduled").unwrap(), ..Filter::default() };
    assert_eq!(list_jobs(&world.db, &scheduled, None, 100).await.unwrap().rows.len(), 12);
}

#[tokio::test]
async fn finished_jobs_are_listed_shown_and_followed() {
    let world = World::new().await;
    let mut follow = Follow::default();
    assert!(follow.look(&world.db).await.unwrap().is_empty());
    let handler = async |job: Say| if job.what == "bad" { Outcome::Discard("no".into()) } else { Outcome::Completed };
    let running = start(Runtime::new(world.db.clone(), quick()).register::<Say, _, _>(2, handler), Duration::ZERO);
    let (good, bad) = (world.say("good").await, world.say("bad").await);
    world.ends(good).await;
    world.ends(bad).await;

    let ended = list_jobs(&world.db, &Filter { which: Which::Ended, ..Filter::default() }, None, 1).await.unwrap();
    let rest =
        list_jobs(&world.db, &Filter { which: Which::Ended, ..Filter::default() }, ended.next, 10).await.unwrap();
    let mut ids = vec![ended.rows[0].id, rest.rows[0].id];
    ids.sort();
    assert_eq!((ids, rest.rows.len()), (vec![good, bad], 1));
    let which = Which::parse("discarded").unwrap();
    let discarded = list_jobs(&world.db, &Filter { which, ..Filter::default() }, None, 10).await.unwrap();
    assert_eq!(discarded.rows.len(), 1);
    assert_eq!((discarded.rows[0].state.as_str(), discarded.rows[0].reason.as_deref()), ("discarded", Some("no")));

    let shown = show_job(&world.db, bad).await.unwrap().expect("in the archive");
    assert_eq!((shown.payload.as_str(), shown.attempts.len()), (r#"{"what": "bad"}"#, 1));
    assert_eq!(shown.attempts[0].outcome, "discarded");
    assert!(show_job(&world.db, uuid::Uuid::now_v7()).await.unwrap().is_none());

    let mut tail: Vec<_> = follow.look(&world.db).await.unwrap().iter().map(|row| row.job_id).collect();
    tail.sort();
    assert_eq!(tail, [good, bad]);
    assert!(follow.look(&world.db).await.unwrap().is_empty(), "shown once");
    let third = world.say("good").await;
    world.ends(third).await;
    let tail: Vec<_> = follow.look(&world.db).await.unwrap().iter().map(|row| row.job_id).collect();
    assert_eq!(tail, [third]);

    let rows = queues(&world.db).await.unwrap();
    let control = rows.iter().find(|row| row.name == "control").expect("declared");
    // The follow-up of the discarded job waits there; nobody runs its kind.
    assert_eq!((control.available, control.running, control.paused), (1, 0, false));
    let rows = workers(&world.db).await.unwrap();
    assert_eq!((rows.len(), rows[0].id, rows[0].slots), (1, running.engine.worker_id(), Some(2)));
    assert!(rows[0].lease_left_s > 0.0);
    running.stop().await;
}
