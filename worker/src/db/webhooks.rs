//! Receivers of events, and how far each delivery is.
//!
//! A delivery is written with its event, by the database's own function. What happens to it here is fenced by the epoch of
//! the attempt that tries: an attempt whose job was taken from it changes no row that a later one, or a replay, has had.

use super::{Error, all, column, execute, maybe_number, number, one, parsed};
use chrono::{DateTime, Utc};
use domain::id::{OwnerId, RecordingId};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, TryGetable};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// One endpoint of the settings: name, address, word of its format.
pub type Endpoint<'a> = (&'a str, &'a str, &'static str);

/// Writes the endpoints of the settings, so that events find them, and tells how many were new or changed. One that no
/// settings name any more is told nothing from now on; what waits for it stays. One that said it is gone stays so until
/// its address changes or a person has tested it.
///
/// # Errors
/// The database's.
pub async fn sync(db: &impl ConnectionTrait, endpoints: &[Endpoint<'_>]) -> Result<u64, Error> {
    let failed = |source| Error { operation: "write webhook endpoints", object: String::new(), source };
    let rows: Vec<Json> =
        endpoints.iter().map(|(name, url, format)| json!({ "name": name, "url": url, "format": format })).collect();
    // One order for all processes that start at once, else two of them deadlock.
    let put = "INSERT INTO spool.webhook_endpoint AS old (name, url, format) \
            SELECT e.name, e.url, e.format FROM jsonb_to_recordset($1) AS e (name text, url text, format text) ORDER BY e.name \
        ON CONFLICT (name) DO UPDATE SET url = excluded.url, format = excluded.format, updated_at = now(), \
            enabled = NOT (old.disabled_reason IS NOT DISTINCT FROM 'gone' AND old.url = excluded.url), \
            disabled_reason = CASE WHEN old.disabled_reason = 'gone' AND old.url = excluded.url THEN 'gone' END \
          WHERE (old.url, old.format) IS DISTINCT FROM (excluded.url, excluded.format) \
            OR old.disabled_reason = 'unconfigured'";
    let changed = execute(db, put, [Json::from(rows).into()]).await.map_err(failed)?;
    let names: Vec<&str> = endpoints.iter().map(|(name, _, _)| *name).collect();
    let leave_out = "UPDATE spool.webhook_endpoint SET enabled = false, disabled_reason = 'unconfigured', updated_at = now() \
        WHERE enabled AND name NOT IN (SELECT jsonb_array_elements_text($1))";
    let left_out = execute(db, leave_out, [json!(names).into()]).await.map_err(failed)?;
    Ok(changed + left_out)
}

/// Whether an endpoint is told of events; `None` when the database does not know it.
///
/// # Errors
/// The database's.
pub async fn is_enabled(db: &impl ConnectionTrait, name: &str) -> Result<Option<bool>, Error> {
    let row = one(db, "SELECT enabled FROM spool.webhook_endpoint WHERE name = $1", [name.into()]).await;
    let read = |row: Option<QueryResult>| row.map(|row| column(&row, "enabled")).transpose();
    row.and_then(read).map_err(Error::of("look at webhook endpoint", name))
}

/// It answered that it wants no more. False when it was told nothing already.
///
/// # Errors
/// The database's.
pub async fn disable(db: &impl ConnectionTrait, name: &str) -> Result<bool, Error> {
    let sql = "UPDATE spool.webhook_endpoint SET enabled = false, disabled_reason = 'gone', updated_at = now() \
        WHERE name = $1 AND enabled";
    Ok(execute(db, sql, [name.into()]).await.map_err(Error::of("disable webhook endpoint", name))? == 1)
}

/// It has taken a test after it had said that it is gone. False when it was not gone.
///
/// # Errors
/// The database's.
pub async fn enable(db: &impl ConnectionTrait, name: &str) -> Result<bool, Error> {
    let sql = "UPDATE spool.webhook_endpoint SET enabled = true, disabled_reason = NULL, updated_at = now() \
        WHERE name = $1 AND disabled_reason = 'gone'";
    Ok(execute(db, sql, [name.into()]).await.map_err(Error::of("enable webhook endpoint", name))? == 1)
}

/// Which delivery: one event to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key<'a> {
    /// The recording.
    pub recording: &'a RecordingId,
    /// The endpoint's name.
    pub endpoint: &'a str,
    /// Number of the event.
    pub seq: u64,
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} to {}", self.recording, self.seq, self.endpoint)
    }
}

