//! Sections with several users. Each field's default and reason stand in `config.toml`.

use super::words;
use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The working process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Work {
    /// Where a working process answers health and metrics.
    pub listen: SocketAddr,
    /// Name of the pool it belongs to, a label of its metrics.
    pub pool: String,
    /// The queues it works.
    #[serde(deserialize_with = "words")]
    pub queues: Vec<String>,
    /// How many jobs of a queue run at once in one process.
    pub slots: Slots,
    /// How long a stopping process lets running jobs go on.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9091)),
            pool: "default".to_owned(),
            queues: domain::job::Queue::ALL.map(|queue| queue.as_str().to_owned()).to_vec(),
            slots: Slots::default(),
            drain: 25 * SECOND,
        }
    }
}

/// Jobs at once, by queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slots {
    /// `upload`.
    pub ingest: usize,
    /// `manifest_check`, `cleanup`, `control`, `sweep`.
    pub control: usize,
    /// `mux`.
    pub mux: usize,
    /// `preview`.
    pub preview: usize,
    /// `webhook`.
    pub webhook: usize,
}

impl Default for Slots {
    fn default() -> Self {
        Self { ingest: 8, control: 4, mux: 2, preview: 1, webhook: 4 }
    }
}

impl Slots {
    /// Jobs at once in `queue`.
    pub fn of(&self, queue: domain::job::Queue) -> usize {
        use domain::job::Queue;
        match queue {
            Queue::Ingest => self.ingest,
            Queue::Control => self.control,
            Queue::Mux => self.mux,
            Queue::Preview => self.preview,
            Queue::Webhook => self.webhook,
        }
    }
}

/// Bounds on what clients may send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Longest body of one segment.
    pub segment_size: ByteSize,
    /// Longest duration of one segment.
    #[serde(with = "humantime_serde")]
    pub segment_duration: Duration,
    /// Highest index of a segment in a track.
    pub segments_max: u32,
    /// Longest whole file.
    pub file_size: ByteSize,
    /// Longest body of a request that is JSON.
    pub json_size: ByteSize,
    /// How long a presigned URL lives.
    #[serde(with = "humantime_serde")]
    pub presign_ttl: Duration,
    /// Segments of one recording that may come in at once.
    pub puts_per_recording: u32,
    /// Segments of one recording that may come in within a second.
    pub puts_per_second: u32,
    /// Listeners to the events of one recording at once.
    pub listeners_per_recording: u32,
    /// How long a playlist request is held before the first segment.
    #[serde(with = "humantime_serde")]
    pub playlist_hold: Duration,
    /// Playlist requests of one recording held at once.
    pub playlist_hold_max: u32,
    /// Playlist requests of all recordings held at once.
    pub playlist_holds_max: u32,
    /// Most bytes of listings and playlists kept in memory.
    pub playlist_cache: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segment_size: ByteSize::mib(64),
            segment_duration: 10 * SECOND,
            segments_max: 50_000,
            file_size: ByteSize::gib(20),
            json_size: ByteSize::kib(256),
            presign_ttl: 30 * MINUTE,
            puts_per_recording: 16,
            puts_per_second: 200,
            listeners_per_recording: 100,
            playlist_hold: 8 * SECOND,
            playlist_hold_max: 50,
            playlist_holds_max: 500,
            playlist_cache: ByteSize::mib(64),
        }
    }
}

