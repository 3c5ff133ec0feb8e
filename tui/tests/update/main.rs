//! The application without terminal and database: what follows from what happens.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/rows.rs"]
mod rows;

mod acts;
mod docs;
mod properties;
mod robot;
mod screens;
