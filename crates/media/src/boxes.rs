//! Boxes of ISO/IEC 14496-12 in a slice, bounded by their parent.
//!
//! The walk never recurses and never allocates: whoever wants a child asks for it by name. Offsets are those of the
//! object the slice came from, so that a defect points at a byte of that object.

#![forbid(unsafe_code)]

use crate::defect::Defect;
use std::fmt;

/// Type of a box, a handler or a sample entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    /// Stands for the whole object where no box is to blame.
    pub const OBJECT: FourCc = FourCc(*b"file");

    /// All four are printable ASCII or the copyright sign of QuickTime, as in every registered type.
    pub fn is_plausible(self) -> bool {
        self.0.iter().all(|&byte| byte == 0xa9 || (0x20..0x7f).contains(&byte))
    }
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            if byte.is_ascii_graphic() || byte == b' ' {
                write!(f, "{}", char::from(byte))?
            } else {
                write!(f, "\\x{byte:02x}")?
            }
        }
        Ok(())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// First bytes of every EBML document (WebM, Matroska).
pub(crate) const EBML_MAGIC: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

/// Most bytes a header takes: size, type, 64-bit size.
pub(crate) const HEADER_MAX: usize = 16;

/// The head of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Its type.
    pub kind: FourCc,
    /// Length of the head itself: 8, or 16 with a 64-bit size.
    pub header_bytes: u64,
    /// Length of the box with its head; `None` = up to the end of the object.
    pub size_bytes: Option<u64>,
}

impl Header {
    /// Reads the head of the box at offset `at`; `None` when `bytes` is too short to tell.
    pub fn parse(bytes: &[u8], at: u64) -> Result<Option<Header>, Defect> {
        let (Some(size), Some(kind)) = (bytes.first_chunk::<4>(), bytes.get(4..8).and_then(<[u8]>::first_chunk::<4>))
        else {
            return Ok(None);
        };
        let kind = FourCc(*kind);
        let (header_bytes, size_bytes) = match u32::from_be_bytes(*size) {
            0 => (8, None),
            1 => {
                let Some(large) = bytes.get(8..16).and_then(<[u8]>::first_chunk::<8>) else { return Ok(None) };
                (16, Some(u64::from_be_bytes(*large)))
            }
            size => (8, Some(u64::from(size))),
        };
        if !kind.is_plausible() {
            return Err(Defect::BadBox { kind, at, what: "no box has this type" });
        }
        if size_bytes.is_some_and(|size| size < header_bytes) {
            return Err(Defect::BadBox { kind, at, what: "its size is smaller than its head" });
        }
        Ok(Some(Header { kind, header_bytes, size_bytes }))
    }
}

/// A box that lies whole in memory.
#[derive(Debug, Clone, Copy)]
pub struct BoxRef<'a> {
    /// Its type.
    pub kind: FourCc,
    /// Its first byte in the object.
    pub at: u64,
    /// Head and body.
    pub whole: &'a [u8],
    /// Without its head.
    pub body: &'a [u8],
}

impl<'a> BoxRef<'a> {
    /// The boxes inside, in order.
    pub fn children(&self) -> Boxes<'a> {
        self.children_from(0)
    }

    /// The boxes inside, behind `skip` bytes of the body.
    pub fn children_from(&self, skip: usize) -> Boxes<'a> {
        let head = self.whole.len() - self.body.len();
        let rest = self.body.get(skip..).unwrap_or_default();
        Boxes { rest, at: self.at + (head + skip) as u64, parent: self.kind, parent_at: self.at, failed: false }
    }

    /// The only box of this type inside, if there is one.
    pub fn child(&self, kind: &[u8; 4]) -> Result<Option<BoxRef<'a>>, Defect> {
        let mut found = None;
        for child in self.children() {
            let child = child?;
            if child.kind.0 != *kind {
                continue;
            }
            if found.is_some() {
                return Err(Defect::BadBox { kind: child.kind, at: child.at, what: "it is there twice" });
            }
            found = Some(child);
        }
        Ok(found)
    }

    /// The only box of this type inside.
    pub fn require(&self, kind: &[u8; 4]) -> Result<BoxRef<'a>, Defect> {
        self.child(kind)?.ok_or(Defect::MissingBox { kind: FourCc(*kind), parent: self.kind, at: self.at })
    }

    /// Reads the body field by field.
    pub fn fields(&self) -> Fields<'a> {
        Fields { kind: self.kind, at: self.at, rest: self.body }
    }
}

/// Boxes that follow one another up to the end of their parent.
#[derive(Debug, Clone)]
pub struct Boxes<'a> {
    rest: &'a [u8],
    at: u64,
    parent: FourCc,
    parent_at: u64,
    failed: bool,
}

