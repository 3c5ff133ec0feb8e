//! Errors as problem documents (RFC 9457), one place for every code of `CONTRACTS §1`.

use crate::accept::Refusal;
use crate::auth::Denied;
use crate::{db, staging, storage};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use domain::recording::{Closed, State};
use domain::retry::{Classify, Fault};
use http::{HeaderValue, StatusCode, header};
use media::defect::Defect;
use serde_json::{Map, Value, json};

/// When to come back after something was away: long enough for a restart of it, short enough for a recorder's buffer.
const AWAY_S: u32 = 2;

/// When to come back after a limit was reached.
const BUSY_S: u32 = 1;

/// The word a program reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    BadRequest,
    Unauthorized,
    TokenExpired,
    Forbidden,
    NotFound,
    RecordingNotFound,
    ResultNotFound,
    PictureNotFound,
    PlaylistNotReady,
    SegmentNotFound,
    MethodNotAllowed,
    RequestTimeout,
    SegmentConflict,
    RecordingClosed,
    RecordingArchived,
    InitMissing,
    WrongState,
    DirectUnavailable,
    NothingToFinalize,
    RecordingExists,
    RecordingDeleted,
    RecordingCancelled,
    SegmentsArchived,
    LengthRequired,
    TooLarge,
    RangeNotSatisfiable,
    SegmentMalformed,
    DigestMismatch,
    SegmentTooLong,
    TooManyRequests,
    Internal,
    NotImplemented,
    StorageUnavailable,
    DatabaseUnavailable,
    Stopping,
    StagingFull,
}

impl Code {
    /// Word, status, title, hint.
    fn facts(self) -> (&'static str, u16, &'static str, &'static str) {
        match self {
            Code::BadRequest => {
                ("bad-request", 400, "the request cannot be read", "compare it with the API's contract")
            }
            Code::Unauthorized => (
                "unauthorized",
                401,
                "the token is missing or not valid",
                "send Authorization: Bearer with a token that Spool or its operator made",
            ),
            Code::TokenExpired => ("token-expired", 401, "the token has expired", "ask the web app for a new one"),
            Code::Forbidden => {
                ("forbidden", 403, "the token does not allow this", "it is for another recording or another use")
            }
            Code::NotFound => ("not-found", 404, "there is nothing here", "check the path"),
            Code::RecordingNotFound => ("recording-not-found", 404, "there is no such recording", "check the id"),
            Code::ResultNotFound => (
                "result-not-found",
                404,
                "there is no published result",
                "ask for the recording's state; its result appears when it is ready",
            ),
            Code::PictureNotFound => (
                "picture-not-found",
                404,
                "there is no such picture",
                "pictures are made soon after the result; a recording of sound alone has none",
            ),
            Code::PlaylistNotReady => (
                "playlist-not-ready",
                404,
                "there is nothing to show yet",
                "come again after the first segment; with requireComplete after the end",
            ),
            Code::SegmentNotFound => {
                ("segment-not-found", 404, "there is no such segment", "fetch what the playlist lists")
            }
            Code::MethodNotAllowed => {
                ("method-not-allowed", 405, "the method is not allowed here", "the Allow header lists those that are")
            }
            Code::RequestTimeout => ("request-timeout", 408, "the request took too long to arrive", "send it again"),
            Code::SegmentConflict => (
                "segment-conflict",
                409,
                "other bytes were acknowledged under this name",
                "an acknowledged segment never changes; use the next index",
            ),
            Code::RecordingClosed => (
                "recording-closed",
                409,
                "the recording has ended",
                "keep the segment; an operator can reopen the recording",
            ),
            Code::RecordingArchived => (
                "recording-archived",
                409,
                "the recording is archived",
                "its segments are gone; only its result is left",
            ),
            Code::InitMissing => (
                "init-missing",
                409,
                "the track's initialization section is missing",
                "send init.mp4 of the track first",
            ),
            Code::WrongState => ("wrong-state", 409, "the recording's state does not allow this", "look at its state"),
            Code::DirectUnavailable => {
                ("direct-unavailable", 409, "segments cannot be sent past this server", "send them with PUT")
            }
            Code::NothingToFinalize => (
                "nothing-to-finalize",
                409,
                "nothing was uploaded",
                "send at least one segment first, or cancel the recording",
            ),
            Code::RecordingExists => {
                ("recording-exists", 409, "the id is taken by another owner's recording", "choose another id")
            }
            Code::RecordingDeleted => ("recording-deleted", 410, "the recording was deleted", "its id stays taken"),
            Code::RecordingCancelled => {
                ("recording-cancelled", 410, "the recording was cancelled", "create another recording")
            }
            Code::SegmentsArchived => {
                ("recording-archived", 410, "the recording is archived", "its segments are gone; watch its result")
            }
            Code::LengthRequired => ("length-required", 411, "the length is missing", "send Content-Length"),
            Code::TooLarge => ("too-large", 413, "the body is too large", "the limits are settings of the server"),
            Code::RangeNotSatisfiable => {
                ("range-not-satisfiable", 416, "the range lies outside the file", "Content-Range tells its length")
            }
            Code::SegmentMalformed => (
                "segment-malformed",
                422,
                "the body is not a segment of this track",
                "it must be fragmented MP4 of the track whose initialization section was sent",
            ),
            Code::DigestMismatch => (
                "digest-mismatch",
                422,
                "the body has another digest than announced",
                "it was damaged on the way; send it again",
            ),
            Code::SegmentTooLong => {
                ("segment-too-long", 422, "the segment lasts too long", "cut segments of about two seconds")
            }
            Code::TooManyRequests => (
                "too-many-requests",
                429,
                "too many requests at once",
                "send fewer at once and come back after Retry-After",
            ),
            Code::Internal => (
                "internal",
                500,
                "something is wrong on this side",
                "the server's log has the reason under the request's id",
            ),
            Code::NotImplemented => ("not-implemented", 501, "this server cannot do that yet", ""),
            Code::StorageUnavailable => (
                "storage-unavailable",
                503,
                "the object store is not available",
                "nothing is lost; come back after Retry-After",
            ),
            Code::DatabaseUnavailable => (
                "database-unavailable",
                503,
                "the database is not available",
                "nothing is lost; come back after Retry-After",
            ),
            Code::Stopping => ("stopping", 503, "the process is stopping", "ask another one"),
            Code::StagingFull => (
                "staging-full",
                507,
                "there is no room for acknowledged bytes",
                "keep the segment and come back; an operator must look at the store",
            ),
        }
    }

