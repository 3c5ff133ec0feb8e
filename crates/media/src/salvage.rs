//! What of a damaged segment is whole: the samples whose bytes are all there and are claimed by an intact fragment.
//!
//! A salvage finds the first run of fragments that follow one another without damage and keeps every sample of them that
//! ends before the object does. When the boxes before the first fragment are damaged, it looks for a `moof` that holds
//! together and whose samples cover the media data behind it. Nothing is repaired and nothing is guessed: a fragment
//! whose tables contradict its media data gives no sample at all.
//!
//! The same bytes always give the same samples. Like the walk it reads heads alone and does no IO: [`Salvager::wants`]
//! names the bytes that it has to see next. Memory is bounded by one movie fragment, time by the length of the object:
//! looking for a fragment ends after [`RESYNC_BYTES_MAX`] and [`CANDIDATES_MAX`].

#![forbid(unsafe_code)]

use crate::boxes::{BoxRef, FourCc, HEADER_MAX, Header};
use crate::defect::Defect;
use crate::index::{Builder, IndexReader};
use crate::init::Init;
use crate::moof::{self, Claim, MOOF, TrackRules};
use crate::walk::{BOXES_MAX, FOREIGN_BYTES_MAX, MOOF_BYTES_MAX, Media};
use domain::segment::Span;
use std::ops::Range;

/// How far behind the start of the object a first fragment is looked for: the boxes before it have some hundred bytes.
pub const RESYNC_BYTES_MAX: u64 = 1 << 20;

/// Places that look like a fragment and are tried. Media data has four chosen bytes in a row once in four thousand
/// million; so many are there on purpose.
pub const CANDIDATES_MAX: u32 = 16;

/// First read; each further one is four times as long, up to [`READ_MAX_BYTES`], so that an object of many small
/// fragments costs a bounded number of reads.
const FIRST_BYTES: u64 = 16 << 10;

/// Longest read.
const READ_MAX_BYTES: u64 = 1 << 20;

/// The whole samples of a damaged segment that lies in memory. `defect` is what the walk said of it.
pub fn media(init: &Init, object: &[u8], defect: &Defect) -> Option<Media> {
    let mut salvager = Salvager::of(init, object.len() as u64, defect);
    while let Some(wanted) = salvager.wants() {
        // Only bytes of the object are ever wanted.
        let bytes = usize::try_from(wanted.start).ok().zip(usize::try_from(wanted.end).ok());
        salvager.push(bytes.and_then(|(from, to)| object.get(from..to)).unwrap_or_default());
    }
    salvager.finish()
}

/// Finds the whole samples of one damaged segment.
#[derive(Debug)]
pub struct Salvager {
    timescale: u32,
    rules: TrackRules,
    size_bytes: u64,
    window: Window,
    state: State,
    /// The next box.
    at: u64,
    boxes: u32,
    /// A fragment whose media data has not come.
    pending: Option<(Builder, Vec<Claim>)>,
    /// Where to go on looking for a first fragment.
    scan_from: u64,
    candidates: u32,
    saved: Builder,
    saved_any: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Box by box.
    Walk,
    /// Looks for a `moof`.
    Scan,
    Done,
}

/// Why a step could not be made.
enum Stop {
    /// These bytes are not in the window.
    Needs(Range<u64>),
    /// The boxes end here, or are none.
    Damaged,
}

impl Salvager {
    /// Begins with an object of `size_bytes` of the track whose initialization section is `init`. `defect` is what the walk
    /// said of it; of an object that was never a segment nothing is read.
    pub fn of(init: &Init, size_bytes: u64, defect: &Defect) -> Salvager {
        let mut salvager = Salvager {
            timescale: init.timescale,
            rules: TrackRules::of(init),
            size_bytes,
            window: Window::default(),
            state: if may_hold_samples(defect) { State::Walk } else { State::Done },
            at: 0,
            boxes: 0,
            pending: None,
            scan_from: 0,
            candidates: 0,
            saved: Builder::default(),
            saved_any: false,
        };
        salvager.advance();
        salvager
    }

    /// The bytes to be given to [`Salvager::push`] next; they lie inside the object. `None` = nothing more has to be read.
    pub fn wants(&self) -> Option<Range<u64>> {
        self.window.wanted.clone().filter(|_| self.state != State::Done)
    }

