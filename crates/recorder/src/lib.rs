//! The recorder's side: makes segments of a source and gets them to the server, every one of them.
//!
//! Owns the order of what is sent (initialization section first, segments by index, the declaration last), what is
//! tried again and what is an answer, and where unsent segments are kept. Knows nothing of how the server stores them.

pub mod client;
mod direct;
mod earlier;
mod error;
pub mod folder;
pub mod notice;
mod record;
mod segment;
pub mod source;
pub mod upload;

pub use error::Error;
pub use notice::{Notice, Observer};
pub use record::{Report, Session, TrackReport};
pub use source::Source;
