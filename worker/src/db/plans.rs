//! Frozen plans, and what a change of a recording's state sets besides the state.
//!
//! Each function runs in the transaction that changes the state, after or before [`super::recordings::advance`], and
//! says which.

use super::{Error, all, column, execute, number, one, sha256};
use chrono::{DateTime, Utc};
use domain::id::{RecordingId, Sha256};
use domain::mux::{Gap, Plan};
use domain::segment::Track;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};
use std::collections::HashMap;

/// A plan as it was frozen.
#[derive(Debug, Clone, PartialEq)]
pub struct Frozen {
    /// The plan.
    pub plan: Plan,
    /// Digest of its text.
    pub sha256: Sha256,
    /// When it was frozen.
    pub created_at: DateTime<Utc>,
}

/// A plan that cannot be carried out by this build, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Another build laid it out.
    Layout {
        /// Its layout version.
        found: u32,
    },
    /// Its text is not what was frozen.
    Damaged,
}

/// Freezes the plan of `version`: no later look may change it. False when the recording is no longer finalizing this
/// version, or the version is frozen already.
///
/// The caller holds the recording FOR UPDATE and has looked at its rows again since; so nothing that the plan does not
/// know can have been acknowledged.
///
/// # Errors
/// The database's.
pub async fn freeze(tx: &DatabaseTransaction, plan: &Plan) -> Result<bool, Error> {
    let failed = |source| Error { operation: "freeze plan", object: plan.recording.to_string(), source };
    let version = i64::from(plan.version);
    let shut = "UPDATE spool.recording SET frozen_version = plan_version, manifest_at = NULL \
        WHERE id = $1 AND state = 'finalizing' AND plan_version = $2 AND frozen_version < $2";
    if execute(tx, shut, [plan.recording.as_str().into(), version.into()]).await.map_err(failed)? != 1 {
        return Ok(false);
    }
    let body = serde_json::to_string(plan).map_err(|error| failed(DbErr::Json(error.to_string())))?;
    let digest = Sha256::of(body.as_bytes());
    let insert =
        "INSERT INTO spool.plan (recording_id, version, layout_version, body, sha256) VALUES ($1, $2, $3, $4, $5)";
    let values = [
        plan.recording.as_str().into(),
        version.into(),
        i64::from(plan.layout_version).into(),
        body.into(),
        digest.0.to_vec().into(),
    ];
    execute(tx, insert, values).await.map_err(failed)?;
    Ok(true)
}

/// The frozen plan of `version`; `None` when there is none. Its text is held to its digest before it is believed.
///
/// # Errors
/// The database's.
pub async fn get(
    db: &impl ConnectionTrait,
    id: &RecordingId,
    version: u32,
) -> Result<Option<Result<Frozen, Unreadable>>, Error> {
    let sql = "SELECT layout_version::int8, body, sha256, created_at FROM spool.plan WHERE recording_id = $1 AND version = $2";
    let row = one(db, sql, [id.as_str().into(), i64::from(version).into()]).await;
    let read = |row: Option<QueryResult>| row.as_ref().map(read).transpose();
    row.and_then(read).map_err(Error::of("get plan", format!("{id}/{version}")))
}

fn read(row: &QueryResult) -> Result<Result<Frozen, Unreadable>, DbErr> {
    let found: u32 = number(row, "layout_version")?;
    if !domain::mux::LAYOUT_VERSIONS.contains(&found) && !domain::mux::LAYOUTS_ODD.contains(&found) {
        return Ok(Err(Unreadable::Layout { found }));
    }
    let body: String = column(row, "body")?;
    let sha256 = sha256(row, "sha256")?;
    if Sha256::of(body.as_bytes()) != sha256 {
        return Ok(Err(Unreadable::Damaged));
    }
    let created_at = column(row, "created_at")?;
    Ok(serde_json::from_str(&body).map(|plan| Frozen { plan, sha256, created_at }).map_err(|_| Unreadable::Damaged))
}

/// Gives the next plan a number of its own, if the present one is frozen: the next end makes a new plan.
///
/// # Errors
/// The database's.
pub async fn next_version(tx: &DatabaseTransaction, id: &RecordingId) -> Result<(), Error> {
    let sql =
        "UPDATE spool.recording SET plan_version = frozen_version + 1 WHERE id = $1 AND frozen_version = plan_version";
    execute(tx, sql, [id.as_str().into()]).await.map(|_| ()).map_err(Error::of("number next plan", id))
}

/// What a published result is.
#[derive(Debug, Clone, PartialEq)]
pub struct Published<'a> {
    /// Its plan.
    pub plan: &'a Plan,
    /// What it lacks: the plan's gaps, and what was found when it was verified.
    pub gaps: &'a [Gap],
    /// Its key, entity tag, length, digest and format.
    pub served: super::recordings::Served,
}

