//! Making recordings, looking at them, and tokens for them.

use super::extract::{Id, Json, Query};
use super::problem::{Code, Problem};
use super::{Api, access, pictures};
use crate::auth::{Scope, Token};
use crate::bucket;
use crate::db::recordings::{Created, Filter, New, Recording, Served};
use crate::db::{self, liveness, recordings, summaries};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat, Utc};
use domain::id::{OwnerId, RecordingId};
use domain::job::{Kind, Queue};
use domain::recording::{Policy, Source, State as RecordingState};
use domain::segment::Track;
use http::{HeaderMap, StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Recordings on a page, unless asked for fewer.
const PAGE_MAX: u32 = 100;

/// `POST /api/recordings`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBody {
    id: Option<RecordingId>,
    owner_id: OwnerId,
    #[serde(default)]
    source: Source,
    #[serde(default)]
    policy: Policy,
    webhook: Option<String>,
}

/// Makes a recording, or a new token for one that is there.
pub(crate) async fn create(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Result<Json<CreateBody>, Problem>,
) -> Result<Response, Problem> {
    access::service(&api, &headers)?;
    let Json(CreateBody { id, owner_id: owner, source, policy, webhook }) = body?;
    if let Some(name) = webhook.as_ref().filter(|name| !api.cx.config.webhook.endpoints.contains_key(*name)) {
        let problem =
            Problem::bad(format!("there is no webhook endpoint {name:?}; endpoints are settings of the server"));
        return Err(problem.object(name));
    }
    let id = match id {
        Some(id) => id,
        None => RecordingId::parse(&uuid::Uuid::now_v7().simple().to_string()).expect("hexadecimal digits are an id"),
    };
    let new = New { id: id.clone(), owner, source, policy, webhook };
    let tx = db::begin(&api.cx.db).await?;
    let created = recordings::create(&tx, &new).await?;
    let watched = matches!(created, Created::New(_)) && new.source == Source::Bucket;
    if watched {
        bucket::watch(&tx, &new.id, &new.owner).await?;
    }
    db::commit(tx).await?;
    if watched {
        api.cx.bell.ring(Queue::Ingest.as_str());
    }
    let (status, recording) = match created {
        Created::New(recording) => (StatusCode::CREATED, recording),
        Created::Same(recording) => (StatusCode::OK, recording),
        Created::OtherOwner => return Err(Problem::new(Code::RecordingExists).object(id)),
        Created::Erased => return Err(Problem::new(Code::RecordingDeleted).object(id)),
    };
    let upload = api.keys.mint(&id, Scope::Upload, api.cx.clock.now());
    let mut answer = urls(&api, &id);
    answer.insert("id".to_owned(), json!(recording.id));
    answer.insert("owner_id".to_owned(), json!(recording.owner));
    answer.insert("state".to_owned(), json!(recording.state));
    answer.insert("upload_token".to_owned(), json!(upload.text));
    answer.insert("upload_token_expires_at".to_owned(), json!(time(upload.expires_at)));
    Ok((status, axum::Json(answer)).into_response())
}

/// `POST …/upload-token`.
pub(crate) async fn upload_token(
    State(api): State<Api>,
    id: Result<Id, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    token(&api, id?.0, &headers, Scope::Upload).await
}

/// `POST …/playback-token`.
pub(crate) async fn playback_token(
    State(api): State<Api>,
    id: Result<Id, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    token(&api, id?.0, &headers, Scope::Playback).await
}

async fn token(api: &Api, id: RecordingId, headers: &HeaderMap, scope: Scope) -> Result<Response, Problem> {
    access::service(api, headers)?;
    let recording = find(api, &id).await?;
    if recording.state == RecordingState::Deleted {
        return Err(Problem::new(Code::RecordingDeleted).object(id));
    }
    let Token { text, expires_at } = api.keys.mint(&id, scope, api.cx.clock.now());
    let mut answer = urls(api, &id);
    answer.insert("token".to_owned(), json!(text));
    answer.insert("expires_at".to_owned(), json!(time(expires_at)));
    Ok(axum::Json(answer).into_response())
}

/// Where to watch, each with a playback token of its own.
fn urls(api: &Api, id: &RecordingId) -> Map<String, Value> {
    let base = api.cx.config.http.public_url.trim_end_matches('/');
    let token = api.keys.mint(id, Scope::Playback, api.cx.clock.now()).text;
    let mut urls = Map::new();
    urls.insert("watch_url".to_owned(), format!("{base}/watch/{id}?token={token}").into());
    urls.insert("playlist_url".to_owned(), format!("{base}/hls/{id}/index.m3u8?token={token}").into());
    urls
}

/// The recording, or 404.
pub(crate) async fn find(api: &Api, id: &RecordingId) -> Result<Recording, Problem> {
    let found = recordings::get(&api.cx.db, id).await?;
    found.ok_or_else(|| Problem::new(Code::RecordingNotFound).object(id))
}

/// `GET /api/recordings/{id}`.
pub(crate) async fn status(
    State(api): State<Api>,
    id: Result<Id, Problem>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let Id(id) = id?;
    access::service_or_playback(&api, &headers, &uri, &id)?;
    let status = match access::service(&api, &headers) {
        Ok(_) => look(&api, &id).await?,
        Err(_) => api.looks.shared(&api, &id).await?,
    };
    Ok(axum::Json(status).into_response())
}

