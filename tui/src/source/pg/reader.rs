//! The connection that looks: one question at a time, each within its bound.

use super::error::Fault;
use super::link::{self, Limit, Link, Rights, Seen, Session};
use super::strips::Kept;
use super::{Settings, jobs, numbers, recording, recordings};
use crate::source::ask::{Read, What};
use crate::source::clean::Clean;
use crate::source::told::Value;
use tokio::sync::mpsc;

/// What the reader is to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Connect.
    Open,
    /// Answer a question.
    Read(Read),
}

/// What it has done.
pub(super) enum Done {
    /// There is a connection.
    Opened {
        /// Server and database.
        place: Clean,
        /// Whose rights hold.
        role: Clean,
    },
    /// There is none.
    Closed(Fault),
    /// A question was answered; `None`: there is no such thing.
    Read(Read, Option<Value>, Seen),
    /// A question was not answered. The connection is gone when the fault says so.
    Failed(Read, Fault),
}

/// Works until nobody asks any more.
pub(super) async fn run(settings: Settings, mut todo: mpsc::Receiver<Job>, done: mpsc::Sender<Done>) {
    let mut link: Option<Link> = None;
    let mut kept = None;
    while let Some(job) = todo.recv().await {
        let answer = match (job, &link) {
            (Job::Open, _) => match link::open(&settings, Rights::View).await {
                Ok(opened) => {
                    let answer = Done::Opened { place: opened.place.clone(), role: opened.role.clone() };
                    link = Some(opened);
                    answer
                }
                Err(fault) => Done::Closed(fault),
            },
            (Job::Read(read), None) => Done::Failed(read, Fault::Lost(Clean::new("not connected"))),
            (Job::Read(read), Some(open)) => match answer(open, &read.what, &mut kept).await {
                Ok((value, seen)) => Done::Read(read, value, seen),
                Err(fault) => Done::Failed(read, fault),
            },
        };
        if matches!(&answer, Done::Failed(_, Fault::Lost(_)) | Done::Closed(_)) {
            // Dropped and not closed: closing says goodbye to a server that may be silent.
            link = None;
        }
        if done.send(answer).await.is_err() {
            return;
        }
    }
}

async fn answer(link: &Link, what: &What, kept: &mut Option<Kept>) -> Result<(Option<Value>, Seen), Fault> {
    let limit = match what {
        What::Recordings { .. } | What::Recording(_) | What::Jobs { .. } | What::Job(_) => Limit::List,
        What::Workers | What::Queues => Limit::List,
        What::Numbers => Limit::Count,
        What::Count(_) => Limit::Explicit,
    };
    link.read(limit, async |session: &Session| {
        Ok(match what {
            What::Recordings { filter, after, limit } => {
                Some(Value::Recordings(recordings::page(session, filter, after.as_ref(), *limit).await?))
            }
            What::Recording(id) => {
                recording::view(session, id, kept).await?.map(|view| Value::Recording(Box::new(view)))
            }
            What::Jobs { filter, after, limit } => {
                Some(Value::Jobs(jobs::page(session, filter, *after, *limit).await?))
            }
            What::Job(id) => jobs::view(session, *id).await?.map(|view| Value::Job(Box::new(view))),
            What::Workers => Some(Value::Workers(numbers::workers(session).await?)),
            What::Queues => Some(Value::Queues(numbers::queues(session).await?)),
            What::Numbers => Some(Value::Numbers(Box::new(numbers::header(session).await?))),
            What::Count(filter) => Some(Value::Count(numbers::count(session, filter).await?)),
        })
    })
    .await
}
