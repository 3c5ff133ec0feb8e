//! The selection and what is on the screen.

use crate::app::list::{List, Row};
use crate::app::{App, JOB_TABS, RECORDING_TABS, Screen};
use crate::keys::Action;
use crate::source::rows::{JobView, ROWS_MAX, RecordingView};

/// Moves by a row, a page, or to an end.
pub(super) fn step(app: &mut App, action: Action) {
    let height = app.list_height();
    match app.screen {
        Screen::Recordings => step_list(&mut app.recordings, action, height),
        Screen::Jobs => step_list(&mut app.jobs, action, height),
        Screen::Queues => step_list(&mut app.queues, action, height),
        Screen::Workers => step_list(&mut app.workers, action, height),
        Screen::Recording(_) if app.recording.tab == 0 => step_jobs(app, action, height),
        Screen::Recording(_) => {
            let lines = app.recording.view.as_ref().map_or(0, |view| lines_of_recording(view, app.recording.tab));
            app.recording.scroll = moved(app.recording.scroll, lines, action, height);
        }
        Screen::Job(_) => {
            let lines = app.job.view.as_ref().map_or(0, |view| lines_of_job(view, app.job.tab));
            app.job.scroll = moved(app.job.scroll, lines, action, height);
        }
    }
}

/// Goes to the next tab or the one before.
pub(super) fn tab(app: &mut App, next: bool) {
    let turn = |tab: usize, tabs: usize| if next { (tab + 1) % tabs } else { (tab + tabs - 1) % tabs };
    match app.screen {
        Screen::Recording(_) => {
            app.recording.tab = turn(app.recording.tab, RECORDING_TABS.len());
            app.recording.scroll = 0;
        }
        Screen::Job(_) => {
            app.job.tab = turn(app.job.tab, JOB_TABS.len());
            app.job.scroll = 0;
        }
        Screen::Recordings | Screen::Jobs | Screen::Queues | Screen::Workers => {}
    }
}

/// Puts every list where its selection is, after rows or size have changed.
pub(super) fn settle(app: &mut App) {
    let height = app.list_height();
    app.recordings.follow(height);
    app.jobs.follow(height);
    app.queues.follow(height);
    app.workers.follow(height);
}

fn step_list<R: Row>(list: &mut List<R>, action: Action, height: usize) {
    let at = moved(list.cursor, list.rows.len(), action, height);
    list.select(at);
    list.follow(height);
    // What comes next is there before the person is.
    if list.more && list.cursor + height >= list.rows.len() {
        list.limit = (list.limit * 2).min(ROWS_MAX);
    }
}

fn step_jobs(app: &mut App, action: Action, height: usize) {
    let Some(view) = &app.recording.view else { return };
    let at = view.jobs.iter().position(|job| Some(job.id) == app.recording.selected).unwrap_or(0);
    let at = moved(at, view.jobs.len(), action, height);
    app.recording.selected = view.jobs.get(at).map(|job| job.id);
    app.recording.chosen = true;
}

/// The place after a movement among `count` places.
fn moved(at: usize, count: usize, action: Action, height: usize) -> usize {
    let half = (height / 2).max(1);
    let to = match action {
        Action::Up => at.saturating_sub(1),
        Action::Down => at + 1,
        Action::PageUp => at.saturating_sub(height),
        Action::PageDown => at + height,
        Action::HalfUp => at.saturating_sub(half),
        Action::HalfDown => at + half,
        Action::Top => 0,
        Action::Bottom => usize::MAX,
        _ => at,
    };
    to.min(count.saturating_sub(1))
}

fn lines_of_recording(view: &RecordingView, tab: usize) -> usize {
    if tab == 1 { view.gaps.len() } else { view.events.len() }
}

fn lines_of_job(view: &JobView, tab: usize) -> usize {
    match tab {
        0 => 0,
        1 => view.attempts.iter().map(|attempt| 1 + attempt.error.len()).sum(),
        _ => view.payload.len() + view.checkpoint.len(),
    }
}
