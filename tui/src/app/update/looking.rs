//! What is shown and how: order, freeze, pace, copies.

use crate::app::{App, Effect, Screen, Tone, watch};
use crate::keys::Action;
use crate::source::Ask;
use crate::source::ask::Resource;

/// Most that is sent to a clipboard, in bytes: more than that some terminals drop without a word.
const COPY_MAX: usize = 74_000;

/// Sorts by the next column. Back in the first order the rows are needed as they come.
pub(super) fn sort(app: &mut App) {
    let resource = match app.screen {
        Screen::Recordings => {
            app.recordings.next_sort();
            (app.recordings.sort == 0).then_some(Resource::Recordings)
        }
        Screen::Jobs => {
            app.jobs.next_sort();
            (app.jobs.sort == 0).then_some(Resource::Jobs)
        }
        Screen::Queues => {
            app.queues.next_sort();
            (app.queues.sort == 0).then_some(Resource::Queues)
        }
        Screen::Workers => {
            app.workers.next_sort();
            (app.workers.sort == 0).then_some(Resource::Workers)
        }
        Screen::Recording(_) | Screen::Job(_) => None,
    };
    if let Some(resource) = resource {
        watch::again(app, resource);
    }
    super::moving::settle(app);
}

/// Holds the screen still, or lets it go on.
pub(super) fn freeze(app: &mut App) {
    if app.frozen.is_some() {
        return thaw(app);
    }
    app.frozen = Some(app.now);
    match app.screen {
        Screen::Recordings => app.recordings.freeze(),
        Screen::Jobs => app.jobs.freeze(),
        Screen::Queues => app.queues.freeze(),
        Screen::Workers => app.workers.freeze(),
        // What is open has one view, which is held in its own place.
        Screen::Recording(_) | Screen::Job(_) => {}
    }
}

/// Shows what has come meanwhile.
pub(super) fn thaw(app: &mut App) {
    app.frozen = None;
    app.recordings.thaw();
    app.jobs.thaw();
    app.queues.thaw();
    app.workers.thaw();
    if let Some(view) = app.recording.held.take() {
        super::told::show_recording(app, view);
    }
    if let Some(view) = app.job.held.take() {
        app.job.view = Some(view);
    }
    super::moving::settle(app);
}

/// Looks more or less often.
pub(super) fn pace(app: &mut App) -> Vec<Effect> {
    app.pace = app.pace.next();
    vec![Effect::Ask(Ask::Pace(app.pace))]
}

/// Sends something to the terminal's clipboard. Whether it takes it nobody can know.
pub(super) fn copy(app: &mut App, action: Action) -> Vec<Effect> {
    let (what, text) = match action {
        Action::CopyId => ("id", app.chosen_id()),
        _ => {
            let done = app.toast.as_ref().and_then(|toast| toast.command.as_ref()).map(ToString::to_string);
            ("command", Some(done.unwrap_or_else(|| app.command_here())))
        }
    };
    match text {
        Some(text) if text.len() <= COPY_MAX => {
            app.say(Tone::Note, format!("{what} sent to the terminal: {text}"));
            vec![Effect::Copy(text)]
        }
        Some(_) => {
            app.say(Tone::Bad, "too long for a clipboard");
            Vec::new()
        }
        None => Vec::new(),
    }
}

impl App {
    /// The command that tells about what is selected, or else about the screen.
    pub fn command_here(&self) -> String {
        let selected = self.leads_to().filter(|place| !place.screen.is_list());
        selected.unwrap_or_else(|| self.place()).command()
    }
}
