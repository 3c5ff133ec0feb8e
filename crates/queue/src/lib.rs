//! The job engine: a backend of the worker runtime over our own tables, schema `queue`.
//!
//! At-least-once execution with fenced effects: a stale attempt can change nothing. Postgres' `now()` is the only clock;
//! a job is held by an epoch, a process by a lease. The engine knows no recordings: a job has a subject and an owner.
//!
//! [`Runtime`] runs handlers, [`enqueue`] puts jobs in, [`operate`] is what people do to them, [`read`] what they see,
//! [`kinds`] tells the database which kinds there are.

pub mod enqueue;
pub mod kinds;
pub mod notify;
pub mod operate;
pub mod read;

mod apalis;
mod config;
mod ctx;
mod engine;
mod fingerprint;
mod kind;
mod outcome;
mod sql;

pub use crate::apalis::runtime::{RunError, Runtime};
pub use config::Config;
pub use ctx::{CtxError, JobCtx, Progress};
pub use engine::{Claim, Counters, End, Engine, Event, TakenBack};
pub use kind::JobKind;
pub use outcome::{JobError, Outcome, Stop};
