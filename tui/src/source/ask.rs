//! What the application asks of the source.

use super::rows::{JobCursor, RecordingCursor};
use domain::filter::Filter;
use domain::id::RecordingId;
use queue::operate::Command;
use std::time::Duration;
use uuid::Uuid;

/// One wish. Reads may be overtaken by newer ones of the same resource; acts never are.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Read now, and again at the pace, until something else is watched in its place or it is left.
    Watch(Read),
    /// Read once.
    Once(Read),
    /// Watch this resource no longer.
    Leave(Resource),
    /// Read everything that is watched now, whatever the pace.
    Refresh,
    /// How often to read again. The source goes slower than this when reading costs the database much.
    Pace(Pace),
    /// The terminal has or has lost the focus: without it nothing is read again.
    Focus(bool),
    /// Change something. Refused when not armed.
    Act(Act),
    /// Open the connection that may change something, for so long; none: until disarmed.
    Arm(Option<Duration>),
    /// Close it.
    Disarm,
}

/// One question.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Grows with every question; its answer carries it, and whoever gets an answer of an older one drops it.
    pub generation: u64,
    /// The question.
    pub what: What,
}

/// What is read.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A page of recordings, newest first.
    Recordings {
        /// Narrows the list down.
        filter: Filter,
        /// Only what stands behind this row.
        after: Option<RecordingCursor>,
        /// Most rows; the source reads at most [`super::rows::ROWS_MAX`].
        limit: u32,
    },
    /// Everything about one recording.
    Recording(RecordingId),
    /// A page of jobs: live ones by due time, then ended ones, newest first.
    Jobs {
        /// Narrows the list down.
        filter: Filter,
        /// Only what stands behind this row.
        after: Option<JobCursor>,
        /// Most rows; the source reads at most [`super::rows::ROWS_MAX`].
        limit: u32,
    },
    /// Everything about one job.
    Job(Uuid),
    /// Every worker with what it runs.
    Workers,
    /// Every queue with what is in it.
    Queues,
    /// The numbers of the header.
    Numbers,
    /// How many rows a filter lets through, exactly, however long it takes (10 s at most).
    Count(Filter),
}

/// What is watched in one place: a newer question about the same resource takes the place of the older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// The list of recordings.
    Recordings,
    /// The recording that is open.
    Recording,
    /// The list of jobs.
    Jobs,
    /// The job that is open.
    Job,
    /// The list of workers.
    Workers,
    /// The list of queues.
    Queues,
    /// The numbers of the header.
    Numbers,
    /// An exact count.
    Count,
}

impl What {
    /// Whose place it takes.
    pub fn resource(&self) -> Resource {
        match self {
            What::Recordings { .. } => Resource::Recordings,
            What::Recording(_) => Resource::Recording,
            What::Jobs { .. } => Resource::Jobs,
            What::Job(_) => Resource::Job,
            What::Workers => Resource::Workers,
            What::Queues => Resource::Queues,
            What::Numbers => Resource::Numbers,
            What::Count(_) => Resource::Count,
        }
    }
}

/// How often what is watched is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// Every second.
    #[default]
    Second,
    /// Every two seconds.
    Two,
    /// Every five seconds.
    Five,
    /// Every fifteen seconds.
    Fifteen,
    /// Not at all.
    Off,
}

impl Pace {
    /// The time between two reads; none when off.
    pub fn base(self) -> Option<Duration> {
        match self {
            Pace::Second => Some(Duration::from_secs(1)),
            Pace::Two => Some(Duration::from_secs(2)),
            Pace::Five => Some(Duration::from_secs(5)),
            Pace::Fifteen => Some(Duration::from_secs(15)),
            Pace::Off => None,
        }
    }

    /// The next one, as a key cycles through them.
    pub fn next(self) -> Pace {
        match self {
            Pace::Second => Pace::Two,
            Pace::Two => Pace::Five,
            Pace::Five => Pace::Fifteen,
            Pace::Fifteen => Pace::Off,
            Pace::Off => Pace::Second,
        }
    }

    /// The word that people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Pace::Second => "1s",
            Pace::Two => "2s",
            Pace::Five => "5s",
            Pace::Fifteen => "15s",
            Pace::Off => "off",
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// The application's number for it, made once: the answer carries it, and sent twice it makes nothing twice.
    pub id: Uuid,
    /// What to do, to what.
    pub command: Command,
    /// Why; goes into the audit.
    pub reason: Option<String>,
}
