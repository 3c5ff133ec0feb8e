//! A file as a source: read twice, first to see what can be copied, then to cut it.

use super::super::input::Input;
use super::super::{Error, init};
use super::lane::{Copy, Lane, Picture, Sound, Stream};
use super::matrix::Matrix;
use super::{Event, LONGEST, Options, Pacer, Sink, Summary};
use domain::segment::Track;
use ffmpeg_next::mathematics::Rescale as _;
use ffmpeg_next::{Packet, Rational, codec, ffi, media};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

/// Nanoseconds, the shared clock of this file.
const NANOS: Rational = Rational(1, 1_000_000_000);

/// Two packets of sound further apart than this have a hole between them; one packet lasts 21 to 128 ms.
const HOLE: Duration = Duration::from_millis(250);

/// Cuts a file of any container that libavformat reads. Streams that are H.264 with frequent key frames, or AAC, are
/// copied packet by packet; others are encoded again.
pub fn segment_file(
    path: &Path,
    options: &Options,
    mut sink: impl FnMut(Event) -> ControlFlow<()>,
) -> Result<Summary, Error> {
    init();
    options.check()?;
    let found = Found::scan(path)?;
    let mut input = Input::open_any(path)?;
    let mut lanes = found.open_lanes(&input, options)?;
    let pacer = Pacer::new(options);
    while let Some(mut packet) = if options.stop.asked() { None } else { input.read()? } {
        let Some(lane) = lanes.iter_mut().find(|lane| lane.stream == packet.stream()) else { continue };
        if lane.ended {
            continue;
        }
        let moment = lane.put_on_shared_clock(&mut packet);
        // By turn, not by presentation: a packet that others refer to is decoded before them, so nothing that is kept lacks its
        // reference. At most the frames reordered around the limit are missing.
        if options.limit.is_some_and(|limit| moment >= limit) {
            lane.ended = true;
            if lanes.iter().all(|lane| lane.ended) {
                break;
            }
            continue;
        }
        pacer.wait_for(moment);
        lane.lane.push(packet, &mut sink)?;
    }
    finish(lanes, &mut sink)
}

fn finish(lanes: Vec<Running>, sink: &mut Sink) -> Result<Summary, Error> {
    let mut tracks = Vec::new();
    for lane in lanes {
        tracks.extend(lane.lane.finish(sink)?);
    }
    Ok(Summary { tracks })
}

struct Running {
    stream: usize,
    time_base: Rational,
    /// Subtracted from every timestamp: the file's first presented moment, in `time_base`.
    zero: i64,
    /// How far decoding runs ahead of presentation, in `time_base`: 0 for sound.
    lead: Option<i64>,
    ended: bool,
    lane: Lane,
}

impl Running {
    /// Puts a packet on the shared clock and says when its turn is: its decode time, less what decoding runs ahead.
    fn put_on_shared_clock(&mut self, packet: &mut Packet) -> Duration {
        packet.set_pts(packet.pts().map(|pts| pts - self.zero));
        packet.set_dts(packet.dts().map(|dts| dts - self.zero));
        let (pts, dts) = (packet.pts(), packet.dts());
        let turn = dts.or(pts).unwrap_or(0);
        let lead = *self.lead.get_or_insert(pts.unwrap_or(turn) - turn);
        Duration::from_nanos(u64::try_from((turn + lead).rescale(self.time_base, NANOS)).unwrap_or(0))
    }
}

/// What the first reading found.
struct Found {
    picture: Option<Seen>,
    sound: Option<Seen>,
    /// The file's first presented moment in nanoseconds.
    zero: i64,
}

/// One stream as the first reading saw it.
struct Seen {
    stream: usize,
    codec: codec::Id,
    time_base: Rational,
    /// First presented moment, in `time_base`.
    start: i64,
    /// Longest distance between sync samples, and from the last one to the end.
    gap_max: i64,
    last_key: Option<i64>,
    last_dts: Option<i64>,
    /// Every packet has both timestamps and decode times grow.
    timed: bool,
    /// AAC with a header in every packet, as in a transport stream. MP4 has no place for those headers, and the muxer's
    /// own filter for them is off in fragmented files, so such sound is encoded again.
    adts: bool,
    packets: u64,
}

