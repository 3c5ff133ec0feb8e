//! Makes poster and animated preview of the result that is served.
//!
//! Done when: both are in the store, their rows tell of this plan version, and the event is written; or the recording has
//! sound only, or has gone on without this job.
//! Safe to repeat: yes. The same result gives the same bytes, and the rows are written with the end of the job, by the
//! attempt that still holds it, for a recording that still serves this result. Nothing waits for it: a recording is ready
//! with or without pictures.

use super::{Job, end_in, obsolete, unless_locked};
use crate::child::{self, ObjectError, Picture, Pictures};
use crate::context::Context;
use crate::db::pictures::{self, Kind, Made};
use crate::db::recordings::{self, Recording, Served};
use crate::db::{self, events};
use crate::result::Source;
use crate::storage;
use domain::id::Sha256;
use domain::job::{Payload as _, Preview, Queue};
use domain::key::Keys;
use domain::recording::State;
use domain::retry::Fault;
use media::ff::pictures::Bounds;
use queue::{JobCtx, JobError, Outcome, Progress};
use serde_json::json;

/// Largest poster: what the system that Spool replaces made, and its pages were laid out for.
const POSTER: (u32, u32) = (1280, 720);

impl Job for Preview {
    async fn run(&self, cx: &Context, ctx: &JobCtx) -> Result<Outcome, JobError> {
        let recording = recordings::get(&cx.db, &self.recording).await?;
        let Some((recording, served)) = recording.as_ref().and_then(|found| shown(found, self.version)) else {
            return Ok(obsolete());
        };
        let keys = Keys::new(&recording.owner, &recording.id);
        let made = match make(cx, ctx, &keys, served).await? {
            Some(pictures) => match put(cx, ctx, self, &keys, pictures).await? {
                Some(made) => made,
                None => return Ok(obsolete()),
            },
            None => Vec::new(),
        };
        publish(cx, ctx, self, &made).await
    }
}

/// The recording and its result, when that is still the one of this version.
fn shown(recording: &Recording, version: u32) -> Option<(&Recording, &Served)> {
    let serves = matches!(recording.state, State::Ready | State::Archived) && recording.plan_version == version;
    let served = recording.result.as_ref().filter(|served| serves && served.version == version)?;
    Some((recording, served))
}

/// Has a child make both; `None` when there is nothing to be seen.
async fn make(cx: &Context, ctx: &JobCtx, keys: &Keys, served: &Served) -> Result<Option<Pictures>, JobError> {
    ctx.progress(Progress { stage: Some("look".to_owned()), ..Progress::default() }).await;
    let settings = &cx.config.preview;
    let bounds = Bounds {
        poster_width: POSTER.0,
        poster_height: POSTER.1,
        preview_side: settings.side_max,
        preview_bytes: usize::try_from(settings.size_max.0).unwrap_or(usize::MAX),
    };
    let source = Source::new(&cx.store, keys.clone(), &served.key);
    let pictures = child::program()?.pictures(&source, served.size_bytes, bounds, settings.time_limit).await;
    pictures.map_err(|error| convict(ctx, error))
}

/// A result that kills every child that looks at it is not tried ten times: the kind's crash cap counts deaths of
/// children as the engine counts deaths of workers.
fn convict(ctx: &JobCtx, error: ObjectError<storage::Error>) -> JobError {
    let cap = i32::from(Preview::KIND.spec().crash_cap);
    match error {
        ObjectError::Child(error) if error.is_death() && ctx.attempt() >= cap => {
            JobError::new(Fault::Permanent, "poison", error).context(format!("make pictures for the {cap}th time"))
        }
        error => error.into(),
    }
}

/// Writes both over what is there. An attempt that was taken from its worker writes nothing, nor does one whose recording
/// has gone on while the child was at work (`None`): the pictures of a newer result lie under the same keys. One that is
/// overtaken between the look and the write leaves an older picture, whose length is then not that of the row, and nothing
/// else.
async fn put(
    cx: &Context,
    ctx: &JobCtx,
    job: &Preview,
    keys: &Keys,
    pictures: Pictures,
) -> Result<Option<Vec<Made>>, JobError> {
    ctx.progress(Progress { stage: Some("write".to_owned()), ..Progress::default() }).await;
    if !ctx.is_mine().await? {
        return Err(JobError::new(Fault::Cancelled, "lost", "the job was taken from this attempt"));
    }
    let recording = recordings::get(&cx.db, &job.recording).await?;
    if recording.as_ref().and_then(|found| shown(found, job.version)).is_none() {
        return Ok(None);
    }
    let mut made = Vec::new();
    for (kind, Picture { bytes, width, height }) in [(Kind::Poster, pictures.poster), (Kind::Preview, pictures.preview)]
    {
        let (size_bytes, sha256) = (bytes.len() as u64, Sha256::of(&bytes));
        cx.store.put(&kind.key(keys), bytes).await?;
        made.push(Made { kind, version: job.version, size_bytes, sha256, width, height });
    }
    Ok(Some(made))
}

/// Says that the pictures are there, and ends the job in the same transaction.
async fn publish(cx: &Context, ctx: &JobCtx, job: &Preview, made: &[Made]) -> Result<Outcome, JobError> {
    let id = &job.recording;
    let tx = db::begin(&cx.db).await?;
    let recording = match unless_locked(recordings::lock(&tx, id).await)? {
        Ok(recording) => recording,
        Err(later) => return Ok(later),
    };
    if recording.as_ref().and_then(|found| shown(found, job.version)).is_none() {
        return Ok(obsolete());
    }
    pictures::replace(&tx, id, made).await?;
    if made.is_empty() {
        let nothing = Outcome::CompletedAs("no pictures: the recording has sound only".to_owned());
        return end_in(cx, ctx, tx, nothing, &[]).await;
    }
    let facts = made.iter().map(|picture| {
        let Made { kind, size_bytes, width, height, .. } = picture;
        (kind.as_str().to_owned(), json!({ "bytes": size_bytes, "width": width, "height": height }))
    });
    let mut body: serde_json::Map<_, _> = facts.collect();
    body.insert("plan_version".to_owned(), job.version.into());
    events::append(&tx, id, "recording.preview_ready", body.into()).await?;
    tracing::info!(recording.id = %id, plan.version = job.version, "pictures made");
    end_in(cx, ctx, tx, Outcome::Completed, &[Queue::Webhook]).await
}
