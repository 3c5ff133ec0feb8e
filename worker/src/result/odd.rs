//! A plan laid out through libavformat: its stored objects are taken apart in a child, and the result is made of what came out.
//!
//! The bytes that come out depend on the linked libraries and not on the plan alone, so such a result has a key of its
//! own attempt. While it is made, its odd tracks lie on the disk of the worker too.

use crate::child::{self, Odd, RecastError, RecastTrack};
use crate::context::Context;
use crate::odd::{self, Joined, Part, Scratch};
use crate::storage::{self, Store};
use bytes::Bytes;
use domain::key::Keys;
use domain::mux::{Gap, GapCause, Plan, PlanTrack};
use domain::retry::{Classify, Fault};
use domain::segment::{Name, Track};
use media::defect::Defect;
use media::files::FolderSegments;
use media::init::Init;
use media::layout::{Layout, SegmentInput, TrackInput};
use media::mux::{Fetched, SegmentReader, SegmentRef};
use media::walk::{self, Limits};
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::time::Duration;
use thiserror::Error;

/// Why a plan cannot be laid out through libavformat.
#[derive(Debug, Error)]
pub enum Error {
    /// No child can be started.
    #[error("start a child process")]
    Program(#[source] child::Error),
    /// The objects cannot be taken apart.
    #[error("take objects apart")]
    Recast(#[source] RecastError<storage::Error>),
    /// What came out cannot be kept on this disk.
    #[error("keep segments in a scratch folder")]
    Scratch(#[source] io::Error),
    /// A track gave nothing.
    #[error("nothing can be read of the {track} track")]
    Empty {
        /// Which track.
        track: Track,
    },
    /// What came out is no segment: the library's fault.
    #[error("libavformat made a {track} {name} that cannot be used")]
    Made {
        /// Which track.
        track: Track,
        /// Which object.
        name: Name,
        /// What is wrong with it.
        #[source]
        source: Defect,
    },
    /// The tracks cannot be laid out.
    #[error("lay out result")]
    Layout(#[source] media::layout::Error),
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Error::Program(source) => source.fault(),
            Error::Recast(source) => source.fault(),
            // Another worker has a disk with room.
            Error::Scratch(_) => Fault::Transient,
            Error::Layout(source) => source.fault(),
            Error::Empty { .. } | Error::Made { .. } => Fault::Permanent,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Error::Program(source) => source.class(),
            Error::Recast(source) => source.class(),
            Error::Scratch(_) => "scratch",
            Error::Layout(source) => source.class(),
            Error::Empty { .. } => "empty",
            Error::Made { .. } => "libavformat",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Recast(source) => source.retry_after(),
            Error::Program(_) | Error::Scratch(_) | Error::Empty { .. } | Error::Made { .. } | Error::Layout(_) => None,
        }
    }
}

/// A plan that was laid out through libavformat.
#[derive(Debug)]
pub struct OddLaid {
    /// Where every byte of the result goes.
    pub layout: Layout,
    /// Where its segments are read.
    pub segments: ScratchSegments,
    /// What was done to its tracks.
    pub tracks: Vec<RecastTrack>,
    /// Planned segments of which nothing came out.
    pub silent: Vec<(Track, u32)>,
}

impl OddLaid {
    /// The plan as it was carried out: with what it lacks, and what was put right, beyond what was known when it was made.
    pub fn carried_out(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        let ends = self.layout.times().map(|times| times.start_ms() + times.duration_ms());
        let gap =
            |&(track, index)| Gap { track, from_ms: 0, to_ms: 0, segments: vec![index], cause: GapCause::Damaged };
        for gap in plan.gaps.iter_mut().filter(|gap| gap.to_ms == 0) {
            if let Some((from_ms, to_ms)) = self.place_of(gap) {
                (gap.from_ms, gap.to_ms) = (from_ms, to_ms);
            }
        }
        plan.gaps.extend(self.silent.iter().map(gap));
        plan.gaps.extend(odd::gaps(&self.tracks, ends.max().unwrap_or(0)));
        plan.repairs.extend(odd::repairs(&self.tracks));
        plan
    }

    /// When a gap is whose plan knew the segments only: the jump of the time stamps behind it.
    fn place_of(&self, gap: &Gap) -> Option<(u64, u64)> {
        let n = (0..self.layout.times().len()).find(|&n| self.layout.init(n).track == gap.track)?;
        let last = *gap.segments.last()?;
        let jump = self.layout.times().nth(n)?.jumps.iter().find(|jump| jump.segment > last)?;
        Some((jump.from_ms, jump.to_ms))
    }
}

/// Takes the objects of a plan apart and lays out what comes out. `progress` hears the share that was read, 0.0 to 1.0.
///
/// # Errors
/// See [`enum@Error`].
pub async fn lay_out(cx: &Context, plan: &Plan, progress: impl Fn(f64) + Sync) -> Result<OddLaid, Error> {
    let keys = Keys::new(&plan.owner, &plan.recording);
    let objects: Vec<_> = plan.tracks.iter().map(|track| object(cx, &keys, track)).collect();
    let all_bytes: u64 = objects.iter().map(|(odd, _)| odd.size_bytes).sum();
    let mut scratch = Scratch::new_in(&std::env::temp_dir()).map_err(Error::Scratch)?;
    let program = child::program().map_err(Error::Program)?;
    let note = |read_bytes: u64| progress((read_bytes as f64 / all_bytes.max(1) as f64).min(1.0));
    let made = program.recast(&objects, cx.config.mux.transcode, &mut scratch, note).await;
    let tracks = made.map_err(Error::Recast)?;
    let planned = plan.tracks.clone();
    // Reads every byte of the scratch once, to index it: seconds for an hour of recording.
    let read = tokio::task::spawn_blocking(move || {
        let inputs = planned.iter().map(|track| input(&scratch, track)).collect::<Result<Vec<_>, Error>>();
        let layout = inputs.and_then(|inputs| Layout::new(inputs).map_err(Error::Layout));
        layout.map(|layout| (layout, silent(&scratch, &planned), ScratchSegments::of(scratch)))
    });
    let (layout, silent, segments) = read.await.expect("reading segments does not panic")?;
    Ok(OddLaid { layout, segments, tracks, silent })
}

/// All stored objects of a track as one.
fn object(cx: &Context, keys: &Keys, planned: &PlanTrack) -> (Odd, Joined<ObjectPart>) {
    let track = planned.track;
    let segments: Vec<(u32, u64)> = planned.segments.iter().map(|it| (it.index, it.size_bytes)).collect();
    let odd = odd::track(track, vec![track], Some(planned.init.size_bytes), &segments);
    let part =
        |(name, size_bytes)| (size_bytes, ObjectPart { store: cx.store.clone(), key: keys.segment(track, name) });
    let init = (Name::Init, planned.init.size_bytes);
    let segments = segments.into_iter().map(|(index, size_bytes)| (Name::Media(index), size_bytes));
    (odd, Joined::of(std::iter::once(init).chain(segments).map(part)))
}

/// One stored object.
struct ObjectPart {
    store: Store,
    key: String,
}

impl Part for ObjectPart {
    type Error = storage::Error;

    async fn read(&self, range: Range<u64>) -> Result<Bytes, storage::Error> {
        self.store.get_range(&self.key, range).await
    }
}

/// What lies in the scratch of a planned track. Segments of which nothing came out are not there, and their time is a gap.
fn input(scratch: &Scratch, planned: &PlanTrack) -> Result<TrackInput, Error> {
    let track = planned.track;
    let made = |name, source| Error::Made { track, name, source };
    let read = |name: Name| match std::fs::read(scratch.path().join(track.as_str()).join(name.to_string())) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::Scratch(error)),
    };
    let init = read(Name::Init)?.ok_or(Error::Empty { track })?;
    let init = Init::parse(track, &init).map_err(|defect| made(Name::Init, defect))?;
    let mut segments = Vec::new();
    let mut seen = BTreeSet::new();
    for planned in &planned.segments {
        let name = Name::Media(planned.index);
        if !seen.insert(planned.index) {
            continue;
        }
        let Some(bytes) = read(name)? else { continue };
        let media = walk::media(&init, &bytes, Limits::NONE).map_err(|defect| made(name, defect))?;
        segments.push(SegmentInput {
            index: planned.index,
            size_bytes: media.size_bytes,
            sha256: None,
            packed: Bytes::from(media.index),
            shift: planned.shift,
            salvaged: false,
        });
    }
    Ok(TrackInput { init, segments, fill: planned.fill })
}

fn silent(scratch: &Scratch, planned: &[PlanTrack]) -> Vec<(Track, u32)> {
    let all = planned.iter().flat_map(|of| of.segments.iter().map(|segment| (of.track, segment.index)));
    all.filter(|(track, index)| !scratch.has(*track, Name::Media(*index))).collect()
}

/// Segments in a scratch, which lasts as long as this.
#[derive(Debug)]
pub struct ScratchSegments {
    folder: FolderSegments,
    _scratch: Scratch,
}

impl ScratchSegments {
    fn of(scratch: Scratch) -> ScratchSegments {
        ScratchSegments { folder: FolderSegments::new(scratch.path()), _scratch: scratch }
    }
}

/// A segment in the scratch cannot be read.
#[derive(Debug, Error)]
#[error("read scratch")]
pub struct Unreadable(#[source] io::Error);

impl Classify for Unreadable {
    fn fault(&self) -> Fault {
        Fault::Transient
    }

    fn class(&self) -> &'static str {
        "scratch"
    }
}

impl SegmentReader for ScratchSegments {
    type Error = Unreadable;

    async fn read(&self, segment: SegmentRef) -> Result<Fetched, Unreadable> {
        self.folder.read(segment).await.map_err(Unreadable)
    }
}
