//! Order and repetition: whatever dies, is slow or says no, events reach a receiver one after the other.

use crate::receiver::{Receiver, SECRET, Seen};
use crate::support::{PATIENCE, wait};
use crate::{create, deliveries, happen, hurry, site, until_deliveries, until_idle};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// The three days pass in the rows. The event that is not taken is parked, the one behind it goes out, and a person lets
/// the first one go out again.
#[tokio::test(flavor = "multi_thread")]
async fn event_is_parked_after_three_days_and_the_next_one_goes_out() {
    let mut site = site().await;
    let receiver = Receiver::started(&mut site).await;
    let no = || json!({ "status": 503 });
    receiver.answers(&[no(), no(), no()]);
    let (_serve, api) = site.serve().await;
    let work = site.work();
    create(&api, "r").await;
    happen(&site, "r", "recording.finalizing").await;
    until_deliveries(&site, "r", &["1 pending 3"]).await;
    happen(&site, "r", "recording.ready").await;
    assert!(work.stop().success());
    receiver.answers(&[no(), no()]);
    let shifted = site.db.get_postgres_connection_pool();
    postgres::testing::advance(shifted, Duration::from_secs(3 * 24 * 3600)).await.unwrap();

    let work = site.work();
    // The second event has waited for as long, and was never tried: a hiccup does not cost it.
    until_deliveries(&site, "r", &["1 parked 4", "2 delivered 2"]).await;
    assert!(work.log().contains("event parked"), "{}", work.log());
    let metrics = "SELECT count(*) FROM spool.webhook_delivery WHERE state = 'parked' AND last_status = 503 AND last_error = 'answered 503'";
    assert_eq!(site.count(metrics, []).await, 1);
    until_idle(&site).await;

    let (code, listed) = crate::command(&site, &["webhook", "ls"]);
    let row = &listed["endpoints"][0];
    assert_eq!((code, &row["endpoint"], &row["parked"], &row["pending"]), (0, &json!("app"), &json!(1), &json!(0)));
    let (code, replayed) = crate::command(&site, &["webhook", "replay", "r", "--reason", "the receiver is back"]);
    assert_eq!((code, replayed), (0, json!({ "recording": "r", "events": 1 })));
    until_deliveries(&site, "r", &["1 delivered 1", "2 delivered 2"]).await;
    let first: Vec<Seen> = receiver.seen().into_iter().filter(|seen| seen.seq() == 1).collect();
    assert!(first.iter().all(|seen| seen.id == "r:1:app" && seen.verified), "{first:?}");
    let audit = "SELECT count(*) FROM queue.op_log WHERE action = 'webhook_replay' AND reason = 'the receiver is back'";
    assert_eq!(site.count(audit, []).await, 1);
}

/// Delivered events go out again too, in order, when a person says from where.
#[tokio::test(flavor = "multi_thread")]
async fn replay_from_a_number_sends_every_event_again_in_order() {
    let mut site = site().await;
    let receiver = Receiver::started(&mut site).await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    create(&api, "r").await;
    for kind in ["recording.finalizing", "segment.lost", "recording.ready", "recording.archived"] {
        happen(&site, "r", kind).await;
    }
    receiver.until_taken(3).await;
    until_idle(&site).await;
    assert_eq!(crate::command(&site, &["webhook", "replay", "r"]).0, 5, "nothing is parked");
    assert_eq!(crate::command(&site, &["webhook", "replay", "r", "--from", "9"]).0, 5);
    assert_eq!(crate::command(&site, &["webhook", "replay", "nobody"]).0, 4);
    assert_eq!(crate::command(&site, &["webhook", "replay", "r", "--endpoint", "nobody"]).0, 4);
    let (code, replayed) = crate::command(&site, &["webhook", "replay", "r", "--from", "2"]);
    assert_eq!((code, &replayed["events"]), (0, &json!(2)));
    let taken = receiver.until_taken(5).await;
    assert_eq!(taken.iter().map(Seen::seq).collect::<Vec<_>>(), [1, 3, 4, 3, 4]);
    assert_eq!(taken[1].id, taken[3].id);
}

