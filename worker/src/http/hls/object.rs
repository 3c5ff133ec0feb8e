//! `GET /hls/{id}/segments/{track}/{name}`: from a store that clients reach, by a redirect to a signed URL; else through
//! this process. Only what the store has; of anything else nobody keeps an answer.

use super::{put, refused};
use crate::db::playlists::{self, Object};
use crate::http::conditional::{names, part};
use crate::http::extract::{Id, SegmentName};
use crate::http::problem::{Code, Problem};
use crate::http::{Api, Segments, access};
use crate::storage;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use domain::key::Keys;
use domain::segment::Track;
use http::{HeaderMap, Method, StatusCode, Uri, header};

/// A segment or an initialization section.
pub(in crate::http) async fn segment(
    State(api): State<Api>,
    id: Result<Id, Problem>,
    name: Result<SegmentName, Problem>,
    method: Method,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let Id(id) = id?;
    access::playback(&api, &headers, &uri, &id)?;
    let unknown = || Problem::new(Code::SegmentNotFound).object(&id);
    // A name that none of ours can be is as unknown as one that does not exist yet.
    let SegmentName { track, name } = name.map_err(|_| unknown())?;
    let shelf = playlists::shelf(&api.cx.db, &id, track, name).await?;
    let shelf = shelf.ok_or_else(|| Problem::new(Code::RecordingNotFound).object(&id))?;
    if let Some(code) = refused(shelf.state) {
        return Err(Problem::new(code).object(id));
    }
    let object = shelf.object.ok_or_else(unknown)?;
    let key = Keys::new(&shelf.owner, &id).segment(track, name);
    let ttl = api.cx.config.limits.presign_ttl;
    let presigned = match api.cx.config.http.segments {
        Segments::Auto => api.cx.store.presign_get(&key, ttl).await?,
        Segments::Proxy => None,
    };
    match presigned {
        Some(presigned) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::FOUND;
            put(&mut response, header::LOCATION, &presigned.url);
            // Whoever keeps the redirect must come again while the signature lives, with room for clocks that differ.
            let max_age_s = presigned.lives_for.as_secs() / 2;
            put(&mut response, header::CACHE_CONTROL, &format!("private, max-age={max_age_s}"));
            Ok(response)
        }
        None => proxy(&api, &key, track, &object, &method, &headers).await?.ok_or_else(unknown),
    }
}

/// The object through this process; `None` when the store has none.
async fn proxy(
    api: &Api,
    key: &str,
    track: Track,
    object: &Object,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<Response>, Problem> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let tag = object.sha256.map(|digest| format!("\"{}\"", &digest.to_string()[..32]));
    let known = text(header::IF_NONE_MATCH);
    if tag.as_ref().is_some_and(|tag| known.is_some_and(|known| names(known, tag))) {
        return Ok(Some(head(StatusCode::NOT_MODIFIED, tag.as_deref(), track)));
    }
    let size_bytes = object.size_bytes;
    let (status, range) = part(headers, tag.as_deref(), size_bytes)?;
    // An object of another length is not the one of the row, and the stream would tell of it too late.
    if api.cx.store.stat(key).await?.is_none_or(|meta| meta.size_bytes != size_bytes) {
        return Ok(None);
    }
    let mut response = head(status, tag.as_deref(), track);
    response.headers_mut().insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1);
        put(&mut response, header::CONTENT_RANGE, &text);
    }
    if method != Method::HEAD && !range.is_empty() {
        match api.cx.store.stream(key, range).await {
            Ok(stream) => *response.body_mut() = Body::from_stream(stream),
            Err(storage::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(response))
}

fn head(status: StatusCode, tag: Option<&str>, track: Track) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    if let Some(tag) = tag {
        put(&mut response, header::ETAG, tag);
    }
    // A stored segment's bytes never change. They are for whoever showed a token: what a shared cache kept would be
    // served on when the token is long worth nothing and the recording is gone.
    put(&mut response, header::CACHE_CONTROL, "private, max-age=31536000, immutable");
    put(&mut response, header::ACCEPT_RANGES, "bytes");
    put(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    let mime = match track {
        Track::Video => "video/mp4",
        Track::Audio => "audio/mp4",
    };
    put(&mut response, header::CONTENT_TYPE, mime);
    response
}
