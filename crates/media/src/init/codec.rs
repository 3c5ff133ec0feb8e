//! What a sample description says of its codec.
//!
//! Codec strings follow RFC 6381 and the bindings of each codec (ISO/IEC 14496-15 annex E, AV1-ISOBMFF 5, VP9 in
//! ISOBMFF). Opus is spelled `opus`, as Media Source Extensions take it.

#![forbid(unsafe_code)]

use super::aac::AudioConfig;
use crate::boxes::{BoxRef, Fields, FourCc};
use crate::defect::Defect;
use domain::segment::{CodecFacts, Track};

/// Bytes of a sample entry before its own fields: reserved and data reference index.
const ENTRY: usize = 8;
/// Bytes of a visual sample entry before its boxes.
const VISUAL: usize = 78;
/// Bytes of an audio sample entry before its boxes; QuickTime versions 1 and 2 have more.
const SOUND: [usize; 3] = [28, 44, 64];

/// Reads the first sample description of a track.
pub(crate) fn facts(track: Track, stsd: &BoxRef<'_>, timescale: u32) -> Result<CodecFacts, Defect> {
    let mut fields = stsd.fields();
    fields.skip(4)?;
    match fields.u32()? {
        1 => {}
        found => return Err(Defect::Descriptions { at: stsd.at, found }),
    }
    let missing = Defect::MissingBox { kind: FourCc(*b"stsd"), parent: stsd.kind, at: stsd.at };
    let entry = stsd.children_from(8).next().ok_or(missing)??;
    match track {
        Track::Video => video(&entry, timescale),
        Track::Audio => audio(&entry, timescale),
    }
}

fn video(entry: &BoxRef<'_>, timescale: u32) -> Result<CodecFacts, Defect> {
    let mut fields = entry.fields();
    fields.skip(ENTRY + 16)?;
    let (width, height) = (u32::from(fields.u16()?), u32::from(fields.u16()?));
    let tag = tag_of(entry)?;
    let codec = match &entry.kind.0 {
        b"avc1" | b"avc3" => avc(&tag, &config(entry, VISUAL, b"avcC")?)?,
        b"hvc1" | b"hev1" => hevc(&tag, &config(entry, VISUAL, b"hvcC")?)?,
        b"av01" => av1(&config(entry, VISUAL, b"av1C")?)?,
        b"vp08" | b"vp09" => vpx(&tag, &config(entry, VISUAL, b"vpcC")?)?,
        _ => tag,
    };
    Ok(CodecFacts { codec, timescale, width, height, rotation: 0, channels: 0, sample_rate: 0 })
}

fn audio(entry: &BoxRef<'_>, timescale: u32) -> Result<CodecFacts, Defect> {
    let mut fields = entry.fields();
    fields.skip(ENTRY)?;
    let version = usize::from(fields.u16()?);
    fields.skip(6)?;
    let (mut channels, _) = (u32::from(fields.u16()?), fields.skip(6)?);
    let mut sample_rate = fields.u32()? >> 16;
    let boxes =
        *SOUND.get(version).ok_or(Defect::BadBox { kind: entry.kind, at: entry.at, what: "its version is unknown" })?;
    let tag = tag_of(entry)?;
    let codec = match &entry.kind.0 {
        b"mp4a" => {
            let (codec, config) = mpeg4_audio(&config(entry, boxes, b"esds")?)?;
            let told = |told: Option<u32>, entry| told.filter(|&told| told > 0).unwrap_or(entry);
            channels = told(config.map(|config| config.channels), channels);
            sample_rate = told(config.map(|config| config.sample_rate), sample_rate);
            codec
        }
        b"Opus" => {
            let mut config = config(entry, boxes, b"dOps")?.fields();
            config.skip(1)?;
            channels = u32::from(config.u8()?);
            "opus".to_owned()
        }
        b"fLaC" => {
            // The 16.16 field of the entry cannot hold rates from 65536 on; STREAMINFO has 20 bits for it, then three for
            // the channels but one (RFC 9639 8.2).
            let mut config = config(entry, boxes, b"dfLa")?.fields();
            config.skip(8 + 10)?;
            let packed = config.u32()?;
            (sample_rate, channels) = (packed >> 12, (packed >> 9 & 7) + 1);
            "flac".to_owned()
        }
        _ => tag,
    };
    Ok(CodecFacts { codec, timescale, width: 0, height: 0, rotation: 0, channels, sample_rate })
}

