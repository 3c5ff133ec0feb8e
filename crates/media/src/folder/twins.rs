//! Segments of a folder that may be copies of one another, told apart by their digests.
//!
//! Bytes are read only where sizes and sample indexes are equal, which is never in a folder that is whole.

#![forbid(unsafe_code)]

use super::Failure;
use super::scan::FoundTrack;
use domain::id::Sha256;
use domain::segment::{Name, Track};
use sha2::Digest as _;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Bytes read at once.
const PIECE_BYTES: usize = 64 << 10;

/// Digests of all segments that have the size and the sample index of another one.
pub(super) fn digests(folder: &Path, track: Track, found: &FoundTrack) -> Result<BTreeMap<u32, Sha256>, Failure> {
    let mut alike: HashMap<(u64, &[u8]), Vec<u32>> = HashMap::with_capacity(found.segments.len());
    for (&index, segment) in &found.segments {
        if let Ok(media) = &segment.media {
            alike.entry((segment.size_bytes, &media.index)).or_default().push(index);
        }
    }
    let mut digests = BTreeMap::new();
    for index in alike.into_values().filter(|alike| alike.len() > 1).flatten() {
        let path = folder.join(track.as_str()).join(Name::Media(index).to_string());
        let digest = digest(&path).map_err(|error| Failure::io(&format!("read {}", path.display()), &error))?;
        digests.insert(index, digest);
    }
    Ok(digests)
}

fn digest(path: &Path) -> io::Result<Sha256> {
    let (mut file, mut hasher) = (File::open(path)?, sha2::Sha256::new());
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(Sha256(hasher.finalize().into())),
            Ok(read) => hasher.update(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
