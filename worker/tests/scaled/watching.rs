//! What viewers and other readers see all the while: playlists that only grow, segments behind every line of them, and a
//! manifest that never goes back.

use crate::fleet::Fleet;
use crate::support::api::Recording;
use crate::support::{PATIENCE, playlist};
use domain::manifest::{Claim, Manifest};
use reqwest::{Method, StatusCode, Url};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What a recorder makes.
const TRACKS: [&str; 2] = ["video", "audio"];

/// Between two looks of one observer.
const EVERY: Duration = Duration::from_secs(1);

/// Longest wait of one request: a process may be killed or stand before a store that is away.
const ANSWER: Duration = Duration::from_secs(20);

/// The last line of a playlist that grows no more.
const END: &str = "#EXT-X-ENDLIST";

/// What was believed of every segment may turn out wrong of a later one, and then it is said no more.
const INDEPENDENT: &str = "#EXT-X-INDEPENDENT-SEGMENTS";

/// The time of day of a segment.
const TIME: &str = "#EXT-X-PROGRAM-DATE-TIME:";

/// Whether the test lets time pass in the rows. Then what tells the time of day moves with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Nobody touches it.
    Real,
    /// Every timestamp is shifted at times.
    Shifted,
}

/// Observers of one recording; each fails the test at [`Watching::end`].
pub(crate) struct Watching {
    stop: CancellationToken,
    observers: Vec<JoinHandle<()>>,
    seen: Arc<Mutex<Seen>>,
    kept: Kept,
}

/// What was seen, so that a test can tell that there was something to see.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Longest playlist of each track, as lines.
    playlists: BTreeMap<&'static str, Vec<String>>,
    /// Tracks whose playlist grows no more.
    ended: BTreeSet<&'static str>,
    /// Answers with a playlist.
    pub(crate) looks: usize,
    /// Names of everything that was listed and fetched, with its track.
    pub(crate) fetched: BTreeSet<String>,
    /// Other contents of the manifest.
    pub(crate) manifests: usize,
}

impl Watching {
    /// Looks at `recording` through every `serve` of the fleet, until the end.
    pub(crate) async fn start(fleet: &Fleet, recording: &Recording, clock: Clock) -> Watching {
        let path = format!("/api/recordings/{}/playback-token", recording.id);
        let answer = fleet.api().call(Method::POST, &path, json!({})).await;
        let kept = Kept(fleet.kept(recording));
        let viewer = Viewer {
            http: reqwest::Client::builder().timeout(ANSWER).no_proxy().build().unwrap(),
            addresses: fleet.addresses(),
            recording: recording.id.clone(),
            token: answer.body["token"].as_str().expect("a playback token").to_owned(),
            kept: kept.clone(),
            clock,
        };
        let manifest = fleet.objects().join(format!("{}/{}/segments/manifest.json", recording.owner, recording.id));
        let (stop, seen) = (CancellationToken::new(), Arc::<Mutex<Seen>>::default());
        let (stopped, known) = (stop.clone(), Arc::clone(&seen));
        let playlists = tokio::spawn(async move { viewer.watch(&stopped, &known).await });
        let (stopped, known) = (stop.clone(), Arc::clone(&seen));
        let manifests = tokio::spawn(async move { read(manifest, &stopped, &known).await });
        Watching { stop, observers: vec![playlists, manifests], seen, kept }
    }

