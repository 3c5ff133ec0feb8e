//! Compares what players would be told at one time with what they were told before, and with the segments themselves.
//!
//! It knows the RFC and nothing of how playlists are made: m3u8-rs reads them, lines are compared as text, and how long
//! a segment lasts is read from its boxes.

use crate::serving::{Reply, Serving};
use crate::support::playlist;
use chrono::{DateTime, TimeDelta, Utc};
use domain::segment::Track;
use m3u8_rs::MediaSegment;
use media::init::Init;
use media::walk::{self, Accepted, Limits, Walker};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const LIMITS: Limits = Limits { size_max_bytes: 64 << 20, duration_max_ms: 3_600_000 };

/// Everything that viewers were told of one recording.
#[derive(Debug, Default)]
pub struct Checker {
    id: String,
    token: String,
    tracks: BTreeMap<Track, Told>,
    renditions: BTreeSet<Track>,
    index: String,
    target_duration_s: Option<u64>,
    /// The end may be said.
    pub may_end: bool,
    /// Segments that may be longer than the target duration.
    pub overlong: BTreeSet<(Track, u32)>,
}

/// Everything that was told of one track.
#[derive(Debug, Default)]
struct Told {
    head: Vec<String>,
    /// Lines of each segment, its URI last.
    segments: Vec<Vec<String>>,
    ended: bool,
    init: Option<Box<Init>>,
    bodies: u32,
}

/// A playlist cut into lines: those before the first segment, those of each segment, and whether it ends.
fn cut(text: &str) -> (Vec<String>, Vec<Vec<String>>, bool) {
    let (mut head, mut segments, mut open, mut ended) = (Vec::new(), Vec::new(), Vec::new(), false);
    let of_segment = ["#EXTINF", "#EXT-X-GAP", "#EXT-X-DISCONTINUITY", "#EXT-X-PROGRAM-DATE-TIME"];
    for line in text.lines() {
        assert!(!ended, "{line:?} behind the end");
        match line {
            "#EXT-X-ENDLIST" => ended = true,
            line if !line.starts_with('#') => {
                open.push(line.to_owned());
                segments.push(std::mem::take(&mut open));
            }
            line if of_segment.iter().any(|tag| line.starts_with(tag)) => open.push(line.to_owned()),
            line => {
                assert!(segments.is_empty() && open.is_empty(), "{line:?} behind the first segment");
                head.push(line.to_owned());
            }
        }
    }
    assert!(open.is_empty(), "tags without a segment: {open:?}");
    (head, segments, ended)
}

/// What is true of every segment can be said when there are all of them, and then stays; of a head nothing else changes.
fn without_independent<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    lines.filter(|line| *line != INDEPENDENT).collect()
}

const INDEPENDENT: &str = "#EXT-X-INDEPENDENT-SEGMENTS";

impl Told {
    /// Takes the next reload, unless it contradicts an earlier one.
    fn follow(&mut self, head: Vec<String>, segments: Vec<Vec<String>>, ended: bool) -> Result<(), String> {
        let same = without_independent(self.head.iter().map(String::as_str))
            == without_independent(head.iter().map(String::as_str));
        let says = |head: &[String]| head.iter().any(|line| line == INDEPENDENT);
        if says(&head) && !ended {
            return Err("it is said of segments that are still to come".to_owned());
        }
        if self.bodies > 0 && (!same || (says(&self.head) && !says(&head))) {
            return Err(format!("the head was {:#?}", self.head));
        }
        if !segments.starts_with(&self.segments) {
            return Err(format!("the segments were {:#?}", self.segments));
        }
        if self.ended && (!ended || segments.len() > self.segments.len()) {
            return Err("it had ended".to_owned());
        }
        (self.head, self.segments, self.ended) = (head, segments, ended);
        self.bodies += 1;
        Ok(())
    }
}

fn is_gap(segment: &MediaSegment) -> bool {
    segment.unknown_tags.iter().any(|tag| tag.tag == "X-GAP")
}

