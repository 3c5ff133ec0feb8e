//! One recording from its first segment to the declared end.

use crate::folder::Folder;
use crate::notice::{Notice, Observer};
use crate::upload::{self, Declaration, Upload, Uploaded};
use crate::{Error, Source};
use bytes::Bytes;
use domain::segment::{Name, Track};
use media::ff::segmenter::{Event, Options, Summary};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;

/// Segments between the source's thread and the upload; each waits in memory, so there are few.
const EVENTS_MAX: usize = 4;

/// Everything that is settled before a recording begins.
pub struct Session {
    /// What is recorded.
    pub source: Source,
    /// How it is cut; its `stop` ends the recording cleanly from outside.
    pub options: Options,
    /// Segments are written here too.
    pub out: Option<PathBuf>,
    /// Segments are uploaded.
    pub upload: Option<upload::Settings>,
    /// After the end, ask for the result.
    pub complete: bool,
    /// Told of everything that happens.
    pub observer: Observer,
}

/// What was made and what has arrived, also when the recording failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// By track; a track without a segment is not there.
    pub tracks: BTreeMap<Track, TrackReport>,
    /// Length of the recording; 0 when the source failed.
    pub duration_ms: u64,
    /// Attempts of the upload that were made again.
    pub retries: u64,
    /// The server's answer to the request for the result, if one was made.
    pub completed: Option<String>,
    /// The end was declared.
    pub declared: bool,
}

/// One track of a [`Report`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrackReport {
    /// Segments made; also the last index.
    pub segments: u64,
    /// Bytes made, with the initialization section.
    pub bytes: u64,
    /// Segments that the server has acknowledged.
    pub sent: u64,
}

impl Session {
    /// Records until the source ends or is stopped, then waits until everything has arrived and declares the end.
    pub async fn run(mut self) -> (Report, Result<(), Error>) {
        let mut report = Report::default();
        let result = self.record(&mut report).await;
        (report, result)
    }

    async fn record(&mut self, report: &mut Report) -> Result<(), Error> {
        let out = self.out.as_deref().map(Folder::create).transpose()?;
        let observer = &self.observer;
        let keep = self.upload.as_ref().and_then(|upload| upload.keep_unsent.clone());
        let upload = self.upload.take();
        let stop = self.options.stop.clone();
        let upload = upload.map(|settings| Upload::start(upload::Settings { stop, ..settings }, observer.clone()));
        let mut upload = upload.transpose()?;
        let (events, mut incoming) = mpsc::channel(EVENTS_MAX);
        let (source, options) = (self.source.clone(), self.options.clone());
        let made = tokio::task::spawn_blocking(move || {
            source.segment(&options, |event| match events.blocking_send(event) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
        });
        let mut passed = Ok(());
        while let Some(event) = incoming.recv().await {
            match self.pass_on(event, out.as_ref(), upload.as_mut(), report).await {
                Ok(()) => {}
                // What the source still gives while it stops is not sent any more, but it is kept.
                Err(Failed::Upload) if keep.is_some() => {
                    self.options.stop.ask();
                    passed = Err(Failed::Upload);
                }
                Err(failed) => {
                    passed = Err(failed);
                    break;
                }
            }
        }
        // A failed recording tells its source twice: by the flag, and by a channel that takes nothing.
        self.options.stop.ask();
        drop(incoming);
        let made = made.await.unwrap_or(Err(Error::Crashed("the source")));
        if made.is_ok() {
            (self.observer)(Notice::SourceEnded);
        }
        self.settle(made, passed, upload, keep, report).await
    }

    /// Waits for the upload and says which of the failures came first: what the source met after a failed upload is
    /// only its consequence.
    async fn settle(
        &self,
        made: Result<Summary, Error>,
        passed: Result<(), Failed>,
        upload: Option<Upload>,
        keep: Option<Folder>,
        report: &mut Report,
    ) -> Result<(), Error> {
        let whole = made.as_ref().ok().filter(|summary| !summary.tracks.is_empty());
        let declaration = whole.map(|summary| Declaration {
            last_index: summary.tracks.iter().map(|track| (track.track, track.last_index)).collect(),
            duration_ms: summary.duration_ms(),
            complete: self.complete,
        });
        report.duration_ms = declaration.as_ref().map_or(0, |declaration| declaration.duration_ms);
        let told = declaration.clone().filter(|_| passed.is_ok());
        let tells = told.is_some();
        if let Some(upload) = upload {
            let (Uploaded { sent, retries }, finished) = upload.finish(told).await;
            for (track, sent) in sent {
                report.tracks.entry(track).or_default().sent = sent.segments;
            }
            report.retries = retries;
            if let (Err(_), Some(folder), Some(declaration)) = (&finished, keep, declaration) {
                folder.put_declaration(&declaration)?;
            }
            report.completed = finished?;
            report.declared = tells;
        }
        match passed {
            Err(Failed::Here(error)) => Err(error),
            Err(Failed::Upload) | Ok(()) => made.map(drop),
        }
    }

    async fn pass_on(
        &self,
        event: Event,
        out: Option<&Folder>,
        upload: Option<&mut Upload>,
        report: &mut Report,
    ) -> Result<(), Failed> {
        let (track, name, bytes, reached) = match event {
            Event::Init { track, bytes } => (track, Name::Init, bytes, Duration::ZERO),
            Event::Segment { track, index, bytes, span } => {
                (track, Name::Media(index), bytes, Duration::from_millis(span.end_ms()))
            }
        };
        let bytes = Bytes::from(bytes);
        let size_bytes = bytes.len() as u64;
        if let Some(folder) = out.cloned() {
            let bytes = bytes.clone();
            let written = tokio::task::spawn_blocking(move || folder.put(track, name, &bytes)).await;
            written.unwrap_or(Err(Error::Crashed("the writer of segments"))).map_err(Failed::Here)?;
        }
        let counted = report.tracks.entry(track).or_default();
        counted.segments += u64::from(name != Name::Init);
        counted.bytes += size_bytes;
        (self.observer)(Notice::Made { track, name, size_bytes, reached });
        match upload {
            Some(upload) => upload.add(track, name, bytes).await.map_err(|upload::Stopped| Failed::Upload),
            None => Ok(()),
        }
    }
}

/// Why a segment could not be passed on.
enum Failed {
    /// Here, and this is why.
    Here(Error),
    /// In the upload, which tells why when it is finished.
    Upload,
}
