//! The store is away for three minutes, in every way a store can be: nobody listens, nobody answers, the connection
//! breaks in the middle of a body.
//!
//! In a short run the minutes pass in the rows: each part of the outage is met for real by at least one attempt, and then
//! a minute is said to have passed. A long run waits them out.

use crate::fleet::{Fleet, Kind, Recorder};
use crate::support::proxy::{Fault, Way};
use crate::support::{PATIENCE, wait};
use crate::watching::{Clock, Watching};
use crate::{Length, whole};
use std::time::{Duration, Instant};

/// How long a recorder stays away that was told that the store is.
const RETRY_AFTER_S: f64 = 2.0;

/// Objects that a recorder has under way at once: three of each track.
const UNDER_WAY: f64 = 6.0;

/// What each part of the outage lasts; three of them.
const PART: Duration = Duration::from_secs(60);

/// Failed attempts of one `upload` in three minutes. Each waits at least a quarter of the job's age and half a second, so
/// from one second to three minutes it is ln(180) / ln(1.25) = 23, and two of the first second. More is a storm.
const ATTEMPTS_MAX: usize = 25;

/// Connections of one attempt: four segments at a time, each tried three times. A loop that does not wait makes thousands.
const CONNECTIONS_PER_ATTEMPT_MAX: u64 = 4 * 3;

/// Connections of one segment that is taken in and refused: one, tried three times.
const CONNECTIONS_PER_REFUSAL_MAX: u64 = 3;

/// What is not of an attempt: connections that were open already, and those that are made when the store is back.
const CONNECTIONS_BESIDE: u64 = 24;

async fn failed_uploads(fleet: &Fleet) -> usize {
    fleet.site.attempts("upload").await.iter().filter(|outcome| *outcome == "failed").count()
}

async fn rows(fleet: &Fleet, state: &str) -> i64 {
    fleet.site.count("SELECT count(*) FROM spool.segment WHERE state = $1", [state.into()]).await
}

/// Lets a minute pass in which the store is away like this.
async fn a_minute_of(fault: Fault, fleet: &Fleet, recorder: &Recorder, staging: Staging) {
    fleet.store.as_ref().unwrap().set(fault).await;
    if Length::asked() == Length::Long {
        // The fault itself is time.
        return tokio::time::sleep(PART).await;
    }
    match staging {
        Staging::Local => an_upload_met(fault, fleet).await,
        Staging::Store => {
            let before = recorder.retries().len();
            wait::until("the recorder has met the fault", PATIENCE, async || {
                (recorder.retries().len() > before).then_some(())
            })
            .await;
        }
    }
    pass(fleet, PART).await;
}

/// Waits until an attempt has met the fault and the next one waits. The longer the job has been at it, the longer it stays
/// away: that is what keeps a thousand recordings from storming a store that comes back.
async fn an_upload_met(fault: Fault, fleet: &Fleet) {
    let before = failed_uploads(fleet).await;
    let waiting = "SELECT unnest(ARRAY[extract(epoch FROM now() - created_at), extract(epoch FROM run_at - now())])::text \
         FROM queue.job WHERE kind = 'upload' AND state = 4";
    let (age, back_off) = wait::until("an upload has met the fault and waits", PATIENCE, async || {
        let found = fleet.site.texts(waiting, []).await;
        let seconds: Vec<f64> = found.iter().map(|seconds| seconds.parse().unwrap()).collect();
        let met = failed_uploads(fleet).await > before;
        seconds.first().copied().zip(seconds.get(1).copied()).filter(|_| met)
    })
    .await;
    println!("{fault:?}: {age:.1} s old, back in {back_off:.1} s");
    // A quarter of its age, within the cap of a minute and its jitter; the look itself took a moment.
    assert!(back_off >= (age / 4.0).min(30.0) - 2.0, "{age} s old and back in {back_off} s");
}

async fn pass(fleet: &Fleet, time: Duration) {
    postgres::testing::advance(fleet.site.db.get_postgres_connection_pool(), time).await.unwrap();
}

