//! The only room that reads and writes anything outside this process.
//!
//! It takes what is asked ([`Ask`]) and tells what it has found ([`Told`]) through bounded channels, from tasks of its own:
//! nothing that draws ever waits for it. It makes every string harmless at this border ([`clean::Clean`]) and decides
//! nothing about what is shown.

pub mod ask;
pub mod clean;
pub mod rows;
pub mod told;

pub use ask::Ask;
pub use told::Told;