/// A worker dies while a receiver still thinks. Another one repeats that delivery, and nothing overtakes it.
#[tokio::test(flavor = "multi_thread")]
async fn delivery_of_a_worker_that_is_killed_is_repeated_under_its_id_and_in_its_place() {
    let mut site = site().await;
    for (key, value) in [("LEASE", "3s"), ("HEARTBEAT", "1s"), ("RESCUE", "500ms")] {
        site.set(&format!("SPOOL__QUEUE__{key}"), value);
    }
    let receiver = Receiver::started(&mut site).await;
    receiver.answers(&[json!({ "delay_s": 4 })]);
    let (_serve, api) = site.serve().await;
    let mut work = site.work();
    create(&api, "r").await;
    happen(&site, "r", "recording.finalizing").await;
    happen(&site, "r", "recording.ready").await;
    receiver.until("the first delivery has begun", |seen| !seen.is_empty()).await;
    work.kill();
    let _work = site.work();
    until_idle(&site).await;
    let seen =
        receiver.until("every delivery is answered", |seen| seen.len() == 3 && seen.iter().all(|s| s.status.is_some()));
    let seen = seen.await;
    let ids: Vec<&str> = seen.iter().map(|seen| seen.id.as_str()).collect();
    assert_eq!(ids, ["r:1:app", "r:1:app", "r:2:app"]);
    assert_eq!(deliveries(&site, "r").await, ["1 delivered 2", "2 delivered 1"]);
    assert!(seen.iter().all(|seen| seen.verified));
}

