//! `GET /media/{id}/result.mp4`: the published result, whole or a range of it.

use super::conditional::{names, part};
use super::extract::Id;
use super::problem::{Code, Problem};
use super::recordings::find;
use super::{Api, access};
use crate::db::recordings::Served;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use domain::id::RecordingId;
use domain::recording::State as RecordingState;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

/// The published result.
pub(crate) async fn get(
    State(api): State<Api>,
    id: Result<Id, Problem>,
    method: Method,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let Id(id) = id?;
    access::service_or_playback(&api, &headers, &uri, &id)?;
    let recording = find(&api, &id).await?;
    if recording.state == RecordingState::Deleted {
        return Err(Problem::new(Code::RecordingDeleted).object(id));
    }
    let served = recording.result.ok_or_else(|| Problem::new(Code::ResultNotFound).object(&id))?;
    let tag = etag(&served);
    let object = Object { key: &served.key, size_bytes: served.size_bytes, tag: &tag, kind: "video/mp4" };
    give(&api, &object, &id, &method, &headers).await
}

/// An object that is published under one address for as long as its recording lives.
pub(super) struct Object<'a> {
    /// Where it lies in the store.
    pub(super) key: &'a str,
    /// Its length.
    pub(super) size_bytes: u64,
    /// Strong entity tag of these very bytes.
    pub(super) tag: &'a str,
    /// Media type.
    pub(super) kind: &'static str,
}

/// Gives the object, a range of it, or the news that the client has it already.
pub(super) async fn give(
    api: &Api,
    object: &Object<'_>,
    id: &RecordingId,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let Object { key, size_bytes, tag, kind } = *object;
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|known| names(known, tag)) {
        return Ok(head(StatusCode::NOT_MODIFIED, tag));
    }
    let (status, range) = part(headers, Some(tag), size_bytes).map_err(|problem| problem.object(id))?;
    let mut response = head(status, tag);
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1);
        fields.insert(header::CONTENT_RANGE, HeaderValue::from_str(&text).expect("digits are a header's value"));
    }
    if method != Method::HEAD && !range.is_empty() {
        *response.body_mut() = Body::from_stream(api.cx.store.stream(key, range).await?);
    }
    Ok(response)
}

fn head(status: StatusCode, tag: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(header::ETAG, HeaderValue::from_str(tag).expect("hexadecimal digits are a header's value"));
    fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // A remux publishes other bytes under the same address: ask each time, by tag.
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A strong tag. The store's own need not be one, and a folder has none; a published object never changes.
fn etag(served: &Served) -> String {
    let digest = served.sha256.map_or_else(String::new, |digest| format!("-{}", &digest.to_string()[..16]));
    format!("\"v{}-{:x}{digest}\"", served.version, served.size_bytes)
}
