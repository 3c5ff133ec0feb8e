//! The life of a recording: what may follow what (`CONTRACTS §4`), and who is let in on the way.

use crate::job::Verb;
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// State of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Segments come in.
    Live,
    /// Being checked, muxed and verified.
    Finalizing,
    /// A verified result exists (R-1).
    Ready,
    /// Finalizing ended without a result; an operator may try again.
    Failed,
    /// The result stays, the segments are gone or going.
    Archived,
    /// Given up by the web app or an operator.
    Cancelled,
    /// Erased; the id stays taken.
    Deleted,
}

impl State {
    /// Every state, in the order of a recording's life.
    pub const ALL: [State; 7] = [
        State::Live,
        State::Finalizing,
        State::Ready,
        State::Failed,
        State::Archived,
        State::Cancelled,
        State::Deleted,
    ];

    /// The word used in rows and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Finalizing => "finalizing",
            State::Ready => "ready",
            State::Failed => "failed",
            State::Archived => "archived",
            State::Cancelled => "cancelled",
            State::Deleted => "deleted",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a recording changes its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The completion call, or an operator's re-check of a failed recording.
    Complete,
    /// Nothing was heard beyond the bound; the end is provisional.
    Silence,
    /// A segment came after a provisional end, or a row or the declaration lies outside the frozen plan.
    LateSegment,
    /// The result was verified and published.
    Publish,
    /// Finalizing ended without a result.
    Fail,
    /// A `mux` or `manifest_check` started on a recording that was failed at its own plan version.
    Revive,
    /// The operator wants another result of the same segments.
    Remux,
    /// The operator lets more segments in.
    Reopen,
    /// `cleanup` is about to delete the segments.
    Archive,
    /// The web app or the operator gives the recording up.
    Cancel,
    /// The recording is erased.
    Erase,
}

impl Cause {
    /// Every cause, in the order of a recording's life.
    pub const ALL: [Cause; 11] = [
        Cause::Complete,
        Cause::Silence,
        Cause::LateSegment,
        Cause::Publish,
        Cause::Fail,
        Cause::Revive,
        Cause::Remux,
        Cause::Reopen,
        Cause::Archive,
        Cause::Cancel,
        Cause::Erase,
    ];
}

/// A change that the list of `CONTRACTS §4` does not contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a recording that is {from} cannot follow {cause:?}")]
pub struct WrongState {
    /// The state the recording is in.
    pub from: State,
    /// What was asked.
    pub cause: Cause,
}

/// The state that follows (R-5). `provisional` is the recording's flag, which decides about late segments.
pub fn transition(from: State, cause: Cause, provisional: bool) -> Result<State, WrongState> {
    use State::{Archived, Cancelled, Deleted, Failed, Finalizing, Live, Ready};
    let to = match (cause, from) {
        (Cause::Complete, Live | Failed) => Finalizing,
        (Cause::Silence, Live) => Finalizing,
        (Cause::LateSegment, Finalizing | Ready) if provisional => Live,
        (Cause::Publish, Finalizing) => Ready,
        (Cause::Fail, Finalizing) => Failed,
        (Cause::Revive, Failed) => Finalizing,
        (Cause::Remux, Ready) => Finalizing,
        (Cause::Reopen, Finalizing | Ready | Failed) => Live,
        (Cause::Archive, Ready) if !provisional => Archived,
        (Cause::Cancel, Live | Finalizing | Failed) => Cancelled,
        (Cause::Erase, Live | Finalizing | Ready | Failed | Archived | Cancelled) => Deleted,
        _ => return Err(WrongState { from, cause }),
    };
    Ok(to)
}

/// An operator's wish leads somewhere from this state. Whoever carries it out looks again under the row's lock; what is
/// asked here only keeps a person from asking in vain.
pub fn may_wish(state: State, verb: Verb, provisional: bool) -> bool {
    let follows = |cause| transition(state, cause, provisional).is_ok();
    match verb {
        // Gaps are accepted where they stand in the way: before the plan, or after they failed the recording.
        Verb::Recheck | Verb::AcceptGaps => state == State::Finalizing || follows(Cause::Revive),
        Verb::Remux => follows(Cause::Remux),
        Verb::Reopen => follows(Cause::Reopen),
        Verb::Cancel => follows(Cause::Cancel),
        Verb::Erase => follows(Cause::Erase),
    }
}

