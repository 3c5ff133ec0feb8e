//! `result.json`, beside a later result `result.v{n}.json`: what a result is made of, for whoever wants to check it against its segments.

use super::Checked;
use crate::context::Context;
use crate::db::plans::Frozen;
use crate::storage;
use domain::corrupt::together;
use domain::id::Sha256;
use domain::key::{Keys, Object};
use domain::mux::{Gap, Plan, Repair, ResultFacts, TrackFacts};
use domain::segment::{CodecFacts, Track, to_ms};
use media::layout::Layout;
use media::mux::Payload;
use media::readback::Readback;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Form of this document; whoever reads it may rely on every field of `docs/result-json.md` of this number.
pub const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Facts<'a> {
    schema: u32,
    status: &'static str,
    result: &'a str,
    bytes: u64,
    sha256: Option<Sha256>,
    etag: Option<&'a str>,
    duration_ms: u64,
    declared_duration_ms: Option<u64>,
    engine: &'static str,
    plan_version: u32,
    layout_version: u32,
    plan_sha256: Sha256,
    tail_confirmed: bool,
    /// How much later the sound begins and ends than the picture; negative: earlier.
    av_offset_ms: Option<i64>,
    av_end_offset_ms: Option<i64>,
    tracks: Vec<TrackStory<'a>>,
    gaps: Vec<Gap>,
    repairs: &'a [Repair],
    decoded: DecodedFacts<'a>,
    segments: Vec<SegmentFacts>,
}

#[derive(Serialize)]
struct TrackStory<'a> {
    kind: Track,
    codec: &'a str,
    packets: u64,
    payload_bytes: u64,
    payload_crc32c: Option<String>,
    start_ms: Option<u64>,
    duration_ms: u64,
    /// Units per second of the two exact lengths behind it.
    timescale: u32,
    /// Length of the track in the result.
    duration: u64,
    /// Sum of the durations that the samples were recorded with. What `duration` is more or less by was held, filled in,
    /// cut or shrunk.
    recorded_duration: Option<u64>,
    silent_packets: u64,
    /// Where they are.
    silences: Vec<SilenceFacts>,
}

#[derive(Serialize)]
struct SilenceFacts {
    from_ms: u64,
    to_ms: u64,
    packets: u32,
}

#[derive(Serialize)]
struct DecodedFacts<'a> {
    places: u64,
    packets: u64,
    frames: u64,
    damage: Option<&'a str>,
}

#[derive(Serialize)]
struct SegmentFacts {
    track: Track,
    index: u32,
    bytes: u64,
    sha256: Option<Sha256>,
    /// Where its samples lie in the result: first byte and number of bytes, ascending.
    ranges: Vec<(u64, u64)>,
}

/// What an earlier attempt said of the result that it made and verified.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Told {
    /// Length of the object.
    pub bytes: u64,
    /// Its digest, where one was made.
    pub sha256: Option<Sha256>,
    /// Its entity tag, where the store has one.
    #[serde(default)]
    pub etag: Option<String>,
    layout_version: u32,
    plan_sha256: Sha256,
    /// What it lacks.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    result: String,
    #[serde(default)]
    tracks: Vec<ToldTrack>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct ToldTrack {
    kind: Track,
    packets: u64,
    payload_bytes: u64,
    duration: u64,
    timescale: u32,
}

impl Told {
    /// Key of the result, if it is one of a single attempt.
    pub fn key_of_attempt(&self, keys: &Keys) -> Option<String> {
        let key = format!("{}{}", keys.prefix(), self.result);
        matches!(keys.parse(&key), Some(Object::ResultOfEpoch(..))).then_some(key)
    }

    /// What the result is by this word.
    pub fn facts(&self) -> ResultFacts {
        let facts = |told: &ToldTrack| TrackFacts {
            track: told.kind,
            samples: told.packets,
            payload_bytes: told.payload_bytes,
            duration: told.duration,
            timescale: told.timescale,
        };
        ResultFacts { size_bytes: self.bytes, faststart: true, tracks: self.tracks.iter().map(facts).collect() }
    }

    /// It speaks of the object that was just looked at, and of what was found in it.
    pub fn is_of(&self, checked: &Checked, plan: &Plan) -> bool {
        let gaps = together(&plan.gaps, &checked.findings.gaps);
        self.bytes == checked.readback.facts.size_bytes && self.etag == checked.etag && self.gaps == gaps
    }
}

/// What was said of the result of this very plan; `None` when nothing was. It is said after the result was verified, so
/// whoever finds it need not make the result again.
///
/// # Errors
/// The store's.
pub async fn told(cx: &Context, keys: &Keys, plan: &Plan, plan_sha256: Sha256) -> Result<Option<Told>, storage::Error> {
    let bytes = match cx.store.get(&keys.result_json(plan.version)).await {
        Err(storage::Error::NotFound { .. }) => return Ok(None),
        bytes => bytes?,
    };
    // What cannot be read is no word of this build: the result is made again.
    let told = serde_json::from_slice::<Told>(&bytes).ok();
    Ok(told.filter(|told| told.plan_sha256 == plan_sha256 && told.layout_version == plan.layout_version))
}

