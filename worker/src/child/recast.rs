//! Odd inputs taken apart in a child: objects in, ordinary segments out.
//!
//! Owns the conversation of this work, which differs from the others: several objects of which ranges are wanted, and
//! segments whose parts come one by one and are taken away at once, so that neither side ever holds more than a part. The child is
//! killed when it says nothing for a while, too.

use super::talk::{self, Time};
use super::{Error, Limit, Program, Work, serve};
use bytes::Bytes;
use domain::job::MUX_RUNTIME_MAX;
use domain::retry::{Classify, Fault};
use domain::segment::{INDEX_MAX, Name, Track};
use media::ff;
use media::ff::ahead::{Ahead, WINDOW_BYTES_MAX};
use media::ff::segmenter::Event;
pub use media::ff::segmenter::recast::TrackReport as RecastTrack;
use media::ff::segmenter::recast::{self, Readable, Rules, Source};
use media::readback::{self, RangedReader};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

/// Longest copying: a day of recording on a slow disk.
const COPY_MAX: Duration = Duration::from_secs(3600);

/// Longest encoding: what an attempt has, less what writing and verifying the result may take of it.
pub(super) const ENCODE_MAX: Duration = MUX_RUNTIME_MAX.saturating_sub(COPY_MAX);

/// Longest silence: two seconds of the largest picture are encoded in a fraction of it.
const QUIET_MAX: Duration = Duration::from_secs(120);

/// Longest part of a segment: a fragment ends with the picture that makes it reach 8 MiB, and a picture of that size is
/// the largest that anybody records.
const PART_BYTES_MAX: u64 = 64 << 20;

/// Bytes a child may read or give whatever the length of its objects: headers and indexes, read again for each track.
const ROOM_BYTES: u64 = 256 << 20;

/// An object that is to be taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Odd {
    /// What it is called in errors.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// Which tracks are taken.
    pub tracks: Vec<Track>,
    /// Where its segments begin: index and first byte, ascending; empty: it is cut by time.
    pub pieces: Vec<(u32, u64)>,
}

/// What may be done, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Codecs that MP4 cannot hold are encoded again.
    pub transcode: bool,
    /// Longest segment that may come out.
    pub segment_bytes_max: u64,
}

/// Takes what was made.
pub trait Pieces: Send {
    /// Takes one initialization section, or a part of a segment: what comes under a name again goes behind what came
    /// before.
    fn take(&mut self, track: Track, name: Name, bytes: Bytes) -> impl Future<Output = std::io::Result<()>> + Send;
}

/// Why objects were not taken apart: the child, whoever gives their ranges, or whoever takes the pieces.
#[derive(Debug, thiserror::Error)]
pub enum RecastError<R: std::error::Error + 'static> {
    /// The child's.
    #[error(transparent)]
    Child(Error),
    /// MP4 has no place for a codec, and it may not be encoded again.
    #[error(
        "the {track} track is {codec}, for which MP4 has no place; it can be encoded again as {} when the setting \
         mux.transcode (spool mux --transcode) allows it",
        target(*track)
    )]
    NotInMp4 {
        /// Which track.
        track: Track,
        /// Codec as FFmpeg names it.
        codec: String,
    },
    /// The clock of a track goes back, and no order of its segments mends that.
    #[error("the clock of the {track} track goes back{}", segment.map_or_else(String::new, |it| format!(" in segment {it}")))]
    TimesBack {
        /// Which track.
        track: Track,
        /// Its segment; `None`: it has none.
        segment: Option<u32>,
    },
    /// A segment is longer than a segment may be.
    #[error("{track} {name} takes more than the {limit_bytes} bytes that a segment may have")]
    TooLarge {
        /// Which track.
        track: Track,
        /// Which piece.
        name: Name,
        /// What it may have.
        limit_bytes: u64,
    },
    /// A range could not be read.
    #[error(transparent)]
    Read(readback::Error<R>),
    /// A piece could not be kept.
    #[error("keep {track} {name}")]
    Keep {
        /// Which track.
        track: Track,
        /// Which piece.
        name: Name,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

/// What a track is encoded as when MP4 has no place for its codec.
fn target(track: Track) -> &'static str {
    match track {
        Track::Video => "H.264",
        Track::Audio => "AAC",
    }
}

