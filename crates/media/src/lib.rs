//! What is inside the bytes: boxes, index, mux, probe, segmenter.
pub mod ff;
