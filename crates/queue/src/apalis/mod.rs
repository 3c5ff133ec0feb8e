//! The only files that name the worker runtime.
//!
//! It dispatches from lane to handler, extracts arguments and runs the workers' lifecycle; it owns nothing durable.

pub(crate) mod attempt;
pub(crate) mod backend;
pub(crate) mod runtime;
