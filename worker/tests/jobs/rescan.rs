//! Staged bytes without a row go through the same decision as accept.

use crate::world::{World, set};
use domain::segment::{Name, State, Track};
use std::time::Duration;
use worker::db::segments;
use worker::rescan::{Fate, scan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scan_puts_a_lost_row_back() {
    let world = World::new().await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, index| index < 3).await;
    // The database has lost its last commits.
    world.execute("DELETE FROM spool.segment WHERE index = 2", []).await;
    world.execute("DELETE FROM queue.job", []).await;
    let fates = scan(&world.cx, Duration::ZERO).await.unwrap();
    let restored = fates.iter().filter(|(_, fate)| *fate == Fate::Restored).count();
    assert_eq!((restored, fates.len()), (2, 6), "{fates:?}");
    for track in Track::ALL {
        let row = segments::get(&world.db, &id, track, Name::Media(2)).await.unwrap().unwrap();
        assert_eq!(row.row.state, State::Received);
        assert!(row.row.span.is_some());
    }
    assert_eq!(world.jobs(&id, domain::job::Kind::Upload, "live").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scan_removes_what_nobody_wants_and_keeps_what_accept_would_refuse() {
    let world = World::new().await;
    let (gone, other) = (world.create("gone").await, world.create("other").await);
    for id in [&gone, &other] {
        world.accept_set(id, set(), |track, index| track == Track::Video && index < 2).await;
    }
    world.execute("UPDATE spool.recording SET state = 'cancelled' WHERE id = 'gone'", []).await;
    world.execute("DELETE FROM spool.segment WHERE recording_id = 'gone'", []).await;
    world.execute("DELETE FROM spool.segment WHERE index > 0 AND recording_id = 'other'", []).await;
    for path in world.staged() {
        if path.to_string_lossy().contains("other.video-001-") {
            std::fs::write(&path, b"torn").unwrap();
        }
    }
    let mut fates: Vec<_> = scan(&world.cx, Duration::ZERO).await.unwrap();
    fates.sort_by_key(|(uri, _)| uri.to_string());
    let fates: Vec<_> = fates.iter().map(|(uri, fate)| (uri.recording.as_str(), uri.name.index(), *fate)).collect();
    assert_eq!(
        fates,
        [("gone", 1, Fate::Removed), ("gone", 0, Fate::Removed), ("other", 1, Fate::Kept), ("other", 0, Fate::Awaited)]
    );
    assert_eq!(world.staged().len(), 2);
    // Kept for a day only.
    assert!(scan(&world.cx, Duration::from_secs(3600)).await.unwrap().is_empty());
}
