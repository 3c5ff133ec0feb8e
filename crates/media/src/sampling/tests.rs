use super::track::TrackSearch;
use super::*;
use crate::layout::SegmentPlace;
use std::collections::BTreeSet;

/// A track of segments of two seconds, a thousand bytes each.
fn segments(track: Track, indexes: impl IntoIterator<Item = u32>) -> (Track, Vec<SegmentPlace>) {
    let place = |index: u32| {
        let n = u64::from(index) - 1;
        let (from_us, to_us) = (n * 2_000_000, (n + 1) * 2_000_000);
        SegmentPlace { index, offset: n * 1000, samples: 60, sync: true, from_us, to_us, repaired: false }
    };
    (track, indexes.into_iter().map(place).collect())
}

/// What a world is like, and what a search made of it.
struct World {
    tracks: Vec<(Track, Vec<SegmentPlace>)>,
    /// Segments whose first picture cannot be decoded.
    heads: BTreeSet<(Track, u32)>,
    /// Segments of which a later sample cannot be decoded.
    bodies: BTreeSet<(Track, u32)>,
    framed: bool,
    /// From this video segment on the picture is another.
    changed: u32,
    looked: Vec<(Track, u32, u32)>,
    /// First byte of the sample at which damage is noticed.
    noticed: u64,
}

fn world(video: u32, audio: u32) -> World {
    let tracks = [(Track::Video, video), (Track::Audio, audio)];
    World {
        tracks: tracks.into_iter().filter(|(_, n)| *n > 0).map(|(track, n)| segments(track, 1..=n)).collect(),
        heads: BTreeSet::new(),
        bodies: BTreeSet::new(),
        framed: false,
        changed: u32::MAX,
        looked: Vec::new(),
        noticed: 0,
    }
}

impl World {
    fn see(&mut self, place: &Place) -> Seen {
        let index = u32::try_from(place.at_us / 2_000_000).unwrap() + 1;
        self.looked.push((place.track, index, place.samples));
        let bad = self.heads.contains(&(place.track, index))
            || (self.bodies.contains(&(place.track, index)) && place.samples >= 60);
        let side = if index >= self.changed { 640 } else { 320 };
        let picture = Picture { width: side, height: side, format: "yuv420p".to_owned() };
        let damage =
            Damage { offset: self.noticed, at_us: None, what: format!("bits of {index}"), framed: self.framed };
        Seen {
            samples: place.samples.into(),
            frames: u64::from(!bad),
            picture: (!bad && place.track == Track::Video).then_some(picture),
            damage: bad.then_some(damage),
        }
    }

    fn search(&mut self) -> Result<Findings, Unsound> {
        let tracks = self.tracks.iter().map(|(track, places)| TrackSearch::of_segments(*track, places)).collect();
        let mut search = Search::of(tracks);
        for _ in 0..200 {
            match search.ask() {
                Next::Done(found) => return found,
                Next::Look(places) => {
                    let seen: Vec<_> = places.iter().map(|place| self.see(place)).collect();
                    search.tell(&seen);
                }
            }
        }
        panic!("a search ends");
    }

    fn gaps(&mut self) -> Vec<(Track, u64, u64, Vec<u32>)> {
        let found = self.search().unwrap();
        found.gaps.into_iter().map(|gap| (gap.track, gap.from_ms, gap.to_ms, gap.segments)).collect()
    }
}

#[test]
fn sound_result_is_looked_at_once_and_in_few_places() {
    let mut world = world(900, 898);
    assert_eq!(world.search().unwrap().gaps, []);
    let of =
        |track| world.looked.iter().filter(move |(of, ..)| *of == track).map(|(_, index, samples)| (*index, *samples));
    let (video, audio): (Vec<_>, Vec<_>) = (of(Track::Video).collect(), of(Track::Audio).collect());
    assert_eq!((video.len(), video[0], video[21]), (22, (1, 1), (900, 60)));
    assert_eq!((audio.len(), audio[0], audio[7]), (8, (1, 8), (898, 60)));
}

#[test]
fn damage_is_narrowed_down_to_its_segments() {
    let mut world = world(200, 200);
    // What is sampled is found; what lies beside it is found with it, and only what is damaged is told.
    let sampled: Vec<u32> = {
        world.search().unwrap();
        world.looked.iter().filter(|(track, ..)| *track == Track::Video).map(|(_, index, _)| *index).collect()
    };
    let hit = sampled[7];
    world.heads.extend([(Track::Video, hit), (Track::Video, hit + 1)]);
    world.bodies.insert((Track::Video, hit - 1));
    let (from_ms, to_ms) = (u64::from(hit - 2) * 2000, u64::from(hit + 1) * 2000);
    assert_eq!(world.gaps(), [(Track::Video, from_ms, to_ms, vec![hit - 1, hit, hit + 1])]);
    assert_eq!(world.gaps(), world.gaps(), "the same answers, the same findings");
}

#[test]
fn end_of_a_track_is_decoded_whole() {
    let mut world = world(100, 50);
    world.bodies.extend([(Track::Video, 100), (Track::Audio, 50)]);
    assert_eq!(world.gaps(), [(Track::Video, 198_000, 200_000, vec![100]), (Track::Audio, 98_000, 100_000, vec![50])]);
}

