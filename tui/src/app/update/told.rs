//! What the source tells.

use super::{acting, moving};
use crate::app::load::{Load, State};
use crate::app::{App, Armed, Dirty, Effect, Screen, Server, Tone, shell, watch};
use crate::source::ask::Resource;
use crate::source::clean::Clean;
use crate::source::rows::{JobRow, RecordingView};
use crate::source::told::{Acted, Answer, Arm, Body, Link, Reply, Value};
use crate::source::{Ask, Told};
use domain::standing::Standing;

/// Takes it.
pub(super) fn take(app: &mut App, told: Told) -> Vec<Effect> {
    match told {
        Told::Reply(reply) => answer(app, reply),
        Told::Acted(acted) => return done(app, acted),
        Told::Link(link) => self::link(app, link),
        Told::Arm(arm) => armed(app, arm),
    }
    Vec::new()
}

/// An answer to an older question says nothing about what is shown now.
fn answer(app: &mut App, reply: Reply) {
    if !watch::current(app, reply.resource, reply.generation) {
        return;
    }
    if let Some(now) = reply.db_now {
        app.db_clock = Some((now, app.now));
    }
    let at = app.now;
    let before = load(app, reply.resource).map(|load| load.state.clone());
    if let Some(load) = load(app, reply.resource) {
        load.took = reply.took;
        match &reply.body {
            Body::Fresh(_) | Body::Unchanged => (load.state, load.at) = (State::Fresh, Some(at)),
            Body::Gone => load.state = State::Gone,
            Body::Failed(why) => load.state = State::Failed(why.clone()),
        }
        if before.as_ref() != Some(&load.state) {
            app.touch(Dirty::Data);
        }
    }
    if let Body::Fresh(value) = reply.body {
        show(app, value);
        moving::settle(app);
        app.touch(Dirty::Data);
    }
}

fn load(app: &mut App, resource: Resource) -> Option<&mut Load> {
    match resource {
        Resource::Recordings => Some(&mut app.recordings.load),
        Resource::Recording => Some(&mut app.recording.load),
        Resource::Jobs => Some(&mut app.jobs.load),
        Resource::Job => Some(&mut app.job.load),
        Resource::Workers => Some(&mut app.workers.load),
        Resource::Queues => Some(&mut app.queues.load),
        Resource::Numbers | Resource::Count => None,
    }
}

fn show(app: &mut App, value: Value) {
    match value {
        Value::Recordings(page) => {
            (app.recordings.more, app.recordings.tried) = (page.next.is_some(), page.window);
            app.recordings.take(page.rows);
        }
        Value::Jobs(page) => {
            (app.jobs.more, app.jobs.tried) = (page.next.is_some(), page.window);
            app.jobs.take(page.rows);
        }
        Value::Workers(rows) => app.workers.take(rows),
        Value::Queues(rows) => app.queues.take(rows),
        Value::Recording(view) if app.frozen.is_some() && is_shown(app, &view) => app.recording.held = Some(view),
        Value::Recording(view) => show_recording(app, view),
        Value::Job(view) if app.frozen.is_some() && app.job.view.as_ref().is_some_and(|v| v.row.id == view.row.id) => {
            app.job.held = Some(view);
        }
        Value::Job(view) => app.job.view = Some(view),
        Value::Numbers(numbers) => app.numbers = Some(numbers),
        Value::Count(_) => {}
    }
}

fn is_shown(app: &App, view: &RecordingView) -> bool {
    app.recording.view.as_ref().is_some_and(|shown| shown.row.id == view.row.id)
}

/// Shows a recording; the selection stays on its job as long as the job is there. Nobody chose the first one, so when
/// that is done and no key can change it any more, the first one now takes its place: who only watches sees what is new.
pub(super) fn show_recording(app: &mut App, view: Box<RecordingView>) {
    let chosen = app.recording.chosen;
    let done = |standing| matches!(standing, Standing::Completed | Standing::Superseded);
    let keeps = |job: &JobRow, id| job.id == id && (chosen || !done(job.standing));
    let selected = app.recording.selected.filter(|id| view.jobs.iter().any(|job| keeps(job, *id)));
    app.recording.selected = selected.or_else(|| view.jobs.first().map(|job| job.id));
    app.recording.view = Some(view);
}

fn link(app: &mut App, link: Link) {
    if let Link::Up { place, role } = &link {
        app.server = Some(Server { place: place.clone(), role: role.clone() });
    }
    app.link = link;
    app.link_at = app.now;
    app.touch(Dirty::Now);
}

fn armed(app: &mut App, arm: Arm) {
    app.touch(Dirty::Now);
    app.armed = match arm {
        Arm::Armed { left } => Armed::Until(left.map(|left| app.now + left)),
        Arm::Disarmed => Armed::No,
        Arm::Refused(why) => {
            app.say(Tone::Bad, why);
            Armed::No
        }
    };
}

/// What became of a change; whatever is shown is read again at once.
fn done(app: &mut App, acted: Acted) -> Vec<Effect> {
    let Some(at) = app.acts.iter().position(|pending| pending.id == acted.id) else { return Vec::new() };
    let command = app.acts.remove(at).command;
    let what = acting::words(&command, &acting::name(app, &command));
    let (tone, text) = match &acted.answer {
        Answer::Done => (Tone::Done, format!("{what}: done")),
        Answer::Requested => (Tone::Done, format!("{what}: asked for")),
        Answer::Refused(why) => (Tone::Bad, format!("{what}: {why}")),
        Answer::Unknown(why) => (Tone::Bad, format!("{what}: nobody knows whether it was done ({why})")),
    };
    app.say(tone, text);
    if let Some(toast) = &mut app.toast {
        toast.command = shell::line(&command).map(Clean::from);
    }
    // A retried job leaves the ended ones and an answer under the old generation may be on its way; both are newer now.
    match app.screen {
        Screen::Recordings
        | Screen::Recording(_)
        | Screen::Jobs
        | Screen::Job(_)
        | Screen::Queues
        | Screen::Workers => {
            vec![Effect::Ask(Ask::Refresh)]
        }
    }
}
