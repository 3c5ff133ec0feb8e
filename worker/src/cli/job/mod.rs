//! `spool job`: what is to be done, what was done, and the verbs that steer it.

mod enqueue;
mod follow;
mod show;

use super::connect;
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::steer::{self, Outcome};
use ::queue::operate::{self, Answer, By};
use ::queue::read::{self, Cursor, JobRow, Page};
use ::worker::config::Config;
use ::worker::db::settings;
use chrono::{DateTime, SecondsFormat, Utc};
use domain::filter::{self, Filter, Test};
use domain::standing::Standing;
use sea_orm::DatabaseConnection;
use std::time::Duration;
use uuid::Uuid;

/// What can be asked of jobs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List jobs: live ones by due time, or ended ones, newest first.
    #[command(
        after_help = "Examples:\n  spool job ls\n  spool job ls state:discarded kind:mux 'err:\"Slow Down\"'\n  spool job ls --recording r1 --state ended"
    )]
    Ls(List),
    /// Show one job with its attempts.
    Show {
        /// Its id.
        id: Uuid,
    },
    /// Run discarded or cancelled jobs again, or retryable ones now.
    Retry(Chosen),
    /// Run scheduled or retryable jobs now.
    RunNow(Chosen),
    /// End waiting jobs at once; ask running ones to stop.
    Cancel(Chosen),
    /// Give waiting jobs up.
    Discard(Chosen),
    /// Put waiting jobs off.
    #[command(after_help = "Example:\n  spool job snooze 0199… --for 2h")]
    Snooze {
        #[command(flatten)]
        chosen: Chosen,
        /// For how long, for example 30m.
        #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
        wait: Duration,
    },
    /// Put a job on its queue by hand.
    #[command(after_help = enqueue::EXAMPLES)]
    Enqueue(enqueue::Args),
    /// Tell how a job goes on until it ends; without an id, what ends anywhere, until Ctrl-C.
    Follow {
        /// Its id.
        id: Option<Uuid>,
    },
}

/// Which jobs a verb is about.
#[derive(Debug, clap::Args)]
pub(crate) struct Chosen {
    /// Their ids.
    #[arg(required = true)]
    ids: Vec<Uuid>,
    /// Why, for the colleagues.
    #[arg(long)]
    reason: Option<String>,
}

/// Which jobs are listed.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Terms that must all hold, as in the console: state:, queue:, kind:, rec:, owner:, err:, attempt:, age:, worker:. A
    /// minus before one turns it around; put -- before the first such term.
    #[arg(value_name = "TERM")]
    filter: Vec<String>,
    /// live, ended, or states and outcomes: scheduled, available, running, retryable, completed, discarded, cancelled,
    /// superseded. Live ones unless a term says otherwise.
    #[arg(long)]
    state: Option<String>,
    /// Of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// Of this kind.
    #[arg(long)]
    kind: Option<String>,
    /// About this recording, or all whose ids begin so when a * is at the end.
    #[arg(long)]
    recording: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=600))]
    limit: u32,
    /// Go on where a list ended: what it gave as the next page.
    #[arg(long, value_name = "PAGE", value_parser = cursor)]
    after: Option<Cursor>,
}

impl List {
    /// Every term, those of the options last; only live jobs where nothing else is said.
    fn filter(&self) -> Result<Filter, Failure> {
        let options = [("state", &self.state), ("queue", &self.queue), ("kind", &self.kind), ("rec", &self.recording)];
        let options = options.into_iter().filter_map(|(word, value)| Some(format!("{word}:{}", value.as_ref()?)));
        let text = self.filter.iter().cloned().chain(options).collect::<Vec<_>>().join(" ");
        let filter = Filter::parse(&text, filter::List::Jobs);
        let mut filter = filter.map_err(|refusal| Failure::usage(format!("filter {text:?}: {refusal}")))?;
        if !filter.terms.iter().any(|term| matches!(term.test, Test::Standing(_))) {
            filter.terms.extend(Filter::of([Test::Standing(Standing::LIVE.to_vec())]).terms);
        }
        Ok(filter)
    }
}

fn cursor(text: &str) -> Result<Cursor, String> {
    let (place, id) = text.split_once(',').ok_or("it must be a time and an id, parted by a comma")?;
    let (live, at) = match place.strip_prefix("live:") {
        Some(at) => (true, at),
        None => (false, place),
    };
    let at = DateTime::parse_from_rfc3339(at).map_err(|error| error.to_string())?;
    Ok(Cursor { live, at: at.to_utc(), id: id.parse().map_err(|error| format!("{error}"))? })
}

