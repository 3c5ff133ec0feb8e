//! Every screen as a person sees it: text and style of whole frames, held as snapshots.
//!
//! What is shown is told to the application through its own messages, as the source would tell it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ages;
mod console;
mod dump;
mod frames;
mod sentences;
mod sizes;
mod values;
