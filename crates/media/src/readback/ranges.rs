//! Parts of one object as they are needed: boxes by their heads, small ones whole, tables entry by entry.
//!
//! However long a header is, a bounded part of it lies in memory. Of an ordinary one that is all of it, read at once.

#![forbid(unsafe_code)]

use super::{Error, RangedReader};
use crate::boxes::{BoxRef, FourCc, HEADER_MAX, Header};
use crate::defect::Defect;
use bytes::Bytes;

/// Read at once where heads are looked for; the `moov` of a short recording lies whole in it.
const HEADS_BYTES: u64 = 64 << 10;

/// A `moov` up to this length is held whole: that of two hours.
const WHOLE_BYTES_MAX: u64 = 4 << 20;

/// Read at once of a table of a longer one; three of them are read side by side.
const BLOCK_BYTES: u64 = 1 << 20;

/// Largest box that is no table: real ones have some hundred bytes.
const SMALL_BYTES_MAX: u64 = 1 << 20;

/// Where a box lies in the object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Located {
    pub(super) kind: FourCc,
    pub(super) at: u64,
    pub(super) header_bytes: u64,
    pub(super) size_bytes: u64,
}

impl Located {
    fn end(&self) -> u64 {
        self.at + self.size_bytes
    }

    pub(super) fn bad(&self, what: &'static str) -> Defect {
        Defect::BadBox { kind: self.kind, at: self.at, what }
    }

    fn cut(&self) -> Defect {
        Defect::TruncatedBox { kind: self.kind, at: self.at }
    }

    /// This child, which must be there.
    pub(super) fn require(&self, child: Option<Located>, kind: &[u8; 4]) -> Result<Located, Defect> {
        child.ok_or(Defect::MissingBox { kind: FourCc(*kind), parent: self.kind, at: self.at })
    }
}

/// A box that was read whole.
pub(super) struct Loaded {
    located: Located,
    whole: Bytes,
}

impl Loaded {
    pub(super) fn as_box(&self) -> BoxRef<'_> {
        let Located { kind, at, header_bytes, .. } = self.located;
        BoxRef { kind, at, whole: &self.whole, body: &self.whole[header_bytes as usize..] }
    }
}

/// Ranges of the object; what was read last is at hand.
pub(super) struct Ranges<'a, R> {
    reader: &'a R,
    size_bytes: u64,
    at: u64,
    bytes: Bytes,
}

impl<R> Clone for Ranges<'_, R> {
    fn clone(&self) -> Self {
        Ranges { reader: self.reader, size_bytes: self.size_bytes, at: self.at, bytes: self.bytes.clone() }
    }
}