/// An event that is to go out.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Its number.
    pub seq: u64,
    /// What happened.
    pub kind: String,
    /// Facts.
    pub body: Json,
    /// When.
    pub at: DateTime<Utc>,
}

/// The first event that an endpoint has not had; `None` when it has had all.
///
/// # Errors
/// The database's.
pub async fn next(
    db: &impl ConnectionTrait,
    recording: &RecordingId,
    endpoint: &str,
) -> Result<Option<Waiting>, Error> {
    let sql = "SELECT e.seq, e.type, e.body, e.at FROM spool.webhook_delivery AS d \
        JOIN spool.event AS e ON e.recording_id = d.recording_id AND e.seq = d.seq \
        WHERE d.recording_id = $1 AND d.endpoint = $2 AND d.state = 'pending' ORDER BY d.seq LIMIT 1";
    let row = one(db, sql, [recording.as_str().into(), endpoint.into()]).await;
    let read = |row: Option<QueryResult>| {
        let read = |row: QueryResult| {
            let (seq, kind, body, at) =
                (number(&row, "seq")?, column(&row, "type")?, column(&row, "body")?, column(&row, "at")?);
            Ok(Waiting { seq, kind, body, at })
        };
        row.map(read).transpose()
    };
    row.and_then(read).map_err(Error::of("look for the next event", recording))
}

/// A try that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Which try it is, from 1.
    pub tries: u32,
    /// Time since the event was first to go out.
    pub age: Duration,
    /// The database's clock.
    pub now: DateTime<Utc>,
}

/// Counts a try before it is made: one that dies with its process was made as well. `None` when the delivery is no longer
/// this attempt's: it is delivered, or a later attempt or a replay has had it.
///
/// # Errors
/// The database's.
pub async fn begin_try(db: &impl ConnectionTrait, key: &Key<'_>, epoch: i64) -> Result<Option<Begun>, Error> {
    let sql = "UPDATE spool.webhook_delivery SET tries = tries + 1, epoch = $4, last_at = now(), \
            first_at = coalesce(first_at, now()) \
        WHERE recording_id = $1 AND endpoint = $2 AND seq = $3 AND state = 'pending' AND epoch <= $4 \
        RETURNING tries::int8, extract(epoch FROM now() - due_at)::float8 AS age_s, now() AS now";
    let row = one(db, sql, key.values(epoch)).await;
    let read = |row: Option<QueryResult>| {
        let read = |row: QueryResult| {
            let age_s: f64 = column(&row, "age_s")?;
            let age = Duration::try_from_secs_f64(age_s.max(0.0)).unwrap_or(Duration::MAX);
            Ok(Begun { tries: number(&row, "tries")?, age, now: column(&row, "now")? })
        };
        row.map(read).transpose()
    };
    row.and_then(read).map_err(Error::of("begin delivery", key))
}

/// How a delivery stands after a try, or without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It goes out again.
    Pending,
    /// The receiver has it.
    Delivered,
    /// Given up until a person asks.
    Parked,
    /// The endpoint's format has no word for it.
    Skipped,
}

impl After {
    fn as_str(self) -> &'static str {
        match self {
            After::Pending => "pending",
            After::Delivered => "delivered",
            After::Parked => "parked",
            After::Skipped => "skipped",
        }
    }
}

