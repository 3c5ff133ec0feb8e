//! What processes agree on through the database.

use super::{Error, column, execute, one, parsed};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, QueryResult};
use std::time::Duration;
use uuid::Uuid;

/// The registered staging folder: `{"id": …}`; `updated_at` tells when its process was last seen.
const STAGING: &str = "staging.local";

/// A staging folder whose processes were not seen for so long may be replaced, once nothing waits in it.
const STAGING_SILENCE: &str = "1 minute";

/// The object store that belongs to the database: `{"id": …, "settled": …}`; not settled while the process that claimed
/// the database writes the id into the store, since `updated_at`.
const STORE: &str = "storage.id";

/// A claim that was not settled for so long is given up: its process is dead, and no write takes that long.
pub(crate) const STORE_CLAIM: Duration = Duration::from_secs(30);

/// The database's clock.
///
/// # Errors
/// The database's.
pub async fn now(db: &impl ConnectionTrait) -> Result<DateTime<Utc>, Error> {
    let row = one(db, "SELECT clock_timestamp() AS now", []).await;
    let read = |row: Option<QueryResult>| column(&row.ok_or_else(|| DbErr::RecordNotFound("now".to_owned()))?, "now");
    row.and_then(read).map_err(Error::of("read the database's clock", ""))
}

/// The version of the schema; 0 when there is none yet.
///
/// # Errors
/// The database's.
pub async fn schema_version(db: &impl ConnectionTrait) -> Result<i32, Error> {
    let exists = "SELECT to_regclass('spool.setting') IS NOT NULL AS there";
    let failed = |source| Error { operation: "read schema version", object: String::new(), source };
    let row = one(db, exists, []).await.map_err(failed)?;
    let there: bool = row.map_or(Ok(false), |row| column(&row, "there")).map_err(failed)?;
    if !there {
        return Ok(0);
    }
    let row = one(db, "SELECT spool.schema_version() AS version", []).await.map_err(failed)?;
    let version: Option<i32> = row.map_or(Ok(None), |row| column(&row, "version")).map_err(failed)?;
    Ok(version.unwrap_or(0))
}

/// Id of the registered staging folder.
///
/// # Errors
/// The database's.
pub async fn staging(db: &impl ConnectionTrait) -> Result<Option<Uuid>, Error> {
    let failed = |source| Error { operation: "read registered staging folder", object: String::new(), source };
    let sql = "SELECT value ->> 'id' AS id FROM spool.setting WHERE key = $1";
    let row = one(db, sql, [STAGING.into()]).await.map_err(failed)?;
    let id: Option<String> = row.map_or(Ok(None), |row| column(&row, "id")).map_err(failed)?;
    Ok(id.and_then(|id| id.parse().ok()))
}

/// Registers a staging folder, or says again that it is used; tells whether it is the registered one.
///
/// Acknowledged bytes lie in the folder that accepted them, and only whoever sees that folder can bring them into the
/// store. So another folder takes over only when the registered one was silent for a while and no row waits in it. Of
/// two that try at once the row's lock lets one in; the other finds a folder that was just seen.
///
/// # Errors
/// The database's.
pub async fn register_staging(db: &DatabaseConnection, id: Uuid) -> Result<bool, Error> {
    let sql = format!(
        "INSERT INTO spool.setting (key, value) VALUES ($1, jsonb_build_object('id', $2::text)) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now() \
         WHERE setting.value ->> 'id' = $2 \
            OR (setting.updated_at < now() - interval '{STAGING_SILENCE}' \
                AND NOT EXISTS (SELECT FROM spool.segment WHERE state = 'received' AND staging_uri LIKE 'local:%'))"
    );
    let touched = execute(db, &sql, [STAGING.into(), id.to_string().into()]).await;
    touched.map(|rows| rows == 1).map_err(Error::of("register staging folder", id))
}

/// The store that the database belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paired {
    /// Its id.
    pub(crate) id: Uuid,
    /// The store has the id; else somebody is about to write it.
    pub(crate) settled: bool,
    /// Whoever was about to write it has not come to an end.
    pub(crate) given_up: bool,
}

/// The store that the database belongs to, if it knows one.
pub(crate) async fn store(db: &impl ConnectionTrait) -> Result<Option<Paired>, Error> {
    let sql = "SELECT value ->> 'id' AS id, (value ->> 'settled')::boolean AS settled, \
            updated_at < now() - make_interval(secs => $2) AS given_up \
        FROM spool.setting WHERE key = $1";
    let row = one(db, sql, [STORE.into(), STORE_CLAIM.as_secs_f64().into()]).await;
    let read = |row: &QueryResult| {
        let parse = |text: &str| Uuid::parse_str(text);
        let settled: bool = column(row, "settled")?;
        let given_up: bool = column(row, "given_up")?;
        Ok(Paired { id: parsed(row, "id", parse)?, settled, given_up: given_up && !settled })
    };
    row.and_then(|row| row.as_ref().map(read).transpose()).map_err(Error::of("read store of the database", ""))
}

/// Says that the store is about to get this id; false when the database belongs to a store already, or another process
/// has said so just now.
pub(crate) async fn claim_store(db: &impl ConnectionTrait, id: Uuid) -> Result<bool, Error> {
    let sql = "INSERT INTO spool.setting (key, value) VALUES ($1, jsonb_build_object('id', $2::text, 'settled', false)) \
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now() \
        WHERE NOT (setting.value ->> 'settled')::boolean \
            AND setting.updated_at < now() - make_interval(secs => $3)";
    let touched = execute(db, sql, [STORE.into(), id.to_string().into(), STORE_CLAIM.as_secs_f64().into()]).await;
    touched.map(|rows| rows == 1).map_err(Error::of("claim database for store", id))
}

/// Gives a claim up that came to nothing.
pub(crate) async fn give_up_store(db: &impl ConnectionTrait, id: Uuid) -> Result<(), Error> {
    let sql = "UPDATE spool.setting SET updated_at = '-infinity' \
        WHERE key = $1 AND value ->> 'id' = $2 AND NOT (value ->> 'settled')::boolean";
    let touched = execute(db, sql, [STORE.into(), id.to_string().into()]).await;
    touched.map(drop).map_err(Error::of("give up database for store", id))
}

/// Says that the store has this id; false when the database belongs to another store, or is about to.
pub(crate) async fn settle_store(db: &impl ConnectionTrait, id: Uuid) -> Result<bool, Error> {
    let sql = "INSERT INTO spool.setting (key, value) VALUES ($1, jsonb_build_object('id', $2::text, 'settled', true)) \
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now() \
        WHERE setting.value ->> 'id' = $2 OR (NOT (setting.value ->> 'settled')::boolean \
            AND setting.updated_at < now() - make_interval(secs => $3))";
    let touched = execute(db, sql, [STORE.into(), id.to_string().into(), STORE_CLAIM.as_secs_f64().into()]).await;
    touched.map(|rows| rows == 1).map_err(Error::of("settle store of the database", id))
}

/// Makes this the store of the database, whatever it was before.
pub(crate) async fn replace_store(db: &impl ConnectionTrait, id: Uuid) -> Result<(), Error> {
    let sql = "INSERT INTO spool.setting (key, value) VALUES ($1, jsonb_build_object('id', $2::text, 'settled', true)) \
        ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now()";
    let touched = execute(db, sql, [STORE.into(), id.to_string().into()]).await;
    touched.map(drop).map_err(Error::of("replace store of the database", id))
}