/// Two workers, several recordings, events that come while others are delivered: each recording's arrive one after the
/// other, each once, and none while another is being answered.
#[tokio::test(flavor = "multi_thread")]
async fn two_workers_never_deliver_events_of_one_recording_at_once() {
    const RECORDINGS: usize = 6;
    const EVENTS: usize = 5;
    let mut site = site().await;
    let receiver = Receiver::started(&mut site).await;
    receiver.answers(&vec![json!({ "delay_s": 0.05 }); RECORDINGS * EVENTS]);
    let (_serve, api) = site.serve().await;
    let _workers = [site.work(), site.work()];
    for n in 0..RECORDINGS {
        create(&api, &format!("r{n}")).await;
    }
    let all = (0..RECORDINGS).map(|n| {
        let site = &site;
        async move {
            for _ in 0..EVENTS {
                happen(site, &format!("r{n}"), "recording.reopened").await;
            }
        }
    });
    futures_util::future::join_all(all).await;
    let taken = receiver.until_taken(RECORDINGS * EVENTS).await;
    until_idle(&site).await;
    assert_eq!(receiver.seen().len(), RECORDINGS * EVENTS, "each once");
    let mut by_recording: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
    for seen in &taken {
        by_recording.entry(seen.body["data"]["id"].as_str().unwrap()).or_default().push(seen);
    }
    for (id, seen) in by_recording {
        assert_eq!(
            seen.iter().map(|seen| seen.seq()).collect::<Vec<_>>(),
            (1..=EVENTS as u64).collect::<Vec<_>>(),
            "{id}"
        );
        let apart = seen.windows(2).all(|pair| pair[0].ended.unwrap() <= pair[1].begun);
        assert!(apart, "{id}: one began while another was being answered: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn receiver_says_when_to_come_back_and_is_believed() {
    let mut site = site().await;
    let receiver = Receiver::started(&mut site).await;
    receiver.answers(&[json!({ "status": 429, "headers": { "Retry-After": "3600" } })]);
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    create(&api, "r").await;
    happen(&site, "r", "recording.ready").await;
    let due = "SELECT extract(epoch FROM run_at - now())::int8 FROM queue.job WHERE kind = 'webhook' AND state = 4";
    let left =
        wait::until("the job backs off", PATIENCE, async || site.texts(&due.replace("int8", "text"), []).await.pop());
    let left: f64 = left.await.parse().unwrap();
    assert!((3500.0..=3600.0).contains(&left), "{left}");
    // The next event does not cut it short.
    happen(&site, "r", "recording.archived").await;
    assert!(site.count(due, []).await > 3400);
    assert_eq!(receiver.seen().len(), 1);
    hurry(&site).await;
    assert_eq!(receiver.until_taken(2).await.iter().map(Seen::seq).collect::<Vec<_>>(), [1, 2]);
}

/// 410: nothing more is sent, nothing is lost, and a test that is taken opens it again.
#[tokio::test(flavor = "multi_thread")]
async fn endpoint_that_is_gone_is_told_nothing_until_it_takes_a_test() {
    let mut site = site().await;
    let mut receiver = Receiver::started(&mut site).await;
    receiver.answers(&[json!({ "status": 410 })]);
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    create(&api, "r").await;
    happen(&site, "r", "recording.finalizing").await;
    let state = "SELECT concat_ws(' ', enabled, disabled_reason) FROM spool.webhook_endpoint";
    wait::until("it is disabled", PATIENCE, async || (site.texts(state, []).await == ["f gone"]).then_some(())).await;
    happen(&site, "r", "recording.ready").await;
    until_idle(&site).await;
    assert_eq!(deliveries(&site, "r").await, ["1 pending 1", "2 pending 0"]);
    assert_eq!(crate::command(&site, &["webhook", "replay", "r", "--from", "1"]).0, 5);
    assert_eq!(crate::command(&site, &["webhook", "ls"]).1["endpoints"][0]["state"], "gone");
    // A restart changes nothing: its address is the same.
    assert!(site.spool(&["doctor"]).output().is_ok());
    let _second = site.work();

    receiver.kill();
    let (code, tested) = crate::command(&site, &["webhook", "test", "app"]);
    assert_eq!((code, &tested["taken"], &tested["status"]), (1, &json!(false), &json!(null)));
    assert_eq!(site.texts(state, []).await, ["f gone"]);
    receiver.start(SECRET).await;
    let (code, tested) = crate::command(&site, &["webhook", "test", "app"]);
    assert_eq!((code, &tested["status"], &tested["enabled_again"]), (0, &json!(204), &json!(true)));
    // `sweep` finds within its minute what waits; here it is sent for.
    let older = "UPDATE spool.webhook_delivery SET due_at = due_at - interval '1 minute'";
    site.execute(older, []).await;
    assert_eq!(crate::command(&site, &["job", "enqueue", "sweep"]).0, 0);
    until_deliveries(&site, "r", &["1 delivered 2", "2 delivered 1"]).await;
}

/// Whoever gives a recording up stops its jobs, and not the one that says so.
#[tokio::test(flavor = "multi_thread")]
async fn web_app_hears_that_its_recording_was_cancelled() {
    let mut site = site().await;
    let receiver = Receiver::started(&mut site).await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    create(&api, "r").await;
    let answer = api.call(reqwest::Method::POST, "/api/recordings/r/cancel", json!({})).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let taken = receiver.until_taken(1).await;
    assert_eq!((taken[0].kind(), &taken[0].body["data"]["state"]), ("recording.cancelled", &json!("cancelled")));
    until_idle(&site).await;
    assert_eq!(deliveries(&site, "r").await, ["1 delivered 1"]);
}

/// The database and the program agree on which events go out.
#[tokio::test(flavor = "multi_thread")]
async fn list_of_events_that_go_out_is_one_list() {
    let site = site().await;
    for kind in domain::webhook::TOLD {
        assert_eq!(site.count("SELECT spool.is_told($1)::int::int8", [kind.into()]).await, 1, "{kind}");
    }
    let named = "SELECT count(*) FROM pg_proc AS p, regexp_matches(p.prosrc, 'recording[.]', 'g') \
        WHERE p.oid = 'spool.is_told(text)'::regprocedure";
    assert_eq!(site.count(named, []).await, domain::webhook::TOLD.len() as i64);
}
