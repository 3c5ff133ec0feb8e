//! `spool probe`: what is in an MP4 file.

use super::exit::Exit;
use super::file;
use super::output::{self, Output};
use domain::segment::{CodecFacts, Track, to_ms};
use media::readback::Readback;
use serde::Serialize;
use std::path::PathBuf;

/// Which file.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file.
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct Answer {
    file: PathBuf,
    bytes: u64,
    duration_ms: u64,
    faststart: bool,
    fps: Option<f64>,
    tracks: Vec<TrackAnswer>,
}

#[derive(Debug, Serialize)]
struct TrackAnswer {
    kind: Track,
    packets: u64,
    payload_bytes: u64,
    duration_ms: u64,
    #[serde(flatten)]
    codec: CodecFacts,
}

/// Tells it.
pub(crate) async fn run(args: Args, out: Output) -> anyhow::Result<Exit> {
    let (bytes, readback) = file::read_back(&args.file).await?;
    out.answer(&describe(args.file, bytes, readback), text)?;
    Ok(Exit::Ok)
}

fn describe(file: PathBuf, bytes: u64, readback: Readback) -> Answer {
    let fps = readback.fps();
    let tracks = readback.facts.tracks.iter().zip(readback.codecs).map(|(facts, codec)| TrackAnswer {
        kind: facts.track,
        packets: facts.samples,
        payload_bytes: facts.payload_bytes,
        duration_ms: to_ms(facts.duration, facts.timescale),
        codec,
    });
    let tracks = tracks.collect();
    Answer { file, bytes, duration_ms: readback.duration_ms, faststart: readback.facts.faststart, fps, tracks }
}

fn text(answer: &Answer) -> String {
    let facts = output::facts(&[
        ("file", answer.file.display().to_string()),
        ("size", format!("{} ({} bytes)", output::bytes(answer.bytes), answer.bytes)),
        ("length", format!("{} ms", answer.duration_ms)),
        ("faststart", if answer.faststart { "yes" } else { "no" }.to_owned()),
    ]);
    let row = |track: &TrackAnswer| {
        let CodecFacts { codec, width, height, rotation, sample_rate, channels, .. } = &track.codec;
        let format = match track.kind {
            Track::Video if *rotation == 0 => format!("{width}x{height}"),
            Track::Video => format!("{width}x{height}, turned by {rotation} degrees"),
            Track::Audio => format!("{sample_rate} Hz, {channels} channels"),
        };
        [
            track.kind.to_string(),
            codec.clone(),
            format,
            track.packets.to_string(),
            format!("{} ms", track.duration_ms),
            output::bytes(track.payload_bytes),
        ]
    };
    let headers = ["TRACK", "CODEC", "FORMAT", "PACKETS", "LENGTH", "PAYLOAD"];
    format!("{facts}\n\n{}", output::table(headers, answer.tracks.iter().map(row).collect()))
}
