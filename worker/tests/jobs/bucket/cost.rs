//! What a look costs, counted at the server.

use super::uploader::{Form, Place, Uploader, set, world};
use crate::support::{PATIENCE, S3Server, wait};
use domain::job::Queue;
use domain::segment::Track;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_costs_one_listing_and_what_is_new() {
    let place = Place::Server(S3Server::start().await);
    let Place::Server(server) = &place else { unreachable!("it is a server") };
    // Looks come when they are asked for.
    let rare = Duration::from_secs(3600);
    let world = world(&place, |config| {
        (config.bucket.look_min, config.bucket.look_max) = (rare, rare);
    })
    .await;
    let worker = world.work_on(&[Queue::Ingest]);
    let mut uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.until_looked(1).await;
    let look = async |uploader: &Uploader<'_>| {
        server.forget_counts();
        let before = uploader.looks().await;
        worker::bucket::watch(&world.db, &uploader.id, &domain::id::OwnerId::parse("o").unwrap()).await.unwrap();
        wait::until("it has been looked at", PATIENCE, async || (uploader.looks().await > before).then_some(())).await;
        let count = |operation: &str| server.count(operation);
        (count("ListObjectsV2"), count("GetObject"), count("HeadObject"))
    };
    assert_eq!(look(&uploader).await, (1, 0, 0), "nothing is there");
    uploader.put_all(|track, index| track == Track::Video && index <= 2).await;
    uploader.name(|track, index| track == Track::Video && index <= 2);
    uploader.put_manifest().await;
    assert_eq!(look(&uploader).await, (1, 1 + 1 + 1 + 2, 0), "manifest, section twice, a head of each segment");
    assert_eq!(look(&uploader).await, (1, 0, 0), "nothing is new");
    uploader.put(Track::Video, 3).await;
    assert_eq!(look(&uploader).await, (1, 1 + 1, 0), "the section, and one head");
    uploader.name(|track, index| track == Track::Video && index <= 3);
    uploader.put_manifest().await;
    assert_eq!(look(&uploader).await, (1, 1, 0), "the manifest is another one");

    // Behind a page of segments only what may be new is listed.
    let long = "INSERT INTO spool.listing (recording_id, track, seq, index, kind, duration, timescale) \
        SELECT 'r', 'video', i, i, 'gap', 2, 1 FROM generate_series(4, 900) AS i";
    world.execute(long, []).await;
    // This server's listings tell of no entity tags, so the manifest looks like another one when it is first asked for.
    assert_eq!(look(&uploader).await, (2, 1, 1));
    assert_eq!(look(&uploader).await, (2, 0, 1), "one listing a track, and whether the manifest is another one");
    uploader.put_bytes(Track::Video, domain::segment::Name::Media(901), &set().tracks[&Track::Video].1[3]).await;
    assert_eq!(look(&uploader).await, (2, 1 + 1, 1));
    assert_eq!(world.listing(&uploader.id).await.last().unwrap(), "video 901 media");
    worker.stop().await;
}

/// Some kilobytes of each segment are read, whatever its length.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn index_costs_a_few_kilobytes_of_each_segment() {
    let place = Place::Server(S3Server::start().await);
    let world = world(&place, |_| {}).await;
    let worker = world.work_on(&[Queue::Ingest]);
    let uploader = Uploader::new(&world, "r", Form::Objects).await;
    let Place::Server(server) = &place else { unreachable!("it is a server") };
    uploader.put(Track::Video, 0).await;
    uploader.put_all(|track, index| track == Track::Video && index > 0).await;
    uploader.until_listed(6).await;
    let reads = server.count("GetObject");
    assert!(reads <= 6 + 2 * 7, "a read of each segment and of the section before each look that finds some: {reads}");
    let payload: usize = set().tracks[&Track::Video].1.iter().map(Vec::len).sum();
    println!("{payload} bytes of payload");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewer_who_waits_hastens_the_look_once() {
    let world = world(&Place::Folder, |config| {
        let rare = Duration::from_secs(3600);
        (config.bucket.look_min, config.bucket.look_max) = (rare, rare);
    })
    .await;
    let worker = world.work_on(&[Queue::Ingest]);
    let uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.until_looked(1).await;
    uploader.put_all(|track, index| track == Track::Video && index <= 1).await;
    let recording = world.recording(&uploader.id).await;
    for _ in 0..20 {
        worker::bucket::hasten(&world.cx, &recording).await.unwrap();
    }
    uploader.until_listed(1).await;
    assert!(uploader.looks().await <= 3, "{}", uploader.looks().await);
    worker.stop().await;
}
