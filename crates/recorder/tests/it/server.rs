//! A real HTTP server that keeps the contract of uploads and fails where a test tells it to.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{post, put};
use base64::Engine as _;
use domain::id::Sha256;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const TOKEN: &str = "v1.test.token";

/// What the server does to one PUT instead of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// 503 with `Retry-After: 0`, nothing stored.
    Unready,
    /// 429 without `Retry-After`, nothing stored.
    TooMany,
    /// Stored, but the answer breaks off in its middle.
    AnswerLost,
    /// 422 digest-mismatch, nothing stored.
    Damaged,
}

#[derive(Default)]
pub(crate) struct Seen {
    /// `video/segment_001.m4s` → bytes.
    pub(crate) stored: BTreeMap<String, Vec<u8>>,
    /// Paths in the order in which they were stored for the first time.
    pub(crate) order: Vec<String>,
    /// Paths in the order in which a PUT of them arrived whole, with repetitions.
    pub(crate) attempts: Vec<String>,
    /// Bodies of `end`, with the number of objects stored by then.
    pub(crate) ends: Vec<(Value, usize)>,
    pub(crate) heartbeats: usize,
    pub(crate) completes: usize,
    /// PUTs number n (from 0) fail like this.
    pub(crate) failures: BTreeMap<usize, Failure>,
    /// It signs URLs.
    pub(crate) signs: bool,
    /// Objects of each presign, reports apart.
    pub(crate) presigns: Vec<usize>,
    /// PUTs number n (from 0) into the store are refused with 403.
    pub(crate) stale: Vec<usize>,
    /// PUTs into the store.
    pub(crate) past: usize,
    /// What lies in the store and was not read yet.
    pub(crate) incoming: BTreeMap<String, Vec<u8>>,
    /// What is reported under these paths is found to be no segment.
    pub(crate) lost: Vec<String>,
    /// Every PUT of this path is refused with this answer.
    pub(crate) refuse: Option<(String, StatusCode, Value)>,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Server {
    pub(crate) async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let routes = Router::new()
            .route("/p/api/recordings/rec/segments/{track}/{name}", put(take))
            .route("/p/api/recordings/rec/segments/presign", post(presign))
            .route("/p/api/recordings/rec/segments/report", post(report))
            .route("/bucket/{track}/{name}", put(take_past))
            .route("/p/api/recordings/rec/heartbeat", post(heartbeat))
            .route("/p/api/recordings/rec/end", post(end))
            .route("/p/api/upload/recording-complete", post(complete))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        server
    }

    pub(crate) fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap())
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}/p", self.address)
    }
}