/// Writes what became of a try. False when the delivery is no longer this attempt's: then the try does not count.
///
/// # Errors
/// The database's.
pub async fn end_try(
    db: &impl ConnectionTrait,
    key: &Key<'_>,
    epoch: i64,
    after: After,
    (status, error): (Option<u16>, Option<&str>),
) -> Result<bool, Error> {
    let sql = "UPDATE spool.webhook_delivery SET epoch = $4, state = $5, last_status = $6, last_error = $7 \
        WHERE recording_id = $1 AND endpoint = $2 AND seq = $3 AND state = 'pending' AND epoch <= $4";
    let [recording, endpoint, seq, epoch] = key.values(epoch);
    let (status, error) = (status.map(i32::from), error.map(str::to_owned));
    let values = [recording, endpoint, seq, epoch, after.as_str().into(), status.into(), error.into()];
    Ok(execute(db, sql, values).await.map_err(Error::of("end delivery", key))? == 1)
}

impl Key<'_> {
    fn values(&self, epoch: i64) -> [sea_orm::Value; 4] {
        let seq = i64::try_from(self.seq).unwrap_or(i64::MAX);
        [self.recording.as_str().into(), self.endpoint.into(), seq.into(), epoch.into()]
    }
}

/// Something that waits for an endpoint which is told of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// The recording.
    pub recording: RecordingId,
    /// Whose it is.
    pub owner: OwnerId,
    /// The endpoint's name.
    pub endpoint: String,
}

/// What has waited for longer than a delivery takes, behind `after`: somebody should be delivering it.
///
/// # Errors
/// The database's.
pub async fn undelivered(
    db: &impl ConnectionTrait,
    after: Option<&Undelivered>,
    limit: u32,
) -> Result<Vec<Undelivered>, Error> {
    let sql = "SELECT DISTINCT d.recording_id, r.owner_id, d.endpoint FROM spool.webhook_delivery AS d \
        JOIN spool.webhook_endpoint AS e ON e.name = d.endpoint AND e.enabled \
        JOIN spool.recording AS r ON r.id = d.recording_id \
        WHERE d.state = 'pending' AND d.due_at < now() - interval '30 seconds' AND (d.recording_id, d.endpoint) > ($1, $2) \
        ORDER BY d.recording_id, d.endpoint LIMIT $3";
    let (recording, endpoint) = after.map_or(("", ""), |last| (last.recording.as_str(), last.endpoint.as_str()));
    let rows = all(db, sql, [recording.into(), endpoint.into(), i64::from(limit).into()]).await;
    let read = |row: &QueryResult| {
        Ok(Undelivered {
            recording: parsed(row, "recording_id", RecordingId::parse)?,
            owner: parsed(row, "owner_id", OwnerId::parse)?,
            endpoint: column(row, "endpoint")?,
        })
    };
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(Error::of("look for undelivered events", ""))
}

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// So many events go out again.
    Events(u64),
    /// There is no such recording.
    NoRecording,
    /// There is no such endpoint, or the recording names none.
    NoEndpoint,
    /// The endpoint is told nothing, for this reason.
    Disabled(String),
    /// Nothing was parked, or the recording has no such event.
    Nothing,
}

/// What is to go out again, and who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay<'a> {
    /// The recording.
    pub recording: &'a RecordingId,
    /// To this endpoint; none: to the recording's own.
    pub endpoint: Option<&'a str>,
    /// Every event from this number on; none: those that were parked.
    pub from: Option<u64>,
    /// Who asks, for the audit.
    pub actor: &'a str,
    /// Which way the wish came.
    pub via: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
}

