//! The kinds of jobs: their queues, unique keys, limits and payloads (`CONTRACTS §5`).
//!
//! A payload carries ids only, never a URL, a secret or a key. A kind is never renamed: old rows must still parse.

use crate::id::RecordingId;
use crate::retry::RetryPolicy;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// A named lane with its own concurrency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Queue {
    /// Brings acknowledged bytes into the store.
    Ingest,
    /// Short decisions about recordings.
    Control,
    /// Long, heavy work on media.
    Mux,
    /// Pictures.
    Preview,
    /// Deliveries to the web app.
    Webhook,
}

impl Queue {
    /// Every queue.
    pub const ALL: [Queue; 5] = [Queue::Ingest, Queue::Control, Queue::Mux, Queue::Preview, Queue::Webhook];

    /// The word used in rows, settings and commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Queue::Ingest => "ingest",
            Queue::Control => "control",
            Queue::Mux => "mux",
            Queue::Preview => "preview",
            Queue::Webhook => "webhook",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Queue> {
        Queue::ALL.into_iter().find(|queue| queue.as_str() == text)
    }
}

/// Bit i: a job is unique by its key while it is in state i (0 pending, 1 scheduled, 2 available, 3 running, 4 retryable).
pub mod mask {
    /// While the job lives at all.
    pub const LIVE: i16 = 0b11111;
    /// While it waits; one more may wait while one runs.
    pub const WAITING: i16 = 0b10111;
}

/// What happens to a running attempt when its worker can no longer be sure of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFence {
    /// Stop at once: the effect is not fenced by itself.
    Abort,
    /// Go on to the end; the last step checks the epoch.
    Finish,
}

/// Everything the engine needs to know of a kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KindSpec {
    /// The word in rows and commands; never changed.
    pub name: &'static str,
    /// Its lane.
    pub queue: Queue,
    /// 0 is claimed first; 5 is ordinary.
    pub priority: i16,
    /// In which states its unique key holds, see [`mask`].
    pub unique_mask: i16,
    /// How it is tried again.
    pub retry: RetryPolicy,
    /// An attempt that runs longer is stopped and tried again.
    pub max_runtime: Duration,
    /// Attempts that may end with their process before the job is discarded as poison: 3 where the work is in a child
    /// process whose exit names the culprit, 10 where every job beside the culprit is hit too.
    pub crash_cap: i16,
    /// Kind enqueued in the same transaction when a job of this kind ends discarded or cancelled. Its payload is a [`FollowUp`].
    pub on_end: Option<Kind>,
    /// What a doubtful lease does to a running attempt.
    pub on_fence: OnFence,
}

/// The type name of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Deletes what was kept only for the result.
    Cleanup,
    /// Carries out one operator verb on one recording.
    Control,
    /// Deletes a recording for good.
    Erase,
    /// Decides whether the segments are all in the store.
    ManifestCheck,
    /// Makes, verifies and publishes the result.
    Mux,
    /// Does nothing; for tests, benches and a chart's self-test.
    Noop,
    /// Makes poster and animated preview.
    Preview,
    /// Looks into the store for the console.
    Probe,
    /// Puts right whatever no event will put right.
    Sweep,
    /// Brings received segments into the store.
    Upload,
    /// Delivers events to one endpoint.
    Webhook,
}

const MINUTE: Duration = Duration::from_secs(60);

/// Longest making of one result, encoding included: then the attempt is ended.
pub const MUX_RUNTIME_MAX: Duration = Duration::from_secs(6 * 3600);

impl Kind {
    /// Every kind, alphabetical.
    pub const ALL: [Kind; 11] = [
        Kind::Cleanup,
        Kind::Control,
        Kind::Erase,
        Kind::ManifestCheck,
        Kind::Mux,
        Kind::Noop,
        Kind::Preview,
        Kind::Probe,
        Kind::Sweep,
        Kind::Upload,
        Kind::Webhook,
    ];

