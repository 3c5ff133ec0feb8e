//! `spool webhook`: whom events are told, how that goes, and telling them again.

use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::{actor, connect};
use ::queue::operate::By;
use ::worker::config::Config;
use ::worker::db::settings;
use ::worker::db::webhooks::{self, COUNT_MAX, Replay, Replayed, Standing};
use ::worker::webhook::{Message, Receivers, Sent};
use ::worker::{db, webhook};
use chrono::{DateTime, Utc};
use domain::id::RecordingId;
use domain::webhook::{Answer, TEST, message_id};
use sea_orm::DatabaseConnection;
use serde::Serialize;
use serde_json::json;

/// What can be asked of webhooks.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the endpoints: what waits for them, what was parked, what they answered last.
    Ls,
    /// Let events of a recording go out again, in order: those that were parked, or every one from a number on.
    #[command(after_help = "Examples:\n  spool webhook replay r1\n  spool webhook replay r1 --from 1 --endpoint app")]
    Replay {
        /// Its id.
        recording: RecordingId,
        /// To this endpoint; else to the one that the recording names.
        #[arg(long, value_name = "NAME")]
        endpoint: Option<String>,
        /// Every event from this number on, delivered or not; else only those that were parked.
        #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
        from: Option<u64>,
        /// Why, for the colleagues.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Send a signed test event now, from here, and show the answer. An endpoint that takes it after it had said that it
    /// is gone is told of events again.
    #[command(after_help = "Example:\n  spool webhook test app")]
    Test {
        /// Name of the endpoint in the settings.
        endpoint: String,
    },
}

/// Carries it out.
pub(crate) async fn run(command: Command, config: &Config, out: Output) -> anyhow::Result<Exit> {
    match command {
        Command::Ls => ls(&connect::database(config).await?, out).await,
        Command::Replay { recording, endpoint, from, reason } => {
            let by = connect::by(reason);
            let wish = Wish { recording, endpoint, from };
            replay(&connect::database(config).await?, &wish, &by, out).await
        }
        Command::Test { endpoint } => test(config, &endpoint, out).await,
    }
}

/// One endpoint in the list.
#[derive(Debug, Serialize)]
struct Row {
    endpoint: String,
    format: String,
    state: &'static str,
    pending: u64,
    oldest_pending_s: Option<i64>,
    parked: u64,
    last: Option<Last>,
}

/// What it answered last.
#[derive(Debug, Serialize)]
struct Last {
    at: DateTime<Utc>,
    status: Option<u16>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct List {
    endpoints: Vec<Row>,
}

impl Row {
    fn of(standing: Standing) -> Row {
        let Standing { name, format, pending, parked, now, .. } = standing;
        let state = match standing.disabled_reason.as_deref() {
            None => "enabled",
            Some("gone") => "gone",
            Some(_) => "unconfigured",
        };
        let last = standing.last_at.map(|at| Last { at, status: standing.last_status, error: standing.last_error });
        let oldest_pending_s = standing.oldest_at.map(|at| (now - at).num_seconds().max(0));
        Row { endpoint: name, format, state, pending, oldest_pending_s, parked, last }
    }
}

async fn ls(db: &DatabaseConnection, out: Output) -> anyhow::Result<Exit> {
    let standings = webhooks::standings(db).await?;
    let now = standings.first().map(|standing| standing.now);
    let list = List { endpoints: standings.into_iter().map(Row::of).collect() };
    out.answer(&list, |list| table(list, now.unwrap_or_default()))?;
    Ok(Exit::Ok)
}

fn table(list: &List, now: DateTime<Utc>) -> String {
    let count = |n: u64| if n >= u64::from(COUNT_MAX) { format!("{COUNT_MAX}+") } else { n.to_string() };
    let row = |row: &Row| {
        let last = row.last.as_ref().map(|last| {
            let answer = match (last.status, last.error.as_deref()) {
                (_, Some(error)) => error.to_owned(),
                (Some(status), None) => format!("answered {status}"),
                (None, None) => "not answered yet".to_owned(),
            };
            format!("{answer}, {} ago", output::duration_s((now - last.at).num_seconds()))
        });
        [
            row.endpoint.clone(),
            row.format.clone(),
            row.state.to_owned(),
            count(row.pending),
            output::or_dash(row.oldest_pending_s.map(output::duration_s)),
            count(row.parked),
            output::or_dash(last),
        ]
    };
    let headers = ["ENDPOINT", "FORMAT", "STATE", "PENDING", "OLDEST", "PARKED", "LAST"];
    output::table(headers, list.endpoints.iter().map(row).collect())
}

/// What is to go out again.
struct Wish {
    recording: RecordingId,
    endpoint: Option<String>,
    from: Option<u64>,
}

#[derive(Serialize)]
struct Replaying<'a> {
    recording: &'a RecordingId,
    events: u64,
}

