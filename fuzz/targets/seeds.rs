//! Makes the first files of every corpus from recordings: `seeds CORPUS FOLDER…`, each folder laid out like a recording.

use domain::segment::Track;
use media::init::Init;
use media::walk::{Limits, media};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Longer segments teach the fuzzers nothing that a short one does not.
const SEGMENT_BYTES_MAX: usize = 16 << 10;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let corpus = arguments.next().ok_or(io::ErrorKind::InvalidInput)?;
    for (n, folder) in arguments.enumerate() {
        let stream = folder.join("stream.webm");
        if stream.is_file() {
            keep(&corpus, "ebml", n, 0, &[&[0, 64, 128, 192], &fs::read(stream)?[..]].concat())?;
        }
        let result = folder.join("result.mp4");
        if result.is_file() {
            keep(&corpus, "readback", n, 0, &fs::read(result)?)?;
        }
        for track in Track::ALL {
            seed(&corpus, n, &folder.join(track.as_str()), track)?;
        }
    }
    Ok(())
}

fn seed(corpus: &Path, n: usize, folder: &Path, track: Track) -> io::Result<()> {
    let Ok(bytes) = fs::read(folder.join("init.mp4")) else { return Ok(()) };
    let option = u8::from(track == Track::Audio);
    keep(corpus, "init", n, option, &[&[option], &bytes[..]].concat())?;
    let init = Init::parse(track, &bytes).map_err(io::Error::other)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "m4s") {
            continue;
        }
        let segment = fs::read(path)?;
        if segment.len() > SEGMENT_BYTES_MAX {
            continue;
        }
        let head = [option, segment.len() as u8, (bytes.len() >> 8) as u8, bytes.len() as u8];
        for target in ["walk", "salvage"] {
            keep(corpus, target, n, option, &[&head, &bytes[..], &segment[..]].concat())?;
        }
        // The last segment of a muxer may be empty.
        if let Ok(accepted) = media(&init, &segment, Limits::DEFAULT) {
            keep(corpus, "index", n, option, &accepted.index)?;
        }
    }
    Ok(())
}

fn keep(corpus: &Path, target: &str, n: usize, option: u8, bytes: &[u8]) -> io::Result<()> {
    let folder = corpus.join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("real-{n}-{option}-{}", bytes.len())), bytes)
}
