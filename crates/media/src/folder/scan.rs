//! What is in a folder: every segment by its heads, with its defect if it has one.

#![forbid(unsafe_code)]

use super::Failure;
use crate::defect::Defect;
use crate::files::{Stamp, Stamps};
use crate::index::IndexReader;
use crate::init::{INIT_BYTES_MAX, Init};
use crate::salvage::Salvager;
use crate::walk::{Accepted, Limits, Media, Walker};
use domain::manifest::Manifest;
use domain::retry::Classify as _;
use domain::segment::{Name, Track};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Read at once of the head of a segment that nothing is known of.
const HEAD_BYTES: usize = 4 << 10;

/// The heads of a track differ by the number of samples in their segments: so much is read more than the one before had,
/// which is some samples, and as little of the payload as that.
const HEAD_SLACK_BYTES: u64 = 128;

/// Largest manifest that is read.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// What is in a folder.
#[derive(Debug)]
pub(super) struct Found {
    /// Tracks that have at least an initialization section or a segment.
    pub(super) tracks: BTreeMap<Track, FoundTrack>,
    pub(super) manifest: Option<Manifest>,
    /// Of the files before they were looked into.
    pub(super) stamps: Stamps,
}

#[derive(Debug)]
pub(super) struct FoundTrack {
    pub(super) init: Option<Init>,
    pub(super) init_bytes: u64,
    pub(super) segments: BTreeMap<u32, FoundSegment>,
}

#[derive(Debug)]
pub(super) struct FoundSegment {
    pub(super) size_bytes: u64,
    pub(super) media: Result<Media, Defect>,
    /// The whole samples of a damaged one.
    pub(super) salvaged: Option<Box<Media>>,
}

pub(super) fn scan(folder: &Path, manifest: Option<&Path>) -> Result<Found, Failure> {
    fs::read_dir(folder).map_err(|error| Failure::io(&format!("read {}", folder.display()), &error))?;
    let (mut tracks, mut stamps) = (BTreeMap::new(), Stamps::default());
    for track in Track::ALL {
        if let Some(found) = scan_track(&folder.join(track.as_str()), track, &mut stamps)? {
            tracks.insert(track, found);
        }
    }
    let manifest = match manifest {
        Some(path) => Some(read_manifest(path)?),
        // An old or half-written manifest that nobody asked for says nothing: the segments decide.
        None => read_manifest(&folder.join("manifest.json")).ok(),
    };
    Ok(Found { tracks, manifest, stamps })
}

fn read_manifest(path: &Path) -> Result<Manifest, Failure> {
    let io = |error| Failure::io(&format!("read {}", path.display()), &error);
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(MANIFEST_BYTES_MAX).read_to_end(&mut bytes).map_err(io)?;
    Manifest::parse(&bytes).map_err(|error| Failure::new("manifest-malformed", &error))
}

fn scan_track(folder: &Path, track: Track, stamps: &mut Stamps) -> Result<Option<FoundTrack>, Failure> {
    let io = |error| Failure::io(&format!("read {}", folder.display()), &error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mut sizes = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(io)?;
        let Some(name) = entry.file_name().to_str().and_then(|name| Name::parse(name).ok()) else { continue };
        // Follows links, so that a folder of links to segments is a folder of segments.
        let metadata = fs::metadata(entry.path()).map_err(io)?;
        if metadata.is_file() {
            sizes.insert(name.index(), (metadata.len(), Stamp::settled(&metadata)));
        }
    }
    let Some((init_bytes, _)) = sizes.remove(&0) else {
        if sizes.is_empty() {
            return Ok(None);
        }
        let missing = Failure::of(&Defect::MissingInit);
        return Err(missing.about(&format!("the {track} track")));
    };
    let init = read_init(folder, track)?;
    // Made into a map at the end: one that grows in order is half empty.
    let (mut segments, mut heads) = (Vec::with_capacity(sizes.len()), Heads::default());
    for (index, (size_bytes, stamp)) in sizes {
        stamp.into_iter().for_each(|stamp| stamps.note(track, index, stamp));
        let path = folder.join(Name::Media(index).to_string());
        let found = read_segment(&path, &init, size_bytes, &mut heads);
        segments.push((index, found.map_err(|error| Failure::io(&format!("read {}", path.display()), &error))?));
    }
    Ok(Some(FoundTrack { init: Some(init), init_bytes, segments: segments.into_iter().collect() }))
}

