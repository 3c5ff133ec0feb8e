//! The way to Postgres breaks while a recording goes on and while it is finalized: cut, slow, silent, and connections
//! that stay half-open for good.

use crate::fleet::{Fleet, Kind, wired};
use crate::support::proxy::{Fault, Proxy};
use crate::support::{PATIENCE, Set, Site, wait};
use crate::{Length, whole};
use domain::retry::{Classify as _, Fault as Failure};
use sea_orm::ConnectionTrait as _;
use std::time::Duration;
use worker::config::Secret;
use worker::db;

/// DESIGN §6: whatever happened, a job is at work again within this time.
const RESTART_MAX: f64 = 20.0;

/// A fleet whose every process reaches the database over a wire.
async fn fleet() -> (Fleet, Proxy) {
    let mut site = Site::new().await;
    let (wire, url) = wired(site.variable("DATABASE_URL")).await;
    site.set("DATABASE_URL", &url);
    // A statement without an answer is waited for this long and a little more.
    site.set("SPOOL__DATABASE__STATEMENT_TIMEOUT", "2s");
    // So few that a place lost to a dead connection is missed.
    site.set("SPOOL__DATABASE__POOL_MAX", "3");
    (Fleet::on(site, Kind::Folder).await, wire)
}

/// Breaks the wire in every way, one after the other, each for `pause`.
async fn break_it(wire: &Proxy, pause: Duration) {
    for fault in [
        Fault::Slow { delay: Duration::from_millis(20), jitter: Duration::from_millis(60) },
        Fault::Silent,
        Fault::Refused,
        Fault::Throttled { bytes_per_second: 200_000 },
    ] {
        wire.set(fault).await;
        // The fault itself is time.
        tokio::time::sleep(pause).await;
        wire.set(Fault::None).await;
        wire.strand();
        tokio::time::sleep(pause).await;
        wire.cut();
    }
    wire.set(Fault::None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn database_that_breaks_while_recording_loses_nothing() {
    let (mut fleet, wire) = fleet().await;
    fleet.start(2, 2).await;
    let recording = fleet.api().create("owner-1").await;
    let pause = match Length::asked() {
        Length::Short => Duration::from_secs(1),
        Length::Long => Duration::from_secs(6),
    };
    let recorder = fleet.record(&recording, 8 * pause.as_secs() + 6);
    wait::until("the recording is live", PATIENCE, async || (recorder.sent() >= 4).then_some(())).await;
    break_it(&wire, pause).await;
    println!("{} retries of the recorder", recorder.retries().len());
    recorder.done().await;
    whole(&fleet, &recording, PATIENCE).await;
    let muxed = "SELECT count(*) FROM queue.attempt WHERE kind = 'mux' AND outcome = 0";
    assert_eq!(fleet.site.count(muxed, []).await, 1);
}

/// Each connection is left half-open while the recording is being finalized: nobody is told that it is dead.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_half_open_hold_up_no_finalize() {
    let (mut fleet, wire) = fleet().await;
    fleet.start(1, 2).await;
    let api = fleet.api();
    let set = Set::synthetic(Duration::from_secs(7));
    let recording = api.create("owner-1").await;
    api.put_set(&recording, &set).await;
    set.write_to(&fleet.kept(&recording));
    assert_eq!(api.end(&recording, &set).await.status, 202);
    spool(&fleet, &["queue", "pause", "mux"]);
    assert_eq!(api.complete(&recording).await, "queued");
    wait::until("the mux waits", PATIENCE, async || {
        let waits = "SELECT count(*) FROM queue.job WHERE kind = 'mux' AND state = 2";
        (fleet.site.count(waits, []).await == 1).then_some(())
    })
    .await;
    wire.strand();
    spool(&fleet, &["queue", "resume", "mux"]);
    whole(&fleet, &recording, PATIENCE).await;
    let longest = "SELECT coalesce(max(wait), 0)::text FROM (SELECT extract(epoch FROM started_at - lag(ended_at) \
         OVER (ORDER BY started_at)) AS wait FROM queue.attempt WHERE kind = 'mux') AS waits";
    let longest: f64 = fleet.site.texts(longest, []).await[0].parse().unwrap();
    println!("longest wait between two attempts: {longest:.1} s");
    assert!(longest <= RESTART_MAX, "{longest} s");
}

/// One call meets it and is given up. The pool, which has no other place, works again, and the server, which is not told
/// either, lets go of the transaction's locks.
#[tokio::test(flavor = "multi_thread")]
async fn connection_without_an_other_end_costs_its_call_and_nothing_else() {
    let site = Site::new().await;
    let (wire, url) = wired(site.variable("DATABASE_URL")).await;
    let second = Duration::from_secs(1);
    let config = db::Config { url: Secret::new(&url), pool_max: 1, statement_timeout: second, ..db::Config::default() };
    let pool = db::connect(&config).await.unwrap();
    let tx = db::begin(&pool).await.unwrap();
    tx.execute_unprepared("SELECT pg_advisory_xact_lock(7)").await.unwrap();
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(site.count(held, []).await, 1);
    wire.strand();

    let error = db::settings::now(&tx).await.unwrap_err();
    assert_eq!(error.fault(), Failure::Transient, "{error:?}");
    drop(tx);
    wait::until("the pool has its place again", PATIENCE, async || db::settings::now(&pool).await.ok()).await;
    wait::until("the server lets go", PATIENCE, async || (site.count(held, []).await == 0).then_some(())).await;
}

/// Runs one verb of the command line; it must succeed.
fn spool(fleet: &Fleet, arguments: &[&str]) {
    let output = fleet.site.spool(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
