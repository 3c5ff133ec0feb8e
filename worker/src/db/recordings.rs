//! Rows of recordings: made, looked at, locked, and moved along the list of `CONTRACTS §4`.

use super::{Error, all, column, execute, maybe_number, maybe_sha256, number, one, parsed, word};
use chrono::{DateTime, Utc};
use domain::completeness::Declaration;
use domain::id::{OwnerId, RecordingId, Sha256};
use domain::mux::Gap;
use domain::recording::{Cause, Door, Policy, Source, State, WrongState, transition};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};
use serde_json::{Value as Json, json};

/// One recording as its row tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Its id.
    pub id: RecordingId,
    /// Whose it is.
    pub owner: OwnerId,
    /// Who writes its segments.
    pub source: Source,
    /// What holes do to its result.
    pub policy: Policy,
    /// Name of the endpoint that hears of it.
    pub webhook: Option<String>,
    /// Its state.
    pub state: State,
    /// Its end came by silence and may go on.
    pub provisional: bool,
    /// What the recorder said it made.
    pub declared: Option<Declaration>,
    /// The last segment is known from a declaration.
    pub tail_confirmed: bool,
    /// When the completion call came.
    pub signalled_at: Option<DateTime<Utc>>,
    /// When it last left `live`.
    pub ended_at: Option<DateTime<Utc>>,
    /// The plan being made or served.
    pub plan_version: u32,
    /// The newest plan that can no longer change.
    pub frozen_version: u32,
    /// An operator takes the holes as they are.
    pub gaps_accepted: bool,
    /// Gaps of the newest plan.
    pub gaps: Vec<Gap>,
    /// The result has gaps.
    pub degraded: bool,
    /// Why it failed: code and sentence.
    pub error: Option<(String, String)>,
    /// The result that is served.
    pub result: Option<Served>,
    /// Grows with every segment that becomes stored or lost.
    pub stored_seq: u64,
    /// `stored_seq` as the manifest in the store knows it.
    pub manifest_seq: u64,
    /// When the manifest was last written; `None` again from the moment at which it is complete until it says so.
    pub manifest_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The database's clock when it was read.
    pub now: DateTime<Utc>,
}

impl Recording {
    /// What accept needs to know of it.
    pub fn door(&self) -> Door {
        let frozen = self.frozen_version >= self.plan_version;
        Door { state: self.state, provisional: self.provisional, frozen }
    }

    /// Whether nothing more can come: the plan is frozen, and the end is no guess.
    pub fn is_complete(&self) -> bool {
        self.door().frozen && !self.provisional
    }

    /// Whether the manifest that says that it is complete is still to be written. What becomes complete forgets when its
    /// manifest was written, because moments of two transactions tell nothing of their order.
    pub fn awaits_last_manifest(&self) -> bool {
        self.source == Source::Spool && self.is_complete() && self.manifest_at.is_none()
    }
}

/// The result that is served.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// Its plan version.
    pub version: u32,
    /// Its key.
    pub key: String,
    /// Entity tag of the store.
    pub etag: Option<String>,
    /// Its length.
    pub size_bytes: u64,
    /// Its digest, where one was made.
    pub sha256: Option<Sha256>,
    /// Its duration in milliseconds.
    pub duration_ms: u64,
    /// Picture width in pixels.
    pub width: Option<u32>,
    /// Picture height in pixels.
    pub height: Option<u32>,
    /// Pictures per second.
    pub fps: Option<f64>,
    /// RFC 6381 string of the picture's codec.
    pub video_codec: Option<String>,
    /// RFC 6381 string of the sound's codec.
    pub audio_codec: Option<String>,
}

/// Every column that [`read`] reads; 64-bit throughout, so that one reader does for all.
const COLUMNS: &str = "id, owner_id, source, policy, webhook, state, provisional, declared, tail_confirmed, signalled_at, \
    ended_at, plan_version::int8, frozen_version::int8, gaps_accepted, gaps, degraded, error_code, error_message, \
    result_version::int8, result_key, result_etag, result_bytes, result_sha256, duration_ms, width::int8, height::int8, \
    fps, video_codec, audio_codec, stored_seq, manifest_seq, manifest_at, created_at, now() AS now";

