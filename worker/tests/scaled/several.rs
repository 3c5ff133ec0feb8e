//! Several recordings at once: every one becomes ready, and none waits until the others are done.

use crate::fleet::{Fleet, Kind};
use crate::support::PATIENCE;
use crate::whole;
use futures_util::future::join_all;

/// More than the two workers have slots for in the queue that makes results.
const RECORDINGS: usize = 6;

const SECONDS: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn several_recordings_share_the_processes_fairly() {
    let mut fleet = Fleet::new(Kind::Folder).await;
    fleet.start(2, 2).await;
    let api = fleet.api();
    let mut recordings = Vec::new();
    for n in 0..RECORDINGS {
        let recording = api.create(&format!("owner-{n}")).await;
        let recorder = fleet.record(&recording, SECONDS);
        recordings.push((recording, recorder));
    }
    let fleet = &fleet;
    let one = |(recording, recorder): (_, crate::fleet::Recorder)| async move {
        recorder.done().await;
        whole(fleet, &recording, PATIENCE).await;
    };
    join_all(recordings.into_iter().map(one)).await;
    assert_eq!(fleet.site.attempts("mux").await, ["completed"; RECORDINGS]);

    // While all of them recorded, each was listed within the time of a few segments: nobody's wait grew with the number
    // of the others.
    let slowest = "SELECT extract(epoch FROM max(l.listed_at - s.received_at))::text FROM spool.listing l \
         JOIN spool.segment s ON (s.recording_id, s.track, s.index) = (l.recording_id, l.track, l.index) \
         GROUP BY l.recording_id";
    let slowest: Vec<f64> =
        fleet.site.texts(slowest, []).await.iter().map(|seconds| seconds.parse().unwrap()).collect();
    println!("from received to listed, slowest of each recording: {slowest:.2?} s");
    assert_eq!(slowest.len(), RECORDINGS);
    assert!(slowest.iter().all(|seconds| *seconds < 6.0), "{slowest:?}");
    // Both workers took part: one of them alone would be no scaling.
    let workers =
        "SELECT DISTINCT worker_id::text FROM queue.attempt WHERE kind IN ('upload', 'manifest_check', 'mux')";
    assert!(fleet.site.texts(workers, []).await.len() >= 2);
}
