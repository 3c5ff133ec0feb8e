//! Whether a file is still the one that was looked at, by what the file system says of it.

#![forbid(unsafe_code)]

use domain::segment::Track;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

/// A file that was changed this short a time before it was looked at may be changed again without another time: file
/// systems count in steps, the coarsest of a second or two.
const SETTLED: Duration = Duration::from_secs(3);

/// Which file it is, how long, and when it was last changed in any way, as one number. Whoever writes to a file, or puts
/// another one in its place, changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// The stamp of a file that has rested for a while; of another one nothing can be said.
    pub fn settled(metadata: &Metadata) -> Option<Stamp> {
        let age = metadata.modified().ok()?.elapsed().ok()?;
        (age >= SETTLED).then(|| Stamp::of(metadata))
    }

    pub(super) fn of(metadata: &Metadata) -> Stamp {
        let mut hasher = DefaultHasher::new();
        let (changed, modified) =
            ((metadata.ctime(), metadata.ctime_nsec()), (metadata.mtime(), metadata.mtime_nsec()));
        (metadata.dev(), metadata.ino(), metadata.len(), changed, modified).hash(&mut hasher);
        Stamp(hasher.finish())
    }
}

/// Stamps of the segments of a folder.
#[derive(Debug, Clone, Default)]
pub struct Stamps(BTreeMap<Track, Vec<(u32, Stamp)>>);

impl Stamps {
    /// Notes the stamp of a segment. Those of a track are given in the order of their indexes.
    pub fn note(&mut self, track: Track, index: u32, stamp: Stamp) {
        self.0.entry(track).or_default().push((index, stamp));
    }

    pub(super) fn of(&self, track: Track, index: u32) -> Option<Stamp> {
        let stamps = self.0.get(&track)?;
        let found = stamps.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        Some(stamps[found].1)
    }
}
