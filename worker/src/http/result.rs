//! `GET /media/{id}/result.mp4`: the published result, whole or a range of it.

use super::extract::Id;
use super::problem::{Code, Problem};
use super::recordings::find;
use super::{Api, access};
use crate::db::recordings::Served;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use domain::recording::State as RecordingState;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use std::ops::Range;

/// What a `Range` header asks of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    /// All of it: no range, or one that is not understood, which RFC 9110 section 14.2 lets a server pass over.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes it does not have.
    Outside,
}

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
    let etag = etag(&served);
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|known| names(known, &etag)) {
        return Ok(head(StatusCode::NOT_MODIFIED, &etag));
    }
    // A range of another version would be glued to what the player has: then it gets the whole file.
    let same = text(header::IF_RANGE).is_none_or(|known| known == etag);
    let wanted = text(header::RANGE).filter(|_| same).map_or(Wanted::Whole, |range| wanted(range, served.size_bytes));
    let size_bytes = served.size_bytes;
    let (status, range) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..size_bytes),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Outside => {
            let problem = Problem::new(Code::RangeNotSatisfiable).object(&id);
            return Err(problem.header(header::CONTENT_RANGE, &format!("bytes */{size_bytes}")));
        }
    };
    let mut response = head(status, &etag);
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    fields.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{size_bytes}", range.start, range.end - 1);
        fields.insert(header::CONTENT_RANGE, HeaderValue::from_str(&text).expect("digits are a header's value"));
    }
    if method != Method::HEAD && !range.is_empty() {
        *response.body_mut() = Body::from_stream(api.cx.store.stream(&served.key, range).await?);
    }
    Ok(response)
}

fn head(status: StatusCode, etag: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(header::ETAG, HeaderValue::from_str(etag).expect("hexadecimal digits are a header's value"));
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

/// Whether a list of tags names this one; a weak comparison, as If-None-Match asks for.
fn names(list: &str, etag: &str) -> bool {
    list.split(',').map(|tag| tag.trim()).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Reads a `Range` header. One range is served; several would need another kind of body, and no player asks for them.
fn wanted(header: &str, size_bytes: u64) -> Wanted {
    let Some(spec) = header.trim().strip_prefix("bytes=") else { return Wanted::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Wanted::Whole };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = match (first.trim(), last.trim()) {
        ("", suffix) => match number(suffix) {
            Some(0) => return Wanted::Outside,
            Some(length) => size_bytes.saturating_sub(length)..size_bytes,
            None => return Wanted::Whole,
        },
        (first, "") => match number(first) {
            Some(first) => first..size_bytes,
            None => return Wanted::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size_bytes),
            _ => return Wanted::Whole,
        },
    };
    if range.start >= size_bytes { Wanted::Outside } else { Wanted::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_read_as_rfc_9110_says() {
        for (header, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=5-99", Wanted::Part(5..10)),
            ("bytes=5-18446744073709551615", Wanted::Part(5..10)),
            ("bytes=10-", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=7-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("seconds=0-1", Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 10), expected, "{header}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Outside);
    }

    #[test]
    fn tag_is_found_in_a_list() {
        assert!(names("\"a\", W/\"b\"", "\"b\"") && names("*", "\"b\"") && !names("\"bb\"", "\"b\""));
    }
}
