//! What the source must be watching, as it follows from what is shown. Nobody asks for a read anywhere else, so no screen
//! can forget to begin or to end one.

use super::{App, Effect, Open, Screen};
use crate::source::Ask;
use crate::source::ask::{Read, Resource, What};

/// What is shown now.
fn wanted(app: &App) -> Vec<What> {
    let recordings =
        || What::Recordings { filter: app.recordings.filter.clone(), after: None, limit: app.recordings.limit };
    let jobs = || What::Jobs { filter: app.jobs.filter.clone(), after: None, limit: app.jobs.limit };
    let mut wanted = vec![What::Numbers];
    match &app.screen {
        Screen::Recordings => {
            wanted.push(recordings());
            let beside = app.recordings.selected.clone().filter(|_| app.beside());
            wanted.extend(beside.map(What::Recording));
        }
        Screen::Jobs => {
            wanted.push(jobs());
            wanted.extend(app.jobs.selected.filter(|_| app.beside()).map(What::Job));
        }
        Screen::Recording(id) => wanted.push(What::Recording(id.clone())),
        Screen::Job(id) => wanted.push(What::Job(*id)),
        Screen::Queues => wanted.push(What::Queues),
        Screen::Workers => wanted.push(What::Workers),
    }
    wanted
}

/// Asks for what is missing and leaves what is not shown any more.
pub(super) fn settle(app: &mut App) -> Vec<Effect> {
    let wanted = wanted(app);
    let mut effects = Vec::new();
    let gone = |resource: &Resource| !wanted.iter().any(|what| what.resource() == *resource);
    let left: Vec<Resource> = app.watching.keys().copied().filter(gone).collect();
    for resource in left {
        app.watching.remove(&resource);
        effects.push(Effect::Ask(Ask::Leave(resource)));
    }
    for what in wanted {
        let resource = what.resource();
        if app.watching.get(&resource).is_some_and(|(_, watched)| *watched == what) {
            continue;
        }
        forget_other(app, &what);
        app.generation += 1;
        let read = Read { generation: app.generation, what: what.clone() };
        app.watching.insert(resource, (app.generation, what));
        effects.push(Effect::Ask(Ask::Watch(read)));
    }
    effects
}

/// What is open is not shown under the name of another.
fn forget_other(app: &mut App, what: &What) {
    match what {
        What::Recording(id) if app.recording.view.as_ref().is_none_or(|view| view.row.id != *id) => {
            app.recording = Open { tab: app.recording.tab, ..Open::default() };
        }
        What::Job(id) if app.job.view.as_ref().is_none_or(|view| view.row.id != *id) => {
            app.job = Open { tab: app.job.tab, ..Open::default() };
        }
        _ => {}
    }
}

/// The answer is to the question that was asked last about this.
pub(super) fn current(app: &App, resource: Resource, generation: u64) -> bool {
    app.watching.get(&resource).is_some_and(|(asked, _)| *asked == generation)
}

/// Has it asked for anew, although the question is the same.
pub(super) fn again(app: &mut App, resource: Resource) {
    app.watching.remove(&resource);
}
