//! The look at one result, wherever it lies: its structure, what was told of it, and as much of it decoded as is wanted.

use super::progress::Line;
use super::told::Told;
use crate::cli::exit::{Exit, sentence};
use crate::cli::output;
use ::worker::child::{self, ObjectError, Program};
use ::worker::result::decode::{self, Deaths};
use ::worker::result::search_of;
use domain::id::Sha256;
use domain::mux::Gap;
use domain::segment::Track;
use media::ff::full::Full;
use media::readback::{self, RangedReader, Readback};
use media::sampling::Findings;
use serde::Serialize;
use sha2::Digest as _;
use std::time::Duration;

/// Longest decoding of everything: a day of 4K.
const DECODE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Bytes that are read at once to hash.
const HASH_BYTES: u64 = 4 << 20;

/// Damages that are named; the rest is counted.
const NAMED_MAX: usize = 20;

/// How much is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Nothing.
    Structure,
    /// Some key frames and sound.
    Samples,
    /// Everything.
    Full,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Looked {
    pub(super) sound: bool,
    pub(super) bytes: u64,
    pub(super) duration_ms: u64,
    pub(super) sha256: Option<Sha256>,
    /// `none`, `samples` or `full`.
    pub(super) decoded: &'static str,
    pub(super) decoded_packets: Option<u64>,
    pub(super) decoded_frames: Option<u64>,
    /// What is wrong, a sentence each.
    pub(super) defects: Vec<String>,
    /// What is wrong and was told of the result already.
    pub(super) known: Vec<String>,
}

impl Looked {
    pub(super) fn exit(&self) -> Exit {
        if self.sound { Exit::Ok } else { Exit::Failed }
    }

    pub(super) fn text(&self, name: &str) -> String {
        let Looked { sound, bytes, duration_ms, decoded, decoded_frames, .. } = self;
        let word = if *sound { "sound" } else { "not sound" };
        let frames = decoded_frames.map_or(String::new(), |frames| format!(", {frames} frames decoded ({decoded})"));
        let facts = format!("{}, {}.{:03} s{frames}", output::bytes(*bytes), duration_ms / 1000, duration_ms % 1000);
        let mut lines = vec![format!("{name}: {word}: {facts}")];
        lines.extend(self.defects.iter().map(|defect| format!("  {defect}")));
        lines.extend(self.known.iter().map(|known| format!("  known: {known}")));
        lines.extend(self.sha256.map(|digest| format!("  sha256 {digest}")));
        lines.join("\n")
    }

    fn wrong(&mut self, known: bool, what: String) {
        if known { self.known.push(what) } else { self.defects.push(what) }
    }
}

/// Looks at an object of `size_bytes` bytes. What is wrong with it is in the answer; an error is that it could not be
///.
pub(super) async fn look<R: RangedReader>(
    object: &R,
    size_bytes: u64,
    depth: Depth,
    told: Option<&Told>,
) -> anyhow::Result<Looked> {
    let mut looked = Looked { bytes: size_bytes, decoded: "none", ..Looked::default() };
    match readback::read(object, size_bytes).await {
        Ok(readback) => {
            looked.duration_ms = readback.duration_ms;
            looked.defects = defects(&readback);
            if let Some(told) = told {
                looked.defects.extend(compare(&readback, told));
            }
            if let Some(expected) = told.and_then(|told| told.sha256) {
                let found = hash(object, size_bytes).await?;
                looked.sha256 = Some(found);
                if found != expected {
                    looked.defects.push(format!("its SHA-256 is {found} instead of {expected}"));
                }
            }
            match depth {
                Depth::Structure => {}
                Depth::Samples => samples(object, &readback, told, &mut looked).await?,
                Depth::Full => full(object, &readback, told, &mut looked).await?,
            }
        }
        Err(readback::Error::Defect(defect)) => looked.defects.push(defect.to_string()),
        Err(error) => return Err(error.into()),
    }
    looked.sound = looked.defects.is_empty();
    Ok(looked)
}

/// What a result must be besides readable.
fn defects(readback: &Readback) -> Vec<String> {
    let mut defects = Vec::new();
    if !readback.facts.faststart {
        defects.push("it is not faststart: mdat comes before moov".to_owned());
    }
    if readback.facts.tracks.is_empty() {
        defects.push("it has neither a picture nor sound".to_owned());
    }
    for track in readback.facts.tracks.iter().filter(|track| track.samples == 0) {
        defects.push(format!("its {} track has no samples", track.track));
    }
    defects
}

/// Holds what the result says of itself to what was told of it.
fn compare(readback: &Readback, told: &Told) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut differs = |what: String, found: u64, expected: Option<u64>| {
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            wrong.push(format!("{what} {found} instead of {expected}"));
        }
    };
    differs("its length in bytes is".to_owned(), readback.facts.size_bytes, told.bytes);
    differs("its duration in milliseconds is".to_owned(), readback.duration_ms, told.duration_ms);
    for expected in &told.tracks {
        let found = readback.facts.tracks.iter().find(|facts| facts.track == expected.kind);
        let kind = expected.kind;
        differs(
            format!("the number of {kind} packets is"),
            found.map_or(0, |facts| facts.samples),
            Some(expected.packets),
        );
        let payload_bytes = found.map_or(0, |facts| facts.payload_bytes);
        differs(format!("the payload of the {kind} track in bytes is"), payload_bytes, expected.payload_bytes);
    }
    wrong
}

