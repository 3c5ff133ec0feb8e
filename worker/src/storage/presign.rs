//! URLs that carry their own permission: one method, one object, one length, until a moment.
//!
//! Signed here with the signer that the store's client uses too, because that client cannot sign a length: whoever holds
//! a URL for writing may then write 5 GiB. A signature is a secret until it expires, so no URL is logged or shown by
//! `Debug`.

use super::open::{Addressing, Config, credentials};
use super::{Error, Op};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use domain::id::Sha256;
use http::request::Parts;
use http::{HeaderValue, Method, Request, header};
use opendal::HttpTransporter;
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::{Context, FileRead, OsEnv, Signer};
use std::fmt;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The header in which a server that knows it finds the SHA-256 of the body, checks it, and refuses another body.
const CHECKSUM: &str = "x-amz-checksum-sha256";

/// Longest life of a signature that S3 takes.
pub(crate) const TTL_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Life of a signature where the credentials do not last for a longer one. A machine's are not renewed at will: they come
/// from a service that hands out the same ones until, five minutes at least before their end, it has new ones.
const SHORT_TTL: Duration = Duration::from_secs(240);

/// After this a longer life is tried again; each try asks that service.
const TRY_LONGER: Duration = Duration::from_secs(60);

/// A request that whoever holds it may make once or often until it expires.
#[derive(Clone, PartialEq, Eq)]
pub struct Presigned {
    /// `GET` or `PUT`.
    pub method: Method,
    /// Where; the signature is in it.
    pub url: String,
    /// Headers that the request must have exactly so, in lower case: they are signed too.
    pub headers: Vec<(String, String)>,
    /// Refused from then on, by the server's clock.
    pub expires_at: DateTime<Utc>,
    /// How long it lives from its signature on: no longer than the credentials that it was made with.
    pub lives_for: Duration,
}

impl fmt::Debug for Presigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, expires_at) = (&self.method, &self.expires_at);
        f.debug_struct("Presigned").field("method", method).field("expires_at", expires_at).finish_non_exhaustive()
    }
}

/// Signs URLs for one bucket, as clients reach it.
#[derive(Debug)]
pub(super) struct Presigner {
    /// Scheme, host and path up to the prefix of every key.
    base: String,
    signer: Signer<Credential>,
    /// Loading credentials may ask a server.
    timeout: Duration,
    /// When the credentials last did not last.
    short_since: Mutex<Option<Instant>>,
}

