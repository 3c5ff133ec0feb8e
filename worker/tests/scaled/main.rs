//! Several processes of each kind over one database and one store, while they are killed and while what they stand on
//! goes away.
//!
//! Long and short forms are the same tests: `SPOOL_TEST_CHAOS=long`, which `make chaos` sets, makes recordings longer
//! and takes the cases that a short run leaves out.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]
#![allow(clippy::print_stdout, reason = "a seed and what was counted belong to the report of a test")]

#[path = "../support/mod.rs"]
mod support;

mod database;
mod fleet;
mod full;
mod kills;
mod outage;
mod proxy;
mod several;
mod watching;

use fleet::Fleet;
use serde_json::{Value, json};
use std::time::Duration;
use support::api::Recording;
use support::{invariants, packets, wait};

/// How much time a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    /// Two minutes for this whole binary.
    Short,
    /// As long as it takes.
    Long,
}

impl Length {
    fn asked() -> Length {
        #[expect(clippy::disallowed_methods, reason = "this is where the test run is told its length")]
        let long = std::env::var("SPOOL_TEST_CHAOS").is_ok_and(|value| value == "long");
        if long { Length::Long } else { Length::Short }
    }
}

/// Waits until the recording is ready: with every packet that its recorder kept, and no rule broken on the way.
async fn whole(fleet: &Fleet, recording: &Recording, bound: Duration) {
    result_is_whole(fleet, recording, bound).await;
    nothing_is_broken(fleet).await;
}

/// Waits until the recording is ready; its result holds every packet that its recorder kept.
async fn result_is_whole(fleet: &Fleet, recording: &Recording, bound: Duration) {
    let ready = finished(fleet, recording, bound).await;
    assert_eq!((&ready["gaps"], &ready["tail_confirmed"]), (&json!([]), &json!(true)));
    assert_eq!(ready["plan_version"], 1, "one result");
    let result = fleet.objects().join(format!("{}/{}/result.mp4", recording.owner, recording.id));
    packets::assert_same_packets(&result, &fleet.kept(recording));
}

/// Every rule holds, and no process has panicked.
async fn nothing_is_broken(fleet: &Fleet) {
    invariants::hold(&fleet.site).await;
    let logs = fleet.logs();
    let panics: Vec<_> = logs.lines().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "a fault is no panic: {panics:?}");
}

/// Waits until the recording is ready, and gives its status. Whoever is asked may be dying.
async fn finished(fleet: &Fleet, recording: &Recording, bound: Duration) -> Value {
    let api = fleet.api();
    wait::until("the recording is ready", bound, async || {
        let path = format!("/api/recordings/{}", recording.id);
        let asked = api.request(reqwest::Method::GET, &path).bearer_auth(&api.token).timeout(Duration::from_secs(10));
        let answer = api.try_send(asked).await?;
        assert!(answer.body["state"] != "failed", "{answer:?}\n{}", fleet.logs());
        Some(answer.body).filter(|status| status["state"] == "ready")
    })
    .await
}
