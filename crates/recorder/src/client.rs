//! One HTTP call each: what is sent, and what its answer means. Repeating is not done here.

use bytes::Bytes;
use domain::id::{RecordingId, Sha256};
use domain::segment::{Name, Track};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// A server that does not take a connection within this is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest silence of the server within one answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest attempt in all: 64 MiB at 4 Mbit/s take 134 s.
const CALL_TIMEOUT: Duration = Duration::from_secs(180);

/// Longest wait that a server may ask for in `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Longest answer that is read: problem documents are small.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where to send, and as whom.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Base of the server, for example `https://host/prefix`.
    pub base: Url,
    /// The recording that the token is for.
    pub recording: RecordingId,
    /// Upload token.
    pub token: SecretString,
}

/// The server's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status code.
    pub status: u16,
    /// Code of the problem document, else `http-<status>`.
    pub code: String,
    /// What the server says of it.
    pub title: Option<String>,
    /// What a person can do.
    pub hint: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server refused it with {} ({})", self.code, self.status)?;
        self.title.iter().try_for_each(|title| write!(f, ": {title}"))?;
        self.hint.iter().try_for_each(|hint| write!(f, "; {hint}"))
    }
}

/// What one attempt met that another one may not.
#[derive(Debug, Error)]
pub enum Fault {
    /// No connection, a broken one, or none that answered in time.
    #[error("no answer")]
    Connection(#[source] reqwest::Error),
    /// The server asks for patience.
    #[error("the server answered {} ({})", refusal.code, refusal.status)]
    Unready {
        /// Its answer.
        refusal: Box<Refusal>,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The server has other bytes than were sent.
    #[error("the bytes arrived damaged")]
    Damaged,
    /// What a call for several segments met.
    #[error(transparent)]
    Shared(Arc<Fault>),
}

impl Fault {
    /// When the server wants to be asked again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Fault::Unready { retry_after, .. } => *retry_after,
            Fault::Connection(_) | Fault::Damaged => None,
            Fault::Shared(fault) => fault.retry_after(),
        }
    }
}

/// Why a call did not succeed.
#[derive(Debug)]
pub enum CallError {
    /// It may succeed when it is made again; every call of this client is safe to repeat.
    Fault(Fault),
    /// It is an answer.
    Refused(Box<Refusal>),
}

/// What is sent past the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Object {
    /// `video/segment_001.m4s`.
    pub(crate) path: String,
    /// Length of its bytes.
    pub(crate) size_bytes: u64,
    /// Digest of its bytes.
    pub(crate) sha256: Sha256,
}

/// A request that the store takes without a token.
#[derive(Clone, Deserialize)]
pub(crate) struct Signed {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
}

/// A client of one recording.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Endpoint,
    authorization: HeaderValue,
}

