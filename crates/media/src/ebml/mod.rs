//! What of a Matroska or WebM stream is whole, told by the lengths of its elements alone.
//!
//! EBML (RFC 8794) is elements inside elements, each with an identifier and a length; Matroska (RFC 9559) says which. A
//! walk over them finds what is no element, what reaches past the end, and which clusters are not in the order of time,
//! without a look at what pictures and sound are. libavformat says none of that: it looks for the next cluster and goes
//! on, and swallows what stands behind an element that was cut off. So the walk comes first, and what it has found is
//! read as if it were padding ([`Mended`]).
//!
//! Nothing is repaired and nothing is guessed. Of a block only its track and time are looked at. Memory is bounded by a window, the
//! pieces and [`DAMAGES_MAX`]; each byte is read at most twice but for a window at each damage and at each piece.

#![forbid(unsafe_code)]

mod element;
mod mended;
mod order;

pub use mended::Mended;
pub use order::{Order, order};

use crate::window::Window;
use element::{Element, Kind};
use std::io::{self, Read, Seek};

/// First bytes of every EBML document (RFC 8794, 11.2.1).
pub const MAGIC: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

/// Damages that are told apart, and clusters that are cut. What has more is lost from there on.
pub const DAMAGES_MAX: usize = 1_000;

/// A range of bytes that are no whole elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Its first byte.
    pub from: u64,
    /// The first one behind it; equal to `from` where bytes are missing and none is wrong.
    pub to: u64,
    /// What is wrong.
    pub kind: DamageKind,
}

/// What is wrong with a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// An element says that it is longer than there are bytes.
    Cut,
    /// What is there is no element, or not one that may be there.
    Broken,
}

/// What a walk has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// What is not whole, ascending; they do not touch one another.
    pub damages: Vec<Damage>,
    /// Clusters that do not reach as far as they say: where their length is written, and in how many bytes.
    pub clusters_cut: Vec<(u64, u8)>,
    /// For every piece the time stamp of the cluster that it begins with, in units of the stream; `None`: it does not
    /// begin with one.
    pub stamps: Vec<Option<u64>>,
    /// For every piece the first and the highest time of its blocks of one track, in units of the stream; `None`: it has
    /// none. The track is that of the first block of all.
    pub spans: Vec<Option<(i64, i64)>>,
}

/// Walks over a stream of `size_bytes` bytes. `starts` is where its pieces begin, ascending.
///
/// # Errors
/// The stream cannot be read. What is in it is no error.
pub fn walk(reader: impl Read + Seek, size_bytes: u64, starts: &[u64]) -> io::Result<Survey> {
    let (stamps, spans) = (vec![None; starts.len()], vec![None; starts.len()]);
    let survey = Survey { stamps, spans, ..Survey::default() };
    let segment_end = None;
    let window = Window::of(reader, size_bytes);
    let (at, begun) = (0, 0);
    let (cluster, doubtful, ended, track) = (None, None, None, None);
    let walk = Walk { window, starts, survey, at, segment_end, cluster, doubtful, ended, begun, track };
    walk.run()
}

/// The cluster that is being walked.
#[derive(Debug, Clone, Copy)]
struct Cluster {
    at: u64,
    /// `None`: it ends where the next one begins.
    end: Option<u64>,
    /// Where its length is written, and in how many bytes.
    length: (u64, u8),
    /// Its time.
    stamp: Option<u64>,
}

struct Walk<'a, R> {
    window: Window<R>,
    starts: &'a [u64],
    survey: Survey,
    at: u64,
    segment_end: Option<u64>,
    cluster: Option<Cluster>,
    /// The newest element, as long as nothing valid has followed it: its length may be what is wrong.
    doubtful: Option<u64>,
    /// The cluster that ends right where its last element does: two lengths agree.
    ended: Option<Cluster>,
    /// Pieces that no element has to end before: they begin behind us, or in the middle of something.
    begun: usize,
    /// Of whose blocks the times are remembered.
    track: Option<u64>,
}

