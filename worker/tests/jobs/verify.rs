//! What must hold of a result before it is published: it can be decoded, on every store; and a store that is away says
//! nothing about it.

use crate::support::s3::S3Server;
use crate::support::{PATIENCE, wait};
use crate::world::{World, set};
use domain::id::RecordingId;
use domain::job::{Kind, Queue};
use domain::recording::State;
use domain::segment::{Name, Track};
use worker::storage::{Call, Fault, Faults, Store};

/// Sends the set with its second picture segment damaged where only a decoder sees it: everything else is as it is told.
async fn accept_damaged(world: &World, id: &RecordingId) {
    for (track, name, bytes) in set().objects() {
        let mut bytes = bytes.to_vec();
        if (track, name) == (Track::Video, Name::Media(2)) {
            let mdat = bytes.windows(4).position(|name| name == b"mdat").unwrap() + 4;
            bytes[mdat..mdat + 2000].fill(0xff);
        }
        world.accept(id, track, name, &bytes).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_that_cannot_be_decoded_is_not_published_from_any_store() {
    let server = S3Server::start().await;
    let in_a_folder = World::new().await;
    let on_s3 = World::with(|config| config.storage = server.config()).await;
    for world in [in_a_folder, on_s3] {
        let worker = world.work();
        let (bad, good) = (world.create("bad").await, world.create("good").await);
        accept_damaged(&world, &bad).await;
        world.accept_set(&good, set(), |_, _| true).await;
        for id in [&bad, &good] {
            world.declare(id, set()).await;
            world.complete(id).await;
        }
        let failed = world.until_state(&bad, State::Failed).await;
        let (code, why) = failed.error.unwrap();
        assert_eq!(code, "libavformat", "{why}");
        assert!(why.contains("damaged") && failed.result.is_none(), "{why}");
        let served = world.until_state(&good, State::Ready).await.result.unwrap();
        assert_eq!(served.etag, world.cx.store.stat(&served.key).await.unwrap().unwrap().etag);
        worker.stop().await;
    }
}

/// The store goes away while the child is given its ranges: the attempt is tried again, and nobody calls the result
/// damaged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_that_fails_during_the_check_is_a_transient_fault() {
    let mut world = World::new().await;
    let faults = Faults::new();
    world.cx.store = Store::open_with(&world.cx.config.storage, &faults).await.unwrap();
    let mut reads = 0;
    for id in ["counted", "met"] {
        let id = world.create(id).await;
        let others = world.work_on(&[Queue::Ingest, Queue::Control]);
        world.accept_set(&id, set(), |_, _| true).await;
        world.declare(&id, set()).await;
        world.complete(&id).await;
        wait::until("the plan is frozen", PATIENCE, || async { world.plan(&id, 1).await }).await;
        others.stop().await;
        let before = faults.calls(Call::Read);
        if reads > 0 {
            // The last read of the attempt is one that the child asks for; a folder is not asked twice.
            faults.set(Call::Read, reads - 1..reads, Fault::Fail);
        }
        let muxing = world.work_on(&[Queue::Mux]);
        world.until_state(&id, State::Ready).await;
        world.until_ended(&id, Kind::Mux, "completed").await;
        muxing.stop().await;
        reads = faults.calls(Call::Read) - before;
    }
    let attempts = "SELECT count(*) FROM queue.attempt WHERE kind = 'mux' AND outcome = 1 AND error_class = 'storage' \
        AND error LIKE '%of the result at byte%'";
    assert_eq!(world.number(attempts, []).await, 1);
    assert_eq!(world.number("SELECT count(*) FROM queue.attempt WHERE kind = 'mux'", []).await, 3);
}
