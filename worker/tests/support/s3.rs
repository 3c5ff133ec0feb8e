//! A real S3 server: s3s-fs in this process, on a folder of its own, with one pair of keys.
//!
//! It runs on threads of its own, so a test that blocks while it waits for a process starves nobody, and it is reached
//! over TCP by every process. It answers to path style (`127.0.0.1`, `localhost`) and to virtual-host style
//! (`{bucket}.localhost`). What s3s-fs does otherwise than S3 in ways that a test would see is put right in [`Served`].

use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use s3s::auth::SimpleAuth;
use s3s::dto::*;
use s3s::host::{S3Host, VirtualHost};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use worker::config::Secret;
use worker::storage::{Config, Service};

/// The only bucket.
pub const BUCKET: &str = "spool-test";
/// Who may.
pub const ACCESS_KEY_ID: &str = "AKIDOFATEST";
/// Proof of it.
pub const SECRET_ACCESS_KEY: &str = "secret-access-key-of-a-test";

/// How long a stop waits for requests under way before it cuts them.
const GRACE: Duration = Duration::from_secs(2);

/// Requests by the name of the operation, as S3 calls it: `PutObject`, `GetObject`, `HeadObject`, `ListObjectsV2`,
/// `DeleteObjects`, `CopyObject`, `CreateMultipartUpload`, `UploadPart` and so on.
type Counts = Arc<Mutex<BTreeMap<&'static str, u64>>>;

/// Length of each part that was sent, in the order of arrival.
type Parts = Arc<Mutex<Vec<u64>>>;

/// Reads under way, the most there were at once, and how long each waits.
#[derive(Debug, Default)]
struct Reads {
    under_way: AtomicU64,
    most: AtomicU64,
    wait_ms: AtomicU64,
}

