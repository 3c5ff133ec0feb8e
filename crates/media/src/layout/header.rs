//! Everything before the first sample: `ftyp`, `moov` and the head of `mdat`.
//!
//! The header knows its own length before it is written, because chunk offsets count from its end. It leaves in
//! pieces, so that eight hours of samples never lie in memory as tables.
//! Sample descriptions go into it byte for byte, the tag of the codec among them: that HEVC has no parameter sets among
//! its samples, and so may be called `hvc1` instead of `hev1`, no index can tell.

#![forbid(unsafe_code)]

use super::table::{SampleWalk, Table};
use super::{Chunk, Error, LaidTrack, Layout, MOVIE_TIMESCALE};
use crate::index::Skimmed;
use bytes::Bytes;
use std::collections::VecDeque;

/// A piece is handed out when it has reached this length.
const PIECE_BYTES: usize = 64 << 10;

/// Chunk offsets written in one go; a bound on how long a step takes, nothing else.
const CHUNKS_PER_STEP: usize = 4096;

/// Where the header's variable parts end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeaderSize {
    /// `co64` instead of `stco`.
    wide: bool,
    /// Length of `moov`.
    moov: u64,
    /// Length of the head of `mdat`: 8, or 16 with a 64-bit size.
    mdat_head: u64,
}

impl HeaderSize {
    /// Wide offsets and a long `mdat` head each make the header longer, so the narrow form is tried first.
    pub(super) fn of(tracks: &[LaidTrack], chunks: &[Chunk], payload_bytes: u64) -> Result<HeaderSize, Error> {
        let most = u64::from(u32::MAX);
        let mdat_head = if payload_bytes + 8 > most { 16 } else { 8 };
        let last = chunks.last().map_or(0, |chunk| payload_bytes - chunk.len);
        let size = |wide| {
            let moov = 8 + MVHD + tracks.iter().map(|track| track.trak_bytes(wide)).sum::<u64>();
            HeaderSize { wide, moov, mdat_head }
        };
        let narrow = size(false);
        let size = if narrow.total_bytes() + last > most { size(true) } else { narrow };
        let countable = tracks.iter().find(|track| track.timeline.samples > most);
        match countable.or(tracks.first().filter(|_| size.moov > most)) {
            Some(track) => Err(Error::OutOfRange { track: track.input.init.track }),
            None => Ok(size),
        }
    }

    pub(super) fn total_bytes(&self) -> u64 {
        FTYP.len() as u64 + self.moov + self.mdat_head
    }
}

/// Brands: edit lists and signed composition offsets are those of `iso6`.
const FTYP: [u8; 32] = *b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2iso6mp41";

/// Lengths of boxes that have always the same.
const MVHD: u64 = 120;
const TKHD: u64 = 104;
const MDHD: u64 = 44;

impl LaidTrack {
    fn edits(&self) -> u64 {
        1 + u64::from(self.times.start > 0)
    }

    fn edts_bytes(&self) -> u64 {
        8 + 16 + 20 * self.edits()
    }

    fn stbl_bytes(&self, wide: bool) -> u64 {
        let tables: u64 = Table::ALL.iter().map(|&table| self.counts.bytes(table, wide)).sum();
        8 + self.input.init.parts.stsd.len() as u64 + tables
    }

    fn minf_bytes(&self, wide: bool) -> u64 {
        let parts = &self.input.init.parts;
        8 + (parts.media_header.len() + parts.dinf.len()) as u64 + self.stbl_bytes(wide)
    }

    fn mdia_bytes(&self, wide: bool) -> u64 {
        8 + MDHD + self.input.init.parts.hdlr.len() as u64 + self.minf_bytes(wide)
    }

    fn trak_bytes(&self, wide: bool) -> u64 {
        8 + TKHD + self.edts_bytes() + self.mdia_bytes(wide)
    }

