//! Opens the store that the settings name, with its layers.

use super::folder::{Folder, LOCK};
use super::presign::Presigner;
use super::timing::Watch;
use super::{Error, Faults, Op, Place, Store};
use crate::secret::Secret;
use opendal::layers::{RetryLayer, TimeoutLayer};
use opendal::{HttpTransporter, Operator, services};
use opendal_http_transport_reqwest::ReqwestTransport;
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, StaticCredentialProvider};
use reqsign_core::ProvideCredentialChain;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Folder inside the root where objects are written before they are renamed. An id never begins with a dot, so no key
/// lies in it; inside the root, so that both are on one file system.
pub(super) const ASIDE: &str = ".aside/";

/// What a process that died left aside is removed after this; nothing takes that long to write.
const ASIDE_AGE_MAX: Duration = Duration::from_secs(48 * 3600);

/// Longest step in writing a large object. Its last one makes the whole of it durable: a slow disk takes a minute for
/// what lies in memory of a result of some gigabytes, and a server that puts as many parts together no less.
const LARGE_MAX: Duration = Duration::from_secs(120);

/// Settings of the object store; see `config.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which kind of store.
    pub service: Service,
    /// Folder, or prefix inside the bucket.
    pub root: String,
    /// Bucket.
    pub bucket: String,
    /// Address of the server as Spool reaches it.
    pub endpoint: String,
    /// Address of the server as clients reach it.
    pub public_endpoint: String,
    /// Where the bucket's name stands in a request.
    pub addressing: Addressing,
    /// Region.
    pub region: String,
    /// Where the keys come from.
    pub identity: Identity,
    /// Who.
    pub access_key_id: Secret,
    /// Proof.
    pub secret_access_key: Secret,
    /// Tries of one request to a server.
    pub tries_max: u32,
    /// Longest try of a look at an object.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Longest read or write of one piece, and of all tries of one request together.
    #[serde(with = "humantime_serde")]
    pub io_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service: Service::Fs,
            root: "data/objects".to_owned(),
            bucket: String::new(),
            endpoint: String::new(),
            public_endpoint: String::new(),
            addressing: Addressing::Auto,
            region: "us-east-1".to_owned(),
            identity: Identity::Keys,
            access_key_id: Secret::default(),
            secret_access_key: Secret::default(),
            tries_max: 3,
            timeout: Duration::from_secs(3),
            io_timeout: Duration::from_secs(10),
        }
    }
}

/// Kind of object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// A folder.
    Fs,
    /// An S3-compatible server.
    S3,
    /// Memory of this process; for tests.
    Memory,
}

/// Where the bucket's name stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Addressing {
    /// In the host's name for AWS, in the path for any other server.
    Auto,
    /// In the path.
    Path,
    /// In the host's name.
    Virtual,
}

/// Where the keys come from that requests are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Identity {
    /// The two settings.
    Keys,
    /// The machine: variables and profile of AWS, a token of a web identity, the metadata service.
    Machine,
}

impl Config {
    /// Where the bucket's name stands, decided. A server of one's own often has one name and one certificate, so its
    /// buckets stand in the path; AWS wants them in the host's name, where one with a dot fits no certificate.
    pub(super) fn addressing(&self) -> Addressing {
        match self.addressing {
            Addressing::Auto if self.endpoint.is_empty() && !self.bucket.contains('.') => Addressing::Virtual,
            Addressing::Auto => Addressing::Path,
            decided @ (Addressing::Path | Addressing::Virtual) => decided,
        }
    }

    /// The prefix inside the bucket, without `/` at its ends. The default root is a folder's and no prefix.
    pub(super) fn bucket_root(&self) -> Option<&str> {
        let root = self.root.trim_matches('/');
        (!root.is_empty() && self.root != Config::default().root).then_some(root)
    }
}

/// What the store's client and the signer of URLs both sign with. With keys in the settings nothing else is asked, so
/// that neither a developer's profile nor a machine's metadata service slips in.
pub(super) fn credentials(config: &Config) -> ProvideCredentialChain<Credential> {
    let chain = ProvideCredentialChain::new();
    match config.identity {
        Identity::Keys => {
            let (id, secret) = (config.access_key_id.expose(), config.secret_access_key.expose());
            chain.push(StaticCredentialProvider::new(id, secret))
        }
        // A person's sign-in and a program that prints keys are no identity of a machine.
        Identity::Machine => chain.push(DefaultCredentialProvider::builder().no_sso().no_process().build()),
    }
}