impl<'a, R: RangedReader> Ranges<'a, R> {
    pub(super) fn of(reader: &'a R, size_bytes: u64) -> Ranges<'a, R> {
        Ranges { reader, size_bytes, at: 0, bytes: Bytes::new() }
    }

    /// `len` bytes from `at` on. Those that are not at hand are read with the ones behind them, `ahead` in all.
    pub(super) async fn get(&mut self, at: u64, len: u64, ahead: u64) -> Result<Bytes, Error<R::Error>> {
        let end = self.at + self.bytes.len() as u64;
        if at < self.at || at + len > end {
            let len = len.max(ahead).min(self.size_bytes - at);
            // What was at hand is let go first: there is room for one of them.
            self.bytes = Bytes::new();
            let read = self.reader.read(at, len).await;
            self.bytes = read.map_err(|source| Error::Read { at, len, source })?;
            self.at = at;
        }
        let start = (at - self.at) as usize;
        if self.bytes.len() < start + len as usize {
            return Err(Error::Defect(Defect::TruncatedBox { kind: FourCc::OBJECT, at }));
        }
        Ok(self.bytes.slice(start..start + len as usize))
    }

    /// The first bytes of something, as many as a head may have.
    pub(super) async fn head(&mut self, at: u64, end: u64) -> Result<Bytes, Error<R::Error>> {
        self.get(at, (HEADER_MAX as u64).min(end - at), HEADS_BYTES).await
    }

    /// Has a box at hand, if it is not too long for that.
    pub(super) async fn hold(&mut self, found: &Located) -> Result<(), Error<R::Error>> {
        if found.size_bytes <= WHOLE_BYTES_MAX {
            self.get(found.at, found.size_bytes, HEADS_BYTES).await?;
        }
        Ok(())
    }

    /// Goes through the boxes inside another one, in order.
    pub(super) async fn each(
        &mut self,
        parent: &Located,
        mut give: impl FnMut(Located) -> Result<(), Defect>,
    ) -> Result<(), Error<R::Error>> {
        let (mut at, end) = (parent.at + parent.header_bytes, parent.end());
        while at < end {
            let head = self.head(at, end).await?;
            let header = Header::parse(&head, at)?.ok_or(parent.cut())?;
            let no_size = Defect::BadBox { kind: header.kind, at, what: "it has no size" };
            let size_bytes = header.size_bytes.ok_or(no_size)?;
            let child = Located { kind: header.kind, at, header_bytes: header.header_bytes, size_bytes };
            if size_bytes > end - at {
                return Err(child.cut().into());
            }
            give(child)?;
            at += size_bytes;
        }
        Ok(())
    }

    /// The boxes of these types inside, each there once at most.
    pub(super) async fn children<const N: usize>(
        &mut self,
        parent: &Located,
        kinds: [&[u8; 4]; N],
    ) -> Result<[Option<Located>; N], Error<R::Error>> {
        let mut found = [None; N];
        let keep = |child: Located| {
            let wanted = kinds.iter().position(|kind| **kind == child.kind.0);
            match wanted.and_then(|n| found[n].replace(child)) {
                Some(_) => Err(child.bad("it is there twice")),
                None => Ok(()),
            }
        };
        self.each(parent, keep).await?;
        Ok(found)
    }

    /// The only box of this type inside.
    pub(super) async fn require(&mut self, parent: &Located, kind: &[u8; 4]) -> Result<Located, Error<R::Error>> {
        let [found] = self.children(parent, [kind]).await?;
        Ok(parent.require(found, kind)?)
    }

    /// A whole box.
    pub(super) async fn load(&mut self, located: Located) -> Result<Loaded, Error<R::Error>> {
        let Located { kind, at, size_bytes, .. } = located;
        if size_bytes > SMALL_BYTES_MAX {
            return Err(Defect::TooLarge { kind, at, size_bytes, max_bytes: SMALL_BYTES_MAX }.into());
        }
        let whole = self.get(at, size_bytes, HEADS_BYTES).await?;
        Ok(Loaded { located, whole })
    }

    /// The body of a box, number by number.
    pub(super) fn entries(&self, table: Located) -> Entries<'a, R> {
        let at = table.at + table.header_bytes;
        Entries { ranges: self.clone(), table, at, block: Bytes::new() }
    }
}

/// The body of a table, from front to back.
pub(super) struct Entries<'a, R> {
    ranges: Ranges<'a, R>,
    pub(super) table: Located,
    /// Where the first byte lies that was not given.
    at: u64,
    /// Bytes from there on.
    block: Bytes,
}

impl<R: RangedReader> Entries<'_, R> {
    /// Bytes that were not given.
    pub(super) fn left_bytes(&self) -> u64 {
        self.table.end() - self.at
    }

    /// What is left is exactly `len` bytes.
    pub(super) fn hold_to(&self, len: u64) -> Result<(), Defect> {
        if self.left_bytes() == len { Ok(()) } else { Err(self.table.bad("its length contradicts its entry count")) }
    }

    /// At least one and at most `most` entries of so many bytes.
    pub(super) async fn some(&mut self, entry_bytes: usize, most: u64) -> Result<Bytes, Error<R::Error>> {
        if self.block.len() < entry_bytes {
            let len = self.left_bytes().min(BLOCK_BYTES);
            if len < entry_bytes as u64 {
                return Err(self.table.cut().into());
            }
            self.block = Bytes::new();
            self.block = self.ranges.get(self.at, len, 0).await?;
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let given = self.block.split_to((self.block.len() / entry_bytes).min(most) * entry_bytes);
        self.at += given.len() as u64;
        Ok(given)
    }

    async fn array<const N: usize>(&mut self) -> Result<[u8; N], Error<R::Error>> {
        let bytes = self.some(N, 1).await?;
        Ok(*bytes.first_chunk::<N>().expect("an entry is as long as it was asked for"))
    }

    /// Four bytes, big-endian.
    pub(super) async fn u32(&mut self) -> Result<u32, Error<R::Error>> {
        self.array().await.map(u32::from_be_bytes)
    }

    /// Eight bytes, big-endian.
    pub(super) async fn u64(&mut self) -> Result<u64, Error<R::Error>> {
        self.array().await.map(u64::from_be_bytes)
    }
}
