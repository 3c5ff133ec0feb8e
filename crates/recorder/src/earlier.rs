//! Segments that were made earlier, as a source: read from a folder, checked, handed out again.

use crate::Error;
use crate::folder::Folder;
use crate::upload::Declaration;
use domain::segment::{Name, Track};
use media::ff::segmenter::{Event, Options, Summary, TrackSummary};
use media::init::Init;
use media::walk::{self, Limits};
use std::ops::ControlFlow;
use std::path::Path;

/// Hands out what lies in `root`, the tracks in turns so that both arrive side by side. Where the first segment is
/// missing, because it was sent before, the recording's clock began at 0. Blocks.
pub(crate) fn read(
    root: &Path,
    options: &Options,
    mut sink: impl FnMut(Event) -> ControlFlow<()>,
) -> Result<Summary, Error> {
    let folder = Folder::open(root);
    let mut lanes = Vec::new();
    for track in Track::ALL {
        let indexes = folder.segments(track)?;
        if !indexes.is_empty() {
            lanes.push(Lane::open(&folder, track, indexes, &mut sink)?);
        }
    }
    if lanes.is_empty() {
        let source = media::ff::Error::NoStream { object: root.display().to_string() };
        return Err(Error::Source { source_name: root.display().to_string(), source });
    }
    while !options.stop.asked() && lanes.iter().any(|lane| !lane.indexes.is_empty()) {
        for lane in &mut lanes {
            lane.advance(&folder, &mut sink)?;
        }
    }
    let mut tracks: Vec<TrackSummary> = lanes.into_iter().map(|lane| lane.summary).collect();
    if let Some(declaration) = folder.declaration().filter(|_| !options.stop.asked()) {
        complete(&mut tracks, &declaration);
    }
    Ok(Summary { tracks })
}

/// Segments that were sent before are not here any more, whole tracks perhaps: what was made is told by the declaration
/// that was kept beside them.
fn complete(tracks: &mut Vec<TrackSummary>, declaration: &Declaration) {
    let end = i64::try_from(declaration.duration_ms).unwrap_or(i64::MAX);
    for (&track, &last_index) in &declaration.last_index {
        tracks.retain(|found| found.track != track);
        tracks.push(TrackSummary { track, last_index, packets: 0, bytes: 0, start: 0, end, timescale: 1000 });
    }
    tracks.sort_by_key(|track| track.track);
}

struct Lane {
    init: Init,
    /// Still to be read, the last one first.
    indexes: Vec<u32>,
    summary: TrackSummary,
}

impl Lane {
    fn open(folder: &Folder, track: Track, mut indexes: Vec<u32>, sink: &mut Sink) -> Result<Lane, Error> {
        let bytes = folder.get(track, Name::Init)?;
        let wrong = |source| Error::Segment { path: folder.path(track, Name::Init), source };
        let init = Init::parse(track, &bytes).map_err(wrong)?;
        let mut summary =
            TrackSummary { track, last_index: 0, packets: 0, bytes: 0, start: i64::MAX, end: 0, timescale: 1 };
        summary.bytes = bytes.len() as u64;
        indexes.reverse();
        take(sink, Event::Init { track, bytes })?;
        Ok(Lane { init, indexes, summary })
    }

    fn advance(&mut self, folder: &Folder, sink: &mut Sink) -> Result<(), Error> {
        let Some(index) = self.indexes.pop() else { return Ok(()) };
        let track = self.summary.track;
        let bytes = folder.get(track, Name::Media(index))?;
        let wrong = |source| Error::Segment { path: folder.path(track, Name::Media(index)), source };
        let made = walk::media(&self.init, &bytes, Limits::DEFAULT).map_err(wrong)?;
        let place = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
        self.summary.last_index = index;
        self.summary.packets += u64::from(made.summary.samples);
        self.summary.bytes += bytes.len() as u64;
        self.summary.timescale = made.span.timescale;
        // Sound is presented by its priming earlier than decoded. A picture's reordering delay is in its composition
        // times as well as in its edit list, and so its last frame ends where decoding does.
        let earlier = if track == Track::Audio { self.init.media_time } else { 0 };
        let start = if index == 1 { place(made.span.start) } else { 0 };
        self.summary.start = self.summary.start.min(start);
        self.summary.end = self.summary.end.max(place(made.span.end()) - earlier);
        take(sink, Event::Segment { track, index, bytes, span: made.span })
    }
}

type Sink<'a> = dyn FnMut(Event) -> ControlFlow<()> + 'a;

fn take(sink: &mut Sink, event: Event) -> Result<(), Error> {
    if sink(event).is_break() { Err(Error::Crashed("the taker of segments")) } else { Ok(()) }
}