impl Client {
    /// Sets up a client; connects to nothing.
    pub fn new(endpoint: Endpoint) -> Result<Client, crate::Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            // A redirect would take the token to another server.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("spool-record/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(crate::Error::Client)?;
        let bearer = format!("Bearer {}", endpoint.token.expose_secret());
        let mut authorization = HeaderValue::from_str(&bearer).map_err(|_| crate::Error::Usage {
            what: "the upload token has characters that no token has; was it copied whole?".to_owned(),
        })?;
        authorization.set_sensitive(true);
        Ok(Client { http, endpoint, authorization })
    }

    /// Sends an initialization section or a segment. The same bytes again are welcome.
    pub async fn put(&self, track: Track, name: Name, bytes: Bytes) -> Result<(), CallError> {
        #[derive(Deserialize)]
        struct Taken {
            sha256: Option<String>,
        }
        let digest = Sha256::of(&bytes);
        let url = self.url(&["segments", track.as_str(), &name.to_string()]);
        let request = self
            .request(Method::PUT, url)
            .header(CONTENT_TYPE, "video/mp4")
            .header(CONTENT_LENGTH, bytes.len())
            .header("content-digest", content_digest(digest))
            .body(bytes);
        let answer = self.call(request).await?;
        let taken: Option<Taken> = serde_json::from_slice(&answer).ok();
        match taken.and_then(|taken| taken.sha256).and_then(|hex| Sha256::parse_hex(&hex)) {
            Some(theirs) if theirs != digest => Err(CallError::Fault(Fault::Damaged)),
            _ => Ok(()),
        }
    }

    /// Asks for URLs to send objects past the server, one for each, in the same order.
    pub(crate) async fn presign(&self, objects: &[Object]) -> Result<Vec<Signed>, CallError> {
        #[derive(Deserialize)]
        struct Answer {
            urls: Vec<Signed>,
        }
        let request = self.request(Method::POST, self.url(&["segments", "presign"])).json(&json!({"objects": objects}));
        let answer: Option<Answer> = serde_json::from_slice(&self.call(request).await?).ok();
        let urls = answer.map(|answer| answer.urls).filter(|urls| urls.len() == objects.len());
        urls.ok_or_else(|| CallError::Refused(Box::new(Refusal::unreadable())))
    }

    /// Says that objects were sent past the server; tells the state of each, in the same order.
    pub(crate) async fn report(&self, objects: &[Object]) -> Result<Vec<String>, CallError> {
        #[derive(Deserialize)]
        struct Answer {
            objects: Vec<One>,
        }
        #[derive(Deserialize)]
        struct One {
            state: String,
        }
        let request = self.request(Method::POST, self.url(&["segments", "report"])).json(&json!({"objects": objects}));
        let answer = match self.call(request).await {
            // Here it says that an object is not in the store, and saying so again does not bring it there.
            Err(CallError::Fault(Fault::Unready { refusal, .. })) if refusal.code == "digest-mismatch" => {
                return Err(CallError::Refused(refusal));
            }
            answer => answer?,
        };
        let answer: Option<Answer> = serde_json::from_slice(&answer).ok();
        let states = answer.map(|answer| answer.objects.into_iter().map(|one| one.state).collect::<Vec<_>>());
        let states = states.filter(|states| states.len() == objects.len());
        states.ok_or_else(|| CallError::Refused(Box::new(Refusal::unreadable())))
    }

    /// Sends an object to the store with a URL of [`Client::presign`]. The token stays here.
    pub(crate) async fn put_signed(&self, signed: &Signed, bytes: Bytes) -> Result<(), CallError> {
        let method = Method::from_bytes(signed.method.as_bytes()).unwrap_or(Method::PUT);
        let mut request = self.http.request(method, &signed.url).body(bytes);
        for (name, value) in &signed.headers {
            request = request.header(name, value);
        }
        self.call(request).await.map(drop)
    }

    /// Says that the recording goes on.
    pub async fn heartbeat(&self) -> Result<(), CallError> {
        let request = self.request(Method::POST, self.url(&["heartbeat"])).json(&json!({"state": "recording"}));
        self.call(request).await.map(drop)
    }

    /// Declares what was made: the last index of each track.
    pub async fn end(&self, last_index: &BTreeMap<Track, u32>, duration_ms: u64) -> Result<(), CallError> {
        let tracks: serde_json::Map<_, _> = last_index
            .iter()
            .map(|(track, last_index)| (track.as_str().to_owned(), json!({"last_index": last_index})))
            .collect();
        let body = json!({"tracks": tracks, "duration_ms": duration_ms});
        self.call(self.request(Method::POST, self.url(&["end"])).json(&body)).await.map(drop)
    }

    /// Asks for the result; the answer is `queued`, `already-processing` or `already-complete`.
    pub async fn complete(&self) -> Result<String, CallError> {
        let url = self.under_base(&["api", "upload", "recording-complete"]);
        let body = json!({"videoId": self.endpoint.recording.as_str()});
        let answer = self.call(self.request(Method::POST, url).json(&body)).await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
        Ok(answer["status"].as_str().unwrap_or("queued").to_owned())
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url).header(AUTHORIZATION, self.authorization.clone())
    }

    fn url(&self, rest: &[&str]) -> Url {
        let mut path = vec!["api", "recordings", self.endpoint.recording.as_str()];
        path.extend(rest);
        self.under_base(&path)
    }

    fn under_base(&self, path: &[&str]) -> Url {
        let mut url = self.endpoint.base.clone();
        // A base that cannot have a path was refused when the endpoint was read.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Makes a call and reads its whole answer.
    async fn call(&self, request: RequestBuilder) -> Result<Vec<u8>, CallError> {
        let connection = |error: reqwest::Error| CallError::Fault(Fault::Connection(error.without_url()));
        let mut response = request.send().await.map_err(connection)?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let mut answer = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(connection)? {
            if answer.len() + bytes.len() <= ANSWER_BYTES_MAX {
                answer.extend_from_slice(&bytes);
            }
        }
        if status.is_success() {
            return Ok(answer);
        }
        let refusal = Box::new(Refusal::read(status, &answer));
        if may_clear(status, &refusal) {
            return Err(CallError::Fault(Fault::Unready { refusal, retry_after }));
        }
        Err(CallError::Refused(refusal))
    }
}

