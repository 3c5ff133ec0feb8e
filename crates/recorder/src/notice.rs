//! What a recording tells while it runs: for a progress line, a log or a test.

use domain::segment::{Name, Track};
use std::sync::Arc;
use std::time::Duration;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The source gave an initialization section or a segment.
    Made {
        /// Its track.
        track: Track,
        /// Its name.
        name: Name,
        /// Its length.
        size_bytes: u64,
        /// How far its track has come on the recording's clock.
        reached: Duration,
    },
    /// The server has it.
    Sent {
        /// Its track.
        track: Track,
        /// Its name.
        name: Name,
        /// Its length.
        size_bytes: u64,
    },
    /// An attempt failed and another one follows.
    Retry {
        /// What was tried.
        operation: String,
        /// The attempt that failed, from 1.
        attempt: u32,
        /// When the next one starts.
        after: Duration,
        /// What it met.
        fault: String,
    },
    /// The source has ended; only uploads are left.
    SourceEnded,
}

/// Takes notices; called from several threads, must not block.
pub type Observer = Arc<dyn Fn(Notice) + Send + Sync>;
