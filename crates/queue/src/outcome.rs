//! What one attempt came to, and what that makes of its row.
//!
//! Handlers say [`Outcome`] or fail with [`JobError`]; the engine adds why it stopped them ([`Stop`]) and decides, by
//! two pure functions, the [`Transition`] that the database is asked for.
//! Nothing here does IO, reads a clock or draws a random number.

use crate::fingerprint;
use domain::retry::{self, Classify, Decision, Failure, Fault, RetryPolicy};
use std::{error::Error as StdError, fmt, time::Duration};

/// How a handler ends its attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done.
    Completed,
    /// There was nothing to do any more; the reason is kept with the finished job, for example `obsolete`.
    CompletedAs(String),
    /// Run again later; the attempt is not spent. Zero means at once, for a second look.
    Snooze(Duration),
    /// Give up for good, with the reason an operator reads.
    Discard(String),
    /// Give the job back unfinished, because the process drains; the attempt is not spent. Said for no such reason it is
    /// a snooze of a second, so that nothing spins.
    HandBack,
    /// [`crate::JobCtx::settle_in`] already wrote the end in the handler's own transaction, which is committed. Said
    /// without either, the attempt has failed.
    Settled,
}

impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Outcome::Completed
    }
}

/// A failed attempt: what kind of failure, and why.
///
/// Built by `?` from any error that is [`Classify`]; it deliberately is no [`std::error::Error`] itself, so that the
/// conversion stays unambiguous.
pub struct JobError {
    fault: Fault,
    class: &'static str,
    after: Option<Duration>,
    context: Option<String>,
    source: Box<dyn StdError + Send + Sync>,
}

impl JobError {
    /// A failure that no edge has classified, made from its parts.
    pub fn new(fault: Fault, class: &'static str, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        JobError { fault, class, after: None, context: None, source: source.into() }
    }

    /// Come back after this time, whatever the back-off says.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.after = Some(wait);
        self
    }

    /// What was being done, as a present-tense verb phrase.
    #[must_use]
    pub fn context(mut self, doing: impl Into<String>) -> Self {
        self.context = Some(doing.into());
        self
    }

    /// What kind of failure it was.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// Its class.
    pub fn class(&self) -> &'static str {
        self.class
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(doing) = &self.context {
            write!(f, "{doing}: ")?;
        }
        write!(f, "{}", self.source)?;
        let mut cause = self.source.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobError({:?}, {}, {self})", self.fault, self.class)
    }
}

impl<E: Classify + StdError + Send + Sync + 'static> From<E> for JobError {
    fn from(error: E) -> Self {
        JobError {
            fault: error.fault(),
            class: error.class(),
            after: error.retry_after(),
            context: None,
            source: Box::new(error),
        }
    }
}

/// Carries a [`JobError`] through the runtime's boxed errors and back out by downcast.
#[derive(Debug)]
pub(crate) struct Carried(pub(crate) JobError);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Carried {}

impl From<JobError> for Box<dyn StdError + Send + Sync> {
    fn from(error: JobError) -> Self {
        Box::new(Carried(error))
    }
}

/// Why a running handler is asked to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// An operator cancelled the job, with this reason.
    Cancel(String),
    /// The process drains and its patience is over.
    Drain,
    /// The attempt ran longer than its kind may.
    Deadline,
    /// The lease could not be renewed in time: another worker may take the job any moment.
    LeaseAtRisk,
    /// The row belongs to somebody else now; nothing this attempt does counts.
    Fenced,
}

/// How the handler's future came to its end.
pub(crate) enum End {
    Ran(Result<Outcome, Box<dyn StdError + Send + Sync>>),
    Panicked(String),
    /// It did not stop within its grace and was dropped.
    Dropped,
}

/// The end of an attempt, before the retry rules are asked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Outcome(Outcome),
    Failed(Failed),
    Cancelled(String),
    /// The row is somebody else's: write nothing.
    Nothing,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) fault: Fault,
    pub(crate) class: &'static str,
    pub(crate) text: String,
    pub(crate) after: Option<Duration>,
}

