//! What people see of the queue: pages by keyset, slim rows, no counting over history.
//!
//! Reads only. Every query has a limit, and a refresh costs the jobs nothing.

mod follow;
mod jobs;
mod live;
mod load;
mod narrow;
mod numbers;
mod running;
mod show;
mod status;

pub use follow::{AttemptRow, Follow};
pub use jobs::{Cursor, JobRow, LIMIT_MAX, Page, list_jobs};
pub use live::{LiveJob, last_ended, live_jobs};
pub use load::{LOAD, QueueGauges, gauges, load, load_sql};
pub use narrow::WINDOW;
pub use numbers::{EndedCounts, StateCount, count_jobs, ended_counts, live_counts};
pub use running::{Brief, Flow, Named, RunningRow, briefs, flow, running, worker_names};
pub use show::{JobView, PAYLOAD_MAX, ProgressRow, progress, show_job};
pub use status::{COUNT_MAX, QueueRow, WorkerRow, queues, workers};

use sea_orm::DbErr;

/// The database did not answer.
#[derive(Debug, thiserror::Error)]
#[error("read {what}")]
pub struct Error {
    what: &'static str,
    #[source]
    source: DbErr,
}

impl domain::retry::Classify for Error {
    fn fault(&self) -> domain::retry::Fault {
        domain::retry::Fault::Transient
    }

    fn class(&self) -> &'static str {
        "database"
    }
}

fn reading(what: &'static str) -> impl Fn(DbErr) -> Error {
    move |source| Error { what, source }
}