impl<R: std::error::Error + Classify + 'static> Classify for RecastError<R> {
    fn fault(&self) -> Fault {
        match self {
            RecastError::Child(source) => source.fault(),
            RecastError::NotInMp4 { .. } | RecastError::TimesBack { .. } | RecastError::TooLarge { .. } => {
                Fault::Permanent
            }
            RecastError::Read(source) => source.fault(),
            // A full disk is emptied, or another worker has one with room.
            RecastError::Keep { .. } => Fault::Transient,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            RecastError::Child(source) => source.class(),
            RecastError::NotInMp4 { .. } => "codec-not-in-mp4",
            RecastError::TimesBack { .. } => "tfdt-back",
            RecastError::TooLarge { .. } => "segment-too-large",
            RecastError::Read(source) => source.class(),
            RecastError::Keep { .. } => "scratch",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            RecastError::Child(source) => source.retry_after(),
            RecastError::Read(source) => source.retry_after(),
            RecastError::NotInMp4 { .. }
            | RecastError::TimesBack { .. }
            | RecastError::TooLarge { .. }
            | RecastError::Keep { .. } => None,
        }
    }
}

/// What the child says, a line each; behind a piece follow its bytes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Read { object: usize, at: u64, len: u64 },
    Piece { track: Track, index: u32, len: u64 },
    Done(Vec<RecastTrack>),
    NotInMp4 { track: Track, codec: String },
    TimesBack { track: Track, segment: Option<u32> },
    Refused(String),
    Limited(Limit),
}

impl Program {
    /// Takes objects apart, whose ranges the readers give, and hands every piece to `pieces`. `progress` hears how many
    /// bytes of the objects were read so far; where an object is read twice it goes beyond their length.
    ///
    /// # Errors
    /// See [`RecastError`]: what is wrong with the objects is told apart from what is wrong around them.
    pub async fn recast<R: RangedReader>(
        &self,
        objects: &[(Odd, R)],
        allowed: Allowed,
        pieces: &mut impl Pieces,
        progress: impl Fn(u64) + Sync,
    ) -> Result<Vec<RecastTrack>, RecastError<R::Error>> {
        let mut child = talk::start(self).map_err(RecastError::Child)?;
        let Allowed { transcode, segment_bytes_max } = allowed;
        let bound = if transcode { ENCODE_MAX } else { COPY_MAX };
        let work = Work::Recast { objects: objects.iter().map(|(odd, _)| odd.clone()).collect(), transcode };
        let (time, limit_bytes, taken_bytes) = (Time::of(bound), limit(objects), BTreeMap::new());
        let talk = Talk { objects, time, read_bytes: 0, given_bytes: 0, limit_bytes, segment_bytes_max, taken_bytes };
        // With what it holds of a store's read it would make every future around it large.
        Box::pin(talk.with(&mut child, &work, pieces, &progress)).await
    }
}

/// Bytes that one child may read, and give.
fn limit<R>(objects: &[(Odd, R)]) -> u64 {
    let all: u64 = objects.iter().map(|(odd, _)| odd.size_bytes).fold(0, u64::saturating_add);
    all.saturating_mul(4).saturating_add(ROOM_BYTES)
}

struct Talk<'a, R> {
    objects: &'a [(Odd, R)],
    time: Time,
    read_bytes: u64,
    given_bytes: u64,
    limit_bytes: u64,
    segment_bytes_max: u64,
    /// What the newest segments of each track have so far.
    taken_bytes: BTreeMap<(Track, u32), u64>,
}

