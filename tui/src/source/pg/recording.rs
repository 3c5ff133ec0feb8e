//! Everything about one recording.

use super::error::Fault;
use super::jobs::{self, Names};
use super::link::Session;
use super::strips::Kept;
use super::{recordings, strips, tracks};
use crate::source::clean::Clean;
use crate::source::rows::{
    EVENTS_MAX, EventRow, GAPS_MAX, GapRow, JobRow, MuxView, RecordingRow, RecordingView, ResultView, TrackView,
};
use domain::completeness::Declaration;
use domain::id::{RecordingId, Sha256};
use domain::job::Kind;
use domain::mux::Gap;
use domain::segment::Track;
use domain::standing::Standing;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

/// What the list does not show. Not the staging URIs, to which this role has no right.
const REST: &str = "SELECT r.policy, r.webhook, r.declared, r.declared_at, r.signalled_at, r.ended_at, r.plan_version::int8, \
      r.frozen_version::int8, r.gaps_accepted, r.gaps, r.error_code, r.error_message, r.listing_ended_at, \
      r.target_duration_s::int8, r.stored_seq, r.manifest_seq, r.manifest_at, r.result_version::int8, r.result_key, \
      r.result_bytes, r.result_sha256, r.duration_ms, r.width::int8, r.height::int8, r.fps, r.video_codec, r.audio_codec, \
      l.state AS liveness \
    FROM spool.recording AS r LEFT JOIN spool.liveness AS l ON l.recording_id = r.id WHERE r.id = $1";

const EVENTS: &str = "SELECT seq, type, at FROM spool.event WHERE recording_id = $1 ORDER BY seq DESC LIMIT $2";

/// The whole view; none when there is no such recording.
pub(super) async fn view(
    session: &Session,
    id: &RecordingId,
    kept: &mut Option<Kept>,
) -> Result<Option<RecordingView>, Fault> {
    let Some(row) = recordings::row(session, id).await? else { return Ok(None) };
    let ask = Statement::from_sql_and_values(DbBackend::Postgres, REST, [id.as_str().into()]);
    let Some(rest) = session.db().query_one_raw(ask).await? else { return Ok(None) };
    let declared = rest.try_get::<Option<serde_json::Value>>("", "declared")?;
    let declared: Option<Declaration> = declared.and_then(|declared| serde_json::from_value(declared).ok());
    let last = |track: Track| declared.as_ref().and_then(|declared| Some(declared.tracks.get(&track)?.last_index));
    let stand = (row.state, rest.try_get("", "declared_at")?);
    let strips = strips::read(session, id, stand, last, kept).await?;
    let tracks = tracks::tracks(session, id, strips, last).await?;
    let names = Names::read(session).await?;
    let jobs = jobs::of_recording(session, id.as_str(), &names).await?;
    let mux = mux(session, &jobs).await?;
    let values = [id.as_str().into(), i64::from(EVENTS_MAX).into()];
    let events =
        session.db().query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, EVENTS, values)).await?;
    let events = events.iter().map(event).collect::<Result<_, _>>()?;
    Ok(Some(read(row, &rest, Parts { tracks, jobs, mux, events })?))
}

struct Parts {
    tracks: Vec<TrackView>,
    jobs: Vec<JobRow>,
    mux: Option<MuxView>,
    events: Vec<EventRow>,
}

