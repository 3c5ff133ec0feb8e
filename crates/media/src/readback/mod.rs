//! Reads a stored result back: what kind of file it is, what its header says, and whether its tables agree.
//!
//! Only heads and the `moov` are read, never samples, and of a long one only some of it lies in memory at a time. The
//! header is held to its own words: sample counts of all tables are the same, every table is as long as it says, and every
//! chunk lies inside an `mdat`.

#![forbid(unsafe_code)]

mod ranges;
mod tables;

use crate::boxes::{FourCc, Header};
use crate::defect::Defect;
use crate::init::{handler_of, shown_facts, timescale_of};
use crate::layout::Layout;
use bytes::Bytes;
use domain::mux::{Mismatch, ResultFacts, verify};
use domain::retry::{Classify, Fault};
use domain::segment::{CodecFacts, Track, to_ms};
use ranges::{Located, Ranges};
use std::time::Duration;
use tables::Tables;
use thiserror::Error;

pub use tables::Presented;

/// Largest `moov` that is looked into: more than a day of pictures at 30 a second and sound, 17 hours at 60 with B-frames.
/// A stranger's file takes no more time than that.
pub const MOOV_BYTES_MAX: u64 = 56 << 20;

/// Boxes of a file that is not fragmented; real ones have four or five.
const BOXES_MAX: usize = 256;

/// Tracks of a file, of every kind; real ones have two.
const TRACKS_MAX: usize = 256;

/// Gives ranges of one object.
pub trait RangedReader: Sync {
    /// What can go wrong.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Exactly `len` bytes from byte `at` on.
    fn read(&self, at: u64, len: u64) -> impl Future<Output = Result<Bytes, Self::Error>> + Send;
}

/// Why a result cannot be read back. `R` is the reader's error.
#[derive(Debug, Error)]
pub enum Error<R: std::error::Error + 'static> {
    /// The object cannot be read.
    #[error("read {len} bytes of the result at byte {at}")]
    Read {
        /// First byte.
        at: u64,
        /// Number of bytes.
        len: u64,
        /// Why.
        #[source]
        source: R,
    },
    /// The bytes are not a result.
    #[error("the result is damaged")]
    Defect(#[source] Defect),
}

impl<R: std::error::Error + 'static> From<Defect> for Error<R> {
    fn from(defect: Defect) -> Error<R> {
        Error::Defect(defect)
    }
}

impl<R: std::error::Error + Classify + 'static> Classify for Error<R> {
    fn fault(&self) -> Fault {
        match self {
            Error::Read { source, .. } => source.fault(),
            Error::Defect(defect) => defect.fault(),
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Error::Read { source, .. } => source.class(),
            Error::Defect(defect) => defect.class(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Read { source, .. } => source.retry_after(),
            Error::Defect(_) => None,
        }
    }
}

/// What a result says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Readback {
    /// To be compared with what was planned.
    pub facts: ResultFacts,
    /// Codec and format of every track, in the order of `facts.tracks`.
    pub codecs: Vec<CodecFacts>,
    /// When every track is presented, in the order of `facts.tracks`; `None` where the edit list says more than a start.
    pub presented: Vec<Option<Presented>>,
    /// How long it is presented.
    pub duration_ms: u64,
}

impl Readback {
    /// In which ways it is not what was laid out; empty when it may be published.
    pub fn mismatches(&self, layout: &Layout) -> Vec<Mismatch> {
        let mut wrong = verify(&layout.expected(), &self.facts);
        let planned = layout.times().map(|times| Some(Presented::of(times)));
        if !self.presented.iter().copied().eq(planned) {
            wrong.push(Mismatch::Presented);
        }
        wrong
    }

    /// Codec and format of the first track of a kind.
    pub fn codec(&self, track: Track) -> Option<&CodecFacts> {
        self.facts.tracks.iter().zip(&self.codecs).find(|(facts, _)| facts.track == track).map(|(_, codec)| codec)
    }

    /// Pictures a second, on average; `None` without a picture.
    pub fn fps(&self) -> Option<f64> {
        let video = self.facts.tracks.iter().find(|facts| facts.track == Track::Video)?;
        (video.duration > 0).then(|| video.samples as f64 * f64::from(video.timescale) / video.duration as f64)
    }
}

