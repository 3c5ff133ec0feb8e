//! The way of segments to the server: per track in the order of index, a few at a time, until each is acknowledged.
//!
//! Owns every repetition: an attempt that met a fault is made again with back-off, an answer ends the upload. What is
//! not yet acknowledged is bounded: in memory by [`Settings::memory_max_bytes`], or it lies in a folder.

use crate::client::{CallError, Client, Endpoint, Object};
use crate::direct::{self, Direct};
use crate::folder::Folder;
use crate::segment::{Body, Segment};
use crate::{Error, Notice, Observer};
use bytes::Bytes;
use domain::id::Sha256;
use domain::retry::{self, Decision, Fault, RetryPolicy};
use domain::segment::{Name, Track};
use media::ff::segmenter::Stop;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// PUTs under way at once per track, and how far one may be ahead of the oldest that is not acknowledged: viewers wait
/// for that one, so a segment that has to be tried again holds back the ones behind it.
const PARALLEL: usize = 3;

/// How often the server hears that the recording goes on.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Back-off between attempts.
const BACKOFF: RetryPolicy = RetryPolicy {
    attempts_max: u32::MAX,
    base: Duration::from_millis(250),
    // A server that comes back is noticed within half of this on average; viewers wait as long.
    cap: Duration::from_secs(15),
    uncounted: &[],
    age_max: None,
};

/// The bounds on memory and disk are counted in units of this many bytes, because a semaphore gives 32 bits at once.
const ROOM_UNIT: usize = 1024;

/// How a recording is uploaded.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to, and as whom.
    pub endpoint: Endpoint,
    /// Gives up when nothing has succeeded for this long. It counts from the end of the source, or from when it is asked
    /// to stop: until then nothing is lost by waiting, and a server that is away for hours is waited for.
    pub patience: Duration,
    /// Asked when the source is to end; one that waits for room cannot end before.
    pub stop: Stop,
    /// Unsent segments are kept here instead of in memory.
    pub keep_unsent: Option<Folder>,
    /// Bytes of unsent segments in memory; a source that is faster waits.
    pub memory_max_bytes: usize,
    /// Bytes of unsent segments in the folder; a source that is faster waits.
    pub disk_max_bytes: usize,
    /// Segments go past the server into the store, where the server can sign URLs.
    pub direct: bool,
}

impl Settings {
    /// Default settings for an endpoint.
    pub fn new(endpoint: Endpoint) -> Settings {
        let patience = Duration::from_secs(600);
        Settings {
            endpoint,
            patience,
            stop: Stop::default(),
            keep_unsent: None,
            memory_max_bytes: 64 << 20,
            // Nine hours at 4 Mbit/s.
            disk_max_bytes: 16 << 30,
            direct: false,
        }
    }
}

/// What the server has acknowledged of a track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Segments, without the initialization section.
    pub segments: u64,
    /// Bytes of segments and initialization section.
    pub bytes: u64,
}

/// An upload under way.
pub struct Upload {
    shared: Arc<Shared>,
    queues: BTreeMap<Track, mpsc::UnboundedSender<Segment>>,
    tracks: JoinSet<Result<(), Error>>,
    room: Arc<Semaphore>,
    room_units_max: u32,
    keep_unsent: Option<Folder>,
    heartbeat: JoinHandle<()>,
    failed: watch::Receiver<bool>,
}

struct Shared {
    client: Client,
    observer: Observer,
    direct: Option<Direct>,
    patience: Duration,
    stop: Stop,
    failed: watch::Sender<bool>,
    progress: Mutex<Progress>,
    retries: AtomicU64,
}

struct Progress {
    /// Also the moment from which patience counts.
    last_success: Instant,
    source_ended: bool,
    sent: BTreeMap<Track, Sent>,
}

impl Upload {
    /// Sets up the client and begins the heartbeat. Must be called inside a tokio runtime.
    pub fn start(settings: Settings, observer: Observer) -> Result<Upload, Error> {
        let bound_bytes = match settings.keep_unsent {
            Some(_) => settings.disk_max_bytes,
            None => settings.memory_max_bytes,
        };
        let units = (bound_bytes / ROOM_UNIT).clamp(1, u32::MAX as usize >> 3);
        let (failed_tx, failed) = watch::channel(false);
        let client = Client::new(settings.endpoint)?;
        let shared = Arc::new(Shared {
            direct: settings.direct.then(|| Direct::start(&client)),
            client,
            observer,
            patience: settings.patience,
            stop: settings.stop,
            failed: failed_tx,
            progress: Mutex::new(Progress { last_success: Instant::now(), source_ended: false, sent: BTreeMap::new() }),
            retries: AtomicU64::new(0),
        });
        let heartbeat = tokio::spawn(beat(shared.client.clone()));
        Ok(Upload {
            shared,
            queues: BTreeMap::new(),
            tracks: JoinSet::new(),
            room: Arc::new(Semaphore::new(units)),
            room_units_max: units as u32,
            keep_unsent: settings.keep_unsent,
            heartbeat,
            failed,
        })
    }

