//! Mux through libavformat: the oracle of the index path in tests, and the engine for inputs that path cannot express.
//!
//! Every track comes as one stream of bytes, its initialization section followed by its segments; packets are copied
//! one by one into a faststart MP4 file. To be run in a child process: these bytes are a stranger's.

use super::Error;
use super::error::During as _;
use super::input::{Input, timescale};
use domain::segment::Track;
use ffmpeg_next::format::{self, context::Output};
use ffmpeg_next::mathematics::Rescale as _;
use ffmpeg_next::{Codec, Dictionary, Packet, Rational, media};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// One track to mux.
pub struct TrackInput {
    /// Which stream of the bytes is taken.
    pub track: Track,
    /// Initialization section, then segments in order.
    pub reader: Box<dyn Read + Send>,
}

impl TrackInput {
    /// A track whose pieces are files.
    pub fn files(track: Track, paths: Vec<PathBuf>) -> TrackInput {
        TrackInput { track, reader: Box::new(Files { waiting: paths.into(), open: None }) }
    }
}

/// What was muxed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The tracks in the order of the file.
    pub tracks: Vec<TrackReport>,
    /// Length of the file.
    pub bytes: u64,
}

/// One track of a [`Report`]; times in units of `timescale` per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackReport {
    /// The track.
    pub track: Track,
    /// Packets copied.
    pub packets: u64,
    /// Bytes of their payload.
    pub payload_bytes: u64,
    /// Units per second.
    pub timescale: u32,
    /// First presented moment in the file.
    pub start: i64,
    /// End of the last presented packet.
    pub end: i64,
}

/// Muxes the tracks into `out`, an MP4 with its index first. On an error no file is left.
pub fn mux(inputs: Vec<TrackInput>, out: &Path) -> Result<Report, Error> {
    let muxed = copy_all(inputs, out).and_then(|tracks| {
        let length = std::fs::metadata(out).map(|file| file.len()).during("read length of", out.display())?;
        Ok(Report { tracks, bytes: length })
    });
    if muxed.is_err() {
        // The first error is the one that counts, and there may be no file yet.
        let _ = std::fs::remove_file(out);
    }
    muxed
}

fn copy_all(inputs: Vec<TrackInput>, out: &Path) -> Result<Vec<TrackReport>, Error> {
    let mut lanes = inputs.into_iter().map(Lane::open).collect::<Result<Vec<_>, Error>>()?;
    for lane in &mut lanes {
        lane.advance()?;
    }
    let name = out.display().to_string();
    let text = out.to_str().ok_or_else(|| Error::Setting { what: format!("path {name} is not UTF-8") })?;
    super::init();
    let mut output = format::output_as(&format!("file:{text}"), "mp4").during("create", &name)?;
    for lane in &mut lanes {
        lane.add_to(&mut output)?;
    }
    let mut options = Dictionary::new();
    options.set("movflags", "faststart");
    // The default, 1000, would round edit lists to a millisecond.
    options.set("movie_timescale", "90000");
    options.set("write_tmcd", "0");
    output.write_header_with(options).during("start", &name)?;
    let zero = lanes.iter().filter_map(Lane::first_presented_ns).min().unwrap_or(0);
    for (index, lane) in lanes.iter_mut().enumerate() {
        lane.to = output.stream(index).map_or(lane.from, |stream| stream.time_base());
        lane.zero = zero.rescale(NANOS, lane.from);
        lane.report.timescale = timescale(lane.to);
    }
    while let Some((index, lane)) = next_lane(&mut lanes) {
        let packet = lane.take(index)?;
        packet.write_interleaved(&mut output).during("mux", lane.report.track)?;
    }
    output.write_trailer().during("finish", &name)?;
    Ok(lanes.into_iter().map(|lane| lane.report).collect())
}

/// Nanoseconds, to compare tracks with.
const NANOS: Rational = Rational(1, 1_000_000_000);

