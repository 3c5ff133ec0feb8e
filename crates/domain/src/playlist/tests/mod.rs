//! Tables of listings and playlists.

mod properties;

use super::*;
use crate::segment::CodecFacts;
use expect_test::{Expect, expect};

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_800_000_000_000 + ms).unwrap()
}

const PATIENCE: Duration = Duration::from_secs(30);

fn candidate(index: u32, start_ms: u64, duration_ms: u64, received_ms: i64) -> Candidate {
    Candidate {
        index,
        span: Span { timescale: 1000, start: start_ms, duration: duration_ms },
        starts_with_sync: true,
        received_at: at(received_ms),
    }
}

/// Segments of `length_ms` with their place shifted by `shift(index)`, received as soon as they end.
fn segments(indexes: &[u32], length_ms: u64, shift_ms: impl Fn(u32) -> u64) -> Vec<Candidate> {
    let one = |&index: &u32| {
        let start_ms = u64::from(index - 1) * length_ms + shift_ms(index);
        candidate(index, start_ms, length_ms, (start_ms + length_ms) as i64)
    };
    indexes.iter().map(one).collect()
}

fn side(track: Track, stored: Vec<Candidate>) -> Side {
    Side { track, init_stored: true, tail: Tail::default(), stored, awaited: vec![] }
}

fn words(append: &Append) -> String {
    let mut text = String::new();
    for row in &append.rows {
        let cut = if row.discontinuity { " discontinuity" } else { "" };
        let clock =
            row.program_date_time.map_or(String::new(), |clock| format!(" @{}", (clock - at(0)).num_milliseconds()));
        let kind = row.kind.as_str();
        text += &format!("{} {} {kind} {}{cut}{clock}\n", row.track, row.seq, to_ms(row.duration, row.timescale));
    }
    if let Some(until) = append.wait_until {
        text += &format!("wait until {}\n", (until - at(0)).num_milliseconds());
    }
    text
}

fn check_next(sides: Vec<Side>, now_ms: i64, expected: Expect) {
    expected.assert_eq(&words(&next(sides, at(now_ms), PATIENCE)));
}

