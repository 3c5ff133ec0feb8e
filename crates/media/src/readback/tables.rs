//! The sample tables and the edit list of one track, held to one another.
//!
//! Every loop is bounded by the length of a table, and that by the length of the `moov`.

#![forbid(unsafe_code)]

use super::ranges::{Entries, Located, Ranges};
use super::{Error, RangedReader};
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
pub(super) async fn presented<R: RangedReader>(
    ranges: &mut Ranges<'_, R>,
    edts: &Located,
) -> Result<Option<Presented>, Error<R::Error>> {
    let [elst] = ranges.children(edts, [b"elst"]).await?;
    let Some(elst) = elst else { return Ok(None) };
    let mut fields = ranges.entries(elst);
    let wide = fields.u32().await? >> 24 == 1;
    let count = fields.u32().await?;
    fields.hold_to(u64::from(count) * if wide { 20 } else { 12 })?;
    let (mut start, mut real) = (0u64, None);
    for n in 0..count {
        let (duration, media_time) = if wide {
            (fields.u64().await?, fields.u64().await? as i64)
        } else {
            (u64::from(fields.u32().await?), i64::from(fields.u32().await? as i32))
        };
        match (media_time, fields.u32().await?) {
            (-1, _) if n == 0 => start = duration,
            (0.., 0x0001_0000) if real.is_none() => real = Some((duration, media_time as u64)),
            _ => return Ok(None),
        }
    }
    Ok(real.map(|(duration, media_time)| Presented { start, duration, media_time }))
}

/// Where the tables of a track lie.
pub(super) struct Tables {
    stbl: Located,
    durations: Option<Located>,
    composition: Option<Located>,
    syncs: Option<Located>,
    runs: Option<Located>,
    sizes: Option<Located>,
    offsets: Option<Located>,
    /// Offsets have eight bytes.
    wide: bool,
}

impl Tables {
    /// The sample descriptions of an `stbl`, and its tables.
    pub(super) async fn of<R: RangedReader>(
        ranges: &mut Ranges<'_, R>,
        stbl: &Located,
    ) -> Result<(Located, Tables), Error<R::Error>> {
        let kinds = [b"stsd", b"stsz", b"stts", b"ctts", b"stss", b"stsc", b"co64", b"stco"];
        let [stsd, stsz, stts, composition, syncs, stsc, co64, stco] = ranges.children(stbl, kinds).await?;
        let stsd = stbl.require(stsd, b"stsd")?;
        let tables = Tables {
            stbl: *stbl,
            sizes: stsz,
            durations: stts,
            composition,
            syncs,
            runs: stsc,
            offsets: co64.or(stco),
            wide: co64.is_some(),
        };
        Ok((stsd, tables))
    }

    /// What they say of the track, together.
    pub(super) async fn facts<R: RangedReader>(
        self,
        ranges: &Ranges<'_, R>,
        track: Track,
        timescale: u32,
        mdats: &[(u64, u64)],
    ) -> Result<TrackFacts, Error<R::Error>> {
        let stsz = self.stbl.require(self.sizes, b"stsz")?;
        let mut sizes = ranges.entries(stsz);
        sizes.u32().await?;
        let (fixed, samples) = (sizes.u32().await?, u64::from(sizes.u32().await?));
        if sizes.left_bytes() != if fixed == 0 { samples * 4 } else { 0 } {
            return Err(stsz.bad("its length contradicts its sample count").into());
        }
        let duration = duration(ranges.entries(self.stbl.require(self.durations, b"stts")?), samples).await?;
        if let Some(ctts) = self.composition {
            check_composition(ranges.entries(ctts), samples).await?;
        }
        if let Some(stss) = self.syncs {
            check_syncs(ranges.entries(stss), samples).await?;
        }
        let payload_bytes = self.check_chunks(ranges, samples, Sizes { fixed, table: sizes }, mdats).await?;
        Ok(TrackFacts { track, samples, payload_bytes, duration, timescale })
    }

    /// Adds the sample sizes up, chunk by chunk, and sees that every chunk lies inside an `mdat`.
    async fn check_chunks<R: RangedReader>(
        &self,
        ranges: &Ranges<'_, R>,
        samples: u64,
        mut sizes: Sizes<'_, R>,
        mdats: &[(u64, u64)],
    ) -> Result<u64, Error<R::Error>> {
        let stco = self.stbl.require(self.offsets, b"stco")?;
        let stsc = self.stbl.require(self.runs, b"stsc")?;
        let mut runs = ChunkRuns::open(ranges.entries(stsc)).await?;
        let mut offsets = ranges.entries(stco);
        offsets.u32().await?;
        let count = u64::from(offsets.u32().await?);
        offsets.hold_to(count * if self.wide { 8 } else { 4 })?;
        let (mut placed, mut payload_bytes) = (0u64, 0u64);
        for number in 1..=count {
            let each = runs.samples_of(number).await?;
            let start = if self.wide { offsets.u64().await? } else { u64::from(offsets.u32().await?) };
            placed += each;
            if placed > samples {
                break;
            }
            let len = sizes.sum(each).await?;
            let end = start.saturating_add(len);
            // They stand in the order of the file, and a stranger may have written many of them for many chunks.
            let behind = mdats.partition_point(|&(from, _)| from <= start);
            if behind == 0 || end > mdats[behind - 1].1 {
                let what = "a chunk of the result lies outside it";
                return Err(Defect::MdatCoverage { at: start, what }.into());
            }
            payload_bytes += len;
        }
        if placed != samples || runs.left > 0 {
            return Err(stsc.bad("it places other samples than stsz counts").into());
        }
        Ok(payload_bytes)
    }
}

