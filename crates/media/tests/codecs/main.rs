//! Every codec that a recording may have, in every shape in which it comes: encoded once, cut by FFmpeg's `dash` and
//! `hls` muxers and by our own segmenter, and muxed as `spool mux` does. The result must hold the packets of the encode,
//! decode to the same frames at the same times, and say of itself what is true.

#![allow(clippy::unwrap_used, reason = "a set that cannot be made or read ends the test")]

mod config;
mod lane;
mod ours;
mod pairs;
mod same;
mod set;
mod shapes;
mod told;
