//! What the engine promises, against a real Postgres.

mod control;
mod drain;
mod lease;
mod orphans;
mod outage;
mod outcomes;
mod processes;
mod read;
mod settle;
mod support;
mod unique;
mod wake;
