//! Changes, and the right to make them.

use crate::app::act::{self, Pending};
use crate::app::overlay::{Confirm, Overlay};
use crate::app::{App, Armed, Effect, Tone, shell};
use crate::keys::Action;
use crate::source::Ask;
use crate::source::ask::Act;
use crate::source::clean::Clean;
use domain::job::Verb as Wish;
use queue::operate::{Command, Confirm as Level};
use std::time::Duration;
use uuid::Uuid;

/// For how long changes are allowed when nothing is said: long enough for an incident's next steps.
pub(super) const ARM: Duration = Duration::from_secs(600);

/// A key that changes something was pressed on the screen.
pub(super) fn change(app: &mut App, action: Action) -> Vec<Effect> {
    match app.command(action) {
        Some(command) => give(app, command),
        None => {
            let text = format!("nothing here to {}", action.name().replace('-', " "));
            app.say(Tone::Note, text);
            Vec::new()
        }
    }
}

/// Gives a command: at once where one key is enough, else after a question.
pub(super) fn give(app: &mut App, command: Command) -> Vec<Effect> {
    if let Some(why) = forbidden(app) {
        app.say(Tone::Bad, why);
        return Vec::new();
    }
    match command.verb().confirm() {
        Level::None => send(app, command),
        Level::YesNo => {
            let (question, consequence) = act::question(&command, &name(app, &command));
            let line = shell::line(&command).map(Clean::from);
            app.overlay = Some(Overlay::Confirm(Box::new(Confirm { question, consequence, line, command })));
            Vec::new()
        }
    }
}

/// Sends a command whose question was answered or that needs none. Between question and answer the right may have run out.
pub(super) fn send(app: &mut App, command: Command) -> Vec<Effect> {
    if let Some(why) = forbidden(app) {
        app.say(Tone::Bad, why);
        return Vec::new();
    }
    let id = next_id(app);
    app.acts.push(Pending { id, command: command.clone() });
    app.say(Tone::Note, format!("{} …", words(&command, &name(app, &command))));
    vec![Effect::Ask(Ask::Act(Act { id, command, reason: None }))]
}

/// Asks for the right to change things.
pub(super) fn arm(app: &mut App, wait: Option<Duration>) -> Vec<Effect> {
    app.armed = Armed::Asked;
    vec![Effect::Ask(Ask::Arm(wait))]
}

/// Gives it back.
pub(super) fn disarm(app: &mut App) -> Vec<Effect> {
    app.armed = Armed::No;
    vec![Effect::Ask(Ask::Disarm)]
}

/// Why nothing can be changed now.
fn forbidden(app: &App) -> Option<&'static str> {
    if !app.is_up() {
        return Some("no connection to the database: nothing can be changed");
    }
    match (app.armed, app.armed_for()) {
        (Armed::Asked, _) => Some("waiting for the right to change things"),
        (_, None) => Some("read only: type :arm to allow changes for 10 minutes"),
        (_, Some(_)) => None,
    }
}

/// What is done, for the line at the bottom.
pub(super) fn words(command: &Command, name: &str) -> String {
    match command {
        Command::Recording(_, Wish::AcceptGaps) => format!("accept gaps of {name}"),
        Command::Recording(_, wish) => format!("{} {name}", wish.as_str()),
        _ => format!("{} {name}", command.verb().name().replace('_', " ")),
    }
}

/// What a person calls the object: its kind and the beginning of its id, or its name.
pub(super) fn name(app: &App, command: &Command) -> String {
    let job = |id: &Uuid| {
        let chosen = app.chosen_job().filter(|job| job.id == *id);
        let kind = chosen.map_or("job", |job| job.kind.as_str());
        // The end of an id is what differs between those made in one moment.
        let text = id.simple().to_string();
        format!("{kind} …{}", &text[text.len() - 8..])
    };
    match command {
        Command::Retry(id)
        | Command::RunNow(id)
        | Command::Snooze(id, _)
        | Command::Priority(id, _)
        | Command::Cancel(id)
        | Command::Discard(id)
        | Command::Delete(id) => job(id),
        Command::Pause(queue) | Command::Resume(queue) | Command::Limit(queue, _) => format!("queue {queue}"),
        Command::Drain(id) => {
            let worker = app.workers.rows.iter().find(|worker| worker.id == *id);
            worker.map_or_else(|| format!("worker {id}"), |worker| format!("worker {}", worker.name))
        }
        Command::Recording(id, _) => format!("recording {id}"),
    }
}

/// A number that nobody has given before, ordered by time like those of jobs: the database's clock, this run, how many
/// there were.
fn next_id(app: &mut App) -> Uuid {
    app.acts_made += 1;
    let millis = app.db_now().map_or(0, |now| u64::try_from(now.timestamp_millis()).unwrap_or(0));
    let run = u128::from(app.seed) << 16 | u128::from(app.acts_made & 0xffff);
    let mut rest = [0_u8; 10];
    rest.copy_from_slice(&run.to_be_bytes()[6..]);
    uuid::Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()
}