    /// The word.
    pub(crate) fn as_str(self) -> &'static str {
        self.facts().0
    }

    /// The HTTP status.
    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.facts().1).expect("every status of the list is one")
    }

    fn retry_after_s(self) -> Option<u32> {
        match self {
            Code::StorageUnavailable | Code::DatabaseUnavailable | Code::Stopping | Code::StagingFull => Some(AWAY_S),
            Code::TooManyRequests => Some(BUSY_S),
            _ => None,
        }
    }
}

/// A problem on its way to the client.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    /// What is wrong this time, for a person. Nothing secret and nothing of the inside.
    detail: Option<String>,
    /// What it is about: a recording, a segment.
    object: Option<String>,
    /// Further members.
    more: Map<String, Value>,
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

impl Problem {
    pub(crate) fn new(code: Code) -> Problem {
        Problem { code, detail: None, object: None, more: Map::new(), headers: Vec::new() }
    }

    /// 400 with what is wrong.
    pub(crate) fn bad(detail: impl Into<String>) -> Problem {
        Problem::new(Code::BadRequest).detail(detail)
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Problem {
        self.detail = Some(detail.into());
        self
    }

    pub(crate) fn object(mut self, object: impl ToString) -> Problem {
        self.object.get_or_insert_with(|| object.to_string());
        self
    }

    pub(crate) fn member(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn header(mut self, name: header::HeaderName, value: &str) -> Problem {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    /// 409 with the state that is in the way.
    pub(crate) fn wrong_state(state: State) -> Problem {
        Problem::new(Code::WrongState).detail(format!("the recording is {state}")).member("state", state.as_str())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (word, status, title, hint) = self.code.facts();
        let mut body = self.more;
        body.insert("type".to_owned(), format!("urn:spool:problem:{word}").into());
        body.insert("title".to_owned(), title.into());
        body.insert("status".to_owned(), status.into());
        body.insert("code".to_owned(), word.into());
        body.insert("detail".to_owned(), self.detail.into());
        body.insert("object".to_owned(), self.object.into());
        body.insert("hint".to_owned(), hint.into());
        body.retain(|_, value| !value.is_null());
        let mut response = Response::new(Body::from(json!(body).to_string()));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.code.retry_after_s() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.code.status() == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"spool\""));
        }
        headers.extend(self.headers);
        // For the log of the request, which sees only the response.
        response.extensions_mut().insert(self.code);
        response
    }
}

