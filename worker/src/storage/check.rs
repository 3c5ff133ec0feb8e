//! The self-test: every operation once, on objects of its own, so that a wrong setting or a missing right shows at start
//! and not at the first segment.

use super::{Error, Meta, Op, Presigned, Store};
use bytes::Bytes;
use domain::id::Sha256;
use std::time::Duration;

/// What is written, read and compared.
const BYTES: &[u8] = b"spool";

/// Least length of a part that is not the last, as S3 wants it.
const PART_BYTES: usize = 5 << 20;

/// A URL of the self-test is used at once.
const TTL: Duration = Duration::from_secs(60);

/// Longest request to the public address.
const PUBLIC_TIMEOUT: Duration = Duration::from_secs(10);

/// What the self-test found of a store in which everything works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// It wrote over an object although it was told not to. No correctness rests on it; it is an early sign of a server
    /// that takes what it does not know for done.
    pub ignores_conditions: bool,
    /// It gives URLs that carry their own permission.
    pub presigns: bool,
}

impl Store {
    /// Writes, finds, reads, copies and deletes objects of its own, and presigns where the store can.
    ///
    /// # Errors
    /// The first step that fails, or [`Error::Broken`] when the store said it did what it did not.
    pub async fn check(&self) -> Result<Checked, Error> {
        let probe = Probe::new(self);
        probe.end(probe.steps().await).await
    }

    /// The same, and what takes longer: an object in several parts, and presigned URLs through the address that clients
    /// reach.
    ///
    /// # Errors
    /// As [`Store::check`]; [`Error::Public`] when the public address does not do what the internal one does.
    pub async fn check_all(&self) -> Result<Checked, Error> {
        let probe = Probe::new(self);
        let all = async {
            let checked = probe.steps().await?;
            probe.parts().await?;
            if checked.presigns {
                probe.public().await?;
            }
            Ok(checked)
        };
        probe.end(all.await).await
    }
}

/// One run with keys of its own, so that processes that start together do not meet.
struct Probe<'a> {
    store: &'a Store,
    prefix: String,
}

impl Probe<'_> {
    fn new(store: &Store) -> Probe<'_> {
        Probe { store, prefix: format!(".probe/{}/", uuid::Uuid::new_v4()) }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn expect(&self, holds: bool, what: &'static str) -> Result<(), Error> {
        if holds { Ok(()) } else { Err(Error::Broken { key: self.prefix.clone(), what }) }
    }

    async fn steps(&self) -> Result<Checked, Error> {
        let (store, key, copy) = (self.store, self.key("object"), self.key("copy"));
        store.put(&key, Bytes::from_static(BYTES)).await?;
        let again = store.op.write_with(&key, BYTES).if_not_exists(true).await;
        self.expect(store.get(&key).await? == BYTES, "an object is read otherwise than it was written")?;
        self.expect(store.get_range(&key, 1..4).await? == BYTES[1..4], "a range is another one than was asked for")?;
        let size_is = |meta: Option<Meta>| meta.is_some_and(|meta| meta.size_bytes == BYTES.len() as u64);
        self.expect(size_is(store.stat(&key).await?), "an object has another length than was written")?;
        store.copy(&key, &copy).await?;
        self.expect(store.get(&copy).await? == BYTES, "a copy is not what was copied")?;
        let mut listed: Vec<String> = store.list(&self.prefix).await?.all().await?.into_iter().map(|l| l.key).collect();
        listed.sort();
        self.expect(listed == [copy.as_str(), key.as_str()], "a listing does not show what was written")?;
        store.delete(std::slice::from_ref(&copy)).await?;
        self.expect(store.stat(&copy).await?.is_none(), "an object is there after it was deleted")?;
        let presigned = store.presign_get(&key, TTL).await?;
        Ok(Checked { ignores_conditions: again.is_ok(), presigns: presigned.is_some() })
    }

    async fn parts(&self) -> Result<(), Error> {
        let (key, bytes) = (self.key("parts"), Bytes::from(vec![0x5a; PART_BYTES]));
        let mut writer = self.store.writer(&key, PART_BYTES).await?;
        writer.write(bytes.clone()).await?;
        writer.write(Bytes::from_static(BYTES)).await?;
        writer.close().await?;
        let end = PART_BYTES as u64;
        let last = self.store.get_range(&key, end - 1..end + BYTES.len() as u64).await?;
        self.expect(last[0] == 0x5a && last[1..] == *BYTES, "an object in parts is not what was written")
    }

    /// Writes and reads as a recorder and a viewer would.
    async fn public(&self) -> Result<(), Error> {
        let key = self.key("presigned");
        let put = self.store.presign_put(&key, BYTES.len() as u64, Some(Sha256::of(BYTES)), TTL).await?;
        let get = self.store.presign_get(&key, TTL).await?;
        let (Some(put), Some(get)) = (put, get) else { return Ok(()) };
        self.ask(&put, Some(BYTES)).await?;
        let read = self.ask(&get, None).await?;
        self.expect(read == BYTES, "what was written through a presigned URL is read otherwise")
    }

    async fn ask(&self, presigned: &Presigned, body: Option<&'static [u8]>) -> Result<Bytes, Error> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Public {
            method: presigned.method.to_string(),
            key: self.prefix.clone(),
            source,
        };
        // The URL is a secret as long as it lives, so no error may carry it.
        let http = |source: reqwest::Error| failed(Box::new(source.without_url()));
        let mut request = reqwest::Client::new().request(presigned.method.clone(), &presigned.url);
        for (name, value) in &presigned.headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.timeout(PUBLIC_TIMEOUT).send().await.map_err(http)?;
        let status = answer.status();
        if status.is_success() { answer.bytes().await.map_err(http) } else { Err(failed(status.to_string().into())) }
    }

    /// Takes away what is left, whatever happened before.
    async fn end(&self, outcome: Result<Checked, Error>) -> Result<Checked, Error> {
        let keys = ["object", "copy", "parts", "presigned"].map(|name| self.key(name));
        let deleted = self.store.delete(&keys).await;
        let checked = outcome?;
        deleted?;
        let left = self.store.list(&self.prefix).await?.page(1).await?;
        if left.is_empty() {
            Ok(checked)
        } else {
            Err(Error::Broken { key: self.prefix.clone(), what: "an object is listed after it was deleted" })
        }
    }
}

impl Error {
    /// What a person can do about it, where the settings or the rights are the likely cause.
    pub fn cure(&self) -> &'static str {
        match self {
            Error::NoBucket { .. } => "make the bucket, or correct storage.bucket, storage.endpoint or storage.region",
            Error::Refused { op: Op::Open, .. } => "see the section [storage] of config.toml",
            Error::Refused { .. } => {
                "correct SPOOL__STORAGE__ACCESS_KEY_ID and SPOOL__STORAGE__SECRET_ACCESS_KEY, give them the right to get, \
                 put, list and delete, and look at this machine's clock; in a folder: give this user the right to write"
            }
            Error::Unavailable { .. } => {
                "start the store, or correct storage.endpoint (in a folder: storage.root, or the disk is full); with \
                 storage.identity = \"machine\" see whether this machine has credentials"
            }
            Error::Public { .. } => {
                "storage.public_endpoint must reach the same bucket, and whatever stands in between must leave host, path \
                 and query as they are"
            }
            Error::NotFound { .. }
            | Error::Short { .. }
            | Error::Changed { .. }
            | Error::Source { .. }
            | Error::Broken { .. } => {
                "the store lost or changed what was written: look at its log, and whether something else writes there"
            }
        }
    }
}
