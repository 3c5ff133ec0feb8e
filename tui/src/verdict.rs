//! What is wrong with a recording, in one sentence, and how much it wants a person: the order of the first screen and the
//! words in it come from the same place, so that what is at the top says why.
//!
//! Must not: draw, or ask for anything that a row does not have.

use crate::source::clean::Clean;
use crate::source::rows::{JobBrief, RecordingRow};
use chrono::{DateTime, Utc};
use domain::recording::State;
use domain::standing::Standing;

/// How much a recording wants a person, most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// It does not go on by itself.
    Broken,
    /// It goes on, and not as it should.
    Troubled,
    /// It goes on, and there is something to know.
    Noted,
    /// It goes on.
    Working,
    /// It is done, with something to know.
    Flawed,
    /// It is done.
    Fine,
    /// It is history.
    Over,
}

/// What there is to say about a recording now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How much it wants a person.
    pub weight: Weight,
    /// What there is to say; empty where the state says it all.
    pub text: String,
}

/// Viewers of a recording that is going on are shown something every two seconds. A target duration is at most 10 s;
/// beyond that and one poll, something holds it up.
const BEHIND_S: i64 = 15;
/// A recorder beats every 10 s; two missed beats are no accident.
pub const SILENT_S: i64 = 30;
/// A new recording may take so long to its first segment.
const FIRST_S: i64 = 30;
/// `sweep` gives a recording without a job a new one every minute.
const JOBLESS_S: i64 = 90;

/// What there is to say about a recording at `now`, the database's clock.
pub fn recording(row: &RecordingRow, now: DateTime<Utc>) -> Verdict {
    let (weight, text) = match row.state {
        State::Failed => (Weight::Broken, failed(row)),
        State::Live => live(row, now),
        State::Finalizing => finalizing(row, now),
        State::Ready => ready(row),
        State::Archived => (Weight::Over, if row.degraded { "the result has gaps".to_owned() } else { String::new() }),
        State::Cancelled | State::Deleted => (Weight::Over, String::new()),
    };
    Verdict { weight, text }
}

fn failed(row: &RecordingRow) -> String {
    let why = row.error_code.as_ref().map_or("no reason was given", Clean::as_str);
    match &row.job {
        Some(job) => format!("{why}; {} {} again", job.kind, goes(job.standing)),
        None => why.to_owned(),
    }
}

fn live(row: &RecordingRow, now: DateTime<Utc>) -> (Weight, String) {
    if let Some(text) = retrying(row.job.as_ref()) {
        return (Weight::Troubled, text);
    }
    let since = |at: DateTime<Utc>| (now - at).num_seconds();
    let silent = row.heard_at.map(since).filter(|s| *s > SILENT_S);
    match (row.listed_at.map(since), silent) {
        (None, _) if since(row.created_at) > FIRST_S => (Weight::Noted, "nothing has arrived yet".to_owned()),
        (None, _) => (Weight::Working, "waits for the first segment".to_owned()),
        (Some(_), Some(s)) => (Weight::Noted, format!("recorder silent for {}", crate::units::age(s))),
        (Some(s), None) if s > BEHIND_S && !row.from_bucket && !row.paused => {
            (Weight::Troubled, format!("nothing new for viewers in {}", crate::units::age(s)))
        }
        (Some(_), None) if row.paused => (Weight::Working, "paused by its recorder".to_owned()),
        (Some(_), None) => (Weight::Working, String::new()),
    }
}

fn finalizing(row: &RecordingRow, now: DateTime<Utc>) -> (Weight, String) {
    if let Some(text) = retrying(row.job.as_ref()) {
        return (Weight::Troubled, text);
    }
    match &row.job {
        None if (now - row.state_at).num_seconds() > JOBLESS_S => (Weight::Troubled, "waits for no job".to_owned()),
        None => (Weight::Working, "about to be checked".to_owned()),
        Some(job) => (Weight::Working, format!("{} {}", job.kind, goes(job.standing))),
    }
}

fn ready(row: &RecordingRow) -> (Weight, String) {
    if row.degraded {
        (Weight::Flawed, "the result has gaps".to_owned())
    } else if row.provisional {
        (Weight::Flawed, "ended by silence, may go on".to_owned())
    } else if let Some(text) = retrying(row.job.as_ref()) {
        (Weight::Flawed, text)
    } else if !row.tail_confirmed {
        (Weight::Flawed, "its last segment was not declared".to_owned())
    } else {
        (Weight::Fine, String::new())
    }
}

/// The sentence of a job that failed and comes again.
fn retrying(job: Option<&JobBrief>) -> Option<String> {
    let job = job.filter(|job| job.standing == Standing::Retryable)?;
    let tries = match job.attempt {
        0 | 1 => "failed once".to_owned(),
        n => format!("failed {n} times"),
    };
    Some(match &job.error {
        Some(error) => format!("{} {tries}: {error}", job.kind),
        None => format!("{} {tries}", job.kind),
    })
}

/// What a job does that stands there, as a verb.
fn goes(standing: Standing) -> &'static str {
    match standing {
        Standing::Running => "runs",
        Standing::Retryable => "retries",
        Standing::Available => "is about to run",
        Standing::Pending | Standing::Scheduled => "waits",
        Standing::Completed | Standing::Discarded | Standing::Cancelled | Standing::Superseded => "has ended",
    }
}

/// The order of the first screen: most wanted first; of what goes on, what stands still longest; else the newest.
///
/// No clock goes in, because rows would change places by themselves under the cursor; the latest sign of life in the row
/// stands for it. A recorder that beats while nothing reaches viewers is told by that, silence by its place among others.
pub fn order(one: &RecordingRow, other: &RecordingRow) -> std::cmp::Ordering {
    let weight = |row: &RecordingRow| {
        let signs = [row.listed_at, row.heard_at, Some(row.state_at), Some(row.created_at)];
        recording(row, signs.into_iter().flatten().max().unwrap_or(row.created_at)).weight
    };
    let still = |row: &RecordingRow| match row.state {
        // A pause is no standstill: the recorder says that it is there.
        State::Live if row.paused => row.heard_at,
        State::Live => row.listed_at.or(Some(row.created_at)),
        State::Finalizing => Some(row.state_at),
        State::Ready | State::Failed | State::Archived | State::Cancelled | State::Deleted => None,
    };
    (weight(one).cmp(&weight(other)))
        .then_with(|| still(one).cmp(&still(other)))
        .then_with(|| other.created_at.cmp(&one.created_at))
}
