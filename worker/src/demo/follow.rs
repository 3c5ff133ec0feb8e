//! Tells in plain text how a recording goes, one line for each change: into a log, and aloud unless a console has the
//! terminal.

use super::api::Status;
use crate::cli::output;
use anyhow::Context as _;
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Instant;

/// Remembers what it has told.
#[derive(Debug)]
pub(super) struct Teller {
    begun: Instant,
    told: RefCell<String>,
    log: File,
    quiet: Cell<bool>,
    /// Steps that were told while it was quiet.
    missed: RefCell<Vec<String>>,
}

impl Teller {
    /// Begins the clock, and a new log at `log`, readable by its owner only: the addresses in it let people watch.
    pub(super) fn new(log: &Path) -> anyhow::Result<Teller> {
        let file = File::options().create(true).write(true).truncate(true).mode(0o600).open(log);
        let log = file.with_context(|| format!("write {}", log.display()))?;
        let (told, quiet, missed) = Default::default();
        Ok(Teller { begun: Instant::now(), told, log, quiet, missed })
    }

    /// From here on the log alone hears it: one line on the screen of a console would break that screen.
    pub(super) fn hush(&self) {
        self.quiet.set(true);
    }

    /// From here on the terminal hears it again, beginning with the steps that it missed.
    pub(super) fn speak(&self) {
        self.quiet.set(false);
        self.missed.take().iter().for_each(|line| output::complain(line));
    }

    /// A step of the demo itself.
    pub(super) fn step(&self, what: &str) {
        let line = self.line(what);
        match self.quiet.get() {
            true => self.missed.borrow_mut().push(line),
            false => output::complain(&line),
        }
    }

    /// A step that the log alone keeps.
    pub(super) fn note(&self, what: &str) {
        self.line(what);
    }

    /// How the recording stands, if that is news.
    pub(super) fn status(&self, status: &Status) {
        let news = words(status);
        if news == *self.told.borrow() {
            return;
        }
        let line = self.line(&news);
        if !self.quiet.get() {
            output::complain(&line);
        }
        self.told.replace(news);
    }

    /// A line of the log.
    fn line(&self, what: &str) -> String {
        let line = format!("{}  {what}", self.clock());
        // A log that cannot be written, on a full disk for example, is no reason to stop.
        let _ = writeln!(&self.log, "{}", output::printable(&line));
        line
    }

    fn clock(&self) -> String {
        let passed_ms = self.begun.elapsed().as_millis();
        format!("{:02}:{:02}.{}", passed_ms / 60_000, passed_ms / 1000 % 60, passed_ms % 1000 / 100)
    }
}

fn words(status: &Status) -> String {
    let mut words = vec![format!("{:<10}", status.state)];
    for (track, counts) in status.tracks.iter().rev() {
        words.push(format!("{track} {} received, {} stored", counts.received.max(counts.stored), counts.stored));
    }
    // While it is live an upload comes and goes with each segment; the numbers say the same.
    if let Some(job) = status.job.as_ref().filter(|_| status.state != "live") {
        let far = job.pct.map(|pct| format!(" {pct:.0} %")).unwrap_or_default();
        words.push(format!("{} {}{far}", job.kind, job.state));
    }
    if !status.gaps.is_empty() {
        words.push(format!("{} gaps", status.gaps.len()));
    }
    if let Some(error) = &status.error {
        words.push(format!("{}: {}", error.code, error.message));
    }
    words.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_what_came_what_is_stored_and_what_runs() {
        let json = r#"{"state":"finalizing","owner_id":"demo","plan_version":1,
            "tracks":{"video":{"received":3,"stored":3},"audio":{"received":3,"stored":2}},
            "job":{"kind":"mux","state":"running","pct":41.6},"result":null,"error":null}"#;
        let status: Status = serde_json::from_str(json).unwrap();
        assert_eq!(
            words(&status),
            "finalizing  video 3 received, 3 stored  audio 3 received, 2 stored  mux running 42 %"
        );
    }
}