/// A whitelist: every other status is an answer.
fn may_clear(status: StatusCode, refusal: &Refusal) -> bool {
    // A digest that does not match means bytes were damaged on the way, and they are whole here.
    matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error() || refusal.code == "digest-mismatch"
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// `Content-Digest` of RFC 9530.
fn content_digest(digest: Sha256) -> String {
    use base64::Engine as _;
    format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(digest.0))
}

impl Refusal {
    /// An answer that is none of the contract's.
    fn unreadable() -> Refusal {
        let title = Some("the answer cannot be read".to_owned());
        Refusal { status: 502, code: "unreadable".to_owned(), title, hint: None }
    }

    /// Reads a problem document (RFC 9457) with our `code` and `hint`; anything else is named by its status.
    fn read(status: StatusCode, body: &[u8]) -> Refusal {
        #[derive(Deserialize, Default)]
        struct Problem {
            code: Option<String>,
            title: Option<String>,
            detail: Option<String>,
            hint: Option<String>,
        }
        let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
        Refusal {
            status: status.as_u16(),
            code: problem.code.unwrap_or_else(|| format!("http-{}", status.as_u16())),
            title: problem.detail.or(problem.title),
            hint: problem.hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str) -> Client {
        let endpoint = Endpoint {
            base: base.parse().unwrap(),
            recording: RecordingId::parse("rec").unwrap(),
            token: "t".to_owned().into(),
        };
        Client::new(endpoint).unwrap()
    }

    #[test]
    fn urls_keep_the_prefix_of_the_base() {
        for base in ["http://h/p", "http://h/p/"] {
            assert_eq!(client(base).url(&["end"]).as_str(), "http://h/p/api/recordings/rec/end");
        }
        assert_eq!(client("http://h").url(&["end"]).as_str(), "http://h/api/recordings/rec/end");
    }

    #[test]
    fn digest_is_that_of_rfc_9530() {
        let text = content_digest(Sha256::of(b"{\"hello\": \"world\"}"));
        assert_eq!(text, "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
    }

    #[test]
    fn refusal_reads_a_problem_document_or_its_status() {
        let body =
            br#"{"type":"urn:spool:problem:recording-closed","code":"recording-closed","hint":"keep your files"}"#;
        let refusal = Refusal::read(StatusCode::CONFLICT, body);
        assert_eq!(refusal.to_string(), "the server refused it with recording-closed (409); keep your files");
        assert!(!may_clear(StatusCode::CONFLICT, &refusal));
        assert_eq!(Refusal::read(StatusCode::BAD_GATEWAY, b"<html>").code, "http-502");
    }
}