impl<R: RangedReader> Talk<'_, R> {
    async fn with(
        mut self,
        child: &mut tokio::process::Child,
        work: &Work,
        pieces: &mut impl Pieces,
        progress: &(impl Fn(u64) + Sync),
    ) -> Result<Vec<RecastTrack>, RecastError<R::Error>> {
        let failed = |operation| move |source| RecastError::Child(Error::Start { operation, source });
        let (mut stdin, said) = (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
        let mut said = BufReader::new(said);
        let mut request = serde_json::to_vec(work).map_err(|error| RecastError::Child(Error::Answer(error)))?;
        request.push(b'\n');
        // A child that has died meanwhile closes the pipe; its status tells more than that.
        let _ = self.spend(stdin.write_all(&request)).await?;
        loop {
            let mut line = Vec::new();
            let mut word = (&mut said).take(LINE_BYTES_MAX);
            self.spend(word.read_until(b'\n', &mut line)).await?.map_err(failed("read answer of"))?;
            if line.last() != Some(&b'\n') {
                talk::death(child, &self.time).await.map_err(RecastError::Child)?;
            }
            match serde_json::from_slice(&line).map_err(|error| RecastError::Child(Error::Answer(error)))? {
                Said::Done(tracks) => return Ok(tracks),
                Said::NotInMp4 { track, codec } => return Err(RecastError::NotInMp4 { track, codec }),
                Said::TimesBack { track, segment } => return Err(RecastError::TimesBack { track, segment }),
                Said::Refused(why) => return Err(refused(why)),
                Said::Limited(limit) => return Err(RecastError::Child(Error::Limited { limit })),
                Said::Read { object, at, len } => {
                    let range = self.read(object, at, len).await?;
                    progress(self.read_bytes);
                    let _ = self.spend(stdin.write_all(&range)).await?;
                }
                Said::Piece { track, index, len } => {
                    // Each name is an entry and a file: there are no more than those of a recording, and none for nothing.
                    if len == 0 || index > INDEX_MAX {
                        return Err(refused(format!("it gave {len} bytes of a segment {index}")));
                    }
                    self.given_bytes = self.given_bytes.saturating_add(len);
                    let name = if index == 0 { Name::Init } else { Name::Media(index) };
                    let taken_bytes = self.taken_bytes.entry((track, index)).or_default();
                    *taken_bytes = taken_bytes.saturating_add(len);
                    if *taken_bytes > self.segment_bytes_max {
                        let limit_bytes = self.segment_bytes_max;
                        return Err(RecastError::TooLarge { track, name, limit_bytes });
                    }
                    if len > PART_BYTES_MAX || self.given_bytes > self.limit_bytes {
                        return Err(refused(format!(
                            "it gave {} bytes, more than its input can hold",
                            self.given_bytes
                        )));
                    }
                    let mut bytes = Vec::new();
                    let taken = self.spend((&mut said).take(len).read_to_end(&mut bytes)).await?;
                    taken.map_err(failed("read what was made by"))?;
                    if bytes.len() as u64 != len {
                        talk::death(child, &self.time).await.map_err(RecastError::Child)?;
                        return Err(refused(format!("it gave {} bytes instead of {len}", bytes.len())));
                    }
                    let kept = self.time.stop(pieces.take(track, name, Bytes::from(bytes))).await;
                    kept.map_err(|source| RecastError::Keep { track, name, source })?;
                }
            }
        }
    }

    async fn read(&mut self, object: usize, at: u64, len: u64) -> Result<Bytes, RecastError<R::Error>> {
        let wrong = |what: &str| refused(format!("it asked for {len} bytes at byte {at} of object {object}, {what}"));
        let Some((odd, reader)) = self.objects.get(object) else { return Err(wrong("which there is not")) };
        let inside = at.checked_add(len).is_some_and(|end| end <= odd.size_bytes);
        if !inside || len > WINDOW_BYTES_MAX {
            return Err(wrong("which it does not have"));
        }
        self.read_bytes += len;
        if self.read_bytes > self.limit_bytes {
            return Err(wrong("and has read it several times already"));
        }
        let range = self.time.stop(reader.read(at, len)).await;
        range.map_err(|source| RecastError::Read(readback::Error::Read { at, len, source }))
    }

    /// Waits for the child: not beyond its time, and not when it is silent for long.
    async fn spend<T>(&self, what: impl Future<Output = T>) -> Result<T, RecastError<R::Error>> {
        let spent = timeout(QUIET_MAX, self.time.within(what)).await;
        let spent = spent.unwrap_or(Err(Error::TimedOut { bound: QUIET_MAX }));
        spent.map_err(RecastError::Child)
    }
}

/// Longest line: of two tracks what they have lost, a hundred bytes each.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What it was given to read made it do what no sound file does.
fn refused<R: std::error::Error + 'static>(why: String) -> RecastError<R> {
    RecastError::Child(Error::Refused { why })
}

/// The child's side.
pub(super) fn work(objects: Vec<Odd>, transcode: bool) -> std::io::Result<()> {
    let sources: Vec<Source> = objects.into_iter().enumerate().map(|(n, odd)| source(n, odd)).collect();
    let mut broken = None;
    let made = recast::recast(&sources, Rules { transcode }, &mut |event| match give(event) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            broken = Some(error);
            ControlFlow::Break(())
        }
    });
    if let Some(error) = broken {
        return Err(error);
    }
    serve::say(&match made {
        Ok(report) => Said::Done(report.tracks),
        Err(ff::Error::NotInMp4 { track, codec }) => Said::NotInMp4 { track, codec },
        Err(ff::Error::TimesBack { track, segment, .. }) => Said::TimesBack { track, segment },
        Err(error) if error.is_out_of_memory() => Said::Limited(Limit::Memory),
        Err(error) => Said::Refused(serve::chain(&error)),
    })
}

fn source(number: usize, odd: Odd) -> Source {
    let Odd { name, size_bytes, tracks, pieces } = odd;
    let open = move || -> Box<dyn Readable> {
        Box::new(Ahead::new(size_bytes, move |at, len| {
            serve::say(&Said::Read { object: number, at, len })?;
            serve::hear(len)
        }))
    };
    Source { name, open: Box::new(open), tracks, pieces }
}

fn give(event: Event) -> std::io::Result<()> {
    let (track, index, bytes) = match event {
        Event::Init { track, bytes } => (track, 0, bytes),
        Event::Segment { track, index, bytes, .. } => (track, index, bytes),
    };
    serve::say(&Said::Piece { track, index, len: bytes.len() as u64 })?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&bytes)?;
    stdout.flush()
}
