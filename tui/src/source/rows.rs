//! Plain values that are shown. Times are the database's; an age is the difference to its clock in the answer.

use super::clean::Clean;
use chrono::{DateTime, Utc};
use domain::id::RecordingId;
use domain::recording;
use domain::segment::Track;
use domain::standing::Standing;
use uuid::Uuid;

/// Longest page of any list.
pub const ROWS_MAX: u32 = 600;

/// How a number was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NumberKind {
    /// Counted.
    Exact,
    /// Counted up to a bound and there stopped: this many or more.
    Capped,
    /// What the planner's statistics say.
    Estimate,
}

/// A number, always with how it was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    /// The number.
    pub n: u64,
    /// How it was come by.
    pub kind: NumberKind,
    /// When, where that was before the answer.
    pub at: Option<DateTime<Utc>>,
}

/// The numbers of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// Live jobs by state, in the order of [`Standing::LIVE`].
    pub live: [Number; 5],
    /// Ended jobs by outcome, in the order of [`Standing::ENDED`].
    pub ended: [Number; 4],
    /// Recordings by state, in the order of [`recording::State::ALL`].
    pub recordings: [Number; 7],
    /// Worker processes with a lease.
    pub workers: u64,
    /// Queues that are paused, by name.
    pub paused: Vec<Clean>,
    /// End of the oldest ended job that is still kept; none when there is none.
    pub oldest_ended_at: Option<DateTime<Utc>>,
}

impl Numbers {
    /// The number of jobs that stand there.
    pub fn of(&self, standing: Standing) -> Number {
        let at = usize::try_from(standing.number()).unwrap_or(0);
        if standing.is_live() { self.live[at] } else { self.ended[at] }
    }
}

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

/// The least about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobBrief {
    /// The job.
    pub id: Uuid,
    /// Its kind.
    pub kind: Clean,
    /// Where it stands.
    pub standing: Standing,
    /// Number of the last attempt.
    pub attempt: u32,
    /// Its last error.
    pub error: Option<Clean>,
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

/// What became of the segments of a track, run by run: never a row for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strip {
    /// The track.
    pub track: Track,
    /// Runs that follow each other without hole from index 1 on. When there are more than [`RUNS_MAX`], the shortest
    /// differences are left out and the run says the worst of what it covers.
    pub runs: Vec<Run>,
    /// How many segments there are of each cell.
    pub counts: Counts,
    /// Last index of which anything is known.
    pub last_index: u32,
}

/// Most runs of a strip: more than any terminal has columns.
pub const RUNS_MAX: usize = 4_000;

/// Neighbouring segments of the same fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First index.
    pub from: u32,
    /// Last index.
    pub to: u32,
    /// What became of them.
    pub cell: Cell,
}

/// What became of a segment. The order is from good to bad, so that a column that stands for many shows the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cell {
    /// In the store.
    Stored,
    /// Acknowledged, on its way into the store.
    Received,
    /// It came after viewers had been shown a gap in its place; it will be in the result.
    Late,
    /// Nothing of it has come.
    Missing,
    /// Its bytes are gone or damaged.
    Lost,
}

/// How many segments there are of each cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Of [`Cell::Stored`].
    pub stored: u32,
    /// Of [`Cell::Received`].
    pub received: u32,
    /// Of [`Cell::Late`].
    pub late: u32,
    /// Of [`Cell::Missing`].
    pub missing: u32,
    /// Of [`Cell::Lost`].
    pub lost: u32,
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

/// How far a running attempt has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Share done, 0 to 100.
    pub pct: Option<f32>,
    /// Units done.
    pub done: Option<u64>,
    /// Units in all.
    pub total: Option<u64>,
    /// What is counted.
    pub unit: Option<Clean>,
    /// What is being done.
    pub stage: Option<Clean>,
    /// Estimated time to the end, in seconds.
    pub eta_s: Option<u32>,
    /// When it was said.
    pub at: DateTime<Utc>,
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

/// Where the next page of jobs begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCursor {
    /// The last row was a live job; else an ended one.
    pub live: bool,
    /// Its due time, or its end.
    pub at: DateTime<Utc>,
    /// Its id.
    pub id: Uuid,
}

/// A page of jobs: live ones by due time, then ended ones, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPage {
    /// Its rows.
    pub rows: Vec<JobRow>,
    /// Where the next one begins; none after the last.
    pub next: Option<JobCursor>,
    /// The terms without an index were tried on this many rows of each list at most; none when every term has one.
    pub window: Option<u32>,
}

