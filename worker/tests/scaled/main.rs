//! Several processes of each kind over one database and one store, while they are killed and while what they stand on
//! goes away.
//!
//! Long forms and short ones are the same tests: `SPOOL_TEST_CHAOS=long`, which `make chaos` sets, makes recordings
//! longer and outages slower.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

#[path = "../support/mod.rs"]
mod support;

mod proxy;