    /// Its rules.
    pub fn spec(self) -> KindSpec {
        let plain = KindSpec {
            name: "",
            queue: Queue::Control,
            priority: 5,
            unique_mask: mask::LIVE,
            retry: RetryPolicy::DEFAULT,
            max_runtime: 2 * MINUTE,
            crash_cap: 10,
            on_end: None,
            on_fence: OnFence::Abort,
        };
        let hour = 60 * MINUTE;
        match self {
            Kind::Cleanup => KindSpec { name: "cleanup", retry: RetryPolicy::STORAGE, max_runtime: hour, ..plain },
            Kind::Control => KindSpec { name: "control", priority: 3, retry: RetryPolicy::STORAGE, ..plain },
            Kind::Erase => KindSpec { name: "erase", retry: RetryPolicy::STORAGE, max_runtime: hour, ..plain },
            Kind::ManifestCheck => KindSpec {
                name: "manifest_check",
                priority: 4,
                unique_mask: mask::WAITING,
                retry: RetryPolicy::STORAGE,
                max_runtime: 10 * MINUTE,
                on_end: Some(Kind::Control),
                ..plain
            },
            Kind::Mux => KindSpec {
                name: "mux",
                queue: Queue::Mux,
                max_runtime: MUX_RUNTIME_MAX,
                on_end: Some(Kind::Control),
                on_fence: OnFence::Finish,
                ..plain
            },
            Kind::Noop => KindSpec { name: "noop", ..plain },
            Kind::Preview => {
                KindSpec { name: "preview", queue: Queue::Preview, max_runtime: 15 * MINUTE, crash_cap: 3, ..plain }
            }
            Kind::Probe => KindSpec { name: "probe", ..plain },
            Kind::Sweep => KindSpec { name: "sweep", priority: 2, max_runtime: 10 * MINUTE, ..plain },
            Kind::Upload => KindSpec {
                name: "upload",
                queue: Queue::Ingest,
                retry: RetryPolicy::STORAGE,
                max_runtime: hour,
                on_end: Some(Kind::Control),
                ..plain
            },
            Kind::Webhook => KindSpec {
                name: "webhook",
                queue: Queue::Webhook,
                retry: RetryPolicy::COURIER,
                max_runtime: 5 * MINUTE,
                ..plain
            },
        }
    }

    /// The word in rows and commands.
    pub fn as_str(self) -> &'static str {
        self.spec().name
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What a job of one kind carries.
pub trait Payload: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind.
    const KIND: Kind;

    /// Whom the job is about: the recording, or nothing.
    fn subject(&self) -> Option<&RecordingId>;

    /// At most one job of this key, in the states of the kind's mask.
    fn unique_key(&self) -> Option<String>;
}

macro_rules! of_recording {
    ($(#[$doc:meta])* $name:ident, $kind:expr, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            /// The recording.
            pub recording: RecordingId,
        }

        impl Payload for $name {
            const KIND: Kind = $kind;

            fn subject(&self) -> Option<&RecordingId> {
                Some(&self.recording)
            }

            fn unique_key(&self) -> Option<String> {
                Some(format!(concat!($prefix, ":{}"), self.recording))
            }
        }
    };
}

macro_rules! of_version {
    ($(#[$doc:meta])* $name:ident, $kind:expr, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            /// The recording.
            pub recording: RecordingId,
            /// The plan version it is about.
            pub version: u32,
        }

        impl Payload for $name {
            const KIND: Kind = $kind;

            fn subject(&self) -> Option<&RecordingId> {
                Some(&self.recording)
            }

            fn unique_key(&self) -> Option<String> {
                Some(format!(concat!($prefix, ":{}:{}"), self.recording, self.version))
            }
        }
    };
}

