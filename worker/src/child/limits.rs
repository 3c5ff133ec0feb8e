//! What a child may take: one table for every kind of work, with the reasons.
//!
//! Owns the numbers and their setting in the child's own process: the general ones before it reads its first byte, those
//! of a kind of work before it sees the first byte of a stranger. A limit of the machine that is tighter stands.
//! Time is not here: the parent's clock decides it, see `talk`.

use super::Work;
use super::recast::ENCODE_MAX;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, nice, setrlimit};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Address space of any child: FFmpeg's libraries and a thread for each decoder take about 300 MiB of it, a moov of a day
/// of recording 600 MiB, two dozen shots of a preview 20 MiB.
const MEMORY_BYTES_MAX: u64 = 2 << 30;

/// Seconds between the limit of processor time, whose signal says which limit it was, and the one that kills without a word.
const LAST_WORD_S: u64 = 5;

/// How much more polite than its parent a child is about whose pictures nobody waits for.
const PATIENT: i32 = 10;

/// What one kind of work may take of the processor and the disk, and how urgent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    /// Seconds of processor time. The parent's bound ends a child that waits; this one ends a child that spins while its
    /// parent stands still.
    processor_s: u64,
    /// Longest file it may write; `None`: as long as it becomes.
    file_bytes: Option<u64>,
    /// Added to its niceness.
    nice: i32,
}

impl Limits {
    fn of(work: &Work) -> Limits {
        match work {
            // Copying eight hours takes half a minute; a day of high bitrate on a slow machine still fits.
            Work::Recast { transcode: false, .. } => Limits { processor_s: 3600, file_bytes: Some(0), nice: 0 },
            // Encoding takes as long as it takes, on two processors.
            Work::Recast { transcode: true, .. } => {
                Limits { processor_s: 2 * ENCODE_MAX.as_secs(), file_bytes: Some(0), nice: 0 }
            }
            // Two dozen pictures of 4K take a second, and so do a dozen segments around a damaged one in 1080p. They hold
            // back a result, so they are as urgent as their parent.
            Work::Look { .. } => Limits { processor_s: 120, file_bytes: Some(0), nice: 0 },
            // A day of 4K, which somebody waits for who can end it.
            Work::DecodeAll { .. } => Limits { processor_s: 24 * 3600, file_bytes: Some(0), nice: PATIENT },
            // The same pictures, scaled and encoded: some seconds, and minutes in a build without optimisation. What they
            // are goes through a pipe, so whatever wants to write a file is not our code.
            Work::Pictures { .. } => Limits { processor_s: 120, file_bytes: Some(0), nice: PATIENT },
        }
    }
}

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Address space.
    Memory,
    /// Processor time.
    Processor,
    /// Length of a file.
    File,
}

impl Limit {
    /// The limit that the system enforces by this signal.
    pub(super) fn of_signal(signal: i32) -> Option<Limit> {
        match signal {
            _ if signal == Signal::XCPU.as_raw() => Some(Limit::Processor),
            _ if signal == Signal::XFSZ.as_raw() => Some(Limit::File),
            _ => None,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Memory => "memory",
            Limit::Processor => "processor time",
            Limit::File => "file length",
        })
    }
}

/// Limits of every child, before it reads anything.
pub(super) fn set_general() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    tighten(Resource::As, MEMORY_BYTES_MAX)?;
    // The bytes of a recording do not belong into a core file.
    tighten(Resource::Core, 0)
}

/// Limits of its work, before it sees what the work is about.
pub(super) fn set_for(work: &Work) -> std::io::Result<()> {
    let Limits { processor_s, file_bytes, nice: patience } = Limits::of(work);
    tighten_to(Resource::Cpu, processor_s, LAST_WORD_S)?;
    if let Some(bytes) = file_bytes {
        tighten(Resource::Fsize, bytes)?;
    }
    if patience > 0 {
        // Where the system does not let it, it is as urgent as its parent, and right all the same.
        let _ = nice(patience);
    }
    Ok(())
}

/// Sets a limit for good, unless a tighter one holds already.
fn tighten(resource: Resource, most: u64) -> std::io::Result<()> {
    tighten_to(resource, most, 0)
}

/// The same with `room` above the limit until the system takes no excuse any more.
fn tighten_to(resource: Resource, most: u64, room: u64) -> std::io::Result<()> {
    let held = getrlimit(resource).maximum;
    let within = |most: u64| Some(held.map_or(most, |held| held.min(most)));
    Ok(setrlimit(resource, Rlimit { current: within(most), maximum: within(most + room) })?)
}
