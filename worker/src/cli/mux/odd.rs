//! `spool mux` of what the index cannot express: taken apart by libavformat in a child process with limits, then made into
//! a result like everything else.

use crate::cli::exit::sentence;
use crate::cli::output;
use ::worker::child::{Allowed, Odd, Program, RecastError, RecastTrack};
use ::worker::odd::{self, HEAD_BYTES_MAX, Head, Joined, Part, Scratch};
use bytes::Bytes;
use domain::retry::Classify as _;
use domain::segment::{Name, Track};
use media::files::FileRanges;
use media::folder::{self, Failure, Made, Options, Report};
use media::readback::RangedReader as _;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal as _, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest segment that may come out: nothing of a folder is sent anywhere, so it is far above what a service takes.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// A result that has not appeared yet, and what was done to its tracks.
pub(super) struct OddMade {
    pub(super) made: Made,
    pub(super) tracks: Vec<RecastTrack>,
}

/// Tracks that are taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// Those that the index cannot express.
    Odd,
    /// All.
    Every,
}

/// Makes a result of one file of any container. The scratch lies beside `out`, so that there is room for both or neither.
pub(super) async fn file(file: &Path, out: &Path, options: &Options, transcode: bool) -> Result<OddMade, Report> {
    let size_bytes = fs::metadata(file).map_err(io_failure("look at input")).map_err(Report::failed)?.len();
    let name = file.file_name().map_or_else(|| "the input".into(), |name| name.to_string_lossy().into_owned());
    let object = Odd { name, size_bytes, tracks: Track::ALL.to_vec(), pieces: Vec::new() };
    let objects = vec![(object, Joined::of([(size_bytes, FilePart(file.to_owned()))]))];
    let scratch = Scratch::new_in(&beside(out)).map_err(io_failure("make scratch")).map_err(Report::failed)?;
    let (scratch, tracks) = recast(objects, scratch, transcode).await.map_err(Report::failed)?;
    let made = folder::make(scratch.path(), out, options, |_| {}).await?;
    Ok(OddMade { made, tracks })
}

/// Makes a result of a folder of which some tracks are taken apart; the others are taken as they are. `None`: there is
/// nothing odd about it.
pub(super) async fn folder(
    folder: &Path,
    out: &Path,
    options: &Options,
    transcode: bool,
    which: Which,
) -> Result<Option<OddMade>, Report> {
    let found = scan(folder).map_err(io_failure("read folder")).map_err(Report::failed)?;
    let is_odd = |found: &Found| which == Which::Every || found.head == Head::Odd;
    let (taken, plain): (BTreeMap<_, _>, BTreeMap<_, _>) = found.into_iter().partition(|(_, found)| is_odd(found));
    if taken.is_empty() {
        return Ok(None);
    }
    let scratch = prepare(folder, out, plain.keys().copied()).await;
    let scratch = scratch.map_err(io_failure("make scratch")).map_err(Report::failed)?;
    let alone = taken.len() + plain.len() == 1;
    let objects = taken.into_iter().map(|(track, found)| found.object(track, alone)).collect();
    let (scratch, tracks) = recast(objects, scratch, transcode).await.map_err(Report::failed)?;
    let made = folder::make(scratch.path(), out, options, |_| {}).await?;
    Ok(Some(OddMade { made, tracks }))
}

async fn prepare(folder: &Path, out: &Path, plain: impl Iterator<Item = Track>) -> io::Result<Scratch> {
    let scratch = Scratch::new_in(&beside(out))?;
    for track in plain {
        scratch.link(track.as_str(), &folder.join(track.as_str())).await?;
    }
    let manifest = folder.join("manifest.json");
    if manifest.is_file() {
        scratch.link("manifest.json", &manifest).await?;
    }
    Ok(scratch)
}

