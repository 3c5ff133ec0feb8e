//! The source against a real Postgres: what is read, what may be changed by whom, and what happens when it is away.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod acts;
mod away;
mod reads;
mod rights;
mod world;
