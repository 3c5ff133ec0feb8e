//! Processes die at random while a recording goes on, and nobody who watches or waits notices more than a delay.

use crate::fleet::{Fleet, Kind};
use crate::support::PATIENCE;
use crate::support::proxy::Fault;
use crate::watching::{Clock, Watching};
use crate::{Length, whole};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::time::Duration;

/// Two of each; one of each is killed again and again.
///
/// With staging on a volume both accept: they see one folder, where bytes appear whole under names of their own, and
/// either brings in what the other has acknowledged before it died.
async fn killed_again_and_again(kind: Kind, staging: &str) {
    let (seconds, every) = match Length::asked() {
        Length::Short => (20, Duration::from_secs(4)),
        Length::Long => (60, Duration::from_secs(5)),
    };
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut picks = StdRng::seed_from_u64(seed);
    let mut fleet = Fleet::new(kind).await;
    fleet.site.set("SPOOL__STAGING__MODE", staging);
    fleet.start(2, 2).await;
    // A request lasts longer on a slow wire, so that more of the kills hit one.
    fleet.front.set(Fault::Slow { delay: Duration::from_millis(100), jitter: Duration::from_millis(200) }).await;
    let recording = fleet.api().create("owner-1").await;
    let recorder = fleet.record(&recording, seconds);
    let watching = Watching::start(&fleet, &recording, Clock::Real).await;

    let mut kills = 0;
    while recorder.goes_on() {
        // The pace of the kills is the fault itself.
        tokio::time::sleep(every.mul_f64(picks.random_range(0.8..1.2))).await;
        if recorder.goes_on() {
            fleet.replace(picks.random_range(0..1024)).await;
            kills += 1;
        }
    }
    println!("{kills} kills of each, {} retries of the recorder", recorder.retries().len());
    assert!(kills >= 2, "{kills}");
    recorder.done().await;
    whole(&fleet, &recording, 2 * PATIENCE).await;
    let seen = watching.end().await;
    println!("{} looks, {} fetched, {} manifests", seen.looks, seen.fetched.len(), seen.manifests);

    let muxed = "SELECT count(*) FROM queue.attempt WHERE kind = 'mux' AND outcome = 0";
    assert_eq!(fleet.site.count(muxed, []).await, 1, "one mux result");
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_and_staging_on_a_volume_lose_nothing_when_processes_are_killed() {
    killed_again_and_again(Kind::Folder, "local").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_and_staging_in_the_store_lose_nothing_when_processes_are_killed() {
    killed_again_and_again(Kind::S3, "store").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folder_and_staging_in_the_store_lose_nothing_when_processes_are_killed() {
    if Length::asked() == Length::Long {
        killed_again_and_again(Kind::Folder, "store").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_and_staging_on_a_volume_lose_nothing_when_processes_are_killed() {
    if Length::asked() == Length::Long {
        killed_again_and_again(Kind::S3, "local").await;
    }
}
