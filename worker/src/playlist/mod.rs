//! What viewers see of a recording that goes on.
//!
//! The listing is the truth: [`extend()`] appends to it, in the transaction that stores segments, and everything else
//! here reads it. Owns what is kept in memory of listings and of playlists made of them. It reads no object and knows
//! nothing of HTTP; what a playlist says is written by `domain::playlist` alone.

mod extend;

pub use extend::{Extended, extend};
