//! What surrounds every request: a span, a bound on its time, a catch for panics, and a count.

use super::Api;
use super::problem::{Code, Problem};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue};
use std::panic::AssertUnwindSafe;
use std::time::Instant;
use tracing::Instrument as _;

/// Header with the request's id, for whoever looks into the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Header in which a caller says which trace a request is part of.
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Logs, counts, and answers for whatever panics. The query and the headers are never logged: they hold tokens.
pub(crate) async fn watch(State(api): State<Api>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = uuid::Uuid::new_v4().simple().to_string();
    let route = request.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str).to_owned();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let trace = request.headers().get(TRACE_PARENT).and_then(|value| trace_of(value.to_str().ok()?)).map(str::to_owned);
    let span = tracing::info_span!(
        "request",
        http.id = id,
        http.method = %method,
        http.route = route,
        http.path = path,
        trace.id = trace
    );
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await;
    let mut response = answered.unwrap_or_else(|_| {
        span.in_scope(|| tracing::error!("request panicked"));
        Problem::new(Code::Internal).into_response()
    });
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let (status, spent) = (response.status().as_u16(), begun.elapsed());
    api.cx.metrics.request(&route, status, spent.as_secs_f64());
    let duration_ms = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
    let code = response.extensions().get::<Code>().map(|code| code.as_str());
    span.in_scope(|| match status {
        500.. => tracing::warn!(http.status = status, duration_ms, code, "request answered"),
        400.. => tracing::info!(http.status = status, duration_ms, code, "request answered"),
        _ => tracing::debug!(http.status = status, duration_ms, "request answered"),
    });
    response
}

/// The trace that a caller says this request is part of: 32 digits of a `traceparent` of W3C Trace Context.
fn trace_of(parent: &str) -> Option<&str> {
    let mut parts = parent.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    let known = version.len() == 2 && version != "ff" && digits(version);
    (known && trace.len() == 32 && digits(trace) && trace.bytes().any(|c| c != b'0')).then_some(trace)
}

/// Bounds the time of a request whose body is small.
pub(crate) async fn bound(State(api): State<Api>, request: Request, next: Next) -> Response {
    let limit = api.cx.config.http.request_timeout;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Code::RequestTimeout).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::trace_of;

    #[test]
    fn trace_is_taken_from_a_caller_that_names_one() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_of(&format!("00-{id}-00f067aa0ba902b7-01")), Some(id));
        for bad in [
            String::new(),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("ff-{id}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            "00-token-of-somebody-01".to_owned(),
        ] {
            assert_eq!(trace_of(&bad), None, "{bad}");
        }
    }
}
