//! What the source tells the application.

use super::ask::Resource;
use super::clean::Clean;
use super::rows::{JobPage, JobView, Number, Numbers, QueueRow, RecordingPage, RecordingView, WorkerRow};
use chrono::{DateTime, Utc};
use std::time::Duration;
use uuid::Uuid;

/// One thing told.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The answer to a read.
    Reply(Reply),
    /// What became of an act.
    Acted(Acted),
    /// How the connection stands; told when it changes, and while it is lost at every try.
    Link(Link),
    /// Whether changes are possible; told when it changes.
    Arm(Arm),
}

/// The answer to a read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Of the question.
    pub generation: u64,
    /// What was read.
    pub resource: Resource,
    /// What was found.
    pub body: Body,
    /// How long the database took.
    pub took: Duration,
    /// The database's clock when it answered; none when it did not.
    pub db_now: Option<DateTime<Utc>>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Something new.
    Fresh(Value),
    /// The same as the last time under this generation: nothing has to be drawn again but ages.
    Unchanged,
    /// There is no such recording or job.
    Gone,
    /// Nothing, for this reason; what was shown before stays, marked as old.
    Failed(Clean),
}

/// A value of the resource that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of [`Resource::Recordings`].
    Recordings(RecordingPage),
    /// Of [`Resource::Recording`].
    Recording(Box<RecordingView>),
    /// Of [`Resource::Jobs`].
    Jobs(JobPage),
    /// Of [`Resource::Job`].
    Job(Box<JobView>),
    /// Of [`Resource::Workers`].
    Workers(Vec<WorkerRow>),
    /// Of [`Resource::Queues`].
    Queues(Vec<QueueRow>),
    /// Of [`Resource::Numbers`].
    Numbers(Box<Numbers>),
    /// Of [`Resource::Count`].
    Count(Number),
}

/// What became of an act.
#[derive(Debug, Clone, PartialEq)]
pub struct Acted {
    /// The application's number for it.
    pub id: Uuid,
    /// The answer.
    pub answer: Answer,
}

/// The answer to an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done, and in the audit.
    Done,
    /// Asked for, and in the audit; a worker does it within seconds.
    Requested,
    /// Nothing has changed, for this reason.
    Refused(Clean),
    /// Nobody knows whether it was done: the connection was lost after it was sent. It is done and audited as a whole, or
    /// not at all; look at the object.
    Unknown(Clean),
}

/// How the connection stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    /// The first connection is being made.
    Connecting,
    /// There is one.
    Up {
        /// Server and database, for the header: never a password.
        place: Clean,
        /// The role whose rights hold.
        role: Clean,
    },
    /// There is none.
    Lost {
        /// How long ago the last answer came.
        since: Duration,
        /// Tries to connect again since then; the first one has just begun while it is 0.
        tries: u32,
        /// Why the last one failed.
        why: Clean,
    },
}

/// Whether changes are possible.
#[derive(Debug, Clone, PartialEq)]
pub enum Arm {
    /// They are.
    Armed {
        /// For how long from now on; none: until disarmed.
        left: Option<Duration>,
    },
    /// They are not.
    Disarmed,
    /// They were asked for and are not.
    Refused(Clean),
}
