//! Brings what is received into the store.
//!
//! Done when: no segment of the recording is received, viewers see what they may see, and the manifest names all of it.
//! Safe to repeat: yes. An object is written under its final key with the bytes that were acknowledged, so a second
//! write changes nothing; a row is settled by compare-and-set; the listing refuses an index twice. Staged bytes go only
//! after the commit that says that the store has them.

use super::{Job, end_in, obsolete, unless_locked};
use crate::context::Context;
use crate::db::recordings::{self, Advanced, From, Recording};
use crate::db::segments::{self, Segment};
use crate::db::{self, events, listing, plans};
use crate::staging::{self, Uri};
use chrono::{DateTime, Utc};
use domain::id::{RecordingId, Sha256};
use domain::job::{ManifestCheck, Queue, Upload};
use domain::key::Keys;
use domain::manifest::{Manifest, VERSION};
use domain::playlist;
use domain::recording::{Cause, State};
use domain::segment::{Name, Track};
use futures_util::StreamExt as _;
use futures_util::stream;
use queue::enqueue;
use queue::{JobCtx, JobError, Outcome};
use sea_orm::DatabaseTransaction;
use serde_json::json;
use sha2::Digest as _;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// Segments of one recording on their way at once: hides the store's round trips, leaves bandwidth to other recordings.
const PARALLEL: usize = 4;

/// Rows read at once.
const BATCH: u32 = 64;

/// Piece in which staged bytes are hashed.
const PIECE_BYTES: usize = 256 << 10;

impl Job for Upload {
    async fn run(&self, cx: &Context, ctx: &JobCtx) -> Result<Outcome, JobError> {
        let Some(recording) = recordings::get(&cx.db, &self.recording).await?.filter(takes_segments) else {
            return Ok(obsolete());
        };
        drain(cx, &recording).await?;
        let listed = list_alone(cx, &self.recording).await?;
        let manifest = write_manifest(cx, ctx, &self.recording).await?;
        end(cx, ctx, &self.recording, [listed, manifest].into_iter().flatten().min()).await
    }
}

/// Whether the recording still has a use for segments.
fn takes_segments(recording: &Recording) -> bool {
    match recording.state {
        State::Live | State::Finalizing | State::Ready | State::Failed => true,
        State::Archived | State::Cancelled | State::Deleted => false,
    }
}

/// Brings every received segment to its end. A fault of one ends the attempt in a retry, after those that went well are
/// committed.
async fn drain(cx: &Context, recording: &Recording) -> Result<(), JobError> {
    let keys = Keys::new(&recording.owner, &recording.id);
    loop {
        let rows = segments::received(&cx.db, &recording.id, BATCH).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let bringing = rows.into_iter().map(|segment| bring(cx, &keys, segment));
        let mut brought = stream::iter(bringing).buffer_unordered(PARALLEL).ready_chunks(PARALLEL);
        while let Some(some) = brought.next().await {
            let (mut well, mut fault) = (Vec::new(), None);
            for one in some {
                match one {
                    Ok(brought) => well.push(brought),
                    Err(error) => fault = Some(error),
                }
            }
            // Without this the rows of a recording that was given up meanwhile would be brought again and again.
            let goes_on = settle(cx, &recording.id, &well).await?;
            if let Some(error) = fault {
                return Err(error);
            }
            if !goes_on {
                return Ok(());
            }
        }
    }
}

/// What became of one segment's bytes.
struct Brought {
    segment: Segment,
    fate: Fate,
}

