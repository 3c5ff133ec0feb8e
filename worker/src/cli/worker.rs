//! `spool worker`: who works, and who shall stop.

use super::connect;
use super::exit::Exit;
use super::output::{self, Output};
use super::steer::{self, Outcome};
use ::queue::operate;
use ::queue::read::{self, WorkerRow};
use ::worker::config::Config;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What can be asked of working processes.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the working processes, newest first.
    Ls,
    /// Ask processes to claim nothing more, to finish or hand back what they run, and to leave.
    Drain {
        /// Their ids.
        #[arg(required = true)]
        ids: Vec<Uuid>,
        /// Why, for the colleagues.
        #[arg(long)]
        reason: Option<String>,
    },
}

/// Carries it out.
pub(crate) async fn run(command: Command, config: &Config, out: Output) -> anyhow::Result<Exit> {
    let db = connect::database(config).await?;
    match command {
        Command::Ls => {
            let workers = read::workers(&db).await?;
            let now = ::worker::db::settings::now(&db).await?;
            out.answer(&workers, |workers| list(workers, now))?;
            Ok(Exit::Ok)
        }
        Command::Drain { ids, reason } => {
            let by = connect::by(reason);
            let mut outcomes = Vec::new();
            for id in ids {
                outcomes.push(Outcome::of(id, operate::drain(&db, id, &by).await?));
            }
            steer::report("drain", "worker", &outcomes, out)
        }
    }
}

fn list(workers: &[WorkerRow], now: DateTime<Utc>) -> String {
    let row = |worker: &WorkerRow| {
        let kinds = worker.kinds.as_ref().and_then(|kinds| kinds.as_array()).map(|kinds| kinds.len());
        let state = match worker {
            WorkerRow { lease_left_s, .. } if *lease_left_s < 0.0 => "lost",
            WorkerRow { draining: true, .. } => "draining",
            WorkerRow { .. } => "working",
        };
        [
            worker.id.to_string(),
            output::or_dash(worker.pod.as_deref()),
            state.to_owned(),
            format!("{}/{}", worker.busy.unwrap_or(0), worker.slots.unwrap_or(0)),
            output::or_dash(kinds),
            output::duration_s((now - worker.started_at).num_seconds()),
            output::or_dash(worker.version.as_deref()),
        ]
    };
    output::table(["WORKER", "HOST", "STATE", "BUSY", "KINDS", "UP", "VERSION"], workers.iter().map(row).collect())
}