/// One job in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRow {
    /// The job.
    pub id: Uuid,
    /// Its queue.
    pub queue: Clean,
    /// Its kind.
    pub kind: Clean,
    /// Where it stands.
    pub standing: Standing,
    /// The recording it is about.
    pub subject: Option<Clean>,
    /// Who pays for it.
    pub owner: Option<Clean>,
    /// Number of the last attempt, 0 before the first.
    pub attempt: u32,
    /// How many it may have.
    pub max_attempts: u32,
    /// How many attempts ended with their process.
    pub crashes: u32,
    /// How often it was put off.
    pub snoozes: u32,
    /// When it is due.
    pub run_at: DateTime<Utc>,
    /// When the last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Who runs or ran it: the pod's name, or the beginning of the worker's id.
    pub worker: Option<Clean>,
    /// Why it ended as it did.
    pub reason: Option<Clean>,
    /// Class of its last error.
    pub error_class: Option<Clean>,
    /// Its last error, at most 120 characters.
    pub error: Option<Clean>,
    /// When it was put in.
    pub created_at: DateTime<Utc>,
}

/// Everything about one job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    /// What the list shows too, with the whole error as it is in the row (200 characters).
    pub row: JobRow,
    /// Its unique key.
    pub unique_key: Option<Clean>,
    /// 0 is claimed first.
    pub priority: i16,
    /// When an operator asked for its end.
    pub cancel_at: Option<DateTime<Utc>>,
    /// Its payload, a line each, numbers as they are in the row however long.
    pub payload: Vec<Clean>,
    /// Only the first 64 KiB of the payload are here.
    pub payload_cut: bool,
    /// What an attempt saved for the next one, a line each.
    pub checkpoint: Vec<Clean>,
    /// Its attempts, newest first, at most 100.
    pub attempts: Vec<AttemptRow>,
    /// How far it has come.
    pub progress: Option<Progress>,
}

/// One ended attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRow {
    /// Its number.
    pub attempt: u32,
    /// completed, failed, snoozed, discarded, cancelled, lost or handed_back.
    pub outcome: Clean,
    /// Who ran it: the pod's name, or the beginning of the worker's id.
    pub worker: Option<Clean>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// Class of its error.
    pub error_class: Option<Clean>,
    /// Its error, a line each.
    pub error: Vec<Clean>,
}

/// One worker process.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerRow {
    /// Its identity since its start.
    pub id: Uuid,
    /// Pod or host; the beginning of its id when it has none.
    pub name: Clean,
    /// Node.
    pub node: Option<Clean>,
    /// Version of the program.
    pub version: Option<Clean>,
    /// What it runs, for example `mux, preview`: the queues of its kinds.
    pub queues: Vec<Clean>,
    /// How many jobs it may run at once.
    pub slots: Option<u32>,
    /// How many it ran at its last heartbeat.
    pub busy: Option<u32>,
    /// It claims nothing more.
    pub draining: bool,
    /// Memory in bytes, at its last heartbeat.
    pub memory_bytes: Option<u64>,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// Until when it is believed to live; passed: it is dead or cut off.
    pub lease_until: DateTime<Utc>,
    /// What it runs now, oldest first, at most [`RUNNING_MAX`].
    pub running: Vec<RunningJob>,
}

/// Most running jobs shown of one worker.
pub const RUNNING_MAX: usize = 50;

/// A job that runs.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningJob {
    /// The job.
    pub id: Uuid,
    /// Its kind.
    pub kind: Clean,
    /// The recording it is about.
    pub subject: Option<Clean>,
    /// Number of the attempt.
    pub attempt: u32,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// Share done, 0 to 100.
    pub pct: Option<f32>,
}

/// One queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueRow {
    /// Its name.
    pub name: Clean,
    /// It is paused now.
    pub paused: Option<Pause>,
    /// Most jobs running at once.
    pub max_running: Option<u32>,
    /// Most jobs of one owner running at once.
    pub key_max: Option<u32>,
    /// Jobs with a time in the future.
    pub scheduled: Number,
    /// Jobs that may run now.
    pub available: Number,
    /// Jobs running.
    pub running: Number,
    /// Jobs that failed and run again.
    pub retryable: Number,
    /// Since when the oldest available job waits.
    pub oldest_at: Option<DateTime<Utc>>,
    /// Attempts of the last five whole minutes that ended well, and that did not.
    pub flow: (u64, u64),
}

/// Why a queue is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub at: Option<DateTime<Utc>>,
    /// By whom.
    pub by: Option<Clean>,
    /// Why.
    pub reason: Option<Clean>,
    /// Until when; none: until resumed.
    pub until: Option<DateTime<Utc>>,
}
