//! What is recorded for the viewers: by the real recorder at the speed of the clock, or from a set, piece by piece.

use crate::support::api::Recording;
use crate::support::{Api, PATIENCE, Set, wait};
use domain::id::RecordingId;
use domain::segment::Track;
use media::ff::segmenter::{Options, Pace, Stop};
use media::ff::synth;
use recorder::client::Endpoint;
use recorder::{Error, Session, Source, upload};
use reqwest::Method;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A picture that two cores encode and decode without effort.
pub(crate) fn small() -> synth::Config {
    synth::Config { width: 320, height: 180, ..synth::Config::default() }
}

/// The real recorder at work.
pub(crate) struct Recorder {
    stop: Stop,
    run: JoinHandle<Result<(), Error>>,
}

impl Recorder {
    /// Records the synthetic source at the speed of the clock until [`Recorder::finish`].
    pub(crate) fn start(api: &Api, recording: &Recording) -> Recorder {
        Recorder::with(api, recording, Options { pace: Pace::Realtime, ..Options::default() })
    }

    /// Records so many seconds of it as fast as it can.
    pub(crate) fn hurry(api: &Api, recording: &Recording, seconds: u64) -> Recorder {
        let limit = Some(Duration::from_secs(seconds));
        Recorder::with(api, recording, Options { pace: Pace::Fast, limit, ..Options::default() })
    }

    fn with(api: &Api, recording: &Recording, options: Options) -> Recorder {
        let stop = Stop::default();
        let endpoint = Endpoint {
            base: api.base.parse().unwrap(),
            recording: RecordingId::parse(&recording.id).unwrap(),
            token: recording.upload_token.clone().into(),
        };
        let session = Session {
            source: Source::Test(small()),
            options: Options { stop: stop.clone(), ..options },
            out: None,
            upload: Some(upload::Settings::new(endpoint)),
            complete: true,
            observer: Arc::new(|_| {}),
        };
        Recorder { stop, run: tokio::spawn(async move { session.run().await.1 }) }
    }

    /// Ends the recording, declares it and asks for the result.
    pub(crate) async fn finish(self) {
        self.stop.ask();
        self.done().await;
    }

    /// Waits until everything of a source that ends by itself has arrived.
    pub(crate) async fn done(self) {
        self.run.await.unwrap().expect("everything has arrived");
    }
}

/// Everything of a set up to and including segment `last`, without those in `left_out`.
pub(crate) async fn send(api: &Api, recording: &Recording, set: &Set, last: u32, left_out: &[u32]) {
    for (track, name, bytes) in set.objects() {
        if name.index() <= last && !left_out.contains(&name.index()) {
            let answer = api.put(recording, track, name, bytes).await;
            assert!(matches!(answer.status, 200 | 201), "{track}/{name}: {answer:?}");
        }
    }
}

/// The recorder was paused for `pause` before segment `from`: what follows carries later time stamps.
pub(crate) fn pause(set: &mut Set, from: u32, pause: Duration) {
    for (track, (init, segments)) in &mut set.tracks {
        let timescale = timescale(init);
        let units = u64::try_from(pause.as_millis()).unwrap() * timescale / 1000;
        for segment in &mut segments[from as usize - 1..] {
            // Version 1: four bytes of flags, then eight of time; the index in front of it has two fields more.
            add(segment, b"tfdt", 4, units);
            if *track == Track::Video {
                add(segment, b"sidx", 12, units);
            }
        }
    }
}

fn timescale(init: &[u8]) -> u64 {
    let at = position(init, b"mdhd").unwrap();
    let (version, body) = (init[at + 4], at + 8);
    let field = if version == 1 { body + 16 } else { body + 8 };
    u32::from_be_bytes(init[field..field + 4].try_into().unwrap()).into()
}

fn add(bytes: &mut [u8], kind: &[u8; 4], offset: usize, units: u64) {
    let Some(at) = position(bytes, kind) else { return };
    assert_eq!(bytes[at + 4], 1, "times have 64 bits");
    let field = &mut bytes[at + 4 + offset..][..8];
    let time = u64::from_be_bytes(field.try_into().unwrap());
    field.copy_from_slice(&(time + units).to_be_bytes());
}

fn position(bytes: &[u8], kind: &[u8; 4]) -> Option<usize> {
    bytes.windows(4).take(4096).position(|window| window == kind)
}

/// Address of the player's page; `more` are parameters like `start=live`.
pub(crate) async fn watch_url(api: &Api, recording: &Recording, more: &str) -> String {
    format!("{}/watch/{}?token={}&{more}", api.base, recording.id, playback_token(api, recording).await)
}

/// A playback token of the recording.
pub(crate) async fn playback_token(api: &Api, recording: &Recording) -> String {
    let path = format!("/api/recordings/{}/playback-token", recording.id);
    let answer = api.call(Method::POST, &path, json!({})).await;
    answer.body["token"].as_str().expect("a token").to_owned()
}

/// Where the newest segment of the video playlist ends, in seconds.
pub(crate) async fn listed_s(api: &Api, recording: &Recording, token: &str) -> f64 {
    let request = api.request(Method::GET, &format!("/hls/{}/video.m3u8?token={token}", recording.id));
    let text = request.send().await.unwrap().text().await.unwrap();
    let lengths = text.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    lengths.map(|length| length.trim_end_matches(',').parse::<f64>().unwrap()).sum()
}

/// Waits until the video playlist lists as many segments.
pub(crate) async fn until_listed(api: &Api, recording: &Recording, token: &str, segments: usize) {
    wait::until("segments are listed", PATIENCE, async || {
        let request = api.request(Method::GET, &format!("/hls/{}/video.m3u8?token={token}", recording.id));
        let text = request.send().await.ok()?.text().await.ok()?;
        (text.matches("#EXTINF:").count() >= segments).then_some(())
    })
    .await;
}

/// Declares a set whole and asks for its result.
pub(crate) async fn end(api: &Api, recording: &Recording, set: &Set) {
    assert_eq!(api.end(recording, set).await.status, 202);
    assert_eq!(api.complete(recording).await, "queued");
}
