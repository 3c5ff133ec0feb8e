//! What a look costs, counted at the server.

use super::uploader::{Form, Place, Uploader, set, world};
use crate::support::{PATIENCE, Proxy, S3Server, Set, wait};
use domain::id::OwnerId;
use domain::job::Queue;
use domain::segment::{Name, Track};
use media::ff::synth;
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
        worker::bucket::watch(&world.db, &uploader.id, &OwnerId::parse("o").unwrap()).await.unwrap();
        wait::until("it has been looked at", PATIENCE, async || (uploader.looks().await > before).then_some(())).await;
        let count = |operation: &str| server.count(operation);
        (count("ListObjectsV2"), count("GetObject"), count("HeadObject"))
    };
    assert_eq!(look(&uploader).await, (1, 0, 0), "nothing is there");
    uploader.put_all(|track, index| track == Track::Video && index <= 2).await;
    uploader.name(|track, index| track == Track::Video && index <= 2);
    uploader.put_manifest().await;
    assert_eq!(look(&uploader).await, (1, 1 + 1 + 2, 0), "manifest, section, a head of each segment");
    assert_eq!(look(&uploader).await, (1, 0, 0), "nothing is new");
    uploader.put(Track::Video, 3).await;
    assert_eq!(look(&uploader).await, (1, 1, 0), "one head");
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
    uploader.put_bytes(Track::Video, Name::Media(901), &set().tracks[&Track::Video].1[3]).await;
    assert_eq!(look(&uploader).await, (2, 1, 1));
    assert_eq!(world.listing(&uploader.id).await.last().unwrap(), "video 901 media");
    worker.stop().await;
}

/// Everything that goes over the wire while segments are looked at: listings and heads, next to nothing of the payload.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn index_costs_a_few_hundredths_of_the_payload() {
    let place = Place::Server(S3Server::start().await);
    let Place::Server(server) = &place else { unreachable!("it is a server") };
    let wire = Proxy::to(&[server.address()]).await;
    let rare = Duration::from_secs(3600);
    let world = world(&place, |config| {
        config.storage.endpoint = wire.before(&config.storage.endpoint);
        (config.bucket.look_min, config.bucket.look_max) = (rare, rare);
    })
    .await;
    let worker = world.work_on(&[Queue::Ingest]);
    let config = synth::Config { width: 1280, height: 720, ..synth::Config::default() };
    let set = Set::of(&config, Duration::from_secs(6));
    let uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.until_looked(1).await;
    let mut payload = 0;
    for (track, name, bytes) in set.objects().into_iter().filter(|(track, ..)| *track == Track::Video) {
        uploader.put_bytes(track, name, bytes).await;
        payload += bytes.len() as u64;
    }
    server.forget_counts();
    let before = wire.counts().down_bytes;
    worker::bucket::watch(&world.db, &uploader.id, &OwnerId::parse("o").unwrap()).await.unwrap();
    uploader.until_listed(3).await;
    let read = wire.counts().down_bytes - before;
    assert_eq!(server.count("GetObject"), 1 + 3, "the section, and a head of each segment");
    assert!(read * 25 < payload, "{read} bytes were read of {payload}");
    worker.stop().await;
}

/// A long recording that is already there is indexed in the time of a few reads: as many are under way as the setting
/// says, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_are_read_many_at_once() {
    let place = Place::Server(S3Server::start().await);
    let Place::Server(server) = &place else { unreachable!("it is a server") };
    let rare = Duration::from_secs(3600);
    let world = world(&place, |config| (config.bucket.look_min, config.bucket.look_max) = (rare, rare)).await;
    let worker = world.work_on(&[Queue::Ingest]);
    let uploader = Uploader::new(&world, "r", Form::Objects).await;
    uploader.until_looked(1).await;
    let (init, segments) = &set().tracks[&Track::Video];
    uploader.put_bytes(Track::Video, Name::Init, init).await;
    for index in 1..=100 {
        uploader.put_bytes(Track::Video, Name::Media(index), &segments[index as usize % segments.len()]).await;
    }
    server.forget_counts();
    server.slow_reads(Duration::from_millis(100));
    worker::bucket::watch(&world.db, &uploader.id, &OwnerId::parse("o").unwrap()).await.unwrap();
    let stored = "SELECT count(*) FROM spool.segment WHERE state = 'stored' AND index > 0";
    wait::until("all are taken in", PATIENCE, async || (world.number(stored, []).await == 100).then_some(())).await;
    assert_eq!(server.count("GetObject"), 101, "one read a head");
    let reads_max = u64::from(worker::bucket::Config::default().reads_max);
    assert!((32..=64).contains(&reads_max) && server.most_reads() <= reads_max, "{}", server.most_reads());
    assert!(server.most_reads() > reads_max / 2, "{}", server.most_reads());
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
    for _ in 0..20 {
        worker::bucket::hasten(&world.cx, &uploader.id).await.unwrap();
    }
    uploader.until_listed(1).await;
    assert!(uploader.looks().await <= 3, "{}", uploader.looks().await);
    worker.stop().await;
}
