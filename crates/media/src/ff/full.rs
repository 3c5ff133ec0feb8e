//! Decodes everything, and goes on behind damage: for a person who wants to know all of it.
//!
//! To be run in a child process: these bytes are a stranger's.

use super::Error;
use super::input::Input;
use super::lane::Lane;
use crate::sampling::{Damage, is_framed};
use domain::segment::Track;
use ffmpeg_next::Packet;
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;

/// Damages of one track that are told one by one; the rest is counted.
const TOLD_MAX: usize = 1000;

/// Damages that are nearer to the one told before are the same one to whoever looks for its place, in microseconds.
const APART_US: i64 = 100_000;

/// Frames that a decoder holds back at most (ITU-T H.264 §A.3.1: 16), with room.
const HELD_MAX: u32 = 64;

/// Packets between two words about how far it is: half a second of picture and sound.
const PACKETS_A_WORD: u64 = 64;

/// What was decoded of a track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Full {
    /// Which track.
    pub track: Track,
    /// Packets read.
    pub packets: u64,
    /// Frames that came out.
    pub frames: u64,
    /// Times that damage was noticed.
    pub damages: u64,
    /// The first of them, one every tenth of a second.
    pub first: Vec<Damage>,
    /// How many lie elsewhere than those in `first`.
    pub untold: u64,
}

/// Decodes every packet of every track of a file; `progress` hears the time of the packet that is read, in microseconds.
///
/// # Errors
/// The file cannot be read, or has neither picture nor sound. Damage is none.
pub fn decode(path: &Path, progress: impl FnMut(i64)) -> Result<Vec<Full>, Error> {
    decode_all(Input::open(path)?, progress)
}

/// [`decode`] of a stream that need not go back, called `name` in errors.
///
/// # Errors
/// See [`decode`].
pub fn decode_of(
    name: &str,
    reader: impl Read + std::io::Seek + Send + 'static,
    progress: impl FnMut(i64),
) -> Result<Vec<Full>, Error> {
    decode_all(Input::from_read_seek(name, reader)?, progress)
}

fn decode_all(mut input: Input, mut progress: impl FnMut(i64)) -> Result<Vec<Full>, Error> {
    let mut lanes = Vec::new();
    for track in Track::ALL {
        let found = Lane::open(&input, track)?;
        let nothing = Full { track, packets: 0, frames: 0, damages: 0, first: Vec::new(), untold: 0 };
        lanes.extend(found.map(|lane| (lane, nothing)));
    }
    if lanes.is_empty() {
        return Err(Error::NoStream { object: input.name });
    }
    let mut packets = 0;
    while let Some(packet) = input.read()? {
        let Some((lane, full)) = lanes.iter_mut().find(|(lane, _)| lane.stream == packet.stream()) else { continue };
        let decoded = lane.send(&input.name, &packet).and_then(|()| lane.drain(&input.name));
        let damaged = decoded.is_err();
        full.note(decoded, lane, &packet)?;
        if damaged {
            full.empty(lane, &input.name, &packet)?;
        }
        packets += 1;
        if packets % PACKETS_A_WORD == 0 {
            progress(packet.pts().map_or(0, |pts| lane.micros(pts)));
        }
    }
    for (lane, full) in &mut lanes {
        let decoded = lane.end(&input.name).and_then(|()| lane.drain(&input.name));
        full.note(decoded, lane, &Packet::empty())?;
        (full.packets, full.frames) = (lane.done.packets, lane.done.frames);
        if full.frames == 0 && full.damages == 0 {
            full.note(Err(lane.corrupt(&input.name, None)), lane, &Packet::empty())?;
        }
    }
    Ok(lanes.into_iter().map(|(_, full)| full).collect())
}

impl Full {
    /// Takes what a decoder still holds behind damage: a full one would refuse the next packet, which is sound.
    fn empty(&mut self, lane: &mut Lane, object: &str, packet: &Packet) -> Result<(), Error> {
        for _ in 0..HELD_MAX {
            match lane.drain(object) {
                Ok(()) => return Ok(()),
                damaged => self.note(damaged, lane, packet)?,
            }
        }
        Ok(())
    }

    fn note(&mut self, decoded: Result<(), Error>, lane: &Lane, packet: &Packet) -> Result<(), Error> {
        match decoded {
            Ok(()) => Ok(()),
            Err(error @ Error::Corrupt { .. }) if !error.is_out_of_memory() => {
                self.damages += 1;
                let at_us = packet.pts().map(|pts| lane.micros(pts));
                let told = self.first.iter().rev().any(|told| match (told.at_us, at_us) {
                    (Some(told), Some(at)) => (at - told).abs() < APART_US,
                    (told, at) => told == at,
                });
                match told {
                    true => {}
                    false if self.first.len() < TOLD_MAX => {
                        let framed = packet.data().is_some_and(is_framed);
                        let offset = u64::try_from(packet.position()).unwrap_or(0);
                        self.first.push(Damage { offset, at_us, what: error.to_string(), framed });
                    }
                    false => self.untold += 1,
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
