//! The sample tables and the edit list of one track, held to one another.
//!
//! Every loop is bounded by the length of a table, and that by the `moov`, which lies in memory.

#![forbid(unsafe_code)]

use crate::boxes::{BoxRef, Fields};
use crate::defect::Defect;
use crate::layout::TrackTimes;
use domain::mux::TrackFacts;
use domain::segment::Track;

/// When a track is presented, as its edit list tells (ISO/IEC 14496-12 8.6.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// Start, in units of the movie's timescale.
    pub start: u64,
    /// How long, in units of the movie's timescale.
    pub duration: u64,
    /// Where in the media it begins, in units of the track's timescale.
    pub media_time: u64,
}

impl Presented {
    /// As a layout plans it.
    pub(super) fn of(times: &TrackTimes) -> Presented {
        Presented { start: times.start, duration: times.duration, media_time: times.media_time }
    }
}

/// A start, if any, and one stretch of the media at its own pace; `None` for any other edit list, and for none.
pub(super) fn presented(trak: &BoxRef<'_>) -> Result<Option<Presented>, Defect> {
    let Some(edts) = trak.child(b"edts")? else { return Ok(None) };
    let Some(elst) = edts.child(b"elst")? else { return Ok(None) };
    let mut fields = elst.fields();
    let (version, _) = fields.version_and_flags()?;
    let count = fields.u32()?;
    table_of(&elst, &fields, u64::from(count) * if version == 1 { 20 } else { 12 })?;
    let (mut start, mut real) = (0u64, None);
    for n in 0..count {
        let duration = fields.u32_or_u64(version)?;
        let media_time = if version == 1 { fields.u64()? as i64 } else { i64::from(fields.i32()?) };
        match (media_time, fields.u32()?) {
            (-1, _) if n == 0 => start = duration,
            (0.., 0x0001_0000) if real.is_none() => real = Some((duration, media_time as u64)),
            _ => return Ok(None),
        }
    }
    Ok(real.map(|(duration, media_time)| Presented { start, duration, media_time }))
}

/// What is left of a box is exactly its table.
fn table_of(found: &BoxRef<'_>, fields: &Fields<'_>, len: u64) -> Result<(), Defect> {
    if fields.rest().len() as u64 == len { Ok(()) } else { Err(bad(found, "its length contradicts its entry count")) }
}

fn bad(found: &BoxRef<'_>, what: &'static str) -> Defect {
    Defect::BadBox { kind: found.kind, at: found.at, what }
}

pub(super) fn parse_tables(
    track: Track,
    timescale: u32,
    stbl: &BoxRef<'_>,
    mdats: &[(u64, u64)],
) -> Result<TrackFacts, Defect> {
    let stsz = stbl.require(b"stsz")?;
    let mut sizes = stsz.fields();
    sizes.skip(4)?;
    let (fixed, samples) = (sizes.u32()?, u64::from(sizes.u32()?));
    let table = if fixed == 0 { samples * 4 } else { 0 };
    if sizes.rest().len() as u64 != table {
        return Err(bad(&stsz, "its length contradicts its sample count"));
    }
    let duration = duration(&stbl.require(b"stts")?, samples)?;
    if let Some(ctts) = stbl.child(b"ctts")? {
        check_composition(&ctts, samples)?;
    }
    if let Some(stss) = stbl.child(b"stss")? {
        check_syncs(&stss, samples)?;
    }
    let payload_bytes = check_chunks(stbl, samples, Sizes { fixed, table: sizes }, mdats)?;
    Ok(TrackFacts { track, samples, payload_bytes, duration, timescale })
}

/// Adds the durations up.
fn duration(stts: &BoxRef<'_>, samples: u64) -> Result<u64, Defect> {
    let (mut counted, mut duration) = (0u64, 0u64);
    runs(stts, |count, each| {
        counted += u64::from(count);
        duration = duration.saturating_add(u64::from(count) * u64::from(each));
    })?;
    if counted == samples { Ok(duration) } else { Err(bad(stts, "it counts other samples than stsz")) }
}

fn check_composition(ctts: &BoxRef<'_>, samples: u64) -> Result<(), Defect> {
    let mut counted = 0u64;
    runs(ctts, |count, _| counted += u64::from(count))?;
    if counted == samples { Ok(()) } else { Err(bad(ctts, "it counts other samples than stsz")) }
}

/// Gives the pairs of a table.
fn runs(table: &BoxRef<'_>, mut give: impl FnMut(u32, u32)) -> Result<(), Defect> {
    let mut fields = table.fields();
    fields.skip(4)?;
    let count = fields.u32()?;
    table_of(table, &fields, u64::from(count) * 8)?;
    for _ in 0..count {
        give(fields.u32()?, fields.u32()?);
    }
    Ok(())
}

