//! What is inside the bytes: boxes, index, mux, probe, segmenter.
//!
//! Whatever reads bytes of a stranger is safe Rust; `unsafe` and FFmpeg are in [`ff`] alone.

pub mod boxes;
pub mod defect;
pub mod ff;
pub mod index;
pub mod init;
mod moof;
pub mod walk;