fn read(row: RecordingRow, rest: &QueryResult, parts: Parts) -> Result<RecordingView, DbErr> {
    let Parts { tracks, jobs, mux, events } = parts;
    let gaps = rest.try_get::<serde_json::Value>("", "gaps")?;
    // What a newer program wrote is left out rather than nothing shown.
    let gaps: Vec<Gap> = serde_json::from_value(gaps).unwrap_or_default();
    let code = text(rest, "error_code")?;
    let message = text(rest, "error_message")?.unwrap_or_default();
    Ok(RecordingView {
        row,
        policy: text(rest, "policy")?.unwrap_or_default(),
        webhook: text(rest, "webhook")?,
        liveness: text(rest, "liveness")?,
        signalled_at: rest.try_get("", "signalled_at")?,
        ended_at: rest.try_get("", "ended_at")?,
        declared_at: rest.try_get("", "declared_at")?,
        plan_version: number(rest, "plan_version")?.unwrap_or(1),
        frozen_version: number(rest, "frozen_version")?.unwrap_or(0),
        gaps_accepted: rest.try_get("", "gaps_accepted")?,
        error: code.map(|code| (code, message)),
        tracks,
        listing_ended_at: rest.try_get("", "listing_ended_at")?,
        target_duration_s: number(rest, "target_duration_s")?,
        stored_seq: big(rest, "stored_seq")?.unwrap_or(0),
        manifest_seq: big(rest, "manifest_seq")?.unwrap_or(0),
        manifest_at: rest.try_get("", "manifest_at")?,
        gap_count: gaps.len(),
        gaps: gaps.iter().take(GAPS_MAX).map(gap).collect(),
        result: result(rest)?,
        mux,
        jobs,
        events,
    })
}

fn gap(gap: &Gap) -> GapRow {
    GapRow {
        track: gap.track,
        from_ms: gap.from_ms,
        to_ms: gap.to_ms,
        segments: gap.segments.first().copied().zip(gap.segments.last().copied()),
        cause: Clean::new(gap.cause.to_string()),
    }
}

fn result(row: &QueryResult) -> Result<Option<ResultView>, DbErr> {
    let Some(key) = text(row, "result_key")? else { return Ok(None) };
    let sha256 = row.try_get::<Option<Vec<u8>>>("", "result_sha256")?;
    Ok(Some(ResultView {
        version: number(row, "result_version")?.unwrap_or(1),
        key,
        size_bytes: big(row, "result_bytes")?.unwrap_or(0),
        sha256: sha256.and_then(|bytes| Sha256::from_slice(&bytes)).map(|digest| Clean::new(digest.to_string())),
        duration_ms: big(row, "duration_ms")?.unwrap_or(0),
        size: number(row, "width")?.zip(number(row, "height")?),
        fps: row.try_get("", "fps")?,
        video_codec: text(row, "video_codec")?,
        audio_codec: text(row, "audio_codec")?,
    }))
}

fn text(row: &QueryResult, name: &str) -> Result<Option<Clean>, DbErr> {
    Ok(row.try_get::<Option<String>>("", name)?.map(Clean::new))
}

fn big(row: &QueryResult, name: &str) -> Result<Option<u64>, DbErr> {
    Ok(row.try_get::<Option<i64>>("", name)?.and_then(|n| u64::try_from(n).ok()))
}

fn number(row: &QueryResult, name: &str) -> Result<Option<u32>, DbErr> {
    Ok(big(row, name)?.and_then(|n| u32::try_from(n).ok()))
}

fn event(row: &QueryResult) -> Result<EventRow, DbErr> {
    Ok(EventRow {
        seq: big(row, "seq")?.unwrap_or(0),
        kind: text(row, "type")?.unwrap_or_default(),
        at: row.try_get("", "at")?,
    })
}

/// The mux that runs or waits, with how far it has come.
async fn mux(session: &Session, jobs: &[JobRow]) -> Result<Option<MuxView>, Fault> {
    let live = |job: &&JobRow| job.kind.as_str() == Kind::Mux.as_str() && job.standing.is_live();
    let Some(job) = jobs.iter().find(live) else { return Ok(None) };
    let progress = match job.standing {
        Standing::Running => queue::read::progress(session.db(), job.id).await?.map(jobs::progress),
        _ => None,
    };
    let brief = crate::source::rows::JobBrief {
        id: job.id,
        kind: job.kind.clone(),
        standing: job.standing,
        attempt: job.attempt,
        error: job.error.clone(),
    };
    Ok(Some(MuxView {
        job: brief,
        max_attempts: job.max_attempts,
        started_at: job.started_at,
        worker: job.worker.clone(),
        progress,
    }))
}
