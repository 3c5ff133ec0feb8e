//! `spool job follow`: how a job goes on, line by line, until it ends.

use super::{no_job, show};
use crate::cli::exit::Exit;
use crate::cli::output::{Output, printable};
use ::queue::read::{self, AttemptRow, Follow, JobView};
use sea_orm::DatabaseConnection;
use std::time::Duration;
use uuid::Uuid;

/// Between two looks: a person reads no faster, and one read of one row costs the database nothing.
const LOOK: Duration = Duration::from_millis(300);

/// Follows one job. Ends well when the job was completed.
pub(super) async fn one(db: &DatabaseConnection, id: Uuid, out: Output) -> anyhow::Result<Exit> {
    let mut told = String::new();
    loop {
        let job = read::show_job(db, id).await?.ok_or_else(|| no_job(id))?;
        let line = line(&job);
        if line != told {
            out.answer(&job, |_| line.clone())?;
            told = line;
        }
        if job.row.finished_at.is_some() {
            return Ok(if job.row.state == "completed" { Exit::Ok } else { Exit::Failed });
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn line(job: &JobView) -> String {
    let row = &job.row;
    let mut words = vec![format!("{} {}, attempt {}", row.kind, row.state, row.attempt)];
    words.extend(job.progress.as_ref().map(show::progress));
    words.extend(row.reason.clone().or_else(|| row.error.clone()));
    printable(&words.join(": "))
}

/// Tells every attempt that ends, until nobody wants to know any more.
pub(super) async fn all(db: &DatabaseConnection, out: Output) -> anyhow::Result<Exit> {
    let mut follow = Follow::default();
    loop {
        for attempt in follow.look(db).await? {
            out.answer(&attempt, ended)?;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn ended(row: &AttemptRow) -> String {
    let error = row.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    let at = row.ended_at.format("%H:%M:%S%.3f");
    format!("{at} {} {} attempt {} {}{error}", row.job_id, row.kind, row.attempt, row.outcome)
}
