//! Processes are killed in the middle of their work, and the database goes away under them.
//!
//! To be in the middle is arranged from outside, by what a test can hold: a row lock that the job must wait for, or an
//! object that is a pipe nobody writes to. Nothing in production knows of it.

use crate::support::api::Recording;
use crate::support::{Api, PATIENCE, Running, Set, Site, invariants, packets, wait};
use postgres::{Cluster, Profile, Shutdown};
use rustix::fs::{Mode, OFlags};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// DESIGN §6: a dead worker's job restarts within this time, with the default lease.
const RESTART_MAX: f64 = 20.0;

/// A recording that is whole and waits for whatever the test has stopped.
async fn sent(api: &Api, set: &Set) -> Recording {
    let recording = api.create("owner-1").await;
    api.put_set(&recording, set).await;
    assert_eq!(api.end(&recording, set).await.status, 202);
    recording
}

/// The result of `recording` is what was sent, once.
fn assert_result(site: &Site, recording: &Recording, set: &Set, ready: &Value) {
    let sent = site.folder().join("sent");
    set.write_to(&sent);
    let result = site.objects().join(format!("{}/{}/result.mp4", recording.owner, recording.id));
    packets::assert_same_packets(&result, &sent);
    assert_eq!(ready["result"]["duration_ms"], json!(set.duration_ms));
    assert_eq!((&ready["plan_version"], &ready["gaps"]), (&json!(1), &json!([])));
}

/// Seconds from the kill to the next start of the one job of `kind`, by the database's clock.
async fn restarted_after(site: &Site, kind: &str, killed_at: &str) -> f64 {
    let sql = "SELECT extract(epoch FROM min(started_at) - $2::timestamptz)::text FROM queue.attempt \
         WHERE kind = $1 AND started_at > $2::timestamptz";
    let seconds = site.texts(sql, [kind.into(), killed_at.into()]).await;
    seconds[0].parse().unwrap()
}