/// Where acknowledged bytes wait, which decides who notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Staging {
    /// On a volume: acknowledging goes on.
    Local,
    /// In the store that is away: nothing is acknowledged, and the recorder comes back.
    Store,
}

#[tokio::test(flavor = "multi_thread")]
async fn store_away_for_three_minutes_is_not_noticed_by_whoever_records_onto_a_volume() {
    store_away_for_three_minutes(Staging::Local).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_away_for_three_minutes_holds_back_whoever_records_into_it() {
    store_away_for_three_minutes(Staging::Store).await;
}

async fn store_away_for_three_minutes(staging: Staging) {
    let mut fleet = Fleet::new(Kind::S3).await;
    if staging == Staging::Store {
        fleet.site.set("SPOOL__STAGING__MODE", "store");
    }
    // A store that does not answer is waited for this long, three times; the defaults would make the test a minute longer.
    fleet.site.set("SPOOL__STORAGE__TIMEOUT", "2s");
    fleet.site.set("SPOOL__STORAGE__IO_TIMEOUT", "2s");
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
    let (before, attempts_before, begun) = (store.counts().connections, failed_uploads(&fleet).await, Instant::now());
    a_minute_of(Fault::Refused, &fleet, &recorder, staging).await;
    let acknowledged = recorder.sent();
    a_minute_of(Fault::Silent, &fleet, &recorder, staging).await;
    a_minute_of(Fault::ResetAfter { way: Way::Up, bytes: 20_000 }, &fleet, &recorder, staging).await;
    assert!(recorder.goes_on(), "the whole outage lies within the recording");
    let refusals = recorder.retries();
    match staging {
        Staging::Local => {
            // A process that has taken in no segment of a track yet asks the store for its initialization section, once.
            // While it cannot have it the recorder comes again, and the next process in turn takes the segment.
            println!("{} refusals", refusals.len());
            assert!(recorder.sent() > acknowledged, "acknowledging goes on");
            assert!(rows(&fleet, "received").await > 0, "what is acknowledged waits");
        }
        Staging::Store => {
            assert_eq!(recorder.sent(), acknowledged, "nothing is acknowledged that nobody keeps");
            let told = |retry: &String| retry.contains("the server answered storage-unavailable (503)");
            assert!(refusals.iter().all(told), "{refusals:?}");
            let most = UNDER_WAY * (1.0 + begun.elapsed().as_secs_f64() / RETRY_AFTER_S);
            assert!((refusals.len() as f64) <= most, "{} refusals, {most} at most", refusals.len());
        }
    }

    let waits = rows(&fleet, "received").await + rows(&fleet, "stored").await;
    store.set(Fault::None).await;
    if Length::asked() == Length::Short {
        // The longest back-off, so that the test need not wait for it.
        pass(&fleet, PART).await;
    }
    wait::until("everything that waited is stored, and more comes", 2 * PATIENCE, async || {
        (rows(&fleet, "stored").await >= waits && recorder.sent() > acknowledged).then_some(())
    })
    .await;
    let (attempts, connections) = (failed_uploads(&fleet).await - attempts_before, store.counts().connections - before);
    println!("{attempts} failed attempts, {} refusals, {connections} connections", refusals.len());
    assert!(attempts <= ATTEMPTS_MAX, "{attempts} failed attempts");
    let most = u64::try_from(attempts).unwrap() * CONNECTIONS_PER_ATTEMPT_MAX
        + u64::try_from(refusals.len()).unwrap() * CONNECTIONS_PER_REFUSAL_MAX
        + CONNECTIONS_BESIDE;
    assert!(connections <= most, "{connections} connections, {most} at most");

    recorder.done().await;
    whole(&fleet, &recording, PATIENCE).await;
    let seen = watching.end().await;
    println!("{} looks, {} fetched, {} manifests", seen.looks, seen.fetched.len(), seen.manifests);
    assert_eq!(fleet.site.count("SELECT count(*) FROM spool.listing WHERE kind <> 'media'", []).await, 0, "no gap");
    assert_eq!(rows(&fleet, "lost").await, 0);
}
