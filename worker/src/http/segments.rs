//! `PUT …/segments/{track}/{name}`: streams a body into accept.

use super::extract::{Id, SegmentName};
use super::problem::{Code, Problem};
use super::{Api, access};
use crate::accept::{self, Announced, Taken};
use crate::telemetry::SegmentOutcome;
use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use domain::id::Sha256;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument as _;

/// Rest of a refused body that is read and thrown away. A server that closes with bytes unread resets the connection,
/// and the client then often loses the very answer that says what is wrong.
const REST_BYTES_MAX: u64 = 8 << 20;

/// How long the rest of a refused body is waited for.
const REST_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes in one segment.
pub(crate) async fn put(
    State(api): State<Api>,
    id: Result<Id, Problem>,
    segment: Result<SegmentName, Problem>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut stream = body.into_data_stream();
    let announced = async {
        let (Id(recording), SegmentName { track, name }) = (id?, segment?);
        access::upload(&api, &headers, &recording)?;
        let (size_bytes, sha256) = (length(&headers)?, digest(&headers)?);
        Ok(Announced { recording, track, name, size_bytes, sha256 })
    };
    let taken = match announced.await {
        Ok(announced) => {
            let object = format!("{}/{}/{}", announced.recording, announced.track, announced.name);
            receive(&api, announced, &mut stream).await.map_err(|problem| problem.object(object))
        }
        Err(problem) => Err(problem),
    };
    match taken {
        Ok(taken) => {
            let outcome = if taken.new { SegmentOutcome::New } else { SegmentOutcome::Same };
            api.cx.metrics.segment(outcome, taken.size_bytes);
            answer(&taken)
        }
        Err(problem) => {
            api.cx.metrics.segment(SegmentOutcome::Refused, 0);
            // A sender that waits for leave to send has sent nothing, and must not be asked to.
            let waits = headers.contains_key(header::EXPECT);
            refuse(problem, (!waits).then_some(&mut stream)).await
        }
    }
}

async fn receive(api: &Api, announced: Announced, stream: &mut BodyDataStream) -> Result<Taken, Problem> {
    let place = api.gate.enter(&announced.recording, &api.cx.metrics).await?;
    let http = &api.cx.config.http;
    let deadline = Instant::now() + http.put_timeout;
    let mut arriving = accept::begin(&api.cx, &api.inits, announced).await?;
    loop {
        let silence = Instant::now() + http.body_timeout;
        match timeout_at(deadline.min(silence), stream.next()).await {
            Ok(Some(Ok(bytes))) => arriving.push(&bytes).await?,
            Ok(Some(Err(_))) => return Err(Problem::bad("the body broke off before its announced length")),
            Ok(None) => break,
            Err(_) => return Err(Problem::new(Code::RequestTimeout).detail("the body stalled or took too long")),
        }
    }
    // A sender that goes away now drops this request wherever it stands; what has arrived whole is brought to an end all
    // the same, so that it ends in a row or leaves nothing.
    let (cx, inits) = (api.cx.clone(), api.inits.clone());
    let finishing = async move {
        let _place = place;
        arriving.finish(&cx, &inits).await
    };
    let finished = tokio::spawn(finishing.in_current_span()).await;
    Ok(finished.map_err(|_| Problem::new(Code::Internal))??)
}

fn answer(taken: &Taken) -> Response {
    let status = if taken.new { StatusCode::CREATED } else { StatusCode::OK };
    let body = json!({
        "track": taken.track, "index": taken.name.index(), "size_bytes": taken.size_bytes, "sha256": taken.sha256,
        "duration_ms": taken.duration_ms, "state": taken.state,
    });
    (status, axum::Json(body)).into_response()
}

/// Answers a refusal after the rest of the body, if that is short enough.
async fn refuse(problem: Problem, stream: Option<&mut BodyDataStream>) -> Response {
    let at_end = match stream {
        Some(stream) => timeout(REST_TIMEOUT, rest(stream)).await.unwrap_or(false),
        None => false,
    };
    let mut response = problem.into_response();
    if !at_end {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Throws away what is left of a body; false when that is too much.
async fn rest(stream: &mut BodyDataStream) -> bool {
    let mut read = 0;
    while let Some(Ok(bytes)) = stream.next().await {
        read += bytes.len() as u64;
        if read > REST_BYTES_MAX {
            return false;
        }
    }
    true
}

fn length(headers: &HeaderMap) -> Result<u64, Problem> {
    let value = headers.get(header::CONTENT_LENGTH).ok_or_else(|| Problem::new(Code::LengthRequired))?;
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Problem::bad("Content-Length is not a number"))
}

/// `Content-Digest` (RFC 9530): the one member that is a SHA-256; other algorithms are passed over.
fn digest(headers: &HeaderMap) -> Result<Option<Sha256>, Problem> {
    let wrong = || Problem::bad("Content-Digest is not sha-256=:<base64>:");
    for line in headers.get_all("content-digest") {
        for member in line.to_str().map_err(|_| wrong())?.split(',') {
            let Some((algorithm, value)) = member.trim().split_once('=') else { return Err(wrong()) };
            if !algorithm.eq_ignore_ascii_case("sha-256") {
                continue;
            }
            let base64 = value.strip_prefix(':').and_then(|value| value.strip_suffix(':')).ok_or_else(wrong)?;
            let bytes = base64::engine::general_purpose::STANDARD.decode(base64).map_err(|_| wrong())?;
            return Sha256::from_slice(&bytes).map(Some).ok_or_else(wrong);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_read_as_rfc_9530_writes_it() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-digest", HeaderValue::from_str(value).unwrap());
            digest(&headers).map_err(|problem| problem.code)
        };
        let hello = Sha256::of(b"{\"hello\": \"world\"}");
        let text = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";
        assert_eq!(read(text), Ok(Some(hello)));
        assert_eq!(read(&format!("sha-512=:AAAA:, {text}")), Ok(Some(hello)));
        assert_eq!(read("md5=:AAAA:"), Ok(None));
        for wrong in ["sha-256", "sha-256=X48E", "sha-256=:AAAA:", "sha-256=:?:", ""] {
            assert_eq!(read(wrong), Err(Code::BadRequest), "{wrong}");
        }
        assert_eq!(digest(&HeaderMap::new()).unwrap(), None);
    }
}
