//! An S3 server on loopback that counts what is asked of it and can be made slow: s3s-fs on a folder of its own, but for
//! what it is slow in ([`crate::objects`], [`crate::listing`]).

use crate::listing::Listings;
use crate::objects::{self, Objects};
use anyhow::Result;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// The only bucket.
pub(crate) const BUCKET: &str = "spool-bench";
/// Who may.
pub(crate) const ACCESS_KEY_ID: &str = "AKIDOFABENCH";
/// Proof of it.
pub(crate) const SECRET_ACCESS_KEY: &str = "secret-access-key-of-a-bench";

/// The server. It runs on threads of the runtime that started it.
#[derive(Debug)]
pub(crate) struct Server {
    folder: PathBuf,
    address: SocketAddr,
    traffic: Arc<Traffic>,
}

/// What was asked since the last look, and how slow the answers are.
#[derive(Debug, Default)]
struct Traffic {
    /// Where the bucket's objects lie as files.
    folder: PathBuf,
    listings: Listings,
    objects: Objects,
    delay_ms: AtomicU64,
    gets: AtomicU64,
    others: AtomicU64,
    sent_bytes: AtomicU64,
    taken_bytes: AtomicU64,
}

/// What was asked in some time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    /// Reads of objects.
    pub(crate) gets: u64,
    /// Every other request.
    pub(crate) others: u64,
    /// Bytes of objects that were read.
    pub(crate) sent_bytes: u64,
    /// Bytes of objects that were written.
    pub(crate) taken_bytes: u64,
}

impl Server {
    /// Starts on a free port with an empty bucket below `folder`.
    pub(crate) async fn start(folder: &Path) -> Result<Server> {
        std::fs::create_dir_all(folder.join(BUCKET))?;
        let files = FileSystem::new(folder).map_err(|error| anyhow::anyhow!("open the server's folder: {error:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let traffic = Arc::new(Traffic { folder: folder.join(BUCKET), ..Traffic::default() });
        tokio::spawn(accept(listener, builder.build(), traffic.clone()));
        Ok(Server { folder: folder.to_owned(), address, traffic })
    }

    /// Its address as a client's setting.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the bucket's objects lie as files.
    pub(crate) fn objects(&self) -> PathBuf {
        self.folder.join(BUCKET)
    }

    /// Every read of an object waits so long before it is answered.
    pub(crate) fn delay(&self, delay: Duration) {
        self.traffic.delay_ms.store(delay.as_millis() as u64, Ordering::Relaxed);
    }

    /// What was asked since the last call.
    pub(crate) fn asked(&self) -> Asked {
        let take = |number: &AtomicU64| number.swap(0, Ordering::Relaxed);
        let Traffic { gets, others, sent_bytes, taken_bytes, .. } = &*self.traffic;
        Asked { gets: take(gets), others: take(others), sent_bytes: take(sent_bytes), taken_bytes: take(taken_bytes) }
    }
}

async fn accept(listener: TcpListener, service: S3Service, traffic: Arc<Traffic>) {
    while let Ok((socket, _)) = listener.accept().await {
        let _ = socket.set_nodelay(true);
        let (service, traffic) = (service.clone(), traffic.clone());
        let answer = service_fn(move |request| answer(service.clone(), traffic.clone(), request));
        tokio::spawn(async move {
            let http = hyper::server::conn::http1::Builder::new();
            // A client that hangs up is no concern of the server.
            drop(http.serve_connection(TokioIo::new(socket), answer).await);
        });
    }
}

async fn answer(
    service: S3Service,
    traffic: Arc<Traffic>,
    request: http::Request<Incoming>,
) -> Result<http::Response<s3s::Body>, s3s::HttpError> {
    let length = |headers: &http::HeaderMap| {
        let value = headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    };
    // A listing is a read too, but of the bucket.
    let listing = request.method() == http::Method::GET && request.uri().query().unwrap_or("").contains("list-type");
    let get = request.method() == http::Method::GET && !listing;
    let taken: u64 = length(request.headers());
    if listing && let Some(page) = traffic.listings.page(&traffic.folder, request.uri().query().unwrap_or("")) {
        traffic.others.fetch_add(1, Ordering::Relaxed);
        let answer = http::Response::builder().header(http::header::CONTENT_TYPE, "application/xml");
        return Ok(answer.body(s3s::Body::from(page)).expect("a page is an answer"));
    }
    if get {
        traffic.gets.fetch_add(1, Ordering::Relaxed);
        let delay_ms = traffic.delay_ms.load(Ordering::Relaxed);
        if delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
        }
    } else {
        traffic.others.fetch_add(1, Ordering::Relaxed);
        traffic.taken_bytes.fetch_add(taken, Ordering::Relaxed);
    }
    let (uri, put) = (request.uri().clone(), request.method() == http::Method::PUT);
    let key = uri.path().strip_prefix('/').and_then(|path| path.strip_prefix(BUCKET)?.strip_prefix('/'));
    let response = match (key, objects::asked(request.method(), uri.query().unwrap_or(""))) {
        (Some(key), Some(asked)) => {
            let answer = traffic.objects.answer(&traffic.folder, key, asked, request).await;
            answer.unwrap_or_else(|error| {
                eprintln!("{key}: {error}");
                let mut failed = http::Response::new(s3s::Body::empty());
                *failed.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                failed
            })
        }
        _ => hyper::service::Service::call(&service, request).await?,
    };
    if let (true, Some(key)) = (put, key) {
        traffic.objects.tagged(key, response.headers());
    }
    if get {
        traffic.sent_bytes.fetch_add(length(response.headers()), Ordering::Relaxed);
    }
    Ok(response)
}