#[test]
fn next_lists_both_tracks_in_order_of_their_indexes() {
    let video = side(Track::Video, segments(&[1, 2], 2000, |_| 0));
    let audio = side(Track::Audio, segments(&[1], 3000, |_| 0));
    check_next(
        vec![video, audio],
        4000,
        expect![[r#"
            video 1 media 2000 @0
            audio 1 media 3000 @0
            video 2 media 2000
        "#]],
    );
}

#[test]
fn next_lists_nothing_of_a_track_without_its_init() {
    let mut video = side(Track::Video, segments(&[1, 2], 2000, |_| 0));
    video.init_stored = false;
    check_next(vec![video], 100_000, expect![""]);
}

#[test]
fn next_waits_at_a_hole_then_lists_gaps_that_stay() {
    let video = || side(Track::Video, segments(&[1, 4], 2000, |_| 0));
    check_next(
        vec![video()],
        37_999,
        expect![[r#"
            video 1 media 2000 @0
            wait until 38000
        "#]],
    );
    check_next(
        vec![video()],
        38_000,
        expect![[r#"
            video 1 media 2000 @0
            video 2 gap 2000
            video 3 gap 2000
            video 4 media 2000
        "#]],
    );
    let mut late = side(Track::Video, segments(&[1, 2, 3, 4, 5], 2000, |_| 0));
    late.tail = Tail {
        index: 4,
        end_ms: Some(8000),
        media_end_ms: Some(8000),
        discontinuities: 0,
        anchor: Some(Anchor { start_ms: 0, at: at(0) }),
    };
    check_next(
        vec![late],
        40_000,
        expect![[r#"
        video 5 media 2000
    "#]],
    );
}

#[test]
fn next_waits_for_what_is_on_its_way_into_the_store() {
    let mut video = side(Track::Video, segments(&[1, 4], 2000, |_| 0));
    video.awaited = vec![3];
    check_next(
        vec![video],
        1_000_000,
        expect![[r#"
            video 1 media 2000 @0
            video 2 gap 2000
        "#]],
    );
}

#[test]
fn next_lists_a_hole_at_the_head_as_gaps() {
    check_next(
        vec![side(Track::Video, segments(&[3], 2000, |_| 0))],
        100_000,
        expect![[r#"
            video 1 gap 2000
            video 2 gap 2000
            video 3 media 2000 @4000
        "#]],
    );
}

#[test]
fn next_cuts_both_tracks_at_a_pause() {
    let pause = |from: u32| move |index: u32| if index >= from { 10_000 } else { 0 };
    let video = || side(Track::Video, segments(&[1, 2, 3, 4], 2000, pause(4)));
    let audio = |indexes: &[u32]| side(Track::Audio, segments(indexes, 3000, pause(3)));
    // The picture came back first: nobody knows yet whether the sound went on.
    check_next(
        vec![video(), audio(&[1, 2])],
        18_000,
        expect![[r#"
            video 1 media 2000 @0
            audio 1 media 3000 @0
            video 2 media 2000
            audio 2 media 3000
            video 3 media 2000
            wait until 48000
        "#]],
    );
    check_next(
        vec![video(), audio(&[1, 2, 3])],
        19_000,
        expect![[r#"
            video 1 media 2000 @0
            audio 1 media 3000 @0
            video 2 media 2000
            audio 2 media 3000
            video 3 media 2000
            audio 3 media 3000 discontinuity @16000
            video 4 media 2000 discontinuity @16000
        "#]],
    );
    check_next(
        vec![video()],
        18_000,
        expect![[r#"
            video 1 media 2000 @0
            video 2 media 2000
            video 3 media 2000
            video 4 media 2000 discontinuity @16000
        "#]],
    );
}

#[test]
fn next_writes_only_dates_that_playlist_and_row_can_hold() {
    let begin_ms = 100_000_000_000_000;
    let video = side(Track::Video, vec![candidate(1, begin_ms, 2000, 0)]);
    let audio = side(Track::Audio, vec![candidate(1, 0, 2000, 0)]);
    let long = side(Track::Video, vec![candidate(1, 0, begin_ms, 0)]);
    for sides in [vec![video, audio], vec![long]] {
        let rows = next(sides, at(4000), PATIENCE).rows;
        let years: Vec<_> = rows.iter().map(|row| row.program_date_time.unwrap().year()).collect();
        assert!(!years.is_empty() && years.iter().all(|year| (1..=9999).contains(year)), "{years:?}");
    }
}

#[test]
fn next_does_not_cut_where_only_one_track_jumps() {
    let video = side(Track::Video, segments(&[1, 2, 3, 4, 5, 6], 2000, |_| 0));
    let audio = side(Track::Audio, segments(&[1, 2, 3], 3000, |index| if index == 3 { 3000 } else { 0 }));
    check_next(
        vec![video, audio],
        12_000,
        expect![[r#"
            video 1 media 2000 @0
            audio 1 media 3000 @0
            video 2 media 2000
            audio 2 media 3000
            video 3 media 2000
            video 4 media 2000
            video 5 media 2000
            audio 3 media 3000
            video 6 media 2000
        "#]],
    );
}

#[test]
fn next_cuts_where_time_goes_back() {
    let back = |index: u32, start_ms| candidate(index, start_ms, 2000, 60_000);
    let video = side(Track::Video, vec![back(1, 50_000), back(2, 52_000), back(3, 0)]);
    let audio = side(Track::Audio, vec![back(1, 50_000), back(2, 52_000), back(3, 0)]);
    check_next(
        vec![video, audio],
        60_000,
        expect![[r#"
            video 1 media 2000 @58000
            audio 1 media 2000 @58000
            video 2 media 2000
            audio 2 media 2000
            video 3 media 2000 discontinuity @58000
            audio 3 media 2000 discontinuity @58000
        "#]],
    );
}

/// A recorder may send the highest index there is right behind the first one.
#[test]
fn next_appends_a_bounded_number_of_rows_and_says_that_there_are_more() {
    let stored = vec![candidate(1, 0, 2000, 2000), candidate(1800, 3_598_000, 2000, 3000)];
    let (mut listed, mut calls): (Vec<Listed>, _) = (vec![], 0);
    loop {
        let video = Side { tail: Tail::of(&listed), ..side(Track::Video, stored.clone()) };
        let append = next(vec![video], at(100_000), PATIENCE);
        assert!(append.rows.len() <= APPEND_MAX && append.wait_until.is_none());
        assert_eq!(append.more, append.rows.len() == APPEND_MAX);
        listed.extend(append.rows.into_iter().map(|row| list(row, &stored)));
        calls += 1;
        if !append.more {
            break;
        }
    }
    assert_eq!((listed.len(), calls), (1800, 1800 / APPEND_MAX + 1));
    assert!(listed.iter().zip(1..).all(|(listed, seq)| listed.row.seq == seq));
}

fn list(row: ListingRow, stored: &[Candidate]) -> Listed {
    let found = stored.iter().find(|candidate| candidate.index == row.index && row.kind == ListingKind::Media);
    Listed { span: found.map(|found| found.span), row }
}

#[test]
fn target_duration_is_twice_the_usual_or_the_first_segment() {
    let span = |duration| Span { timescale: 1000, start: 0, duration };
    assert_eq!([2000, 4000, 4001, 10_000].map(|ms| target_duration_s(span(ms))), [4, 4, 5, 10]);
    assert_eq!(target_duration_s(span(u64::MAX)), i32::MAX.unsigned_abs(), "more does not fit its row");
}

#[test]
fn segment_is_overlong_when_it_rounds_above_the_target() {
    let row = |duration| ListingRow {
        track: Track::Video,
        seq: 1,
        index: 1,
        kind: ListingKind::Media,
        duration,
        timescale: 1000,
        discontinuity: false,
        program_date_time: None,
    };
    assert_eq!([4000, 4499, 4500, 9000].map(|ms| is_overlong(&row(ms), 4)), [false, false, true, true]);
    assert!(is_overlong(&ListingRow { duration: u64::MAX, timescale: 0, ..row(0) }, u32::MAX));
}

#[test]
fn rendition_begins_with_what_the_first_segment_weighs() {
    let codec = CodecFacts {
        codec: "c".into(),
        timescale: 15_360,
        width: 2,
        height: 2,
        rotation: 0,
        channels: 0,
        sample_rate: 0,
    };
    let first =
        Weight { size_bytes: 250_000, span: Span { timescale: 15_360, start: 0, duration: 30_720 }, samples: 60 };
    let known = Rendition::begin(Track::Video, codec.clone(), Some(first));
    assert_eq!((known.peak_bps, known.average_bps, known.frame_rate_milli), (1_000_000, 1_000_000, Some(30_000)));
    let unknown = Rendition::begin(Track::Audio, codec.clone(), None);
    assert_eq!((unknown.peak_bps, unknown.frame_rate_milli), (160_000, None));
    let timeless = Weight { span: Span { timescale: 1, start: 0, duration: 0 }, ..first };
    let timeless = Rendition::begin(Track::Video, codec, Some(timeless));
    assert_eq!((timeless.peak_bps, timeless.frame_rate_milli), (0, None));
    let both = Renditions { video: Some(known), audio: Some(unknown) };
    assert_eq!(serde_json::from_str::<Renditions>(&serde_json::to_string(&both).unwrap()).unwrap(), both);
}

fn rows() -> Vec<ListingRow> {
    let video = side(Track::Video, segments(&[1, 3, 4], 2002, |index| if index == 4 { 9000 } else { 0 }));
    next(vec![video], at(100_000), PATIENCE).rows
}

#[test]
fn render_media_writes_what_the_rows_say() {
    let links = Links { prefix: "../hls/r/", suffix: "?token=t" };
    let rows = rows();
    let live = Snapshot { target_duration_s: 4, rows: &rows, ended: false, independent: true, from_start: true, links };
    let text = render_media(&live);
    expect![[r##"
        #EXTM3U
        #EXT-X-VERSION:7
        #EXT-X-START:TIME-OFFSET=0,PRECISE=YES
        #EXT-X-TARGETDURATION:4
        #EXT-X-MEDIA-SEQUENCE:1
        #EXT-X-PLAYLIST-TYPE:EVENT
        #EXT-X-MAP:URI="../hls/r/segments/video/init.mp4?token=t"
        #EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:00.000Z
        #EXTINF:2.002000,
        ../hls/r/segments/video/segment_001.m4s?token=t
        #EXT-X-GAP
        #EXTINF:2.002000,
        ../hls/r/segments/video/segment_002.m4s?token=t
        #EXTINF:2.002000,
        ../hls/r/segments/video/segment_003.m4s?token=t
        #EXT-X-DISCONTINUITY
        #EXT-X-PROGRAM-DATE-TIME:2027-01-15T08:00:15.006Z
        #EXTINF:2.002000,
        ../hls/r/segments/video/segment_004.m4s?token=t
    "##]]
    .assert_eq(&text);
    // A segment that is still to come could begin otherwise, so that all can be begun at is said with the end.
    let dependent = Snapshot { ended: true, independent: false, ..live };
    assert_eq!(render_media(&dependent), format!("{text}#EXT-X-ENDLIST\n"));
    let independent = render_media(&Snapshot { ended: true, ..live });
    assert!(independent.contains("#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n"), "{independent}");
    assert_eq!(independent.replace("#EXT-X-INDEPENDENT-SEGMENTS\n", ""), render_media(&dependent));
}

#[test]
fn render_multivariant_describes_what_there_is() {
    let codec = |codec: &str, width, height, channels| CodecFacts {
        codec: codec.into(),
        timescale: 1000,
        width,
        height,
        rotation: 0,
        channels,
        sample_rate: 48_000,
    };
    let (picture, sound) = (codec("avc1.640028", 1920, 1080, 0), codec("mp4a.40.2", 0, 0, 2));
    let video = Rendition {
        codec: picture,
        peak_bps: 5_000_000,
        average_bps: 4_000_000,
        frame_rate_milli: Some(29_970),
        independent: true,
    };
    let audio =
        Rendition { codec: sound, peak_bps: 128_000, average_bps: 127_000, frame_rate_milli: None, independent: true };
    let links = Links { prefix: "", suffix: "?token=t" };
    let mut tracks = Renditions { video: Some(video), audio: Some(audio) };
    let at = |ended: bool, renditions: &Renditions| {
        render_multivariant(&Multivariant { renditions, ended, from_start: false, links })
    };
    let render = |renditions: &Renditions| at(true, renditions);
    expect![[r##"
        #EXTM3U
        #EXT-X-VERSION:7
        #EXT-X-INDEPENDENT-SEGMENTS
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="default",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio.m3u8?token=t"
        #EXT-X-STREAM-INF:BANDWIDTH=5128000,AVERAGE-BANDWIDTH=4127000,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,FRAME-RATE=29.970,AUDIO="audio"
        video.m3u8?token=t
    "##]]
    .assert_eq(&render(&tracks));
    assert_eq!(at(false, &tracks), render(&tracks).replace("#EXT-X-INDEPENDENT-SEGMENTS\n", ""));
    tracks.video = None;
    tracks.audio.as_mut().unwrap().independent = false;
    expect![[r##"
        #EXTM3U
        #EXT-X-VERSION:7
        #EXT-X-STREAM-INF:BANDWIDTH=128000,AVERAGE-BANDWIDTH=127000,CODECS="mp4a.40.2"
        audio.m3u8?token=t
    "##]]
    .assert_eq(&render(&tracks));
}

/// Every time stamp of a first segment is accepted, however far it lies from that of the other track.
#[test]
fn next_gives_a_segment_beyond_the_calendar_a_wall_clock() {
    let far = candidate(2, 10_000_000_000_000_000, 2000, 4000);
    check_next(
        vec![side(Track::Video, vec![candidate(1, 0, 2000, 2000), far])],
        100_000,
        expect![[r#"
            video 1 media 2000 @0
            video 2 media 2000 discontinuity @2000
        "#]],
    );
}
