//! The search over all tracks of a result.

#![forbid(unsafe_code)]

use super::track::{Changed, TrackSearch, Wanted};
use super::{Picture, Place, Seen};
use crate::layout::Layout;
use domain::mux::Gap;
use domain::segment::Track;
use thiserror::Error;

/// Places of the picture that are decoded besides its beginning, its end and its repairs.
const PICTURES: u32 = 20;

/// The same of the sound beside a picture, whose packets say little of one another.
const SOUNDS: u32 = 6;

/// Places looked at in one go when damage is narrowed down.
const ROUND: usize = 16;

/// Places looked at in all. What is not known then counts as damaged.
const LOOKS_MAX: usize = 512;

/// What has to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Decode these places and tell what was seen, in this order.
    Look(Vec<Place>),
    /// Nothing.
    Done(Result<Findings, Unsound>),
}

/// What was found in a result that can be decoded, at least in part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Stretches that cannot be decoded, video before audio, by time.
    pub gaps: Vec<Gap>,
    /// What was noticed first, for a person; `None` when nothing was.
    pub what: Option<String>,
    /// Places that were decoded.
    pub places: u64,
    /// Samples that were given to a decoder.
    pub samples: u64,
    /// Frames that came out.
    pub frames: u64,
}

/// Why a result cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unsound {
    /// No place that was looked at can be decoded.
    #[error("nothing of the {track} track can be decoded: {what}")]
    Nothing {
        /// Which track.
        track: Track,
        /// What was noticed first.
        what: String,
    },
    /// The pictures are of another form from a place on: one initialization section cannot say so.
    #[error("{}", changed(.segment, .at_us, .from, .to))]
    ConfigChange {
        /// The first segment of the new form, where segments are known.
        segment: Option<u32>,
        /// When it is presented, in microseconds.
        at_us: u64,
        /// Before.
        from: Option<Picture>,
        /// Behind; `None`: they cannot be decoded with the parameters of the initialization section.
        to: Option<Picture>,
    },
}

fn changed(segment: &Option<u32>, at_us: &u64, from: &Option<Picture>, to: &Option<Picture>) -> String {
    let at = format!("{}.{:03} s", at_us / 1_000_000, at_us / 1000 % 1000);
    let since = segment.map_or(format!("from {at} on"), |segment| format!("from video segment {segment} on ({at})"));
    let from = from.as_ref().map_or(String::new(), |from| format!(" instead of {from}"));
    match to {
        Some(to) => {
            format!("{since} the picture is {to}{from}: the recorder changed its settings without a new recording")
        }
        None => format!(
            "{since} no picture can be decoded with the parameters of the initialization section, although the bytes are \
             whole: the recorder changed its settings without a new recording"
        ),
    }
}

/// Where a search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Nothing was looked at.
    Sampling,
    /// Something was.
    Closing,
}

/// What is asked of a result's decoder, one round after the other.
#[derive(Debug)]
pub struct Search {
    tracks: Vec<TrackSearch>,
    step: Step,
    asked: Vec<(usize, Wanted)>,
    findings: Findings,
}

impl Search {
    /// Of a result that was laid out: what is damaged is led back to its segments.
    pub fn of_layout(layout: &Layout) -> Search {
        let tracks = layout.places();
        Search::of(tracks.iter().map(|(track, segments)| TrackSearch::of_segments(*track, segments)).collect())
    }

    /// Of a file of which only the lengths of its tracks are known, in microseconds.
    pub fn of_lengths(tracks: &[(Track, u64)]) -> Search {
        let alone = tracks.len() == 1;
        let search =
            |(track, duration_us): &(Track, u64)| TrackSearch::of_length(*track, *duration_us, between(*track, alone));
        Search::of(tracks.iter().map(search).collect())
    }

    pub(super) fn of(tracks: Vec<TrackSearch>) -> Search {
        Search { tracks, step: Step::Sampling, asked: Vec::new(), findings: Findings::default() }
    }

    /// What comes next. Asked again without [`Search::tell`] it says the same.
    pub fn ask(&mut self) -> Next {
        let alone = self.tracks.len() == 1;
        let asked = match self.step {
            Step::Sampling => {
                let of = |(n, track): (usize, &TrackSearch)| {
                    let wanted = track.sampled(between(track.track, alone));
                    wanted.into_iter().map(move |wanted| (n, wanted)).collect::<Vec<_>>()
                };
                self.tracks.iter().enumerate().flat_map(of).collect()
            }
            Step::Closing => match self.closer() {
                Ok(asked) => asked,
                Err(unsound) => return Next::Done(Err(unsound)),
            },
        };
        if asked.is_empty() {
            return Next::Done(Ok(self.found()));
        }
        self.asked = asked;
        Next::Look(self.asked.iter().map(|(n, wanted)| self.tracks[*n].place(*wanted)).collect())
    }

    /// Takes what was seen at the places that were asked for, in their order; what is missing is not known.
    pub fn tell(&mut self, seen: &[Seen]) {
        self.step = Step::Closing;
        for ((n, wanted), seen) in std::mem::take(&mut self.asked).into_iter().zip(seen) {
            self.findings.places += 1;
            self.findings.samples += seen.samples;
            self.findings.frames += seen.frames;
            self.tracks[n].tell(wanted, seen);
        }
    }

    /// What has to be looked at to say where damage begins and ends.
    fn closer(&self) -> Result<Vec<(usize, Wanted)>, Unsound> {
        let room = LOOKS_MAX.saturating_sub(self.findings.places as usize).min(ROUND);
        let mut asked = Vec::new();
        for (n, search) in self.tracks.iter().enumerate() {
            let track = search.track;
            if search.is_all_damaged() && (track == Track::Video || self.tracks.len() == 1) {
                let what = search.first_damage().map(|damage| damage.what.clone()).unwrap_or_default();
                return Err(Unsound::Nothing { track, what });
            }
            match search.changed() {
                Err(wanted) if room > 0 => return Ok(vec![(n, wanted)]),
                Ok(Some(Changed { segment, at_us, from, to })) => {
                    return Err(Unsound::ConfigChange { segment, at_us, from, to });
                }
                Err(_) | Ok(None) => {}
            }
            if !search.is_sound() && !search.is_all_damaged() {
                asked.extend(search.neighbours().into_iter().map(|wanted| (n, wanted)));
            }
        }
        asked.truncate(room);
        Ok(asked)
    }

    fn found(&self) -> Findings {
        let what = self.tracks.iter().find_map(|track| Some((track.track, track.first_damage()?)));
        Findings {
            gaps: self.tracks.iter().flat_map(TrackSearch::gaps).collect(),
            what: what.map(|(track, damage)| format!("{track}: {}", damage.what)),
            ..self.findings.clone()
        }
    }
}

fn between(track: Track, alone: bool) -> u32 {
    match track {
        Track::Audio if !alone => SOUNDS,
        Track::Video | Track::Audio => PICTURES,
    }
}
