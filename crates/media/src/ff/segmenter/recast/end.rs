//! What a source lacks, by its own words: damaged packets, and an end that comes before the one its header tells.
//!
//! libavformat ends a file that was cut off like any other, so nobody else would notice.

use super::super::super::input::Input;
use super::lanes::NANOS;
use ffmpeg_next::mathematics::Rescale as _;
use ffmpeg_next::{Packet, Rational};
use std::collections::BTreeMap;

/// Milliseconds.
const MILLIS: Rational = Rational(1, 1_000);

/// Headers are rounded, and writers count the last packet or do not.
const CUT_MIN_MS: i64 = 500;

/// What was seen of a source.
#[derive(Debug, Default)]
pub(super) struct End {
    /// End of the packet that is presented last, in nanoseconds of the source's clock.
    last_ns: i64,
    /// Damaged packets of each stream, and where the first and the last of them lie, in milliseconds.
    pub(super) damaged: BTreeMap<usize, (u64, (u64, u64))>,
}

impl End {
    pub(super) fn add(&mut self, input: &Input, packet: &Packet) {
        let Some(stream) = input.context.stream(packet.stream()) else { return };
        let Some(time) = packet.pts().or(packet.dts()) else { return };
        let end = time.saturating_add(packet.duration().max(0)).rescale(stream.time_base(), NANOS);
        self.last_ns = self.last_ns.max(end);
    }

    pub(super) fn damaged(&mut self, input: &Input, packet: &Packet) {
        let time = packet.pts().or(packet.dts());
        let time_base = input.context.stream(packet.stream()).map_or(MILLIS, |stream| stream.time_base());
        let at = time.map_or(0, |time| u64::try_from(time.rescale(time_base, MILLIS)).unwrap_or(0));
        let (count, (_, last)) = self.damaged.entry(packet.stream()).or_insert((0, (at, at)));
        *count += 1;
        *last = at.max(*last);
    }

    /// How much earlier it ends than its header says; 0 where a header says nothing, or is guessed from the end itself.
    pub(super) fn cut_ms(&self, input: &Input) -> u64 {
        let format = input.context.format();
        let told = ["matroska", "mov"].iter().any(|name| format.name().starts_with(name));
        let told_ms = input.context.duration().rescale(Rational(1, 1_000_000), MILLIS);
        let cut_ms = told_ms - self.last_ns.rescale(NANOS, MILLIS);
        if told && cut_ms >= CUT_MIN_MS { cut_ms.unsigned_abs() } else { 0 }
    }
}
