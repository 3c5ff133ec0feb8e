//! What is true of a recording.
//!
//! Every rule of Spool that needs no database, no store, no clock and no randomness is here: what may follow what,
//! what is complete, what viewers may see, when to try again, where an object is kept.
//! This crate does no IO, reads no clock and draws no random number: `now` and `jitter` are arguments,
//! so that every rule is a table test.

pub mod bucket;
pub mod clean;
pub mod completeness;
pub mod corrupt;
pub mod filter;
pub mod id;
pub mod invariant;
pub mod job;
pub mod key;
pub mod manifest;
pub mod mux;
pub mod playlist;
pub mod recording;
pub mod retry;
pub mod segment;
pub mod standing;
pub mod webhook;