    /// Everything of the track up to its first sample table.
    fn write_head(&self, out: &mut Out, track_id: u32, wide: bool) {
        let (init, times) = (&self.input.init, &self.times);
        out.head(self.trak_bytes(wide), b"trak");
        out.head(TKHD, b"tkhd");
        // Version 1; enabled and in the movie. Times of creation and modification stay 0.
        out.u32(0x0100_0003).u64(0).u64(0).u32(track_id).u32(0).u64(times.start + times.duration);
        let tail = out.0.len();
        out.bytes(&init.parts.tkhd_tail);
        // Tracks of another kind are no alternatives to one another.
        out.0[tail + 10..tail + 12].fill(0);
        out.head(self.edts_bytes(), b"edts").head(self.edts_bytes() - 8, b"elst");
        out.u32(0x0100_0000).u32(self.edits() as u32);
        if times.start > 0 {
            out.u64(times.start).u64(u64::MAX).u32(0x0001_0000);
        }
        out.u64(times.duration).u64(times.media_time).u32(0x0001_0000);
        out.head(self.mdia_bytes(wide), b"mdia").head(MDHD, b"mdhd");
        out.u32(0x0100_0000).u64(0).u64(0).u32(init.timescale).u64(self.timeline.duration());
        out.u16(init.language).u16(0);
        out.bytes(&init.parts.hdlr).head(self.minf_bytes(wide), b"minf");
        out.bytes(&init.parts.media_header).bytes(&init.parts.dinf);
        out.head(self.stbl_bytes(wide), b"stbl").bytes(&init.parts.stsd);
    }

    fn write_table_head(&self, out: &mut Out, table: Table, wide: bool) {
        let kind = match table {
            Table::Durations => b"stts",
            Table::Syncs => b"stss",
            Table::CompositionOffsets => b"ctts",
            Table::Chunks => b"stsc",
            Table::Sizes => b"stsz",
            Table::Offsets if wide => b"co64",
            Table::Offsets => b"stco",
        };
        out.head(self.counts.bytes(table, wide), kind);
        let signed =
            table == Table::CompositionOffsets && self.timeline.has_negative_offsets(self.times.composition_bias);
        out.u32(u32::from(signed) << 24);
        if table == Table::Sizes {
            out.u32(0);
        }
        out.u32(self.counts.entries(table).unwrap_or(0) as u32);
    }
}

/// Bytes of boxes, big-endian.
#[derive(Debug, Default)]
struct Out(Vec<u8>);

impl Out {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Out {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u16(&mut self, value: u16) -> &mut Out {
        self.bytes(&value.to_be_bytes())
    }

    fn u32(&mut self, value: u32) -> &mut Out {
        self.bytes(&value.to_be_bytes())
    }

    fn u64(&mut self, value: u64) -> &mut Out {
        self.bytes(&value.to_be_bytes())
    }

    /// The head of a box inside `moov`, whose own length has been checked to fit 32 bits.
    fn head(&mut self, size: u64, kind: &[u8; 4]) -> &mut Out {
        self.u32(size as u32).bytes(kind)
    }
}

/// What is still to be written.
#[derive(Debug)]
enum Part<'a> {
    Start,
    TrackHead(usize),
    TableHead(usize, Table),
    Samples(SampleWalk<'a>),
    Chunks { track: usize, next: usize, number: u32, before: Option<u32> },
    Offsets { track: usize, next: usize, position: u64 },
    MdatHead,
}

/// The header, piece by piece.
#[derive(Debug)]
pub struct HeaderPieces<'a> {
    layout: &'a Layout,
    parts: VecDeque<Part<'a>>,
}