impl Checker {
    pub fn new(id: &str, token: &str) -> Checker {
        Checker { id: id.to_owned(), token: token.to_owned(), ..Checker::default() }
    }

    fn path(&self, name: &str) -> String {
        format!("/hls/{}/{name}?token={}", self.id, self.token)
    }

    /// Asks a serving process for everything and holds it against what any of them said before.
    pub async fn look(&mut self, serving: &Serving) {
        let index = serving.get(&self.path("index.m3u8")).await;
        if index.status == 404 {
            assert_eq!(index.header("cache-control"), "no-store");
            assert!(self.renditions.is_empty(), "the multivariant playlist is gone");
        } else {
            self.check_index(&index);
        }
        for track in Track::ALL {
            let reply = serving.get(&self.path(&format!("{track}.m3u8"))).await;
            let known = self.tracks.get(&track).is_some_and(|told| told.bodies > 0);
            if reply.status == 404 && !known {
                assert_eq!(reply.header("cache-control"), "no-store");
                continue;
            }
            assert_eq!(reply.status, 200, "{track}: {}", reply.text());
            self.check_media(serving, track, &reply.text()).await;
        }
    }

    /// Two processes say the same of the same rows, and each believes the other's tag.
    pub async fn same(&self, one: &Serving, other: &Serving) {
        for name in ["index.m3u8", "video.m3u8", "audio.m3u8"] {
            let path = self.path(name);
            let (a, b) = (one.get(&path).await, other.get(&path).await);
            assert_eq!((a.status, a.text()), (b.status, b.text()), "{name}");
            if a.status == 200 {
                let tag = a.header("etag").to_owned();
                assert!(tag.starts_with('"') && tag == b.header("etag"), "{name}: {tag} {}", b.header("etag"));
                assert_eq!(other.ask(&path, &[("If-None-Match", &tag)]).await.status, 304, "{name}");
            }
        }
    }

    fn check_index(&mut self, reply: &Reply) {
        let text = reply.text();
        assert_eq!(reply.status, 200, "{text}");
        let playlist = m3u8_rs::parse_master_playlist_res(text.as_bytes()).expect("a multivariant playlist");
        assert_eq!(playlist.variants.len(), 1, "{text}");
        let variant = &playlist.variants[0];
        assert!(variant.bandwidth > 0 && variant.average_bandwidth.is_some_and(|average| average <= variant.bandwidth));
        let codecs = variant.codecs.as_deref().unwrap_or_default();
        let mut renditions = BTreeSet::new();
        if variant.uri.starts_with("video.m3u8") {
            renditions.insert(Track::Video);
            assert!(variant.resolution.is_some() && codecs.contains("avc1."), "{text}");
        } else {
            assert!(variant.uri.starts_with("audio.m3u8") && variant.resolution.is_none(), "{text}");
            renditions.insert(Track::Audio);
        }
        for alternative in &playlist.alternatives {
            assert_eq!(variant.audio.as_deref(), Some(alternative.group_id.as_str()), "{text}");
            assert!(alternative.channels.is_some() && codecs.contains("mp4a."), "{text}");
            assert!(alternative.uri.as_ref().is_some_and(|uri| uri.starts_with("audio.m3u8")), "{text}");
            renditions.insert(Track::Audio);
        }
        for uri in text.lines().filter(|line| line.contains(".m3u8")) {
            assert!(uri.contains(&format!("m3u8?token={}", self.token)), "{uri}");
        }
        assert!(self.renditions.is_subset(&renditions), "a track is gone:\n{text}");
        let same = |old: &str| without_independent(old.lines()) == without_independent(text.lines());
        assert!(self.renditions != renditions || self.may_end || same(&self.index), "{}\n{text}", self.index);
        (self.renditions, self.index) = (renditions, text);
    }