/// Reads the result of `size_bytes` bytes back.
pub async fn read<R: RangedReader>(reader: &R, size_bytes: u64) -> Result<Readback, Error<R::Error>> {
    let mut ranges = Ranges::of(reader, size_bytes);
    let (mut at, mut moov, mut mdats) = (0, None, Vec::new());
    for _ in 0..BOXES_MAX {
        if at == size_bytes {
            break;
        }
        let head = ranges.head(at, size_bytes).await?;
        let header = top_level(&head, at, size_bytes)?;
        let size = header.size_bytes.unwrap_or(size_bytes - at);
        let found = Located { kind: header.kind, at, header_bytes: header.header_bytes, size_bytes: size };
        match &header.kind.0 {
            b"moov" if moov.is_some() => return Err(found.bad("it is there twice").into()),
            b"moov" => {
                // What comes behind it is looked at elsewhere, so that it stays at hand.
                let mut held = ranges.clone();
                held.hold(&found).await?;
                moov = Some((found, held, mdats.is_empty()));
            }
            b"mdat" => mdats.push((at + header.header_bytes, at + size)),
            _ => {}
        }
        at += size;
    }
    if at != size_bytes {
        return Err(Defect::BadBox { kind: FourCc::OBJECT, at, what: "it has too many boxes" }.into());
    }
    let (moov, mut ranges, faststart) = moov.ok_or(Defect::MissingInit)?;
    let mut readback = parse(&mut ranges, &moov, &mdats).await?;
    readback.facts.size_bytes = size_bytes;
    readback.facts.faststart = faststart;
    Ok(readback)
}

/// The head of a box of the file.
fn top_level(head: &[u8], at: u64, file_bytes: u64) -> Result<Header, Defect> {
    if at == 0 && head.starts_with(&crate::boxes::EBML_MAGIC) {
        return Err(Defect::NotIsoBmff);
    }
    let cut = Defect::TruncatedBox { kind: FourCc::OBJECT, at };
    let header = Header::parse(head, at)?.ok_or(cut)?;
    let kind = header.kind;
    match header.size_bytes {
        Some(size) if size > file_bytes - at => return Err(Defect::TruncatedBox { kind, at }),
        None if kind.0 != *b"mdat" => return Err(Defect::BadBox { kind, at, what: "it has no size" }),
        Some(_) | None => {}
    }
    let size_bytes = header.size_bytes.unwrap_or(file_bytes - at);
    match &kind.0 {
        b"moof" => Err(Defect::BadBox { kind, at, what: "a result is not fragmented" }),
        b"moov" if size_bytes > MOOV_BYTES_MAX => {
            Err(Defect::TooLarge { kind, at, size_bytes, max_bytes: MOOV_BYTES_MAX })
        }
        _ if at == 0 && kind.0 != *b"ftyp" => {
            Err(Defect::BadBox { kind, at, what: "the file does not begin with ftyp" })
        }
        _ => Ok(header),
    }
}

/// Reads everything but what only the whole file tells.
async fn parse<R: RangedReader>(
    ranges: &mut Ranges<'_, R>,
    moov: &Located,
    mdats: &[(u64, u64)],
) -> Result<Readback, Error<R::Error>> {
    let (mut mvhd, mut traks) = (None, Vec::new());
    let keep = |child: Located| {
        match &child.kind.0 {
            b"mvhd" if mvhd.replace(child).is_some() => return Err(child.bad("it is there twice")),
            b"trak" if traks.len() == TRACKS_MAX => return Err(moov.bad("it has too many tracks")),
            b"trak" => traks.push(child),
            _ => {}
        }
        Ok(())
    };
    ranges.each(moov, keep).await?;
    let mvhd = ranges.load(moov.require(mvhd, b"mvhd")?).await?;
    let timescale = timescale_of(&mvhd.as_box())?;
    let mut fields = mvhd.as_box().fields();
    let (version, _) = fields.version_and_flags()?;
    fields.skip(if version == 1 { 20 } else { 12 })?;
    let duration = fields.u32_or_u64(version)?;
    let (mut tracks, mut codecs, mut presented) = (Vec::new(), Vec::new(), Vec::new());
    for trak in &traks {
        let [tkhd, edts, mdia] = ranges.children(trak, [b"tkhd", b"edts", b"mdia"]).await?;
        let mdia = trak.require(mdia, b"mdia")?;
        let [hdlr, mdhd, minf] = ranges.children(&mdia, [b"hdlr", b"mdhd", b"minf"]).await?;
        let handler = handler_of(&ranges.load(mdia.require(hdlr, b"hdlr")?).await?.as_box())?;
        let Some(track) = Track::ALL.into_iter().find(|track| track.handler() == handler.0) else { continue };
        let timescale = timescale_of(&ranges.load(mdia.require(mdhd, b"mdhd")?).await?.as_box())?;
        let stbl = ranges.require(&mdia.require(minf, b"minf")?, b"stbl").await?;
        let (stsd, tables) = Tables::of(ranges, &stbl).await?;
        let tkhd = ranges.load(trak.require(tkhd, b"tkhd")?).await?;
        codecs.push(shown_facts(track, &tkhd.as_box(), &ranges.load(stsd).await?.as_box(), timescale)?);
        tracks.push(tables.facts(ranges, track, timescale, mdats).await?);
        presented.push(match edts {
            Some(edts) => tables::presented(ranges, &edts).await?,
            None => None,
        });
    }
    let facts = ResultFacts { size_bytes: 0, faststart: false, tracks };
    let half = u64::from(timescale) / 2000;
    Ok(Readback { facts, codecs, presented, duration_ms: to_ms(duration.saturating_add(half), timescale) })
}