impl<'a> HeaderPieces<'a> {
    pub(super) fn of(layout: &'a Layout) -> HeaderPieces<'a> {
        let mut parts = VecDeque::from([Part::Start]);
        for (track, laid) in layout.tracks.iter().enumerate() {
            parts.push_back(Part::TrackHead(track));
            let samples = |wanted| {
                Part::Samples(SampleWalk::of(&laid.input, &laid.timeline, wanted, laid.times.composition_bias))
            };
            for table in Table::ALL.into_iter().filter(|&table| laid.counts.entries(table).is_some()) {
                parts.push_back(Part::TableHead(track, table));
                parts.push_back(match table {
                    Table::Durations => samples(Skimmed::Durations),
                    Table::Syncs => samples(Skimmed::Syncs),
                    Table::CompositionOffsets => samples(Skimmed::CompositionOffsets),
                    Table::Sizes => samples(Skimmed::Sizes),
                    Table::Chunks => Part::Chunks { track, next: 0, number: 0, before: None },
                    Table::Offsets => Part::Offsets { track, next: 0, position: layout.size.total_bytes() },
                });
            }
        }
        parts.push_back(Part::MdatHead);
        HeaderPieces { layout, parts }
    }

    fn write_start(&self, out: &mut Out) {
        let tracks = &self.layout.tracks;
        let duration = tracks.iter().map(|track| track.times.start + track.times.duration).max().unwrap_or(0);
        out.bytes(&FTYP).head(self.layout.size.moov, b"moov").head(MVHD, b"mvhd");
        out.u32(0x0100_0000).u64(0).u64(0).u32(MOVIE_TIMESCALE).u64(duration);
        // Rate 1, full volume, reserved.
        out.u32(0x0001_0000).u16(0x0100).u16(0).u64(0);
        for word in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
            out.u32(word);
        }
        (0..6).for_each(|_| {
            out.u32(0);
        });
        out.u32(tracks.len() as u32 + 1);
    }

    /// Writes some of the first part; true when the part is done.
    fn advance(&mut self, out: &mut Out) -> bool {
        let (layout, wide) = (self.layout, self.layout.size.wide);
        match self.parts.front_mut() {
            None => {}
            Some(Part::Start) => self.write_start(out),
            Some(&mut Part::TrackHead(track)) => layout.tracks[track].write_head(out, track as u32 + 1, wide),
            Some(&mut Part::TableHead(track, table)) => layout.tracks[track].write_table_head(out, table, wide),
            Some(Part::Samples(walk)) => {
                let single = walk.is_single();
                let more = walk.step(&mut |first, second| {
                    out.u32(first);
                    if !single {
                        out.u32(second);
                    }
                });
                return !more;
            }
            Some(Part::Chunks { track, next, number, before }) => {
                let end = layout.chunks.len().min(*next + CHUNKS_PER_STEP);
                for chunk in layout.chunks[*next..end].iter().filter(|chunk| chunk.track == *track) {
                    *number += 1;
                    if before.replace(chunk.samples) != Some(chunk.samples) {
                        out.u32(*number).u32(chunk.samples).u32(1);
                    }
                }
                *next = end;
                return end == layout.chunks.len();
            }
            Some(Part::Offsets { track, next, position }) => {
                let end = layout.chunks.len().min(*next + CHUNKS_PER_STEP);
                for chunk in &layout.chunks[*next..end] {
                    match chunk.track == *track {
                        true if wide => out.u64(*position),
                        true => out.u32(*position as u32),
                        false => out,
                    };
                    *position += chunk.len;
                }
                *next = end;
                return end == layout.chunks.len();
            }
            Some(Part::MdatHead) => {
                let (size, head) = (layout.payload_bytes + layout.size.mdat_head, layout.size.mdat_head);
                if head == 16 {
                    out.head(1, b"mdat").u64(size)
                } else {
                    out.head(size, b"mdat")
                };
            }
        }
        true
    }
}

impl Iterator for HeaderPieces<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut out = Out::default();
        while out.0.len() < PIECE_BYTES && !self.parts.is_empty() {
            if self.advance(&mut out) {
                self.parts.pop_front();
            }
        }
        (!out.0.is_empty()).then(|| Bytes::from(out.0))
    }
}