/// How a recording goes on and ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Live {
    /// How long viewers wait for a missing segment before it is shown as a gap.
    #[serde(with = "humantime_serde")]
    pub gap_after: Duration,
    /// Silence that ends a recording provisionally.
    #[serde(with = "humantime_serde")]
    pub silence_after: Duration,
    /// The same while the recorder says it is paused.
    #[serde(with = "humantime_serde")]
    pub paused_silence_after: Duration,
    /// How long an ended recording waits for the recorder's declaration.
    #[serde(with = "humantime_serde")]
    pub declaration_wait: Duration,
    /// How long a segment that never came is waited for after the end.
    #[serde(with = "humantime_serde")]
    pub missing_deadline: Duration,
    /// Largest share of gaps in a result.
    pub max_gap_ratio: f64,
    /// Shortest time between two writes of a manifest.
    #[serde(with = "humantime_serde")]
    pub manifest_interval: Duration,
    /// Viewers begin at the first sample, not at the live edge.
    pub from_start: bool,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            gap_after: 30 * SECOND,
            silence_after: 10 * MINUTE,
            paused_silence_after: 24 * HOUR,
            declaration_wait: 30 * SECOND,
            missing_deadline: 10 * MINUTE,
            max_gap_ratio: 0.5,
            manifest_interval: 10 * SECOND,
            from_start: true,
        }
    }
}

/// Deleting what was kept only for the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cleanup {
    /// How long segments stay after the result was published.
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
}

impl Default for Cleanup {
    fn default() -> Self {
        Self { grace: DAY }
    }
}

/// How long things are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// After this a provisional end is final.
    #[serde(with = "humantime_serde")]
    pub provisional: Duration,
    /// How long the row of an erased recording stays.
    #[serde(with = "humantime_serde")]
    pub tombstone: Duration,
    /// How long finished jobs and their attempts stay.
    #[serde(with = "humantime_serde")]
    pub finished_jobs: Duration,
    /// How long staged bytes that accept would refuse are kept.
    #[serde(with = "humantime_serde")]
    pub refused_staging: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { provisional: 30 * DAY, tombstone: 30 * DAY, finished_jobs: 14 * DAY, refused_staging: DAY }
    }
}

/// Which engine makes the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Index-first where it can, else libavformat.
    Auto,
    /// Index-first only.
    Index,
    /// libavformat only.
    Libavformat,
}

/// Making the result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mux {
    /// Which engine.
    pub engine: Engine,
    /// Whether codecs that MP4 has no place for are encoded again.
    pub transcode: bool,
    /// Largest scratch of one job: what libavformat makes of the tracks that it takes apart.
    pub scratch_max: ByteSize,
    /// Smallest part of a result written to the store at once.
    pub part_size: ByteSize,
    /// Segments fetched ahead of the one that is written.
    pub read_ahead: u32,
    /// Whether the SHA-256 of a result is made.
    pub hash: bool,
    /// What becomes of pauses.
    pub pauses: domain::completeness::Pauses,
}

impl Default for Mux {
    fn default() -> Self {
        Self {
            engine: Engine::Auto,
            transcode: false,
            scratch_max: ByteSize::gib(4),
            part_size: ByteSize::mib(8),
            read_ahead: 4,
            hash: true,
            pauses: domain::completeness::Pauses::Auto,
        }
    }
}

/// Poster and animated preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preview {
    /// Longest side of the animated preview in pixels.
    pub side_max: u32,
    /// Longest animated preview in bytes.
    pub size_max: ByteSize,
    /// Longest making of both, without what the store takes.
    #[serde(with = "humantime_serde")]
    pub time_limit: Duration,
}

impl Default for Preview {
    fn default() -> Self {
        Self { side_max: 480, size_max: ByteSize::kib(1400), time_limit: 2 * MINUTE }
    }
}

/// Timings of the job engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// How long a process that stopped beating keeps its jobs.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// How often a process says that it lives.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// How often a process looks for jobs nobody told it of.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
    /// How often a process looks for jobs of dead processes.
    #[serde(with = "humantime_serde")]
    pub rescue: Duration,
    /// How long a cancelled job may take to stop before it is dropped.
    #[serde(with = "humantime_serde")]
    pub stop_grace: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        Self { lease: 15 * SECOND, heartbeat: 5 * SECOND, poll: SECOND, rescue: 3 * SECOND, stop_grace: 5 * SECOND }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Which levels, by module, as `tracing_subscriber::EnvFilter` reads it.
    pub filter: String,
    /// Lines for people or for machines.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

/// Lines for people or for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