fn read(row: &QueryResult) -> Result<Recording, DbErr> {
    let declared: Option<Json> = column(row, "declared")?;
    let gaps: Json = column(row, "gaps")?;
    let wrong = |name: &'static str| move |error: serde_json::Error| DbErr::Json(format!("column {name}: {error}"));
    let code: Option<String> = column(row, "error_code")?;
    let message: Option<String> = column(row, "error_message")?;
    Ok(Recording {
        id: parsed(row, "id", RecordingId::parse)?,
        owner: parsed(row, "owner_id", OwnerId::parse)?,
        source: word(row, "source", Source::parse)?,
        policy: word(row, "policy", Policy::parse)?,
        webhook: column(row, "webhook")?,
        state: word(row, "state", State::parse)?,
        provisional: column(row, "provisional")?,
        declared: declared.map(serde_json::from_value).transpose().map_err(wrong("declared"))?,
        tail_confirmed: column(row, "tail_confirmed")?,
        signalled_at: column(row, "signalled_at")?,
        ended_at: column(row, "ended_at")?,
        plan_version: number(row, "plan_version")?,
        frozen_version: number(row, "frozen_version")?,
        gaps_accepted: column(row, "gaps_accepted")?,
        gaps: serde_json::from_value(gaps).map_err(wrong("gaps"))?,
        degraded: column(row, "degraded")?,
        error: code.map(|code| (code, message.unwrap_or_default())),
        result: read_result(row)?,
        stored_seq: number(row, "stored_seq")?,
        manifest_seq: number(row, "manifest_seq")?,
        manifest_at: column(row, "manifest_at")?,
        created_at: column(row, "created_at")?,
        now: column(row, "now")?,
    })
}

fn read_result(row: &QueryResult) -> Result<Option<Served>, DbErr> {
    let Some(key) = column::<Option<String>>(row, "result_key")? else { return Ok(None) };
    Ok(Some(Served {
        version: maybe_number(row, "result_version")?.unwrap_or(1),
        key,
        etag: column(row, "result_etag")?,
        size_bytes: maybe_number(row, "result_bytes")?.unwrap_or(0),
        sha256: maybe_sha256(row, "result_sha256")?,
        duration_ms: maybe_number(row, "duration_ms")?.unwrap_or(0),
        width: maybe_number(row, "width")?,
        height: maybe_number(row, "height")?,
        fps: column(row, "fps")?,
        video_codec: column(row, "video_codec")?,
        audio_codec: column(row, "audio_codec")?,
    }))
}

/// A recording to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New {
    /// Its id.
    pub id: RecordingId,
    /// Whose it is.
    pub owner: OwnerId,
    /// Who writes its segments.
    pub source: Source,
    /// What holes do to its result.
    pub policy: Policy,
    /// Name of the endpoint that hears of it.
    pub webhook: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// It is new.
    New(Box<Recording>),
    /// It was there already, of the same owner.
    Same(Box<Recording>),
    /// The id is taken by another owner's recording.
    OtherOwner,
    /// The id was of a recording that is erased.
    Erased,
}

/// Makes a recording and its first sign of life.
///
/// # Errors
/// The database's.
pub async fn create(tx: &DatabaseTransaction, new: &New) -> Result<Created, Error> {
    let failed = |source| Error { operation: "create recording", object: new.id.to_string(), source };
    // Two callers with one id: the second waits for the first one's end, inserts nothing, and then sees its row.
    let insert = "INSERT INTO spool.recording (id, owner_id, source, policy, webhook) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (id) DO NOTHING";
    let values = [
        new.id.as_str().into(),
        new.owner.as_str().into(),
        new.source.as_str().into(),
        new.policy.as_str().into(),
        new.webhook.clone().into(),
    ];
    let inserted = execute(tx, insert, values).await.map_err(failed)? == 1;
    if inserted {
        let alive = "INSERT INTO spool.liveness (recording_id) VALUES ($1) ON CONFLICT DO NOTHING";
        execute(tx, alive, [new.id.as_str().into()]).await.map_err(failed)?;
    }
    let Some(recording) = get(tx, &new.id).await? else {
        return Err(Error::bad_row("create recording", &new.id, "the row is gone at once"));
    };
    Ok(match recording {
        recording if inserted => Created::New(Box::new(recording)),
        recording if recording.owner != new.owner => Created::OtherOwner,
        recording if recording.state == State::Deleted => Created::Erased,
        recording => Created::Same(Box::new(recording)),
    })
}

/// Looks at a recording without locking it.
///
/// # Errors
/// The database's.
pub async fn get(db: &impl ConnectionTrait, id: &RecordingId) -> Result<Option<Recording>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM spool.recording WHERE id = $1");
    let row = one(db, &sql, [id.as_str().into()]).await;
    row.and_then(|row| row.as_ref().map(read).transpose()).map_err(Error::of("get recording", id))
}