    /// Takes the bytes that were wanted. Others than so many mean that the object is another one by now: the salvage ends
    /// with what it has.
    pub fn push(&mut self, bytes: &[u8]) {
        let Some(wanted) = self.wants() else { return };
        if bytes.len() as u64 != wanted.end - wanted.start {
            self.state = State::Done;
            return;
        }
        self.window.push(bytes);
        self.advance();
    }

    /// What was saved; `None` when no sample is whole.
    pub fn finish(self) -> Option<Media> {
        let (index, summary) = self.saved.finish()?;
        let span = Span { timescale: self.timescale, start: summary.start, duration: summary.end - summary.start };
        Some(Media { span, summary, index, size_bytes: self.size_bytes })
    }

    /// Goes on until bytes are wanted or nothing more can be saved.
    fn advance(&mut self) {
        loop {
            let step = match self.state {
                State::Walk => self.walk_box(),
                State::Scan => self.scan(),
                State::Done => return,
            };
            match step {
                Ok(()) => {}
                Err(Stop::Needs(range)) => {
                    self.window.want(range, self.size_bytes);
                    return;
                }
                // What follows the damage is of another moment: the segment ends with what was saved before it.
                Err(Stop::Damaged) if self.saved_any => self.state = State::Done,
                Err(Stop::Damaged) => {
                    self.pending = None;
                    self.state = State::Scan;
                }
            }
        }
    }

    /// The bytes `at..at + len`, which lie inside the object.
    fn bytes(&self, at: u64, len: u64) -> Result<&[u8], Stop> {
        self.window.get(at, len).ok_or(Stop::Needs(at..at + len))
    }

    /// One box, by the rules of the walk.
    fn walk_box(&mut self) -> Result<(), Stop> {
        if self.at == self.size_bytes {
            return Err(Stop::Damaged);
        }
        let (start, left) = (self.at, self.size_bytes - self.at);
        let head = self.bytes(start, left.min(HEADER_MAX as u64))?;
        let header = Header::parse(head, start).ok().flatten().ok_or(Stop::Damaged)?;
        self.boxes += 1;
        if self.boxes > BOXES_MAX {
            return Err(Stop::Damaged);
        }
        match &header.kind.0 {
            b"moof" => self.walk_moof(start, header),
            b"mdat" => self.walk_mdat(start, header),
            b"moov" => Err(Stop::Damaged),
            _ => {
                let size_bytes = header.size_bytes.filter(|&size| size <= left.min(FOREIGN_BYTES_MAX));
                self.at = start + size_bytes.ok_or(Stop::Damaged)?;
                Ok(())
            }
        }
    }

    fn walk_moof(&mut self, start: u64, header: Header) -> Result<(), Stop> {
        // A fragment that was looked for and found is held to a shorter length, so that many false ones cost little.
        let max_bytes = if self.candidates > 0 && !self.saved_any { RESYNC_BYTES_MAX } else { MOOF_BYTES_MAX };
        let max_bytes = max_bytes.min(self.size_bytes - start);
        let size_bytes = header.size_bytes.filter(|&size| size <= max_bytes).ok_or(Stop::Damaged)?;
        if self.pending.is_some() {
            return Err(Stop::Damaged);
        }
        let whole = self.bytes(start, size_bytes)?;
        let found = BoxRef { kind: MOOF, at: start, whole, body: &whole[header.header_bytes as usize..] };
        let mut index = Builder::default();
        let claims = moof::read(&found, &self.rules, &mut index).map_err(|_| Stop::Damaged)?;
        self.at = start + size_bytes;
        if claims.is_empty() {
            return self.save(index);
        }
        self.pending = Some((index, claims));
        Ok(())
    }

    /// Media data counts when the samples of the fragment before it cover it exactly, cut off or not: a length that was
    /// damaged instead of the tables cannot be told from tables that were.
    fn walk_mdat(&mut self, start: u64, header: Header) -> Result<(), Stop> {
        let end =
            header.size_bytes.map_or(Some(self.size_bytes), |size| start.checked_add(size)).ok_or(Stop::Damaged)?;
        let (index, mut claims) = self.pending.take().unwrap_or_default();
        moof::check_coverage(&mut claims, start + header.header_bytes, end).map_err(|_| Stop::Damaged)?;
        self.at = end.min(self.size_bytes);
        self.save(index)?;
        if end > self.size_bytes { Err(Stop::Damaged) } else { Ok(()) }
    }

