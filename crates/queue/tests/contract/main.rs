//! What the engine promises, against a real Postgres.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by its panic")]

mod control;
mod counted;
mod drain;
mod lease;
mod load;
mod orphans;
mod outage;
mod outcomes;
mod processes;
mod read;
mod settle;
mod support;
mod unique;
mod wake;
