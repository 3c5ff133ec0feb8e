//! Looks into a bucket that another uploader writes: lists it, reads the manifest if it is another one, reads the heads of
//! what is new, and takes it in.
//!
//! Costs one listing and at most one read of the manifest, whatever the length of the recording, and one small read for
//! each new object. It never writes into the bucket.

mod head;
mod manifest;
mod take;

use crate::bucket::{ManifestFound, Sight};
use crate::context::Context;
use crate::db::bucket;
use crate::db::recordings::{self, Recording};
use chrono::{DateTime, TimeDelta, Utc};
use domain::bucket::{Found, Reach, behind, pause, reach, unread};
use domain::id::RecordingId;
use domain::key::Keys;
use domain::recording::{Source, State};
use domain::segment::{Name, Track};
use futures_util::{StreamExt as _, stream};
use queue::JobError;
use std::collections::HashMap;
use std::sync::Arc;
use take::take;

/// Objects of a listing read at once.
const PAGE: usize = 1000;

/// Objects that are committed together: viewers see those of a long backlog as they are read.
const BATCH: usize = 64;

/// What a look came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looked {
    /// When it began.
    began: DateTime<Utc>,
    /// When the next one is due.
    pub(super) next_at: Option<DateTime<Utc>>,
}

impl Looked {
    /// The recording ended while this look was under way: what came before the end may have been missed. Whoever ended it
    /// found this job running and enqueued none.
    pub(super) fn misses_end(&self, recording: &Recording) -> bool {
        let ended_at = recording.signalled_at.max(recording.ended_at);
        asks_for_check(recording) && ended_at > Some(self.began)
    }
}

/// The end was signalled or came by silence, and a verdict waits for what a look finds.
pub(super) fn asks_for_check(recording: &Recording) -> bool {
    let confirmed = recording.provisional && recording.signalled_at.is_some();
    recording.state == State::Finalizing && !recording.door().frozen || confirmed
}

/// Looks, if it is the recording of another uploader and something may still come.
pub(super) async fn look(cx: &Context, recording: &Recording) -> Result<Option<Looked>, JobError> {
    let pace = cx.config.bucket.pace();
    if recording.source != Source::Bucket || pause(recording.door(), pace.min, pace).is_none() {
        return Ok(None);
    }
    let (id, began) = (&recording.id, recording.now);
    let seen = bucket::seen(&cx.db, id).await?;
    let listed = bucket::listed(&cx.db, id).await?;
    // A folder tells of no entity tags, so only a listing shows that the manifest is another one; and it costs nothing.
    let reach = if cx.store.is_folder() { Reach::Whole } else { reach(recording.state, listed) };
    let Sight { found, manifest } = match reach {
        Reach::Whole => whole(cx, recording).await?,
        Reach::Ahead => ahead(cx, recording, listed).await?,
    };
    if let Some(manifest) = manifest {
        manifest::read(cx, recording, &seen, manifest).await?;
    }
    let from = if reach == Reach::Whole { [0; 2] } else { listed };
    let known = bucket::known(&cx.db, id, from).await?;
    let new = unread(found, &known, cx.config.limits.segments_max);
    let taken = read_all(cx, recording, new).await?;
    bucket::note_look(&cx.db, id, began, taken > 0).await?;
    let now = recordings::get(&cx.db, id).await?;
    let newest_at = if taken > 0 { None } else { seen.newest_at.or(Some(recording.created_at)) };
    Ok(Some(Looked { began, next_at: now.and_then(|now| next_at(cx, &now, newest_at)) }))
}

/// When the next look is due, when the newest object was found at `newest_at`, or by this look.
fn next_at(cx: &Context, now: &Recording, newest_at: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    let quiet = newest_at.map_or(TimeDelta::zero(), |newest_at| now.now - newest_at);
    let pause = pause(now.door(), quiet.to_std().unwrap_or_default(), cx.config.bucket.pace())?;
    Some(now.now + TimeDelta::from_std(pause).unwrap_or_default())
}

/// Everything of the recording.
async fn whole(cx: &Context, recording: &Recording) -> Result<Sight, JobError> {
    let keys = Keys::new(&recording.owner, &recording.id);
    let mut listing = cx.store.list(&keys.segments_prefix()).await?;
    let mut sight = Sight::default();
    loop {
        let page = listing.page(PAGE).await?;
        if page.is_empty() {
            return Ok(sight);
        }
        page.iter().for_each(|listed| sight.add(&keys, listed));
    }
}

/// Of each track what lies behind the segments that are listed for viewers; late ones before them are found by the look
/// at the end.
async fn ahead(cx: &Context, recording: &Recording, listed: [u32; 2]) -> Result<Sight, JobError> {
    let keys = Keys::new(&recording.owner, &recording.id);
    let mut sight = Sight::default();
    for (track, last) in Track::ALL.into_iter().zip(listed) {
        let after = (last > 0).then(|| keys.segment(track, behind(last)));
        let prefix = format!("{}{track}/", keys.segments_prefix());
        let mut listing = match &after {
            Some(after) => cx.store.list_after(&prefix, after).await?,
            None => cx.store.list(&prefix).await?,
        };
        loop {
            let page = listing.page(PAGE).await?;
            if page.is_empty() {
                break;
            }
            page.iter().for_each(|listed| sight.add(&keys, listed));
        }
        sight.found.retain(|found| found.track != track || found.name == Name::Init || found.name.index() > last);
    }
    if let Some(meta) = cx.store.stat(&keys.manifest()).await? {
        let stamp = meta.etag.unwrap_or_else(|| meta.size_bytes.to_string());
        sight.manifest = Some(ManifestFound { stamp, size_bytes: meta.size_bytes });
    }
    Ok(sight)
}

/// Reads new objects, many at once, and takes them in as they come. Says how many.
async fn read_all(cx: &Context, recording: &Recording, new: Vec<Found>) -> Result<usize, JobError> {
    let (inits, media): (Vec<_>, Vec<_>) = new.into_iter().partition(|found| found.name == Name::Init);
    let mut taken = 0;
    for found in inits {
        let object = head::init(cx, recording, found).await?;
        taken += take(cx, &recording.id, object.into_iter().collect()).await?.unwrap_or(0);
    }
    let inits = head::inits(cx, recording, &media).await?;
    let reads_max = usize::try_from(cx.config.bucket.reads_max).unwrap_or(usize::MAX).max(1);
    let readable = media.into_iter().filter(|found| inits.contains_key(&found.track));
    let reading = readable.map(|found| head::media(cx, recording, &inits, found));
    let mut read = stream::iter(reading).buffered(reads_max).ready_chunks(BATCH);
    while let Some(some) = read.next().await {
        let (mut well, mut fault) = (Vec::new(), None);
        for one in some {
            match one {
                Ok(object) => well.extend(object),
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        let Some(number) = take(cx, &recording.id, well).await? else { return Ok(taken) };
        taken += number;
        if let Some(error) = fault {
            return Err(error);
        }
    }
    Ok(taken)
}

/// Initialization sections by track.
type Inits = HashMap<Track, Arc<media::init::Init>>;

/// An object could be read twice in a row and be two different ones; whoever looks next decides again.
fn gone(id: &RecordingId, found: &Found) {
    tracing::debug!(recording.id = %id, segment.track = %found.track, segment.index = found.name.index(), "object changed while it was read");
}
