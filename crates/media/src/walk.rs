//! Walks an object box by box while it arrives, in pieces of any size, and accepts it or names its defect.
//!
//! Memory is bounded by the largest movie fragment allowed: media data is counted, never kept. The same walk serves a
//! segment that streams in, one that lies in memory, and one of which only the heads are read ([`Walker::skip`]).

#![forbid(unsafe_code)]

use crate::boxes::{BoxRef, EBML_MAGIC, FourCc, HEADER_MAX, Header};
use crate::defect::Defect;
use crate::index::{Builder, Summary};
use crate::init::{INIT_BYTES_MAX, Init};
use crate::moof::{self, Claim, MOOF, TrackRules};
use domain::segment::{Span, Track, to_ms};

/// Largest movie fragment head. Two seconds at 60 frames a second have 2.5 kB.
pub const MOOF_BYTES_MAX: u64 = 16 << 20;

/// Largest box that is passed over, such as `styp`, `sidx`, `prft`, `emsg` and `free`.
pub const FOREIGN_BYTES_MAX: u64 = 1 << 20;

/// Most boxes of one segment: a fragment of its own for every sample of 10 s, many times over.
pub const BOXES_MAX: u32 = 1 << 16;

/// What a segment may have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the object.
    pub size_max_bytes: u64,
    /// Duration of the segment.
    pub duration_max_ms: u64,
}

impl Limits {
    /// 64 MiB and 10 s.
    pub const DEFAULT: Limits = Limits { size_max_bytes: 64 << 20, duration_max_ms: 10_000 };

    /// Whatever the rest of the rules lets through: for objects that somebody else has taken in already.
    pub const NONE: Limits = Limits { size_max_bytes: crate::index::TIME_MAX, duration_max_ms: u64::MAX };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}

/// An object that is what it should be.
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted {
    /// An initialization section.
    Init(Box<Init>),
    /// A media segment.
    Media(Media),
}

/// A media segment that is what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// Its place on the time axis of its track, from the first sample to the end of the last.
    pub span: Span,
    /// What its index amounts to.
    pub summary: Summary,
    /// Its sample index, packed.
    pub index: Vec<u8>,
    /// Length of the object.
    pub size_bytes: u64,
}

/// Walks one object.
#[derive(Debug)]
pub struct Walker {
    track: Track,
    limits: Limits,
    at: u64,
    boxes: u32,
    state: State,
    kind: Kind,
}

#[derive(Debug)]
enum State {
    /// Collects the head of the next box.
    Head(Vec<u8>),
    /// Passes over a box; `None` = to the end of the object.
    Skip { kind: FourCc, start: u64, left: Option<u64> },
    /// Collects a movie fragment head; it grows with what arrives, not with what the box claims.
    Keep { start: u64, bytes: Vec<u8>, size: usize },
}

#[derive(Debug)]
enum Kind {
    Init { bytes: Vec<u8> },
    Media { timescale: u32, rules: TrackRules, index: Builder, claims: Vec<Claim>, open_mdat: Option<u64> },
}

impl Walker {
    /// Walks the initialization section of `track`.
    pub fn init(track: Track, limits: Limits) -> Walker {
        Walker {
            track,
            limits,
            at: 0,
            boxes: 0,
            state: State::Head(Vec::new()),
            kind: Kind::Init { bytes: Vec::new() },
        }
    }

    /// Walks a media segment of the track whose initialization section is `init`.
    pub fn media(init: &Init, limits: Limits) -> Walker {
        let (timescale, rules) = (init.timescale, TrackRules::of(init));
        let kind = Kind::Media { timescale, rules, index: Builder::default(), claims: Vec::new(), open_mdat: None };
        Walker { track: init.track, limits, at: 0, boxes: 0, state: State::Head(Vec::new()), kind }
    }