/// A result and how it came to be.
#[derive(Debug)]
pub struct Story<'a> {
    /// What it was made by.
    pub frozen: &'a Frozen,
    /// What was found when it was looked at.
    pub checked: &'a Checked,
    /// Its key.
    pub key: &'a str,
    /// Its digest, if one was made.
    pub sha256: Option<Sha256>,
    /// How long the recorder said that it recorded, by its own clock.
    pub declared_ms: Option<u64>,
    /// Who wrote it: `index` or `libavformat`.
    pub engine: &'static str,
    /// Where its segments lie in it, and what of them; `None` when the engine does not say.
    pub laid: Option<(&'a Layout, &'a [Payload])>,
}

/// The text of `result.json`.
pub fn describe(story: &Story<'_>) -> String {
    let Story { frozen, checked, key, sha256, declared_ms, engine, laid } = *story;
    let Frozen { plan, sha256: plan_sha256, .. } = frozen;
    let Checked { readback, etag, findings } = checked;
    let gaps = together(&plan.gaps, &findings.gaps);
    let tracks = tracks(readback, laid);
    let facts = Facts {
        schema: SCHEMA,
        status: if gaps.is_empty() { "complete" } else { "degraded" },
        result: key.rsplit('/').next().unwrap_or(key),
        bytes: readback.facts.size_bytes,
        sha256,
        etag: etag.as_deref(),
        duration_ms: readback.duration_ms,
        declared_duration_ms: declared_ms,
        engine,
        plan_version: plan.version,
        layout_version: plan.layout_version,
        plan_sha256: *plan_sha256,
        tail_confirmed: plan.tail_confirmed,
        av_offset_ms: apart(&tracks, |track| track.start_ms),
        av_end_offset_ms: apart(&tracks, |track| track.start_ms.map(|start_ms| start_ms + track.duration_ms)),
        tracks,
        gaps,
        repairs: &plan.repairs,
        decoded: DecodedFacts {
            places: findings.places,
            packets: findings.samples,
            frames: findings.frames,
            damage: findings.what.as_deref(),
        },
        segments: laid.map(|(layout, _)| segments(layout)).unwrap_or_default(),
    };
    serde_json::to_string(&facts).expect("facts are JSON")
}

fn tracks<'a>(readback: &'a Readback, laid: Option<(&Layout, &[Payload])>) -> Vec<TrackStory<'a>> {
    let times: Vec<_> = laid.map(|(layout, _)| layout.times().collect()).unwrap_or_default();
    let recorded = laid.map(|(layout, _)| layout.recorded()).unwrap_or_default();
    let payload = laid.map_or(&[][..], |(_, payload)| payload);
    let track = |(n, (facts, codec)): (usize, (&TrackFacts, &'a CodecFacts))| TrackStory {
        kind: facts.track,
        codec: &codec.codec,
        packets: facts.samples,
        payload_bytes: facts.payload_bytes,
        payload_crc32c: payload.get(n).and_then(|payload| payload.crc32c).map(|sum| format!("{sum:08x}")),
        start_ms: times.get(n).map(|times| times.start_ms()),
        duration_ms: times.get(n).map_or_else(|| to_ms(facts.duration, facts.timescale), |times| times.duration_ms()),
        timescale: facts.timescale,
        duration: facts.duration,
        recorded_duration: recorded.get(n).map(|recorded| recorded.duration),
        silent_packets: recorded.get(n).map_or(0, |recorded| facts.samples.saturating_sub(recorded.samples)),
        silences: times.get(n).map(|times| times.silences.iter().map(told_silence).collect()).unwrap_or_default(),
    };
    readback.facts.tracks.iter().zip(&readback.codecs).enumerate().map(track).collect()
}

fn told_silence(silence: &media::layout::Silence) -> SilenceFacts {
    SilenceFacts { from_ms: silence.from_ms, to_ms: silence.to_ms, packets: silence.frames }
}

/// How much larger something is of the sound than of the picture.
fn apart(tracks: &[TrackStory<'_>], what: impl Fn(&TrackStory<'_>) -> Option<u64>) -> Option<i64> {
    let of = |kind| tracks.iter().find(|track| track.kind == kind).and_then(&what);
    Some(i64::try_from(of(Track::Audio)?).ok()? - i64::try_from(of(Track::Video)?).ok()?)
}

/// Which bytes of the result come from which segment.
fn segments(layout: &Layout) -> Vec<SegmentFacts> {
    let mut ranges = BTreeMap::<(usize, usize), Vec<(u64, u64)>>::new();
    let mut seen = BTreeMap::new();
    let mut at = layout.header_bytes();
    for chunk in layout.chunks() {
        // Silence comes from no segment.
        if let (Some(n), Some(input)) = (chunk.segment(), layout.segment(chunk)) {
            seen.entry((chunk.track, n)).or_insert_with(|| (layout.init(chunk.track).track, input));
            let known = ranges.entry((chunk.track, n)).or_default();
            match known.last_mut() {
                Some((from, len)) if *from + *len == at => *len += chunk.len,
                _ => known.push((at, chunk.len)),
            }
        }
        at += chunk.len;
    }
    let facts = |(at, (track, input)): ((usize, usize), (Track, &media::layout::SegmentInput))| SegmentFacts {
        track,
        index: input.index,
        bytes: input.size_bytes,
        sha256: input.sha256,
        ranges: ranges.remove(&at).unwrap_or_default(),
    };
    seen.into_iter().map(facts).collect()
}