/// The track whose next packet is decoded first.
fn next_lane(lanes: &mut [Lane]) -> Option<(usize, &mut Lane)> {
    let first = |lane: &Lane| lane.next.as_ref().and_then(Packet::dts).map(|dts| dts.rescale(lane.from, NANOS));
    lanes.iter_mut().enumerate().filter(|(_, lane)| lane.next.is_some()).min_by_key(|(_, lane)| first(lane))
}

/// One track on its way.
struct Lane {
    input: Input,
    stream: usize,
    from: Rational,
    to: Rational,
    /// Subtracted from every timestamp, the same moment in every track.
    zero: i64,
    next: Option<Packet>,
    last_duration: i64,
    report: TrackReport,
}

impl Lane {
    fn open(input: TrackInput) -> Result<Lane, Error> {
        let TrackInput { track, reader } = input;
        let input = Input::from_read(track.as_str(), reader)?;
        let kind = match track {
            Track::Video => media::Type::Video,
            Track::Audio => media::Type::Audio,
        };
        let stream = input.best(kind).ok_or_else(|| Error::NoStream { object: format!("the {track} track") })?;
        let (stream, from) = (stream.index(), stream.time_base());
        let report =
            TrackReport { track, packets: 0, payload_bytes: 0, timescale: timescale(from), start: i64::MAX, end: 0 };
        Ok(Lane { input, stream, from, to: from, zero: 0, next: None, last_duration: 0, report })
    }

    /// Reads the next packet of this track.
    fn advance(&mut self) -> Result<(), Error> {
        self.next = self.input.read()?;
        while self.next.as_ref().is_some_and(|packet| packet.stream() != self.stream) {
            self.next = self.input.read()?;
        }
        Ok(())
    }

    fn add_to(&self, output: &mut Output) -> Result<(), Error> {
        let track = self.report.track;
        let source = self.input.context.stream(self.stream);
        let source = source.ok_or_else(|| Error::NoStream { object: format!("the {track} track") })?;
        let mut stream = output.add_stream(None::<Codec>).during("add stream", track)?;
        // Copies the codec tag too: without it hvc1 would become hev1.
        stream.set_parameters(source.parameters());
        stream.set_time_base(self.from);
        stream.set_avg_frame_rate(source.avg_frame_rate());
        Ok(())
    }

    /// Priming before the clock's 0 is not presented.
    fn first_presented_ns(&self) -> Option<i64> {
        Some(self.next.as_ref()?.pts()?.rescale(self.from, NANOS).max(0))
    }

    /// The waiting packet, ready to be written as stream `index`, and the one behind it takes its place. It lasts until
    /// that one: the demuxer of fragments does not tell durations where frames are reordered, and the file's last
    /// frames would otherwise last no time at all.
    fn take(&mut self, index: usize) -> Result<Packet, Error> {
        let mut packet = self.next.take().unwrap_or_else(Packet::empty);
        self.advance()?;
        match (packet.dts(), self.next.as_ref().and_then(Packet::dts)) {
            (Some(this), Some(next)) if next > this => self.last_duration = next - this,
            _ if packet.duration() > 0 => self.last_duration = packet.duration(),
            _ => {}
        }
        packet.set_duration(self.last_duration);
        packet.set_pts(packet.pts().map(|pts| pts - self.zero));
        packet.set_dts(packet.dts().map(|dts| dts - self.zero));
        packet.rescale_ts(self.from, self.to);
        packet.set_stream(index);
        packet.set_position(-1);
        let pts = packet.pts().unwrap_or(0);
        self.report.packets += 1;
        self.report.payload_bytes += packet.size() as u64;
        self.report.start = self.report.start.min(pts.max(0));
        self.report.end = self.report.end.max(pts + packet.duration());
        Ok(packet)
    }
}

/// Files read as one, each opened when its turn comes.
struct Files {
    waiting: VecDeque<PathBuf>,
    open: Option<File>,
}

impl Read for Files {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            if let Some(file) = &mut self.open {
                let read = file.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
            }
            let Some(path) = self.waiting.pop_front() else { return Ok(0) };
            self.open = Some(File::open(path)?);
        }
    }
}
