//! What a request says, read strictly; whatever cannot be read is a problem document.

use super::Api;
use super::problem::{Code, Problem};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use domain::id::RecordingId;
use domain::segment::{Name, Track};
use http::request::Parts;
use serde::de::DeserializeOwned;

/// The recording that the path names.
pub(crate) struct Id(pub(crate) RecordingId);

impl FromRequestParts<Api> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Id, Problem> {
        let text = parameter(parts, api, "id").await?;
        RecordingId::parse(&text).map(Id).map_err(|error| Problem::bad(error.to_string()))
    }
}

/// The segment that the path names.
pub(crate) struct SegmentName {
    pub(crate) track: Track,
    pub(crate) name: Name,
}

impl FromRequestParts<Api> for SegmentName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<SegmentName, Problem> {
        let track = parameter(parts, api, "track").await?;
        let track = Track::parse(&track).ok_or_else(|| Problem::bad("a track is video or audio"))?;
        let name = parameter(parts, api, "name").await?;
        let name = Name::parse(&name).map_err(|error| Problem::bad(error.to_string()))?;
        Ok(SegmentName { track, name })
    }
}

/// A part of the path, percent-decoded.
async fn parameter(parts: &mut Parts, api: &Api, wanted: &str) -> Result<String, Problem> {
    let unreadable = |_| Problem::bad("the path is not UTF-8");
    let parameters = RawPathParams::from_request_parts(parts, api).await.map_err(unreadable)?;
    let found = parameters.iter().find(|(name, _)| *name == wanted);
    Ok(found.map(|(_, value)| value.to_owned()).unwrap_or_default())
}

/// A body that is JSON. Its `Content-Type` is not looked at: every request with a body here is JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Api> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Json<T>, Problem> {
        let max = api.cx.config.limits.json_size.0;
        let limit = usize::try_from(max).unwrap_or(usize::MAX);
        let bytes = axum::body::to_bytes(request.into_body(), limit).await.map_err(|error| {
            use std::error::Error as _;
            let too_large = error.source().is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
            if too_large {
                Problem::new(Code::TooLarge).member("max_bytes", max)
            } else {
                Problem::bad("the body broke off")
            }
        })?;
        // No body means no wishes: every field that is needed says so itself.
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Json).map_err(|error| Problem::bad(format!("the body: {error}")))
    }
}

/// The query string.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Query<T>, Problem> {
        match axum::extract::Query::from_request_parts(parts, api).await {
            Ok(axum::extract::Query(query)) => Ok(Query(query)),
            // The reader's own words may repeat a value, and a value may be a token.
            Err(_) => Err(Problem::bad("the query has an unknown name or a value that cannot be read")),
        }
    }
}