/// Sync samples ascend and are there.
fn check_syncs(stss: &BoxRef<'_>, samples: u64) -> Result<(), Defect> {
    let mut fields = stss.fields();
    fields.skip(4)?;
    let count = fields.u32()?;
    table_of(stss, &fields, u64::from(count) * 4)?;
    let mut before = 0;
    for _ in 0..count {
        let sync = fields.u32()?;
        if sync <= before || u64::from(sync) > samples {
            return Err(bad(stss, "it names a sample twice, or one that is not there"));
        }
        before = sync;
    }
    Ok(())
}

/// The sizes of `stsz`, front to back.
struct Sizes<'a> {
    /// Every sample has this size; 0 = the table says.
    fixed: u32,
    table: Fields<'a>,
}

impl Sizes<'_> {
    fn sum(&mut self, samples: u64) -> Result<u64, Defect> {
        if self.fixed != 0 {
            return Ok(samples * u64::from(self.fixed));
        }
        let mut sum = 0;
        for _ in 0..samples {
            sum += u64::from(self.table.u32()?);
        }
        Ok(sum)
    }
}

/// Adds the sample sizes up, chunk by chunk, and sees that every chunk lies inside an `mdat`.
fn check_chunks(stbl: &BoxRef<'_>, samples: u64, mut sizes: Sizes<'_>, mdats: &[(u64, u64)]) -> Result<u64, Defect> {
    let (offsets, wide) = match stbl.child(b"co64")? {
        Some(co64) => (co64, 1),
        None => (stbl.require(b"stco")?, 0),
    };
    let mut runs = ChunkRuns::open(stbl.require(b"stsc")?)?;
    let stsc = runs.stsc;
    let mut fields = offsets.fields();
    fields.skip(4)?;
    let count = fields.u32()?;
    table_of(&offsets, &fields, u64::from(count) * if wide == 1 { 8 } else { 4 })?;
    let (mut placed, mut payload_bytes) = (0u64, 0u64);
    for number in 1..=u64::from(count) {
        let each = runs.samples_of(number)?;
        let start = fields.u32_or_u64(wide)?;
        placed += each;
        if placed > samples {
            break;
        }
        let len = sizes.sum(each)?;
        let end = start.saturating_add(len);
        // They stand in the order of the file, and a stranger may have written many of them for many chunks.
        let behind = mdats.partition_point(|&(from, _)| from <= start);
        if behind == 0 || end > mdats[behind - 1].1 {
            return Err(Defect::MdatCoverage { at: start, what: "a chunk of the result lies outside it" });
        }
        payload_bytes += len;
    }
    if placed != samples || runs.left > 0 {
        return Err(bad(&stsc, "it places other samples than stsz counts"));
    }
    Ok(payload_bytes)
}

/// The runs of `stsc`: from a chunk on, how many samples each has.
struct ChunkRuns<'a> {
    stsc: BoxRef<'a>,
    fields: Fields<'a>,
    left: u32,
    /// The first chunk of the run that comes next.
    next: u64,
    each: u64,
}

impl<'a> ChunkRuns<'a> {
    fn open(stsc: BoxRef<'a>) -> Result<ChunkRuns<'a>, Defect> {
        let mut fields = stsc.fields();
        fields.skip(4)?;
        let left = fields.u32()?;
        table_of(&stsc, &fields, u64::from(left) * 12)?;
        let mut runs = ChunkRuns { stsc, fields, left, next: 0, each: 0 };
        runs.look()?;
        Ok(runs)
    }

    /// Reads where the next run begins.
    fn look(&mut self) -> Result<(), Defect> {
        let before = std::mem::replace(&mut self.next, u64::MAX);
        if self.left > 0 {
            self.next = u64::from(self.fields.u32()?);
            if self.next <= before {
                return Err(bad(&self.stsc, "its chunks do not ascend"));
            }
        }
        Ok(())
    }

    /// How many samples chunk `number` has. Chunks are asked for one after the other, from 1 on.
    fn samples_of(&mut self, number: u64) -> Result<u64, Defect> {
        if number == self.next {
            self.each = u64::from(self.fields.u32()?);
            let description = self.fields.u32()?;
            if description != 1 {
                return Err(bad(&self.stsc, "it names a sample description that is not there"));
            }
            self.left -= 1;
            self.look()?;
        }
        if self.each == 0 { Err(bad(&self.stsc, "a chunk has no samples")) } else { Ok(self.each) }
    }
}