/// Lets events go out again, in order, with the audit in the same transaction.
///
/// # Errors
/// The database's; [`Error::is_lock_timeout`] when somebody holds the recording.
pub async fn replay(tx: &DatabaseTransaction, replay: &Replay<'_>) -> Result<Replayed, Error> {
    super::recordings::bound_lock_wait(tx).await?;
    let from = replay.from.map(|seq| i64::try_from(seq).unwrap_or(i64::MAX));
    let values = [
        replay.recording.as_str().into(),
        replay.endpoint.map(str::to_owned).into(),
        from.into(),
        replay.actor.into(),
        replay.via.into(),
        replay.reason.map(str::to_owned).into(),
    ];
    let row = one(tx, "SELECT spool.op_webhook_replay($1, $2, $3, $4, $5, $6) AS answer", values).await;
    let read = |row: Option<QueryResult>| {
        let row = row.ok_or_else(|| DbErr::RecordNotFound("no answer".to_owned()))?;
        let answer: String = column(&row, "answer")?;
        Ok(match answer.split_once(": ").unwrap_or((&answer, "")) {
            ("ok", n) => Replayed::Events(n.parse().map_err(|_| DbErr::Type(format!("answer {answer:?}")))?),
            ("not-found", _) => Replayed::NoRecording,
            ("no-endpoint", _) => Replayed::NoEndpoint,
            ("disabled", why) => Replayed::Disabled(why.to_owned()),
            ("nothing", _) => Replayed::Nothing,
            _ => return Err(DbErr::Type(format!("answer {answer:?}"))),
        })
    };
    row.and_then(read).map_err(Error::of("replay events", replay.recording))
}

/// How an endpoint stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// The word of its format.
    pub format: String,
    /// Why it is told nothing; none: it is told.
    pub disabled_reason: Option<String>,
    /// Events on their way; at most [`COUNT_MAX`] are counted.
    pub pending: u64,
    /// Since when the oldest of them is to go out.
    pub oldest_at: Option<DateTime<Utc>>,
    /// Events given up; at most [`COUNT_MAX`] are counted.
    pub parked: u64,
    /// When it was last tried.
    pub last_at: Option<DateTime<Utc>>,
    /// The status that it answered then.
    pub last_status: Option<u16>,
    /// What was wrong then.
    pub last_error: Option<String>,
    /// The database's clock.
    pub now: DateTime<Utc>,
}

/// Most deliveries that are counted: beyond it a person reads "very many", and nobody waits for the sum.
pub const COUNT_MAX: u32 = 10_000;

/// Most endpoints that are listed; there are as many as somebody wrote into the settings.
const ENDPOINTS_MAX: u32 = 1_000;

/// Every endpoint, by name.
///
/// # Errors
/// The database's.
pub async fn standings(db: &impl ConnectionTrait) -> Result<Vec<Standing>, Error> {
    let sql = "SELECT e.name, e.format, e.disabled_reason, now() AS now, \
          (SELECT count(*) FROM (SELECT FROM spool.webhook_delivery d \
            WHERE d.endpoint = e.name AND d.state = 'pending' LIMIT $1) AS counted) AS pending, \
          (SELECT min(d.due_at) FROM spool.webhook_delivery d WHERE d.endpoint = e.name AND d.state = 'pending') AS oldest_at, \
          (SELECT count(*) FROM (SELECT FROM spool.webhook_delivery d \
            WHERE d.endpoint = e.name AND d.state = 'parked' LIMIT $1) AS counted) AS parked, \
          last.last_at, last.last_status::int8, last.last_error \
        FROM spool.webhook_endpoint AS e LEFT JOIN LATERAL (SELECT d.last_at, d.last_status, d.last_error \
          FROM spool.webhook_delivery AS d WHERE d.endpoint = e.name AND d.last_at IS NOT NULL \
          ORDER BY d.last_at DESC LIMIT 1) AS last ON true \
        ORDER BY e.name LIMIT $2";
    let rows = all(db, sql, [i64::from(COUNT_MAX).into(), i64::from(ENDPOINTS_MAX).into()]).await;
    let read = |row: &QueryResult| {
        Ok(Standing {
            name: column(row, "name")?,
            format: column(row, "format")?,
            disabled_reason: maybe(row, "disabled_reason")?,
            pending: number(row, "pending")?,
            oldest_at: maybe(row, "oldest_at")?,
            parked: number(row, "parked")?,
            last_at: maybe(row, "last_at")?,
            last_status: maybe_number(row, "last_status")?,
            last_error: maybe(row, "last_error")?,
            now: column(row, "now")?,
        })
    };
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(Error::of("list webhook endpoints", ""))
}

fn maybe<T: TryGetable>(row: &QueryResult, name: &str) -> Result<Option<T>, DbErr> {
    column(row, name)
}
