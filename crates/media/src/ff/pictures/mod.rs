//! Pictures of a recording: a poster, and an animated preview.
//!
//! Owns which moments are looked at, which of them becomes the poster, and how large the pictures may be. Only key frames
//! are decoded, each found by a seek, so eight hours cost no more than a minute. A place that is damaged is passed over;
//! only an input of which nothing can be shown is an error.
//! The same input and the same libraries give the same bytes.

mod gif;
mod jpeg;
mod palette;
mod shot;
mod take;

use shot::Shot;

use super::Error;
use super::error::Failure;
use super::input::Input;
use ffmpeg_next::media;
use serde::{Deserialize, Serialize};
use std::io::{Read, Seek};
use std::path::Path;
use take::Lens;

/// Moments that are looked at, spread over the recording: more would make a longer loop than anybody watches.
const MOMENTS: u32 = 24;

/// Standard deviation of the luminance, of 255, below which a frame counts as blank. A black or white frame has 0 and
/// compression noise 1 or 2; an empty desktop with its bars has more than 10.
const BLANK_BELOW: f64 = 6.0;

/// Longest side of the animated preview and its frames, from the best to one that is small enough for sure: 8 frames of
/// 160 by 160 pixels are 300 kB even when they are noise, since LZW never takes more than 12 bits for a pixel.
const STEPS: [(u32, usize); 5] = [(480, 24), (400, 20), (320, 16), (240, 12), (160, 8)];

/// Least [`Bounds::preview_bytes`]: what the last of the steps takes at most, and some room.
pub const PREVIEW_BYTES_MIN: usize = 400_000;

/// How large pictures may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Poster: width in pixels.
    pub poster_width: u32,
    /// Poster: height in pixels.
    pub poster_height: u32,
    /// Animated preview: longest side in pixels.
    pub preview_side: u32,
    /// Animated preview: length in bytes, at least [`PREVIEW_BYTES_MIN`].
    pub preview_bytes: usize,
}

/// Both pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pictures {
    /// JPEG.
    pub poster: Picture,
    /// GIF that begins again for ever.
    pub preview: Picture,
    /// Frames of the preview.
    pub frames: u32,
}

/// An encoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The file.
    pub bytes: Vec<u8>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Pictures of a file; `None` when it has sound only.
///
/// # Errors
/// It cannot be opened, or nothing in it can be shown.
pub fn of(path: &Path, bounds: &Bounds) -> Result<Option<Pictures>, Error> {
    make(Input::open(path)?, bounds)
}

/// [`of`] a reader, called `name` in errors.
///
/// # Errors
/// As [`of`].
pub fn of_reader(
    name: &str,
    reader: impl Read + Seek + Send + 'static,
    bounds: &Bounds,
) -> Result<Option<Pictures>, Error> {
    make(Input::from_read_seek(name, reader)?, bounds)
}

fn make(input: Input, bounds: &Bounds) -> Result<Option<Pictures>, Error> {
    if input.best(media::Type::Video).is_none() {
        let sound = input.best(media::Type::Audio).is_some();
        return if sound { Ok(None) } else { Err(Error::NoStream { object: input.name }) };
    }
    let Looked { poster, shots } = look(input, bounds)?;
    let (preview, frames) = fit(&shots, bounds)?;
    Ok(Some(Pictures { poster: jpeg::encode(&poster)?, preview, frames }))
}

/// What was seen: the poster in its size, and frames for the preview in theirs.
struct Looked {
    poster: Shot,
    shots: Vec<Shot>,
}

/// Looks at every moment. The poster is the first frame that is not blank; when all are, the least blank one.
fn look(input: Input, bounds: &Bounds) -> Result<Looked, Error> {
    let name = input.name.clone();
    let duration_us = input.context.duration().max(0);
    let mut lens = Lens::open(input)?;
    let mut shots = Vec::new();
    let mut poster: Option<(f64, Shot)> = None;
    let mut failed = None;
    for moment in 0..MOMENTS {
        let at_us = duration_us / i64::from(2 * MOMENTS) * i64::from(2 * moment + 1);
        // A damaged place is not the recording's picture; the next one may be.
        let frame = match lens.take(at_us) {
            Ok(Some(frame)) => frame,
            Ok(None) => continue,
            Err(error) => {
                failed = Some(error);
                continue;
            }
        };
        let side = bounds.preview_side;
        let shot = Shot::of(&frame, lens.turn(), side, side)?;
        let spread = shot.spread();
        if poster.as_ref().is_none_or(|(best, _)| *best < BLANK_BELOW && spread > *best) {
            poster = Some((spread, Shot::of(&frame, lens.turn(), bounds.poster_width, bounds.poster_height)?));
        }
        shots.push(shot);
    }
    let Some((_, poster)) = poster else {
        let nothing = Error::Corrupt { track: "video", object: name, at: "every key frame".to_owned(), source: None };
        return Err(failed.unwrap_or(nothing));
    };
    Ok(Looked { poster, shots })
}

/// The best preview that is short enough.
fn fit(shots: &[Shot], bounds: &Bounds) -> Result<(Picture, u32), Error> {
    let mut last = None;
    for (side, frames) in STEPS {
        let side = side.min(bounds.preview_side);
        let frames = frames.min(shots.len());
        let spread = (0..frames).map(|n| &shots[n * shots.len() / frames]);
        let chosen = spread.map(|shot| shot.within(side, side)).collect::<Result<Vec<_>, _>>()?;
        let made = gif::encode(&chosen)?;
        if made.bytes.len() <= bounds.preview_bytes {
            return Ok((made, u32::try_from(frames).unwrap_or(u32::MAX)));
        }
        last = Some(made.bytes.len());
    }
    let what = format!("no preview of at most {} bytes can be made; the smallest has {last:?}", bounds.preview_bytes);
    Err(Error::Setting { what })
}

/// An encoder of FFmpeg's own that a build may have left out.
fn encoder(codec: &'static str, name: &'static str) -> Result<ffmpeg_next::Codec, Error> {
    ffmpeg_next::encoder::find_by_name(name).ok_or(Error::NoEncoder {
        codec,
        tried: name.to_owned(),
        wanted: "its native encoders",
        source: None::<Failure>,
    })
}