/// What accept needs to know of a recording, read `FOR KEY SHARE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// State of the recording.
    pub state: State,
    /// Its end came by silence and may go on.
    pub provisional: bool,
    /// The plan of its present plan version is frozen.
    pub frozen: bool,
}

/// Why accept lets nothing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Closed {
    /// The end was signalled and the plan is frozen.
    #[error("the recording has ended and its plan is frozen")]
    Ended,
    /// The segments are gone or going.
    #[error("the recording is archived")]
    Archived,
    /// Given up.
    #[error("the recording was cancelled")]
    Cancelled,
    /// Erased.
    #[error("the recording was deleted")]
    Deleted,
}

/// Whether a segment may still come in (`DESIGN §5.1`): while live, failed, finalizing before the freeze,
/// and finalizing or ready while provisional.
pub fn admit(door: Door) -> Result<(), Closed> {
    match door.state {
        State::Live | State::Failed => Ok(()),
        State::Finalizing if !door.frozen || door.provisional => Ok(()),
        State::Ready if door.provisional => Ok(()),
        State::Finalizing | State::Ready => Err(Closed::Ended),
        State::Archived => Err(Closed::Archived),
        State::Cancelled => Err(Closed::Cancelled),
        State::Deleted => Err(Closed::Deleted),
    }
}

/// Who writes the segments of a recording into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// They come through Spool's own ingest.
    #[default]
    Spool,
    /// A recorder writes them and a manifest straight into the bucket.
    Bucket,
}

impl Source {
    /// The word used in rows and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Spool => "spool",
            Source::Bucket => "bucket",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Source> {
        [Source::Spool, Source::Bucket].into_iter().find(|source| source.as_str() == text)
    }
}

/// What becomes of a recording with holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Finish, keep the timeline, record every gap, up to a share of the duration.
    #[default]
    Degrade,
    /// Fail.
    Fail,
}

impl Policy {
    /// The word used in rows and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::Degrade => "degrade",
            Policy::Fail => "fail",
        }
    }

    /// Reads the word back.
    pub fn parse(text: &str) -> Option<Policy> {
        [Policy::Degrade, Policy::Fail].into_iter().find(|policy| policy.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table as text, so that a change of one cell is seen.
    #[test]
    fn transition_is_the_list_of_the_contracts() {
        let mut text = String::new();
        for from in State::ALL {
            for cause in Cause::ALL {
                let cell = [false, true].map(|provisional| transition(from, cause, provisional).ok());
                let words = cell.map(|to| to.map_or("-", State::as_str));
                if words != ["-", "-"] {
                    let to = if words[0] == words[1] {
                        words[0].to_owned()
                    } else {
                        format!("{} | provisional: {}", words[0], words[1])
                    };
                    text += &format!("{from} {cause:?} -> {to}\n");
                }
            }
        }
        expect_test::expect![[r#"
            live Complete -> finalizing
            live Silence -> finalizing
            live Cancel -> cancelled
            live Erase -> deleted
            finalizing LateSegment -> - | provisional: live
            finalizing Publish -> ready
            finalizing Fail -> failed
            finalizing Reopen -> live
            finalizing Cancel -> cancelled
            finalizing Erase -> deleted
            ready LateSegment -> - | provisional: live
            ready Remux -> finalizing
            ready Reopen -> live
            ready Archive -> archived | provisional: -
            ready Erase -> deleted
            failed Complete -> finalizing
            failed Revive -> finalizing
            failed Reopen -> live
            failed Cancel -> cancelled
            failed Erase -> deleted
            archived Erase -> deleted
            cancelled Erase -> deleted
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn admit_lets_in_until_the_freeze_and_while_provisional() {
        let door = |state, provisional, frozen| admit(Door { state, provisional, frozen });
        assert_eq!(door(State::Live, false, false), Ok(()));
        assert_eq!(door(State::Failed, false, true), Ok(()));
        assert_eq!(door(State::Finalizing, false, false), Ok(()));
        assert_eq!(door(State::Finalizing, false, true), Err(Closed::Ended));
        assert_eq!(door(State::Finalizing, true, true), Ok(()));
        assert_eq!(door(State::Ready, true, true), Ok(()));
        assert_eq!(door(State::Ready, false, true), Err(Closed::Ended));
        assert_eq!(door(State::Archived, false, true), Err(Closed::Archived));
        assert_eq!(door(State::Cancelled, false, false), Err(Closed::Cancelled));
        assert_eq!(door(State::Deleted, true, false), Err(Closed::Deleted));
    }
}