#[test]
fn everything_damaged_is_no_result_unless_it_is_the_sound_beside_a_picture() {
    let mut sight = world(30, 30);
    sight.heads.extend((1..=30).map(|n| (Track::Video, n)));
    assert!(matches!(sight.search(), Err(Unsound::Nothing { track: Track::Video, .. })));
    let mut alone = world(0, 30);
    alone.heads.extend((1..=30).map(|n| (Track::Audio, n)));
    assert!(matches!(alone.search(), Err(Unsound::Nothing { track: Track::Audio, .. })));
    let mut beside = world(30, 30);
    beside.heads.extend((1..=30).map(|n| (Track::Audio, n)));
    assert_eq!(beside.gaps(), [(Track::Audio, 0, 60_000, (1..=30).collect())]);
}

#[test]
fn another_picture_names_its_first_segment() {
    for changed in [2, 117, 256, 300] {
        let mut other = world(300, 0);
        other.changed = changed;
        let Err(Unsound::ConfigChange { segment, from, to, .. }) = other.search() else { panic!("{changed}") };
        assert_eq!((segment, from.unwrap().width, to.unwrap().width), (Some(changed), 320, 640));
        assert!(other.looked.len() < 40, "{}", other.looked.len());
    }
}

#[test]
fn whole_bytes_that_never_decode_again_are_another_recorders() {
    let mut foreign = world(300, 0);
    foreign.framed = true;
    foreign.heads.extend((117..=300).map(|n| (Track::Video, n)));
    let Err(unsound @ Unsound::ConfigChange { .. }) = foreign.search() else { panic!("it is one") };
    assert!(unsound.to_string().starts_with("from video segment 117 on (232.000 s) no picture"), "{unsound}");

    // Not so the last one or two, nor what decodes again, nor garbage.
    for (from, to, framed) in [(299, 300, true), (1, 299, true), (280, 300, false)] {
        let mut damaged = world(300, 0);
        damaged.framed = framed;
        damaged.heads.extend((from..=to).map(|n| (Track::Video, n)));
        let gaps = damaged.gaps();
        assert_eq!(gaps.len(), 1, "{from}..{to}");
        assert!(gaps[0].3.contains(&from) && gaps[0].3.contains(&to), "{gaps:?}");
    }
}

#[test]
fn damage_without_end_is_told_and_costs_a_bounded_number_of_looks() {
    let mut ruined = world(5000, 0);
    ruined.heads.extend((2..=5000).filter(|n| n % 3 > 0).map(|n| (Track::Video, n)));
    let gaps = ruined.gaps();
    assert!(ruined.looked.len() <= 600, "{}", ruined.looked.len());
    let told: BTreeSet<u32> = gaps.into_iter().flat_map(|(.., segments)| segments).collect();
    let seen =
        ruined.looked.iter().map(|(_, index, _)| *index).filter(|index| ruined.heads.contains(&(Track::Video, *index)));
    assert!(seen.into_iter().all(|index| told.contains(&index)), "rather too much than too little");
}

#[test]
fn what_was_put_right_is_looked_at() {
    let mut world = world(900, 0);
    for n in [111, 222] {
        world.tracks[0].1[n].repaired = true;
    }
    world.search().unwrap();
    for index in [112, 223] {
        assert!(world.looked.contains(&(Track::Video, index, 60)), "{index}");
    }
}

#[test]
fn segment_that_begins_between_two_sync_samples_goes_with_the_one_before_it() {
    let mut world = world(6, 0);
    world.tracks[0].1[2].sync = false;
    world.heads.insert((Track::Video, 2));
    assert_eq!(world.gaps(), [(Track::Video, 2000, 6000, vec![2, 3])]);
}

#[test]
fn what_precedes_the_damage_behind_the_only_sync_sample_stays() {
    let mut world = world(6, 0);
    world.tracks[0].1[1..].iter_mut().for_each(|place| place.sync = false);
    world.heads.insert((Track::Video, 1));
    // Noticed in the third segment: what the decoder was given before it came out.
    world.noticed = 2999;
    assert_eq!(world.gaps(), [(Track::Video, 4000, 12_000, vec![3, 4, 5, 6])]);
    world.noticed = 999;
    assert!(matches!(world.search(), Err(Unsound::Nothing { .. })), "in the first");
}

#[test]
fn only_whole_units_are_framed() {
    let unit = |len: u32, first: u8| [&len.to_be_bytes()[..], &[first], &vec![0; len as usize - 1]].concat();
    assert!(is_framed(&[unit(3, 0x65), unit(700, 0x41)].concat()));
    for bad in [
        vec![],
        vec![0; 8],
        vec![0xff; 40],
        unit(9, 0x80),
        unit(9, 0x65)[..12].to_vec(),
        [unit(3, 1), vec![0; 3]].concat(),
    ] {
        assert!(!is_framed(&bad), "{bad:?}");
    }
}

/// What follows a segment belongs to another, even where a demuxer leaves samples of this one out.
#[test]
fn place_ends_where_the_next_one_begins() {
    let (track, places) = segments(Track::Audio, 1..=3);
    let search = TrackSearch::of_segments(track, &places);
    let until: Vec<_> = search.sampled(20).into_iter().map(|wanted| search.place(wanted).until).collect();
    assert_eq!(until, [Some(1000), Some(2000), None]);
}
