//! `spool recording`: how recordings stand.

use super::connect;
use super::exit::{Exit, Failure};
use super::output::{self, Output};
use super::verify;
use ::queue::read::{self, JobRow};
use ::worker::config::Config;
use ::worker::db::recordings::{self, Filter, Recording};
use ::worker::db::summaries::{self, TrackSummary};
use ::worker::db::{events, settings};
use chrono::{DateTime, Utc};
use domain::filter::{self, Pattern, Test};
use domain::id::{OwnerId, RecordingId};
use domain::mux::Gap;
use domain::recording::State;
use sea_orm::DatabaseConnection;
use serde::Serialize;
use std::collections::BTreeMap;

/// Newest jobs and events that are shown; the rest is in `spool job ls --recording` and in the events route.
const SHOWN_MAX: u32 = 50;

/// What can be asked of recordings.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List recordings, newest first.
    #[command(after_help = "Examples:\n  spool recording ls\n  spool recording ls --state failed --json")]
    Ls(List),
    /// Show one recording: its tracks, its result, its jobs and what has happened.
    Show {
        /// Its id.
        id: RecordingId,
    },
    /// Check that the result of a recording is still what was published: length, digest, boxes, sampled key frames.
    #[command(
        after_help = "Example:\n  spool recording verify r1 --full\nExit codes: 0 sound, 1 not, 5 there is no result."
    )]
    Verify {
        /// Its id.
        id: RecordingId,
        /// Decode every frame: as long as it takes, with its progress on a terminal.
        #[arg(long)]
        full: bool,
    },
}

/// Which recordings are listed.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// In this state: live, finalizing, ready, failed, archived, cancelled, deleted.
    #[arg(long, value_parser = state)]
    state: Option<State>,
    /// Of this owner.
    #[arg(long)]
    owner: Option<OwnerId>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=600))]
    limit: u32,
    /// Go on behind this recording, the last one of the list before.
    #[arg(long, value_name = "ID")]
    after: Option<RecordingId>,
}

fn state(word: &str) -> Result<State, String> {
    State::parse(word).ok_or_else(|| format!("no such state; there are {}", State::ALL.map(State::as_str).join(", ")))
}

/// Carries it out.
pub(crate) async fn run(command: Command, config: &Config, out: Output) -> anyhow::Result<Exit> {
    let db = connect::database(config).await?;
    match command {
        Command::Ls(list) => ls(&db, list, out).await,
        Command::Show { id } => show(&db, &id, out).await,
        Command::Verify { id, full } => verify::recording::run(&get(&db, &id).await?, config, full, out).await,
    }
}

