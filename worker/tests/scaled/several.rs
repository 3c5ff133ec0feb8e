//! Several recordings at once: every one becomes ready, and none waits until the others are done.

use crate::fleet::{Fleet, Kind};
use crate::support::PATIENCE;
use crate::{nothing_is_broken, result_is_whole};
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
        result_is_whole(fleet, &recording, PATIENCE).await;
    };
    join_all(recordings.into_iter().map(one)).await;
    nothing_is_broken(fleet).await;
    let muxed = "SELECT count(*) FROM queue.attempt WHERE kind = 'mux' AND outcome = 0";
    assert_eq!(fleet.site.count(muxed, []).await, i64::try_from(RECORDINGS).unwrap(), "one result each");

    // Before the first of them had ended, something of each was listed: nobody's turn came only after the others'.
    let listed = "SELECT count(DISTINCT recording_id) FROM spool.listing WHERE listed_at < \
         (SELECT min(last) FROM (SELECT max(received_at) AS last FROM spool.segment GROUP BY recording_id) AS ends)";
    assert_eq!(fleet.site.count(listed, []).await, i64::try_from(RECORDINGS).unwrap(), "each had its turn");
    let slowest = "SELECT max(extract(epoch FROM l.listed_at - s.received_at))::text FROM spool.listing l \
         JOIN spool.segment s ON (s.recording_id, s.track, s.index) = (l.recording_id, l.track, l.index)";
    println!("from received to listed, the slowest: {} s", fleet.site.texts(slowest, []).await[0]);
    // Both workers took part: one of them alone would be no scaling.
    let workers =
        "SELECT DISTINCT worker_id::text FROM queue.attempt WHERE kind IN ('upload', 'manifest_check', 'mux')";
    assert!(fleet.site.texts(workers, []).await.len() >= 2);
}
