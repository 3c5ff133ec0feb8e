//! `/hls/{id}/…` and `/api/playlist`: a recording as HLS while it is still going on, and after.
//!
//! URIs in playlists are relative and stay the same, so that a reload of a playlist is append-only and an initialization
//! section is fetched once; where an object lies is decided when it is asked for. A relative URI does not inherit the
//! query, so a playback token that came in the query is repeated on each.

mod object;

pub(super) use object::segment;

use super::conditional::names;
use super::extract::{Id, Query};
use super::problem::{Code, Problem};
use super::{Api, access};
use crate::bucket;
use crate::playlist::{Body, Head, Kind, Links, Shows, shows};
use axum::body::Body as AxumBody;
use axum::extract::State;
use axum::response::Response;
use domain::id::{RecordingId, Sha256};
use domain::recording::State as RecordingState;
use domain::segment::Track;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use serde::Deserialize;

const MPEGURL: &str = "application/vnd.apple.mpegurl";

/// `GET /hls/{id}/index.m3u8`.
pub(super) async fn index(
    api: State<Api>,
    id: Result<Id, Problem>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    playlist(api.0, id?.0, Kind::Multivariant, &headers, &uri).await
}

/// `GET /hls/{id}/video.m3u8`.
pub(super) async fn video(
    api: State<Api>,
    id: Result<Id, Problem>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    playlist(api.0, id?.0, Kind::Media(Track::Video), &headers, &uri).await
}

/// `GET /hls/{id}/audio.m3u8`.
pub(super) async fn audio(
    api: State<Api>,
    id: Result<Id, Problem>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    playlist(api.0, id?.0, Kind::Media(Track::Audio), &headers, &uri).await
}

async fn playlist(api: Api, id: RecordingId, kind: Kind, headers: &HeaderMap, uri: &Uri) -> Result<Response, Problem> {
    let token = access::playback(&api, headers, uri, &id)?;
    let head = stands(&api, &id, kind).await?;
    let gzip = takes_gzip(headers);
    let tag = tag(api.playlists.tag(&head, kind), token);
    // Compressed bytes are other bytes, so a strong tag must be another one; what they say is the same.
    let (plain, compressed) = (format!("\"{tag}\""), format!("\"{tag}-gz\""));
    let tags = if gzip { [compressed, plain] } else { [plain, compressed] };
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if let Some(tag) = tags.iter().find(|tag| known.is_some_and(|known| names(known, tag))) {
        let mut response = Response::new(AxumBody::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        put(&mut response, header::ETAG, tag);
        put(&mut response, header::CACHE_CONTROL, "no-cache");
        put(&mut response, header::VARY, "Accept-Encoding");
        return Ok(response);
    }
    let links = Links { prefix: String::new(), suffix: suffix(token) };
    let body = api.playlists.body(&head, kind, &links).await?;
    let mut response = answer(&body, gzip).await;
    put(&mut response, header::ETAG, &tags[0]);
    put(&mut response, header::CACHE_CONTROL, "no-cache");
    Ok(response)
}

/// `GET /api/playlist`. Players of the replaced system send more than this; what is not known is passed over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PlaylistQuery {
    video_id: RecordingId,
    video_type: String,
    require_complete: Option<String>,
}

/// The same playlists for players of the replaced system; never kept by anybody.
pub(super) async fn compatible(
    State(api): State<Api>,
    query: Result<Query<PlaylistQuery>, Problem>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let Query(PlaylistQuery { video_id: id, video_type, require_complete }) = query?;
    let token = access::playback(&api, &headers, &uri, &id)?;
    let kind = match video_type.as_str() {
        "segments-master" => Kind::Multivariant,
        "segments-video" => Kind::Media(Track::Video),
        "segments-audio" => Kind::Media(Track::Audio),
        _ => return Err(Problem::bad("videoType is segments-master, segments-video or segments-audio")),
    };
    let complete = require_complete.is_some_and(|value| matches!(value.as_str(), "1" | "true"));
    let head = if complete { ended(&api, &id).await? } else { stands(&api, &id, kind).await? };
    // Relative to the folder of this route, whatever stands before it.
    let links = Links { prefix: format!("../hls/{id}/"), suffix: suffix(token) };
    let body = api.playlists.body(&head, kind, &links).await?;
    let mut response = answer(&body, takes_gzip(&headers)).await;
    put(&mut response, header::CACHE_CONTROL, "no-store");
    Ok(response)
}