/// Points the recording to a result. Before `advance`, because no row may say `ready` and name no result. False when
/// the recording is no longer finalizing this version: a stale attempt publishes nothing.
///
/// # Errors
/// The database's.
pub async fn publish(tx: &DatabaseTransaction, published: &Published<'_>) -> Result<bool, Error> {
    let Published { plan, gaps, served } = published;
    let failed = |source| Error { operation: "publish result", object: plan.recording.to_string(), source };
    let (degraded, gaps) =
        (!gaps.is_empty(), serde_json::to_value(gaps).map_err(|error| failed(DbErr::Json(error.to_string())))?);
    let sql = "UPDATE spool.recording SET result_version = $2, result_key = $3, result_etag = $4, result_bytes = $5, \
            result_sha256 = $6, duration_ms = $7, width = $8, height = $9, fps = $10, video_codec = $11, audio_codec = $12, \
            gaps = $13, degraded = $14, tail_confirmed = $15 \
        WHERE id = $1 AND state = 'finalizing' AND plan_version = $2";
    let small = |value: Option<u32>| value.map(i64::from);
    let values = [
        plan.recording.as_str().into(),
        i64::from(plan.version).into(),
        served.key.clone().into(),
        served.etag.clone().into(),
        super::segments::big(served.size_bytes).into(),
        served.sha256.map(|digest| digest.0.to_vec()).into(),
        super::segments::big(served.duration_ms).into(),
        small(served.width).into(),
        small(served.height).into(),
        served.fps.into(),
        served.video_codec.clone().into(),
        served.audio_codec.clone().into(),
        gaps.into(),
        degraded.into(),
        plan.tail_confirmed.into(),
    ];
    Ok(execute(tx, sql, values).await.map_err(failed)? == 1)
}

/// Says why a recording failed. After `advance`.
///
/// # Errors
/// The database's.
pub async fn explain(tx: &DatabaseTransaction, id: &RecordingId, code: &str, message: &str) -> Result<(), Error> {
    let sql = "UPDATE spool.recording SET error_code = $2, error_message = $3 WHERE id = $1 AND state = 'failed'";
    let done = execute(tx, sql, [id.as_str().into(), code.into(), message.into()]).await;
    done.map(|_| ()).map_err(Error::of("explain failure", id))
}

/// Makes a provisional end final, because it was signalled or declared after all. False when it was final already. The
/// caller holds the recording FOR UPDATE: from the commit on, accept refuses.
///
/// # Errors
/// The database's.
pub async fn confirm_end(tx: &DatabaseTransaction, id: &RecordingId) -> Result<bool, Error> {
    let sql = "UPDATE spool.recording SET provisional = false, signalled_at = coalesce(signalled_at, now()), \
        manifest_at = NULL WHERE id = $1 AND provisional";
    Ok(execute(tx, sql, [id.as_str().into()]).await.map_err(Error::of("confirm end", id))? == 1)
}

/// Lets holes pass from now on.
///
/// # Errors
/// The database's.
pub async fn accept_gaps(tx: &DatabaseTransaction, id: &RecordingId) -> Result<(), Error> {
    let sql = "UPDATE spool.recording SET gaps_accepted = true WHERE id = $1";
    execute(tx, sql, [id.as_str().into()]).await.map(|_| ()).map_err(Error::of("accept gaps", id))
}

/// Forgets the end of a recording that an operator opened again: neither signal nor declaration holds any more. After
/// `advance`.
///
/// # Errors
/// The database's.
pub async fn forget_end(tx: &DatabaseTransaction, id: &RecordingId) -> Result<(), Error> {
    let sql = "UPDATE spool.recording SET signalled_at = NULL, declared = NULL, declared_at = NULL WHERE id = $1";
    execute(tx, sql, [id.as_str().into()]).await.map_err(Error::of("forget end", id))?;
    let alive = "UPDATE spool.liveness SET heard_at = now(), silent_minutes = 0 WHERE recording_id = $1";
    execute(tx, alive, [id.as_str().into()]).await.map(|_| ()).map_err(Error::of("forget end", id))
}

/// Drops sample indexes of an archived recording, at most `limit`; says how many.
///
/// # Errors
/// The database's.
pub async fn drop_indexes(db: &impl ConnectionTrait, id: &RecordingId, limit: u32) -> Result<u64, Error> {
    let sql = "UPDATE spool.segment SET sample_index = NULL WHERE (recording_id, track, index) IN ( \
        SELECT recording_id, track, index FROM spool.segment WHERE recording_id = $1 AND sample_index IS NOT NULL LIMIT $2)";
    execute(db, sql, [id.as_str().into(), i64::from(limit).into()]).await.map_err(Error::of("drop sample indexes", id))
}

/// The packed sample indexes of a track, by index of the segment: about 300 bytes each, so that of hours fits in memory.
///
/// # Errors
/// The database's.
pub async fn sample_indexes(
    db: &impl ConnectionTrait,
    id: &RecordingId,
    track: Track,
) -> Result<HashMap<u32, Vec<u8>>, Error> {
    let sql = "SELECT index::int8, sample_index FROM spool.segment \
        WHERE recording_id = $1 AND track = $2 AND index > 0 AND sample_index IS NOT NULL LIMIT $3";
    let limit = i64::from(domain::segment::INDEX_MAX);
    let rows = all(db, sql, [id.as_str().into(), track.as_str().into(), limit.into()]).await;
    let read = |rows: Vec<QueryResult>| {
        rows.iter().map(|row| Ok((number(row, "index")?, column(row, "sample_index")?))).collect::<Result<_, DbErr>>()
    };
    rows.and_then(read).map_err(Error::of("read sample indexes", format!("{id}/{track}")))
}
