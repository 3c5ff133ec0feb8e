//! `result.json`, beside a later result `result.v{n}.json`: what a result is made of, for whoever wants to check it against its segments.

use super::Checked;
use crate::context::Context;
use crate::storage;
use domain::id::Sha256;
use domain::key::Keys;
use domain::mux::{Gap, Plan, Repair};
use domain::segment::Track;
use media::layout::Layout;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Facts<'a> {
    status: &'static str,
    result: &'a str,
    bytes: u64,
    sha256: Option<Sha256>,
    etag: Option<&'a str>,
    duration_ms: u64,
    plan_version: u32,
    layout_version: u32,
    plan_sha256: Sha256,
    tail_confirmed: bool,
    tracks: Vec<TrackFacts<'a>>,
    gaps: &'a [Gap],
    repairs: &'a [Repair],
    segments: Vec<SegmentFacts>,
}

#[derive(Serialize)]
struct TrackFacts<'a> {
    kind: Track,
    codec: &'a str,
    packets: u64,
    payload_bytes: u64,
    start_ms: u64,
    duration_ms: u64,
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
}

impl Told {
    /// It speaks of the object that was just looked at.
    pub fn is_of(&self, checked: &Checked) -> bool {
        self.bytes == checked.readback.facts.size_bytes && self.etag == checked.etag
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

/// The text of `result.json`.
pub fn describe(
    plan: &Plan,
    plan_sha256: Sha256,
    layout: &Layout,
    checked: &Checked,
    sha256: Option<Sha256>,
    key: &str,
) -> String {
    let Checked { readback, etag } = checked;
    let tracks = readback.facts.tracks.iter().zip(&readback.codecs).zip(layout.times());
    let tracks = tracks.map(|((facts, codec), times)| TrackFacts {
        kind: facts.track,
        codec: &codec.codec,
        packets: facts.samples,
        payload_bytes: facts.payload_bytes,
        start_ms: times.start_ms(),
        duration_ms: times.duration_ms(),
    });
    let facts = Facts {
        status: if plan.gaps.is_empty() { "complete" } else { "degraded" },
        result: key.rsplit('/').next().unwrap_or(key),
        bytes: readback.facts.size_bytes,
        sha256,
        etag: etag.as_deref(),
        duration_ms: readback.duration_ms,
        plan_version: plan.version,
        layout_version: plan.layout_version,
        plan_sha256,
        tail_confirmed: plan.tail_confirmed,
        tracks: tracks.collect(),
        gaps: &plan.gaps,
        repairs: &plan.repairs,
        segments: segments(layout),
    };
    serde_json::to_string(&facts).expect("facts are JSON")
}

/// Which bytes of the result come from which segment.
fn segments(layout: &Layout) -> Vec<SegmentFacts> {
    let mut ranges = BTreeMap::<(usize, usize), Vec<(u64, u64)>>::new();
    let mut at = layout.header_bytes();
    for chunk in layout.chunks() {
        let known = ranges.entry((chunk.track, chunk.segment)).or_default();
        match known.last_mut() {
            Some((from, len)) if *from + *len == at => *len += chunk.len,
            _ => known.push((at, chunk.len)),
        }
        at += chunk.len;
    }
    let mut seen = BTreeMap::new();
    for chunk in layout.chunks() {
        seen.entry((chunk.track, chunk.segment))
            .or_insert_with(|| (layout.init(chunk.track).track, layout.segment(chunk)));
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
