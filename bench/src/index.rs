//! `bench-index DIR STAGE`: walks the heads of a set's segments, packs their sample indexes and lays a result out, as far
//! as the stage says. A counter of instructions around it tells what each stage costs a sample.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use domain::mux::Fill;
use domain::segment::Track;
use media::init::Init;
use media::layout::{Layout, SegmentInput, TrackInput};
use media::walk::{Accepted, Limits, Walker};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

/// Head of a segment that is read; it has all boxes before the payload.
const HEAD_BYTES: u64 = 4 << 10;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = "usage: bench-index DIR heads|index|layout|header";
    let (folder, stage) = (arguments.next().context(usage)?, arguments.next().context(usage)?);
    let stage = match stage.to_str() {
        Some("heads") => 0,
        Some("index") => 1,
        Some("layout") => 2,
        Some("header") => 3,
        _ => bail!(usage),
    };
    let (mut tracks, mut bytes) = (Vec::new(), 0);
    for track in [Track::Video, Track::Audio] {
        let folder = Path::new(&folder).join(track.as_str());
        let init = Init::parse(track, &fs::read(folder.join("init.mp4"))?)?;
        let mut segments = Vec::new();
        for index in 1.. {
            let Ok(mut file) = File::open(folder.join(format!("segment_{index:03}.m4s"))) else { break };
            let size_bytes = file.metadata()?.len();
            let mut head = Vec::with_capacity(HEAD_BYTES as usize);
            (&mut file).take(HEAD_BYTES).read_to_end(&mut head)?;
            bytes += head.len();
            if stage > 0 {
                let packed = Bytes::from(index_of(&init, &head, size_bytes)?);
                segments.push(SegmentInput { index, size_bytes, sha256: None, packed, shift: 0, salvaged: false });
            }
        }
        tracks.push(TrackInput { init, segments, fill: Fill::Hold });
    }
    if stage < 2 {
        let packed: usize = tracks.iter().flat_map(|track| &track.segments).map(|segment| segment.packed.len()).sum();
        println!("{bytes} {packed}");
        return Ok(());
    }
    let layout = Layout::new(tracks)?;
    let samples: u64 = layout.expected().tracks.iter().map(|track| track.samples).sum();
    let header: usize = if stage == 3 { layout.header().map(|piece| piece.len()).sum() } else { 0 };
    println!("{samples} {header} {}", layout.chunks().len());
    Ok(())
}

/// The packed index of a segment that is known by its head alone.
fn index_of(init: &Init, head: &[u8], size_bytes: u64) -> Result<Vec<u8>> {
    let mut walker = Walker::media(init, Limits::NONE);
    walker.push(head)?;
    walker.skip(size_bytes - walker.position());
    match walker.finish()? {
        Accepted::Media(media) => Ok(media.index),
        Accepted::Init(_) => bail!("a segment is an initialization section"),
    }
}