/// Adds the durations up.
async fn duration<R: RangedReader>(stts: Entries<'_, R>, samples: u64) -> Result<u64, Error<R::Error>> {
    let table = stts.table;
    let (mut counted, mut duration) = (0u64, 0u64);
    let add = |count, each| {
        counted += u64::from(count);
        duration = duration.saturating_add(u64::from(count) * u64::from(each));
    };
    runs(stts, add).await?;
    if counted == samples { Ok(duration) } else { Err(table.bad("it counts other samples than stsz").into()) }
}

async fn check_composition<R: RangedReader>(ctts: Entries<'_, R>, samples: u64) -> Result<(), Error<R::Error>> {
    let (table, mut counted) = (ctts.table, 0u64);
    runs(ctts, |count, _| counted += u64::from(count)).await?;
    if counted == samples { Ok(()) } else { Err(table.bad("it counts other samples than stsz").into()) }
}

/// Gives the pairs of a table.
async fn runs<R: RangedReader>(
    mut table: Entries<'_, R>,
    mut give: impl FnMut(u32, u32),
) -> Result<(), Error<R::Error>> {
    table.u32().await?;
    let count = u64::from(table.u32().await?);
    table.hold_to(count * 8)?;
    while table.left_bytes() > 0 {
        for pair in table.some(8, u64::MAX).await?.chunks_exact(8) {
            give(word(pair), word(&pair[4..]));
        }
    }
    Ok(())
}

/// The first four bytes, big-endian.
fn word(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(*bytes.first_chunk().expect("an entry has four bytes"))
}

/// Sync samples ascend and are there.
async fn check_syncs<R: RangedReader>(mut stss: Entries<'_, R>, samples: u64) -> Result<(), Error<R::Error>> {
    stss.u32().await?;
    let count = u64::from(stss.u32().await?);
    stss.hold_to(count * 4)?;
    let mut before = 0;
    while stss.left_bytes() > 0 {
        for entry in stss.some(4, u64::MAX).await?.chunks_exact(4) {
            let sync = word(entry);
            if sync <= before || u64::from(sync) > samples {
                return Err(stss.table.bad("it names a sample twice, or one that is not there").into());
            }
            before = sync;
        }
    }
    Ok(())
}

/// The sizes of `stsz`, front to back.
struct Sizes<'a, R> {
    /// Every sample has this size; 0 = the table says.
    fixed: u32,
    table: Entries<'a, R>,
}

impl<R: RangedReader> Sizes<'_, R> {
    async fn sum(&mut self, samples: u64) -> Result<u64, Error<R::Error>> {
        if self.fixed != 0 {
            return Ok(samples * u64::from(self.fixed));
        }
        let (mut left, mut sum) = (samples, 0);
        while left > 0 {
            let some = self.table.some(4, left).await?;
            sum += some.chunks_exact(4).map(|size| u64::from(word(size))).sum::<u64>();
            left -= some.len() as u64 / 4;
        }
        Ok(sum)
    }
}

/// The runs of `stsc`: from a chunk on, how many samples each has.
struct ChunkRuns<'a, R> {
    entries: Entries<'a, R>,
    left: u32,
    /// The first chunk of the run that comes next.
    next: u64,
    each: u64,
}

impl<'a, R: RangedReader> ChunkRuns<'a, R> {
    async fn open(mut entries: Entries<'a, R>) -> Result<ChunkRuns<'a, R>, Error<R::Error>> {
        entries.u32().await?;
        let left = entries.u32().await?;
        entries.hold_to(u64::from(left) * 12)?;
        let mut runs = ChunkRuns { entries, left, next: 0, each: 0 };
        runs.look().await?;
        Ok(runs)
    }

    fn bad(&self, what: &'static str) -> Error<R::Error> {
        self.entries.table.bad(what).into()
    }

    /// Reads where the next run begins.
    async fn look(&mut self) -> Result<(), Error<R::Error>> {
        let before = std::mem::replace(&mut self.next, u64::MAX);
        if self.left > 0 {
            self.next = u64::from(self.entries.u32().await?);
            if self.next <= before {
                return Err(self.bad("its chunks do not ascend"));
            }
        }
        Ok(())
    }

    /// How many samples chunk `number` has. Chunks are asked for one after the other, from 1 on.
    async fn samples_of(&mut self, number: u64) -> Result<u64, Error<R::Error>> {
        if number == self.next {
            self.each = u64::from(self.entries.u32().await?);
            let description = self.entries.u32().await?;
            if description != 1 {
                return Err(self.bad("it names a sample description that is not there"));
            }
            self.left -= 1;
            self.look().await?;
        }
        if self.each == 0 { Err(self.bad("a chunk has no samples")) } else { Ok(self.each) }
    }
}
