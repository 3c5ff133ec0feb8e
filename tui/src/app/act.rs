//! What is done to what: the command that a key means on what is selected, or why it means none.

use super::{App, Screen};
use crate::keys::Action;
use crate::source::clean::Clean;
use crate::source::rows::{JobRow, RecordingRow};
use domain::job::Verb as Wish;
use domain::recording::may_wish;
use queue::operate::{Command, Verb};
use std::time::Duration;
use uuid::Uuid;

/// Something that was done and is not answered yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// Its number.
    pub id: Uuid,
    /// What.
    pub command: Command,
}

/// For how long a job is put off when nothing is said.
pub(super) const SNOOZE: Duration = Duration::from_secs(600);

impl App {
    /// The job that a key would be about.
    pub fn chosen_job(&self) -> Option<&JobRow> {
        match &self.screen {
            Screen::Jobs => self.jobs.current(),
            Screen::Job(_) => self.job.view.as_ref().map(|view| &view.row),
            Screen::Recording(_) => {
                let jobs = &self.recording.view.as_ref()?.jobs;
                jobs.iter().find(|job| Some(job.id) == self.recording.selected)
            }
            Screen::Recordings | Screen::Queues | Screen::Workers => None,
        }
    }

    /// The recording that a wish would be about.
    fn chosen_recording(&self) -> Option<&RecordingRow> {
        match &self.screen {
            Screen::Recordings => self.recordings.current(),
            Screen::Recording(_) => self.recording.view.as_ref().map(|view| &view.row),
            Screen::Jobs | Screen::Job(_) | Screen::Queues | Screen::Workers => None,
        }
    }

    /// The change that an action means here; none where it means none, whether armed or not.
    pub fn command(&self, action: Action) -> Option<Command> {
        let job = |verb: Verb| self.chosen_job().filter(|job| verb.allows(job.standing)).map(|job| job.id);
        match action {
            Action::Retry => job(Verb::Retry).map(Command::Retry),
            Action::RunNow => job(Verb::RunNow).map(Command::RunNow),
            Action::Snooze => job(Verb::Snooze).map(|job| Command::Snooze(job, SNOOZE)),
            Action::Cancel => job(Verb::Cancel).map(Command::Cancel),
            Action::Discard => job(Verb::Discard).map(Command::Discard),
            Action::Pause => {
                let queue = self.queues.current().filter(|_| self.screen == Screen::Queues)?;
                let name = queue.name.as_str().to_owned();
                Some(if queue.paused.is_some() { Command::Resume(name) } else { Command::Pause(name) })
            }
            Action::Drain => {
                let worker = self.workers.current().filter(|_| self.screen == Screen::Workers)?;
                (!worker.draining).then_some(Command::Drain(worker.id))
            }
            other => {
                let (wish, row) = (other.wish()?, self.chosen_recording()?);
                may_wish(row.state, wish, row.provisional).then(|| Command::Recording(row.id.clone(), wish))
            }
        }
    }
}

/// The question before a command, and what it means.
pub(super) fn question(command: &Command, name: &str) -> (Clean, Clean) {
    let (question, consequence) = match command {
        Command::Cancel(_) => (format!("Cancel {name}?"), "A running attempt is asked to stop; retry brings it back."),
        Command::Discard(_) => (format!("Discard {name}?"), "It is given up; retry brings it back."),
        Command::Delete(_) => (format!("Delete {name}?"), "It is gone for good, with its history."),
        Command::Pause(_) => (format!("Pause {name}?"), "Nothing new starts until it is resumed; what runs goes on."),
        Command::Resume(_) => (format!("Resume {name}?"), "What waits may start at once."),
        Command::Limit(..) => (format!("Limit {name}?"), "It holds for every worker at once."),
        Command::Drain(_) => (format!("Drain {name}?"), "It claims nothing more, finishes what it runs and leaves."),
        Command::Recording(_, Wish::Recheck) => (format!("Check {name} again?"), "It changes nothing by itself."),
        Command::Recording(_, Wish::Remux) => {
            (format!("Make {name} again?"), "From the same segments; until then the present result is served.")
        }
        Command::Recording(_, Wish::Reopen) => {
            (format!("Reopen {name}?"), "It takes segments again, and its end must be told anew.")
        }
        Command::Recording(_, Wish::AcceptGaps) => {
            (format!("Accept the gaps of {name}?"), "It is finished without what is missing, whatever its policy says.")
        }
        Command::Recording(_, Wish::Cancel) => {
            (format!("Give {name} up?"), "It takes nothing more in, and there will be no result.")
        }
        Command::Recording(_, Wish::Erase) => (format!("Erase {name}?"), "Nothing of it is left."),
        Command::Retry(_) | Command::RunNow(_) | Command::Snooze(..) | Command::Priority(..) => {
            (format!("{} {name}?", command.verb().name()), "")
        }
    };
    (Clean::new(question), Clean::new(consequence))
}
