//! The making of a result, between its plan and its publication.
//!
//! Owns the way from stored segments to a stored, verified `result.mp4`: what is read, where it is written, what must be
//! true of it, and the facts beside it. It changes no row; `jobs::mux` decides when and publishes.

mod check;
pub mod decode;
mod facts;
pub mod leftovers;
pub mod odd;
mod source;

pub use check::{Checked, Expected, Unsound, check, search_of};
pub use facts::{SCHEMA, Story, Told, describe, told};
pub use source::{Sink, Source, Tags, lay_out};
