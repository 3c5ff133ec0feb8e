//! The only room that reads and writes anything outside this process.
//!
//! It takes what is asked ([`Ask`]) and tells what it has found ([`Told`]) through bounded channels, from tasks of its own:
//! nothing that draws ever waits for it. It makes every string harmless at this border ([`clean::Clean`]) and decides
//! nothing about what is shown.

pub mod ask;
pub mod clean;
pub mod fake;
pub mod pg;
pub mod rows;
pub mod told;

pub use ask::Ask;
pub use pg::{Settings, start};
pub use told::Told;

/// Asks that may wait: a key press makes a few, and they are taken at once whatever the database does.
pub const ASKS_MAX: usize = 256;
/// What may wait to be drawn: one frame drains it.
pub const TOLD_MAX: usize = 256;