/// How a recording stands.
pub(crate) async fn look(api: &Api, id: &RecordingId) -> Result<Value, Problem> {
    let recording = find(api, id).await?;
    let tracks = tracks(api, &recording).await?;
    let job = job(api, id).await?;
    let recorder = liveness::doing(&api.cx.db, id).await?;
    let mut answer = summary(api, &recording);
    answer.extend(pictures::told(api, id).await?);
    answer.insert("tracks".to_owned(), tracks);
    answer.insert("job".to_owned(), job);
    answer.insert("gaps".to_owned(), json!(recording.gaps));
    answer.insert("declared".to_owned(), json!(recording.declared));
    answer.insert("recorder".to_owned(), json!(recorder));
    Ok(answer.into())
}

/// What list and status share.
fn summary(api: &Api, recording: &Recording) -> Map<String, Value> {
    let served = matches!(recording.state, RecordingState::Ready | RecordingState::Archived);
    let playback = if served && recording.result.is_some() { "mp4" } else { "segments" };
    let error = recording.error.as_ref().map(|(code, message)| json!({ "code": code, "message": message }));
    let base = api.cx.config.http.public_url.trim_end_matches('/');
    let result = recording.result.as_ref().map(|served| result(base, &recording.id, served));
    let fields = json!({
        "id": recording.id, "owner_id": recording.owner, "state": recording.state,
        "provisional": recording.provisional, "tail_confirmed": recording.tail_confirmed, "playback": playback,
        "plan_version": recording.plan_version, "result": result, "error": error,
        "created_at": time(recording.created_at),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn result(base: &str, id: &RecordingId, served: &Served) -> Value {
    json!({
        "url": format!("{base}/media/{id}/result.mp4"), "bytes": served.size_bytes, "sha256": served.sha256,
        "duration_ms": served.duration_ms, "width": served.width, "height": served.height, "fps": served.fps,
        "video_codec": served.video_codec, "audio_codec": served.audio_codec,
    })
}

async fn tracks(api: &Api, recording: &Recording) -> Result<Value, Problem> {
    let summaries = summaries::of(&api.cx.db, &recording.id).await?;
    let mut tracks = Map::new();
    for track in Track::ALL {
        let declared = recording.declared.as_ref().map_or(0, |declared| declared.last_index(track));
        let summary = summaries.iter().find(|summary| summary.track == track);
        if summary.is_none() && declared == 0 {
            continue;
        }
        let last_index = summary.map_or(0, |summary| summary.last_index);
        let mut missing = summary.map(|summary| summary.missing.clone()).unwrap_or_default();
        if declared > last_index {
            missing.push((last_index + 1, declared));
        }
        let fields = json!({
            "received": summary.map_or(0, |summary| summary.received), "stored": summary.map_or(0, |summary| summary.stored),
            "missing": missing, "last_index": last_index, "lag_ms": summary.map_or(0, |summary| summary.lag_ms),
        });
        tracks.insert(track.as_str().to_owned(), fields);
    }
    Ok(tracks.into())
}

/// The job that moves the recording on: a running one, else the one that is due first.
async fn job(api: &Api, id: &RecordingId) -> Result<Value, Problem> {
    use domain::filter::{Filter, Pattern, Test};
    use domain::standing::Standing;
    use queue::read::{list_jobs, show_job};
    let subject = Pattern::Exact(id.to_string());
    let filter = Filter::of([Test::Recording(subject), Test::Standing(Standing::LIVE.to_vec())]);
    let page = list_jobs(&api.cx.db, &filter, None, 20).await?;
    // Telling the web app of it moves no recording on.
    let mut moving = page.rows.iter().filter(|row| row.kind != Kind::Webhook.as_str());
    let running = moving.clone().find(|row| row.state == "running");
    let Some(row) = running.or(moving.next()) else { return Ok(Value::Null) };
    let progress = match running {
        Some(row) => show_job(&api.cx.db, row.id).await?.and_then(|view| view.progress),
        None => None,
    };
    let (pct, eta_s) = progress.map_or((None, None), |progress| (progress.pct, progress.eta_s));
    Ok(json!({ "kind": row.kind, "state": row.state, "pct": pct, "eta_s": eta_s }))
}

/// `GET /api/recordings`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    owner_id: Option<OwnerId>,
    state: Option<RecordingState>,
    after: Option<String>,
    limit: Option<u32>,
}

/// One page of recordings, newest first.
pub(crate) async fn list(
    State(api): State<Api>,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, Problem>,
) -> Result<Response, Problem> {
    access::service(&api, &headers)?;
    let Query(ListQuery { owner_id: owner, state, after, limit }) = query?;
    let limit = limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let after = after.as_deref().map(cursor).transpose()?;
    let page = recordings::list(&api.cx.db, &Filter { owner, state, after, limit }).await?;
    let full = page.len() == limit as usize;
    let next = page
        .last()
        .filter(|_| full)
        .map(|last| URL_SAFE_NO_PAD.encode(format!("{}.{}", last.created_at.timestamp_micros(), last.id)));
    let rows: Vec<_> = page.iter().map(|recording| summary(&api, recording)).collect();
    Ok(axum::Json(json!({ "recordings": rows, "next": next })).into_response())
}

/// Reads where the page before ended.
fn cursor(text: &str) -> Result<(DateTime<Utc>, RecordingId), Problem> {
    let wrong = || Problem::bad("after is not what a page gave as next");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    let (micros, id) = text.split_once('.').ok_or_else(wrong)?;
    let at = micros.parse().ok().and_then(DateTime::from_timestamp_micros).ok_or_else(wrong)?;
    Ok((at, RecordingId::parse(id).map_err(|_| wrong())?))
}

/// RFC 3339, in UTC, to the millisecond.
fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
