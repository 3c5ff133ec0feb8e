//! Movie fragments: from the tables of one `moof` to samples and the bytes they claim.
//!
//! A `moof` comes before its media data, so what its samples claim is kept until the `mdat` is seen.

#![forbid(unsafe_code)]

use crate::boxes::{BoxRef, Fields, FourCc};
use crate::defect::Defect;
use crate::index::{Builder, Refused, SAMPLES_MAX, Sample};
use crate::init::{Defaults, Init};

/// Flag of a sample that is not sync (ISO/IEC 14496-12 8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

/// Bytes that one run of samples claims, from the start of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// What fragments need to know of their track.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrackRules {
    track_id: u32,
    defaults: Defaults,
}

impl TrackRules {
    pub(crate) fn of(init: &Init) -> TrackRules {
        TrackRules { track_id: init.track_id, defaults: init.defaults }
    }
}

fn bad(found: &BoxRef<'_>, what: &'static str) -> Defect {
    Defect::BadMoof { kind: found.kind, at: found.at, what }
}

/// Version and flags of a full box of no later version than the standard has. A damaged version would have the fields
/// behind it read in another way.
fn version_up_to(found: &BoxRef<'_>, latest: u8, fields: &mut Fields<'_>) -> Result<(u8, u32), Defect> {
    let (version, flags) = fields.version_and_flags()?;
    if version > latest { Err(bad(found, "it has an unknown version")) } else { Ok((version, flags)) }
}

/// A box is as long as its version and flags say: a damaged one is found here, not in the times.
fn ends(found: &BoxRef<'_>, fields: &Fields<'_>) -> Result<(), Defect> {
    if fields.rest().is_empty() { Ok(()) } else { Err(bad(found, "its length contradicts its version and flags")) }
}

fn refused(found: &BoxRef<'_>, refused: Refused) -> Defect {
    match refused {
        Refused::TooManySamples => Defect::TooManySamples { max: SAMPLES_MAX },
        Refused::TooManyRuns => bad(found, "it is one of too many"),
        Refused::OutOfRange => bad(found, "a decode time or an offset is out of range"),
        Refused::GoesBack => bad(found, "its decode time goes back"),
    }
}

/// Adds the samples of one `moof` to the index and gives the bytes they claim.
pub(crate) fn read(moof: &BoxRef<'_>, rules: &TrackRules, index: &mut Builder) -> Result<Vec<Claim>, Defect> {
    let mut claims = Vec::new();
    let mut behind = moof.at;
    for child in moof.children() {
        let child = child?;
        if child.kind.0 == *b"traf" {
            behind = read_traf(&child, Base { moof: moof.at, behind }, rules, index, &mut claims)?;
        }
    }
    Ok(claims)
}

/// Where the offsets of a track fragment may count from.
#[derive(Clone, Copy)]
struct Base {
    /// First byte of the `moof`.
    moof: u64,
    /// Behind the data of the track fragment before, or the `moof` in the first one.
    behind: u64,
}

/// Reads one `traf` and tells where its data ends.
fn read_traf(
    traf: &BoxRef<'_>,
    base: Base,
    rules: &TrackRules,
    index: &mut Builder,
    claims: &mut Vec<Claim>,
) -> Result<u64, Defect> {
    let (data_base, defaults) = read_tfhd(&traf.require(b"tfhd")?, base, rules)?;
    let tfdt = traf.child(b"tfdt")?.ok_or(Defect::TfdtMissing { at: traf.at })?;
    let mut fields = tfdt.fields();
    let (version, _) = version_up_to(&tfdt, 1, &mut fields)?;
    let start = fields.u32_or_u64(version)?;
    ends(&tfdt, &fields)?;
    index.begin_fragment(start).map_err(|error| refused(&tfdt, error))?;
    let mut behind = data_base;
    for child in traf.children() {
        let child = child?;
        match &child.kind.0 {
            b"trun" => behind = read_trun(&child, data_base, behind, &defaults, index, claims)?,
            b"senc" => return Err(Defect::UnsupportedCodec { kind: child.kind }),
            _ => {}
        }
    }
    Ok(behind)
}

