//! The store is away for three minutes, in every way a store can be: nobody listens, nobody answers, the connection
//! breaks in the middle of a body.
//!
//! In a short run the minutes pass in the rows: each part of the outage is met for real by at least one attempt, and then
//! a minute is said to have passed. A long run waits them out.

use crate::fleet::{Fleet, Kind, Recorder};
use crate::support::proxy::{Fault, Way};
use crate::support::{PATIENCE, packets, wait};
use crate::watching::{Clock, Watching};
use crate::{Length, finished};
use serde_json::json;
use std::time::Duration;

/// What each part of the outage lasts; three of them.
const PART: Duration = Duration::from_secs(60);

/// Failed attempts of one `upload` in three minutes. Each waits at least a quarter of the job's age and half a second, so
/// from one second to three minutes it is ln(180) / ln(1.25) = 23, and two of the first second. More is a storm.
const ATTEMPTS_MAX: usize = 25;

/// Connections of one attempt: four segments at a time, each tried three times. Those of a shifted minute are never made,
/// so the bound is generous; a loop that does not wait makes thousands.
const CONNECTIONS_PER_ATTEMPT_MAX: u64 = 4 * 3;

/// What is not of an attempt: connections that were open already, and those that are made when the store is back.
const CONNECTIONS_BESIDE: u64 = 24;

async fn failed_uploads(fleet: &Fleet) -> usize {
    fleet.site.attempts("upload").await.iter().filter(|outcome| *outcome == "failed").count()
}

async fn rows(fleet: &Fleet, state: &str) -> i64 {
    fleet.site.count("SELECT count(*) FROM spool.segment WHERE state = $1", [state.into()]).await
}

/// Waits until an attempt has met the fault and the next one waits, and lets a minute pass. The longer the job has been
/// at it, the longer it stays away: that is what keeps a thousand recordings from storming a store that comes back.
async fn a_minute_of(fleet: &Fleet, fault: Fault) {
    fleet.store.as_ref().unwrap().set(fault).await;
    if Length::asked() == Length::Long {
        // The fault itself is time.
        return tokio::time::sleep(PART).await;
    }
    let before = failed_uploads(fleet).await;
    let (age, back_off) = wait::until("an upload has met the fault and waits", PATIENCE, async || {
        let waiting = "SELECT unnest(ARRAY[extract(epoch FROM now() - created_at), extract(epoch FROM run_at - now())])::text \
             FROM queue.job WHERE kind = 'upload' AND state = 4";
        let found = fleet.site.texts(waiting, []).await;
        let seconds: Vec<f64> = found.iter().map(|seconds| seconds.parse().unwrap()).collect();
        let met = failed_uploads(fleet).await > before;
        seconds.first().copied().zip(seconds.get(1).copied()).filter(|_| met)
    })
    .await;
    println!("{fault:?}: {age:.1} s old, back in {back_off:.1} s");
    // A quarter of its age, within the cap of a minute and its jitter; the look itself took a moment.
    assert!(back_off >= (age / 4.0).min(30.0) - 2.0, "{age} s old and back in {back_off} s");
    pass(fleet, PART).await;
}

async fn pass(fleet: &Fleet, time: Duration) {
    postgres::testing::advance(fleet.site.db.get_postgres_connection_pool(), time).await.unwrap();
}

/// The recorder has acknowledged objects beyond those of now.
async fn goes_on(recorder: &Recorder) {
    let now = recorder.sent();
    wait::until("more is acknowledged", PATIENCE, async || (recorder.sent() > now + 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_away_for_three_minutes_costs_nothing_but_time() {
    let mut fleet = Fleet::new(Kind::S3).await;
    // A store that does not answer is waited for this long, three times; the defaults would make the test a minute longer.
    fleet.site.set("SPOOL__STORAGE__TIMEOUT", "1s");
    fleet.site.set("SPOOL__STORAGE__IO_TIMEOUT", "1s");
    fleet.start(2, 2).await;
    let recording = fleet.api().create("owner-1").await;
    let parts = match Length::asked() {
        Length::Short => 1,
        Length::Long => PART.as_secs(),
    };
    let recorder = fleet.record(&recording, 20 + 3 * parts);
    let watching = Watching::start(&fleet, &recording, Clock::Shifted).await;
    wait::until("the recording is live", PATIENCE, async || (rows(&fleet, "stored").await >= 4).then_some(())).await;

    let store = fleet.store.as_ref().unwrap();
    store.set(Fault::Refused).await;
    goes_on(&recorder).await;
    let (before, attempts_before) = (store.counts().connections, failed_uploads(&fleet).await);
    a_minute_of(&fleet, Fault::Refused).await;
    a_minute_of(&fleet, Fault::Silent).await;
    a_minute_of(&fleet, Fault::ResetAfter { way: Way::Up, bytes: 20_000 }).await;
    assert!(recorder.goes_on(), "the whole outage lies within the recording");
    assert_eq!(recorder.retries(), Vec::<String>::new(), "whoever records does not notice");
    assert!(rows(&fleet, "received").await > 0, "what is acknowledged waits");

    store.set(Fault::None).await;
    if Length::asked() == Length::Short {
        // The longest back-off, so that the test need not wait for it.
        pass(&fleet, PART).await;
    }
    let stored = rows(&fleet, "stored").await;
    let waits = rows(&fleet, "received").await;
    wait::until("everything that waited is stored", 2 * PATIENCE, async || {
        (rows(&fleet, "stored").await >= stored + waits).then_some(())
    })
    .await;
    let (attempts, connections) = (failed_uploads(&fleet).await - attempts_before, store.counts().connections - before);
    println!("{attempts} failed attempts, {connections} connections");
    assert!(attempts <= ATTEMPTS_MAX, "{attempts} failed attempts");
    let most = u64::try_from(attempts).unwrap() * CONNECTIONS_PER_ATTEMPT_MAX + CONNECTIONS_BESIDE;
    assert!(connections <= most, "{connections} connections of {attempts} attempts");

    recorder.done().await;
    let ready = finished(&fleet, &recording, PATIENCE).await;
    let seen = watching.end().await;
    println!("{} looks, {} fetched, {} manifests", seen.looks, seen.fetched.len(), seen.manifests);
    assert_eq!((&ready["gaps"], &ready["tail_confirmed"]), (&json!([]), &json!(true)));
    assert_eq!(fleet.site.count("SELECT count(*) FROM spool.listing WHERE kind <> 'media'", []).await, 0, "no gap");
    assert_eq!(rows(&fleet, "lost").await, 0);
    let result = fleet.objects().join(format!("{}/{}/result.mp4", recording.owner, recording.id));
    packets::assert_same_packets(&result, &fleet.kept(&recording));
    assert_eq!(fleet.site.attempts("mux").await, ["completed"]);
}
