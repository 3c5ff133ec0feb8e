//! `POST …/segments/presign` and `…/report`: segments that go past this server into the store.

use super::extract::{Id, Json};
use super::problem::{Code, Problem};
use super::{Api, access};
use crate::accept::direct::{self, Refused, Sent};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::id::Sha256;
use domain::segment::{Name, Track};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What a recorder is about to send, or has sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Objects {
    objects: Vec<Object>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    /// `video/segment_001.m4s`.
    path: String,
    size_bytes: u64,
    sha256: String,
}

/// Gives a URL for each object.
pub(crate) async fn presign(
    State(api): State<Api>,
    id: Result<Id, Problem>,
    headers: HeaderMap,
    body: Result<Json<Objects>, Problem>,
) -> Result<Response, Problem> {
    let Id(id) = id?;
    access::upload(&api, &headers, &id)?;
    let sent = read(body)?;
    let urls = direct::presign(&api.cx, &id, &sent).await.map_err(problem)?;
    let urls: Vec<Value> = sent
        .iter()
        .zip(urls)
        .map(|(sent, url)| {
            let headers: Map<String, Value> =
                url.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
            json!({
                "path": sent.path(), "method": url.method.as_str(), "url": url.url, "headers": headers,
                "expires_at": url.expires_at,
            })
        })
        .collect();
    Ok(axum::Json(json!({ "urls": urls })).into_response())
}

/// Hears that objects were sent.
pub(crate) async fn report(
    State(api): State<Api>,
    id: Result<Id, Problem>,
    headers: HeaderMap,
    body: Result<Json<Objects>, Problem>,
) -> Result<Response, Problem> {
    let Id(id) = id?;
    access::upload(&api, &headers, &id)?;
    let sent = read(body)?;
    let states = direct::report(&api.cx, &id, &sent).await.map_err(problem)?;
    let objects: Vec<Value> =
        sent.iter().zip(states).map(|(sent, state)| json!({ "path": sent.path(), "state": state })).collect();
    Ok((StatusCode::ACCEPTED, axum::Json(json!({ "objects": objects }))).into_response())
}

fn read(body: Result<Json<Objects>, Problem>) -> Result<Vec<Sent>, Problem> {
    let Json(Objects { objects }) = body?;
    objects.into_iter().map(|object| parse(&object).map_err(|wrong| wrong.object(object.path))).collect()
}

fn parse(object: &Object) -> Result<Sent, Problem> {
    let (track, name) = object.path.split_once('/').ok_or_else(|| Problem::bad("a path is <track>/<name>"))?;
    let track = Track::parse(track).ok_or_else(|| Problem::bad("a track is video or audio"))?;
    let name = Name::parse(name).map_err(|error| Problem::bad(error.to_string()))?;
    let sha256 = Sha256::parse_hex(&object.sha256).ok_or_else(|| Problem::bad("sha256 is 64 hexadecimal digits"))?;
    Ok(Sent { track, name, size_bytes: object.size_bytes, sha256 })
}

fn problem(refused: Refused) -> Problem {
    match refused {
        Refused::Unavailable => Problem::new(Code::DirectUnavailable),
        Refused::Count { max } => Problem::bad(format!("a request names 1 to {max} objects, each once")),
        Refused::All(refusal) => refusal.into(),
        Refused::One { path, refusal } => Problem::from(*refusal).object(path),
        Refused::NotArrived { path } => {
            Problem::new(Code::DigestMismatch).detail("the object has not arrived, or with another length").object(path)
        }
    }
}