/// Has a child take the objects apart into the scratch.
async fn recast(
    objects: Vec<(Odd, Joined<FilePart>)>,
    mut scratch: Scratch,
    transcode: bool,
) -> Result<(Scratch, Vec<RecastTrack>), Failure> {
    let failure = |code: &str, message: String| Failure { code: code.to_owned(), message };
    let program = Program::this().map_err(|error| failure(error.class(), error.to_string()))?;
    let allowed = Allowed { transcode, segment_bytes_max: SEGMENT_BYTES_MAX };
    let meter = Meter::of(objects.iter().map(|(odd, _)| odd.size_bytes).sum());
    let tracks = program.recast(&objects, allowed, &mut scratch, |read_bytes| meter.at(read_bytes)).await;
    let tracks = tracks.map_err(|error| match error {
        RecastError::Child(error) => failure(error.class(), sentence(&error.into())),
        RecastError::Read(_) | RecastError::Keep { .. } => failure("io", sentence(&error.into())),
        RecastError::NotInMp4 { .. } => failure("codec-not-in-mp4", error.to_string()),
        RecastError::TimesBack { .. } => failure("tfdt-back", error.to_string()),
        RecastError::TooLarge { .. } => failure("segment-too-large", error.to_string()),
    })?;
    for (odd, _) in &objects {
        scratch.mark_silent(odd).await.map_err(io_failure("write scratch"))?;
    }
    Ok((scratch, tracks))
}

/// Says on a terminal how far it is, a line for each tenth.
struct Meter {
    size_bytes: u64,
    told: AtomicU64,
}

impl Meter {
    fn of(size_bytes: u64) -> Meter {
        Meter { size_bytes, told: AtomicU64::new(0) }
    }

    fn at(&self, read_bytes: u64) {
        // What is read twice is not told twice.
        let tenth = (u128::from(read_bytes) * 10 / u128::from(self.size_bytes.max(1))).min(10) as u64;
        if self.told.fetch_max(tenth, Ordering::Relaxed) < tenth && io::stderr().is_terminal() {
            output::complain(&format!("taken apart: {tenth}0 %"));
        }
    }
}

fn io_failure(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure { code: "io".to_owned(), message: format!("{what}: {error}") }
}

/// The folder in which `out` is to appear.
fn beside(out: &Path) -> PathBuf {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

/// One file of several, opened when its turn comes.
struct FilePart(PathBuf);

impl Part for FilePart {
    type Error = io::Error;

    async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        FileRanges::open(&self.0).await?.read(range.start, range.end - range.start).await
    }
}

/// What a folder has of a track.
struct Found {
    folder: PathBuf,
    init_bytes: Option<u64>,
    /// Index and length.
    segments: Vec<(u32, u64)>,
    head: Head,
}

impl Found {
    /// All of it as one object. A track that is the only one of its folder may hold the other one too.
    fn object(self, track: Track, alone: bool) -> (Odd, Joined<FilePart>) {
        let tracks = if alone { Track::ALL.to_vec() } else { vec![track] };
        let odd = odd::track(track, tracks, self.init_bytes, &self.segments);
        let part = |(name, size_bytes): (Name, u64)| (size_bytes, FilePart(self.folder.join(name.to_string())));
        let init = self.init_bytes.map(|size_bytes| (Name::Init, size_bytes));
        let segments = self.segments.iter().map(|&(index, size_bytes)| (Name::Media(index), size_bytes));
        (odd, Joined::of(init.into_iter().chain(segments).map(part)))
    }
}

/// Tracks that have a segment, or an initialization section at least, by number and never by name.
fn scan(folder: &Path) -> io::Result<BTreeMap<Track, Found>> {
    let mut tracks = BTreeMap::new();
    for track in Track::ALL {
        let folder = folder.join(track.as_str());
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut sizes = BTreeMap::new();
        for entry in entries {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().and_then(|name| Name::parse(name).ok()) else { continue };
            let metadata = fs::metadata(entry.path())?;
            if metadata.is_file() {
                sizes.insert(name.index(), metadata.len());
            }
        }
        let init_bytes = sizes.remove(&0);
        let segments: Vec<(u32, u64)> = sizes.into_iter().collect();
        let Some(&(first, _)) = segments.first() else { continue };
        let head = match init_bytes {
            Some(_) => odd::head_of_init(&head(&folder.join(Name::Init.to_string()))?),
            None => odd::head_of_segment(&head(&folder.join(Name::Media(first).to_string()))?),
        };
        tracks.insert(track, Found { folder, init_bytes, segments, head });
    }
    Ok(tracks)
}

/// The first bytes of a file.
pub(super) fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(HEAD_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}