    /// Takes the next piece of a track: its initialization section first, then its segments by index. Waits while the
    /// bound on memory or disk is reached; fails once the upload has failed, and then [`Upload::finish`] tells why. Where there
    /// is a folder for unsent segments it is kept there also then.
    pub async fn add(&mut self, track: Track, name: Name, bytes: Bytes) -> Result<(), Stopped> {
        let size_bytes = bytes.len() as u64;
        let body = self.place(track, name, bytes).await?;
        if *self.failed.borrow() {
            return Err(Stopped);
        }
        let queue = self.queues.entry(track).or_insert_with(|| {
            let (queue, segments) = mpsc::unbounded_channel();
            self.tracks.spawn(Arc::clone(&self.shared).send_track(segments));
            queue
        });
        queue.send(Segment { track, name, size_bytes, body }).map_err(|_| Stopped)
    }

    async fn place(&mut self, track: Track, name: Name, bytes: Bytes) -> Result<Body, Stopped> {
        // A segment larger than the whole bound takes all of it, so that it passes alone instead of never.
        let units = (bytes.len().div_ceil(ROOM_UNIT) as u32).clamp(1, self.room_units_max);
        let room = Arc::clone(&self.room).acquire_many_owned(units);
        let room = tokio::select! {
            room = room => Some(room.map_err(|_| Stopped)?),
            _ = self.failed.wait_for(|failed| *failed) => None,
        };
        match (self.keep_unsent.clone(), room) {
            // What came last is kept beyond the bound rather than lost: the source ends now.
            (Some(folder), room) => {
                let written = tokio::task::spawn_blocking(move || folder.put(track, name, &bytes)).await;
                match written {
                    Ok(Ok(path)) => Ok(Body::File { path, _room: room }),
                    Ok(Err(error)) => Err(self.fail(error)),
                    Err(_) => Err(self.fail(Error::Crashed("the writer of unsent segments"))),
                }
            }
            (None, Some(room)) => Ok(Body::Memory { bytes, _room: room }),
            (None, None) => Err(Stopped),
        }
    }

    fn fail(&mut self, error: Error) -> Stopped {
        self.tracks.spawn(std::future::ready(Err(error)));
        Stopped
    }

    /// Says that nothing more is added, waits until everything is acknowledged, and declares the end when
    /// `declaration` says what was made.
    pub async fn finish(mut self, declaration: Option<Declaration>) -> (Uploaded, Result<Option<String>, Error>) {
        self.shared.lock().source_ended = true;
        self.shared.lock().last_success = Instant::now();
        self.queues.clear();
        let mut result = Ok(None);
        while let Some(done) = self.tracks.join_next().await {
            let done = done.unwrap_or(Err(Error::Crashed("an upload")));
            if let Err(error) = done
                && result.is_ok()
            {
                result = Err(error);
                self.tracks.abort_all();
            }
        }
        self.heartbeat.abort();
        if let (Ok(_), Some(declaration)) = (&result, declaration) {
            result = self.shared.declare(declaration).await;
        }
        let sent = self.shared.lock().sent.clone();
        (Uploaded { sent, retries: self.shared.retries.load(Ordering::Relaxed) }, result)
    }
}

/// The upload has failed; nothing more can be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// What was made, told to the server at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    /// Last index of each track.
    pub last_index: BTreeMap<Track, u32>,
    /// Length of the recording.
    pub duration_ms: u64,
    /// Also ask for the result.
    #[serde(skip)]
    pub complete: bool,
}