/// Gives the byte from which data offsets count, and the defaults of this fragment.
fn read_tfhd(tfhd: &BoxRef<'_>, base: Base, rules: &TrackRules) -> Result<(u64, Defaults), Defect> {
    let mut fields = tfhd.fields();
    let (_, flags) = version_up_to(tfhd, 0, &mut fields)?;
    let found = fields.u32()?;
    if found != rules.track_id {
        return Err(Defect::TrackId { at: tfhd.at, expected: rules.track_id, found });
    }
    let mut defaults = rules.defaults;
    let data_base = match flags {
        _ if flags & 0x1 != 0 => fields.u64()?,
        _ if flags & 0x2_0000 != 0 => base.moof,
        _ => base.behind,
    };
    if flags & 0x2 != 0 {
        defaults.description = fields.u32()?;
    }
    if flags & 0x8 != 0 {
        defaults.duration = fields.u32()?;
    }
    if flags & 0x10 != 0 {
        defaults.size_bytes = fields.u32()?;
    }
    if flags & 0x20 != 0 {
        defaults.flags = fields.u32()?;
    }
    ends(tfhd, &fields)?;
    if defaults.description != 1 {
        return Err(Defect::SampleDescription { at: tfhd.at, found: defaults.description });
    }
    Ok((data_base, defaults))
}

/// Reads one `trun` and tells where its data ends.
fn read_trun(
    trun: &BoxRef<'_>,
    data_base: u64,
    behind: u64,
    defaults: &Defaults,
    index: &mut Builder,
    claims: &mut Vec<Claim>,
) -> Result<u64, Defect> {
    let mut fields = trun.fields();
    let (version, flags) = version_up_to(trun, 1, &mut fields)?;
    let count = fields.u32()?;
    if count > SAMPLES_MAX {
        return Err(Defect::TooManySamples { max: SAMPLES_MAX });
    }
    let start = if flags & 0x1 == 0 { Some(behind) } else { data_base.checked_add_signed(i64::from(fields.i32()?)) };
    let start = start.ok_or(bad(trun, "its data offset is out of range"))?;
    let first_flags = if flags & 0x4 == 0 { defaults.flags } else { fields.u32()? };
    // The table must be exactly as long as its head says: a damaged count is found here, not in the samples.
    let record = (flags >> 8 & 0xf).count_ones() as usize * 4;
    if fields.rest().len() != record * count as usize {
        return Err(bad(trun, "its length contradicts its sample count"));
    }
    index.begin_run(start).map_err(|error| refused(trun, error))?;
    let mut end = start;
    for n in 0..count {
        let duration = if flags & 0x100 == 0 { defaults.duration } else { fields.u32()? };
        let size_bytes = if flags & 0x200 == 0 { defaults.size_bytes } else { fields.u32()? };
        let sample_flags = match n {
            _ if flags & 0x400 != 0 => fields.u32()?,
            0 => first_flags,
            _ => defaults.flags,
        };
        let composition_offset = match (flags & 0x800 != 0, version) {
            (false, _) => 0,
            (true, 0) => i32::try_from(fields.u32()?).map_err(|_| bad(trun, "a composition offset is out of range"))?,
            (true, _) => fields.i32()?,
        };
        let sample = Sample { size_bytes, duration, composition_offset, sync: sample_flags & NON_SYNC == 0 };
        index.sample(sample).map_err(|error| refused(trun, error))?;
        end += u64::from(size_bytes);
    }
    if end > start {
        claims.push(Claim { start, end });
    }
    Ok(end)
}

/// Every byte of the media data belongs to exactly one sample: the only check that finds a damaged `trun`, whose
/// sizes would else cut the stream at wrong places without anyone noticing.
pub(crate) fn check_coverage(claims: &mut [Claim], start: u64, end: u64) -> Result<(), Defect> {
    claims.sort_unstable();
    let mut covered = start;
    for claim in claims.iter() {
        let what = match claim.start {
            at if at < start => "a sample begins before it",
            at if at < covered => "two samples share a byte",
            at if at > covered => "a byte belongs to no sample",
            _ => {
                covered = claim.end;
                continue;
            }
        };
        return Err(Defect::MdatCoverage { at: claim.start.min(covered), what });
    }
    match covered {
        _ if covered > end => Err(Defect::MdatCoverage { at: end, what: "a sample ends behind it" }),
        _ if covered < end => Err(Defect::MdatCoverage { at: covered, what: "a byte belongs to no sample" }),
        _ => Ok(()),
    }
}

/// The samples of a fragment that no media data followed.
pub(crate) fn without_data(claims: &[Claim]) -> Result<(), Defect> {
    match claims.first() {
        Some(claim) => Err(Defect::MdatCoverage { at: claim.start, what: "no media data follows its fragment" }),
        None => Ok(()),
    }
}

/// Type of a movie fragment.
pub(crate) const MOOF: FourCc = FourCc(*b"moof");
