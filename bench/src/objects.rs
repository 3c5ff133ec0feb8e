//! What a mux asks most of its store, answered here: looks, reads, and uploads in parts. s3s-fs hashes a whole object when
//! it is looked at, reads files four kilobytes at a time and puts parts together by reading, hashing and writing all of
//! them once more; on a machine that does everything at once that is most of what would be measured. Whoever asks gets the
//! same of it.

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use s3s::Body;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Uploads that have begun, and the tags of objects that were written elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    uploads: Mutex<HashMap<String, Arc<Upload>>>,
    tags: Mutex<HashMap<String, String>>,
    begun: AtomicU64,
}

/// An object that is written in parts, all of one length but the last.
#[derive(Debug)]
struct Upload {
    aside: PathBuf,
    file: File,
    part_bytes: AtomicU64,
}

/// What is asked of which object.
#[derive(Debug)]
pub(crate) enum Asked {
    Look,
    Read,
    Begin,
    Part(u64, String),
    Finish(String),
    GiveUp(String),
}

/// `None` for what is left to s3s-fs.
pub(crate) fn asked(method: &Method, query: &str) -> Option<Asked> {
    let field = |name: &str| {
        let mut pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    };
    match (method, field("uploadId"), field("partNumber")) {
        (&Method::HEAD, None, None) => Some(Asked::Look),
        (&Method::GET, None, None) if field("list-type").is_none() && field("uploads").is_none() => Some(Asked::Read),
        (&Method::POST, None, None) if field("uploads").is_some() => Some(Asked::Begin),
        (&Method::PUT, Some(id), Some(number)) => Some(Asked::Part(number.parse().ok()?, id)),
        (&Method::POST, Some(id), None) => Some(Asked::Finish(id)),
        (&Method::DELETE, Some(id), None) => Some(Asked::GiveUp(id)),
        _ => None,
    }
}