/// What has arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uploaded {
    /// By track.
    pub sent: BTreeMap<Track, Sent>,
    /// Attempts that were made again.
    pub retries: u64,
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        // Every change below is a single assignment, so what a panic leaves behind is whole.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one track. The initialization section has to be there before any segment is, so it goes alone.
    async fn send_track(self: Arc<Self>, mut segments: mpsc::UnboundedReceiver<Segment>) -> Result<(), Error> {
        let sent = async {
            let Some(init) = segments.recv().await else { return Ok(()) };
            Arc::clone(&self).send(init).await?;
            let mut running = JoinSet::new();
            let mut unacknowledged = BTreeSet::new();
            let mut next = 0_usize;
            loop {
                let oldest = unacknowledged.first().copied().unwrap_or(next);
                tokio::select! {
                    Some(done) = running.join_next() => {
                        unacknowledged.remove(&done.unwrap_or(Err(Error::Crashed("an upload")))?);
                    }
                    segment = segments.recv(), if next < oldest + PARALLEL => {
                        let Some(segment) = segment else { break };
                        let (shared, place) = (Arc::clone(&self), next);
                        running.spawn(async move { shared.send(segment).await.map(|()| place) });
                        unacknowledged.insert(place);
                        next += 1;
                    }
                }
            }
            while let Some(done) = running.join_next().await {
                done.unwrap_or(Err(Error::Crashed("an upload")))?;
            }
            Ok(())
        };
        let sent = sent.await;
        if sent.is_err() {
            self.failed.send_replace(true);
        }
        sent
    }

    async fn send(self: Arc<Self>, segment: Segment) -> Result<(), Error> {
        let bytes = segment.bytes().await?;
        let (track, name, size_bytes) = (segment.track, segment.name, segment.size_bytes);
        if !self.send_past(&segment, &bytes).await? {
            self.repeat(format!("put {segment}"), || self.client.put(track, name, bytes.clone())).await?;
        }
        segment.acknowledged().await?;
        {
            let mut progress = self.lock();
            let sent = progress.sent.entry(track).or_default();
            sent.segments += u64::from(name != Name::Init);
            sent.bytes += size_bytes;
        }
        (self.observer)(Notice::Sent { track, name, size_bytes });
        Ok(())
    }

    /// Sends a segment past the server. False when it has to go through it: it signs no URLs, the store does not take the
    /// segment, or what arrived there is not what was sent.
    async fn send_past(&self, segment: &Segment, bytes: &Bytes) -> Result<bool, Error> {
        let Some(direct) = self.direct.as_ref().filter(|direct| !direct.is_off()) else { return Ok(false) };
        let path = format!("{}/{}", segment.track, segment.name);
        let object = Object { path, size_bytes: segment.size_bytes, sha256: Sha256::of(bytes) };
        // A URL that the store refuses may have become too old while the store was away: a fresh one is fetched once.
        let mut put = false;
        for _ in 0..2 {
            let signed = match self.repeat(format!("presign {segment}"), || direct.presign(&object)).await {
                Err(Error::Refused { refusal, .. }) if refusal.code == "direct-unavailable" => {
                    direct.turn_off();
                    return Ok(false);
                }
                signed => signed?,
            };
            match self.repeat(format!("put {segment} into the store"), || direct.put(&signed, bytes.clone())).await {
                Ok(()) => put = true,
                Err(Error::Refused { refusal, .. }) if matches!(refusal.status, 400 | 403) => continue,
                Err(Error::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
            break;
        }
        if !put {
            return Ok(false);
        }
        let begun = Instant::now();
        for look in 0.. {
            match self.repeat(format!("report {segment}"), || direct.report(&object)).await {
                Ok(state) if state == "stored" => return Ok(true),
                Ok(state) if state == "received" && begun.elapsed() < direct::READ_MAX => {}
                Ok(_) => return Ok(false),
                Err(Error::Refused { refusal, .. }) if refusal.code == "digest-mismatch" => return Ok(false),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(direct::pause(look)).await;
        }
        Ok(false)
    }

    async fn declare(&self, declaration: Declaration) -> Result<Option<String>, Error> {
        let Declaration { last_index, duration_ms, complete } = declaration;
        self.repeat("declare the end".to_owned(), || self.client.end(&last_index, duration_ms)).await?;
        if !complete {
            return Ok(None);
        }
        self.repeat("complete the recording".to_owned(), || self.client.complete()).await.map(Some)
    }

    /// Makes a call until it succeeds, is answered, or patience ends. Safe because every call of the client is.
    async fn repeat<T, F>(&self, operation: String, call: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let begun = Instant::now();
        let mut attempt = 1;
        loop {
            let fault = match call().await {
                Ok(answer) => {
                    self.lock().last_success = Instant::now();
                    return Ok(answer);
                }
                Err(CallError::Refused(refusal)) => return Err(Error::Refused { operation, refusal }),
                Err(CallError::Fault(fault)) => fault,
            };
            match self.decide(begun, attempt, &fault) {
                Decision::Retry { after, .. } => {
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    let text = chain(&fault);
                    tracing::debug!(
                        operation,
                        attempt,
                        after_ms = after.as_millis() as u64,
                        error = text,
                        "trying again"
                    );
                    (self.observer)(Notice::Retry { operation: operation.clone(), attempt, after, fault: text });
                    tokio::time::sleep(after).await;
                }
                Decision::Discard | Decision::Cancelled => {
                    return Err(Error::Unreachable { operation, waited: begun.elapsed(), source: fault });
                }
            }
            attempt += 1;
        }
    }

    fn decide(&self, begun: Instant, attempt: u32, fault: &crate::client::Fault) -> Decision {
        let retry_after = fault.retry_after();
        let patient = {
            let mut progress = self.lock();
            if self.stop.asked() && !progress.source_ended {
                // A source that waits for room ends only when there is some.
                (progress.source_ended, progress.last_success) = (true, Instant::now());
            }
            !progress.source_ended
        };
        let last_success = self.lock().last_success;
        let policy = RetryPolicy { age_max: (!patient).then_some(self.patience), ..BACKOFF };
        let age = begun.elapsed().min(last_success.elapsed());
        let failure = retry::Failure { attempt, age, fault: Fault::Transient, class: "upload", retry_after };
        retry::decide(&policy, failure, rand::random())
    }
}

/// Tells the server every ten seconds that the recording goes on. A lost one costs nothing: silence has to last minutes.
async fn beat(client: Client) {
    let mut ticks = tokio::time::interval(HEARTBEAT);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match client.heartbeat().await {
            Ok(()) => {}
            Err(CallError::Fault(fault)) => tracing::debug!(error = chain(&fault), "heartbeat not delivered"),
            Err(CallError::Refused(refusal)) => tracing::warn!(error = %refusal, "heartbeat refused"),
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
