//! What happens to jobs in this process, for whoever counts it.
//!
//! Told once, where the effect is known to have taken place: a claim when its rows are here, an end when it is committed.
//! Nobody listens: nothing is put together. The engine knows no metrics.

use super::Done;
use crate::outcome::Turn;
use std::time::Duration;

/// One thing that happened. Every word but `class` and `reason` is from a closed set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'a> {
    /// A job was claimed.
    Claimed(Claim<'a>),
    /// An attempt of this process ended, and its end is committed.
    Ended(End<'a>),
    /// A job was taken back from a dead worker, or from one that did not stop it at its deadline. Told by whoever took it.
    TakenBack(TakenBack<'a>),
}

/// A job that was claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The queue's word.
    pub queue: &'a str,
    /// The kind's word.
    pub kind: &'a str,
    /// Time since it was due, by the database's clock.
    pub waited: Duration,
    /// Nobody has claimed it before.
    pub first: bool,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End<'a> {
    /// The queue's word.
    pub queue: &'a str,
    /// The kind's word.
    pub kind: &'a str,
    /// Of the attempt: completed, failed, snoozed, discarded, cancelled or handed_back.
    pub outcome: &'static str,
    /// Of the job, when it ended with this attempt: completed, discarded, cancelled or superseded.
    pub job: Option<&'static str>,
    /// Class of the error; empty when there was none.
    pub class: &'a str,
    /// Why the job was given up, as its row says; empty for any other end.
    pub reason: &'a str,
    /// How long it ran.
    pub ran: Duration,
}

/// A job that was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenBack<'a> {
    /// The queue's word.
    pub queue: &'a str,
    /// The kind's word.
    pub kind: &'a str,
    /// Its worker died or lost its lease; else it ran over its time.
    pub lost: bool,
    /// Of the job, when it does not run again: discarded, cancelled or superseded.
    pub job: Option<&'static str>,
    /// Why it was given up, for example `poison`; empty for any other end.
    pub reason: &'a str,
}

/// Called with what happens; must not block.
pub(crate) type Observer = Box<dyn Fn(Event<'_>) + Send + Sync>;

impl Done {
    /// The end of an attempt as its row says it: `turn` is the statement's, which lets an operator's cancel win. None: an
    /// orphan, of which nothing more is known.
    pub(super) fn event(&self, turn: i16) -> Option<Event<'_>> {
        let ctx = self.ctx.as_ref()?;
        let overruled = turn == Turn::Cancelled as i16;
        let job = job_word(turn);
        let reason = if job == Some("discarded") { self.end.reason.as_str() } else { "" };
        Some(Event::Ended(End {
            queue: ctx.queue(),
            kind: ctx.kind(),
            outcome: if overruled { "cancelled" } else { self.end.word() },
            job,
            class: &self.end.class,
            reason,
            ran: self.ran,
        }))
    }
}

/// The outcome of the job that a turn of the engine's statements means.
pub(super) fn job_word(turn: i16) -> Option<&'static str> {
    match turn {
        0 => Some("completed"),
        1 => Some("discarded"),
        2 => Some("cancelled"),
        3 => Some("superseded"),
        _ => None,
    }
}