/// How the playlists stand when there is something to show of this one; the request is held until there is.
async fn stands(api: &Api, id: &RecordingId, kind: Kind) -> Result<Head, Problem> {
    let head = head(api, id).await?;
    if matches!(shows(&head, kind), Shows::Later)
        && let Err(error) = bucket::hasten(&api.cx, id).await
    {
        // Whoever waits loses time and nothing else.
        tracing::debug!(recording.id = %id, error = %error, "bucket not looked into for a viewer");
    }
    let gone = |head: &Head| refused(head.state).is_some();
    let head = api.playlists.wait(head, kind, gone).await.ok_or_else(|| Problem::new(Code::Stopping))?;
    if let Some(code) = refused(head.state) {
        return Err(Problem::new(code).object(id));
    }
    match shows(&head, kind) {
        Shows::Now | Shows::Almost => Ok(head),
        Shows::Later | Shows::Never => Err(Problem::new(Code::PlaylistNotReady).object(id)),
    }
}

/// How the playlists stand when they have an end; nobody is held for it.
async fn ended(api: &Api, id: &RecordingId) -> Result<Head, Problem> {
    let head = head(api, id).await?;
    match refused(head.state) {
        Some(code) => Err(Problem::new(code).object(id)),
        None if head.ended => Ok(head),
        None => Err(Problem::new(Code::PlaylistNotReady).object(id).detail("the recording has not ended")),
    }
}

async fn head(api: &Api, id: &RecordingId) -> Result<Head, Problem> {
    api.playlists.head(id).await?.ok_or_else(|| Problem::new(Code::RecordingNotFound).object(id))
}

/// Why there are no segments any more.
fn refused(state: RecordingState) -> Option<Code> {
    match state {
        RecordingState::Live | RecordingState::Finalizing | RecordingState::Ready | RecordingState::Failed => None,
        RecordingState::Archived => Some(Code::SegmentsArchived),
        RecordingState::Cancelled => Some(Code::RecordingCancelled),
        RecordingState::Deleted => Some(Code::RecordingDeleted),
    }
}

/// What stands behind each URI.
fn suffix(token: Option<&str>) -> String {
    token.map(|token| format!("?token={token}")).unwrap_or_default()
}

/// The tag with what stands behind each URI: under one address a viewer with a header gets other bytes than one whose
/// token stands in the query, and a strong tag says that bytes are the same.
fn tag(tag: String, token: Option<&str>) -> String {
    match token {
        Some(token) => format!("{tag}-{}", &Sha256::of(token.as_bytes()).to_string()[..16]),
        None => tag,
    }
}

async fn answer(body: &Body, gzip: bool) -> Response {
    let bytes = if gzip { body.gzip().await } else { body.plain().await };
    let length = bytes.len();
    let mut response = Response::new(AxumBody::from(bytes));
    put(&mut response, header::CONTENT_TYPE, MPEGURL);
    put(&mut response, header::VARY, "Accept-Encoding");
    put(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if gzip {
        put(&mut response, header::CONTENT_ENCODING, "gzip");
    }
    // Said here, because the answer to HEAD loses its body.
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    response
}

fn put(response: &mut Response, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("tags, words and digits are a header's value");
    response.headers_mut().insert(name, value);
}

/// Whether the client reads gzip (RFC 9110, section 12.5.3).
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let coding = |text: &str| {
        let (name, weight) = text.split_once(';').unwrap_or((text, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|q| q > 0.0)
    };
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|list| list.split(',').any(coding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_when_it_is_named_and_not_weighed_to_nothing() {
        for (text, expected) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
            ("x-gzip", false),
            ("gzip;q=a", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(text));
            assert_eq!(takes_gzip(&headers), expected, "{text}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
