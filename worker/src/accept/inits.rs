//! Initialization sections that are needed to read the segments of their track.

use super::Refusal;
use crate::context::Context;
use crate::db;
use crate::db::recordings::Recording;
use crate::db::segments::{self, Segment};
use crate::staging::Uri;
use domain::id::RecordingId;
use domain::segment::{Name, State, Track};
use media::init::Init;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::AsyncReadExt as _;

/// Sections kept: two for each of a few hundred recordings that are live at once, at one or two kilobytes.
const KEPT_MAX: usize = 1024;

/// Looks at a row before giving up: between two of them its bytes move from staging into the store at most once.
const LOOKS_MAX: u32 = 3;

/// Initialization sections of live tracks. An acknowledged one never changes, so what was read once holds.
/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Inits {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    by_track: HashMap<(RecordingId, Track), Arc<Init>>,
    /// Oldest first.
    order: VecDeque<(RecordingId, Track)>,
}

impl Inits {
    /// The section of a track, read again where its bytes are if need be.
    ///
    /// # Errors
    /// [`Refusal::NoInit`] when it has not come, or was lost; else what stands in the way.
    pub async fn get(&self, cx: &Context, recording: &Recording, track: Track) -> Result<Arc<Init>, Refusal> {
        let key = (recording.id.clone(), track);
        if let Some(init) = self.lock().by_track.get(&key) {
            return Ok(Arc::clone(init));
        }
        for _ in 0..LOOKS_MAX {
            let row = segments::get(&cx.db, &recording.id, track, Name::Init).await?.ok_or(Refusal::NoInit)?;
            if let Some(bytes) = read(cx, recording, &row).await? {
                let init = Init::parse(track, &bytes)?;
                self.put(&recording.id, track, init.clone());
                return Ok(Arc::new(init));
            }
        }
        Err(Refusal::NoInit)
    }

    /// Keeps a section that was just acknowledged.
    pub fn put(&self, recording: &RecordingId, track: Track, init: Init) {
        let key = (recording.clone(), track);
        let mut kept = self.lock();
        if kept.by_track.insert(key.clone(), Arc::new(init)).is_none() {
            kept.order.push_back(key);
        }
        while kept.order.len() > KEPT_MAX {
            if let Some(oldest) = kept.order.pop_front() {
                kept.by_track.remove(&oldest);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes of a section; `None` when they are not where the row said a moment ago.
async fn read(cx: &Context, recording: &Recording, row: &Segment) -> Result<Option<Vec<u8>>, Refusal> {
    match row.row.state {
        State::Lost => Err(Refusal::NoInit),
        // What came through a server is in its row too: a store that is away must stop no segment.
        State::Received | State::Stored => match db::inits::body(&cx.db, &recording.id, row.row.track).await? {
            Some(bytes) => Ok(Some(bytes)),
            None => fetch(cx, recording, row).await,
        },
    }
}

/// The same from where the object lies.
async fn fetch(cx: &Context, recording: &Recording, row: &Segment) -> Result<Option<Vec<u8>>, Refusal> {
    if row.row.state == State::Stored {
        let key = domain::key::Keys::new(&recording.owner, &recording.id).segment(row.row.track, Name::Init);
        return match cx.store.get(&key).await {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        };
    }
    let Some(Ok(uri)) = row.staging_uri.as_deref().map(str::parse::<Uri>) else { return Ok(None) };
    let (reader, size_bytes) = match cx.staging.open_bytes(&uri).await {
        Ok(opened) => opened,
        Err(crate::staging::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    let read = reader.take(size_bytes).read_to_end(&mut bytes).await;
    read.map_err(|source| crate::staging::Error::Volume { operation: "read", object: uri.to_string(), source })?;
    Ok(Some(bytes))
}