/// SHA-256 of an object, read from front to back.
async fn hash<R: RangedReader>(object: &R, size_bytes: u64) -> anyhow::Result<Sha256> {
    let (mut hasher, mut at, line) = (sha2::Sha256::new(), 0, Line::new());
    while at < size_bytes {
        let piece = object.read(at, HASH_BYTES.min(size_bytes - at)).await?;
        at += piece.len() as u64;
        hasher.update(&piece);
        line.show("hash", at, size_bytes);
    }
    Ok(Sha256(hasher.finalize().into()))
}

async fn samples<R: RangedReader>(
    object: &R,
    readback: &Readback,
    told: Option<&Told>,
    looked: &mut Looked,
) -> anyhow::Result<()> {
    looked.decoded = "samples";
    let size_bytes = readback.facts.size_bytes;
    match decode::search(&Program::this()?, object, size_bytes, search_of(readback), Deaths::Blamed).await {
        Ok(Findings { gaps, what, samples, frames, .. }) => {
            (looked.decoded_packets, looked.decoded_frames) = (Some(samples), Some(frames));
            for Gap { track, from_ms, to_ms, .. } in gaps {
                let known = told.is_some_and(|told| told.knows(track, from_ms) || told.knows(track, to_ms));
                let why = what.as_deref().unwrap_or("unknown");
                looked.wrong(known, format!("{track} cannot be decoded between {from_ms} and {to_ms} ms: {why}"));
            }
            Ok(())
        }
        Err(decode::Error::Unsound(unsound)) => {
            looked.defects.push(unsound.to_string());
            Ok(())
        }
        Err(decode::Error::Object(error)) => failed(error, looked),
    }
}

async fn full<R: RangedReader>(
    object: &R,
    readback: &Readback,
    told: Option<&Told>,
    looked: &mut Looked,
) -> anyhow::Result<()> {
    looked.decoded = "full";
    let (line, length_us) = (Line::new(), readback.duration_ms.saturating_mul(1000));
    let progress = |at_us: i64| line.show("decode", u64::try_from(at_us).unwrap_or(0), length_us);
    let decoded = Program::this()?.decode_all(object, readback.facts.size_bytes, DECODE_MAX, progress).await;
    drop(line);
    let tracks = match decoded {
        Ok(tracks) => tracks,
        Err(error) => return failed(error, looked),
    };
    let sum = |of: fn(&Full) -> u64| Some(tracks.iter().map(of).sum());
    (looked.decoded_packets, looked.decoded_frames) = (sum(|full| full.packets), sum(|full| full.frames));
    for facts in &readback.facts.tracks {
        let found = tracks.iter().find(|full| full.track == facts.track).map_or(0, |full| full.packets);
        if found != facts.samples {
            looked.defects.push(format!("{found} {} packets were read instead of {}", facts.track, facts.samples));
        }
    }
    for track in &tracks {
        name(track, told, looked);
    }
    Ok(())
}

/// Names the damages of a track, with their segments where they are told.
fn name(full: &Full, told: Option<&Told>, looked: &mut Looked) {
    let track: Track = full.track;
    // Of damages that nobody tells one by one nobody can know that they lie in a gap.
    let mut unnamed = [full.untold, 0];
    for (n, damage) in full.first.iter().enumerate() {
        let segment = told.and_then(|told| told.segment_at(track, damage.offset));
        let segment = segment.map_or(String::new(), |segment| format!(", segment {segment}"));
        let at_ms = damage.at_us.map(|at_us| u64::try_from(at_us).unwrap_or(0) / 1000);
        let known = at_ms.is_some_and(|at_ms| told.is_some_and(|told| told.knows(track, at_ms)));
        match n < NAMED_MAX {
            true => looked.wrong(known, format!("{}{segment}", damage.what)),
            false => unnamed[usize::from(known)] += 1,
        }
    }
    for (known, more) in [false, true].into_iter().zip(unnamed).filter(|(_, more)| *more > 0) {
        looked.wrong(known, format!("and {more} more damages of the {track} track"));
    }
}

/// A child that found the bytes unreadable has found a defect; everything else keeps it from looking.
fn failed<R: std::error::Error + Send + Sync + 'static>(
    error: ObjectError<R>,
    looked: &mut Looked,
) -> anyhow::Result<()> {
    match error {
        ObjectError::Child(error @ child::Error::Refused { .. }) => {
            looked.defects.push(format!("it cannot be decoded: {}", sentence(&error.into())));
            Ok(())
        }
        ObjectError::Child(error) if error.is_death() => {
            looked.defects.push(format!("the decoder fails on it: {}", sentence(&error.into())));
            Ok(())
        }
        ObjectError::Child(error) => Err(error.into()),
        ObjectError::Read(error) => Err(error.into()),
    }
}
