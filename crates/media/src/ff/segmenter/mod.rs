//! The segmenter: a source becomes two CMAF tracks of segments, in memory, one event after the other.
//!
//! Both tracks lie on one clock that begins at 0; a track that begins later says so in its decode times. Every
//! segment holds one fragment and begins with a sync sample; decode times continue without a gap unless the source
//! itself jumps. Nothing here touches a disk or a network.

mod file;
mod lane;
mod matrix;
pub mod recast;
mod synthetic;
mod track;

pub use file::segment_file;
pub use synthetic::segment_synthetic;

use super::Error;
use domain::segment::{Span, Track, to_ms};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How a source is cut.
#[derive(Debug, Clone)]
pub struct Options {
    /// Wanted length of a segment, 1 to 10 s; a segment ends at the first sync sample at or after it.
    pub target: Duration,
    /// Whether the source runs at the speed of the clock on the wall.
    pub pace: Pace,
    /// Ends the recording after this much of it.
    pub limit: Option<Duration>,
    /// Ends the recording when somebody says so.
    pub stop: Stop,
}

impl Default for Options {
    fn default() -> Self {
        Options { target: Duration::from_secs(2), pace: Pace::Fast, limit: None, stop: Stop::default() }
    }
}

impl Options {
    fn check(&self) -> Result<(), Error> {
        // Longer ones are refused by the server (CONTRACTS §3), shorter ones cost more requests than they give.
        if (Duration::from_secs(1)..=LONGEST).contains(&self.target) {
            return Ok(());
        }
        Err(Error::Setting { what: format!("segment length {:?} is outside 1 s to {LONGEST:?}", self.target) })
    }
}

/// Longest segment the server takes (CONTRACTS §3).
pub const LONGEST: Duration = Duration::from_secs(10);

/// Speed of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// One second of recording takes one second.
    Realtime,
    /// As fast as the machine can.
    Fast,
}

/// A request to end cleanly: what was begun is finished, the last segment comes out, then the source ends.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks for the end. May be called from anywhere and more than once.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the end was asked for.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the segmenter hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The initialization section of a track; comes before its first segment.
    Init {
        /// Its track.
        track: Track,
        /// The whole section.
        bytes: Vec<u8>,
    },
    /// A media segment.
    Segment {
        /// Its track.
        track: Track,
        /// 1, 2, 3 …
        index: u32,
        /// The whole segment.
        bytes: Vec<u8>,
        /// Its place on the shared clock.
        span: Span,
    },
}

/// Takes events; `Break` means that nobody wants more, and the source ends at once with [`Error::Abandoned`].
pub type Sink<'a> = dyn FnMut(Event) -> ControlFlow<()> + 'a;

/// What was made of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackSummary {
    /// The track.
    pub track: Track,
    /// Index of its last segment.
    pub last_index: u32,
    /// Packets in all its segments.
    pub packets: u64,
    /// Bytes of the initialization section and all segments.
    pub bytes: u64,
    /// First presented moment and last moment on the shared clock, in units of `timescale`.
    pub start: i64,
    /// See `start`.
    pub end: i64,
    /// Units per second.
    pub timescale: u32,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The tracks, video first; a track without a packet is not there.
    pub tracks: Vec<TrackSummary>,
}

impl Summary {
    /// From the first presented moment of any track to the last, rounded down.
    pub fn duration_ms(&self) -> u64 {
        let ms = |units: i64, timescale| to_ms(u64::try_from(units).unwrap_or(0), timescale);
        let end = self.tracks.iter().map(|track| ms(track.end, track.timescale)).max().unwrap_or(0);
        let start = self.tracks.iter().map(|track| ms(track.start, track.timescale)).min().unwrap_or(0);
        end.saturating_sub(start)
    }
}

/// Holds a source back to the speed of the clock.
struct Pacer {
    pace: Pace,
    begun: Instant,
    stop: Stop,
}

/// How long a paced source sleeps before it looks whether it shall stop.
const NAP: Duration = Duration::from_millis(50);

impl Pacer {
    fn new(options: &Options) -> Pacer {
        Pacer { pace: options.pace, begun: Instant::now(), stop: options.stop.clone() }
    }

    /// Returns when `moment` of the recording has come, or an end was asked for.
    fn wait_for(&self, moment: Duration) {
        if self.pace == Pace::Fast {
            return;
        }
        while let Some(left) = moment.checked_sub(self.begun.elapsed()).filter(|left| !left.is_zero()) {
            if self.stop.asked() {
                return;
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}
