//! What is wrong with bytes that should be a track of fragmented MP4.
//!
//! A defect names the box and the absolute offset where it was found, so that a person can look at the very byte.
//! It is always permanent: the same bytes give the same defect. Faults of whatever the bytes were read from are not
//! defects and belong to the caller.

#![forbid(unsafe_code)]

use crate::boxes::FourCc;
use domain::retry::{Classify, Fault};
use domain::segment::Track;
use thiserror::Error;

/// What is wrong with the bytes of one object. Offsets count from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Defect {
    /// The object has no bytes.
    #[error("the object is empty")]
    ZeroByte,
    /// The object begins like WebM or Matroska (EBML).
    #[error("the object is WebM, not MP4")]
    NotIsoBmff,
    /// A box ends behind its parent or behind the object.
    #[error("the box {kind} at byte {at} is cut off")]
    TruncatedBox {
        /// The box.
        kind: FourCc,
        /// Its first byte.
        at: u64,
    },
    /// A box that no reading of the standard allows.
    #[error("the box {kind} at byte {at} is damaged: {what}")]
    BadBox {
        /// The box.
        kind: FourCc,
        /// Its first byte.
        at: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A box that must be there is not.
    #[error("the box {parent} at byte {at} lacks its {kind}")]
    MissingBox {
        /// The missing box.
        kind: FourCc,
        /// The box it should be in.
        parent: FourCc,
        /// First byte of that box.
        at: u64,
    },
    /// A box of a movie fragment that contradicts itself.
    #[error("the movie fragment is damaged in {kind} at byte {at}: {what}")]
    BadMoof {
        /// The box.
        kind: FourCc,
        /// Its first byte.
        at: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A sample lies outside its media data, two samples share a byte, or a byte belongs to no sample.
    #[error("the samples do not cover the media data at byte {at}: {what}")]
    MdatCoverage {
        /// First byte that is claimed wrongly or by nobody.
        at: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A track fragment does not say when it begins.
    #[error("the track fragment at byte {at} has no decode time")]
    TfdtMissing {
        /// First byte of its `traf`.
        at: u64,
    },
    /// A fragment of another track than the initialization section's.
    #[error("the track fragment at byte {at} is of track {found} instead of {expected}")]
    TrackId {
        /// First byte of its `tfhd`.
        at: u64,
        /// By the initialization section.
        expected: u32,
        /// In the fragment.
        found: u32,
    },
    /// Samples that use another description than the first one.
    #[error("the track fragment at byte {at} uses sample description {found} instead of 1")]
    SampleDescription {
        /// First byte of its `tfhd`.
        at: u64,
        /// In the fragment.
        found: u32,
    },
    /// Another number of sample descriptions than one.
    #[error("the stsd at byte {at} has {found} sample descriptions, and a result takes over one")]
    Descriptions {
        /// First byte of `stsd`.
        at: u64,
        /// How many there are.
        found: u32,
    },
    /// An initialization section of another kind of track.
    #[error("the initialization section has handler {found} where the {expected} track is expected")]
    WrongInit {
        /// The track it was given for.
        expected: Track,
        /// Its handler type.
        found: FourCc,
    },
    /// No `moov`: this is not an initialization section.
    #[error("there is no initialization section: the object has no moov")]
    MissingInit,
    /// Samples that cannot be taken over, encrypted ones for example.
    #[error("samples of type {kind} cannot be taken over")]
    UnsupportedCodec {
        /// Type of the sample entry.
        kind: FourCc,
    },
    /// A box or the whole object is larger than allowed.
    #[error("the box {kind} at byte {at} has {size_bytes} bytes, more than {max_bytes}")]
    TooLarge {
        /// The box.
        kind: FourCc,
        /// Its first byte.
        at: u64,
        /// What it claims.
        size_bytes: u64,
        /// What is allowed.
        max_bytes: u64,
    },
    /// More samples than a segment may have.
    #[error("the segment has more than {max} samples")]
    TooManySamples {
        /// What is allowed.
        max: u32,
    },
    /// The segment lasts longer than allowed.
    #[error("the segment lasts {duration_ms} ms, more than {max_ms} ms")]
    TooLong {
        /// What it lasts.
        duration_ms: u64,
        /// What is allowed.
        max_ms: u64,
    },
    /// No sample at all.
    #[error("the segment has no samples")]
    Empty,
}

impl Defect {
    /// Where to look: the box and the offset, where the defect has them.
    pub fn place(&self) -> Option<(FourCc, u64)> {
        match *self {
            Defect::TruncatedBox { kind, at }
            | Defect::BadBox { kind, at, .. }
            | Defect::MissingBox { parent: kind, at, .. }
            | Defect::BadMoof { kind, at, .. }
            | Defect::TooLarge { kind, at, .. } => Some((kind, at)),
            Defect::MdatCoverage { at, .. } => Some((FourCc(*b"mdat"), at)),
            Defect::TfdtMissing { at } => Some((FourCc(*b"traf"), at)),
            Defect::TrackId { at, .. } | Defect::SampleDescription { at, .. } => Some((FourCc(*b"tfhd"), at)),
            Defect::Descriptions { at, .. } => Some((FourCc(*b"stsd"), at)),
            Defect::UnsupportedCodec { .. } => Some((FourCc(*b"stsd"), 0)),
            Defect::NotIsoBmff
            | Defect::ZeroByte
            | Defect::WrongInit { .. }
            | Defect::MissingInit
            | Defect::TooManySamples { .. }
            | Defect::TooLong { .. }
            | Defect::Empty => None,
        }
    }
}

impl Classify for Defect {
    fn fault(&self) -> Fault {
        Fault::Permanent
    }

    fn class(&self) -> &'static str {
        match self {
            Defect::ZeroByte => "zero-byte",
            Defect::NotIsoBmff => "not-iso-bmff",
            Defect::TruncatedBox { .. } => "truncated-box",
            Defect::BadBox { .. } | Defect::MissingBox { .. } => "bad-box",
            Defect::BadMoof { .. } => "bad-moof",
            Defect::MdatCoverage { .. } => "mdat-coverage",
            Defect::TfdtMissing { .. } => "tfdt-missing",
            Defect::TrackId { .. } => "track-id",
            Defect::SampleDescription { .. } | Defect::Descriptions { .. } => "sample-description",
            Defect::WrongInit { .. } => "wrong-init",
            Defect::MissingInit => "missing-init",
            Defect::UnsupportedCodec { .. } => "unsupported-codec",
            Defect::TooLarge { .. } => "too-large",
            Defect::TooManySamples { .. } => "too-many-samples",
            Defect::TooLong { .. } => "segment-too-long",
            Defect::Empty => "empty",
        }
    }
}
