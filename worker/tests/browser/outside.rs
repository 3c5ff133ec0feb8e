//! What stands between a viewer and the processes in a real installation: a balancer that sends each request to another
//! one of them.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Headers that belong to one connection and are not handed on.
const OF_CONNECTION: [HeaderName; 2] = [http::header::CONNECTION, http::header::TRANSFER_ENCODING];

type Body = BoxBody<Bytes, reqwest::Error>;

/// Hands requests on to its backends in turn. Gone with the value.
#[derive(Debug)]
pub(crate) struct Balancer {
    /// Its address, for example `http://127.0.0.1:4000`.
    pub(crate) base: String,
    served: Arc<Vec<AtomicUsize>>,
    accepting: JoinHandle<()>,
}

impl Balancer {
    /// Starts one on a free port.
    pub(crate) async fn start(backends: Vec<String>) -> Balancer {
        Balancer::with(backends, None).await
    }

    /// Starts one that lets scripts of any origin read the answers, as a bucket with a rule for it does.
    pub(crate) async fn open_to_scripts(backend: String) -> Balancer {
        Balancer::with(vec![backend], Some((ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")))).await
    }

    async fn with(backends: Vec<String>, more: Option<(HeaderName, HeaderValue)>) -> Balancer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let served = Arc::new(backends.iter().map(|_| AtomicUsize::new(0)).collect::<Vec<_>>());
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let (backends, counted, turn) = (Arc::new(backends), served.clone(), Arc::new(AtomicUsize::new(0)));
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (http, backends, counted, turn) = (http.clone(), backends.clone(), counted.clone(), turn.clone());
                let more = more.clone();
                let each = service_fn(move |request| {
                    let at = turn.fetch_add(1, Ordering::Relaxed) % backends.len();
                    counted[at].fetch_add(1, Ordering::Relaxed);
                    let (http, backend, more) = (http.clone(), backends[at].clone(), more.clone());
                    async move {
                        let mut response = hand_on(&http, &backend, request).await;
                        response.headers_mut().extend(more);
                        Ok::<_, Infallible>(response)
                    }
                });
                connections
                    .spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), each));
            }
        });
        Balancer { base, served, accepting }
    }

    /// Requests that each backend got.
    pub(crate) fn served(&self) -> Vec<usize> {
        self.served.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn hand_on(http: &reqwest::Client, backend: &str, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut asked = http.request(parts.method, format!("{backend}{path}"));
    for (name, value) in parts.headers.iter().filter(|(name, _)| !OF_CONNECTION.contains(name)) {
        asked = asked.header(name, value);
    }
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let Ok(answer) = asked.body(body).send().await else { return gone() };
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers().iter().filter(|(name, _)| !OF_CONNECTION.contains(name)) {
        response = response.header(name, value);
    }
    response.body(StreamBody::new(answer.bytes_stream().map_ok(Frame::data)).boxed()).unwrap()
}

fn gone() -> Response<Body> {
    let body = Empty::new().map_err(|never: Infallible| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