pub(super) async fn open(config: &Config, faults: Option<&Faults>) -> Result<Store, Error> {
    let timeout = TimeoutLayer::new().with_timeout(config.timeout).with_io_timeout(config.io_timeout);
    let patient = timeout.clone().with_io_timeout(config.io_timeout.max(LARGE_MAX));
    let refused = |source| Error::Refused { op: Op::Open, key: config.root.clone(), source: Box::new(source) };
    let patience = config.io_timeout;
    let bare = |op: Operator| match faults {
        Some(faults) => op.layer(faults.clone()),
        None => op,
    };
    match config.service {
        Service::Fs => {
            let root = folder(Path::new(&config.root)).await?;
            let builder = services::Fs::default()
                .root(&root.to_string_lossy())
                .atomic_write_dir(&root.join(ASIDE).to_string_lossy());
            // No retries in a folder: a write that was cut in the middle cannot be repeated on the same file.
            let op = bare(Operator::new(builder).map_err(refused)?);
            Ok(Store {
                large: op.clone().layer(patient),
                op: op.layer(timeout),
                place: Place::Folder(Folder::new(root)),
                patience,
                watch: Watch::default(),
            })
        }
        Service::S3 => {
            // The HTTP client takes the process's provider of cryptography; another part may have set it before.
            let _ = rustls::crypto::ring::default_provider().install_default();
            // Without its default features the store has no HTTP client of its own; the first one handed in wins.
            HttpTransporter::install_default(ReqwestTransport::default());
            // Timeout inside retry: each try has its own. And one around them: who waits for the store waits no longer
            // than for one slow piece, however many tries that were.
            let retry = RetryLayer::new().with_jitter().with_max_times(config.tries_max.saturating_sub(1) as usize);
            let retry = retry.with_min_delay(Duration::from_millis(100)).with_max_delay(Duration::from_millis(500));
            let op = bare(Operator::new(s3(config)).map_err(refused)?);
            let around = timeout.clone().with_timeout(config.timeout.max(config.io_timeout));
            let large = op.clone().layer(patient.clone()).layer(retry.clone()).layer(patient);
            let place = Place::Bucket(Arc::new(Presigner::new(config)));
            Ok(Store {
                large,
                op: op.layer(timeout).layer(retry).layer(around),
                place,
                patience,
                watch: Watch::default(),
            })
        }
        Service::Memory => {
            let op = bare(Operator::new(services::Memory::default()).map_err(refused)?);
            Ok(Store {
                large: op.clone().layer(patient),
                op: op.layer(timeout),
                place: Place::Memory,
                patience,
                watch: Watch::default(),
            })
        }
    }
}

fn s3(config: &Config) -> services::S3 {
    // Nothing is taken from the environment behind the settings' back, an address least of all.
    let mut builder = services::S3::default().bucket(&config.bucket).region(&config.region).disable_config_load();
    builder = builder.credential_provider_chain(credentials(config));
    if let Some(root) = config.bucket_root() {
        builder = builder.root(root);
    }
    if !config.endpoint.is_empty() {
        builder = builder.endpoint(&config.endpoint);
    }
    match config.addressing() {
        Addressing::Virtual => builder.enable_virtual_host_style(),
        Addressing::Auto | Addressing::Path => builder,
    }
}

/// Makes the folder and takes away what dead processes left aside.
async fn folder(root: &Path) -> Result<PathBuf, Error> {
    let away = |source: std::io::Error| Error::of_io(Op::Open, &root.to_string_lossy(), source);
    let aside = root.join(ASIDE);
    tokio::fs::create_dir_all(&aside).await.map_err(away)?;
    let mut left = tokio::fs::read_dir(&aside).await.map_err(away)?;
    while let Some(entry) = left.next_entry().await.map_err(away)? {
        let modified = entry.metadata().await.and_then(|meta| meta.modified());
        let old = modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ASIDE_AGE_MAX));
        // Another process may take it away at the same moment.
        if old
            && entry.file_name() != LOCK
            && let Err(error) = tokio::fs::remove_file(entry.path()).await
        {
            tracing::debug!(error = %error, "old file aside not removed");
        }
    }
    tokio::fs::canonicalize(root).await.map_err(away)
}
