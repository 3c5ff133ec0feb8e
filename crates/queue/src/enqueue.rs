//! Puts jobs on their queue, inside the caller's transaction when there is one.
//!
//! The insert is the database's function `queue.enqueue`, the same for callers in other languages. Ring the bell of the
//! queue after the commit ([`crate::notify::Bell`]); the function itself stays quiet for us.

use chrono::{DateTime, Utc};
use domain::job::Payload;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use std::time::Duration;
use uuid::Uuid;

/// What happens when a live job already holds the unique key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// Leave it as it is.
    #[default]
    Keep,
    /// Bring it forward if it waits: a snooze is cut short, a back-off is not.
    Hasten,
}

/// When the job may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunAt {
    /// As soon as there is a free slot.
    #[default]
    Now,
    /// After this time, by the database's clock.
    After(Duration),
    /// At this moment.
    At(DateTime<Utc>),
}

/// A job to be put in.
#[derive(Debug, Clone)]
pub struct Enqueue {
    /// Its id, uuid v7: asking twice with the same id makes one job.
    pub id: Uuid,
    /// Its queue; none: the kind's own.
    pub queue: Option<String>,
    /// Its kind.
    pub kind: String,
    /// Its payload: ids only, no secret and no URL.
    pub payload: serde_json::Value,
    /// Whom it is about.
    pub subject: Option<String>,
    /// Who pays for it; also the key of the queue's limit per key.
    pub owner_id: Option<String>,
    /// At most one live job of this key, in the states that the kind's mask names.
    pub unique_key: Option<String>,
    /// When it may run.
    pub run_at: RunAt,
    /// What happens when the key is taken.
    pub on_conflict: OnConflict,
}

/// A job that is now on its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The job: the one asked for, or the one that holds its key.
    pub id: Uuid,
    /// It is new.
    pub inserted: bool,
}

/// Why a job was not put in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The payload is not JSON.
    #[error("encode payload of a {kind} job")]
    Payload {
        /// The kind.
        kind: String,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// The database did not take it; the caller's transaction is broken.
    #[error("enqueue {kind} job")]
    Database {
        /// The kind.
        kind: String,
        /// The cause.
        #[source]
        source: DbErr,
    },
}

impl domain::retry::Classify for Error {
    fn fault(&self) -> domain::retry::Fault {
        match self {
            Error::Payload { .. } => domain::retry::Fault::Permanent,
            Error::Database { .. } => domain::retry::Fault::Transient,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Error::Payload { .. } => "payload",
            Error::Database { .. } => "database",
        }
    }
}

impl Enqueue {
    /// A job of a kind that is known by its word only.
    pub fn raw(kind: impl Into<String>, payload: serde_json::Value) -> Self {
        Enqueue {
            id: Uuid::now_v7(),
            queue: None,
            kind: kind.into(),
            payload,
            subject: None,
            owner_id: None,
            unique_key: None,
            run_at: RunAt::Now,
            on_conflict: OnConflict::Keep,
        }
    }

    /// A job with a payload of the domain, which knows its subject and its key.
    ///
    /// # Errors
    /// [`Error::Payload`] when it is not JSON.
    pub fn of<P: Payload>(payload: &P) -> Result<Self, Error> {
        let kind = P::KIND.as_str();
        let json = serde_json::to_value(payload).map_err(|source| Error::Payload { kind: kind.into(), source })?;
        Ok(Enqueue {
            subject: payload.subject().map(|subject| subject.as_str().to_owned()),
            unique_key: payload.unique_key(),
            ..Enqueue::raw(kind, json)
        })
    }

    /// Who pays for it.
    #[must_use]
    pub fn owned_by(mut self, owner_id: impl Into<String>) -> Self {
        self.owner_id = Some(owner_id.into());
        self
    }

    /// Not before this time has passed.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.run_at = RunAt::After(wait);
        self
    }

    /// Brings a waiting job of the same key forward instead of leaving it.
    #[must_use]
    pub fn hastening(mut self) -> Self {
        self.on_conflict = OnConflict::Hasten;
        self
    }

    /// Puts it in.
    ///
    /// # Errors
    /// [`Error::Database`]: also for a kind that nobody has declared.
    pub async fn put<C: ConnectionTrait>(self, db: &C) -> Result<Enqueued, Error> {
        let kind = self.kind.clone();
        let result = db.query_one_raw(self.statement()).await;
        let read = result.and_then(|row| {
            let row = row.ok_or_else(|| DbErr::RecordNotFound("queue.enqueue returned no row".into()))?;
            Ok(Enqueued { id: row.try_get("", "job_id")?, inserted: row.try_get("", "inserted")? })
        });
        read.map_err(|source| Error::Database { kind, source })
    }

    fn statement(self) -> Statement {
        let (after_ms, at) = match self.run_at {
            RunAt::Now => (None, None),
            RunAt::After(wait) => (Some(wait.as_secs_f64() * 1000.0), None),
            RunAt::At(moment) => (None, Some(moment)),
        };
        let on_conflict = match self.on_conflict {
            OnConflict::Keep => "keep",
            OnConflict::Hasten => "hasten",
        };
        Statement::from_sql_and_values(
            DbBackend::Postgres,
            PUT,
            [
                self.id.into(),
                self.queue.into(),
                self.kind.into(),
                self.payload.into(),
                self.subject.into(),
                self.owner_id.into(),
                self.unique_key.into(),
                after_ms.into(),
                at.into(),
                on_conflict.into(),
            ],
        )
    }
}

/// Quiet: a commit that notifies takes a lock that all such commits share, and the accepting of a segment must not wait
/// for it. The setting ends with the transaction.
/// The call reads what the setting returned, so that it cannot be made first.
const PUT: &str = "SELECT e.job_id, e.inserted FROM (SELECT set_config('queue.quiet', 'on', true) AS mode) AS quiet, \
    LATERAL queue.enqueue($1::uuid, $2::text, $3::text, $4::jsonb, $5::text, $6::text, $7::text, \
      coalesce(now() + $8::float8 * interval '1 millisecond', $9::timestamptz), \
      concat($10::text, nullif(quiet.mode, 'on'))) AS e";

/// Puts in a payload of the domain.
///
/// # Errors
/// As [`Enqueue::put`].
pub async fn enqueue<P: Payload, C: ConnectionTrait>(db: &C, payload: &P) -> Result<Enqueued, Error> {
    Enqueue::of(payload)?.put(db).await
}

/// Puts in a payload of the domain, or brings the job that holds its key forward.
///
/// # Errors
/// As [`Enqueue::put`].
pub async fn hasten<P: Payload, C: ConnectionTrait>(db: &C, payload: &P) -> Result<Enqueued, Error> {
    Enqueue::of(payload)?.hastening().put(db).await
}
