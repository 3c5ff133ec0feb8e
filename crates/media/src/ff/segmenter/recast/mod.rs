//! Odd inputs as ordinary segments: what is no fragmented MP4 of one track becomes such.
//!
//! Files of any container that libavformat reads, and tracks whose segments are of another container, are taken apart
//! and written as initialization section and segments, as a recorder would have sent them. Whoever makes results sees
//! nothing else then: one index, one layout, one verification. Packets are copied; only what MP4 has no place for is
//! encoded again, and only when that is allowed.
//! All tracks of one call stay on one clock. Nothing is left out or moved without being counted in the [`Report`].
//! These bytes are a stranger's: to be run in a child process.

mod adts;
mod codecs;
mod copier;
mod lanes;
mod losses;
mod sound;
mod view;

use super::super::Error;
use super::super::input::Input;
use super::Sink;
use domain::mux::GapCause;
use domain::segment::Track;
use ffmpeg_next::media;
use lanes::{Lane, Wanted};
use losses::{Losses, Verdict};
use serde::{Deserialize, Serialize};
use std::io::{Read, Seek};
use view::View;

/// Something to read that can go back.
pub trait Readable: Read + Seek + Send {}

impl<T: Read + Seek + Send> Readable for T {}

/// One object that holds one track or several.
pub struct Source {
    /// What it is called in errors.
    pub name: String,
    /// Begins to read it; called once or, where its tracks lie apart in it, once for each.
    pub open: Box<dyn Fn() -> Box<dyn Readable>>,
    /// Which tracks are taken, the best stream of each kind; those that it does not have are not missed as long as it
    /// has one of them.
    pub tracks: Vec<Track>,
    /// Where its segments begin: index and first byte, ascending. Empty: it is cut by time, from index 1 on.
    pub pieces: Vec<(u32, u64)>,
}

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Codecs that MP4 cannot hold are encoded again: H.264 and AAC.
    pub transcode: bool,
}

/// What was made of the tracks, in the order of their sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The tracks.
    pub tracks: Vec<TrackReport>,
}

/// What was made of one track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackReport {
    /// Which track.
    pub track: Track,
    /// Codec of the source as FFmpeg names it, for example `vp8`.
    pub codec: String,
    /// Encoded again as this, for example `H.264`; `None`: copied.
    pub encoded_as: Option<String>,
    /// Packets written.
    pub packets: u64,
    /// Packets before the first key frame, or behind the end that an edit list names; they are not written.
    pub left_out: u64,
    /// Packets whose decode time went back a little and was moved behind the one before.
    pub moved: u64,
    /// Other streams of the same kind, which have no place in a result.
    pub streams_left_out: u64,
    /// When it is first presented, in milliseconds on the clock of the segments that were made.
    pub start_ms: u64,
    /// What the source lacks by signs of its own, ascending; at most [`LOSSES_MAX`].
    pub losses: Vec<Loss>,
    /// Segments of the source that are copies of an earlier one: the copy, and what it is a copy of. Nothing is made of
    /// a copy.
    pub copies: Vec<(u32, u32)>,
}

/// A stretch that a source shows to have lost. Without such a sign a picture that stands for long is no loss: a screen on
/// which nothing moves is recorded so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The source's segment in which the damage begins; `None` where the source has none.
    pub segment: Option<u32>,
    /// Where it begins, in milliseconds on the clock of the segments that were made.
    pub from_ms: u64,
    /// Where it ends; equal to `from_ms` when nothing tells how long it is.
    pub to_ms: u64,
    /// Why.
    pub cause: GapCause,
}

/// Most losses that are told one by one; the last one of so many reaches to the end of the others.
pub const LOSSES_MAX: usize = 1_000;

/// Takes the sources apart and gives every initialization section and segment to `sink`. A segment may come in several
/// parts, each with whole fragments and a span of its own: whoever keeps it puts them together.
///
/// # Errors
/// [`Error::NotInMp4`] before anything is given, when a codec has no place in MP4 and may not be encoded again; whatever
/// libavformat refuses; [`Error::TimesBack`] and [`Error::Timestamps`] where times make no sense; [`Error::Abandoned`] when `sink` wants no more.
pub fn recast(sources: &[Source], rules: Rules, sink: &mut Sink) -> Result<Report, Error> {
    // Each is opened and judged before the first piece is made: a refusal must not come after an hour of work.
    let opened = sources.iter().map(|source| Opened::of(source, rules)).collect::<Result<Vec<_>, Error>>()?;
    let zero = opened.iter().map(|opened| opened.before_zero_ns).min().unwrap_or(0);
    let mut tracks = Vec::new();
    for opened in opened {
        tracks.extend(opened.run(zero, sink)?);
    }
    Ok(Report { tracks })
}

