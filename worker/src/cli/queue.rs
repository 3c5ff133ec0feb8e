//! `spool queue`: what waits, and how much of it may run.

use super::connect;
use super::exit::Exit;
use super::output::{self, Output};
use super::steer::{self, Outcome};
use ::queue::operate::{self, Limit};
use ::queue::read::{self, COUNT_MAX, QueueRow};
use ::worker::config::Config;
use std::time::Duration;

/// What can be asked of queues.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the queues with their depth and limits.
    Ls,
    /// Let no new job of a queue start; running ones go on.
    #[command(after_help = "Example:\n  spool queue pause mux --for 30m --reason 'store is being moved'")]
    Pause {
        /// Its name.
        queue: String,
        /// Resume by itself after this time, for example 30m.
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        pause_for: Option<Duration>,
        /// Why, for the colleagues.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let jobs of a paused queue start again.
    Resume {
        /// Its name.
        queue: String,
        /// Why, for the colleagues.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Set both limits of a queue over all processes; what is left out has no limit.
    #[command(
        after_help = "Examples:\n  spool queue limit mux --max-running 4 --max-per-key 1\n  spool queue limit mux   (no limits)"
    )]
    Limit {
        /// Its name.
        queue: String,
        /// Most jobs that run at once.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        max_running: Option<i32>,
        /// Most jobs of one owner that run at once.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
        max_per_key: Option<i32>,
        /// Why, for the colleagues.
        #[arg(long)]
        reason: Option<String>,
    },
}

/// Carries it out.
pub(crate) async fn run(command: Command, config: &Config, out: Output) -> anyhow::Result<Exit> {
    let db = connect::database(config).await?;
    let (verb, queue, answer) = match command {
        Command::Ls => {
            let queues = read::queues(&db).await?;
            out.answer(&queues, |queues| list(queues))?;
            return Ok(Exit::Ok);
        }
        Command::Pause { queue, pause_for, reason } => {
            let answer = operate::pause(&db, &queue, pause_for, &connect::by(reason)).await?;
            ("pause", queue, answer)
        }
        Command::Resume { queue, reason } => {
            let answer = operate::resume(&db, &queue, &connect::by(reason)).await?;
            ("resume", queue, answer)
        }
        Command::Limit { queue, max_running, max_per_key, reason } => {
            let limit = Limit { max_running, key_max: max_per_key };
            let answer = operate::limit(&db, &queue, limit, &connect::by(reason)).await?;
            ("limit", queue, answer)
        }
    };
    steer::report(verb, "queue", &[Outcome::of(queue, answer)], out)
}

fn list(queues: &[QueueRow]) -> String {
    let count = |n: i64| if n >= COUNT_MAX { format!("{}+", COUNT_MAX - 1) } else { n.to_string() };
    let row = |queue: &QueueRow| {
        let by = queue.paused_by.as_deref().unwrap_or("somebody");
        let why = queue.paused_reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        [
            queue.name.clone(),
            count(queue.available),
            count(queue.running),
            count(queue.scheduled),
            count(queue.retryable),
            // A few days of waiting fit into an i64.
            output::or_dash(queue.oldest_s.map(|seconds| output::duration_s(seconds as i64))),
            output::or_dash(queue.max_running),
            output::or_dash(queue.key_max),
            if queue.paused { format!("by {by}{why}") } else { "-".to_owned() },
        ]
    };
    let headers = ["QUEUE", "AVAILABLE", "RUNNING", "SCHEDULED", "RETRYABLE", "OLDEST", "MAX", "MAX/KEY", "PAUSED"];
    output::table(headers, queues.iter().map(row).collect())
}
