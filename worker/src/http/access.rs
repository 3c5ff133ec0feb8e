//! Who calls, and whether they may.

use super::Api;
use super::problem::{Code, Problem};
use crate::auth::{Denied, Scope};
use domain::id::RecordingId;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Uri};

/// The name of the service that calls; only a service may.
pub(crate) fn service(api: &Api, headers: &HeaderMap) -> Result<String, Problem> {
    let token = bearer(headers)?;
    match api.keys.service(token) {
        Ok(name) => Ok(name.to_owned()),
        // A token of a recording is one of ours, so it is told that it is not enough.
        Err(_) if api.keys.is_token(token) => Err(Problem::new(Code::Forbidden)),
        Err(denied) => Err(denied.into()),
    }
}

/// A token of this recording in its header; nobody else may.
pub(crate) fn upload(api: &Api, headers: &HeaderMap, recording: &RecordingId) -> Result<(), Problem> {
    let token = bearer(headers)?;
    let checked = api.keys.check(token, recording, Scope::Upload, api.cx.clock.now());
    match checked {
        Err(Denied::Unknown) if api.keys.service(token).is_ok() => Err(Problem::new(Code::Forbidden)
            .detail("segments are sent with the recording's upload token, not with a service token")),
        checked => Ok(checked?),
    }
}

/// A service, or the upload token of this recording.
pub(crate) fn service_or_upload(api: &Api, headers: &HeaderMap, recording: &RecordingId) -> Result<(), Problem> {
    let token = bearer(headers)?;
    if api.keys.service(token).is_ok() {
        return Ok(());
    }
    Ok(api.keys.check(token, recording, Scope::Upload, api.cx.clock.now())?)
}

/// A service, or a playback token of this recording, in the header or in the query as `token`.
pub(crate) fn service_or_playback(
    api: &Api,
    headers: &HeaderMap,
    uri: &Uri,
    recording: &RecordingId,
) -> Result<(), Problem> {
    playback(api, headers, uri, recording).map(|_| ())
}

/// The same; what came in the query is given back, because a playlist repeats it on its URIs. It was believed, so it has
/// no character that a playlist could trip over.
pub(crate) fn playback<'a>(
    api: &Api,
    headers: &HeaderMap,
    uri: &'a Uri,
    recording: &RecordingId,
) -> Result<Option<&'a str>, Problem> {
    let in_query = uri.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("token=")));
    // A token has no character that is escaped in a query, so an escaped one is not ours.
    let in_query = in_query.filter(|_| !headers.contains_key(AUTHORIZATION));
    let token = match in_query {
        Some(token) => token,
        None => bearer(headers)?,
    };
    if in_query.is_none() && api.keys.service(token).is_ok() {
        return Ok(None);
    }
    api.keys.check(token, recording, Scope::Playback, api.cx.clock.now())?;
    Ok(in_query)
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    token.filter(|token| !token.is_empty()).ok_or_else(|| Problem::new(Code::Unauthorized))
}

/// There is a token, whatever it is worth.
pub(crate) fn present(headers: &HeaderMap) -> Result<(), Problem> {
    bearer(headers).map(|_| ())
}