/// One recording in a list.
#[derive(Debug, Serialize)]
struct Row {
    id: RecordingId,
    owner_id: OwnerId,
    state: State,
    provisional: bool,
    degraded: bool,
    duration_ms: Option<u64>,
    result: Option<Served>,
    error: Option<Failed>,
    created_at: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
struct Served {
    key: String,
    version: u32,
    bytes: u64,
    sha256: Option<String>,
}

#[derive(Debug, Serialize)]
struct Failed {
    code: String,
    message: String,
}

#[derive(Debug, Serialize)]
struct Page {
    recordings: Vec<Row>,
    next: Option<RecordingId>,
}

impl Row {
    fn of(recording: &Recording) -> Row {
        let result = recording.result.as_ref();
        Row {
            id: recording.id.clone(),
            owner_id: recording.owner.clone(),
            state: recording.state,
            provisional: recording.provisional,
            degraded: recording.degraded,
            duration_ms: result.map(|result| result.duration_ms),
            result: result.map(|result| Served {
                key: result.key.clone(),
                version: result.version,
                bytes: result.size_bytes,
                sha256: result.sha256.map(|digest| digest.to_string()),
            }),
            error: recording.error.clone().map(|(code, message)| Failed { code, message }),
            created_at: recording.created_at,
        }
    }
}

async fn get(db: &DatabaseConnection, id: &RecordingId) -> anyhow::Result<Recording> {
    Ok(recordings::get(db, id).await?.ok_or_else(|| Failure::not_found("recording", id))?)
}

async fn ls(db: &DatabaseConnection, list: List, out: Output) -> anyhow::Result<Exit> {
    let after = match &list.after {
        Some(id) => Some((get(db, id).await?.created_at, id.clone())),
        None => None,
    };
    let filter = Filter { owner: list.owner, state: list.state, after, limit: list.limit };
    let found = recordings::list(db, &filter).await?;
    let now = settings::now(db).await?;
    let full = found.len() >= list.limit as usize;
    let next = found.last().filter(|_| full).map(|recording| recording.id.clone());
    let page = Page { recordings: found.iter().map(Row::of).collect(), next };
    out.answer(&page, |page| table(page, now))?;
    Ok(Exit::Ok)
}

fn table(page: &Page, now: DateTime<Utc>) -> String {
    let row = |row: &Row| {
        [
            row.id.to_string(),
            row.owner_id.to_string(),
            word(row),
            output::duration_s((now - row.created_at).num_seconds()),
            output::or_dash(row.duration_ms.map(seconds)),
            output::or_dash(row.result.as_ref().map(|result| output::bytes(result.bytes))),
            output::or_dash(row.error.as_ref().map(|error| error.code.as_str())),
        ]
    };
    let headers = ["RECORDING", "OWNER", "STATE", "AGE", "LENGTH", "SIZE", "ERROR"];
    let mut text = output::table(headers, page.recordings.iter().map(row).collect());
    if let Some(id) = &page.next {
        text += &format!("more: --after {id}\n");
    }
    text
}

fn word(row: &Row) -> String {
    match row {
        Row { provisional: true, .. } => format!("{} (provisional)", row.state),
        Row { degraded: true, .. } => format!("{} (degraded)", row.state),
        Row { .. } => row.state.to_string(),
    }
}

fn seconds(duration_ms: u64) -> String {
    format!("{}.{:03} s", duration_ms / 1000, duration_ms % 1000)
}

/// Everything about one recording.
#[derive(Debug, Serialize)]
struct View {
    #[serde(flatten)]
    row: Row,
    source: domain::recording::Source,
    policy: domain::recording::Policy,
    plan_version: u32,
    tail_confirmed: bool,
    gaps: Vec<Gap>,
    tracks: BTreeMap<String, Track>,
    jobs: Vec<JobRow>,
    events: Vec<Event>,
}

#[derive(Debug, Serialize)]
struct Track {
    received: u64,
    stored: u64,
    last_index: u32,
    missing: Vec<(u32, u32)>,
    lag_ms: u64,
}

#[derive(Debug, Serialize)]
struct Event {
    seq: u64,
    r#type: String,
    at: DateTime<Utc>,
    body: serde_json::Value,
}

impl From<TrackSummary> for Track {
    fn from(track: TrackSummary) -> Track {
        let TrackSummary { received, stored, last_index, lag_ms, missing, .. } = track;
        Track { received, stored, last_index, missing, lag_ms }
    }
}

async fn show(db: &DatabaseConnection, id: &RecordingId, out: Output) -> anyhow::Result<Exit> {
    let recording = get(db, id).await?;
    let tracks = summaries::of(db, id).await?;
    let about = filter::Filter::of([Test::Recording(Pattern::Exact(id.to_string()))]);
    let jobs = read::list_jobs(db, &about, None, SHOWN_MAX).await?.rows;
    let events = events::list(db, id, 0, SHOWN_MAX).await?;
    let view = View {
        row: Row::of(&recording),
        source: recording.source,
        policy: recording.policy,
        plan_version: recording.plan_version,
        tail_confirmed: recording.tail_confirmed,
        gaps: recording.gaps,
        tracks: tracks.into_iter().map(|track| (track.track.to_string(), track.into())).collect(),
        jobs,
        events: events
            .into_iter()
            .map(|event| Event { seq: event.seq, r#type: event.kind, at: event.at, body: event.body })
            .collect(),
    };
    out.answer(&view, |view| text(view, recording.now))?;
    Ok(Exit::Ok)
}

fn text(view: &View, now: DateTime<Utc>) -> String {
    let row = &view.row;
    let tail = if view.tail_confirmed { "" } else { ", its last segment is not confirmed" };
    let result = row.result.as_ref().map(|result| format!("{}, {}", result.key, output::bytes(result.bytes)));
    let error = row.error.as_ref().map(|error| format!("{}: {}", error.code, error.message));
    let facts = output::facts(&[
        ("recording", row.id.to_string()),
        ("owner", row.owner_id.to_string()),
        ("state", format!("{}{tail}", word(row))),
        ("error", error.unwrap_or_default()),
        ("result", result.unwrap_or_default()),
        ("length", row.duration_ms.map(seconds).unwrap_or_default()),
        ("plan", format!("version {}", view.plan_version)),
        ("holes", format!("policy {}", view.policy.as_str())),
        ("created", row.created_at.to_rfc3339()),
    ]);
    let tracks = view.tracks.iter().rev().map(|(name, track)| {
        let missing: Vec<_> = track.missing.iter().map(|(from, to)| format!("{from}-{to}")).collect();
        let missing = if missing.is_empty() { "-".to_owned() } else { missing.join(" ") };
        [name.clone(), track.received.to_string(), track.stored.to_string(), track.last_index.to_string(), missing]
    });
    let gaps = view.gaps.iter().map(|gap| {
        let segments: Vec<_> = gap.segments.iter().map(u32::to_string).collect();
        [gap.track.to_string(), seconds(gap.from_ms), seconds(gap.to_ms), segments.join(" "), gap.cause.to_string()]
    });
    let jobs = view.jobs.iter().map(|job| {
        let at = job.finished_at.or(job.started_at).unwrap_or(job.created_at);
        let why = job.reason.clone().or_else(|| job.error.clone());
        let ago = format!("{} ago", output::duration_s((now - at).num_seconds()));
        [job.id.to_string(), job.kind.clone(), job.state.clone(), ago, output::or_dash(why)]
    });
    let events = view.events.iter().map(|event| {
        let ago = format!("{} ago", output::duration_s((now - event.at).num_seconds()));
        [event.seq.to_string(), event.r#type.clone(), ago]
    });
    let mut parts = vec![
        facts,
        output::table(["TRACK", "RECEIVED", "STORED", "LAST", "MISSING"], tracks.collect()),
        output::table(["JOB", "KIND", "STATE", "WHEN", "WHY"], jobs.collect()),
        output::table(["EVENT", "WHAT", "WHEN"], events.collect()),
    ];
    if !view.gaps.is_empty() {
        parts.insert(2, output::table(["GAP", "FROM", "TO", "SEGMENTS", "CAUSE"], gaps.collect()));
    }
    parts.iter().map(|part| part.trim_end()).collect::<Vec<_>>().join("\n\n")
}