/// Brings the handler's end and the reason it was stopped together.
/// A handler that ended well in spite of being stopped has ended well: the statement decides against a cancel.
pub(crate) fn settle(end: End, stop: Option<&Stop>, draining: bool) -> Verdict {
    let end = match (end, stop) {
        (_, Some(Stop::Fenced)) => return Verdict::Nothing,
        // A handler that gives everything back when it is stopped has not ended well.
        (End::Ran(Ok(Outcome::HandBack)), Some(_)) => End::Dropped,
        (End::Ran(Ok(Outcome::HandBack)), None) if !draining => {
            return Verdict::Outcome(Outcome::Snooze(Duration::from_secs(1)));
        }
        (End::Ran(Ok(outcome)), _) => return Verdict::Outcome(outcome),
        (end, _) => end,
    };
    match (end, stop) {
        (End::Panicked(text), _) => Verdict::Failed(Failed::transient("panic", text)),
        (_, Some(Stop::Cancel(reason))) => Verdict::Cancelled(reason.clone()),
        (_, Some(Stop::Drain | Stop::LeaseAtRisk)) => Verdict::Outcome(Outcome::HandBack),
        (End::Ran(Err(error)), Some(Stop::Deadline)) => Verdict::Failed(Failed::transient("timeout", chain(&*error))),
        (_, Some(Stop::Deadline)) => {
            Verdict::Failed(Failed::transient("timeout", "ran longer than its kind may".into()))
        }
        (End::Ran(Err(error)), _) => Verdict::Failed(Failed::of(error)),
        (End::Dropped | End::Ran(Ok(_)), _) => Verdict::Failed(Failed::transient("dropped", String::new())),
    }
}

impl Failed {
    /// The attempt was dropped before it could say how it ended.
    pub(crate) fn unwound() -> Self {
        Failed::transient("unwound", String::new())
    }

    /// The handler said that it had settled, and it had not: spent, so that it cannot go on for ever.
    pub(crate) fn unsettled() -> Self {
        Failed::transient("unsettled", "ended as settled without having settled".to_owned())
    }

    fn transient(class: &'static str, text: String) -> Self {
        Failed { fault: Fault::Transient, class, text, after: None }
    }

    fn of(error: Box<dyn StdError + Send + Sync>) -> Self {
        match error.downcast::<Carried>() {
            Ok(carried) => {
                let JobError { fault, class, after, .. } = carried.0;
                Failed { fault, class, text: carried.0.to_string(), after }
            }
            // Not one of ours: an extractor or a foreign handler. Counted, so that it cannot go on for ever.
            Err(other) => Failed::transient("error", chain(&*other)),
        }
    }
}

fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What becomes of the row. The numbers are the statement's: below 10 the job ends with that outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub(crate) enum Turn {
    Completed = 0,
    Discarded = 1,
    Cancelled = 2,
    Superseded = 3,
    Retry = 10,
    RetryUncounted = 11,
    Snooze = 12,
    HandBack = 13,
}

/// The change of one row, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transition {
    pub(crate) turn: Turn,
    pub(crate) delay_ms: i64,
    pub(crate) reason: String,
    pub(crate) class: String,
    pub(crate) error: String,
}

/// Longest error text kept with an attempt, in characters; the job row keeps 200.
pub(crate) const ERROR_CHARS_MAX: usize = 4000;

impl Transition {
    pub(crate) fn plain(turn: Turn) -> Self {
        Transition { turn, delay_ms: 0, reason: String::new(), class: String::new(), error: String::new() }
    }

    pub(crate) fn discard(reason: &str, class: &str, error: &str) -> Self {
        Transition {
            reason: clean(reason),
            class: clean(class),
            error: clean(error),
            ..Transition::plain(Turn::Discarded)
        }
    }

    /// The error with everything that differs from case to case taken out; equal errors make equal fingerprints.
    pub(crate) fn template(&self) -> String {
        if self.class.is_empty() { String::new() } else { fingerprint::template(&self.class, &self.error) }
    }

    /// The word of the attempt's outcome.
    pub(crate) fn word(&self) -> &'static str {
        match self.turn {
            Turn::Completed => "completed",
            Turn::Discarded => "discarded",
            Turn::Cancelled => "cancelled",
            Turn::Superseded | Turn::Retry | Turn::RetryUncounted => "failed",
            Turn::Snooze => "snoozed",
            Turn::HandBack => "handed_back",
        }
    }

    /// The job ends with this transition.
    pub(crate) fn is_end(&self) -> bool {
        (self.turn as i16) < 10
    }
}

/// Cuts what a text column cannot hold: a NUL would make every batch with this row fail for ever.
fn clean(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(ERROR_CHARS_MAX).collect()
}

/// What the decision needs to know about the attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) attempt: i32,
    pub(crate) max_attempts: i32,
    pub(crate) age: Duration,
    /// Least delay of a snooze that is not zero.
    pub(crate) snooze_min: Duration,
    /// Random number in `0.0..=1.0`.
    pub(crate) jitter: f64,
}

