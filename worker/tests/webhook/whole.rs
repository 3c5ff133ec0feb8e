//! A recording from its first segment to its archive, told to a receiver that is not always there.

use crate::receiver::{Receiver, SECRET, Seen};
use crate::support::Set;
use crate::{create, hurry, site, until_idle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn every_event_arrives_in_order_and_verified_also_after_the_receiver_was_away() {
    let mut site = site().await;
    site.set("SPOOL__CLEANUP__GRACE", "1s");
    site.set("SPOOL__HTTP__PUBLIC_URL", "https://spool.example.com");
    let mut receiver = Receiver::started(&mut site).await;
    // The first event is refused once, then answered slowly; the second is refused once.
    receiver.answers(&[json!({ "status": 500 }), json!({ "delay_s": 1 }), json!({ "status": 500 })]);
    let (serve, api) = site.serve().await;
    let work = site.work();
    let set = Set::synthetic(Duration::from_secs(4));
    let recording = create(&api, "r").await;
    api.put_set(&recording, &set).await;
    api.end(&recording, &set).await;
    assert_eq!(api.complete(&recording).await, "queued");

    receiver.until("the first event is refused", |seen| seen.iter().any(|seen| seen.status == Some(500))).await;
    hurry(&site).await;
    // Nothing is on its way when the receiver goes: an answer that was lost would rightly be asked for again.
    receiver.until("the second event is refused", |seen| seen.len() >= 3 && seen[2].status == Some(500)).await;
    receiver.kill();
    crate::wait::until("somebody has tried in vain", crate::PATIENCE, async || {
        hurry(&site).await;
        let sql = "SELECT count(*) FROM spool.webhook_delivery WHERE last_error LIKE 'no connection%'";
        (site.count(sql, []).await > 0).then_some(())
    })
    .await;
    // Meanwhile all the rest happens.
    api.until(&recording, "archived", |status| status["state"] == "archived").await;
    crate::wait::until("the pictures are made", crate::PATIENCE, async || {
        let sql = "SELECT count(*) FROM spool.event WHERE type = 'recording.preview_ready'";
        (site.count(sql, []).await == 1).then_some(())
    })
    .await;
    receiver.start(SECRET).await;
    hurry(&site).await;
    let taken = receiver.until_taken(4).await;
    until_idle(&site).await;

    assert!(receiver.seen().iter().all(|seen| seen.verified), "{:?}", receiver.seen());
    let seqs: Vec<u64> = taken.iter().map(Seen::seq).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "out of order: {seqs:?}");
    let kinds: BTreeMap<&str, &Seen> = taken.iter().map(|seen| (seen.kind(), seen)).collect();
    assert_eq!(
        kinds.keys().copied().collect::<Vec<_>>(),
        ["recording.archived", "recording.finalizing", "recording.preview_ready", "recording.ready"]
    );
    assert_eq!(taken.len(), 4, "each once: {taken:?}");
    told_what_a_web_app_needs(&kinds["recording.ready"].body["data"], &api.status(&recording).await);
    let finalizing = &kinds["recording.finalizing"].body["data"];
    assert_eq!((&finalizing["state"], &finalizing["cause"]), (&json!("finalizing"), &json!("complete")));
    let pictures = &kinds["recording.preview_ready"].body["data"];
    assert_eq!(pictures["poster"]["url"], "https://spool.example.com/media/r/poster.jpg");
    // A repetition is the same delivery, byte for byte.
    let first: Vec<Seen> = receiver.seen().into_iter().filter(|seen| seen.seq() == 1).collect();
    assert!(first.len() >= 2 && first.iter().all(|seen| (&seen.id, &seen.text) == (&first[0].id, &first[0].text)));

    told_nobody_else(&site, &[serve.log(), work.log()], &taken).await;
}

fn told_what_a_web_app_needs(data: &Value, status: &Value) {
    let mut result = status["result"].clone();
    result["version"] = json!(1);
    // The database writes whole numbers without a fraction.
    result["fps"] = json!(result["fps"].as_f64().unwrap() as u64);
    assert_eq!(data["result"], result);
    assert_eq!(result["url"], "https://spool.example.com/media/r/result.mp4");
    let mut rest = data.clone();
    rest.as_object_mut().unwrap().remove("result");
    assert_eq!(
        rest,
        json!({
            "id": "r", "owner_id": "anna", "state": "ready", "from": "finalizing", "cause": "publish",
            "plan_version": 1, "provisional": false, "tail_confirmed": true, "degraded": false,
            "segments_missing": 0, "gaps": [], "error": null, "bytes": data["bytes"], "duration_ms": data["duration_ms"],
        })
    );
}

/// Secrets, signatures and the address stay out of logs, jobs and events.
async fn told_nobody_else(site: &crate::Site, logs: &[String], taken: &[Seen]) {
    let signature = taken[0].headers["webhook-signature"].as_str().unwrap().trim_start_matches("v1,").to_owned();
    let hidden = [SECRET.trim_start_matches("whsec_"), "secret-of-the-address", &signature];
    let rows = "SELECT coalesce(string_agg(row::text, ' '), '') FROM ( \
        SELECT to_jsonb(a) AS row FROM queue.job_archive a UNION ALL SELECT to_jsonb(a) FROM queue.attempt a \
        UNION ALL SELECT to_jsonb(e) FROM spool.event e UNION ALL SELECT to_jsonb(d) FROM spool.webhook_delivery d) AS rows";
    let rows = site.texts(rows, []).await.remove(0);
    for text in logs.iter().chain([&rows]) {
        for word in hidden {
            assert!(!text.contains(word), "{word} is in {text}");
        }
    }
    assert!(rows.contains("no connection"), "what went wrong is told: {rows}");
}
