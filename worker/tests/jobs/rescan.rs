//! Staged bytes without a row go through the same decision as accept.

use crate::world::{World, set};
use domain::id::{OwnerId, RecordingId};
use domain::segment::{Name, State, Track};
use std::time::Duration;
use worker::db::segments;
use worker::rescan::{self, Fate};
use worker::staging::{Mode, Uri};

crate::support::modes::in_both_modes! {
    look_puts_a_lost_row_back,
    look_removes_what_nobody_wants_and_keeps_what_accept_would_refuse,
    look_removes_what_two_uploads_of_one_name_left,
}

/// Looks at everything that lies staged of these recordings, in the way of the mode.
async fn look(world: &World, ids: &[&RecordingId], age_min: Duration) -> Vec<(Uri, Fate)> {
    match world.cx.staging.mode() {
        Mode::Local => rescan::scan(&world.cx, age_min).await.unwrap(),
        Mode::Store => {
            let (owner, mut fates) = (OwnerId::parse("o").unwrap(), Vec::new());
            for id in ids {
                fates.extend(rescan::objects(&world.cx, &owner, id, age_min).await.unwrap());
            }
            fates
        }
    }
}

async fn look_puts_a_lost_row_back(mode: Mode) {
    let world = World::in_mode(mode).await;
    let id = world.create("r").await;
    world.accept_set(&id, set(), |_, index| index < 3).await;
    // The database has lost its last commits.
    world.execute("DELETE FROM spool.segment WHERE index = 2", []).await;
    world.execute("DELETE FROM queue.job", []).await;
    assert!(look(&world, &[&id], Duration::from_secs(3600)).await.is_empty(), "young ones are left alone");
    let fates = look(&world, &[&id], Duration::ZERO).await;
    let restored = fates.iter().filter(|(_, fate)| *fate == Fate::Restored).count();
    assert_eq!((restored, fates.len()), (2, 6), "{fates:?}");
    for track in Track::ALL {
        let row = segments::get(&world.db, &id, track, Name::Media(2)).await.unwrap().unwrap();
        assert_eq!(row.row.state, State::Received);
        assert!(row.row.span.is_some());
    }
    assert_eq!(world.jobs(&id, domain::job::Kind::Upload, "live").await.len(), 1);
    let fates = look(&world, &[&id], Duration::ZERO).await;
    assert!(fates.iter().all(|(_, fate)| *fate == Fate::Awaited), "{fates:?}");
}

async fn look_removes_what_nobody_wants_and_keeps_what_accept_would_refuse(mode: Mode) {
    let world = World::in_mode(mode).await;
    let (gone, other) = (world.create("gone").await, world.create("other").await);
    for id in [&gone, &other] {
        world.accept_set(id, set(), |track, index| track == Track::Video && index < 2).await;
    }
    world.execute("UPDATE spool.recording SET state = 'cancelled' WHERE id = 'gone'", []).await;
    // One of the two still has its row.
    world.execute("DELETE FROM spool.segment WHERE recording_id = 'gone' AND index > 0", []).await;
    world.execute("DELETE FROM spool.segment WHERE index > 0 AND recording_id = 'other'", []).await;
    std::fs::write(&world.staged_of("other", "video-001")[0], b"torn").unwrap();
    let mut fates = look(&world, &[&gone, &other], Duration::ZERO).await;
    fates.sort_by_key(|(uri, _)| (uri.recording.clone(), uri.name));
    let fates: Vec<_> = fates.iter().map(|(uri, fate)| (uri.recording.as_str(), uri.name.index(), *fate)).collect();
    assert_eq!(
        fates,
        [("gone", 0, Fate::Removed), ("gone", 1, Fate::Removed), ("other", 0, Fate::Awaited), ("other", 1, Fate::Kept)]
    );
    assert_eq!(world.staged().len(), 2);
    // Kept for a day only.
    let torn = std::fs::File::options().write(true).open(&world.staged_of("other", "video-001")[0]).unwrap();
    let yesterday = torn.metadata().unwrap().modified().unwrap() - Duration::from_secs(25 * 3600);
    torn.set_modified(yesterday).unwrap();
    let fates = look(&world, &[&gone, &other], Duration::from_secs(3600)).await;
    assert_eq!(fates.iter().map(|(_, fate)| *fate).collect::<Vec<_>>(), [Fate::Removed]);
    assert_eq!(world.staged().len(), 1);
}

/// Two processes took in the same name, and the one that came second died before it removed what it staged.
async fn look_removes_what_two_uploads_of_one_name_left(mode: Mode) {
    let world = World::in_mode(mode).await;
    let id = world.create("r").await;
    let owner = OwnerId::parse("o").unwrap();
    world.accept_set(&id, set(), |track, index| track == Track::Video && index == 0).await;
    let stage = async |bytes: &[u8]| {
        let size_bytes = bytes.len() as u64;
        let mut incoming = world.cx.staging.receive(&owner, &id, Track::Video, Name::Init, size_bytes).await.unwrap();
        incoming.write(bytes).await.unwrap();
        incoming.commit().await.unwrap()
    };
    let same = stage(&set().tracks[&Track::Video].0).await;
    let others = stage(b"other bytes").await;
    let fates = look(&world, &[&id], Duration::ZERO).await;
    for (uri, fate) in &fates {
        let leftover = uri.is_same_upload(&same) || uri.is_same_upload(&others);
        assert_eq!(*fate, if leftover { Fate::Removed } else { Fate::Awaited }, "{uri}");
    }
    assert_eq!((fates.len(), world.staged().len()), (3, 1));
}
