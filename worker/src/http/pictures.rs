//! `GET /media/{id}/poster.jpg` and `…/preview.gif`: pictures of the published result, whole or a range.

use super::extract::Id;
use super::problem::{Code, Problem};
use super::recordings::find;
use super::result::{Object, give};
use super::{Api, access};
use crate::db::pictures::{self, Kind, Made};
use axum::extract::State;
use axum::response::Response;
use domain::id::RecordingId;
use domain::key::Keys;
use domain::recording::State as RecordingState;
use http::{HeaderMap, Method, Uri};
use serde_json::{Map, Value, json};

/// The poster.
pub(super) async fn poster(
    api: State<Api>,
    id: Result<Id, Problem>,
    method: Method,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    picture(api.0, id?.0, Kind::Poster, &method, &headers, &uri).await
}

/// The animated preview.
pub(super) async fn preview(
    api: State<Api>,
    id: Result<Id, Problem>,
    method: Method,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    picture(api.0, id?.0, Kind::Preview, &method, &headers, &uri).await
}

async fn picture(
    api: Api,
    id: RecordingId,
    kind: Kind,
    method: &Method,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Response, Problem> {
    access::service_or_playback(&api, headers, uri, &id)?;
    let recording = find(&api, &id).await?;
    if recording.state == RecordingState::Deleted {
        return Err(Problem::new(Code::RecordingDeleted).object(id));
    }
    let none = || Problem::new(Code::PictureNotFound).object(&id);
    let made = pictures::list(&api.cx.db, &id).await?;
    let made = made.into_iter().find(|made| made.kind == kind).ok_or_else(none)?;
    let key = kind.key(&Keys::new(&recording.owner, &id));
    // A picture that is just being made anew is written before its row: what the store has now is what is given, and its
    // length keeps its tag apart from that of the one before.
    let size_bytes = api.cx.store.stat(&key).await?.ok_or_else(none)?.size_bytes;
    let tag = format!("\"v{}-{size_bytes:x}-{}\"", made.version, &made.sha256.to_string()[..16]);
    let media_type = match kind {
        Kind::Poster => "image/jpeg",
        Kind::Preview => "image/gif",
    };
    give(&api, &Object { key: &key, size_bytes, tag: &tag, kind: media_type }, &id, method, headers).await
}

/// What the status of a recording says of its pictures: `poster` and `preview`, each null while there is none.
pub(super) async fn told(api: &Api, id: &RecordingId) -> Result<Map<String, Value>, Problem> {
    let made = pictures::list(&api.cx.db, id).await?;
    let base = api.cx.config.http.public_url.trim_end_matches('/');
    let name = |kind| match kind {
        Kind::Poster => "poster.jpg",
        Kind::Preview => "preview.gif",
    };
    let told = [Kind::Poster, Kind::Preview].map(|kind| {
        let found = made.iter().find(|made| made.kind == kind);
        let told = found.map(|Made { size_bytes, width, height, .. }| {
            json!({ "url": format!("{base}/media/{id}/{}", name(kind)), "bytes": size_bytes, "width": width, "height": height })
        });
        (kind.as_str().to_owned(), json!(told))
    });
    Ok(told.into_iter().collect())
}
