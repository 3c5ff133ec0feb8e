//! Sources, segmenter, oracle and decode checks against the real FFmpeg: its libraries here, its programs as witness.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

mod ahead;
mod damage;
mod file;
mod made;
mod pictures;
mod recast;
mod strict;
mod synthetic;