async fn replay(db: &DatabaseConnection, wish: &Wish, by: &By, out: Output) -> anyhow::Result<Exit> {
    let Wish { recording, endpoint, from } = wish;
    let (actor, via, reason) = (by.actor.as_str(), actor::VIA, by.reason.as_deref());
    let asked = Replay { recording, endpoint: endpoint.as_deref(), from: *from, actor, via, reason };
    let tx = db::begin(db).await?;
    let replayed = match webhooks::replay(&tx, &asked).await {
        Err(error) if error.is_lock_timeout() => {
            let held = format!("recording {recording} is held by somebody else");
            return Err(Failure::refused(held).hint("try again in a moment").into());
        }
        replayed => replayed?,
    };
    db::commit(tx).await?;
    let failure = match replayed {
        Replayed::Events(events) => {
            out.answer(&Replaying { recording, events }, |_| {
                let events = if events == 1 { "1 event goes".to_owned() } else { format!("{events} events go") };
                format!("recording {recording}: {events} out again")
            })?;
            return Ok(Exit::Ok);
        }
        Replayed::NoRecording => Failure::not_found("recording", recording),
        Replayed::NoEndpoint => match endpoint {
            Some(name) => Failure::not_found("webhook", name),
            None => Failure::refused(format!("recording {recording} names no endpoint"))
                .hint("--endpoint NAME --from 1 sends its events to any"),
        },
        Replayed::Disabled(why) if why == "gone" => {
            Failure::refused("the endpoint has answered 410 Gone and is told nothing")
                .hint("`spool webhook test NAME` enables it again when it takes the test")
        }
        Replayed::Disabled(_) => Failure::refused("no running process has this endpoint in its settings")
            .hint("add it to [webhook.endpoints] and restart `spool serve` and `spool work`"),
        Replayed::Nothing if from.is_none() => Failure::refused(format!("no event of recording {recording} is parked"))
            .hint("--from 1 sends every event again, also those that were delivered"),
        Replayed::Nothing => Failure::refused(format!("recording {recording} has no event from that number on")),
    };
    Err(failure.into())
}

#[derive(Serialize)]
struct Tested<'a> {
    endpoint: &'a str,
    taken: bool,
    status: Option<u16>,
    took_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// It had said that it is gone, and is told of events again.
    enabled_again: bool,
}

async fn test(config: &Config, name: &str, out: Output) -> anyhow::Result<Exit> {
    let receivers = Receivers::open(&config.webhook, &config.http.public_url)?;
    if !receivers.contains(name) {
        return Err(Failure::not_found("webhook", name).into());
    }
    receivers.require_secret(name)?;
    let db = connect::database(config).await?;
    let at = settings::now(&db).await?;
    let sent = receivers
        .send(name, &message(&receivers, name, at))
        .await
        .ok_or_else(|| webhook::Error::Unsigned { name: name.to_owned() })?;
    let taken = sent.answer == Answer::Taken;
    let enabled_again = taken && webhooks::enable(&db, name).await?;
    let Sent { status, error, took, .. } = &sent;
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let tested = Tested { endpoint: name, taken, status: *status, took_ms, error: error.as_deref(), enabled_again };
    out.answer(&tested, |tested| {
        let status = tested.status.map(|status| format!("answered {status}"));
        let told = tested.error.map(str::to_owned).or(status).unwrap_or_default();
        let again = if enabled_again { "; it is told of events again" } else { "" };
        format!("webhook {name}: {told} in {took_ms} ms{again}")
    })?;
    if taken { Ok(Exit::Ok) } else { Ok(Exit::Failed) }
}

/// A test is signed like an event, and is about nothing.
fn message(receivers: &Receivers, name: &str, at: DateTime<Utc>) -> Message {
    let data = json!({ "id": "spool-webhook-test", "endpoint": name });
    let body = receivers.render(name, TEST, at, 0, data).unwrap_or_default();
    let id = message_id(&format!("test-{}", uuid::Uuid::now_v7().simple()), 0, name);
    Message { id, at, body }
}
