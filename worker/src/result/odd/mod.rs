//! A plan laid out through libavformat: objects of odd tracks are taken apart in a child, and the result is made of what
//! came out, together with the tracks that are plain.
//!
//! The bytes that come out depend on the linked libraries and not on the plan alone, so such a result has a key of its
//! own attempt. While it is made, its odd tracks lie on the disk of the worker too, in a scratch of bounded size.

mod judge;
mod object;
mod reader;
mod room;

pub use object::{Unreadable, digest};
pub use reader::{ReadError, Segments};

use super::source::{Source, Tags};
use crate::child::{self, Allowed, RecastError, RecastTrack};
use crate::context::Context;
use crate::db::{self, segments};
use crate::odd::{self, Head, head_of_init};
use domain::completeness::Broken;
use domain::id::RecordingId;
use domain::key::Keys;
use domain::mux::{Gap, Plan, PlanTrack};
use domain::retry::{Classify, Fault};
use domain::segment::{Name, Track};
use judge::Lane;
use media::defect::Defect;
use media::files::FolderSegments;
use media::init::Init;
use media::layout::Layout;
use room::Room;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use thiserror::Error;

/// Why a plan cannot be laid out through libavformat.
#[derive(Debug, Error)]
pub enum Error {
    /// The rows could not be read.
    #[error("read what is known of the recording")]
    Database(#[source] db::Error),
    /// The recording is gone.
    #[error("the recording is gone")]
    Gone,
    /// An initialization section cannot be read, or is not the one that was planned.
    #[error("read initialization section")]
    Source(#[source] Unreadable),
    /// The initialization section of a track that is plain cannot be used.
    #[error("the initialization section of the {track} track cannot be used")]
    Init {
        /// Which track.
        track: Track,
        /// What is wrong with it.
        #[source]
        source: Defect,
    },
    /// The scratch would be larger than the setting allows.
    #[error(
        "recording {recording} needs {need_bytes} bytes of scratch to be taken apart, and the setting mux.scratch_max \
         allows {max_bytes}"
    )]
    Room {
        /// Which recording.
        recording: RecordingId,
        /// What it needs, or has needed when it was given up.
        need_bytes: u64,
        /// The setting.
        max_bytes: u64,
    },
    /// No child can be started.
    #[error("start a child process")]
    Program(#[source] child::Error),
    /// The objects cannot be taken apart.
    #[error("take objects apart")]
    Recast(#[source] RecastError<Unreadable>),
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
    /// A planned segment of a plain track has no sample index.
    #[error("{track} segment {index} has no sample index")]
    NoIndex {
        /// Which track.
        track: Track,
        /// Index of the segment.
        index: u32,
    },
    /// What came out gives no result.
    #[error(transparent)]
    Broken(Broken),
    /// The tracks cannot be laid out.
    #[error("lay out result")]
    Layout(#[source] media::layout::Error),
}

impl Error {
    /// An object is not the one that was planned.
    pub fn is_source_changed(&self) -> bool {
        self.unreadable().is_some_and(Unreadable::is_change)
    }

    /// Why an object was not given, whether it was looked at before its track was taken apart or meanwhile.
    fn unreadable(&self) -> Option<&Unreadable> {
        match self {
            Error::Source(source) | Error::Recast(RecastError::Read(media::readback::Error::Read { source, .. })) => {
                Some(source)
            }
            _ => None,
        }
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        // A planned object that is gone for a moment may be a listing's delay; for good it is counted.
        if let Some(Unreadable::Storage(source)) = self.unreadable()
            && source.is_not_found()
        {
            return Fault::NotYet;
        }
        match self {
            Error::Database(source) => source.fault(),
            Error::Source(source) => source.fault(),
            Error::Init { source, .. } => source.fault(),
            Error::Program(source) => source.fault(),
            Error::Recast(source) => source.fault(),
            // Another worker has a disk with room.
            Error::Scratch(_) => Fault::Transient,
            Error::Layout(source) => source.fault(),
            Error::Gone | Error::Room { .. } | Error::Empty { .. } | Error::Made { .. } => Fault::Permanent,
            Error::NoIndex { .. } | Error::Broken(_) => Fault::Permanent,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Error::Database(source) => source.class(),
            Error::Gone => "recording-not-found",
            Error::Source(source) => source.class(),
            Error::Init { source, .. } => source.class(),
            Error::Room { .. } => "scratch-max",
            Error::Program(source) => source.class(),
            Error::Recast(source) => source.class(),
            Error::Scratch(_) => "scratch",
            Error::Layout(source) => source.class(),
            Error::Empty { .. } => "empty",
            Error::Made { .. } => "libavformat",
            Error::NoIndex { .. } => "no-index",
            Error::Broken(broken) => broken.code(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Source(source) => source.retry_after(),
            Error::Recast(source) => source.retry_after(),
            _ => None,
        }
    }
}

/// Tracks that are taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that the index cannot express.
    Odd,
    /// All.
    Every,
}

/// A plan that was laid out through libavformat.
#[derive(Debug)]
pub struct OddLaid {
    /// Where every byte of the result goes.
    pub layout: Layout,
    /// Where its segments are read.
    pub segments: Segments,
    /// The plan as it is carried out: with the times, gaps and repairs that nobody knew when it was frozen.
    pub plan: Plan,
    /// What the objects lack by signs of their own, beyond the gaps of that plan.
    pub lost: Vec<Gap>,
}

/// Takes the objects of a plan apart and lays out what comes out. `progress` hears the share that was read, 0.0 to 1.0.
///
/// # Errors
/// See [`enum@Error`].
pub async fn lay_out(
    cx: &Context,
    frozen: &Plan,
    which: Which,
    progress: impl Fn(f64) + Sync,
) -> Result<OddLaid, Error> {
    let keys = Keys::new(&frozen.owner, &frozen.recording);
    let etags = segments::etags(&cx.db, &frozen.recording).await.map_err(Error::Database)?;
    let mut plain = BTreeMap::new();
    for planned in &frozen.tracks {
        let head = object::head(&cx.store, &keys, planned).await.map_err(Error::Source)?;
        if which == Which::Odd && head_of_init(&head) == Head::Plain {
            let track = planned.track;
            let init = Init::parse(track, &head).map_err(|source| Error::Init { track, source })?;
            let indexes = judge::indexes(cx, frozen, track).await.map_err(Error::Database)?;
            plain.insert(track, (init, indexes));
        }
    }
    let taken: Vec<&PlanTrack> = frozen.tracks.iter().filter(|planned| !plain.contains_key(&planned.track)).collect();
    let taken_tracks = taken.iter().map(|planned| planned.track).collect();
    let (room, tracks) = take_apart(cx, frozen, &taken, &etags, progress).await?;
    let known = judge::known(cx, frozen).await.map_err(Error::Database)?.ok_or(Error::Gone)?;
    let (config, plan) = (cx.config.clone(), frozen.clone());
    // Reads every byte of the scratch once, to index it: seconds for an hour of recording.
    let judged = tokio::task::spawn_blocking(move || {
        let lane = |planned: &PlanTrack| match plain.remove(&planned.track) {
            Some((init, indexes)) => Ok(Lane::stored(planned, init, indexes)),
            None => Lane::taken(planned, room.scratch()),
        };
        let lanes = plan.tracks.iter().map(lane).collect::<Result<Vec<_>, Error>>()?;
        let (plan, inputs, shifts) = judge::judge(&config, &plan, &known, lanes)?;
        let layout = Layout::new(inputs).map_err(Error::Layout)?;
        Ok::<_, Error>((layout, plan, shifts, room))
    });
    let (layout, mut plan, shifts, room) = judged.await.expect("reading segments does not panic")?;
    plan.repairs.extend(odd::repairs(&tracks));
    let lost = odd::explain(&mut plan.gaps, odd::gaps(&tracks, &layout, &shifts));
    let folder = FolderSegments::new(room.scratch().path());
    let stored = Source::new(&cx.store, keys, "").tagged(etags);
    Ok(OddLaid { layout, segments: Segments { taken: taken_tracks, folder, stored, _room: room }, plan, lost })
}

/// Has a child take tracks apart into a scratch that is not larger than the setting says.
async fn take_apart(
    cx: &Context,
    frozen: &Plan,
    taken: &[&PlanTrack],
    etags: &Tags,
    progress: impl Fn(f64) + Sync,
) -> Result<(Room, Vec<RecastTrack>), Error> {
    let keys = Keys::new(&frozen.owner, &frozen.recording);
    let objects: Vec<_> = taken.iter().map(|planned| object::joined(&cx.store, &keys, planned, etags)).collect();
    let all_bytes = objects.iter().map(|(odd, _)| odd.size_bytes).fold(0, u64::saturating_add);
    let max_bytes = cx.config.mux.scratch_max.0;
    let too_large = |need_bytes| Error::Room { recording: frozen.recording.clone(), need_bytes, max_bytes };
    // What is copied takes about as much room as it took before.
    if all_bytes > max_bytes {
        return Err(too_large(all_bytes));
    }
    let mut room = Room::new_in(&std::env::temp_dir(), max_bytes).map_err(Error::Scratch)?;
    let program = child::program().map_err(Error::Program)?;
    let note = |read_bytes: u64| progress((read_bytes as f64 / all_bytes.max(1) as f64).min(1.0));
    let allowed = Allowed { transcode: cx.config.mux.transcode, segment_bytes_max: cx.config.limits.segment_size.0 };
    let made = program.recast(&objects, allowed, &mut room, note).await;
    if let Some(need_bytes) = room.overflow() {
        return Err(too_large(need_bytes));
    }
    Ok((room, made.map_err(Error::Recast)?))
}
