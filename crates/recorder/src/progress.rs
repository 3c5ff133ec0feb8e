//! Progress: one moving line on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use recorder::{Notice, Observer, Report};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Shows what a recording tells.
pub(crate) struct Progress {
    shown: Arc<Mutex<Shown>>,
}

#[derive(Default)]
struct Shown {
    line: Option<ProgressBar>,
    plain: bool,
    reached: Duration,
    made: BTreeMap<&'static str, u64>,
    sent: BTreeMap<&'static str, u64>,
    sent_bytes: u64,
    retries: u64,
}

impl Progress {
    /// Nothing is shown when the output is for a machine and nobody looks.
    pub(crate) fn new(json: bool) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        let line = terminal.then(|| {
            let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
            line.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is a constant"));
            line.enable_steady_tick(Duration::from_millis(200));
            line
        });
        Progress { shown: Arc::new(Mutex::new(Shown { line, plain: !terminal && !json, ..Shown::default() })) }
    }

    /// What a session tells, comes here.
    pub(crate) fn observer(&self) -> Observer {
        let shown = Arc::clone(&self.shown);
        Arc::new(move |notice| shown.lock().unwrap_or_else(PoisonError::into_inner).take(notice))
    }

    /// Leaves the terminal as it was.
    pub(crate) fn finish(&self) {
        if let Some(line) = self.shown.lock().unwrap_or_else(PoisonError::into_inner).line.take() {
            line.finish_and_clear();
        }
    }
}

impl Shown {
    fn take(&mut self, notice: Notice) {
        let plain = match notice {
            Notice::Made { track, name, reached, .. } => {
                self.reached = self.reached.max(reached);
                *self.made.entry(track.as_str()).or_default() += u64::from(name.index() > 0);
                None
            }
            Notice::Sent { track, name, size_bytes } => {
                *self.sent.entry(track.as_str()).or_default() += u64::from(name.index() > 0);
                self.sent_bytes += size_bytes;
                Some(format!("sent {track}/{name} ({size_bytes} bytes)"))
            }
            Notice::Retry { operation, attempt, after, fault } => {
                self.retries += 1;
                Some(format!("{operation}: attempt {attempt} failed, again in {:.1} s: {fault}", after.as_secs_f64()))
            }
            Notice::SourceEnded => Some(format!("source ended at {}", clock(self.reached))),
        };
        match (&self.line, plain) {
            (Some(line), _) => line.set_message(self.message()),
            (None, Some(text)) if self.plain => super::say(&text),
            (None, _) => {}
        }
    }

    fn message(&self) -> String {
        let counts = self.made.iter().map(|(track, made)| match self.sent.get(track) {
            Some(sent) => format!(" · {track} {sent}/{made} sent"),
            None => format!(" · {track} {made}"),
        });
        let retries = if self.retries > 0 { format!(" · {} retries", self.retries) } else { String::new() };
        let size = indicatif::HumanBytes(self.sent_bytes);
        format!("{} recorded{} · {size}{retries}", clock(self.reached), counts.collect::<String>())
    }
}

/// The last line for a person.
pub(crate) fn summary(report: &Report) -> String {
    let tracks = report.tracks.iter().map(|(track, made)| format!(", {} {track} segments", made.segments));
    let bytes = report.tracks.values().map(|track| track.bytes).sum();
    let declared = if report.declared { ", all sent and the end declared" } else { "" };
    let completed = report.completed.iter().map(|answer| format!(", result {answer}")).collect::<String>();
    format!(
        "recorded {}{}, {}{declared}{completed}",
        clock(Duration::from_millis(report.duration_ms)),
        tracks.collect::<String>(),
        indicatif::HumanBytes(bytes),
    )
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
