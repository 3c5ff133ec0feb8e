//! What people type to narrow a list down: `state:discarded queue:mux rec:9f3* err:"SlowDown" attempt:>=3 -queue:preview`.
//!
//! One grammar for console and command line. A filter is a list of terms that must all hold; a term names a qualifier and
//! what it asks for. Text becomes a [`Filter`] here and never goes further; which index answers it is asked here too, and
//! what none answers is refused with the reason.

mod lex;
mod parse;
mod print;
mod suggest;
#[cfg(test)]
mod tests;

pub use suggest::suggest;

use crate::job::Kind;
use crate::recording;
use crate::standing::Standing;
use std::time::Duration;
use thiserror::Error;

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

/// Longest text, in bytes.
pub const TEXT_MAX: usize = 1000;
/// Most terms.
pub const TERMS_MAX: usize = 16;

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{why}")]
pub struct Refusal {
    /// Where, in bytes from the beginning.
    pub at: usize,
    /// What is wrong, for the person who typed it.
    pub why: String,
}

impl List {
    /// The qualifiers that this list knows, without their colon.
    pub fn qualifiers(self) -> &'static [&'static str] {
        match self {
            List::Jobs => &["state", "queue", "kind", "rec", "owner", "err", "attempt", "age", "worker"],
            List::Recordings => &["state", "owner", "rec", "err", "age"],
        }
    }
}

/// The words after `state:`.
fn words_of(list: List) -> Vec<&'static str> {
    match list {
        List::Jobs => Standing::all().map(Standing::as_str).collect(),
        List::Recordings => recording::State::ALL.map(recording::State::as_str).to_vec(),
    }
}

impl Test {
    /// The word before the colon.
    pub fn qualifier(&self) -> &'static str {
        match self {
            Test::Standing(_) | Test::State(_) => "state",
            Test::Queue(_) => "queue",
            Test::Kind(_) => "kind",
            Test::Recording(_) => "rec",
            Test::Owner(_) => "owner",
            Test::Error(_) => "err",
            Test::Attempt(..) => "attempt",
            Test::Age(..) => "age",
            Test::Worker(_) => "worker",
        }
    }

    /// An index finds what satisfies it. A kind belongs to one queue, whose index finds it.
    fn is_indexed(&self, list: List) -> bool {
        match (list, self) {
            (List::Jobs, Test::Standing(_) | Test::Queue(_) | Test::Recording(_)) => true,
            (List::Jobs, Test::Kind(kind)) => Kind::parse(kind).is_some(),
            (List::Recordings, Test::State(_) | Test::Owner(_) | Test::Recording(_)) => true,
            _ => false,
        }
    }
}

impl Filter {
    /// Reads what a person typed.
    ///
    /// # Errors
    /// A [`Refusal`] that says what is wrong and where: an unknown qualifier or word, a value that cannot be, two terms that
    /// nothing satisfies together, or no term that an index answers.
    pub fn parse(text: &str, list: List) -> Result<Filter, Refusal> {
        parse::parse(text, list)
    }

    /// A filter of these conditions.
    pub fn of(tests: impl IntoIterator<Item = Test>) -> Filter {
        Filter { terms: tests.into_iter().map(|test| Term { negated: false, test }).collect() }
    }

    /// It lets everything through.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// At least one term is answered by an index, so that the others are tried on a stated number of rows and not on all.
    /// A text alone is looked for within the newest rows, which is said beside the list.
    fn is_answerable(&self, list: List) -> Result<(), Refusal> {
        // All states but some are a list of states too.
        let indexed = |term: &Term| match term.test {
            Test::Standing(_) | Test::State(_) => true,
            Test::Error(_) => !term.negated,
            _ => !term.negated && term.test.is_indexed(list),
        };
        let Some(first) = self.terms.first().filter(|_| !self.terms.iter().any(indexed)) else { return Ok(()) };
        let minus = if first.negated { "-" } else { "" };
        let beside = match list {
            List::Jobs => "state:, queue:, kind: or rec:",
            List::Recordings => "state:, owner: or rec:",
        };
        let why = format!("{minus}{}: only narrows a list down; put {beside} beside it", first.test.qualifier());
        Err(Refusal { at: 0, why })
    }

    /// The tests that must hold.
    fn wanted(&self) -> impl Iterator<Item = &Test> {
        self.terms.iter().filter(|term| !term.negated).map(|term| &term.test)
    }

    /// The states and outcomes of jobs that it lets through.
    pub fn standings(&self) -> Vec<Standing> {
        let lets = |standing: &Standing| {
            self.terms.iter().all(|term| match &term.test {
                Test::Standing(asked) => asked.contains(standing) != term.negated,
                _ => true,
            })
        };
        Standing::all().filter(lets).collect()
    }

    /// The one queue it lets through, if there is one: named, or that of the named kind.
    pub fn queue(&self) -> Option<&str> {
        let named = self.wanted().find_map(|test| match test {
            Test::Queue(queue) => Some(queue.as_str()),
            _ => None,
        });
        let of_kind = || {
            self.wanted().find_map(|test| match test {
                // Tests and self-tests put this kind on any queue.
                Test::Kind(kind) => {
                    Kind::parse(kind).filter(|kind| *kind != Kind::Noop).map(|k| k.spec().queue.as_str())
                }
                _ => None,
            })
        };
        named.or_else(of_kind)
    }

    /// The recordings it lets through.
    pub fn recording(&self) -> Option<&Pattern> {
        self.wanted().find_map(|test| match test {
            Test::Recording(pattern) => Some(pattern),
            _ => None,
        })
    }

    /// The owner it lets through.
    pub fn owner(&self) -> Option<&str> {
        self.wanted().find_map(|test| match test {
            Test::Owner(owner) => Some(owner.as_str()),
            _ => None,
        })
    }

    /// The states of recordings that it lets through.
    pub fn states(&self) -> Vec<recording::State> {
        let lets = |state: &recording::State| {
            self.terms.iter().all(|term| match &term.test {
                Test::State(asked) => asked.contains(state) != term.negated,
                _ => true,
            })
        };
        recording::State::ALL.into_iter().filter(lets).collect()
    }
}