impl<'a> Boxes<'a> {
    /// The boxes of a whole object.
    pub fn of(object: &'a [u8]) -> Boxes<'a> {
        Boxes { rest: object, at: 0, parent: FourCc::OBJECT, parent_at: 0, failed: false }
    }

    fn parse(&mut self) -> Result<BoxRef<'a>, Defect> {
        let cut = Defect::TruncatedBox { kind: self.parent, at: self.parent_at };
        let header = Header::parse(self.rest, self.at)?.ok_or(cut)?;
        let (kind, at) = (header.kind, self.at);
        let size_bytes = match header.size_bytes {
            Some(size_bytes) => size_bytes,
            // Only the last box of a file may be open, and only media data is written so.
            None if self.parent == FourCc::OBJECT && kind.0 == *b"mdat" => self.rest.len() as u64,
            None => return Err(Defect::BadBox { kind, at, what: "it has no size" }),
        };
        let size = usize::try_from(size_bytes).ok().filter(|&size| size <= self.rest.len());
        let (whole, rest) = self.rest.split_at(size.ok_or(Defect::TruncatedBox { kind, at })?);
        self.rest = rest;
        self.at += size_bytes;
        Ok(BoxRef { kind, at, whole, body: &whole[header.header_bytes as usize..] })
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Result<BoxRef<'a>, Defect>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || self.failed {
            return None;
        }
        let parsed = self.parse();
        self.failed = parsed.is_err();
        Some(parsed)
    }
}

/// The body of a box, read from front to back.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    kind: FourCc,
    at: u64,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Defect> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(self.cut())?;
        self.rest = rest;
        Ok(*head)
    }

    fn cut(&self) -> Defect {
        Defect::TruncatedBox { kind: self.kind, at: self.at }
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Defect> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self) -> Result<u16, Defect> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self) -> Result<u32, Defect> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Four bytes, big-endian, with sign.
    pub fn i32(&mut self) -> Result<i32, Defect> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self) -> Result<u64, Defect> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Four bytes, or eight in version 1 of the box.
    pub fn u32_or_u64(&mut self, version: u8) -> Result<u64, Defect> {
        if version == 1 { self.u64() } else { self.u32().map(u64::from) }
    }

    /// The type of something.
    pub fn four_cc(&mut self) -> Result<FourCc, Defect> {
        Ok(FourCc(self.array()?))
    }

    /// Version and flags of a full box.
    pub fn version_and_flags(&mut self) -> Result<(u8, u32), Defect> {
        let word = self.u32()?;
        Ok(((word >> 24) as u8, word & 0x00ff_ffff))
    }

    /// Passes over `count` bytes.
    pub fn skip(&mut self, count: usize) -> Result<(), Defect> {
        self.rest = self.rest.get(count..).ok_or(self.cut())?;
        Ok(())
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(bytes: &[u8]) -> Result<Vec<String>, Defect> {
        Boxes::of(bytes).map(|found| found.map(|found| found.kind.to_string())).collect()
    }

    #[test]
    fn boxes_of_32_and_64_bit_sizes_follow_one_another() {
        let bytes = [&b"\0\0\0\x0afreexx"[..], b"\0\0\0\x01skip\0\0\0\0\0\0\0\x11y", b"\0\0\0\x08free"].concat();
        assert_eq!(kinds(&bytes).unwrap(), ["free", "skip", "free"]);
        let second = Boxes::of(&bytes).nth(1).unwrap().unwrap();
        assert_eq!((second.at, second.body), (10, &b"y"[..]));
    }

    #[test]
    fn box_without_size_is_legal_for_the_last_mdat_alone() {
        assert_eq!(kinds(b"\0\0\0\0mdatxyz").unwrap(), ["mdat"]);
        let bad = Defect::BadBox { kind: FourCc(*b"moof"), at: 0, what: "it has no size" };
        assert_eq!(kinds(b"\0\0\0\0moofxyz"), Err(bad));
        let parent = BoxRef { kind: FourCc(*b"moof"), at: 5, whole: b"\0\0\0\0mdat", body: b"\0\0\0\0mdat" };
        assert!(parent.children().next().unwrap().is_err());
    }

    #[test]
    fn boxes_stop_at_the_first_defect() {
        for (bytes, defect) in [
            (
                &b"\0\0\0\x07free"[..],
                Defect::BadBox { kind: FourCc(*b"free"), at: 0, what: "its size is smaller than its head" },
            ),
            (
                b"\0\0\0\x01free\0\0\0\0\0\0\0\x0f",
                Defect::BadBox { kind: FourCc(*b"free"), at: 0, what: "its size is smaller than its head" },
            ),
            (b"\0\0\0\x09free", Defect::TruncatedBox { kind: FourCc(*b"free"), at: 0 }),
            (b"\0\0\0\x01free\xff\xff\xff\xff\xff\xff\xff\xff", Defect::TruncatedBox { kind: FourCc(*b"free"), at: 0 }),
            (b"\0\0\0\x08free\0\0", Defect::TruncatedBox { kind: FourCc::OBJECT, at: 0 }),
            (b"\0\0\0\x08\0\0\0\0", Defect::BadBox { kind: FourCc([0; 4]), at: 0, what: "no box has this type" }),
        ] {
            assert_eq!(kinds(bytes), Err(defect));
            assert_eq!(Boxes::of(bytes).filter(Result::is_err).count(), 1);
        }
    }
}