    async fn check_media(&mut self, serving: &Serving, track: Track, text: &str) {
        let playlist = playlist::read(text);
        let (head, segments, ended) = cut(text);
        assert_eq!(playlist.segments.len(), segments.len(), "{text}");
        let target_duration_s = *self.target_duration_s.get_or_insert(playlist.target_duration);
        assert_eq!(playlist.target_duration, target_duration_s, "the target duration changed");
        assert!(!ended || self.may_end, "an end although it goes on:\n{text}");
        assert!(!segments.is_empty(), "an empty playlist");
        let told = self.tracks.entry(track).or_default();
        let known = told.segments.len();
        told.follow(head, segments, ended).unwrap_or_else(|wrong| panic!("{track}: {wrong}\n{text}"));
        if told.init.is_none() {
            let uri = &playlist.segments[0].map.as_ref().expect("a map").uri;
            told.init = Some(fetch_init(serving, &self.id, track, uri).await);
        }
        let init = told.init.clone().expect("it was just read");
        for (at, segment) in playlist.segments.iter().enumerate().skip(known) {
            self.check_segment(serving, track, at, segment, &init).await;
        }
    }

    async fn check_segment(&self, serving: &Serving, track: Track, at: usize, segment: &MediaSegment, init: &Init) {
        let index = u32::try_from(at).unwrap() + 1;
        let expected = format!("segments/{track}/segment_{index:03}.m4s?token={}", self.token);
        assert_eq!(segment.uri, expected);
        let target_duration_s = self.target_duration_s.expect("the head was read") as f32;
        let fits = segment.duration.round() <= target_duration_s || self.overlong.contains(&(track, index));
        assert!(fits, "{track} {index} lasts {}", segment.duration);
        let clock = segment.program_date_time.is_some();
        assert!(!segment.discontinuity || clock, "{track} {index}: a discontinuity without a wall clock");
        if is_gap(segment) {
            return;
        }
        let reply = serving.get(&format!("/hls/{}/{}", self.id, segment.uri)).await;
        assert_eq!(reply.status, 200, "{track} {index} is listed and cannot be fetched");
        let media = walk::media(init, &reply.bytes, LIMITS).expect("a segment of this track");
        let seconds = media.span.duration as f64 / f64::from(media.span.timescale);
        assert!(
            (f64::from(segment.duration) - seconds).abs() < 0.001,
            "{track} {index}: {} for {seconds}",
            segment.duration
        );
    }

    /// Tells it that the database was moved `by` into the past, wall clocks of listed segments too.
    pub fn advanced(&mut self, by: Duration) {
        let tag = "#EXT-X-PROGRAM-DATE-TIME:";
        for line in self.tracks.values_mut().flat_map(|told| &mut told.segments).flatten() {
            if let Some(at) = line.strip_prefix(tag) {
                let at = at.parse::<DateTime<Utc>>().unwrap() - TimeDelta::from_std(by).unwrap();
                *line = format!("{tag}{}", at.format("%Y-%m-%dT%H:%M:%S%.3fZ"));
            }
        }
    }

    /// Indexes that are shown as gaps.
    pub fn gaps(&self, track: Track) -> Vec<u32> {
        let told = self.tracks.get(&track).map_or(&[][..], |told| &told.segments);
        let gap = |lines: &Vec<String>| lines.iter().any(|line| line == "#EXT-X-GAP");
        (1..).zip(told).filter(|(_, lines)| gap(lines)).map(|(index, _)| index).collect()
    }

    /// How many segments were told of.
    pub fn count(&self, track: Track) -> usize {
        self.tracks.get(&track).map_or(0, |told| told.segments.len())
    }

    pub fn ended(&self, track: Track) -> bool {
        self.tracks.get(&track).is_some_and(|told| told.ended)
    }