/// An error that is not the client's doing: logged here, once, and told in general words.
fn inside(code: Code, error: &(dyn std::error::Error + 'static)) -> Problem {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        chain.push_str(": ");
        chain.push_str(&error.to_string());
        cause = error.source();
    }
    if code == Code::Internal {
        tracing::error!(error = chain, "request failed");
    } else {
        tracing::warn!(error = chain, "request put off");
    }
    Problem::new(code)
}

impl From<db::Error> for Problem {
    fn from(error: db::Error) -> Problem {
        let away = error.fault() == Fault::Transient;
        inside(if away { Code::DatabaseUnavailable } else { Code::Internal }, &error)
    }
}

impl From<queue::enqueue::Error> for Problem {
    fn from(error: queue::enqueue::Error) -> Problem {
        let away = error.fault() == Fault::Transient;
        inside(if away { Code::DatabaseUnavailable } else { Code::Internal }, &error)
    }
}

impl From<queue::operate::EnqueueError> for Problem {
    fn from(error: queue::operate::EnqueueError) -> Problem {
        match error {
            queue::operate::EnqueueError::Enqueue(error) => error.into(),
            error @ queue::operate::EnqueueError::Database(_) => inside(Code::DatabaseUnavailable, &error),
        }
    }
}

impl From<queue::read::Error> for Problem {
    fn from(error: queue::read::Error) -> Problem {
        inside(Code::DatabaseUnavailable, &error)
    }
}

impl From<storage::Error> for Problem {
    fn from(error: storage::Error) -> Problem {
        inside(Code::StorageUnavailable, &error)
    }
}

impl From<staging::Error> for Problem {
    fn from(error: staging::Error) -> Problem {
        match error {
            staging::Error::Full { .. } => inside(Code::StagingFull, &error),
            staging::Error::Database(error) => error.into(),
            error => inside(Code::StorageUnavailable, &error),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Problem {
        Problem::new(match denied {
            Denied::Unknown => Code::Unauthorized,
            Denied::Expired => Code::TokenExpired,
            Denied::Foreign => Code::Forbidden,
        })
    }
}

impl From<Closed> for Problem {
    fn from(closed: Closed) -> Problem {
        Problem::new(match closed {
            Closed::Ended => Code::RecordingClosed,
            Closed::Archived => Code::RecordingArchived,
            Closed::Cancelled => Code::RecordingCancelled,
            Closed::Deleted => Code::RecordingDeleted,
        })
    }
}

impl From<Defect> for Problem {
    fn from(defect: Defect) -> Problem {
        let code = match defect {
            Defect::TooLong { .. } => Code::SegmentTooLong,
            _ => Code::SegmentMalformed,
        };
        let problem = Problem::new(code).detail(defect.to_string()).member("defect", defect.class());
        match defect.place() {
            Some((kind, offset)) => problem.member("box", kind.to_string()).member("offset", offset),
            None => problem,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NoRecording => Problem::new(Code::RecordingNotFound),
            Refusal::Closed(closed) => closed.into(),
            Refusal::NoInit => Problem::new(Code::InitMissing),
            Refusal::IndexTooHigh { .. } | Refusal::OtherLength { .. } => Problem::bad(detail),
            Refusal::TooLarge { max_bytes, .. } => {
                Problem::new(Code::TooLarge).detail(detail).member("max_bytes", max_bytes)
            }
            Refusal::OtherDigest { .. } => Problem::new(Code::DigestMismatch).detail(detail),
            Refusal::Malformed(defect) => defect.into(),
            Refusal::Busy => Problem::new(Code::TooManyRequests).detail(detail),
            Refusal::Conflict { .. } => Problem::new(Code::SegmentConflict).detail(detail),
            Refusal::Database(error) => error.into(),
            Refusal::Enqueue(error) => error.into(),
            Refusal::Staging(error) => error.into(),
            Refusal::Storage(error) => error.into(),
        }
    }
}