of_recording!(
    /// Brings what is received into the store.
    Upload,
    Kind::Upload,
    "upload"
);
of_recording!(
    /// Decides whether the segments are all in the store.
    ManifestCheck,
    Kind::ManifestCheck,
    "check"
);
of_recording!(
    /// Deletes a recording for good.
    Erase,
    Kind::Erase,
    "erase"
);
of_recording!(
    /// Looks into the store for the console.
    Probe,
    Kind::Probe,
    "probe"
);
of_version!(
    /// Makes, verifies and publishes the result of one plan version.
    Mux,
    Kind::Mux,
    "mux"
);
of_version!(
    /// Makes poster and animated preview of one plan version.
    Preview,
    Kind::Preview,
    "preview"
);
of_version!(
    /// Archives the recording, then deletes its segments.
    Cleanup,
    Kind::Cleanup,
    "cleanup"
);

/// Delivers the events of one recording to one endpoint, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// The recording.
    pub recording: RecordingId,
    /// Name of a configured endpoint.
    pub endpoint: String,
}

impl Payload for Webhook {
    const KIND: Kind = Kind::Webhook;

    fn subject(&self) -> Option<&RecordingId> {
        Some(&self.recording)
    }

    fn unique_key(&self) -> Option<String> {
        Some(format!("webhook:{}:{}", self.recording, self.endpoint))
    }
}

/// Puts right what no event will put right; takes no input, so that there is one path only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sweep {}

impl Payload for Sweep {
    const KIND: Kind = Kind::Sweep;

    fn subject(&self) -> Option<&RecordingId> {
        None
    }

    fn unique_key(&self) -> Option<String> {
        Some("sweep".to_owned())
    }
}

/// Does nothing, for as long as it is told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Noop {
    /// How long to wait before ending, in milliseconds.
    #[serde(default)]
    pub wait_ms: u64,
}

impl Payload for Noop {
    const KIND: Kind = Kind::Noop;

    fn subject(&self) -> Option<&RecordingId> {
        None
    }

    fn unique_key(&self) -> Option<String> {
        None
    }
}

/// What an operator may ask of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Finalize again after a failure, or look again.
    Recheck,
    /// Make the result again from the same segments, as the next plan version.
    Remux,
    /// Let more segments in.
    Reopen,
    /// Finish although the policy says fail or the share of gaps is too large.
    AcceptGaps,
    /// Give the recording up.
    Cancel,
    /// Delete it for good.
    Erase,
}

impl Verb {
    /// The word in payloads and commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Recheck => "recheck",
            Verb::Remux => "remux",
            Verb::Reopen => "reopen",
            Verb::AcceptGaps => "accept_gaps",
            Verb::Cancel => "cancel",
            Verb::Erase => "erase",
        }
    }
}

/// One operator verb on one recording, or what follows the end of a dead job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Control {
    /// An operator's wish; whether it may be is decided by `domain::recording`.
    Verb {
        /// The recording.
        recording: RecordingId,
        /// What to do.
        verb: Verb,
    },
    /// A job of the recording ended discarded or cancelled: nothing must wait for it.
    FollowUp(FollowUp),
}

/// Payload of a follow-up, built by the engine and by operator functions from the row of the job that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowUp {
    /// `subject` of the job that ended: the recording.
    pub subject: RecordingId,
    /// The job that ended.
    pub ended: Ended,
}

/// A job that ended without having done its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its id.
    pub job_id: Uuid,
    /// Its kind.
    pub kind: String,
    /// Its unique key: the follow-up does nothing while a live job holds the same key.
    pub unique_key: Option<String>,
    /// `discarded` or `cancelled`.
    pub outcome: String,
    /// The class of its last error.
    pub error_class: Option<String>,
    /// Its last error, at most 200 characters.
    pub error: Option<String>,
}

impl Payload for Control {
    const KIND: Kind = Kind::Control;

    fn subject(&self) -> Option<&RecordingId> {
        match self {
            Control::Verb { recording, .. } => Some(recording),
            Control::FollowUp(follow_up) => Some(&follow_up.subject),
        }
    }

    fn unique_key(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests;
