//! Objects that lie under the wrong name, or whose clock began anew: what the plan, the result and the status say.

use super::uploader::{Form, Place, Uploader, set, world};
use crate::support::packets;
use domain::mux::{GapCause, RepairKind};
use domain::recording::State;
use domain::segment::{Name, Track};

/// The bytes of a segment of the set, as if recorded by a clock that began anew `units` ago.
fn moved(track: Track, index: u32, units: i64) -> Vec<u8> {
    let mut bytes = set().tracks[&track].1[index as usize - 1].clone();
    let body = bytes.windows(4).position(|word| word == b"tfdt").unwrap() + 4;
    assert_eq!(bytes[body], 1);
    let time = bytes[body + 4..body + 12].first_chunk_mut::<8>().unwrap();
    *time = u64::from_be_bytes(*time).checked_add_signed(units).unwrap().to_be_bytes();
    bytes
}

fn start(track: Track, index: u32) -> i64 {
    let bytes = &set().tracks[&track].1[index as usize - 1];
    let body = bytes.windows(4).position(|word| word == b"tfdt").unwrap() + 4;
    i64::from_be_bytes(*bytes[body + 4..].first_chunk().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_swaps_and_a_new_clock_are_put_right_and_told() {
    let world = world(&Place::Folder, |_| {}).await;
    let worker = world.work();
    let video = |index: u32| set().tracks[&Track::Video].1[index as usize - 1].clone();

    let mut copied = Uploader::new(&world, "copied", Form::Objects).await;
    copied.put_bytes(Track::Video, Name::Media(4), &video(3)).await;
    copied.upload_without(|track, index| (track, index) == (Track::Video, 4)).await;

    let mut swapped = Uploader::new(&world, "swapped", Form::Objects).await;
    swapped.put_bytes(Track::Video, Name::Media(3), &video(4)).await;
    swapped.put_bytes(Track::Video, Name::Media(4), &video(3)).await;
    swapped.upload_without(|track, index| track == Track::Video && [3, 4].contains(&index)).await;

    let mut anew = Uploader::new(&world, "anew", Form::Objects).await;
    // Both begin after six seconds.
    let firsts = [(Track::Video, 4), (Track::Audio, 3)];
    for (track, first) in firsts {
        for index in first..=set().tracks[&track].1.len() as u32 {
            anew.put_bytes(track, Name::Media(index), &moved(track, index, -start(track, first))).await;
        }
    }
    anew.upload_without(|track, index| firsts.iter().any(|&(of, first)| of == track && index >= first)).await;

    let ready = world.until_state(&copied.id, State::Ready).await;
    let gaps: Vec<_> = ready.gaps.iter().map(|gap| (gap.track, gap.segments.clone(), gap.cause)).collect();
    assert_eq!(gaps, [(Track::Video, vec![4], GapCause::Duplicate)]);
    assert!((1900..2100).contains(&ready.gaps[0].duration_ms()), "{:?}", ready.gaps);

    let ready = world.until_state(&swapped.id, State::Ready).await;
    assert_eq!((ready.degraded, ready.gaps.len()), (false, 0));
    let plan = world.plan(&swapped.id, 1).await.unwrap();
    let sorted = plan.repairs.iter().filter(|repair| repair.kind == RepairKind::Sort);
    assert_eq!(sorted.map(|repair| repair.segment).collect::<Vec<_>>(), [4, 3]);
    // The very file that it would have been.
    let folder = tempfile::tempdir().unwrap();
    set().write_to(&folder.path().join("sent"));
    packets::assert_same_packets(&swapped.result(&folder).await, &folder.path().join("sent"));

    let ready = world.until_state(&anew.id, State::Ready).await;
    let gaps: Vec<_> = ready.gaps.iter().map(|gap| (gap.track, gap.cause)).collect();
    assert_eq!(gaps, [(Track::Video, GapCause::Epoch), (Track::Audio, GapCause::Epoch)]);
    let plan = world.plan(&anew.id, 1).await.unwrap();
    let seconds = plan.tracks.iter().map(|planned| {
        let init = media::init::Init::parse(planned.track, &set().tracks[&planned.track].0).unwrap();
        planned.segments.last().unwrap().shift as f64 / f64::from(init.timescale)
    });
    let seconds: Vec<f64> = seconds.collect();
    assert!((seconds[0] - seconds[1]).abs() < 0.0001 && seconds[0] > 5.0, "{seconds:?}");
    let result = anew.result(&folder).await;
    packets::assert_same_packets(&result, &folder.path().join("sent"));
    packets::assert_decodes(&result);
    worker.stop().await;
}
