//! Plain values that are shown. Times are the database's; an age is the difference to its clock in the answer.

mod job;
mod recording;
mod strip;

pub use job::{AttemptRow, JobBrief, JobCursor, JobPage, JobRow, JobView, Progress};
pub use recording::{
    EVENTS_MAX, EventRow, GAPS_MAX, GapRow, JOBS_MAX, MuxView, RecordingCursor, RecordingPage, RecordingRow,
    RecordingView, ResultView, TrackView,
};
pub use strip::{Cell, Counts, RUNS_MAX, Run, Strip};

use super::clean::Clean;
use chrono::{DateTime, Utc};
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
    /// Recordings by state, in the order of [`domain::recording::State::ALL`].
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