    /// Bytes seen so far.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Takes the next piece of the object. After a defect the walker must not be used any more.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<(), Defect> {
        let size_bytes = self.at.saturating_add(piece.len() as u64);
        let max_bytes = match self.kind {
            Kind::Init { .. } => self.limits.size_max_bytes.min(INIT_BYTES_MAX),
            Kind::Media { .. } => self.limits.size_max_bytes,
        };
        if size_bytes > max_bytes {
            return Err(Defect::TooLarge { kind: FourCc::OBJECT, at: 0, size_bytes, max_bytes });
        }
        if let Kind::Init { bytes } = &mut self.kind {
            bytes.extend_from_slice(piece);
            self.at = size_bytes;
            return check_magic(bytes);
        }
        while !piece.is_empty() {
            piece = self.step(piece)?;
        }
        Ok(())
    }

    /// How many of the next bytes are only counted: they may be given to [`Walker::skip`] instead of being read.
    pub fn skippable_bytes(&self) -> u64 {
        match self.state {
            State::Skip { left, .. } => left.unwrap_or(u64::MAX),
            State::Head(_) | State::Keep { .. } => 0,
        }
    }

    /// Passes over the next `count` bytes, which exist; no more than [`Walker::skippable_bytes`].
    pub fn skip(&mut self, count: u64) {
        debug_assert!(count <= self.skippable_bytes());
        if let State::Skip { left, .. } = &mut self.state {
            self.at += count;
            *left = left.map(|left| left.saturating_sub(count));
            if *left == Some(0) {
                self.state = State::Head(Vec::new());
            }
        }
    }

    /// The object has ended.
    pub fn finish(self) -> Result<Accepted, Defect> {
        if self.at == 0 {
            return Err(Defect::ZeroByte);
        }
        let cut = match &self.state {
            State::Head(head) if head.is_empty() => None,
            State::Head(_) => Some((FourCc::OBJECT, 0)),
            State::Skip { left: None, .. } => None,
            State::Skip { kind, start, .. } => Some((*kind, *start)),
            State::Keep { start, .. } => Some((MOOF, *start)),
        };
        if let Some((kind, at)) = cut {
            return Err(Defect::TruncatedBox { kind, at });
        }
        match self.kind {
            Kind::Init { bytes } => Ok(Accepted::Init(Box::new(Init::parse(self.track, &bytes)?))),
            Kind::Media { timescale, index, mut claims, open_mdat, .. } => {
                match open_mdat {
                    Some(start) => moof::check_coverage(&mut claims, start, self.at)?,
                    None => moof::without_data(&claims)?,
                }
                let (index, summary) = index.finish().ok_or(Defect::Empty)?;
                let span = Span { timescale, start: summary.start, duration: summary.end - summary.start };
                let (duration_ms, max_ms) = (to_ms(span.duration, timescale), self.limits.duration_max_ms);
                if duration_ms > max_ms {
                    return Err(Defect::TooLong { duration_ms, max_ms });
                }
                Ok(Accepted::Media(Media { span, summary, index, size_bytes: self.at }))
            }
        }
    }

    /// Takes a part of `piece` and gives back the rest.
    fn step<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], Defect> {
        match &mut self.state {
            State::Head(head) => {
                let take = piece.len().min(HEADER_MAX - head.len());
                let before = head.len();
                head.extend_from_slice(&piece[..take]);
                let start = self.at - before as u64;
                if start == 0 {
                    check_magic(head)?;
                }
                let Some(header) = Header::parse(head, start)? else {
                    self.at += take as u64;
                    return Ok(&piece[take..]);
                };
                let head_bytes = header.header_bytes as usize;
                let collected = head[..head_bytes].to_vec();
                // The head may have been longer than needed: what is behind it goes back.
                let used = head_bytes - before;
                self.at += used as u64;
                self.begin(header, start, collected)?;
                Ok(&piece[used..])
            }
            State::Skip { left, .. } => {
                let take = left.unwrap_or(u64::MAX).min(piece.len() as u64);
                self.skip(take);
                Ok(&piece[take as usize..])
            }
            State::Keep { start, bytes, size } => {
                let take = (*size - bytes.len()).min(piece.len());
                if bytes.capacity() < bytes.len() + take {
                    // Doubles like any vector, but never beyond what the box needs.
                    bytes.reserve_exact(take.max(bytes.len()).min(*size - bytes.len()));
                }
                bytes.extend_from_slice(&piece[..take]);
                self.at += take as u64;
                if bytes.len() == *size {
                    let (start, bytes) = (*start, std::mem::take(bytes));
                    self.state = State::Head(Vec::new());
                    self.end_moof(start, &bytes)?;
                }
                Ok(&piece[take..])
            }
        }
    }

    /// The head of a box is complete.
    fn begin(&mut self, header: Header, start: u64, head: Vec<u8>) -> Result<(), Defect> {
        let Header { kind, header_bytes, size_bytes } = header;
        let body = size_bytes.map(|size| size - header_bytes);
        self.boxes += 1;
        if self.boxes > BOXES_MAX {
            return Err(Defect::BadBox { kind, at: start, what: "it is one of too many" });
        }
        if size_bytes.is_none() && kind.0 != *b"mdat" {
            return Err(Defect::BadBox { kind, at: start, what: "it has no size" });
        }
        let max_bytes = match &kind.0 {
            b"moof" => MOOF_BYTES_MAX,
            b"mdat" => self.limits.size_max_bytes.saturating_sub(start),
            b"moov" => return Err(Defect::BadBox { kind, at: start, what: "a media segment has no moov" }),
            _ => FOREIGN_BYTES_MAX,
        };
        if let Some(size_bytes) = size_bytes.filter(|&size| size > max_bytes) {
            return Err(Defect::TooLarge { kind, at: start, size_bytes, max_bytes });
        }
        if kind == MOOF {
            let size = size_bytes.unwrap_or(0) as usize;
            self.state = State::Keep { start, bytes: head, size };
            if body == Some(0) {
                return Err(Defect::BadMoof { kind, at: start, what: "it is empty" });
            }
            return Ok(());
        }
        if kind.0 == *b"mdat" {
            self.begin_mdat(start + header_bytes, body)?;
        }
        self.state = State::Skip { kind, start, left: body };
        if body == Some(0) {
            self.state = State::Head(Vec::new());
        }
        Ok(())
    }

    /// Media data begins: its bytes must be those that the fragment before it claims.
    fn begin_mdat(&mut self, start: u64, body: Option<u64>) -> Result<(), Defect> {
        let Kind::Media { claims, open_mdat, .. } = &mut self.kind else { return Ok(()) };
        let Some(body) = body else {
            *open_mdat = Some(start);
            return Ok(());
        };
        moof::check_coverage(claims, start, start + body)?;
        claims.clear();
        Ok(())
    }

    /// A movie fragment head is complete.
    fn end_moof(&mut self, start: u64, bytes: &[u8]) -> Result<(), Defect> {
        let Kind::Media { rules, index, claims, .. } = &mut self.kind else { return Ok(()) };
        moof::without_data(claims)?;
        let header = Header::parse(bytes, start)?.ok_or(Defect::TruncatedBox { kind: MOOF, at: start })?;
        let body = &bytes[header.header_bytes as usize..];
        *claims = moof::read(&BoxRef { kind: MOOF, at: start, whole: bytes, body }, rules, index)?;
        Ok(())
    }
}

fn check_magic(head: &[u8]) -> Result<(), Defect> {
    if head.starts_with(&EBML_MAGIC) { Err(Defect::NotIsoBmff) } else { Ok(()) }
}

/// Checks a media segment that lies whole in memory.
pub fn media(init: &Init, object: &[u8], limits: Limits) -> Result<Media, Defect> {
    let mut walker = Walker::media(init, limits);
    walker.push(object)?;
    match walker.finish()? {
        Accepted::Media(media) => Ok(media),
        Accepted::Init(_) => Err(Defect::Empty),
    }
}
