//! Every order of arrival, through the real way of a segment.

use crate::checker::Checker;
use crate::serving::{Serving, checked, settings, settled, token};
use crate::support::{PATIENCE, Set, invariants, wait};
use crate::world::World;
use domain::id::RecordingId;
use domain::invariant;
use domain::job::Queue;
use domain::segment::{Name, Track};
use rand::prelude::*;
use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

/// Cases: few, each of them through a real database, a real store and the real job.
const CASES: u64 = 2;

/// The seed of a case that failed, to see it again.
const AGAIN: Option<u64> = None;

/// Longer than viewers wait for a hole.
const BEYOND_GAP: Duration = Duration::from_secs(31);

fn set() -> &'static Set {
    static SET: OnceLock<Set> = OnceLock::new();
    SET.get_or_init(|| Set::synthetic(Duration::from_secs(14)))
}

/// Moves a segment later on its time axis: as a recorder does after a pause.
pub fn delay(bytes: &[u8], by: Duration, timescale: u32) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let units = u64::try_from(by.as_millis()).unwrap() * u64::from(timescale) / 1000;
    let mut found = 0;
    for at in 0..bytes.len().saturating_sub(16) {
        if &bytes[at..at + 4] == b"tfdt" && bytes[at - 4..at] == 20u32.to_be_bytes() {
            let time = u64::from_be_bytes(bytes[at + 8..at + 16].try_into().unwrap());
            bytes[at + 8..at + 16].copy_from_slice(&(time + units).to_be_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "a segment has a 64-bit time");
    bytes
}

fn timescale(init: &[u8]) -> u32 {
    let at = init.windows(4).position(|kind| kind == b"mdhd").expect("an initialization section has a media header");
    let version_1 = init[at + 4] == 1;
    let at = at + if version_1 { 24 } else { 16 };
    u32::from_be_bytes(init[at..at + 4].try_into().unwrap())
}

/// One object as it will arrive.
struct Parcel {
    track: Track,
    name: Name,
    bytes: Vec<u8>,
}

/// What one case does.
struct Plan {
    on_time: Vec<Parcel>,
    late: Vec<Parcel>,
    lost: BTreeSet<(Track, u32)>,
    pause: bool,
}

fn plan(rng: &mut StdRng) -> Plan {
    let pause = rng.random_bool(0.6).then(|| (rng.random_range(3..=6), Duration::from_secs(rng.random_range(5..60))));
    let mut plan = Plan { on_time: vec![], late: vec![], lost: BTreeSet::new(), pause: pause.is_some() };
    for (track, name, bytes) in set().objects() {
        let init = &set().tracks[&track].0;
        let delayed = pause.filter(|(from, _)| name.index() >= *from);
        let bytes = delayed.map_or_else(|| bytes.to_vec(), |(_, by)| delay(bytes, by, timescale(init)));
        let (parcel, last) = (Parcel { track, name, bytes }, set().last_index(track));
        let may_miss = name.index() > 1 && (name.index() as usize) < last;
        match rng.random_range(0..10) {
            0 if may_miss => drop(plan.lost.insert((track, name.index()))),
            1 if may_miss => plan.late.push(parcel),
            _ => plan.on_time.push(parcel),
        }
    }
    // A recorder sends what it has in order, several at once, and again what failed: neighbours change places, an
    // initialization section comes before its segments or accept refuses them.
    for at in 0..plan.on_time.len() {
        let other = (at + rng.random_range(0..5)).min(plan.on_time.len() - 1);
        plan.on_time.swap(at, other);
    }
    plan.on_time.sort_by_key(|parcel| parcel.name != Name::Init);
    plan
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn playlists_only_grow_whatever_the_order_of_arrival() {
    let world = World::with(settings).await;
    let worker = world.work_on(&[Queue::Ingest, Queue::Control]);
    for case in 0..CASES {
        let seed = AGAIN.unwrap_or_else(|| rand::rng().random());
        eprintln!("case {case}: seed {seed}");
        one(&world, &format!("r{case}"), StdRng::seed_from_u64(seed)).await;
    }
    worker.stop().await;
}

async fn one(world: &World, id: &str, mut rng: StdRng) {
    let id = world.create(id).await;
    let mut checker = Checker::new(id.as_str(), &token(world, &id));
    let mut serving = [Serving::start(world).await, Serving::start(world).await];
    let Plan { mut on_time, late, lost, pause } = plan(&mut rng);
    while !on_time.is_empty() {
        let some = rng.random_range(1..=6).min(on_time.len());
        for Parcel { track, name, bytes } in on_time.drain(..some) {
            world.accept(&id, track, name, &bytes).await.unwrap_or_else(|error| panic!("{track}/{name}: {error}"));
        }
        if rng.random_bool(0.5) {
            // In the middle of it, whatever is listed at this moment.
            checker.look(&serving[rng.random_range(0..2)]).await;
        }
        settled(world, &id).await;
        if rng.random_bool(0.2) {
            serving[rng.random_range(0..2)] = Serving::start(world).await;
        }
        for one in serving.iter().sample(&mut rng, 2) {
            checker.look(one).await;
        }
        checker.same(&serving[0], &serving[1]).await;
    }
    let before = picture(world).await;
    world.advance(BEYOND_GAP).await;
    checker.advanced(BEYOND_GAP);
    let missing: BTreeSet<_> = late.iter().map(|parcel| (parcel.track, parcel.name.index())).chain(lost).collect();
    until_listed(world, &id).await;
    checker.look(&serving[0]).await;
    checker.same(&serving[0], &serving[1]).await;
    for Parcel { track, name, bytes } in late {
        world.accept(&id, track, name, &bytes).await.unwrap_or_else(|error| panic!("{track}/{name}: {error}"));
    }
    settled(world, &id).await;
    serving[0] = Serving::start(world).await;
    checker.look(&serving[0]).await;
    for track in Track::ALL {
        let expected: Vec<_> = missing.iter().filter(|(of, _)| *of == track).map(|(_, index)| *index).collect();
        assert_eq!(checker.gaps(track), expected, "{track}: what came late stays a gap");
        assert_eq!(checker.count(track), set().last_index(track));
    }
    checker.check_cuts();
    assert!(pause || Track::ALL.iter().all(|track| !checker.ended(*track)));
    end(world, &id, &mut checker, &serving).await;
    let breaches = invariant::check(&before, &picture(world).await);
    let listed = breaches.iter().filter(|breach| breach.starts_with("R-11")).collect::<Vec<_>>();
    assert!(listed.is_empty(), "{listed:?}");
}

/// Everything as it is, without the wall clocks, which [`World::advance`] moves.
async fn picture(world: &World) -> invariant::World {
    let mut picture = invariants::picture(&world.cx).await;
    for row in picture.recordings.iter_mut().flat_map(|recording| &mut recording.listing) {
        row.program_date_time = None;
    }
    picture
}

async fn until_listed(world: &World, id: &RecordingId) {
    let all = set().last_index(Track::Video) + set().last_index(Track::Audio);
    let sql = "SELECT count(*) FROM spool.listing WHERE recording_id = $1";
    wait::until("everything is listed", PATIENCE, async || {
        (world.number(sql, [id.as_str().into()]).await == all as i64).then_some(())
    })
    .await;
}

/// The end is said once it is final, and then for ever, whatever else happens.
async fn end(world: &World, id: &RecordingId, checker: &mut Checker, serving: &[Serving; 2]) {
    world.declare(id, set()).await;
    checker.may_end = true;
    world.complete(id).await;
    checked(world, id).await;
    let beyond = Duration::from_secs(601);
    world.advance(beyond).await;
    checker.advanced(beyond);
    let sql = "SELECT count(*) FROM spool.recording WHERE id = $1 AND listing_ended_at IS NOT NULL";
    wait::until("the listing has ended", PATIENCE, async || {
        (world.number(sql, [id.as_str().into()]).await == 1).then_some(())
    })
    .await;
    checker.look(&serving[0]).await;
    checker.look(&serving[1]).await;
    checker.same(&serving[0], &serving[1]).await;
    assert!(Track::ALL.iter().all(|track| checker.ended(*track)));
}