async fn take(
    State(server): State<Server>,
    Path((track, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = format!("{track}/{name}");
    let digest = Sha256::of(&body);
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if header("authorization") != format!("Bearer {TOKEN}") {
        return problem(StatusCode::UNAUTHORIZED, json!({"code": "unauthorized"}));
    }
    assert_eq!(header("content-length"), body.len().to_string());
    let sent = format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(digest.0));
    assert_eq!(header("content-digest"), sent);
    server.seen(|seen| {
        let failure = seen.failures.remove(&seen.attempts.len());
        seen.attempts.push(path.clone());
        if let Some((refused, status, document)) = &seen.refuse
            && *refused == path
        {
            return problem(*status, document.clone());
        }
        match failure {
            Some(Failure::Unready) => {
                let body = json!({"code": "storage-unavailable"});
                return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")], body.to_string()).into_response();
            }
            Some(Failure::TooMany) => return problem(StatusCode::TOO_MANY_REQUESTS, json!({})),
            Some(Failure::Damaged) => {
                return problem(StatusCode::UNPROCESSABLE_ENTITY, json!({"code": "digest-mismatch"}));
            }
            Some(Failure::AnswerLost) | None => {}
        }
        if name != "init.mp4" && !seen.stored.contains_key(&format!("{track}/init.mp4")) {
            return problem(StatusCode::CONFLICT, json!({"code": "init-missing"}));
        }
        let answer = match seen.stored.get(&path) {
            Some(bytes) if *bytes != body => {
                return problem(StatusCode::CONFLICT, json!({"code": "segment-conflict"}));
            }
            Some(_) => StatusCode::OK,
            None => StatusCode::CREATED,
        };
        if answer == StatusCode::CREATED {
            seen.order.push(path.clone());
            seen.stored.insert(path, body.to_vec());
        }
        if failure == Some(Failure::AnswerLost) {
            let broken = [Ok("{"), Err(std::io::Error::other("cut"))];
            return Response::new(Body::from_stream(futures_util::stream::iter(broken)));
        }
        (answer, json!({"sha256": digest.to_string()}).to_string()).into_response()
    })
}

async fn presign(State(server): State<Server>, body: String) -> Response {
    let body: Value = serde_json::from_str(&body).unwrap();
    let paths: Vec<String> = paths_of(&body);
    server.seen(|seen| {
        seen.presigns.push(paths.len());
        if !seen.signs {
            return problem(StatusCode::CONFLICT, json!({"code": "direct-unavailable"}));
        }
        let url = |path: &str| format!("http://{}/bucket/{path}?signature=x", server.address);
        let urls: Vec<Value> = paths
            .iter()
            .map(|path| json!({"path": path, "method": "PUT", "url": url(path), "headers": {"x-signed": "yes"}}))
            .collect();
        json!({"urls": urls}).to_string().into_response()
    })
}

fn paths_of(body: &Value) -> Vec<String> {
    let objects = body["objects"].as_array().unwrap();
    assert!((1..=50).contains(&objects.len()));
    objects.iter().map(|object| object["path"].as_str().unwrap().to_owned()).collect()
}

async fn take_past(
    State(server): State<Server>,
    Path((track, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    assert_eq!(headers["x-signed"], "yes");
    assert!(!headers.contains_key("authorization"), "the token is not for the store");
    server.seen(|seen| {
        let number = seen.past;
        seen.past += 1;
        if seen.stale.contains(&number) {
            return StatusCode::FORBIDDEN;
        }
        seen.incoming.insert(format!("{track}/{name}"), body.to_vec());
        StatusCode::OK
    })
}

/// What is reported is received the first time and stored the second.
async fn report(State(server): State<Server>, body: String) -> Response {
    let body: Value = serde_json::from_str(&body).unwrap();
    server.seen(|seen| {
        let mut objects = Vec::new();
        for (path, object) in paths_of(&body).into_iter().zip(body["objects"].as_array().unwrap()) {
            let state = if seen.lost.contains(&path) {
                "lost"
            } else if seen.stored.contains_key(&path) {
                "stored"
            } else if let Some(bytes) = seen.incoming.remove(&path) {
                assert_eq!(object["sha256"], Sha256::of(&bytes).to_string());
                assert_eq!(object["size_bytes"], bytes.len());
                seen.order.push(path.clone());
                seen.stored.insert(path.clone(), bytes);
                "received"
            } else {
                return problem(StatusCode::UNPROCESSABLE_ENTITY, json!({"code": "digest-mismatch", "object": path}));
            };
            objects.push(json!({"path": path, "state": state}));
        }
        (StatusCode::ACCEPTED, json!({"objects": objects}).to_string()).into_response()
    })
}

fn problem(status: StatusCode, document: Value) -> Response {
    (status, [("content-type", "application/problem+json")], document.to_string()).into_response()
}

async fn heartbeat(State(server): State<Server>, body: String) -> StatusCode {
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), json!({"state": "recording"}));
    server.seen(|seen| seen.heartbeats += 1);
    StatusCode::NO_CONTENT
}

async fn end(State(server): State<Server>, body: String) -> StatusCode {
    let body = serde_json::from_str(&body).unwrap();
    server.seen(|seen| seen.ends.push((body, seen.stored.len())));
    StatusCode::ACCEPTED
}

async fn complete(State(server): State<Server>, body: String) -> String {
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), json!({"videoId": "rec"}));
    server.seen(|seen| seen.completes += 1);
    json!({"success": true, "status": "queued"}).to_string()
}

/// A proxy in front of the server that cuts connections: number n (from 0) after so many bytes from the client.
pub(crate) async fn cutting_proxy(server: SocketAddr, cuts: &[(usize, usize)]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cuts: BTreeMap<usize, usize> = cuts.iter().copied().collect();
    tokio::spawn(async move {
        for number in 0.. {
            let (client, _) = listener.accept().await.unwrap();
            let cut = cuts.get(&number).copied();
            tokio::spawn(async move { forward(client, TcpStream::connect(server).await.unwrap(), cut).await });
        }
    });
    address
}

async fn forward(client: TcpStream, server: TcpStream, cut: Option<usize>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut left = cut.unwrap_or(usize::MAX);
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read) = from_client.read(&mut buffer).await {
        let passed = read.min(left);
        if read == 0 || to_server.write_all(&buffer[..passed]).await.is_err() {
            break;
        }
        left -= passed;
        if left == 0 {
            break;
        }
    }
    if cut.is_some() {
        answers.abort();
    }
}