impl Found {
    fn scan(path: &Path) -> Result<Found, Error> {
        let mut input = Input::open_any(path)?;
        let mut seen: Vec<Seen> = [media::Type::Video, media::Type::Audio]
            .into_iter()
            .filter_map(|kind| input.best(kind).map(|stream| Seen::new(&stream)))
            .collect();
        let is_picture =
            |input: &Input, seen: &Seen| input.best(media::Type::Video).is_some_and(|s| s.index() == seen.stream);
        while let Some(packet) = input.read()? {
            if let Some(seen) = seen.iter_mut().find(|seen| seen.stream == packet.stream()) {
                seen.look_at(&packet);
            }
        }
        seen.retain(|seen| seen.packets > 0 && seen.start != ffi::AV_NOPTS_VALUE);
        let zero = seen.iter().map(|seen| seen.start.rescale(seen.time_base, NANOS)).min();
        let zero = zero.ok_or_else(|| Error::NoStream { object: path.display().to_string() })?;
        let (picture, sound): (Vec<Seen>, Vec<Seen>) = seen.into_iter().partition(|seen| is_picture(&input, seen));
        Ok(Found { picture: picture.into_iter().next(), sound: sound.into_iter().next(), zero })
    }

    fn open_lanes(&self, input: &Input, options: &Options) -> Result<Vec<Running>, Error> {
        let mut lanes = Vec::new();
        let sides = [(Track::Video, &self.picture), (Track::Audio, &self.sound)];
        for (track, seen) in sides.into_iter().filter_map(|(track, seen)| Some((track, seen.as_ref()?))) {
            let Some(stream) = input.context.stream(seen.stream) else { continue };
            let zero = self.zero.rescale(NANOS, seen.time_base);
            let settings = Stream {
                parameters: stream.parameters().clone(),
                time_base: seen.time_base,
                frame_rate: stream.avg_frame_rate(),
                start: (seen.start - zero).max(0),
                target: options.target,
                matrix: Matrix::of(&stream),
            };
            let lane = match track {
                _ if seen.can_be_copied(track) => Lane::Copy(Box::new(Copy::open(track, settings)?)),
                Track::Video => Lane::Picture(Box::new(Picture::open(settings)?)),
                Track::Audio => Lane::Sound(Box::new(Sound::open(settings)?)),
            };
            lanes.push(Running {
                stream: seen.stream,
                time_base: seen.time_base,
                zero,
                lead: None,
                ended: false,
                lane,
            });
        }
        Ok(lanes)
    }
}

impl Seen {
    fn new(stream: &ffmpeg_next::Stream<'_>) -> Seen {
        Seen {
            stream: stream.index(),
            codec: stream.parameters().id(),
            time_base: stream.time_base(),
            // Where the container says that presentation begins: priming and leading pictures lie before it.
            start: stream.start_time(),
            gap_max: 0,
            last_key: None,
            last_dts: None,
            timed: true,
            adts: false,
            packets: 0,
        }
    }

    fn look_at(&mut self, packet: &Packet) {
        self.packets += 1;
        self.adts |= packet.data().is_some_and(|bytes| bytes.len() > 2 && bytes[0] == 0xff && bytes[1] & 0xf0 == 0xf0);
        if self.start == ffi::AV_NOPTS_VALUE {
            self.start = packet.pts().or(packet.dts()).unwrap_or(ffi::AV_NOPTS_VALUE);
        }
        let (Some(pts), Some(dts)) = (packet.pts(), packet.dts()) else {
            self.timed = false;
            return;
        };
        self.timed &= self.last_dts.is_none_or(|last| dts > last);
        self.last_dts = Some(dts);
        let since_key = pts.max(dts) - self.last_key.unwrap_or(pts);
        self.gap_max = self.gap_max.max(since_key);
        if packet.is_key() {
            self.last_key = Some(pts);
        }
    }

    fn can_be_copied(&self, track: Track) -> bool {
        let longest = Duration::from_nanos(u64::try_from(self.gap_max.rescale(self.time_base, NANOS)).unwrap_or(0));
        match track {
            Track::Video => self.codec == codec::Id::H264 && self.timed && longest < LONGEST,
            // Sound with a hole is encoded again, with silence in the hole: one sample stretched over it would be a
            // segment of any length.
            Track::Audio => self.codec == codec::Id::AAC && self.timed && !self.adts && longest < HOLE,
        }
    }
}
