//! The connection that changes something: open only while armed, one command at a time, each one audited call.

use super::error::Fault;
use super::link::{self, Limit, Link, Rights};
use super::{SCHEMA, Settings};
use crate::source::ask::Act;
use crate::source::clean::Clean;
use crate::source::told::{Acted, Answer};
use queue::operate::{self, By, Command};
use std::time::Duration;
use tokio::sync::mpsc;

/// What the audit calls commands that came from here.
const VIA: &str = "tui";

/// What the actor is to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Open the connection.
    Arm(Option<Duration>),
    /// Close it.
    Disarm,
    /// Carry out a command.
    Act(Act),
}

/// What it has done.
#[derive(Debug)]
pub(super) enum Done {
    /// Changes are possible, for so long.
    Armed(Option<Duration>),
    /// They are not.
    Refused(Clean),
    /// What became of a command.
    Acted(Acted),
}

/// Works until nobody asks any more.
pub(super) async fn run(settings: Settings, mut todo: mpsc::Receiver<Job>, done: mpsc::Sender<Done>) {
    let mut link: Option<Link> = None;
    while let Some(job) = todo.recv().await {
        let answer = match job {
            Job::Disarm => {
                link = None;
                continue;
            }
            Job::Arm(left) => match arm(&settings).await {
                Ok(opened) => {
                    link = Some(opened);
                    Done::Armed(left)
                }
                Err(why) => {
                    link = None;
                    Done::Refused(why)
                }
            },
            Job::Act(act) => {
                let id = act.id;
                let answer = match alive(&settings, &mut link).await {
                    Ok(open) => give(&settings, open, act).await,
                    Err(why) => Answer::Refused(why),
                };
                if matches!(answer, Answer::Unknown(_)) {
                    link = None;
                }
                Done::Acted(Acted { id, answer })
            }
        };
        if done.send(answer).await.is_err() {
            return;
        }
    }
}

/// Opens the connection, unless what it would call may be something else than this console knows.
async fn arm(settings: &Settings) -> Result<Link, Clean> {
    let open = link::open(settings, Rights::Operate).await.map_err(|fault| fault.why().clone())?;
    let (version, _) = open.schema;
    if version != SCHEMA {
        let why = format!("the schema of the database has version {version}, this console knows {SCHEMA}");
        return Err(Clean::new(why));
    }
    let may = open.read(Limit::List, async |session| operate::may(session.db()).await.map_err(|e| Fault::of(&e))).await;
    match may {
        Ok((true, _)) => Ok(open),
        Ok((false, _)) => Err(Clean::new("this login may not operate; it needs to be a member of spool_operate")),
        Err(fault) => Err(fault.why().clone()),
    }
}

/// A connection that answers: one that went while nothing was done is made again before anything is sent.
async fn alive<'a>(settings: &Settings, link: &'a mut Option<Link>) -> Result<&'a Link, Clean> {
    let answers = match link {
        Some(open) => open.read(Limit::List, async |_| Ok(())).await.is_ok(),
        None => false,
    };
    if !answers {
        *link = Some(arm(settings).await?);
    }
    Ok(link.as_ref().expect("it was just made"))
}

async fn give(settings: &Settings, link: &Link, act: Act) -> Answer {
    let Act { id, command, reason } = act;
    let by = By { actor: settings.actor.clone(), via: VIA.to_owned(), reason };
    // One transaction with one call: it commits with its audit, or nothing has changed.
    let given = link
        .read(Limit::Act, async |session| command.give(session.db(), id, &by).await.map_err(|error| Fault::of(&error)))
        .await;
    match given {
        Ok((answer, _)) => word(&command, answer),
        Err(Fault::Refused(why)) => Answer::Refused(why),
        Err(Fault::Lost(why)) => Answer::Unknown(why),
    }
}

fn word(command: &Command, answer: operate::Answer) -> Answer {
    let verb = command.verb().name().replace('_', " ");
    match answer {
        operate::Answer::Done if matches!(command, Command::Recording(..)) => Answer::Requested,
        operate::Answer::Done => Answer::Done,
        operate::Answer::Requested => Answer::Requested,
        operate::Answer::NotFound => Answer::Refused(Clean::new("it is not there any more")),
        operate::Answer::WrongState(state) => {
            Answer::Refused(Clean::new(format!("it is {state}: {verb} is not possible")))
        }
        operate::Answer::SupersededBy(job) => Answer::Refused(Clean::new(format!("job {job} does the same work"))),
        operate::Answer::Refused(why) => Answer::Refused(Clean::new(why)),
    }
}
