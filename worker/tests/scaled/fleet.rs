//! Several processes of each kind on one installation, and the way to them that a recorder is told.

use crate::support::api::Recording;
use crate::support::proxy::{Proxy, address_of};
use crate::support::site::SERVICE_TOKEN;
use crate::support::{Api, PATIENCE, Running, S3Server, Site, wait};
use domain::id::RecordingId;
use media::ff::segmenter::{Options, Pace};
use media::ff::synth;
use recorder::client::Endpoint;
use recorder::{Notice, Report, Session, Source, upload};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What objects are kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder.
    Folder,
    /// An S3 server, behind a wire.
    S3,
}

/// Processes over one database and one store.
pub(crate) struct Fleet {
    // Before the site, whose folder holds what they have said: a test that fails shows it when they go.
    serves: Vec<(Running, SocketAddr)>,
    works: Vec<Running>,
    pub(crate) site: Site,
    /// Leads to every `serve` in turns.
    pub(crate) front: Proxy,
    /// Between the processes and the S3 server.
    pub(crate) store: Option<Proxy>,
    s3: Option<S3Server>,
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Fleet {
    /// No process yet, and no recording.
    pub(crate) async fn new(kind: Kind) -> Fleet {
        Fleet::on(Site::new().await, kind).await
    }

    /// The same on a site that the test has made.
    pub(crate) async fn on(mut site: Site, kind: Kind) -> Fleet {
        let (mut s3, mut store) = (None, None);
        if kind == Kind::S3 {
            let server = S3Server::start().await;
            let wire = Proxy::to(&[server.address()]).await;
            for (variable, value) in server.env() {
                site.set(variable, &value);
            }
            site.set("SPOOL__STORAGE__ENDPOINT", &format!("http://{}", wire.address()));
            // What viewers fetch does not pass the wire, so that a test may count what the processes do.
            site.set("SPOOL__STORAGE__PUBLIC_ENDPOINT", &server.endpoint());
            (s3, store) = (Some(server), Some(wire));
        }
        let front = Proxy::to(&[]).await;
        Fleet { site, front, store, s3, serves: Vec::new(), works: Vec::new(), addresses: Arc::default() }
    }

    /// Starts so many processes of each kind and waits until they answer.
    pub(crate) async fn start(&mut self, serves: usize, works: usize) {
        for _ in 0..serves {
            let serve = self.serve().await;
            self.serves.push(serve);
        }
        for _ in 0..works {
            self.works.push(self.work());
        }
        self.lead();
        let registered = "SELECT count(*) FROM queue.worker";
        wait::until("every process that works is there", PATIENCE, async || {
            (self.site.count(registered, []).await >= i64::try_from(works).unwrap()).then_some(())
        })
        .await;
    }

    async fn serve(&self) -> (Running, SocketAddr) {
        let mut running = self.site.start(&["serve", "--set", "http.listen=127.0.0.1:0"]);
        let address = wait::until("the API listens", PATIENCE, async || {
            assert!(running.is_alive(), "the API has ended:\n{}", running.log());
            address_in(&running.log())
        })
        .await;
        (running, address)
    }

    fn work(&self) -> Running {
        self.site.start(&["work", "--set", "work.listen=127.0.0.1:0"])
    }

    /// Kills one process of each kind and starts another in its place; `pick` is any number.
    pub(crate) async fn replace(&mut self, pick: usize) {
        let (serve, work) = (pick % self.serves.len(), pick / self.serves.len() % self.works.len());
        self.serves[serve].0.kill();
        self.works[work].kill();
        self.works[work] = self.work();
        self.serves[serve] = self.serve().await;
        self.lead();
    }

    fn lead(&self) {
        let addresses: Vec<_> = self.serves.iter().map(|(_, address)| *address).collect();
        self.front.lead_to(&addresses);
        *self.addresses.lock().unwrap() = addresses;
    }

    /// Where each `serve` listens at this moment.
    pub(crate) fn addresses(&self) -> Arc<Mutex<Vec<SocketAddr>>> {
        Arc::clone(&self.addresses)
    }

    /// The web app's and the recorder's way in.
    pub(crate) fn api(&self) -> Api {
        Api::new(format!("http://{}", self.front.address()), SERVICE_TOKEN.to_owned())
    }

    /// Where objects lie as files.
    pub(crate) fn objects(&self) -> PathBuf {
        let folder = || self.site.variable("SPOOL__STORAGE__ROOT").into();
        self.s3.as_ref().map_or_else(folder, S3Server::objects)
    }

    /// The folder that a recorder keeps what it sends of `recording` in.
    pub(crate) fn kept(&self, recording: &Recording) -> PathBuf {
        self.site.folder().join("kept").join(&recording.id)
    }

    /// Begins to record `seconds` of a small picture with sound at the speed of the clock.
    pub(crate) fn record(&self, recording: &Recording, seconds: u64) -> Recorder {
        Recorder::start(&format!("http://{}", self.front.address()), recording, seconds, &self.kept(recording))
    }

    /// Everything that a process has said.
    pub(crate) fn logs(&self) -> String {
        let mut logs = String::new();
        for entry in std::fs::read_dir(self.site.folder()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "log") {
                logs += &std::fs::read_to_string(path).unwrap_or_default();
            }
        }
        logs
    }
}