    /// Looks until everything that the recorder made was seen and every playlist says its end, and says what was seen.
    pub(crate) async fn end(self) -> Seen {
        self.stop.cancel();
        for observer in self.observers {
            if let Err(error) = observer.await {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        assert_eq!(seen.fetched, self.kept.made(), "everything that was made is listed");
        assert_eq!(seen.ended.len(), TRACKS.len(), "every playlist says its end: {:?}", seen.ended);
        seen
    }
}

/// What the recorder keeps.
#[derive(Debug, Clone)]
struct Kept(PathBuf);

impl Kept {
    /// Places of everything that it has made.
    fn made(&self) -> BTreeSet<String> {
        let mut made = BTreeSet::new();
        for track in TRACKS {
            let names = std::fs::read_dir(self.0.join(track)).unwrap();
            made.extend(names.map(|name| format!("{track}/{}", name.unwrap().file_name().to_string_lossy())));
        }
        made
    }
}

struct Viewer {
    http: reqwest::Client,
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    recording: String,
    token: String,
    kept: Kept,
    clock: Clock,
}

impl Viewer {
    async fn watch(&self, stop: &CancellationToken, seen: &Mutex<Seen>) {
        // A process that is replaced has another address, so each has its own line of looks.
        let mut last: BTreeMap<(SocketAddr, &'static str), usize> = BTreeMap::new();
        let mut until = None;
        loop {
            let ending = stop.is_cancelled();
            let addresses = self.addresses.lock().unwrap().clone();
            for address in addresses {
                for track in TRACKS {
                    let known = seen.lock().unwrap().playlists.contains_key(track);
                    let Some((url, mut lines)) = self.playlist(address, track, known).await else { continue };
                    let ended = lines.pop_if(|line| line == END).is_some();
                    let before = last.entry((address, track)).or_default();
                    assert!(lines.len() >= *before, "{track} of {address} lost lines: {lines:#?}");
                    *before = lines.len();
                    compare(&mut seen.lock().unwrap(), track, &lines, ended);
                    self.fetch_all(&url, track, &lines, seen).await;
                }
            }
            if ending {
                let until = *until.get_or_insert_with(|| Instant::now() + PATIENCE);
                if self.has_seen_all(&seen.lock().unwrap()) || Instant::now() > until {
                    return;
                }
                tokio::time::sleep(EVERY / 4).await;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn has_seen_all(&self, seen: &Seen) -> bool {
        seen.ended.len() == TRACKS.len() && seen.fetched == self.kept.made()
    }

    /// The playlist of a track; none when the process is away, or when nobody has shown one so far.
    async fn playlist(&self, address: SocketAddr, track: &str, known: bool) -> Option<(Url, Vec<String>)> {
        let url = format!("http://{address}/hls/{}/{track}.m3u8?token={}", self.recording, self.token);
        let answer = self.http.get(&url).send().await.ok()?;
        let (status, url) = (answer.status(), answer.url().clone());
        let body = answer.text().await.ok()?;
        if may_come_back(status) || (status == StatusCode::NOT_FOUND && !known) {
            return None;
        }
        assert_eq!(status, StatusCode::OK, "{url}: {body}");
        let read = playlist::read(&body);
        let overlong = read.segments.iter().find(|segment| segment.duration.round() > read.target_duration as f32);
        assert!(overlong.is_none(), "longer than the target duration: {overlong:?}");
        let told = |line: &str| match self.clock {
            Clock::Shifted if line.starts_with(TIME) => TIME.to_owned(),
            Clock::Real | Clock::Shifted => line.to_owned(),
        };
        Some((url, body.lines().filter(|line| *line != INDEPENDENT).map(told).collect()))
    }

    /// Fetches what is listed and was not fetched yet; each must be what the recorder made.
    async fn fetch_all(&self, playlist: &Url, track: &str, lines: &[String], seen: &Mutex<Seen>) {
        for uri in lines.iter().filter_map(|line| uri(line)) {
            let url = playlist.join(uri).unwrap();
            let name = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default().to_owned();
            let place = format!("{track}/{name}");
            if seen.lock().unwrap().fetched.contains(&place) {
                continue;
            }
            let Ok(answer) = self.http.get(url.clone()).send().await else { continue };
            let status = answer.status();
            let Ok(bytes) = answer.bytes().await else { continue };
            if may_come_back(status) {
                continue;
            }
            assert_eq!(status, StatusCode::OK, "{place} is listed: {}", String::from_utf8_lossy(&bytes));
            let made = std::fs::read(self.kept.0.join(&place)).unwrap_or_else(|error| panic!("{place}: {error}"));
            assert!(bytes == made, "{place} is not what the recorder made");
            seen.lock().unwrap().fetched.insert(place);
        }
    }
}

/// The process or what it stands on is away.
fn may_come_back(status: StatusCode) -> bool {
    matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// What was seen of a track stays, line by line, whoever answers: one of two answers goes on where the other ends.
fn compare(seen: &mut Seen, track: &'static str, lines: &[String], ended: bool) {
    assert!(!lines.iter().any(|line| line == "#EXT-X-GAP"), "nothing was lost: {lines:#?}");
    seen.looks += 1;
    let known = seen.playlists.entry(track).or_default();
    let differs = known.iter().zip(lines).find(|(known, line)| known != line);
    assert_eq!(differs, None, "{track}: what was listed has changed");
    if lines.len() > known.len() {
        assert!(!seen.ended.contains(track), "{track} had ended: {lines:#?}");
        *known = lines.to_vec();
    }
    if ended {
        assert_eq!(lines.len(), known.len(), "{track} ends before what was listed");
        seen.ended.insert(track);
    }
}

/// What a line of a playlist leads to.
fn uri(line: &str) -> Option<&str> {
    if let Some(map) = line.strip_prefix("#EXT-X-MAP:") {
        return map.split_once("URI=\"")?.1.split('"').next();
    }
    (!line.is_empty() && !line.starts_with('#')).then_some(line)
}

/// Reads the manifest past every process: what it said once it says for good, and in the end it is complete.
async fn read(path: PathBuf, stop: &CancellationToken, seen: &Mutex<Seen>) {
    let mut last: Option<Manifest> = None;
    let mut until = None;
    loop {
        let ending = stop.is_cancelled();
        match std::fs::read(&path) {
            Ok(bytes) => {
                let now = Manifest::parse(&bytes).expect("a manifest is whole whenever it is read");
                if let Some(before) = last.as_ref() {
                    grows(&before.video, &now.video);
                    grows(&before.audio, &now.audio);
                    assert!(now.complete || !before.complete, "a complete manifest stays complete");
                }
                if last.as_ref() != Some(&now) {
                    seen.lock().unwrap().manifests += 1;
                    last = Some(now);
                }
            }
            Err(error) => assert!(last.is_none(), "the manifest was there: {error}"),
        }
        if ending {
            let until = *until.get_or_insert_with(|| Instant::now() + PATIENCE);
            if last.as_ref().is_some_and(|manifest| manifest.complete) {
                return;
            }
            assert!(Instant::now() < until, "the manifest is never complete: {last:?}");
            tokio::time::sleep(EVERY / 4).await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn grows(before: &Claim, now: &Claim) {
    assert!(now.init_uploaded || !before.init_uploaded, "{before:?} became {now:?}");
    let lost: Vec<_> = before.segments.iter().filter(|entry| !now.segments.contains(entry)).collect();
    assert!(lost.is_empty(), "the manifest lost {lost:?}");
}
