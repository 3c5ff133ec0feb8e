//! Where one can be, as text: `recordings`, `jobs?state:retryable&queue:mux`, `jobs/<id>`. The same text starts the
//! program there, goes there from the palette and is what a person hands on.

use super::shell;
use domain::id::RecordingId;
use std::fmt;
use uuid::Uuid;

/// A screen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Screen {
    /// The list of recordings.
    #[default]
    Recordings,
    /// One recording.
    Recording(RecordingId),
    /// The list of jobs.
    Jobs,
    /// One job.
    Job(Uuid),
    /// The list of queues.
    Queues,
    /// The list of workers.
    Workers,
}

impl Screen {
    /// It is a list.
    pub fn is_list(&self) -> bool {
        match self {
            Screen::Recordings | Screen::Jobs | Screen::Queues | Screen::Workers => true,
            Screen::Recording(_) | Screen::Job(_) => false,
        }
    }

    /// The word that the path begins with.
    pub fn word(&self) -> &'static str {
        match self {
            Screen::Recordings | Screen::Recording(_) => "recordings",
            Screen::Jobs | Screen::Job(_) => "jobs",
            Screen::Queues => "queues",
            Screen::Workers => "workers",
        }
    }
}

/// A screen with the filter of its list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The screen.
    pub screen: Screen,
    /// The filter as it is typed; empty where there is none.
    pub filter: String,
}

/// No place is called that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoPlace(String);

impl Place {
    /// Reads a path.
    ///
    /// # Errors
    /// There is no such screen, or the id cannot be one.
    pub fn parse(path: &str) -> Result<Place, NoPlace> {
        let (place, filter) = path.split_once('?').unwrap_or((path, ""));
        let (word, id) = place.split_once('/').unwrap_or((place, ""));
        let screen = match (word, id) {
            ("recordings" | "", "") => Screen::Recordings,
            ("jobs", "") => Screen::Jobs,
            ("queues", "") => Screen::Queues,
            ("workers", "") => Screen::Workers,
            ("recordings", id) => Screen::Recording(id.parse().map_err(|error| NoPlace(format!("{error}")))?),
            ("jobs", id) => Screen::Job(id.parse().map_err(|_| NoPlace(format!("{id} is no id of a job")))?),
            _ => {
                let places = "recordings, recordings/<id>, jobs, jobs?state:discarded, jobs/<id>, queues, workers";
                return Err(NoPlace(format!("there is no place {path}; there are {places}")));
            }
        };
        if !filter.is_empty() && !matches!(screen, Screen::Recordings | Screen::Jobs) {
            return Err(NoPlace(format!("{place} takes no filter")));
        }
        Ok(Place { screen, filter: filter.replace('&', " ") })
    }

    /// The command that tells the same without a terminal, ready for a shell.
    pub fn command(&self) -> String {
        match &self.screen {
            Screen::Recordings => self.list("spool recording ls"),
            Screen::Recording(id) => format!("spool recording show {}", shell::quote(id.as_str())),
            Screen::Jobs => self.list("spool job ls"),
            Screen::Job(id) => format!("spool job show {id}"),
            Screen::Queues => "spool queue ls".to_owned(),
            Screen::Workers => "spool worker ls".to_owned(),
        }
    }

    /// The terms that the command line knows become its options; it has no others.
    fn list(&self, command: &str) -> String {
        let mut line = command.to_owned();
        for term in self.filter.split_whitespace() {
            let option = match (term.split_once(':'), &self.screen) {
                (Some(("state", value)), _) => Some(("--state", value)),
                (Some(("owner", value)), Screen::Recordings) => Some(("--owner", value)),
                (Some(("queue", value)), Screen::Jobs) => Some(("--queue", value)),
                (Some(("kind", value)), Screen::Jobs) => Some(("--kind", value)),
                (Some(("rec", value)), Screen::Jobs) if !value.ends_with('*') => Some(("--recording", value)),
                _ => None,
            };
            if let Some((option, value)) = option {
                line.push_str(&format!(" {option} {}", shell::quote(value)));
            }
        }
        line
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.screen.word())?;
        match &self.screen {
            Screen::Recording(id) => write!(f, "/{id}")?,
            Screen::Job(id) => write!(f, "/{id}")?,
            Screen::Recordings | Screen::Jobs | Screen::Queues | Screen::Workers => {}
        }
        if !self.filter.is_empty() {
            write!(f, "?{}", self.filter.split_whitespace().collect::<Vec<_>>().join("&"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written() {
        let job = Uuid::from_u128(7);
        for (path, command) in [
            ("recordings".to_owned(), "spool recording ls".to_owned()),
            (
                "recordings?state:failed&owner:eu-7".to_owned(),
                "spool recording ls --state failed --owner eu-7".to_owned(),
            ),
            ("recordings/r-1".to_owned(), "spool recording show r-1".to_owned()),
            (
                "jobs?state:retryable&queue:mux&age:>10m".to_owned(),
                "spool job ls --state retryable --queue mux".to_owned(),
            ),
            (format!("jobs/{job}"), format!("spool job show {job}")),
            ("queues".to_owned(), "spool queue ls".to_owned()),
            ("workers".to_owned(), "spool worker ls".to_owned()),
        ] {
            let place = Place::parse(&path).unwrap();
            assert_eq!((place.to_string(), place.command()), (path, command));
        }
        assert_eq!(Place::parse("").unwrap(), Place::default());
        for path in ["nowhere", "jobs/7", "recordings/a b", "queues?state:x", "queues/mux"] {
            assert!(Place::parse(path).is_err(), "{path}");
        }
    }
}
