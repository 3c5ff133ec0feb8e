//! What is inside the bytes: boxes, index, mux, probe, segmenter.
//!
//! Whatever reads bytes of a stranger is safe Rust; `unsafe` and FFmpeg are in [`ff`] alone.

pub mod boxes;
pub mod defect;
pub mod ebml;
#[cfg(feature = "ff")]
pub mod ff;
pub mod files;
pub mod folder;
pub mod index;
pub mod init;
pub mod layout;
mod moof;
pub mod mux;
pub mod readback;
pub mod salvage;
pub mod sampling;
pub mod shape;
pub mod silence;
pub mod ts;
pub mod walk;
mod window;