/// Carries it out.
pub(crate) async fn run(command: Command, config: &Config, out: Output) -> anyhow::Result<Exit> {
    let db = connect::database(config).await?;
    match command {
        Command::Ls(list) => ls(&db, list, out).await,
        Command::Show { id } => show::run(&db, id, out).await,
        Command::Retry(chosen) => {
            each(&db, "retry", chosen, out, async |db, id, by| operate::retry(db, id, by).await).await
        }
        Command::RunNow(chosen) => {
            each(&db, "run now", chosen, out, async |db, id, by| operate::run_now(db, id, by).await).await
        }
        Command::Cancel(chosen) => {
            each(&db, "cancel", chosen, out, async |db, id, by| operate::cancel(db, id, by).await).await
        }
        Command::Discard(chosen) => {
            each(&db, "discard", chosen, out, async |db, id, by| operate::discard(db, id, by).await).await
        }
        Command::Snooze { chosen, wait } => {
            each(&db, "snooze", chosen, out, async |db, id, by| operate::snooze(db, id, wait, by).await).await
        }
        Command::Enqueue(args) => enqueue::run(&db, args, out).await,
        Command::Follow { id: Some(id) } => follow::one(&db, id, out).await,
        Command::Follow { id: None } => follow::all(&db, out).await,
    }
}

/// One verb on each of some jobs. A job that refuses does not keep the others from it.
async fn each(
    db: &DatabaseConnection,
    verb: &str,
    chosen: Chosen,
    out: Output,
    act: impl AsyncFn(&DatabaseConnection, Uuid, &By) -> Result<Answer, operate::Error>,
) -> anyhow::Result<Exit> {
    let by = connect::by(chosen.reason);
    let mut outcomes = Vec::new();
    for id in chosen.ids {
        outcomes.push(Outcome::of(id, act(db, id, &by).await?));
    }
    steer::report(verb, "job", &outcomes, out)
}

async fn ls(db: &DatabaseConnection, list: List, out: Output) -> anyhow::Result<Exit> {
    let page = read::list_jobs(db, &list.filter()?, list.after, list.limit).await?;
    let now = settings::now(db).await?;
    out.answer(&page, |page| table(page, now))?;
    Ok(Exit::Ok)
}

fn table(page: &Page, now: DateTime<Utc>) -> String {
    let row = |job: &JobRow| {
        [
            job.id.to_string(),
            job.kind.clone(),
            job.state.clone(),
            format!("{}/{}", job.attempt, job.max_attempts),
            when(job, now),
            output::or_dash(job.subject.as_deref()),
            job.reason.clone().or_else(|| job.error.clone()).unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let headers = ["JOB", "KIND", "STATE", "ATTEMPT", "WHEN", "RECORDING", "WHY"];
    let mut text = output::table(headers, page.rows.iter().map(row).collect());
    if let Some(Cursor { live, at, id }) = page.next {
        let live = if live { "live:" } else { "" };
        text += &format!("more: --after {live}{},{id}\n", at.to_rfc3339_opts(SecondsFormat::Micros, true));
    }
    if let Some(window) = page.window {
        text += &format!("terms without an index were tried on the next {window} rows of each list\n");
    }
    text
}

/// When it ended, began or is due, from now.
fn when(job: &JobRow, now: DateTime<Utc>) -> String {
    let ago = |at: DateTime<Utc>| output::duration_s((now - at).num_seconds());
    match (job.finished_at, job.started_at) {
        (Some(at), _) => format!("{} ago", ago(at)),
        (None, Some(at)) if job.state == "running" => format!("for {}", ago(at)),
        _ if job.run_at > now => format!("in {}", output::duration_s((job.run_at - now).num_seconds())),
        _ => format!("due {}", ago(job.run_at)),
    }
}

/// A job that is not there.
fn no_job(id: Uuid) -> Failure {
    Failure::not_found("job", id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_reads_what_a_list_gives() {
        let id = Uuid::from_u128(7);
        for (live, place) in [(true, "live:"), (false, "")] {
            let text = format!("{place}2026-01-02T03:04:05.678901Z,{id}");
            let cursor = cursor(&text).unwrap();
            let at = cursor.at.to_rfc3339_opts(SecondsFormat::Micros, true);
            assert_eq!((format!("{place}{at},{}", cursor.id), cursor.live), (text, live));
        }
        for text in ["", "now", "now,x", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z,x"] {
            assert!(super::cursor(text).is_err(), "{text}");
        }
    }
}
