//! Decode checks: whether what is stored can be shown.
//!
//! Works on a path or on a reader; on bytes of strangers only in a child process. What counts as damage is in `lane`,
//! single places are decoded in `look`.

use super::Error;
use super::input::Input;
use super::lane::Lane;
use domain::segment::Track;
use std::io::Read;
use std::path::Path;

/// What was decoded of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decoded {
    /// Packets read.
    pub packets: u64,
    /// Frames that came out.
    pub frames: u64,
}

/// What was decoded of an input; a track that is not there is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Check {
    /// The picture.
    pub video: Option<Decoded>,
    /// The sound.
    pub audio: Option<Decoded>,
}

/// Decodes everything; any damage is an error.
pub fn check_all(path: &Path) -> Result<Check, Error> {
    decode_all(Input::open(path)?)
}

/// [`check_all`] of a stream that cannot go back, called `name` in errors.
pub fn check_all_of(name: &str, reader: impl Read + Send + 'static) -> Result<Check, Error> {
    decode_all(Input::from_read(name, reader)?)
}

/// Every frame of the picture in the order of presentation.
pub fn frames(path: &Path) -> Result<Frames, Error> {
    let input = Input::open(path)?;
    let lane = Lane::open(&input, Track::Video)?.ok_or_else(|| Error::NoStream { object: input.name.clone() })?;
    Ok(Frames { input, lane, ended: false })
}

/// One decoded frame of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// When it is shown, in units of `timescale` per second.
    pub pts: i64,
    /// See `pts`.
    pub timescale: u32,
    /// The counter that the synthetic source drew into it; `None` where it cannot be read.
    pub counter: Option<u32>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Decodes frame by frame; ends after the first error.
pub struct Frames {
    input: Input,
    lane: Lane,
    ended: bool,
}

impl Frames {
    fn advance(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if let Some(frame) = self.lane.receive(&self.input.name)? {
                return Ok(Some(self.lane.describe(&frame)));
            }
            if self.ended {
                return Ok(None);
            }
            match self.input.read()? {
                Some(packet) if packet.stream() == self.lane.stream => self.lane.send(&self.input.name, &packet)?,
                Some(_) => {}
                None => {
                    self.ended = true;
                    self.lane.end(&self.input.name)?;
                }
            }
        }
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.ended = true;
        }
        next.transpose()
    }
}

fn decode_all(mut input: Input) -> Result<Check, Error> {
    let mut lanes = Vec::new();
    for track in Track::ALL {
        lanes.extend(Lane::open(&input, track)?);
    }
    if lanes.is_empty() {
        return Err(Error::NoStream { object: input.name });
    }
    while let Some(packet) = input.read()? {
        if let Some(lane) = lanes.iter_mut().find(|lane| lane.stream == packet.stream()) {
            lane.send(&input.name, &packet)?;
            lane.drain(&input.name)?;
        }
    }
    let mut check = Check::default();
    for mut lane in lanes {
        lane.end(&input.name)?;
        lane.drain(&input.name)?;
        match lane.track {
            Track::Video => check.video = Some(lane.done),
            Track::Audio => check.audio = Some(lane.done),
        }
    }
    Ok(check)
}