/// Encrypted samples lean on boxes of the fragments that a result does not keep. The tag becomes a codec string, and
/// those stand in a list inside quotes.
fn tag_of(entry: &BoxRef<'_>) -> Result<String, Defect> {
    let encrypted = matches!(&entry.kind.0, b"encv" | b"enca" | b"encs" | b"enct");
    if encrypted || entry.kind.0.iter().any(|byte| b"\",\\".contains(byte)) {
        return Err(Defect::UnsupportedCodec { kind: entry.kind });
    }
    Ok(entry.kind.to_string())
}

fn config<'a>(entry: &BoxRef<'a>, skip: usize, kind: &[u8; 4]) -> Result<BoxRef<'a>, Defect> {
    // Old writers end a sample entry with four zero bytes, so the search stops at what it looks for.
    for child in entry.children_from(skip) {
        let child = child?;
        if child.kind.0 == *kind {
            return Ok(child);
        }
    }
    Err(Defect::MissingBox { kind: FourCc(*kind), parent: entry.kind, at: entry.at })
}

fn avc(tag: &str, config: &BoxRef<'_>) -> Result<String, Defect> {
    let mut fields = config.fields();
    fields.skip(1)?;
    let (profile, compatibility, level) = (fields.u8()?, fields.u8()?, fields.u8()?);
    Ok(format!("{tag}.{profile:02x}{compatibility:02x}{level:02x}"))
}

fn hevc(tag: &str, config: &BoxRef<'_>) -> Result<String, Defect> {
    let mut fields = config.fields();
    fields.skip(1)?;
    let profile = fields.u8()?;
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let compatibility = fields.u32()?.reverse_bits();
    let constraints = fields.rest().get(..6).unwrap_or_default();
    fields.skip(6)?;
    let level = fields.u8()?;
    let mut text = format!("{tag}.{space}{}.{compatibility:x}.{tier}{level}", profile & 0x1f);
    let used = constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    constraints[..used].iter().for_each(|byte| text.push_str(&format!(".{byte:x}")));
    Ok(text)
}

fn av1(config: &BoxRef<'_>) -> Result<String, Defect> {
    let mut fields = config.fields();
    fields.skip(1)?;
    let (level, flags) = (fields.u8()?, fields.u8()?);
    let profile = level >> 5;
    let tier = if flags & 0x80 == 0 { 'M' } else { 'H' };
    let depth = match (flags & 0x40 != 0, profile == 2 && flags & 0x20 != 0) {
        (true, true) => 12,
        (true, false) => 10,
        (false, _) => 8,
    };
    Ok(format!("av01.{profile}.{:02}{tier}.{depth:02}", level & 0x1f))
}

fn vpx(tag: &str, config: &BoxRef<'_>) -> Result<String, Defect> {
    let mut fields = config.fields();
    fields.skip(4)?;
    let (profile, level, depth) = (fields.u8()?, fields.u8()?, fields.u8()? >> 4);
    Ok(format!("{tag}.{profile:02}.{level:02}.{depth:02}"))
}

/// Walks ES, decoder configuration and decoder specific descriptors (ISO/IEC 14496-1 7.2.6). Only MPEG-4 audio itself has
/// the last one; others, MP3 for example, are told by their object type alone.
fn mpeg4_audio(esds: &BoxRef<'_>) -> Result<(String, Option<AudioConfig>), Defect> {
    let bad = Defect::BadBox { kind: esds.kind, at: esds.at, what: "it has no decoder configuration" };
    let mut fields = esds.fields();
    fields.skip(4)?;
    if descriptor(&mut fields)? != 3 {
        return Err(bad);
    }
    fields.skip(2)?;
    let flags = fields.u8()?;
    if flags & 0x80 != 0 {
        fields.skip(2)?;
    }
    if flags & 0x40 != 0 {
        let length = fields.u8()?;
        fields.skip(usize::from(length))?;
    }
    if flags & 0x20 != 0 {
        fields.skip(2)?;
    }
    if descriptor(&mut fields)? != 4 {
        return Err(bad);
    }
    let object = fields.u8()?;
    fields.skip(12)?;
    if object != 0x40 {
        return Ok((format!("mp4a.{object:02x}"), None));
    }
    if descriptor(&mut fields)? != 5 {
        return Err(bad);
    }
    let config = AudioConfig::parse(fields.rest()).ok_or(bad)?;
    Ok((format!("mp4a.40.{}", config.object_type), Some(config)))
}

/// Reads the tag of a descriptor and passes over its length, at most four bytes of seven bits.
fn descriptor(fields: &mut Fields<'_>) -> Result<u8, Defect> {
    let tag = fields.u8()?;
    for _ in 0..4 {
        if fields.u8()? & 0x80 == 0 {
            break;
        }
    }
    Ok(tag)
}
