//! From screen to screen.

use super::moving;
use crate::app::{App, Effect, Place, Screen, rows_at_first};
use crate::keys::Action;
use crate::source::clean::Clean;
use domain::filter::{Filter, List as Of};
use domain::id::RecordingId;

/// The longest way back that is kept.
const TRAIL_MAX: usize = 32;

impl App {
    /// Where `open` leads with what is selected.
    pub fn leads_to(&self) -> Option<Place> {
        let jobs_where = |filter: String| Place { screen: Screen::Jobs, filter };
        match &self.screen {
            Screen::Recordings => {
                Some(Place { screen: Screen::Recording(self.recordings.selected.clone()?), filter: String::new() })
            }
            Screen::Jobs => Some(Place { screen: Screen::Job(self.jobs.selected?), filter: String::new() }),
            Screen::Recording(_) if self.recording.tab == 0 => {
                Some(Place { screen: Screen::Job(self.chosen_job()?.id), filter: String::new() })
            }
            Screen::Recording(_) | Screen::Job(_) => None,
            Screen::Queues => self.queues.current().map(|queue| jobs_where(format!("queue:{}", queue.name))),
            Screen::Workers => {
                self.workers.current().map(|worker| jobs_where(format!("state:running worker:{}", worker.name)))
            }
        }
    }

    /// The recording that the job is about.
    pub fn recording_of_job(&self) -> Option<RecordingId> {
        let Screen::Job(_) = self.screen else { return None };
        self.chosen_job()?.subject.as_ref()?.as_str().parse().ok()
    }

    /// The id of what is selected, as text.
    pub fn chosen_id(&self) -> Option<String> {
        match &self.screen {
            Screen::Recordings => self.recordings.selected.as_ref().map(RecordingId::to_string),
            Screen::Recording(id) => {
                let job = self.chosen_job().filter(|_| self.recording.tab == 0);
                Some(job.map_or_else(|| id.to_string(), |job| job.id.to_string()))
            }
            Screen::Jobs => self.jobs.selected.map(|id| id.to_string()),
            Screen::Job(id) => Some(id.to_string()),
            Screen::Queues => self.queues.selected.clone(),
            Screen::Workers => self.workers.selected.map(|id| id.to_string()),
        }
    }
}

/// The first screen. From one recording or job, `back` leads to its list.
pub(super) fn start(app: &mut App, place: &Place) {
    match place.screen {
        Screen::Job(_) => app.screen = Screen::Jobs,
        Screen::Recordings | Screen::Recording(_) | Screen::Jobs | Screen::Queues | Screen::Workers => {}
    }
    match place.screen {
        Screen::Recording(_) | Screen::Job(_) => go(app, place),
        Screen::Recordings | Screen::Jobs | Screen::Queues | Screen::Workers => {
            go(app, place);
            app.trail.clear();
        }
    }
}

/// Into what is selected, or back.
pub(super) fn step(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Open => {
            if let Some(place) = app.leads_to() {
                go(app, &place);
            }
        }
        Action::Recording => {
            if let Some(id) = app.recording_of_job() {
                go(app, &Place { screen: Screen::Recording(id), filter: String::new() });
            }
        }
        _ => match app.trail.pop() {
            Some(screen) => show(app, screen),
            None => return vec![Effect::Quit],
        },
    }
    Vec::new()
}

/// To one of the lists.
pub(super) fn screen(app: &mut App, action: Action) {
    let screen = match action {
        Action::Jobs => Screen::Jobs,
        Action::Queues => Screen::Queues,
        Action::Workers => Screen::Workers,
        _ => Screen::Recordings,
    };
    if app.screen != screen {
        app.trail.push(std::mem::replace(&mut app.screen, Screen::Recordings));
        show(app, screen);
    }
}

/// To a place, with its filter.
pub(super) fn go(app: &mut App, place: &Place) {
    let filtered = !place.filter.is_empty() || (place.screen == app.screen && place.screen.is_list());
    if filtered && let Err(why) = filter(app, &place.screen, &place.filter) {
        app.say(crate::app::Tone::Bad, why);
    }
    if place.screen != app.screen {
        let from = std::mem::replace(&mut app.screen, Screen::Recordings);
        app.trail.push(from);
        show(app, place.screen.clone());
    }
}

/// Narrows a list down by what was typed; what is wrong with it is the error.
pub(super) fn filter(app: &mut App, screen: &Screen, text: &str) -> Result<(), Clean> {
    let text = text.trim();
    let first = rows_at_first(app.size);
    match screen {
        Screen::Recordings => {
            let filter = Filter::parse(text, Of::Recordings).map_err(|refusal| Clean::new(refusal.to_string()))?;
            if filter != app.recordings.filter {
                app.recordings.filter = filter;
                app.recordings.clear(first);
            }
            app.recordings.filter_text = text.to_owned();
        }
        Screen::Jobs => {
            let filter = Filter::parse(text, Of::Jobs).map_err(|refusal| Clean::new(refusal.to_string()))?;
            if filter != app.jobs.filter {
                app.jobs.filter = filter;
                app.jobs.clear(first);
            }
            app.jobs.filter_text = text.to_owned();
        }
        Screen::Recording(_) | Screen::Job(_) | Screen::Queues | Screen::Workers => {}
    }
    Ok(())
}

/// Shows a screen. What was frozen goes on: it was the screen before that the person wanted to hold still.
fn show(app: &mut App, screen: Screen) {
    super::looking::thaw(app);
    app.screen = screen;
    if app.trail.len() > TRAIL_MAX {
        app.trail.remove(0);
    }
    moving::settle(app);
}
