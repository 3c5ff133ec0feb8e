//! The initialization section of one track: `ftyp + moov` without samples.
//!
//! Reading is strict: exactly one track, of the kind it was given for, with everything a result needs. What describes
//! the samples (`stsd`, `hdlr`, media header, data reference, the track's matrix) is kept byte for byte.

#![forbid(unsafe_code)]

mod aac;
mod codec;
mod rotation;

use crate::boxes::{BoxRef, Boxes, EBML_MAGIC, FourCc};
use crate::defect::Defect;
use domain::segment::{CodecFacts, Track};

/// What a track of a result says of its codec and format, the picture as it is shown.
pub(crate) fn shown_facts(
    track: Track,
    tkhd: &BoxRef<'_>,
    stsd: &BoxRef<'_>,
    timescale: u32,
) -> Result<CodecFacts, Defect> {
    let (_, tkhd_tail) = parse_tkhd(tkhd)?;
    Ok(rotation::shown(codec::facts(track, stsd, timescale)?, tkhd_tail))
}

/// Largest initialization section. Real ones have about a thousand bytes.
pub const INIT_BYTES_MAX: u64 = 1 << 20;

/// What samples have when their fragment does not say it (`trex`, ISO/IEC 14496-12 8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// Index of the sample description.
    pub description: u32,
    /// Duration in units of the track's timescale.
    pub duration: u32,
    /// Length in bytes.
    pub size_bytes: u32,
    /// Sample flags.
    pub flags: u32,
}

/// What is known of a track before its first sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Init {
    /// The track it was given for.
    pub track: Track,
    /// Number of the track in its fragments.
    pub track_id: u32,
    /// Units per second of the track's time axis; at least 1.
    pub timescale: u32,
    /// Packed language code (`mdhd`).
    pub language: u16,
    /// What the edit list takes away from composition times to get presentation times, in units of `timescale`.
    /// It is priming of the encoder when positive, a late start when negative.
    pub media_time: i64,
    /// Defaults of the samples.
    pub defaults: Defaults,
    /// Codec string and picture or sound format.
    pub facts: CodecFacts,
    pub(crate) parts: Parts,
}

/// Boxes that go into the result byte for byte.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parts {
    /// `tkhd` from its `reserved` behind the duration on: layer, group, volume, matrix, width, height.
    pub(crate) tkhd_tail: Vec<u8>,
    pub(crate) hdlr: Vec<u8>,
    /// `vmhd`, `smhd` or `nmhd`.
    pub(crate) media_header: Vec<u8>,
    pub(crate) dinf: Vec<u8>,
    pub(crate) stsd: Vec<u8>,
}

impl Init {
    /// Reads the initialization section given for `track`. The same bytes always read the same, so whoever needs an
    /// `Init` again keeps the bytes.
    pub fn parse(track: Track, bytes: &[u8]) -> Result<Init, Defect> {
        if bytes.is_empty() {
            return Err(Defect::ZeroByte);
        }
        if bytes.starts_with(&EBML_MAGIC) {
            return Err(Defect::NotIsoBmff);
        }
        let size_bytes = bytes.len() as u64;
        if size_bytes > INIT_BYTES_MAX {
            return Err(Defect::TooLarge { kind: FourCc::OBJECT, at: 0, size_bytes, max_bytes: INIT_BYTES_MAX });
        }
        let mut moov = None;
        for found in Boxes::of(bytes) {
            let found = found?;
            match &found.kind.0 {
                b"moov" if moov.is_some() => return Err(bad(&found, "it is there twice")),
                b"moov" => moov = Some(found),
                b"moof" | b"mdat" => return Err(bad(&found, "an initialization section has no samples")),
                _ => {}
            }
        }
        parse_moov(track, &moov.ok_or(Defect::MissingInit)?)
    }
}

fn bad(found: &BoxRef<'_>, what: &'static str) -> Defect {
    Defect::BadBox { kind: found.kind, at: found.at, what }
}

fn parse_moov(track: Track, moov: &BoxRef<'_>) -> Result<Init, Defect> {
    let mvhd = moov.require(b"mvhd")?;
    let movie_timescale = timescale_of(&mvhd)?;
    let mut traks = moov.children().filter(|child| !matches!(child, Ok(child) if child.kind.0 != *b"trak"));
    let trak = traks.next().transpose()?.ok_or(bad(moov, "it has no track"))?;
    if traks.next().transpose()?.is_some() {
        return Err(bad(moov, "it has more than one track"));
    }
    let mdia = trak.require(b"mdia")?;
    let hdlr = mdia.require(b"hdlr")?;
    let found = handler_of(&hdlr)?;
    if found.0 != track.handler() {
        return Err(Defect::WrongInit { expected: track, found });
    }
    let mdhd = mdia.require(b"mdhd")?;
    let timescale = timescale_of(&mdhd)?;
    let (track_id, tkhd_tail) = parse_tkhd(&trak.require(b"tkhd")?)?;
    let minf = mdia.require(b"minf")?;
    let media_header = first_of(&minf, &[*b"vmhd", *b"smhd", *b"nmhd"])?;
    let stsd = minf.require(b"stbl")?.require(b"stsd")?;
    let parts = Parts {
        tkhd_tail: tkhd_tail.to_vec(),
        hdlr: hdlr.whole.to_vec(),
        media_header: media_header.whole.to_vec(),
        dinf: minf.require(b"dinf")?.whole.to_vec(),
        stsd: stsd.whole.to_vec(),
    };
    let media_time = match trak.child(b"edts")? {
        None => 0,
        Some(edts) => edts.child(b"elst")?.map_or(Ok(0), |elst| parse_elst(&elst, timescale, movie_timescale))?,
    };
    let defaults = parse_trex(&moov.require(b"mvex")?, track_id)?;
    let facts = rotation::shown(codec::facts(track, &stsd, timescale)?, tkhd_tail);
    Ok(Init { track, track_id, timescale, language: language_of(&mdhd)?, media_time, defaults, facts, parts })
}

