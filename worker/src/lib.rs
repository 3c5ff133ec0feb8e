//! Makes it happen: the API, the jobs, and what they stand on.
//!
//! Owns the effects of Spool: `http` takes in, `jobs` move on, `storage` and `staging` keep bytes, `db` keeps rows.
//! What may follow what is decided in `domain`, never here.

pub mod accept;
pub mod auth;
pub mod bucket;
pub mod child;
pub mod clock;
pub mod config;
pub mod context;
pub mod db;
pub mod http;
pub mod jobs;
pub mod odd;
pub mod pairing;
pub mod playlist;
pub mod rescan;
pub mod result;
pub mod secret;
pub mod serve;
pub mod staging;
pub mod storage;
pub mod telemetry;
pub mod webhook;
pub mod work;