/// Looks at a recording and keeps whoever wants to shut the door out until the end of the transaction.
///
/// Freezing, archiving, cancelling, erasing and making an end final all take the row FOR UPDATE first, which waits for
/// this; so what is read here stays true until the segment's row is committed. The completion call only UPDATEs, which
/// does not conflict with it: a web app may leave its transaction open as long as it likes and no segment waits.
///
/// # Errors
/// The database's; [`Error::is_lock_timeout`] when the row is held for longer than [`super::LOCK_TIMEOUT`].
pub async fn lock_share(tx: &DatabaseTransaction, id: &RecordingId) -> Result<Option<Recording>, Error> {
    bound_lock_wait(tx).await?;
    let sql = format!("SELECT {COLUMNS} FROM spool.recording WHERE id = $1 FOR KEY SHARE");
    let row = one(tx, &sql, [id.as_str().into()]).await;
    row.and_then(|row| row.as_ref().map(read).transpose()).map_err(Error::of("look at recording", id))
}

/// Takes a recording for this transaction alone, then reads it.
///
/// Two statements on purpose: a statement that waited for a lock goes on with the snapshot it had before, in which the
/// rows of segments that came in meanwhile are missing. The second statement sees them.
///
/// # Errors
/// The database's; [`Error::is_lock_timeout`] when the row is held for longer than [`super::LOCK_TIMEOUT`].
pub async fn lock(tx: &DatabaseTransaction, id: &RecordingId) -> Result<Option<Recording>, Error> {
    bound_lock_wait(tx).await?;
    let sql = "SELECT id FROM spool.recording WHERE id = $1 FOR UPDATE";
    one(tx, sql, [id.as_str().into()]).await.map_err(Error::of("lock recording", id))?;
    get(tx, id).await
}

/// Bounds every wait for a lock in this transaction.
///
/// # Errors
/// The database's.
pub async fn bound_lock_wait(tx: &DatabaseTransaction) -> Result<(), Error> {
    let sql = "SELECT set_config('lock_timeout', $1, true)";
    let bound = super::LOCK_TIMEOUT.as_millis().to_string();
    one(tx, sql, [bound.into()]).await.map(|_| ()).map_err(Error::of("bound lock wait", ""))
}

/// What became of a change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advanced {
    /// The recording is in this state now.
    To(State),
    /// The list does not contain this change.
    Refused(WrongState),
    /// Somebody else changed it first: look again.
    Changed,
}

/// What a change of state starts from: as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct From {
    /// The state.
    pub state: State,
    /// The flag that decides about late segments.
    pub provisional: bool,
    /// The plan version.
    pub plan_version: u32,
}

impl From {
    /// Where `recording` stands.
    pub fn of(recording: &Recording) -> From {
        From { state: recording.state, provisional: recording.provisional, plan_version: recording.plan_version }
    }
}

/// Moves a recording along the list and writes the event, in the caller's transaction. `facts` go into the event's
/// body. Whatever else the change sets, the caller sets in the same transaction: the row is locked from here on.
///
/// Compare-and-set on state, flag and plan version: of two that read the same row one wins, and a decision made about
/// one plan never lands on the next.
///
/// # Errors
/// The database's.
pub async fn advance(
    tx: &DatabaseTransaction,
    id: &RecordingId,
    from: From,
    cause: Cause,
    facts: Json,
) -> Result<Advanced, Error> {
    let to = match transition(from.state, cause, from.provisional) {
        Ok(to) => to,
        Err(wrong) => return Ok(Advanced::Refused(wrong)),
    };
    let sql = "UPDATE spool.recording SET state = $2, state_at = now(), \
            provisional = CASE WHEN $2 = 'live' THEN false WHEN $6 THEN true ELSE provisional END, \
            ended_at = CASE WHEN state = 'live' THEN now() ELSE ended_at END, \
            error_code = CASE WHEN $2 = 'failed' THEN error_code END, \
            error_message = CASE WHEN $2 = 'failed' THEN error_message END \
        WHERE id = $1 AND state = $3 AND provisional = $4 AND plan_version = $5";
    let values = [
        id.as_str().into(),
        to.as_str().into(),
        from.state.as_str().into(),
        from.provisional.into(),
        i64::from(from.plan_version).into(),
        (cause == Cause::Silence).into(),
    ];
    let touched = execute(tx, sql, values).await.map_err(Error::of("advance recording", id))?;
    if touched != 1 {
        return Ok(Advanced::Changed);
    }
    let mut body = json!({ "from": from.state, "cause": word_of(cause), "plan_version": from.plan_version });
    if let (Some(body), Json::Object(facts)) = (body.as_object_mut(), facts) {
        body.extend(facts);
    }
    super::events::append(tx, id, event_of(to), body).await?;
    Ok(Advanced::To(to))
}

