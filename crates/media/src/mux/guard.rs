//! Whether a segment that was read is still the one that the plan was made of.
//!
//! Its length always is compared. After that the store's own word counts, the entity tag, which costs nothing; where
//! there is none, or another one, the bytes are held to what is known of them: their digest, else their samples.
//! Bytes of which no digest is known and whose store says by its tags that they are others are not taken for the same,
//! however alike their samples are.

#![forbid(unsafe_code)]

use super::SegmentRef;
use crate::init::Init;
use crate::layout::SegmentInput;
use crate::{salvage, walk};
use bytes::Bytes;
use domain::id::Sha256;
use thiserror::Error;

/// A segment as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// All bytes of the object, from `from` on. Of one that has grown at least one byte more than it had.
    pub bytes: Bytes,
    /// Where they begin. Only the tag vouches for what is left out.
    pub from: u64,
    /// What the store says of it.
    pub tag: Tag,
}

impl Fetched {
    /// Bytes of which the store says nothing.
    pub fn untagged(bytes: Bytes) -> Fetched {
        Fetched { bytes, from: 0, tag: Tag::Unknown }
    }
}

/// What a store's entity tag says of an object (RFC 9110, 8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// It has the tag that was recorded: these are the bytes.
    Same,
    /// It has another tag, and tags of this store tell of bytes: these are others.
    Other,
    /// It has another tag, and nothing is known of what tags of this store tell. The same bytes may have got one, when they
    /// were copied or written again.
    Anew,
    /// The store has no tags, or none was recorded.
    Unknown,
}

/// What a segment is held to when its tag does not vouch for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Guard {
    /// Its samples: their sizes, times and places are those of the index that the result is laid out by.
    Samples,
    /// Its digest where the plan has one, else its samples.
    #[default]
    Digest,
}

/// How a segment differs from the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Change {
    /// It has another length.
    #[error("it has {found} bytes instead of {expected}")]
    Size {
        /// By the plan.
        expected: u64,
        /// Found; of an object that has grown perhaps not all of it.
        found: u64,
    },
    /// It was written again with other bytes, by its entity tag.
    #[error("it was written again with other bytes")]
    Tag,
    /// Its samples are others than those of its index, or it is no segment any more.
    #[error("its samples are not those of its index")]
    Samples,
    /// It has other bytes.
    #[error("its digest is {found} instead of {expected}")]
    Digest {
        /// By the plan.
        expected: Sha256,
        /// Found.
        found: Sha256,
    },
}

impl Guard {
    /// Holds a segment to the plan.
    pub(super) fn check(
        self,
        init: &Init,
        input: &SegmentInput,
        segment: &SegmentRef,
        fetched: &Fetched,
    ) -> Result<(), Change> {
        let (expected, found) = (segment.size_bytes, fetched.from + fetched.bytes.len() as u64);
        if expected != found {
            return Err(Change::Size { expected, found });
        }
        match (fetched.tag, segment.sha256, self) {
            (Tag::Same, _, _) => Ok(()),
            (Tag::Other | Tag::Anew | Tag::Unknown, _, _) if fetched.from > 0 => Err(Change::Samples),
            (Tag::Other | Tag::Anew, Some(expected), _) | (Tag::Unknown, Some(expected), Guard::Digest) => {
                match Sha256::of(&fetched.bytes) {
                    found if found == expected => Ok(()),
                    found => Err(Change::Digest { expected, found }),
                }
            }
            (Tag::Other, None, _) => Err(Change::Tag),
            (Tag::Anew | Tag::Unknown, _, _) if has_samples(init, input, &fetched.bytes) => Ok(()),
            (Tag::Anew | Tag::Unknown, _, _) => Err(Change::Samples),
        }
    }
}

/// The samples of these bytes are those of the index: all of them, or what is whole of a damaged object.
fn has_samples(init: &Init, input: &SegmentInput, bytes: &Bytes) -> bool {
    let found = match walk::media(init, bytes, walk::Limits::NONE) {
        Ok(_) if input.salvaged => None,
        Ok(media) => Some(media),
        Err(defect) if input.salvaged => salvage::media(init, bytes, &defect),
        Err(_) => None,
    };
    found.is_some_and(|media| media.index == *input.packed)
}