    /// Wall clocks of the discontinuities of a track.
    fn cuts(&self, track: Track) -> Vec<DateTime<Utc>> {
        let told = self.tracks.get(&track).map_or(&[][..], |told| &told.segments);
        let cut = told.iter().filter(|lines| lines.iter().any(|line| line == "#EXT-X-DISCONTINUITY"));
        let clock = |lines: &Vec<String>| {
            let line = lines.iter().find_map(|line| line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:"));
            line.expect("each has one").parse().unwrap()
        };
        cut.map(clock).collect()
    }

    /// Discontinuities stand at the same points of both renditions, within one segment. Where a gap hides the pause from
    /// one track, only the other one is cut.
    pub fn check_cuts(&self) {
        let (video, audio) = (self.cuts(Track::Video), self.cuts(Track::Audio));
        let hidden = usize::from(Track::ALL.iter().any(|track| !self.gaps(*track).is_empty()));
        assert!(video.len().abs_diff(audio.len()) <= hidden, "{video:?} {audio:?}");
        if video.len() == audio.len() {
            let apart = |(a, b): (&DateTime<Utc>, &DateTime<Utc>)| (*a - *b).abs() > TimeDelta::seconds(3);
            assert!(hidden == 1 || !video.iter().zip(&audio).any(apart), "{video:?} {audio:?}");
        }
    }
}

async fn fetch_init(serving: &Serving, id: &str, track: Track, uri: &str) -> Box<Init> {
    assert!(uri.starts_with(&format!("segments/{track}/init.mp4?token=")), "{uri}");
    let reply = serving.get(&format!("/hls/{id}/{uri}")).await;
    assert_eq!(reply.status, 200, "the initialization section cannot be fetched");
    let mut walker = Walker::init(track, LIMITS);
    walker.push(&reply.bytes).unwrap();
    match walker.finish().unwrap() {
        Accepted::Init(init) => init,
        Accepted::Media(_) => panic!("a segment for an initialization section"),
    }
}

/// The checker finds what it is there for.
#[test]
fn checker_finds_what_a_reload_contradicts() {
    let first = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-GAP\n#EXTINF:2.0,\na\n#EXTINF:2.0,\nb\n";
    let follow = |next: &str| {
        let mut told = Told::default();
        let mut take = |text: &str| {
            let (head, segments, ended) = cut(text);
            told.follow(head, segments, ended)
        };
        take(first).and_then(|()| take(next))
    };
    let more = format!("{first}#EXTINF:2.0,\nc\n");
    for sound in [first, &more, &format!("{more}#EXT-X-ENDLIST\n")] {
        assert_eq!(follow(sound), Ok(()));
    }
    let changes = [
        ("#EXT-X-GAP\n", ""),
        ("DURATION:4", "DURATION:5"),
        ("2.0,\nb", "2.1,\nb"),
        ("\nb\n", "\nc\n"),
        ("#EXTINF:2.0,\nb\n", ""),
    ];
    for (from, to) in changes {
        assert!(follow(&first.replacen(from, to, 1)).is_err(), "{from:?} to {to:?}");
    }
    let independent = |text: &str| text.replacen("#EXTM3U\n", &format!("#EXTM3U\n{INDEPENDENT}\n"), 1);
    let end = format!("{more}#EXT-X-ENDLIST\n");
    assert_eq!(follow(&independent(&end)), Ok(()));
    assert!(follow(&independent(&more)).is_err(), "said of what is still to come");
    let mut told = Told::default();
    let mut take = |(head, segments, ended)| told.follow(head, segments, ended);
    assert!(take(cut(&independent(&end))).is_ok() && take(cut(&end)).is_err(), "said and taken back");
    let mut told = Told { ended: true, ..Told::default() };
    assert!(told.follow(vec![], vec![vec!["a".to_owned()]], true).is_err(), "a segment behind the end");
}

#[test]
fn checker_cuts_a_playlist_into_lines() {
    let text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-GAP\n#EXTINF:2.0,\na\n#EXTINF:2.0,\nb\n#EXT-X-ENDLIST\n";
    let (head, segments, ended) = cut(text);
    assert_eq!(head, ["#EXTM3U", "#EXT-X-VERSION:7"]);
    assert_eq!(segments, [vec!["#EXT-X-GAP", "#EXTINF:2.0,", "a"], vec!["#EXTINF:2.0,", "b"]]);
    assert!(ended);
}
