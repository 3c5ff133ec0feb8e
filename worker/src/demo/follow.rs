//! Tells in plain text how a recording goes, one line for each change.

use super::api::Status;
use crate::cli::output;
use std::time::Instant;

/// Remembers what it has told.
#[derive(Debug)]
pub(super) struct Teller {
    begun: Instant,
    told: String,
}

impl Teller {
    /// Begins the clock.
    pub(super) fn new() -> Teller {
        Teller { begun: Instant::now(), told: String::new() }
    }

    /// A step of the demo itself.
    pub(super) fn step(&self, what: &str) {
        output::complain(&format!("{}  {what}", self.clock()));
    }

    /// How the recording stands, if that is news.
    pub(super) fn status(&mut self, status: &Status) {
        let line = line(status);
        if line != self.told {
            self.step(&line);
            self.told = line;
        }
    }

    fn clock(&self) -> String {
        let passed_ms = self.begun.elapsed().as_millis();
        format!("{:02}:{:02}.{}", passed_ms / 60_000, passed_ms / 1000 % 60, passed_ms % 1000 / 100)
    }
}

fn line(status: &Status) -> String {
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
    fn line_says_what_came_what_is_stored_and_what_runs() {
        let json = r#"{"state":"finalizing","owner_id":"demo","plan_version":1,
            "tracks":{"video":{"received":3,"stored":3},"audio":{"received":3,"stored":2}},
            "job":{"kind":"mux","state":"running","pct":41.6},"result":null,"error":null}"#;
        let status: Status = serde_json::from_str(json).unwrap();
        assert_eq!(
            line(&status),
            "finalizing  video 3 received, 3 stored  audio 3 received, 2 stored  mux running 42 %"
        );
    }
}
