//! What the engine promises, against a real Postgres.

mod outcomes;
mod support;
