//! The object store and staging: one suite for every kind of store, and what a staging folder promises.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod mux;
mod objects;
mod objects_check;
mod objects_faults;
mod objects_presign;
mod objects_server;
mod pairing;
mod staged;
#[path = "../support/mod.rs"]
mod support;