enum Fate {
    /// The store has the object.
    Stored { etag: Option<String> },
    /// The bytes that were acknowledged are gone or others, and the store has no object.
    Lost { cause: &'static str },
}

async fn bring(cx: &Context, keys: &Keys, segment: Segment) -> Result<Brought, JobError> {
    let key = keys.segment(segment.row.track, Name::of_index(segment.row.index));
    let cause = match copy(cx, &key, &segment).await? {
        Ok(etag) => return Ok(Brought { segment, fate: Fate::Stored { etag } }),
        Err(cause) => cause,
    };
    // An earlier attempt may have written the object and removed the bytes although its commit is not known here.
    let fate = match cx.store.stat(&key).await? {
        Some(meta) if meta.size_bytes == segment.row.size_bytes => {
            let same = Sha256::of(&cx.store.get(&key).await?) == segment.row.sha256;
            if same { Fate::Stored { etag: meta.etag } } else { Fate::Lost { cause } }
        }
        _ => Fate::Lost { cause },
    };
    Ok(Brought { segment, fate })
}

/// Copies staged bytes to their final key, after they were held to their length and digest. The inner error says in
/// which way the bytes are not those that were acknowledged.
async fn copy(cx: &Context, key: &str, segment: &Segment) -> Result<Result<Option<String>, &'static str>, JobError> {
    let Some(uri) = segment.staging_uri.as_deref().and_then(|uri| uri.parse::<Uri>().ok()) else {
        return Ok(Err("no-staging-uri"));
    };
    let open = || async {
        match cx.staging.open_bytes(&uri).await {
            Err(staging::Error::NotFound { .. }) => Ok(None),
            opened => opened.map(Some),
        }
    };
    let Some((mut file, size_bytes)) = open().await? else { return Ok(Err("gone")) };
    if size_bytes != segment.row.size_bytes {
        return Ok(Err("another-length"));
    }
    if hash(&mut file).await? != segment.row.sha256 {
        return Ok(Err("other-bytes"));
    }
    let Some((file, _)) = open().await? else { return Ok(Err("gone")) };
    let meta = cx.store.put_from(key, file, segment.row.size_bytes).await?;
    Ok(Ok(meta.etag))
}

async fn hash(file: &mut tokio::fs::File) -> Result<Sha256, JobError> {
    let (mut hasher, mut piece) = (sha2::Sha256::new(), vec![0; PIECE_BYTES]);
    loop {
        let read = file.read(&mut piece).await;
        let read = read.map_err(|error| JobError::new(domain::retry::Fault::Transient, "staging", error))?;
        if read == 0 {
            return Ok(Sha256(hasher.finalize().into()));
        }
        hasher.update(&piece[..read]);
    }
}

/// Writes what became of some segments, and in the same transaction lists what viewers may now see. False when the
/// recording has no use for them any more.
async fn settle(cx: &Context, id: &RecordingId, some: &[Brought]) -> Result<bool, JobError> {
    if some.is_empty() {
        return Ok(true);
    }
    let tx = db::begin(&cx.db).await?;
    let Some(recording) = listing::hold(&tx, id).await?.filter(takes_segments) else { return Ok(false) };
    let mut settled = false;
    for Brought { segment, fate } in some {
        settled |= match fate {
            Fate::Stored { etag } => segments::mark_stored(&tx, id, &segment.row, etag.as_deref()).await?,
            Fate::Lost { cause } => lose(&tx, id, segment, cause).await?,
        };
    }
    if settled {
        go_on(&tx, recording).await?;
        list(cx, &tx, id).await?;
    }
    db::commit(tx).await?;
    for Brought { segment, fate } in some {
        if let (Fate::Stored { .. }, Some(Ok(uri))) = (fate, segment.staging_uri.as_deref().map(str::parse::<Uri>))
            && let Err(error) = cx.staging.remove(&uri).await
        {
            tracing::warn!(recording.id = %id, error = %error, "staged bytes not removed, the next scan will");
        }
    }
    Ok(true)
}

async fn lose(tx: &DatabaseTransaction, id: &RecordingId, segment: &Segment, cause: &str) -> Result<bool, JobError> {
    let (track, index) = (segment.row.track, segment.row.index);
    let lost = segments::mark_lost(tx, id, &segment.row, cause).await?;
    if lost {
        tracing::error!(recording.id = %id, segment.track = %track, segment.index = index, cause, "acknowledged segment lost");
        events::append(tx, id, "segment.lost", json!({ "track": track, "index": index, "cause": cause })).await?;
    }
    Ok(lost)
}

/// A segment that came after a provisional end: the recording goes on. Accept must not be let in or shut out between
/// the look at the flag and the change, so the row is taken FOR UPDATE, which waits for those that accept now.
async fn go_on(tx: &DatabaseTransaction, recording: Recording) -> Result<(), JobError> {
    let provisional_end = recording.provisional && matches!(recording.state, State::Finalizing | State::Ready);
    if !provisional_end {
        return Ok(());
    }
    let Some(recording) = recordings::lock(tx, &recording.id).await? else { return Ok(()) };
    let id = &recording.id;
    if let Advanced::To(_) = recordings::advance(tx, id, From::of(&recording), Cause::LateSegment, json!({})).await? {
        plans::next_version(tx, id).await?;
        if recording.signalled_at.is_some() {
            // The end was signalled meanwhile: it is now the end of more than the plan knew.
            put_check(tx, &recording).await?;
        }
    }
    Ok(())
}

async fn put_check(tx: &DatabaseTransaction, recording: &Recording) -> Result<(), JobError> {
    let check = enqueue::Enqueue::of(&ManifestCheck { recording: recording.id.clone() })?;
    check.owned_by(recording.owner.as_str()).hastening().put(tx).await?;
    Ok(())
}