impl Reads {
    async fn wait(&self) {
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(under_way, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(self.wait_ms.load(Ordering::SeqCst))).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The server. Gone with the value; its port and folder stay the same over [`S3Server::stop`] and
/// [`S3Server::start_again`].
#[derive(Debug)]
pub struct S3Server {
    folder: TempDir,
    address: SocketAddr,
    counts: Counts,
    parts: Parts,
    reads: Arc<Reads>,
    /// `None` while it is stopped.
    running: Option<Accepting>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Accepting {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl S3Server {
    /// Starts on a free port with an empty bucket.
    pub async fn start() -> S3Server {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (counts, parts) = (Counts::default(), Parts::default());
        let reads = Arc::default();
        let mut server = S3Server { folder, address, counts, parts, reads, running: None, runtime: Some(runtime) };
        server.start_again().await;
        server
    }

    /// Starts again on the same port and folder.
    pub async fn start_again(&mut self) {
        assert!(self.running.is_none(), "it runs");
        let runtime = self.runtime.as_ref().expect("a runtime until it is dropped");
        let listener = std::net::TcpListener::bind(self.address);
        // The port was ours; whoever took it in between leaves the test nothing to do.
        let listener = listener.unwrap_or_else(|error| panic!("bind {}: {error}", self.address));
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap();
        let service = service(self.folder.path(), self.counts.clone(), self.parts.clone(), self.reads.clone());
        let (stop, stopped) = oneshot::channel();
        let ended = runtime.spawn(async move {
            accept(TcpListener::from_std(listener).unwrap(), service, stopped).await;
        });
        self.running = Some(Accepting { stop, ended });
    }

    /// Takes no new connection and lets requests under way end, within two seconds. From then on the port refuses.
    pub async fn stop(&mut self) {
        let running = self.running.take().expect("it runs");
        drop(running.stop);
        running.ended.await.unwrap();
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a client's setting.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Settings of a store on it, for this process.
    pub fn config(&self) -> Config {
        Config {
            service: Service::S3,
            root: String::new(),
            bucket: BUCKET.to_owned(),
            endpoint: self.endpoint(),
            access_key_id: Secret::new(ACCESS_KEY_ID),
            secret_access_key: Secret::new(SECRET_ACCESS_KEY),
            ..Config::default()
        }
    }

    /// The same for a process that is started: variables and values.
    pub fn env(&self) -> [(&'static str, String); 6] {
        [
            ("SPOOL__STORAGE__SERVICE", "s3".to_owned()),
            ("SPOOL__STORAGE__ROOT", String::new()),
            ("SPOOL__STORAGE__BUCKET", BUCKET.to_owned()),
            ("SPOOL__STORAGE__ENDPOINT", self.endpoint()),
            ("SPOOL__STORAGE__ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("SPOOL__STORAGE__SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
        ]
    }

    /// Requests of one operation that were let in since the last [`S3Server::forget_counts`].
    pub fn count(&self, operation: &str) -> u64 {
        self.counts.lock().unwrap().get(operation).copied().unwrap_or(0)
    }

    /// All of them.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().unwrap().clone()
    }

    /// Counts from zero.
    pub fn forget_counts(&self) {
        self.counts.lock().unwrap().clear();
        self.parts.lock().unwrap().clear();
    }

    /// Lengths of the parts that were sent since the last [`S3Server::forget_counts`], in the order of arrival.
    pub fn part_sizes(&self) -> Vec<u64> {
        self.parts.lock().unwrap().clone()
    }

    /// From now on each read takes at least so long.
    pub fn slow_reads(&self, wait: Duration) {
        self.reads.wait_ms.store(u64::try_from(wait.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// The most reads that were ever under way at once.
    pub fn most_reads(&self) -> u64 {
        self.reads.most.load(Ordering::SeqCst)
    }

    /// Where the bucket's objects lie as files: for a look past the client, and for damage on purpose.
    pub fn objects(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// What uploads in parts have left: none is there once each was completed or taken back.
    pub fn unfinished_uploads(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.folder.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".upload")).collect()
    }
}

impl Drop for S3Server {
    /// A runtime must not be dropped where others run on one; this way it ends in the background.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn service(folder: &Path, counts: Counts, parts: Parts, reads: Arc<Reads>) -> S3Service {
    let files = FileSystem::new(folder).unwrap();
    let mut builder = S3ServiceBuilder::new(Served { files, folder: folder.to_owned(), counts, parts, reads });
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
    builder.set_host(Hosts);
    builder.build()
}

async fn accept(listener: TcpListener, service: S3Service, mut stopped: oneshot::Receiver<()>) {
    let open = GracefulShutdown::new();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => break,
        };
        let Ok((socket, _)) = accepted else { continue };
        let http = hyper::server::conn::http1::Builder::new();
        let connection = open.watch(http.serve_connection(TokioIo::new(socket), service.clone()));
        connections.spawn(async move { drop(connection.await) });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, open.shutdown()).await;
    connections.shutdown().await;
}

/// Path style on any port, so that a proxy may stand in between; virtual-host style below `localhost`.
struct Hosts;

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        match name.strip_suffix(".localhost") {
            Some(bucket) => Ok(VirtualHost::new("localhost").with_bucket(bucket)),
            None => Ok(VirtualHost::new(name)),
        }
    }
}

/// A request of the server to itself.
fn request<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: http::Method::GET,
        uri: http::Uri::default(),
        headers: http::HeaderMap::default(),
        extensions: http::Extensions::default(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

/// An object that has another tag than was wanted is refused.
fn refuse_other(wanted: Option<&ETagCondition>, found: Option<&ETag>) -> S3Result<()> {
    match (wanted, found) {
        (Some(ETagCondition::ETag(wanted)), Some(found)) if !wanted.strong_cmp(found) => {
            Err(s3_error!(PreconditionFailed))
        }
        _ => Ok(()),
    }
}

/// s3s-fs with five things put right: a copy appears whole, what does not match its checksum does not appear, what other
/// keys begin with is no object, a read of an object with a certain tag gets no other, and writing makes no bucket.
struct Served {
    files: FileSystem,
    folder: PathBuf,
    counts: Counts,
    parts: Parts,
    reads: Arc<Reads>,
}

impl Served {
    fn count(&self, operation: &'static str) {
        *self.counts.lock().unwrap().entry(operation).or_default() += 1;
    }
}

/// One operation after another, counted and handed on.
macro_rules! hand_on {
    ($($name:ident: $input:ident -> $output:ident, $operation:literal;)*) => {
        #[async_trait::async_trait]
        impl S3 for Served {
            $(async fn $name(&self, req: S3Request<$input>) -> S3Result<S3Response<$output>> {
                self.count($operation);
                self.refuse_unknown(&req.input.bucket)?;
                self.files.$name(req).await
            })*

            async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
                self.count("GetObject");
                self.reads.wait().await;
                self.refuse_unknown(&req.input.bucket)?;
                self.refuse_prefix(&req.input.bucket, &req.input.key)?;
                let wanted = req.input.if_match.clone();
                let got = self.files.get_object(req).await?;
                refuse_other(wanted.as_ref(), got.output.e_tag.as_ref())?;
                Ok(got)
            }

            async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
                self.count("HeadObject");
                self.refuse_unknown(&req.input.bucket)?;
                self.refuse_prefix(&req.input.bucket, &req.input.key)?;
                self.files.head_object(req).await
            }

            async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
                self.count("PutObject");
                self.refuse_unknown(&req.input.bucket)?;
                let at = self.path(&req.input.bucket, &req.input.key);
                let put = self.files.put_object(req).await;
                if put.as_ref().is_err_and(|error| *error.code() == S3ErrorCode::BadDigest) {
                    let _ = std::fs::remove_file(at);
                }
                put
            }

            async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
                self.count("UploadPart");
                self.refuse_unknown(&req.input.bucket)?;
                let size_bytes = req.input.content_length.and_then(|length| u64::try_from(length).ok());
                self.parts.lock().unwrap().push(size_bytes.unwrap_or_default());
                self.files.upload_part(req).await
            }

            async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
                self.count("CopyObject");
                self.refuse_unknown(&req.input.bucket)?;
                self.copy_whole(req).await
            }
        }
    };
}

