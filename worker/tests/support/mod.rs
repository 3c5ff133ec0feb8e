//! What the whole-path tests stand on: a database of their own, real processes of the real binary, a web app's and a
//! recorder's calls over HTTP, real segments, and FFmpeg's own view of a result.
//!
//! Every test binary uses another part of it.
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test binary that includes this module uses another part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and then shows what was logged"
)]
#![allow(unreachable_pub, reason = "a module of a test binary reads as a library to its tests")]

pub mod api;
pub mod invariants;
pub mod modes;
pub mod packets;
pub mod pictures;
pub mod playlist;
pub mod process;
pub mod proxy;
pub mod s3;
pub mod set;
pub mod site;
pub mod wait;

pub use api::Api;
pub use pictures::assert_pictures;
pub use process::Running;
pub use proxy::Proxy;
pub use s3::S3Server;
pub use set::Set;
pub use site::Site;

use std::time::Duration;

/// Long enough for every step of a healthy machine under load; a test that needs it all has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);