fn address_in(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("api listens"))?;
    let (_, rest) = line.split_once("127.0.0.1:")?;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?)))
}

/// A recorder under way, which also asks for the result at its end.
pub(crate) struct Recorder {
    session: tokio::task::JoinHandle<(Report, Result<(), recorder::Error>)>,
    sent: Arc<AtomicU64>,
    retries: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    fn start(base: &str, recording: &Recording, seconds: u64, kept: &Path) -> Recorder {
        let (sent, retries) = (Arc::<AtomicU64>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (counted, told) = (Arc::clone(&sent), Arc::clone(&retries));
        let endpoint = Endpoint {
            base: base.parse().unwrap(),
            recording: RecordingId::parse(&recording.id).unwrap(),
            token: recording.upload_token.clone().into(),
        };
        let session = Session {
            source: Source::Test(synth::Config { width: 320, height: 180, ..synth::Config::default() }),
            options: Options { pace: Pace::Realtime, limit: Some(Duration::from_secs(seconds)), ..Options::default() },
            out: Some(kept.to_owned()),
            upload: Some(upload::Settings::new(endpoint)),
            complete: true,
            observer: Arc::new(move |notice| match notice {
                Notice::Sent { .. } => drop(counted.fetch_add(1, Ordering::Relaxed)),
                Notice::Retry { operation, fault, .. } => told.lock().unwrap().push(format!("{operation}: {fault}")),
                Notice::Made { .. } | Notice::SourceEnded => {}
            }),
        };
        Recorder { session: tokio::spawn(session.run()), sent, retries }
    }

    /// Objects that were acknowledged so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// What it had to try again so far, and why.
    pub(crate) fn retries(&self) -> Vec<String> {
        self.retries.lock().unwrap().clone()
    }

    /// The recording goes on.
    pub(crate) fn goes_on(&self) -> bool {
        !self.session.is_finished()
    }

    /// Waits until everything was acknowledged and the end is declared.
    pub(crate) async fn done(self) -> Report {
        let retries = Arc::clone(&self.retries);
        let (report, result) = self.session.await.unwrap();
        let told = || retries.lock().unwrap().join("\n");
        result.unwrap_or_else(|error| panic!("the recorder gave up: {error:?}\n{}", told()));
        assert!(report.declared && report.tracks.values().all(|track| track.sent == track.segments), "{report:?}");
        report
    }
}

/// `url` of a database with a wire before it.
pub(crate) async fn wired(url: &str) -> (Proxy, String) {
    let wire = Proxy::to(&[address_of(url)]).await;
    let near = wire.before(url);
    (wire, near)
}