hand_on! {
    head_bucket: HeadBucketInput -> HeadBucketOutput, "HeadBucket";
    list_objects_v2: ListObjectsV2Input -> ListObjectsV2Output, "ListObjectsV2";
    delete_object: DeleteObjectInput -> DeleteObjectOutput, "DeleteObject";
    delete_objects: DeleteObjectsInput -> DeleteObjectsOutput, "DeleteObjects";
    create_multipart_upload: CreateMultipartUploadInput -> CreateMultipartUploadOutput, "CreateMultipartUpload";
    upload_part_copy: UploadPartCopyInput -> UploadPartCopyOutput, "UploadPartCopy";
    list_parts: ListPartsInput -> ListPartsOutput, "ListParts";
    complete_multipart_upload: CompleteMultipartUploadInput -> CompleteMultipartUploadOutput, "CompleteMultipartUpload";
    abort_multipart_upload: AbortMultipartUploadInput -> AbortMultipartUploadOutput, "AbortMultipartUpload";
}

impl Served {
    /// Where an object lies; keys of ours have no part that leads out of the bucket.
    fn path(&self, bucket: &str, key: &str) -> PathBuf {
        self.folder.join(bucket).join(key)
    }

    /// No bucket is made by writing into it.
    fn refuse_unknown(&self, bucket: &str) -> S3Result<()> {
        if self.folder.join(bucket).is_dir() { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
    }

    /// What other keys begin with is no object.
    fn refuse_prefix(&self, bucket: &str, key: &str) -> S3Result<()> {
        if self.path(bucket, key).is_dir() { Err(s3_error!(NoSuchKey)) } else { Ok(()) }
    }

    /// Copies as S3 does: the object is there whole or not at all. The server's own copy writes over the target while
    /// others read it.
    async fn copy_whole(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let CopySource::Bucket { bucket, key, .. } = &req.input.copy_source else {
            return Err(s3_error!(NotImplemented));
        };
        let get = GetObjectInput { bucket: bucket.to_string(), key: key.to_string(), ..Default::default() };
        let found = self.files.get_object(request(get)).await?.output;
        refuse_other(req.input.copy_source_if_match.as_ref(), found.e_tag.as_ref())?;
        let put = PutObjectInput {
            bucket: req.input.bucket,
            key: req.input.key,
            body: found.body,
            content_length: found.content_length,
            content_type: found.content_type,
            metadata: found.metadata,
            ..Default::default()
        };
        let put = self.files.put_object(request(put)).await?.output;
        let copied = CopyObjectResult { e_tag: put.e_tag, ..Default::default() };
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(copied), ..Default::default() }))
    }
}