/// Decides what the verdict makes of the row; `None` when nothing is to be written.
pub(crate) fn decide(verdict: Verdict, facts: Facts, policy: &RetryPolicy) -> Option<Transition> {
    Some(match verdict {
        Verdict::Nothing | Verdict::Outcome(Outcome::Settled) => return None,
        Verdict::Outcome(Outcome::Completed) => Transition::plain(Turn::Completed),
        Verdict::Outcome(Outcome::CompletedAs(reason)) => {
            Transition { reason: clean(&reason), ..Transition::plain(Turn::Completed) }
        }
        Verdict::Outcome(Outcome::Snooze(after)) => {
            let after = if after.is_zero() { after } else { after.max(facts.snooze_min) };
            Transition { delay_ms: millis(after), ..Transition::plain(Turn::Snooze) }
        }
        Verdict::Outcome(Outcome::Discard(reason)) => Transition::discard(&reason, "", ""),
        Verdict::Outcome(Outcome::HandBack) => Transition::plain(Turn::HandBack),
        Verdict::Cancelled(reason) => Transition { reason: clean(&reason), ..Transition::plain(Turn::Cancelled) },
        Verdict::Failed(failed) => fail(&failed, facts, policy),
    })
}

fn fail(failed: &Failed, facts: Facts, policy: &RetryPolicy) -> Transition {
    // The row's cap wins over the policy's, so that it can be changed for one job.
    let policy = RetryPolicy { attempts_max: u32::try_from(facts.max_attempts).unwrap_or(1).max(1), ..*policy };
    let failure = Failure {
        attempt: u32::try_from(facts.attempt).unwrap_or(1).max(1),
        age: facts.age,
        fault: failed.fault,
        class: failed.class,
        retry_after: failed.after,
    };
    let (class, error) = (clean(failed.class), clean(&failed.text));
    match retry::decide(&policy, failure, facts.jitter) {
        Decision::Retry { after, counted } => {
            let turn = if counted { Turn::Retry } else { Turn::RetryUncounted };
            Transition { delay_ms: millis(after), class, error, ..Transition::plain(turn) }
        }
        Decision::Discard => {
            let reason = if failed.fault == Fault::Permanent { class.clone() } else { "attempts".into() };
            Transition { reason, class, error, ..Transition::plain(Turn::Discarded) }
        }
        Decision::Cancelled => Transition { reason: class.clone(), class, error, ..Transition::plain(Turn::Cancelled) },
    }
}

