//! One viewer: a browser on the player's page, and what it sees.

use crate::driver::Browser;
use crate::support::PATIENCE;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use media::ff::synth::counter::read_counter;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Frames per second of every recording here.
pub(crate) const FPS: f64 = 30.0;

/// Picture and element belong together within this many seconds: the picture that is drawn may be the one before, and
/// playlists and result begin within a few frames of each other, as pictures are reordered.
pub(crate) const TOGETHER_S: f64 = 0.2;

/// Between two looks: a few frames.
const EVERY: Duration = Duration::from_millis(50);

/// Draws the picture and gives the brightness of the rows that the counter lies in, with everything else of a look.
const LOOK: &str = r"
const video = document.getElementById('video');
const text = (id) => document.getElementById(id)?.textContent ?? '';
const seen = {
  time: video.currentTime, end: Number.isFinite(video.duration) ? video.duration : 0, paused: video.paused, rate: video.playbackRate,
  volume: video.volume, at: performance.now() / 1000, result: video.currentSrc.includes('/result.mp4'), ready: video.readyState,
  chip: document.getElementById('chip').hidden ? '' : text('chip').trim(), headline: text('headline'), detail: text('detail'),
  notice: !document.getElementById('notice').hidden, live: document.getElementById('live').hidden ? '' : text('live').trim(),
};
const [width, height] = [video.videoWidth, video.videoHeight];
if (width > 0 && video.readyState >= 2) {
  const rows = Math.floor(height / 10);
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  seen.time = video.currentTime;
  seen.at = performance.now() / 1000;
  context.drawImage(video, 0, 0);
  const { data } = context.getImageData(0, 0, width, rows);
  let luma = '';
  for (let at = 0; at < data.length; at += 4) luma += String.fromCharCode((data[at] * 299 + data[at + 1] * 587 + data[at + 2] * 114) / 1000);
  Object.assign(seen, { width, height, luma: btoa(luma) });
}
return seen;";

/// What a viewer sees at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// Position of the element in seconds.
    pub(crate) time: f64,
    /// Length of what there is to see in seconds.
    pub(crate) end: f64,
    /// When, by the page's clock, in seconds.
    pub(crate) at: f64,
    /// Number of the frame that is shown.
    pub(crate) counter: Option<u32>,
    /// Paused.
    pub(crate) paused: bool,
    /// Speed.
    pub(crate) rate: f64,
    /// Loudness, 0 to 1.
    pub(crate) volume: f64,
    /// The result plays, not the segments.
    pub(crate) result: bool,
    /// The word over the picture.
    pub(crate) chip: String,
    /// The sentence below it.
    pub(crate) headline: String,
    /// And what follows.
    pub(crate) detail: String,
    /// Words stand where the picture would be.
    pub(crate) notice: bool,
    /// The words of the live button; empty when there is none.
    pub(crate) live: String,
}

impl Look {
    fn of(value: &Value) -> Look {
        let number = |name: &str| value[name].as_f64().unwrap_or_default();
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let yes = |name: &str| value[name] == true;
        let counter = value["luma"].as_str().and_then(|luma| {
            let luma = STANDARD.decode(luma).ok()?;
            let side = |name: &str| usize::try_from(value[name].as_u64()?).ok();
            read_counter(&luma, side("width")?, side("width")?, side("height")?)
        });
        Look {
            time: number("time"),
            end: number("end"),
            at: number("at"),
            counter,
            paused: yes("paused"),
            rate: number("rate"),
            volume: number("volume"),
            result: yes("result"),
            chip: text("chip"),
            headline: text("headline"),
            detail: text("detail"),
            notice: yes("notice"),
            live: text("live"),
        }
    }

    /// Where in the recording the picture was taken, in seconds.
    pub(crate) fn recorded(&self) -> Option<f64> {
        self.counter.map(|counter| f64::from(counter) / FPS)
    }
}

/// The viewer.
#[derive(Debug)]
pub(crate) struct Viewer {
    pub(crate) browser: Browser,
}

impl Viewer {
    /// Opens a page.
    pub(crate) async fn open(url: &str) -> Viewer {
        let browser = Browser::start().await;
        browser.open(url).await;
        Viewer { browser }
    }

    /// Looks once.
    pub(crate) async fn look(&self) -> Look {
        Look::of(&self.browser.run(LOOK).await)
    }

    /// Looks until it sees what is wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Look) -> bool) -> Look {
        let begun = Instant::now();
        loop {
            let look = self.look().await;
            if wanted(&look) {
                return look;
            }
            if begun.elapsed() > PATIENCE {
                let console = self.browser.console().await;
                let last = &console[console.len().saturating_sub(5)..];
                panic!("waited {PATIENCE:?} in vain: {what}; seen: {look:#?}; {last:#?}");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Waits until a picture is shown whose number is at least `frame`, and checks that it belongs to the position.
    pub(crate) async fn until_frame(&self, frame: u32) -> Look {
        let look = self.until(&format!("frame {frame} is shown"), |look| look.counter >= Some(frame)).await;
        let apart = (look.recorded().unwrap() - look.time).abs();
        assert!(apart < TOGETHER_S, "the picture is {apart:.3} s away from the position: {look:?}");
        look
    }

    /// No request has left for another host than those of `bases`, and nothing fatal was said.
    pub(crate) async fn assert_quiet(&self, requests: &[String], bases: &[&str]) {
        let inside = |url: &String| bases.iter().any(|base| url.starts_with(base));
        let outside: Vec<_> = requests.iter().filter(|url| !inside(url)).collect();
        assert!(outside.is_empty(), "requests to other hosts: {outside:#?}");
        let complaints = self.browser.console().await;
        let refused: Vec<_> = complaints.iter().filter(|line| line.contains("Content Security Policy")).collect();
        assert!(refused.is_empty(), "{refused:#?}");
    }
}