/// Units per second of `mvhd` and `mdhd`, whose first fields are the same.
pub(crate) fn timescale_of(header: &BoxRef<'_>) -> Result<u32, Defect> {
    let mut fields = header.fields();
    let (version, _) = fields.version_and_flags()?;
    fields.skip(if version == 1 { 16 } else { 8 })?;
    let timescale = fields.u32()?;
    if timescale == 0 { Err(bad(header, "its timescale is 0")) } else { Ok(timescale) }
}

fn language_of(mdhd: &BoxRef<'_>) -> Result<u16, Defect> {
    let mut fields = mdhd.fields();
    let (version, _) = fields.version_and_flags()?;
    fields.skip(if version == 1 { 28 } else { 16 })?;
    fields.u16()
}

pub(crate) fn handler_of(hdlr: &BoxRef<'_>) -> Result<FourCc, Defect> {
    let mut fields = hdlr.fields();
    fields.skip(8)?;
    fields.four_cc()
}

fn parse_tkhd<'a>(tkhd: &BoxRef<'a>) -> Result<(u32, &'a [u8]), Defect> {
    let mut fields = tkhd.fields();
    let (version, _) = fields.version_and_flags()?;
    fields.skip(if version == 1 { 16 } else { 8 })?;
    let track_id = fields.u32()?;
    fields.skip(if version == 1 { 12 } else { 8 })?;
    if track_id == 0 || fields.rest().len() != 60 {
        return Err(bad(tkhd, "its track number or its length is wrong"));
    }
    Ok((track_id, fields.rest()))
}

fn first_of<'a>(parent: &BoxRef<'a>, kinds: &[[u8; 4]]) -> Result<BoxRef<'a>, Defect> {
    for child in parent.children() {
        let child = child?;
        if kinds.contains(&child.kind.0) {
            return Ok(child);
        }
    }
    Err(Defect::MissingBox { kind: FourCc(kinds[0]), parent: parent.kind, at: parent.at })
}

/// Empty edits put the track later, the first real one says where in the media it begins. How long that one lasts is
/// not read: an initialization section is written before anyone knows.
fn parse_elst(elst: &BoxRef<'_>, timescale: u32, movie_timescale: u32) -> Result<i64, Defect> {
    let mut fields = elst.fields();
    let (version, _) = fields.version_and_flags()?;
    let (mut empty, mut media_time) = (0u64, None);
    for _ in 0..fields.u32()? {
        let duration = fields.u32_or_u64(version)?;
        let start = if version == 1 { fields.u64()? as i64 } else { i64::from(fields.i32()?) };
        let rate = fields.u32()?;
        match start {
            -1 if media_time.is_none() => empty = empty.saturating_add(duration),
            0.. if media_time.is_none() && rate == 0x0001_0000 => media_time = Some(start),
            _ => return Err(bad(elst, "more than a start cannot be taken over")),
        }
    }
    let late = (u128::from(empty) * u128::from(timescale) * 2 + u128::from(movie_timescale))
        / (u128::from(movie_timescale) * 2);
    let late = i64::try_from(late).ok().filter(|&late| late <= crate::index::TIME_MAX as i64);
    let media_time =
        media_time.filter(|&start| start <= crate::index::TIME_MAX as i64).or(media_time.is_none().then_some(0));
    match (media_time, late) {
        (Some(media_time), Some(late)) => Ok(media_time - late),
        _ => Err(bad(elst, "its times are out of range")),
    }
}

fn parse_trex(mvex: &BoxRef<'_>, track_id: u32) -> Result<Defaults, Defect> {
    for child in mvex.children() {
        let child = child?;
        if child.kind.0 != *b"trex" {
            continue;
        }
        let mut fields = child.fields();
        fields.skip(4)?;
        if fields.u32()? != track_id {
            continue;
        }
        let (description, duration) = (fields.u32()?, fields.u32()?);
        return Ok(Defaults { description, duration, size_bytes: fields.u32()?, flags: fields.u32()? });
    }
    Err(Defect::MissingBox { kind: FourCc(*b"trex"), parent: mvex.kind, at: mvex.at })
}
