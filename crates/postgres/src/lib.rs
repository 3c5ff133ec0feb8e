//! A private Postgres: found on this machine, started in a folder of its own, stopped with its owner.
//!
//! Owns the server process and its folder. It never touches a server it has not started, uses no fixed port, no password
//! that can be guessed, and nothing outside its folder. It knows nothing of our tables.

mod account;
mod binaries;
mod cluster;
mod folder;
mod guard;
pub mod testing;

pub use cluster::{Cluster, Options, Profile, Shutdown};

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why there is no Postgres.
#[derive(Debug, Error)]
pub enum Error {
    /// Nothing usable was found.
    #[error("no PostgreSQL {oldest} or newer found; install it with: {install}", oldest = binaries::OLDEST)]
    NotInstalled {
        /// The line for this operating system.
        install: &'static str,
    },
    /// A file or folder could not be used.
    #[error("{step} {path}")]
    Folder {
        /// What was being done.
        step: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A program could not be run at all.
    #[error("run {program}")]
    Run {
        /// Which one.
        program: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// `initdb` refused.
    #[error("initialise {dir}: {output}")]
    Init {
        /// The folder.
        dir: PathBuf,
        /// What it said last.
        output: String,
    },
    /// The server ended while it was starting.
    #[error("start PostgreSQL in {dir}: {log}")]
    Start {
        /// The folder.
        dir: PathBuf,
        /// The end of its log.
        log: String,
    },
    /// The server runs but answers nobody within the bound.
    #[error("connect to PostgreSQL in {dir} within {bound_s} s")]
    Silent {
        /// The folder.
        dir: PathBuf,
        /// The bound, in seconds.
        bound_s: u64,
        /// The last answer.
        #[source]
        source: sqlx::Error,
    },
    /// The server did not end in time, not even when it was killed.
    #[error("stop PostgreSQL process {pid}")]
    Stop {
        /// Its process id.
        pid: i32,
    },
    /// A statement on a test database failed.
    #[error("{step}")]
    Statement {
        /// What was being done.
        step: &'static str,
        /// The server's answer.
        #[source]
        source: sqlx::Error,
    },
    /// The caller's migration of the template database failed.
    #[error("migrate the template database")]
    Migrate {
        /// Its answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