impl<R: Read + Seek> Walk<'_, R> {
    fn run(mut self) -> io::Result<Survey> {
        loop {
            if self.cluster.is_some_and(|cluster| cluster.end == Some(self.at)) {
                self.ended = self.cluster.take();
            }
            let size_bytes = self.window.size_bytes();
            if self.survey.damages.last().is_some_and(|last| last.to == size_bytes) {
                (self.at, self.cluster) = (size_bytes, None);
            }
            if self.at >= size_bytes {
                self.end();
                return Ok(self.survey);
            }
            self.next()?;
            self.ended = None;
        }
    }

    fn next(&mut self) -> io::Result<()> {
        let Some(element) = element::at(&mut self.window, self.at)?.filter(|element| self.may_be_here(element)) else {
            let begins = self.begins_before(self.at + element::HEAD_BYTES_MAX as u64)?;
            if element::head_is_cut(&mut self.window, self.at, begins.unwrap_or(u64::MAX))? {
                self.doubtful = None;
                return self.damaged(DamageKind::Cut, begins);
            }
            return self.damaged(DamageKind::Broken, None);
        };
        // What is entered may be cut off further on; its parts tell where.
        let entered = matches!(element.kind, Kind::Segment | Kind::Cluster);
        let end = element.end().filter(|_| !entered).unwrap_or(element.body);
        let begins = self.begins_before(end)?;
        if begins.is_none() && end <= self.bound(&element).min(self.window.size_bytes()) {
            return self.step(&element);
        }
        // A cluster that ends before the piece does was not cut with it.
        let cut_at = begins.filter(|begins| self.bound(&element) > *begins);
        self.overlong(&element, cut_at)
    }

    fn may_be_here(&self, element: &Element) -> bool {
        match element.kind {
            Kind::Top | Kind::Segment | Kind::Cluster | Kind::Other | Kind::Padding => true,
            Kind::Stamp | Kind::Block | Kind::InCluster => self.cluster.is_some(),
        }
    }

    /// Where an element must have ended at the latest.
    fn bound(&self, element: &Element) -> u64 {
        let cluster = self.cluster.and_then(|cluster| cluster.end);
        match element.kind {
            Kind::Stamp | Kind::Block | Kind::InCluster | Kind::Padding => cluster.unwrap_or(u64::MAX),
            Kind::Top | Kind::Segment | Kind::Cluster | Kind::Other => u64::MAX,
        }
    }

    /// Where the next piece begins, if that is before `end` and surely not in the middle of something: whatever is said to
    /// reach beyond was cut off there. Otherwise a length that was cut off would lead into a piece that is whole.
    fn begins_before(&mut self, end: u64) -> io::Result<Option<u64>> {
        while let Some(&start) = self.starts.get(self.begun).filter(|start| **start < end) {
            if start > self.at && element::safe(&mut self.window, start, self.segment_end)? {
                return Ok(Some(start));
            }
            self.begun += 1;
        }
        Ok(None)
    }

    fn step(&mut self, element: &Element) -> io::Result<()> {
        match element.kind {
            Kind::Segment => {
                self.leave_cluster();
                (self.segment_end, self.at) = (element.end(), element.body);
            }
            Kind::Cluster => {
                self.leave_cluster();
                let length = (element.at + 4, element.length_bytes);
                self.cluster = Some(Cluster { at: element.at, end: element.end(), length, stamp: None });
                (self.doubtful, self.at) = (Some(element.at), element.body);
                return Ok(());
            }
            Kind::Top | Kind::Other => {
                self.leave_cluster();
                self.at = element.end().unwrap_or(element.body);
            }
            Kind::Stamp => {
                self.stamp(element)?;
                (self.doubtful, self.at) = (Some(element.at), element.end().unwrap_or(element.body));
                return Ok(());
            }
            Kind::Block | Kind::InCluster | Kind::Padding => {
                self.time(element)?;
                let in_cluster = self.cluster.is_some();
                (self.doubtful, self.at) = (in_cluster.then_some(element.at), element.end().unwrap_or(element.body));
                return Ok(());
            }
        }
        self.doubtful = None;
        Ok(())
    }

    /// Something begins that is in no cluster: one that said it was longer has lost what it says.
    fn leave_cluster(&mut self) {
        let Some(cluster) = self.cluster.take() else { return };
        if cluster.end.is_some_and(|end| end > self.at) {
            self.survey.clusters_cut.push(cluster.length);
            self.note(Damage { from: self.at, to: self.at, kind: DamageKind::Cut });
        }
    }

    /// Remembers the time of a cluster, and of the piece that begins with it.
    fn stamp(&mut self, element: &Element) -> io::Result<()> {
        let Some(cluster) = self.cluster.as_mut().filter(|cluster| cluster.stamp.is_none()) else { return Ok(()) };
        let len = element.length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        cluster.stamp = self.window.unsigned(element.body, len)?;
        if let Ok(piece) = self.starts.binary_search(&cluster.at) {
            self.survey.stamps[piece] = self.survey.stamps[piece].or(cluster.stamp);
        }
        Ok(())
    }

    /// Remembers the time of a block for the piece that it begins in.
    fn time(&mut self, element: &Element) -> io::Result<()> {
        let stamp = self.cluster.and_then(|cluster| i64::try_from(cluster.stamp?).ok());
        let behind = self.starts.partition_point(|start| *start <= element.at);
        let (Some(stamp), Some(piece)) = (stamp, behind.checked_sub(1)) else { return Ok(()) };
        let Some((track, after)) = element::track_and_time(&mut self.window, element)? else { return Ok(()) };
        if *self.track.get_or_insert(track) == track {
            let time = stamp.saturating_add(i64::from(after));
            let (first, last) = self.survey.spans[piece].unwrap_or((time, time));
            self.survey.spans[piece] = Some((first, last.max(time)));
        }
        Ok(())
    }

    /// An element says that it ends behind the end of what it is in, or behind `cut_at`, where a piece begins.
    fn overlong(&mut self, element: &Element, cut_at: Option<u64>) -> io::Result<()> {
        if matches!(element.kind, Kind::Other | Kind::Padding) && self.cluster.is_none() {
            // An index or tags that were cut off: no picture and no sound is lost with them, unless something follows.
            let end = self.window.size_bytes();
            match element::resume(&mut self.window, self.at + 1, self.segment_end)? {
                Some(next) => self.lose(Damage { from: self.at, to: next, kind: DamageKind::Broken }),
                None => self.at = end,
            }
            self.doubtful = None;
            return Ok(());
        }
        // The one before it was followed by an element, even though by one that is cut.
        self.doubtful = None;
        self.damaged(DamageKind::Cut, cut_at)
    }

    /// What stands at `at` is wrong, and so is the element before it when its length has led here. The next place where
    /// a cluster begins is safe; in the middle of one nothing tells which. `cut_at`: where its piece ends, with which it was
    /// cut off.
    fn damaged(&mut self, kind: DamageKind, cut_at: Option<u64>) -> io::Result<()> {
        let doubtful = self.doubtful.take().unwrap_or(self.at);
        let next =
            if self.is_full() { None } else { element::resume(&mut self.window, doubtful + 1, self.segment_end)? };
        // Lengths agree in what was cut off, too: then something begins inside it.
        let swallowed = next.is_some_and(|next| next < self.at) || self.starts_inside(doubtful, self.at);
        let from = if self.ended.is_some() && !swallowed { self.at } else { doubtful };
        let to = next.unwrap_or(self.window.size_bytes());
        // Bytes behind which something goes on were not cut off: they are not what they were.
        let kind = match next {
            Some(_) if swallowed || next == cut_at => DamageKind::Cut,
            Some(_) => DamageKind::Broken,
            None => kind,
        };
        if let Some(cluster) = self.cluster.take().or(self.ended.filter(|_| swallowed))
            && cluster.end.is_some()
            && cluster.at < from
        {
            self.survey.clusters_cut.push(cluster.length);
        }
        self.lose(Damage { from, to, kind });
        Ok(())
    }

    /// Whether a piece begins behind `from` and before `to`.
    fn starts_inside(&self, from: u64, to: u64) -> bool {
        let first = self.starts.partition_point(|start| *start <= from);
        self.starts.get(first).is_some_and(|start| *start < to)
    }

    fn lose(&mut self, damage: Damage) {
        self.at = damage.to;
        self.note(damage);
    }

    /// Whether another damage is the last one that is remembered.
    fn is_full(&self) -> bool {
        self.survey.damages.len().max(self.survey.clusters_cut.len()) + 1 >= DAMAGES_MAX
    }

    fn note(&mut self, mut damage: Damage) {
        if self.is_full() {
            damage.to = self.window.size_bytes();
        }
        match self.survey.damages.last_mut() {
            Some(last) if last.to >= damage.from => last.to = last.to.max(damage.to),
            _ => self.survey.damages.push(damage),
        }
    }

    /// All bytes are walked over; whoever said that there are more was cut off.
    fn end(&mut self) {
        let size_bytes = self.window.size_bytes();
        self.at = size_bytes;
        self.leave_cluster();
        if self.segment_end.is_some_and(|end| end > size_bytes) {
            self.note(Damage { from: size_bytes, to: size_bytes, kind: DamageKind::Cut });
        }
    }
}

#[cfg(test)]
mod tests;