fn millis(wait: Duration) -> i64 {
    i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(result: Result<Outcome, JobError>) -> End {
        End::Ran(result.map_err(Into::into))
    }

    fn failing(fault: Fault) -> JobError {
        JobError::new(fault, "storage", std::io::Error::other("503")).context("put object")
    }

    const POLICY: RetryPolicy = RetryPolicy { uncounted: &["storage"], ..RetryPolicy::DEFAULT };

    /// The whole way from the handler's end to the row, in one line.
    #[track_caller]
    fn check(end: End, stop: Option<Stop>, attempt: i32, want: &str) {
        check_with(end, stop, attempt, &RetryPolicy::DEFAULT, want);
    }

    #[track_caller]
    fn check_with(end: End, stop: Option<Stop>, attempt: i32, policy: &RetryPolicy, want: &str) {
        let facts = Facts {
            attempt,
            max_attempts: 3,
            age: Duration::ZERO,
            snooze_min: Duration::from_millis(100),
            jitter: 1.0,
        };
        let got = decide(settle(end, stop.as_ref(), false), facts, policy).map_or_else(
            || "nothing".to_owned(),
            |t| format!("{:?} {} [{}] [{}] [{}]", t.turn, t.delay_ms, t.reason, t.class, t.error),
        );
        assert_eq!(got, want);
    }

    #[test]
    fn handlers_end_as_they_say() {
        check(ran(Ok(Outcome::Completed)), None, 1, "Completed 0 [] [] []");
        check(ran(Ok(Outcome::CompletedAs("obsolete".into()))), None, 1, "Completed 0 [obsolete] [] []");
        check(ran(Ok(Outcome::Snooze(Duration::from_secs(9)))), None, 1, "Snooze 9000 [] [] []");
        check(ran(Ok(Outcome::Snooze(Duration::ZERO))), None, 1, "Snooze 0 [] [] []");
        check(ran(Ok(Outcome::Snooze(Duration::from_nanos(1)))), None, 1, "Snooze 100 [] [] []");
        check(ran(Ok(Outcome::Discard("no moov\0".into()))), None, 1, "Discarded 0 [no moov] [] []");
        check(ran(Ok(Outcome::Settled)), None, 1, "nothing");
        check(ran(Ok(Outcome::HandBack)), None, 1, "Snooze 1000 [] [] []");
    }

    #[test]
    fn failures_follow_class_and_attempt() {
        let text = "put object: 503";
        check(ran(Err(failing(Fault::Transient))), None, 1, &format!("Retry 1000 [] [storage] [{text}]"));
        check(ran(Err(failing(Fault::NotYet))), None, 2, &format!("Retry 2000 [] [storage] [{text}]"));
        check(ran(Err(failing(Fault::Transient))), None, 3, &format!("Discarded 0 [attempts] [storage] [{text}]"));
        check(ran(Err(failing(Fault::Permanent))), None, 1, &format!("Discarded 0 [storage] [storage] [{text}]"));
        check(ran(Err(failing(Fault::Cancelled))), None, 1, &format!("Cancelled 0 [storage] [storage] [{text}]"));
        let told = failing(Fault::Transient).after(Duration::from_secs(3600));
        check(ran(Err(told)), None, 1, &format!("Retry 3600000 [] [storage] [{text}]"));
        let uncounted = format!("RetryUncounted 4000 [] [storage] [{text}]");
        check_with(ran(Err(failing(Fault::Transient))), None, 3, &POLICY, &uncounted);
        check(End::Ran(Err("plain".into())), None, 1, "Retry 1000 [] [error] [plain]");
        check(End::Panicked("boom".into()), None, 1, "Retry 1000 [] [panic] [boom]");
        check(End::Panicked("boom".into()), None, 3, "Discarded 0 [attempts] [panic] [boom]");
    }

    #[test]
    fn being_stopped_decides_what_an_unfinished_attempt_was() {
        let cancel = || Some(Stop::Cancel("enough".into()));
        check(ran(Ok(Outcome::Completed)), cancel(), 1, "Completed 0 [] [] []");
        check(ran(Err(failing(Fault::Transient))), cancel(), 1, "Cancelled 0 [enough] [] []");
        check(End::Dropped, cancel(), 1, "Cancelled 0 [enough] [] []");
        check(ran(Ok(Outcome::HandBack)), cancel(), 1, "Cancelled 0 [enough] [] []");
        for leaving in [Stop::Drain, Stop::LeaseAtRisk] {
            check(End::Dropped, Some(leaving.clone()), 3, "HandBack 0 [] [] []");
            check(ran(Err(failing(Fault::Permanent))), Some(leaving.clone()), 1, "HandBack 0 [] [] []");
            check(ran(Ok(Outcome::HandBack)), Some(leaving.clone()), 1, "HandBack 0 [] [] []");
            check(End::Panicked("boom".into()), Some(leaving), 1, "Retry 1000 [] [panic] [boom]");
        }
        let late = "ran longer than its kind may";
        check(End::Dropped, Some(Stop::Deadline), 1, &format!("Retry 1000 [] [timeout] [{late}]"));
        check(ran(Ok(Outcome::HandBack)), Some(Stop::Deadline), 1, &format!("Retry 1000 [] [timeout] [{late}]"));
        check(End::Dropped, Some(Stop::Deadline), 3, &format!("Discarded 0 [attempts] [timeout] [{late}]"));
        for end in [ran(Ok(Outcome::Completed)), ran(Err(failing(Fault::Permanent))), End::Dropped] {
            check(end, Some(Stop::Fenced), 1, "nothing");
        }
    }

    #[test]
    fn draining_handler_may_hand_back() {
        let verdict = settle(ran(Ok(Outcome::HandBack)), None, true);
        assert_eq!(verdict, Verdict::Outcome(Outcome::HandBack));
    }

    #[test]
    fn error_says_context_and_causes_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("get manifest")]
        struct Get(#[source] std::io::Error);
        impl Classify for Get {
            fn fault(&self) -> Fault {
                Fault::Transient
            }
            fn class(&self) -> &'static str {
                "storage"
            }
        }
        let error: JobError = Get(std::io::Error::other("object not found")).into();
        let error = error.context("finalize recording");
        assert_eq!(error.to_string(), "finalize recording: get manifest: object not found");
        assert_eq!((error.fault(), error.class()), (Fault::Transient, "storage"));
        let long = Transition::discard("r", "c", &"x".repeat(10_000));
        assert_eq!(long.error.len(), ERROR_CHARS_MAX);
    }
}