impl Presigner {
    pub(super) fn new(config: &Config) -> Self {
        let public = if config.public_endpoint.is_empty() { &config.endpoint } else { &config.public_endpoint };
        let context = Context::new().with_file_read(Files).with_http_send(HttpTransporter::default()).with_env(OsEnv);
        let signer = Signer::new(context, credentials(config), RequestSigner::new("s3", &config.region));
        Self { base: base(public, config), signer, timeout: config.timeout, short_since: Mutex::default() }
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> &str {
        let host_at = self.base.find("://").map_or(0, |at| at + 3);
        let end = self.base[host_at..].find('/').map_or(self.base.len(), |at| host_at + at);
        &self.base[..end]
    }

    pub(super) async fn get(&self, key: &str, ttl: Duration) -> Result<Presigned, Error> {
        // Parts of a recording are written without a type by whoever uploads them, and a player wants one.
        let query = content_type(key).map(|mime| format!("?response-content-type={}", encoded(mime, "")));
        let url = format!("{}{}{}", self.base, encoded(key, "/"), query.unwrap_or_default());
        self.sign(key, Request::get(url), ttl).await
    }

    pub(super) async fn put(
        &self,
        key: &str,
        size_bytes: u64,
        sha256: Option<Sha256>,
        ttl: Duration,
    ) -> Result<Presigned, Error> {
        let mut request = Request::put(format!("{}{}", self.base, encoded(key, "/")));
        request = request.header(header::CONTENT_LENGTH, size_bytes);
        if let Some(sha256) = sha256 {
            request = request.header(CHECKSUM, STANDARD.encode(sha256.0));
        }
        self.sign(key, request, ttl).await
    }

    async fn sign(&self, key: &str, request: http::request::Builder, ttl: Duration) -> Result<Presigned, Error> {
        let refused = |source: Box<dyn std::error::Error + Send + Sync>| Error::Refused {
            op: Op::Presign,
            key: key.to_owned(),
            source,
        };
        let (mut parts, ()) = request.body(()).map_err(|source| refused(Box::new(source)))?.into_parts();
        let signed = tokio::time::timeout(self.timeout, self.sign_for(&mut parts, ttl));
        // No credentials now may be credentials in a minute: a machine's identity comes from a server.
        let away = |source: Box<dyn std::error::Error + Send + Sync>| Error::Unavailable {
            op: Op::Presign,
            key: key.to_owned(),
            source,
        };
        let signed = signed.await.map_err(|source| away(Box::new(source)))?;
        let lives_for = signed.map_err(|source| away(Box::new(source)))?;
        let expires_at = signed_at(&parts).and_then(|at| at.checked_add_signed(TimeDelta::from_std(lives_for).ok()?));
        let expires_at = expires_at.ok_or_else(|| refused("the signature has no date".into()))?;
        // Every client sets it by itself, from the URL.
        parts.headers.remove(header::HOST);
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
        let headers = parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        Ok(Presigned { method: parts.method, url: parts.uri.to_string(), headers, expires_at, lives_for })
    }

    /// Signs for `ttl`, or for less where the credentials do not last for it. Says for how long.
    async fn sign_for(&self, parts: &mut Parts, ttl: Duration) -> reqsign_core::Result<Duration> {
        let short = ttl.min(SHORT_TTL);
        let since = *self.short_since.lock().unwrap_or_else(PoisonError::into_inner);
        if since.is_none_or(|since| since.elapsed() > TRY_LONGER) {
            match self.signer.sign(parts, Some(ttl)).await {
                Ok(()) => return Ok(ttl),
                Err(error) if short == ttl => return Err(error),
                // What was not signed is unchanged.
                Err(_) => {}
            }
        }
        self.signer.sign(parts, Some(short)).await?;
        if since.is_none_or(|since| since.elapsed() > TRY_LONGER) {
            *self.short_since.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        Ok(short)
    }
}

/// When it was signed, by the clock that the signer asked.
fn signed_at(parts: &Parts) -> Option<DateTime<Utc>> {
    let mut pairs = parts.uri.query()?.split('&');
    let date = pairs.find_map(|pair| pair.strip_prefix("X-Amz-Date="))?;
    NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ").ok().map(|at| at.and_utc())
}

/// Everything of a URL that stands before the key.
fn base(endpoint: &str, config: &Config) -> String {
    let aws = format!("https://s3.{}.amazonaws.com", config.region);
    let endpoint = if endpoint.is_empty() { &aws } else { endpoint.trim_end_matches('/') };
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("https", endpoint));
    let (host, path) = rest.split_once('/').map_or((rest, String::new()), |(host, path)| (host, format!("/{path}")));
    // A client leaves the scheme's own port out of the host it names, and the host is signed.
    let own_port = if scheme == "http" { ":80" } else { ":443" };
    let host = host.strip_suffix(own_port).unwrap_or(host);
    let bucket = &config.bucket;
    let mut base = match config.addressing() {
        Addressing::Virtual => format!("{scheme}://{bucket}.{host}{path}/"),
        Addressing::Auto | Addressing::Path => format!("{scheme}://{host}{path}/{bucket}/"),
    };
    if let Some(root) = config.bucket_root() {
        let _ = write!(base, "{}/", encoded(root, "/"));
    }
    base
}

/// Percent-encoded as the signature wants it: everything but unreserved characters and those
/// that are `kept`.
fn encoded(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte as char),
            _ if kept.as_bytes().contains(&byte) => encoded.push(byte as char),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// What an object is, by the end of its key.
fn content_type(key: &str) -> Option<&'static str> {
    match key.rsplit_once('.')?.1 {
        "mp4" | "m4s" => Some("video/mp4"),
        "json" => Some("application/json"),
        "jpg" => Some("image/jpeg"),
        "gif" => Some("image/gif"),
        _ => None,
    }
}