/// A source whose streams are known.
struct Opened<'a> {
    source: &'a Source,
    view: View<'a>,
    input: Input,
    wanted: Vec<Wanted>,
    /// Where presentation begins when that is before 0 for another reason than priming, in nanoseconds; else 0.
    before_zero_ns: i64,
}

impl<'a> Opened<'a> {
    fn of(source: &'a Source, rules: Rules) -> Result<Opened<'a>, Error> {
        let view = View::of(source)?;
        let input = view.input()?;
        let mut wanted = Vec::new();
        for &track in &source.tracks {
            let kind = kind_of(track);
            let Some(stream) = input.best(kind) else { continue };
            let encode = codecs::must_encode(track, stream.parameters().id());
            if encode && !rules.transcode {
                let codec = stream.parameters().id().name().to_owned();
                return Err(Error::NotInMp4 { track, codec });
            }
            let others = input.context.streams().filter(|other| other.parameters().medium() == kind);
            let streams_left_out = (others.count() as u64).saturating_sub(1);
            wanted.push(Wanted { track, stream: stream.index(), encode, streams_left_out });
        }
        if wanted.is_empty() {
            return Err(Error::NoStream { object: source.name.clone() });
        }
        let before_zero_ns = lanes::before_zero_ns(&input, &wanted);
        Ok(Opened { source, view, input, wanted, before_zero_ns })
    }

    /// Reads it to its end. In a file of the QuickTime family tracks may lie far apart, and reading them side by side
    /// would jump to and fro for each packet: each is read by itself.
    fn run(self, zero_ns: i64, sink: &mut Sink) -> Result<Vec<TrackReport>, Error> {
        let Opened { source, view, input, wanted, .. } = self;
        let apart = input.context.format().name().starts_with("mov") && wanted.len() > 1;
        if !apart {
            return pass(source, &view, input, &wanted, zero_ns, sink);
        }
        drop(input);
        let mut done = Vec::new();
        for wanted in wanted {
            done.extend(pass(source, &view, view.input()?, &[wanted], zero_ns, sink)?);
        }
        Ok(done)
    }
}

fn pass(
    source: &Source,
    view: &View<'_>,
    mut input: Input,
    wanted: &[Wanted],
    zero_ns: i64,
    sink: &mut Sink,
) -> Result<Vec<TrackReport>, Error> {
    input.read_only_these(&wanted.iter().map(|wanted| wanted.stream).collect::<Vec<_>>());
    let mut lanes = Vec::new();
    for &wanted in wanted {
        lanes.push((wanted.stream, Lane::open(&input, source, view, wanted, zero_ns)?));
    }
    let mut losses = Losses::of(&input, zero_ns, view);
    while let Some(packet) = input.read()? {
        let Some((_, lane)) = lanes.iter_mut().find(|(stream, _)| *stream == packet.stream()) else { continue };
        if packet.is_corrupt() {
            losses.damaged(&packet);
            continue;
        }
        match losses.add(&packet) {
            Verdict::LeftOut => {}
            Verdict::Follows => lane.push(packet, false, sink)?,
            Verdict::Lost => lane.push(packet, true, sink)?,
        }
    }
    losses.end();
    let mut done = Vec::new();
    for (stream, lane) in lanes {
        let (start_ms, losses) = losses.of_stream(stream);
        let made = lane.finish(sink)?;
        done.extend(made.map(|made| TrackReport { start_ms, losses, copies: view.copies.clone(), ..made }));
    }
    if done.is_empty() {
        return Err(Error::NoStream { object: source.name.clone() });
    }
    Ok(done)
}

fn kind_of(track: Track) -> media::Type {
    match track {
        Track::Video => media::Type::Video,
        Track::Audio => media::Type::Audio,
    }
}