/// Appends to the listing what viewers may see now; says when to look again although nothing new comes.
async fn list(cx: &Context, tx: &DatabaseTransaction, id: &RecordingId) -> Result<Option<DateTime<Utc>>, JobError> {
    let sides = listing::sides(tx, id).await?;
    let first = sides.iter().find_map(|side| side.stored.first().map(|first| first.span));
    let now = db::settings::now(tx).await?;
    let append = playlist::next(sides, now, cx.config.live.gap_after);
    if let (false, Some(first)) = (append.rows.is_empty(), first) {
        listing::decide_target_duration(tx, id, playlist::target_duration_s(first)).await?;
    }
    listing::append(tx, id, &append.rows).await?;
    Ok(append.wait_until)
}

/// Lists what became due by time alone: gaps.
async fn list_alone(cx: &Context, id: &RecordingId) -> Result<Option<DateTime<Utc>>, JobError> {
    let tx = db::begin(&cx.db).await?;
    let Some(_) = listing::hold(&tx, id).await?.filter(takes_segments) else { return Ok(None) };
    let wait_until = list(cx, &tx, id).await?;
    db::commit(tx).await?;
    Ok(wait_until)
}

/// Writes the manifest if it does not know all that is stored: at most once in its interval, and once more, complete,
/// when the plan is frozen. After the objects it names, and by this job alone, so it never goes back. Says when it will
/// be due.
async fn write_manifest(cx: &Context, ctx: &JobCtx, id: &RecordingId) -> Result<Option<DateTime<Utc>>, JobError> {
    let Some(recording) = recordings::get(&cx.db, id).await?.filter(takes_segments) else { return Ok(None) };
    let frozen_at = listing::frozen_at(&cx.db, id, recording.plan_version).await?;
    let complete = frozen_at.is_some() && !recording.provisional;
    let final_due = complete && recording.manifest_at < frozen_at;
    if recording.manifest_seq >= recording.stored_seq && !final_due {
        return Ok(None);
    }
    let interval = chrono::TimeDelta::from_std(cx.config.live.manifest_interval).unwrap_or_default();
    let due_at = recording.manifest_at.map_or(recording.now, |at| at + interval);
    if due_at > recording.now && !final_due {
        return Ok(Some(due_at));
    }
    let video = listing::claim(&cx.db, id, Track::Video).await?;
    let audio = listing::claim(&cx.db, id, Track::Audio).await?;
    let manifest = Manifest { version: VERSION, video, audio, complete };
    // The manifest is the one object that is rewritten. An attempt that slept through its lease must not put an old one
    // over what its successor wrote, so it asks once more whether the job is still its own.
    if !ctx.is_mine().await? {
        return Err(JobError::new(domain::retry::Fault::Cancelled, "lost", "the job was taken from this attempt"));
    }
    let key = Keys::new(&recording.owner, id).manifest();
    cx.store.put(&key, manifest.render().into()).await?;
    listing::manifest_written(&cx.db, id, recording.stored_seq).await?;
    Ok(None)
}

/// Ends the attempt, or looks again.
///
/// Accept inserts the row of a segment and then finds this job running, so it enqueues none. Were this to look first and
/// end afterwards, a segment committed in between would wait for ever. So it takes the recording FOR UPDATE, which waits
/// for everyone who accepts now and keeps others out, looks again, and ends in the same transaction.
async fn end(
    cx: &Context,
    ctx: &JobCtx,
    id: &RecordingId,
    wait_until: Option<DateTime<Utc>>,
) -> Result<Outcome, JobError> {
    let tx = db::begin(&cx.db).await?;
    let recording = match unless_locked(recordings::lock(&tx, id).await)? {
        Ok(Some(recording)) if takes_segments(&recording) => recording,
        Ok(_) => return Ok(obsolete()),
        Err(later) => return Ok(later),
    };
    if !segments::received(&tx, id, 1).await?.is_empty() {
        return end_in(cx, ctx, tx, Outcome::Snooze(Duration::ZERO), &[]).await;
    }
    let mut ring: &[Queue] = &[];
    if recording.state == State::Finalizing && !recording.door().frozen {
        put_check(&tx, &recording).await?;
        ring = &[Queue::Control];
    }
    let wait = wait_until.map(|until| (until - recording.now).to_std().unwrap_or_default());
    let outcome = wait.map_or(Outcome::Completed, Outcome::Snooze);
    end_in(cx, ctx, tx, outcome, ring).await
}
