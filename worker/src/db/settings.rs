//! What processes agree on through the database.

use super::{Error, column, execute, one};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, QueryResult};
use uuid::Uuid;

/// The registered staging folder: `{"id": …}`; `updated_at` tells when its process was last seen.
const STAGING: &str = "staging.local";

/// A staging folder whose processes were not seen for so long may be replaced, once nothing waits in it.
const STAGING_SILENCE: &str = "1 minute";

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
