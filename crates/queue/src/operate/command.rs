//! The operator commands as values: what each is called, from where it may be given, how surely it must be meant.
//!
//! The command line and the console offer the same list. Whether a command is carried out is decided again in the database,
//! under the row's lock; what is asked here only keeps a person from asking in vain.

use super::{Answer, By, Error, Limit};
use domain::id::RecordingId;
use domain::standing::Standing;
use sea_orm::ConnectionTrait;
use std::time::Duration;
use uuid::Uuid;

/// What a person can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Run a job again that has failed.
    Retry,
    /// Run a waiting job now.
    RunNow,
    /// Put a waiting job off.
    Snooze,
    /// Change the order of a waiting job.
    Priority,
    /// Stop a job.
    Cancel,
    /// Give a waiting job up.
    Discard,
    /// Remove an ended job.
    Delete,
    /// Claim nothing more from a queue.
    Pause,
    /// Claim from a queue again.
    Resume,
    /// Bound how many jobs of a queue run.
    Limit,
    /// Let a worker claim nothing more and leave.
    Drain,
    /// A wish about a recording, which a worker decides.
    Recording(domain::job::Verb),
}

/// How surely a command must be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Confirm {
    /// One key is enough: it can be undone, or harms nothing.
    None,
    /// A question that is answered by yes or no.
    YesNo,
}

impl Verb {
    /// Every verb, those on jobs first.
    pub const ALL: [Verb; 16] = [
        Verb::Retry,
        Verb::RunNow,
        Verb::Snooze,
        Verb::Priority,
        Verb::Cancel,
        Verb::Discard,
        Verb::Delete,
        Verb::Pause,
        Verb::Resume,
        Verb::Limit,
        Verb::Drain,
        Verb::Recording(domain::job::Verb::Recheck),
        Verb::Recording(domain::job::Verb::Remux),
        Verb::Recording(domain::job::Verb::Reopen),
        Verb::Recording(domain::job::Verb::AcceptGaps),
        Verb::Recording(domain::job::Verb::Cancel),
    ];

    /// The word in audit and command line.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Retry => "retry",
            Verb::RunNow => "run_now",
            Verb::Snooze => "snooze",
            Verb::Priority => "priority",
            Verb::Cancel => "cancel",
            Verb::Discard => "discard",
            Verb::Delete => "delete",
            Verb::Pause => "pause",
            Verb::Resume => "resume",
            Verb::Limit => "limit",
            Verb::Drain => "drain",
            Verb::Recording(domain::job::Verb::Recheck) => "recheck",
            Verb::Recording(domain::job::Verb::Remux) => "remux",
            Verb::Recording(domain::job::Verb::Reopen) => "reopen",
            Verb::Recording(domain::job::Verb::AcceptGaps) => "accept_gaps",
            Verb::Recording(domain::job::Verb::Cancel) => "cancel_recording",
            Verb::Recording(domain::job::Verb::Erase) => "erase",
        }
    }

    /// Where a job must stand; empty for what is done to queues, workers and recordings.
    pub fn eligible(self) -> &'static [Standing] {
        use Standing::{
            Available, Cancelled, Completed, Discarded, Pending, Retryable, Running, Scheduled, Superseded,
        };
        match self {
            Verb::Retry => &[Retryable, Discarded, Cancelled],
            Verb::RunNow => &[Scheduled, Retryable],
            Verb::Snooze | Verb::Priority => &[Scheduled, Available, Retryable],
            Verb::Cancel => &[Pending, Scheduled, Available, Running, Retryable],
            Verb::Discard => &[Pending, Scheduled, Available, Retryable],
            Verb::Delete => &[Completed, Discarded, Cancelled, Superseded],
            Verb::Pause | Verb::Resume | Verb::Limit | Verb::Drain | Verb::Recording(_) => &[],
        }
    }

    /// Whether it may be done to a job that stands there.
    pub fn allows(self, standing: Standing) -> bool {
        self.eligible().contains(&standing)
    }

    /// How surely it must be meant.
    pub fn confirm(self) -> Confirm {
        match self {
            Verb::Retry | Verb::RunNow | Verb::Snooze | Verb::Priority => Confirm::None,
            Verb::Recording(domain::job::Verb::Recheck) => Confirm::None,
            Verb::Cancel | Verb::Discard | Verb::Delete | Verb::Pause | Verb::Resume | Verb::Limit | Verb::Drain => {
                Confirm::YesNo
            }
            Verb::Recording(_) => Confirm::YesNo,
        }
    }
}

/// One change that a person wants, with its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// [`super::retry`] of this job.
    Retry(Uuid),
    /// [`super::run_now`] of this job.
    RunNow(Uuid),
    /// [`super::snooze`] of this job, for so long.
    Snooze(Uuid, Duration),
    /// [`super::priority`] of this job, 0 first.
    Priority(Uuid, i16),
    /// [`super::cancel`] of this job.
    Cancel(Uuid),
    /// [`super::discard`] of this job.
    Discard(Uuid),
    /// [`super::delete`] of this job.
    Delete(Uuid),
    /// [`super::pause`] of this queue, until resumed.
    Pause(String),
    /// [`super::resume`] of this queue.
    Resume(String),
    /// [`super::limit`] of this queue.
    Limit(String, Limit),
    /// [`super::drain`] of this worker.
    Drain(Uuid),
    /// [`super::recording`]: a wish about this recording.
    Recording(RecordingId, domain::job::Verb),
}

impl Command {
    /// What is done.
    pub fn verb(&self) -> Verb {
        match self {
            Command::Retry(_) => Verb::Retry,
            Command::RunNow(_) => Verb::RunNow,
            Command::Snooze(..) => Verb::Snooze,
            Command::Priority(..) => Verb::Priority,
            Command::Cancel(_) => Verb::Cancel,
            Command::Discard(_) => Verb::Discard,
            Command::Delete(_) => Verb::Delete,
            Command::Pause(_) => Verb::Pause,
            Command::Resume(_) => Verb::Resume,
            Command::Limit(..) => Verb::Limit,
            Command::Drain(_) => Verb::Drain,
            Command::Recording(_, verb) => Verb::Recording(*verb),
        }
    }

    /// Carries it out in one statement, which commits with its audit or not at all. `id` is the caller's number for this
    /// wish: a command that makes something makes it once under this id, however often it is sent.
    ///
    /// # Errors
    /// The database did not take it.
    pub async fn give<C: ConnectionTrait>(&self, db: &C, id: Uuid, by: &By) -> Result<Answer, Error> {
        match self {
            Command::Retry(job) => super::retry(db, *job, by).await,
            Command::RunNow(job) => super::run_now(db, *job, by).await,
            Command::Snooze(job, wait) => super::snooze(db, *job, *wait, by).await,
            Command::Priority(job, priority) => super::priority(db, *job, *priority, by).await,
            Command::Cancel(job) => super::cancel(db, *job, by).await,
            Command::Discard(job) => super::discard(db, *job, by).await,
            Command::Delete(job) => super::delete(db, *job, by).await,
            Command::Pause(queue) => super::pause(db, queue, None, by).await,
            Command::Resume(queue) => super::resume(db, queue, by).await,
            Command::Limit(queue, limit) => super::limit(db, queue, *limit, by).await,
            Command::Drain(worker) => super::drain(db, *worker, by).await,
            Command::Recording(recording, verb) => super::recording(db, id, recording, *verb, by).await,
        }
    }
}