async fn now(site: &Site) -> String {
    site.texts("SELECT now()::text", []).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_is_taken_over_when_its_worker_is_killed() {
    let site = Site::new().await;
    let (serve, api) = site.serve().await;
    let set = Set::synthetic(Duration::from_secs(5));
    // With staging on a volume the API's process brings segments into the store as well; it is gone when the work begins.
    spool(&site, &["queue", "pause", "ingest"]);
    let recording = sent(&api, &set).await;
    assert!(serve.stop().success());
    spool(&site, &["queue", "resume", "ingest"]);

    // The job stores the bytes first; to say so in the rows it needs the recording, which is ours.
    let held = site.db.begin().await.unwrap();
    held.execute_unprepared("SELECT FROM spool.recording FOR UPDATE").await.unwrap();
    let mut first = site.work();
    let blocked = "SELECT count(*) FROM pg_stat_activity a JOIN queue.job j ON j.kind = 'upload' AND j.state = 3 \
         WHERE a.datname = current_database() AND a.wait_event_type = 'Lock'";
    wait::until("an upload has stored bytes and waits for the recording", PATIENCE, async || {
        let bytes_are_stored = site.keys().iter().any(|key| key.contains("/segments/video/"));
        (bytes_are_stored && site.count(blocked, []).await > 0).then_some(())
    })
    .await;
    first.kill();
    let killed_at = now(&site).await;
    assert_eq!(stored(&site).await, 0, "in the middle: rows say nothing of the bytes yet");
    held.rollback().await.unwrap();

    let _second = site.work();
    wait::until("the segments are stored", PATIENCE, async || {
        (stored(&site).await == i64::try_from(set.segments() + 2).unwrap()).then_some(())
    })
    .await;
    let attempts = wait::until("the upload ends", PATIENCE, async || {
        Some(site.attempts("upload").await).filter(|attempts| attempts.last().is_some_and(|last| last == "completed"))
    })
    .await;
    // Attempts before the kill may have given up the wait for the lock by themselves.
    assert_eq!(attempts.iter().filter(|outcome| *outcome == "lost").count(), 1, "{attempts:?}");
    let after = restarted_after(&site, "upload", &killed_at).await;
    assert!(after <= RESTART_MAX, "restarted {after} s after the kill");

    let (_serve, api) = site.serve().await;
    assert_eq!(api.complete(&recording).await, "queued");
    let ready = api.until_state(&recording, "ready").await;
    assert_result(&site, &recording, &set, &ready);
    assert_eq!(site.attempts("mux").await, ["completed"]);
    invariants::hold(&site).await;
}

async fn stored(site: &Site) -> i64 {
    site.count("SELECT count(*) FROM spool.segment WHERE state = 'stored'", []).await
}

/// An object that is a pipe: who reads it waits until somebody writes.
pub(crate) struct Pipe {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Pipe {
    pub(crate) fn instead_of(path: PathBuf) -> Pipe {
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        Pipe { path, bytes }
    }

    /// Waits until somebody reads it. Opening the other end is refused until then; what is opened is kept open, so that
    /// the reader does not find an end.
    pub(crate) async fn until_read(&self) -> rustix::fd::OwnedFd {
        wait::until("somebody reads the object", PATIENCE, async || {
            rustix::fs::open(&self.path, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).ok()
        })
        .await
    }

    /// Puts the object back.
    pub(crate) fn restore(self) {
        let aside = self.path.with_extension("aside");
        std::fs::write(&aside, &self.bytes).unwrap();
        std::fs::rename(&aside, &self.path).unwrap();
    }
}

/// Runs one verb of the command line; it must succeed.
fn spool(site: &Site, arguments: &[&str]) {
    let output = site.spool(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A recording whose mux waits in its paused queue, and the path of one of its segments.
async fn before_mux(site: &Site, api: &Api, set: &Set) -> (Recording, PathBuf) {
    spool(site, &["queue", "pause", "mux"]);
    let recording = sent(api, set).await;
    assert_eq!(api.complete(&recording).await, "queued");
    wait::until("the mux waits", PATIENCE, async || {
        (site.count("SELECT count(*) FROM queue.job WHERE kind = 'mux' AND state = 2", []).await == 1).then_some(())
    })
    .await;
    let segment = format!("{}/{}/segments/video/segment_002.m4s", recording.owner, recording.id);
    (recording, site.objects().join(segment))
}

#[tokio::test(flavor = "multi_thread")]
async fn mux_is_taken_over_when_its_worker_is_killed() {
    let site = Site::new().await;
    let (_serve, api) = site.serve().await;
    let mut first = site.work();
    let set = Set::synthetic(Duration::from_secs(7));
    let (recording, segment) = before_mux(&site, &api, &set).await;

    let pipe = Pipe::instead_of(segment);
    spool(&site, &["queue", "resume", "mux"]);
    // The pipe cannot be read like a file, so the job is killed before it can find that out.
    let held = pipe.until_read().await;
    first.kill();
    let killed_at = now(&site).await;
    pipe.restore();
    drop(held);
    let _second = site.work();

    let ready = api.until_state(&recording, "ready").await;
    let after = restarted_after(&site, "mux", &killed_at).await;
    assert!(after <= RESTART_MAX, "restarted {after} s after the kill");
    assert_eq!(site.attempts("mux").await, ["lost", "completed"]);
    assert_result(&site, &recording, &set, &ready);
    let unfinished: Vec<_> =
        site.keys().into_iter().filter(|key| key.contains("result") && !key.ends_with("result.mp4")).collect();
    assert_eq!(unfinished, [format!("owner-1/{}/result.json", recording.id)]);
    invariants::hold(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_goes_on_while_postgres_is_away_and_ends_once() {
    let mut cluster = Cluster::temporary(Profile::Durable).await.unwrap();
    let mut site = Site::at(&cluster.url("postgres")).await;
    site.set("SPOOL__QUEUE__HEARTBEAT", "1s");
    let work = site.work();
    spool(&site, &["job", "enqueue", "noop", r#"{"wait_ms": 12000}"#]);
    wait::until("the job runs", PATIENCE, async || {
        (site.count("SELECT count(*) FROM queue.job WHERE kind = 'noop' AND state = 3", []).await == 1).then_some(())
    })
    .await;

    cluster.stop(Shutdown::Immediate).await.unwrap();
    // This is the fault itself: three heartbeats without a database.
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.start_again().await.unwrap();
    // A beat tells how many jobs run, and when it came is in the lease: 15 s from then.
    wait::until("the worker says to the new database that the job still runs", PATIENCE, async || {
        let says = "SELECT count(*) FROM queue.worker WHERE busy = 1 AND lease_until > pg_postmaster_start_time() + interval '15 s'";
        (number(&site, says).await? == 1).then_some(())
    })
    .await;

    wait::until("the job has ended", PATIENCE, async || {
        (number(&site, "SELECT count(*) FROM queue.job_archive WHERE kind = 'noop'").await? == 1).then_some(())
    })
    .await;
    assert_eq!(site.attempts("noop").await, ["completed"]);
    let once = "SELECT count(*) FROM queue.job_archive WHERE kind = 'noop' AND outcome = 0 AND attempt = 1";
    assert_eq!(site.count(once, []).await, 1);
    assert!(work.stop().success(), "the worker lived through it");
    invariants::hold(&site).await;
}

/// One number; none while the connections of before the outage are still there.
async fn number(site: &Site, sql: &str) -> Option<i64> {
    let asked = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, sql);
    let row = site.db.query_one_raw(asked).await.ok()??;
    row.try_get_by_index::<i64>(0).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_of_a_discarded_mux_brings_its_recording_back() {
    let site = Site::new().await;
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let set = Set::synthetic(Duration::from_secs(5));
    let (recording, segment) = before_mux(&site, &api, &set).await;
    let good = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, vec![0; good.len()]).unwrap();
    spool(&site, &["queue", "resume", "mux"]);

    let failed = wait::until("the recording fails", PATIENCE, async || {
        Some(api.status(&recording).await).filter(|status| status["state"] == "failed")
    })
    .await;
    assert!(failed["error"]["code"].is_string(), "a failure says why: {failed}");
    let mux = site.texts("SELECT id::text FROM queue.job_archive WHERE kind = 'mux' AND outcome = 1", []).await;

    std::fs::write(&segment, &good).unwrap();
    spool(&site, &["job", "retry", &mux[0]]);
    let ready = wait::until("the recording is ready", PATIENCE, async || {
        Some(api.status(&recording).await).filter(|status| status["state"] == "ready")
    })
    .await;
    assert_result(&site, &recording, &set, &ready);
    assert_eq!(ready["error"], Value::Null);
    invariants::hold(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drained_worker_hands_its_job_back_without_spending_an_attempt() {
    let site = Site::new().await;
    let first: Running = site.work_with(&["--set", "work.drain=1s"]);
    spool(&site, &["job", "enqueue", "noop", r#"{"wait_ms": 600000}"#]);
    wait::until("the job runs", PATIENCE, async || {
        (site.count("SELECT count(*) FROM queue.job WHERE kind = 'noop' AND state = 3", []).await == 1).then_some(())
    })
    .await;
    assert!(first.stop().success());
    assert_eq!(
        site.count("SELECT count(*) FROM queue.job WHERE kind = 'noop' AND state = 2 AND attempt = 0", []).await,
        1
    );
    assert_eq!(site.attempts("noop").await, ["handed_back"]);
    assert_eq!(site.count("SELECT count(*) FROM queue.worker", []).await, 0, "it has signed off");
    invariants::hold(&site).await;
}
