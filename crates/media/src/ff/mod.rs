//! Everything that asks FFmpeg's libraries: sources, segmenter, oracle mux, decode checks, pictures, probe.
//!
//! Owns every use of `ffmpeg_next` and the few `unsafe` calls its safe API lacks.
//! It must not be called from an async thread (everything here blocks), and on bytes of strangers only from a child
//! process with limits, because a C library can hang or crash.
//!
//! Two rules hold in every file below: packets are read with `Packet::read`, never with `.packets()`, which ends
//! silently on an I/O error; and every timestamp is an integer in a named time base.

pub mod ahead;
pub mod decode;
pub mod digest;
mod encode;
mod error;
mod fragment;
pub mod full;
mod input;
mod lane;
pub mod look;
pub mod memory;
pub mod oracle;
pub mod pictures;
pub mod probe;
pub mod segmenter;
mod shift;
mod sink;
pub mod synth;

pub use error::{Error, Failure};

use std::sync::Once;

/// Loads FFmpeg's libraries once in this process and keeps them from writing to standard error: what goes wrong
/// comes back as an [`Error`].
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The only cause of failure is a library that cannot be loaded, and then the process did not start.
        if let Err(error) = ffmpeg_next::init() {
            tracing::error!(error = %error, "ffmpeg libraries did not start");
        }
        ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Fatal);
    });
}

/// Versions of the linked libraries in one line, for a person.
pub fn versions() -> String {
    let parts = |version: u32| format!("{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff);
    let libraries = [("libavformat", ffmpeg_next::format::version()), ("libavcodec", ffmpeg_next::codec::version())];
    libraries.map(|(name, version)| format!("{name} {}", parts(version))).join(", ")
}
