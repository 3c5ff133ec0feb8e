//! Where a job stands: the state of a live one, or the outcome of one that has ended (`CONTRACTS §5`).

use std::fmt;

/// State of a live job, or outcome of an ended one. No word means both, so one list holds them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Waits for something else than time.
    Pending,
    /// Its time has not come.
    Scheduled,
    /// May be claimed now.
    Available,
    /// An attempt runs.
    Running,
    /// Failed, and runs again at its time.
    Retryable,
    /// Ended: done.
    Completed,
    /// Ended: given up, a person must look.
    Discarded,
    /// Ended: stopped by a person.
    Cancelled,
    /// Ended: gave way to a newer job of its key.
    Superseded,
}

impl Standing {
    /// The states of live jobs, in the order of their numbers in the rows.
    pub const LIVE: [Standing; 5] =
        [Standing::Pending, Standing::Scheduled, Standing::Available, Standing::Running, Standing::Retryable];

    /// The outcomes of ended jobs, in the order of their numbers in the rows.
    pub const ENDED: [Standing; 4] =
        [Standing::Completed, Standing::Discarded, Standing::Cancelled, Standing::Superseded];

    /// Every standing, live ones first.
    pub fn all() -> impl Iterator<Item = Standing> {
        Standing::LIVE.into_iter().chain(Standing::ENDED)
    }

    /// The word that people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Pending => "pending",
            Standing::Scheduled => "scheduled",
            Standing::Available => "available",
            Standing::Running => "running",
            Standing::Retryable => "retryable",
            Standing::Completed => "completed",
            Standing::Discarded => "discarded",
            Standing::Cancelled => "cancelled",
            Standing::Superseded => "superseded",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Standing> {
        Standing::all().find(|standing| standing.as_str() == word)
    }

    /// The job still has a row among the live ones.
    pub fn is_live(self) -> bool {
        Standing::LIVE.contains(&self)
    }

    /// The number in the rows: of the state while live, of the outcome afterwards.
    pub fn number(self) -> i16 {
        match self {
            Standing::Pending | Standing::Completed => 0,
            Standing::Scheduled | Standing::Discarded => 1,
            Standing::Available | Standing::Cancelled => 2,
            Standing::Running | Standing::Superseded => 3,
            Standing::Retryable => 4,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_those_of_the_rows() {
        for (list, live) in [(&Standing::LIVE[..], true), (&Standing::ENDED[..], false)] {
            for (at, standing) in list.iter().enumerate() {
                assert_eq!(usize::try_from(standing.number()), Ok(at));
                assert_eq!((Standing::parse(standing.as_str()), standing.is_live()), (Some(*standing), live));
            }
        }
        assert_eq!(Standing::parse("live"), None);
    }
}
