//! What viewers are served while a recording goes on: by several processes, from memory that comes and goes, in every
//! order in which segments arrive; held against the segments themselves by a checker that knows nothing of the renderer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "what test binaries share is public, and each uses a part of it"
)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../jobs/world.rs"]
mod world;

mod checker;
mod client;
mod cost;
mod held;
mod order;
mod routes;
mod serving;
