//! The API against real parts: Postgres, a folder as store, a staging folder, and segments made by the segmenter.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod complete;
mod direct;
mod limits;
mod log;
mod outage;
mod pictures;
mod put;
mod result;
mod steer;
mod watch;
mod world;

#[path = "../support/modes.rs"]
mod modes;
#[expect(dead_code, unreachable_pub, reason = "other test binaries use other parts of it")]
#[path = "../support/s3.rs"]
mod s3;
#[expect(dead_code, unreachable_pub, reason = "other test binaries use other parts of it")]
#[path = "../support/set.rs"]
mod set;
#[expect(unreachable_pub, reason = "other test binaries share it")]
#[path = "../support/wait.rs"]
mod wait;
