//! What people type to narrow a list down: `state:discarded queue:mux rec:9f3* err:"SlowDown" attempt:>=3 -queue:preview`.
//!
//! One grammar for console and command line. A filter is a list of terms that must all hold; a term names a qualifier and
//! what it asks for. Text becomes a [`Filter`] here and never goes further; which index answers it is asked here too, and
//! what none answers is refused with the reason.

use crate::recording;
use crate::standing::Standing;
use std::time::Duration;

/// Which list is narrowed down: the words after `state:` differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// Jobs.
    Jobs,
    /// Recordings.
    Recordings,
}

/// A parsed filter; the empty one lets everything through.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Filter {
    /// Terms that must all hold, in the order in which they were typed.
    pub terms: Vec<Term>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Term {
    /// It must not hold.
    pub negated: bool,
    /// The condition.
    pub test: Test,
}

/// What a term asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Test {
    /// `state:` of a job: any of these; never empty.
    Standing(Vec<Standing>),
    /// `state:` of a recording: any of these; never empty.
    State(Vec<recording::State>),
    /// `queue:` by its name.
    Queue(String),
    /// `kind:` by its name.
    Kind(String),
    /// `rec:` the recording a job is about, or the recording itself.
    Recording(Pattern),
    /// `owner:` by its id.
    Owner(String),
    /// `err:` text within the last error, whatever the case.
    Error(String),
    /// `attempt:` number of the last attempt.
    Attempt(Compare, u32),
    /// `age:` time since it was made.
    Age(Compare, Duration),
    /// `worker:` beginning of the worker's id or the name of its pod.
    Worker(String),
}

/// A whole text, or how it begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// The whole text.
    Exact(String),
    /// Its beginning; written with `*` at the end.
    Prefix(String),
}

/// How a number is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compare {
    /// `=`
    Equal,
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}