fn read_init(folder: &Path, track: Track) -> Result<Init, Failure> {
    let path = folder.join(Name::Init.to_string());
    let io = |error| Failure::io(&format!("read {}", path.display()), &error);
    let mut bytes = Vec::new();
    File::open(&path).map_err(io)?.take(INIT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    let what = format!("the initialization section of the {track} track");
    Init::parse(track, &bytes).map_err(|defect| Failure::of(&defect).about(&what))
}

fn read_segment(path: &Path, init: &Init, size_bytes: u64, heads: &mut Heads) -> io::Result<FoundSegment> {
    let mut file = File::open(path)?;
    let media = heads.read(&mut file, init, size_bytes)?;
    let salvaged = match &media {
        Ok(_) => None,
        Err(defect) => salvage(&file, Salvager::of(init, size_bytes, defect))?.map(Box::new),
    };
    Ok(FoundSegment { size_bytes, media, salvaged })
}

fn salvage(file: &File, mut salvager: Salvager) -> io::Result<Option<Media>> {
    while let Some(wanted) = salvager.wants() {
        let mut bytes = vec![0; usize::try_from(wanted.end - wanted.start).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, wanted.start)?;
        salvager.push(&bytes);
    }
    Ok(salvager.finish())
}

/// Reads what the walk needs and passes over the media data. Of a recording at a low rate the heads are a tenth, so that it
/// matters how much more is read.
struct Heads {
    buffer: [u8; HEAD_BYTES],
    /// Of the next segment so much is read first.
    first_bytes: usize,
}

impl Default for Heads {
    fn default() -> Heads {
        Heads { buffer: [0; HEAD_BYTES], first_bytes: HEAD_BYTES }
    }
}

impl Heads {
    fn read(&mut self, file: &mut File, init: &Init, size_bytes: u64) -> io::Result<Result<Media, Defect>> {
        let mut walker = Walker::media(init, Limits::NONE);
        let mut next_bytes = self.first_bytes;
        loop {
            let skip = walker.skippable_bytes().min(size_bytes.saturating_sub(walker.position()));
            if skip > 0 {
                walker.skip(skip);
                file.seek(SeekFrom::Start(walker.position()))?;
            }
            let read = match file.read(&mut self.buffer[..next_bytes]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            next_bytes = HEAD_BYTES;
            if read == 0 {
                break;
            }
            if let Err(defect) = walker.push(&self.buffer[..read]) {
                return Ok(Err(defect));
            }
        }
        Ok(match walker.finish() {
            Ok(Accepted::Media(media)) => {
                self.expect(&media);
                Ok(media)
            }
            Ok(Accepted::Init(_)) => Err(Defect::Empty),
            Err(defect) => Err(defect),
        })
    }

    /// The next segment of the track begins much like this one.
    fn expect(&mut self, media: &Media) {
        let ranges = IndexReader::open(&media.index).ok().and_then(|index| index.fragments().next());
        if let Some(first) = ranges.and_then(|fragment| fragment.ranges().next()) {
            let wanted = usize::try_from(first.offset + HEAD_SLACK_BYTES).unwrap_or(HEAD_BYTES);
            self.first_bytes = wanted.min(HEAD_BYTES);
        }
    }
}

impl FoundSegment {
    /// An object without bytes is one that never came.
    pub(super) fn is_missing(&self) -> bool {
        matches!(&self.media, Err(defect) if defect.class() == Defect::ZeroByte.class())
    }
}
