//! Looks at single places of a file: what a decoder makes of them, and what form the pictures have.
//!
//! Damage is an answer here and not an error, so that one look tells of all its places. To be run in a child process:
//! these bytes are a stranger's.

use super::Error;
use super::input::Input;
use super::lane::Lane;
use crate::sampling::{Damage, Place, Seen, is_framed};
use domain::segment::Track;
use ffmpeg_next::Packet;
use std::io::{Read, Seek};
use std::path::Path;

/// How far before a place is looked for it when the file's index leads behind it, in microseconds; the last time from the
/// beginning of the file.
const BEFORE_US: [u64; 4] = [0, 1_000_000, 10_000_000, u64::MAX];

/// Packets passed over on the way to a place: half a minute of picture at 60 frames a second.
const PASSED_MAX: u32 = 1800;

/// Longest text of one damage.
const WHAT_CHARS_MAX: usize = 300;

/// Decodes the places of a file, in their order.
///
/// # Errors
/// The file cannot be read, or lacks a track that is asked for.
pub fn look(path: &Path, places: &[Place]) -> Result<Vec<Seen>, Error> {
    look_at(Input::open(path)?, places)
}

/// [`look`] of a reader, called `name` in errors.
///
/// # Errors
/// See [`look`].
pub fn look_of(name: &str, reader: impl Read + Seek + Send + 'static, places: &[Place]) -> Result<Vec<Seen>, Error> {
    look_at(Input::from_read_seek(name, reader)?, places)
}

fn look_at(mut input: Input, places: &[Place]) -> Result<Vec<Seen>, Error> {
    let mut lane: Option<Lane> = None;
    let mut seen = Vec::new();
    for place in places {
        if lane.as_ref().is_none_or(|lane| lane.track != place.track) {
            let opened = Lane::open_rough(&input, place.track)?;
            lane = Some(opened.ok_or_else(|| no_track(&input, place.track))?);
        }
        let Some(lane) = &mut lane else { continue };
        input.read_only(lane.stream);
        seen.push(look_once(&mut input, lane, place)?);
        lane.flush();
    }
    Ok(seen)
}

fn no_track(input: &Input, track: Track) -> Error {
    Error::NoStream { object: format!("the {track} track of {}", input.name) }
}

fn look_once(input: &mut Input, lane: &mut Lane, place: &Place) -> Result<Seen, Error> {
    let mut seen = Seen { samples: 0, frames: 0, picture: None, damage: None };
    let meant = |packet: &Packet| place.until.is_none_or(|until| (packet.position() as u64) < until);
    let mut coming = find(input, lane, place)?.filter(meant);
    let mut last = None;
    while let Some(packet) = coming {
        seen.samples += 1;
        last = Some((packet.position(), packet.pts(), packet.data().is_some_and(is_framed)));
        let decoded = lane.send(&input.name, &packet).and_then(|()| take(lane, &input.name, &mut seen));
        if !note(decoded, lane, last, &mut seen)? {
            return Ok(seen);
        }
        coming = if seen.samples < u64::from(place.samples) { next_of(input, lane)?.filter(meant) } else { None };
    }
    let decoded = lane.end(&input.name).and_then(|()| take(lane, &input.name, &mut seen));
    // A demuxer may give nothing of a place, when an edit skips all of it: then there is nothing to decode.
    let given = seen.samples > 0 || place.offset.is_none();
    if note(decoded, lane, last, &mut seen)? && seen.frames == 0 && given {
        note(Err(lane.corrupt(&input.name, None)), lane, last, &mut seen)?;
    }
    Ok(seen)
}

/// The packet that a place begins with: the one at its byte, or else the one that the file's index leads to.
fn find(input: &mut Input, lane: &Lane, place: &Place) -> Result<Option<Packet>, Error> {
    let mut found = None;
    for before_us in BEFORE_US {
        let moment = i64::try_from(place.at_us.saturating_sub(before_us)).unwrap_or(i64::MAX);
        // Where the index has nothing at or before a moment, it begins behind it.
        if input.seek(moment).is_err() {
            input.seek(0)?;
        }
        found = next_of(input, lane)?;
        let Some(offset) = place.offset else { return Ok(found) };
        for _ in 0..PASSED_MAX {
            match &found {
                Some(packet) if (packet.position() as u64) < offset => found = next_of(input, lane)?,
                _ => break,
            }
        }
        if found.as_ref().is_some_and(|packet| packet.position() as u64 == offset) || moment == 0 {
            return Ok(found);
        }
    }
    Ok(found)
}

fn next_of(input: &mut Input, lane: &Lane) -> Result<Option<Packet>, Error> {
    loop {
        match input.read()? {
            Some(packet) if packet.stream() != lane.stream => {}
            packet => return Ok(packet),
        }
    }
}

/// Takes every frame that is ready.
fn take(lane: &mut Lane, object: &str, seen: &mut Seen) -> Result<(), Error> {
    while let Some(frame) = lane.receive(object)? {
        seen.frames += 1;
        if lane.track == Track::Video {
            seen.picture = Some(Lane::picture(&frame));
        }
    }
    Ok(())
}

/// Notes damage; false when there is some. Every other error stays one: that memory ran out says nothing of the bytes.
fn note(
    decoded: Result<(), Error>,
    lane: &Lane,
    at: Option<(isize, Option<i64>, bool)>,
    seen: &mut Seen,
) -> Result<bool, Error> {
    match decoded {
        Ok(()) => Ok(true),
        Err(error @ Error::Corrupt { .. }) if !error.is_out_of_memory() => {
            let (position, pts, framed) = at.unwrap_or((0, None, false));
            let mut what = error.to_string();
            if let Some(source) = std::error::Error::source(&error) {
                what = format!("{what}: {source}");
            }
            seen.damage = Some(Damage {
                offset: u64::try_from(position).unwrap_or(0),
                at_us: pts.map(|pts| lane.micros(pts)),
                what: what.chars().take(WHAT_CHARS_MAX).collect(),
                framed,
            });
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