/// The type of the event that tells of a state.
fn event_of(to: State) -> &'static str {
    match to {
        State::Live => "recording.reopened",
        State::Finalizing => "recording.finalizing",
        State::Ready => "recording.ready",
        State::Failed => "recording.failed",
        State::Archived => "recording.archived",
        State::Cancelled => "recording.cancelled",
        State::Deleted => "recording.deleted",
    }
}

/// The word for a cause in events.
fn word_of(cause: Cause) -> &'static str {
    match cause {
        Cause::Complete => "complete",
        Cause::Silence => "silence",
        Cause::LateSegment => "late_segment",
        Cause::Publish => "publish",
        Cause::Fail => "fail",
        Cause::Revive => "revive",
        Cause::Remux => "remux",
        Cause::Reopen => "reopen",
        Cause::Archive => "archive",
        Cause::Cancel => "cancel",
        Cause::Erase => "erase",
    }
}

/// Writes what the recorder said it made. The last word counts: a recorder that went on after a pause says it again.
///
/// # Errors
/// The database's; [`Error::is_lock_timeout`] when a web app's transaction holds the row.
pub async fn declare(tx: &DatabaseTransaction, id: &RecordingId, declared: &Declaration) -> Result<bool, Error> {
    bound_lock_wait(tx).await?;
    let sql = "UPDATE spool.recording SET declared = $2, declared_at = now() WHERE id = $1";
    let declared = serde_json::to_value(declared).expect("a declaration is JSON");
    let touched = execute(tx, sql, [id.as_str().into(), declared.into()]).await;
    touched.map(|rows| rows == 1).map_err(Error::of("declare end of recording", id))
}

/// What the completion call answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The recording is being finalized from now on.
    Queued,
    /// It was being finalized already.
    AlreadyProcessing,
    /// It has its result.
    AlreadyComplete,
    /// It cannot be completed in its state: nothing was uploaded, or it is cancelled or erased.
    Refused,
    /// There is no such recording.
    NotFound,
}

/// The completion call: the database's own function, the same for web apps that call it inside their transaction.
///
/// # Errors
/// The database's.
pub async fn complete(tx: &DatabaseTransaction, id: &RecordingId) -> Result<Completion, Error> {
    let failed = Error::of("complete recording", id);
    let row = one(tx, "SELECT spool.recording_complete($1) AS answer", [id.as_str().into()]).await;
    let read = |row: Option<QueryResult>| {
        let row = row.ok_or_else(|| DbErr::RecordNotFound("no answer".to_owned()))?;
        word(&row, "answer", |text| match text {
            "queued" => Some(Completion::Queued),
            "already-processing" => Some(Completion::AlreadyProcessing),
            "already-complete" => Some(Completion::AlreadyComplete),
            "refused" => Some(Completion::Refused),
            "not-found" => Some(Completion::NotFound),
            _ => None,
        })
    };
    row.and_then(read).map_err(failed)
}

/// Which recordings a list shows, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Of this owner only.
    pub owner: Option<OwnerId>,
    /// In this state only.
    pub state: Option<State>,
    /// Older than this one: where the page before ended.
    pub after: Option<(DateTime<Utc>, RecordingId)>,
    /// At most so many.
    pub limit: u32,
}

/// One page of recordings.
///
/// # Errors
/// The database's.
pub async fn list(db: &impl ConnectionTrait, filter: &Filter) -> Result<Vec<Recording>, Error> {
    let (at, id) = filter.after.clone().unzip();
    let sql = format!(
        "SELECT {COLUMNS} FROM spool.recording \
         WHERE ($1::text IS NULL OR owner_id = $1) AND ($2::text IS NULL OR state = $2) \
           AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4)) \
         ORDER BY created_at DESC, id DESC LIMIT $5"
    );
    let values = [
        filter.owner.as_ref().map(OwnerId::as_str).into(),
        filter.state.map(State::as_str).into(),
        at.into(),
        id.map(String::from).into(),
        i64::from(filter.limit).into(),
    ];
    let rows = all(db, &sql, values).await;
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(Error::of("list recordings", ""))
}