impl Objects {
    /// Notes the tag that somebody else gave an object.
    pub(crate) fn tagged(&self, key: &str, headers: &HeaderMap) {
        if let Some(tag) = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()) {
            locked(&self.tags).insert(key.to_owned(), tag.to_owned());
        }
    }

    /// Answers for the object `key` of the bucket in `folder`.
    pub(crate) async fn answer(
        &self,
        folder: &Path,
        key: &str,
        asked: Asked,
        request: Request<Incoming>,
    ) -> io::Result<Response<Body>> {
        let path = folder.join(key);
        match asked {
            Asked::Look => self.look(&path, key),
            Asked::Read => self.read(path, key, request.headers()).await,
            Asked::Begin => self.begin(folder, key),
            Asked::Part(number, id) => self.part(number, &id, request).await,
            Asked::Finish(id) => self.finish(&path, key, &id),
            Asked::GiveUp(id) => {
                let upload = locked(&self.uploads).remove(&id);
                upload.iter().for_each(|upload| drop(std::fs::remove_file(&upload.aside)));
                Ok(plain(StatusCode::NO_CONTENT, String::new()))
            }
        }
    }

    /// Length and tag of an object; `None` when there is none.
    fn known(&self, path: &Path, key: &str) -> Option<(u64, String)> {
        let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        let known = locked(&self.tags).get(key).cloned();
        let tag = known.unwrap_or_else(|| format!("\"{:x}-{:x}\"", metadata.ino(), metadata.len()));
        Some((metadata.len(), tag))
    }

    fn look(&self, path: &Path, key: &str) -> io::Result<Response<Body>> {
        let Some((len, tag)) = self.known(path, key) else {
            return Ok(plain(StatusCode::NOT_FOUND, String::new()));
        };
        let answer = Response::builder().header(header::ETAG, tag).header(header::CONTENT_LENGTH, len);
        answer.body(Body::empty()).map_err(io::Error::other)
    }

    async fn read(&self, path: PathBuf, key: &str, headers: &HeaderMap) -> io::Result<Response<Body>> {
        let Some((len, tag)) = self.known(&path, key) else {
            return Ok(plain(StatusCode::NOT_FOUND, failure("NoSuchKey")));
        };
        let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        if text(header::IF_MATCH).is_some_and(|wanted| wanted != tag) {
            return Ok(plain(StatusCode::PRECONDITION_FAILED, failure("PreconditionFailed")));
        }
        let ranged = text(header::RANGE).is_some();
        let range = text(header::RANGE).and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let (from, end) = match range {
            Some((from, "")) => (from.parse().unwrap_or(0), len),
            Some((from, last)) => (from.parse().unwrap_or(0), last.parse().map_or(len, |last: u64| len.min(last + 1))),
            None => (0, len),
        };
        if ranged && from >= len {
            return Ok(plain(StatusCode::RANGE_NOT_SATISFIABLE, failure("InvalidRange")));
        }
        let bytes = tokio::task::spawn_blocking(move || {
            let (mut file, mut bytes) = (File::open(path)?, vec![0; (end - from) as usize]);
            file.seek(SeekFrom::Start(from))?;
            file.read_exact(&mut bytes).map(|()| bytes)
        });
        let answer = Response::builder().header(header::ETAG, tag).header(header::CONTENT_LENGTH, end - from);
        let answer = match ranged {
            true => answer
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, format!("bytes {from}-{}/{len}", end - 1)),
            false => answer,
        };
        answer.body(Body::from(bytes.await.map_err(io::Error::other)??)).map_err(io::Error::other)
    }

    fn begin(&self, folder: &Path, key: &str) -> io::Result<Response<Body>> {
        let id = format!("upload-{}", self.begun.fetch_add(1, Ordering::Relaxed));
        let aside = folder.with_file_name(format!(".{id}"));
        let upload = Upload { file: File::create(&aside)?, aside, part_bytes: AtomicU64::new(0) };
        locked(&self.uploads).insert(id.clone(), Arc::new(upload));
        let body = format!("<Key>{key}</Key><UploadId>{id}</UploadId>");
        Ok(plain(StatusCode::OK, xml("InitiateMultipartUploadResult", &body)))
    }

    async fn part(&self, number: u64, id: &str, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let Some(upload) = locked(&self.uploads).get(id).cloned() else {
            return Ok(plain(StatusCode::NOT_FOUND, failure("NoSuchUpload")));
        };
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        // The last one is the shortest, and another one has come before it or is longer.
        let part_bytes = length.unwrap_or(0).max(upload.part_bytes.fetch_max(length.unwrap_or(0), Ordering::SeqCst));
        let (mut at, mut body) = ((number - 1) * part_bytes, request.into_body());
        while let Some(frame) = body.frame().await {
            let Ok(bytes) = frame.map_err(io::Error::other)?.into_data() else { continue };
            // Into the page cache, as fast as a copy.
            upload.file.write_all_at(&bytes, at)?;
            at += bytes.len() as u64;
        }
        let answer = Response::builder().header(header::ETAG, format!("\"part-{number}\""));
        answer.body(Body::empty()).map_err(io::Error::other)
    }

    fn finish(&self, path: &Path, key: &str, id: &str) -> io::Result<Response<Body>> {
        let Some(upload) = locked(&self.uploads).remove(id) else {
            return Ok(plain(StatusCode::NOT_FOUND, failure("NoSuchUpload")));
        };
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        std::fs::rename(&upload.aside, path)?;
        let tag = format!("\"{id}\"");
        locked(&self.tags).insert(key.to_owned(), tag.clone());
        let body = format!("<Key>{key}</Key><ETag>{tag}</ETag>");
        Ok(plain(StatusCode::OK, xml("CompleteMultipartUploadResult", &body)))
    }
}

fn locked<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn xml(root: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><{root} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{body}</{root}>"
    )
}

fn failure(code: &str) -> String {
    xml("Error", &format!("<Code>{code}</Code><Message>{code}</Message>"))
}

fn plain(status: StatusCode, text: String) -> Response<Body> {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    answer
}