/// Reads the file that holds a machine's token.
#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> reqsign_core::Result<Vec<u8>> {
        tokio::fs::read(path)
            .await
            .map_err(|source| reqsign_core::Error::unexpected("read a file of credentials").with_source(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqsign_core::ProvideCredential;
    use reqsign_core::time::Timestamp;

    #[track_caller]
    fn check(change: fn(&mut Config), expected: &str) {
        let mut config = Config { bucket: "b".to_owned(), ..Config::default() };
        change(&mut config);
        let public = if config.public_endpoint.is_empty() { &config.endpoint } else { &config.public_endpoint };
        assert_eq!(base(public, &config), expected);
    }

    #[test]
    fn base_is_what_a_client_asks() {
        check(|c| c.region = "eu-north-1".into(), "https://b.s3.eu-north-1.amazonaws.com/");
        check(|c| c.bucket = "with.dots".into(), "https://s3.us-east-1.amazonaws.com/with.dots/");
        check(|c| c.addressing = Addressing::Path, "https://s3.us-east-1.amazonaws.com/b/");
        check(|c| c.endpoint = "http://10.0.0.1:9000/".into(), "http://10.0.0.1:9000/b/");
        check(|c| c.endpoint = "s3.example.com:443".into(), "https://s3.example.com/b/");
        check(|c| c.endpoint = "http://s3.example.com:80/behind/it/".into(), "http://s3.example.com/behind/it/b/");
        let both: fn(&mut Config) = |c| {
            c.endpoint = "http://minio:9000".into();
            c.public_endpoint = "https://s3.example.com".into();
            c.addressing = Addressing::Virtual;
            c.root = "/some prefix/".into();
        };
        check(both, "https://b.s3.example.com/some%20prefix/");
    }

    #[test]
    fn origin_is_the_base_without_its_path() {
        let origin = |endpoint: &str| {
            let endpoint = endpoint.to_owned();
            Presigner::new(&Config { bucket: "b".to_owned(), endpoint, ..Config::default() }).origin().to_owned()
        };
        assert_eq!(origin(""), "https://b.s3.us-east-1.amazonaws.com");
        assert_eq!(origin("http://10.0.0.1:9000/behind/it"), "http://10.0.0.1:9000");
    }

    #[test]
    fn debug_shows_no_signature() {
        let presigned = Presigned {
            method: Method::GET,
            url: "https://h/k?X-Amz-Signature=hunter2".to_owned(),
            headers: Vec::new(),
            expires_at: DateTime::UNIX_EPOCH,
            lives_for: Duration::ZERO,
        };
        assert!(!format!("{presigned:?}").contains("hunter2"));
    }

    /// Hands out the same credentials until they end, as a machine's service does.
    #[derive(Debug)]
    struct Machine(Timestamp);

    impl ProvideCredential for Machine {
        type Credential = Credential;

        async fn provide_credential(&self, _: &Context) -> reqsign_core::Result<Option<Credential>> {
            let (access_key_id, secret_access_key) = ("id".to_owned(), "secret".to_owned());
            let session_token = Some("session".to_owned());
            Ok(Some(Credential { access_key_id, secret_access_key, session_token, expires_in: Some(self.0) }))
        }
    }

    #[tokio::test]
    async fn signature_lives_no_longer_than_credentials_that_are_not_renewed() {
        let ttl = Duration::from_secs(1800);
        for (left_s, expected) in [(7200, ttl), (600, SHORT_TTL)] {
            let mut presigner = Presigner::new(&Config { bucket: "b".to_owned(), ..Config::default() });
            let machine = Machine(Timestamp::now() + Duration::from_secs(left_s));
            presigner.signer = Signer::new(Context::new(), machine, RequestSigner::new("s3", "us-east-1"));
            for _ in 0..2 {
                let presigned = presigner.get("k", ttl).await.unwrap();
                assert_eq!(presigned.lives_for, expected);
                assert!(presigned.url.contains(&format!("X-Amz-Expires={}&", expected.as_secs())), "{}", presigned.url);
            }
        }
    }
}
