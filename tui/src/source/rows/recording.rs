//! Recordings: what a list shows of them, and everything about one.

use super::{JobBrief, JobRow, Progress, Strip};
use crate::source::clean::Clean;
use chrono::{DateTime, Utc};
use domain::id::RecordingId;
use domain::recording;
use domain::segment::Track;

/// Where the next page of recordings begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingCursor {
    /// When the last row's recording was made.
    pub created_at: DateTime<Utc>,
    /// Its id.
    pub id: RecordingId,
}

/// A page of recordings, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordingPage {
    /// Its rows.
    pub rows: Vec<RecordingRow>,
    /// Where the next one begins; none after the last.
    pub next: Option<RecordingCursor>,
    /// The terms without an index were tried on this many rows at most, newest first; none when every term has one.
    pub window: Option<u32>,
}

/// One recording in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordingRow {
    /// The recording.
    pub id: RecordingId,
    /// Whose it is.
    pub owner: Clean,
    /// Its state.
    pub state: recording::State,
    /// Since when.
    pub state_at: DateTime<Utc>,
    /// It ended by silence and may go on.
    pub provisional: bool,
    /// The last segment is known from a declaration.
    pub tail_confirmed: bool,
    /// The result has gaps.
    pub degraded: bool,
    /// Segments come through the bucket and not through Spool.
    pub from_bucket: bool,
    /// Its recorder says that it is paused, so nothing new is no fault.
    pub paused: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Last index that viewers were shown, of the longer track.
    pub listed_index: Option<u32>,
    /// When something was last shown to viewers.
    pub listed_at: Option<DateTime<Utc>>,
    /// When the recorder was last heard.
    pub heard_at: Option<DateTime<Utc>>,
    /// Duration of the result, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Size of the result.
    pub result_bytes: Option<u64>,
    /// Why it failed, as a word.
    pub error_code: Option<Clean>,
    /// Its live job that needs most attention: one that failed before one that runs before one that waits.
    pub job: Option<JobBrief>,
}

/// Everything about one recording.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordingView {
    /// What the list shows too.
    pub row: RecordingRow,
    /// What holes do: `degrade` or `fail`.
    pub policy: Clean,
    /// Name of the endpoint that hears of it.
    pub webhook: Option<Clean>,
    /// What the recorder says it does: `recording` or `paused`.
    pub liveness: Option<Clean>,
    /// When the completion call came.
    pub signalled_at: Option<DateTime<Utc>>,
    /// When it last left `live`.
    pub ended_at: Option<DateTime<Utc>>,
    /// When the recorder declared what it made.
    pub declared_at: Option<DateTime<Utc>>,
    /// The plan being made or served.
    pub plan_version: u32,
    /// The newest plan that can no longer change; 0 while there is none.
    pub frozen_version: u32,
    /// An operator takes the holes as they are.
    pub gaps_accepted: bool,
    /// Code and sentence of the failure.
    pub error: Option<(Clean, Clean)>,
    /// Its tracks that there is anything of, video first.
    pub tracks: Vec<TrackView>,
    /// From then on playlists have an end.
    pub listing_ended_at: Option<DateTime<Utc>>,
    /// Target duration of the playlists, in seconds.
    pub target_duration_s: Option<u32>,
    /// Grows with every segment that becomes stored or lost.
    pub stored_seq: u64,
    /// `stored_seq` as the manifest in the store knows it.
    pub manifest_seq: u64,
    /// When the manifest was last written.
    pub manifest_at: Option<DateTime<Utc>>,
    /// The gaps of the newest plan, at most [`GAPS_MAX`].
    pub gaps: Vec<GapRow>,
    /// How many gaps there are in all.
    pub gap_count: usize,
    /// The result that is served.
    pub result: Option<ResultView>,
    /// The mux that runs or waits.
    pub mux: Option<MuxView>,
    /// Its jobs, live ones first, then ended ones, newest first, at most [`JOBS_MAX`].
    pub jobs: Vec<JobRow>,
    /// Its newest events, newest first, at most [`EVENTS_MAX`].
    pub events: Vec<EventRow>,
}

/// Most gaps in one answer.
pub const GAPS_MAX: usize = 100;
/// Most jobs of a recording in one answer.
pub const JOBS_MAX: u32 = 50;
/// Most events of a recording in one answer.
pub const EVENTS_MAX: u32 = 20;

/// One track of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackView {
    /// Which one, and what became of every index from 1 on.
    pub strip: Strip,
    /// Its codec, from the initialization section.
    pub codec: Option<Clean>,
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// The last index the recorder declared.
    pub declared_last: Option<u32>,
    /// Duration of what was received, in milliseconds.
    pub duration_ms: u64,
    /// Bytes of what was received.
    pub size_bytes: u64,
    /// When the last segment was received.
    pub received_at: Option<DateTime<Utc>>,
    /// When the oldest segment that still waits for the store was received.
    pub waiting_since: Option<DateTime<Utc>>,
    /// Sequence number of the last row that viewers were shown; 0 before the first.
    pub listed_seq: u64,
    /// Its index.
    pub listed_index: u32,
    /// When it was shown.
    pub listed_at: Option<DateTime<Utc>>,
    /// Wall clock of the end of what viewers were shown: lag is the database's clock minus this.
    pub edge_at: Option<DateTime<Utc>>,
    /// Indexes that viewers were shown as gaps.
    pub listed_gaps: u64,
}

/// A stretch of a result without samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapRow {
    /// The track.
    pub track: Track,
    /// Where it begins, in milliseconds.
    pub from_ms: u64,
    /// Where it ends, in milliseconds.
    pub to_ms: u64,
    /// First and last segment that should have been there; none when no segment is missing.
    pub segments: Option<(u32, u32)>,
    /// Why.
    pub cause: Clean,
}

/// The result that is served.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultView {
    /// Its plan version.
    pub version: u32,
    /// Its key in the store.
    pub key: Clean,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its digest in hexadecimal digits.
    pub sha256: Option<Clean>,
    /// Its duration in milliseconds.
    pub duration_ms: u64,
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Pictures per second.
    pub fps: Option<f64>,
    /// Codec of the pictures.
    pub video_codec: Option<Clean>,
    /// Codec of the sound.
    pub audio_codec: Option<Clean>,
}

/// The mux of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct MuxView {
    /// The job.
    pub job: JobBrief,
    /// How many attempts it may have.
    pub max_attempts: u32,
    /// When the attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// Who runs it.
    pub worker: Option<Clean>,
    /// How far it has come.
    pub progress: Option<Progress>,
}

/// Something that happened to a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its number.
    pub seq: u64,
    /// Its type.
    pub kind: Clean,
    /// When.
    pub at: DateTime<Utc>,
}
