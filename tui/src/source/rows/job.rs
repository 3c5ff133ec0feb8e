//! Jobs: what a list shows of them, and everything about one.

use crate::source::clean::Clean;
use chrono::{DateTime, Utc};
use domain::standing::Standing;
use uuid::Uuid;

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