    /// Keeps the samples of a fragment that end inside the object, up to the first that does not.
    fn save(&mut self, fragment: Builder) -> Result<(), Stop> {
        let Some((packed, summary)) = fragment.finish() else { return Ok(()) };
        // Behind the damage decoding can begin at a sync sample alone.
        if self.candidates > 0 && !self.saved_any && !summary.starts_with_sync {
            return Err(Stop::Damaged);
        }
        let index = IndexReader::open(&packed).map_err(|_| Stop::Damaged)?;
        for fragment in index.fragments() {
            self.saved.begin_fragment(fragment.tfdt).map_err(|_| Stop::Damaged)?;
            let mut samples = fragment.samples();
            for range in fragment.ranges() {
                self.saved.begin_run(range.offset).map_err(|_| Stop::Damaged)?;
                let mut end = range.offset;
                for sample in samples.by_ref().take(range.samples as usize) {
                    end += u64::from(sample.size_bytes);
                    if end > self.size_bytes {
                        return Err(Stop::Damaged);
                    }
                    self.saved.sample(sample).map_err(|_| Stop::Damaged)?;
                    self.saved_any = true;
                }
            }
        }
        Ok(())
    }

    /// Finds the next place that looks like a fragment.
    fn scan(&mut self) -> Result<(), Stop> {
        let limit = RESYNC_BYTES_MAX.min(self.size_bytes);
        let seen = self.window.from(self.scan_from);
        // A length comes before the type.
        if let Some(at) = seen.windows(8).position(|head| head[4..] == MOOF.0) {
            let start = self.scan_from + at as u64;
            if start < limit && self.candidates < CANDIDATES_MAX {
                // The next one begins behind the type of this one.
                (self.at, self.scan_from, self.state) = (start, start + 5, State::Walk);
                self.candidates += 1;
            } else {
                self.state = State::Done;
            }
            return Ok(());
        }
        let behind = self.scan_from + seen.len() as u64;
        if behind >= limit {
            self.state = State::Done;
            return Ok(());
        }
        Err(Stop::Needs(self.scan_from..behind + 1))
    }
}

/// Whether there may be samples in an object of this defect. Of another track, of another container or without a byte
/// there are none.
fn may_hold_samples(defect: &Defect) -> bool {
    match defect {
        Defect::TruncatedBox { .. }
        | Defect::BadBox { .. }
        | Defect::MissingBox { .. }
        | Defect::BadMoof { .. }
        | Defect::MdatCoverage { .. }
        | Defect::TfdtMissing { .. }
        | Defect::TrackId { .. }
        | Defect::SampleDescription { .. }
        | Defect::TooManySamples { .. } => true,
        Defect::TooLarge { kind, .. } => *kind != FourCc::OBJECT,
        Defect::ZeroByte
        | Defect::NotIsoBmff
        | Defect::WrongInit { .. }
        | Defect::MissingInit
        | Defect::Descriptions { .. }
        | Defect::UnsupportedCodec { .. }
        | Defect::TooLong { .. }
        | Defect::Empty => false,
    }
}

/// Bytes of the object that have been read.
#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
    wanted: Option<Range<u64>>,
    read_bytes: u64,
}

impl Window {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn get(&self, at: u64, len: u64) -> Option<&[u8]> {
        let from = usize::try_from(at.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(usize::try_from(len).ok()?)?)
    }

    /// All bytes from `at` on; none when the window does not hold that place.
    fn from(&self, at: u64) -> &[u8] {
        let from = at.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.bytes.get(from..)).unwrap_or_default()
    }

    /// Asks for what of `range` is missing, and for more where the object has more: the window then begins with it.
    fn want(&mut self, range: Range<u64>, size_bytes: u64) {
        self.read_bytes = (self.read_bytes * 4).clamp(FIRST_BYTES, READ_MAX_BYTES);
        if range.start < self.start || range.start > self.end() {
            *self = Window { start: range.start, bytes: Vec::new(), wanted: None, read_bytes: self.read_bytes };
        } else {
            self.bytes.drain(..(range.start - self.start) as usize);
            self.start = range.start;
        }
        let from = self.end();
        // A long fragment head comes in several reads, so that no second copy of it lies in memory.
        let end = range.end.max(from + self.read_bytes).min(from + READ_MAX_BYTES);
        self.wanted = Some(from..end.min(size_bytes));
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.wanted = None;
    }
}
