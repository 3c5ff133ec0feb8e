//! Rows of listings and playlists made of them, kept in memory.
//!
//! A listing only grows, so what was read is never read again: a poll reads the rows behind the last one that is known,
//! one reader at a time for each track. Its playlist is written when something was appended and not for each viewer. All
//! of it is bounded in bytes and in tracks; what was not used for longest goes first, and costs nothing but another read.

use super::text::{Body, Made, PLACES, Press, Text};
use crate::db::Error;
use crate::db::playlists::{self, Head};
use chrono::{DateTime, Utc};
use domain::id::RecordingId;
use domain::playlist::{ListingRow, Snapshot, render_media};
use domain::segment::Track;
use sea_orm::DatabaseConnection;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OwnedMutexGuard;

/// Tracks kept at most: the bytes of a thousand short recordings are few, their number is not.
const TRACKS_MAX: usize = 2048;

/// About the length of a row in a playlist.
const ROW_BYTES: usize = 64;

/// How the URIs of a playlist are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Links {
    /// Before each URI.
    pub prefix: String,
    /// Behind each URI: empty or the viewer's token.
    pub suffix: String,
}

impl Links {
    /// As the renderer takes them.
    pub(super) fn borrow(&self) -> domain::playlist::Links<'_> {
        domain::playlist::Links { prefix: &self.prefix, suffix: &self.suffix }
    }
}

/// What is kept. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    tracks: Arc<Mutex<Tracks>>,
    size_max: u64,
    press: Arc<Press>,
}

#[derive(Debug, Default)]
struct Tracks {
    /// Grows with each use.
    uses: u64,
    size_bytes: u64,
    kept: HashMap<(RecordingId, Track), Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    kept: Arc<tokio::sync::Mutex<Kept>>,
    used: u64,
    size_bytes: u64,
}

/// One track of one recording.
#[derive(Debug, Default)]
struct Kept {
    /// When the recording was made: an id may be given again long after its recording was erased.
    born: Option<DateTime<Utc>>,
    rows: Vec<ListingRow>,
    /// The playlist with the tag that tells it from every other one.
    text: Option<(String, Arc<Text>)>,
}

impl Kept {
    fn size_bytes(&self) -> u64 {
        let text = self.text.as_ref().map_or(0, |(_, text)| text.size_bytes());
        (text + self.rows.capacity() * size_of::<ListingRow>()) as u64
    }
}

/// A media playlist that somebody wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) head: &'a Head,
    pub(super) track: Track,
    /// What tells this text from every other one of the track.
    pub(super) tag: &'a str,
    pub(super) links: &'a Links,
    pub(super) from_start: bool,
}

impl Cache {
    pub(super) fn new(size_max: u64) -> Cache {
        Cache { tracks: Arc::default(), size_max, press: Arc::new(Press::new()) }
    }

    /// How often what is expensive was done.
    pub(super) fn made(&self) -> Made {
        self.press.made()
    }

    /// The playlist exactly as the head says, however far others have read since.
    pub(super) async fn media(&self, db: &DatabaseConnection, wanted: Wanted<'_>) -> Result<Body, Error> {
        let Wanted { head, track, tag, links, .. } = wanted;
        let slot = self.slot(&head.id, track);
        let mut kept = slot.lock_owned().await;
        if kept.born != Some(head.created_at) {
            *kept = Kept { born: Some(head.created_at), ..Kept::default() };
        }
        let (known, last) = (kept.rows.len() as u64, head.seq(track));
        if known < last {
            let rows = playlists::rows(db, &head.id, track, known, last).await?;
            if rows.len() as u64 != last - known {
                return Err(Error::bad_row("read listing", &head.id, "rows are missing"));
            }
            kept.rows.extend(rows);
        }
        let text = match kept.text.as_ref().filter(|(known, _)| known == tag) {
            Some((_, text)) => Arc::clone(text),
            None => self.write(kept, wanted).await,
        };
        Ok(Body::linked(text, links))
    }

    /// Writes the playlist. Whoever wants the track meanwhile waits for the text and does not write it again.
    async fn write(&self, mut kept: OwnedMutexGuard<Kept>, wanted: Wanted<'_>) -> Arc<Text> {
        let Wanted { head, track, tag, from_start, .. } = wanted;
        let (cache, head, tag) = (self.clone(), head.clone(), tag.to_owned());
        let length = usize::try_from(head.seq(track)).unwrap_or(usize::MAX);
        let write = move || {
            let snapshot = Snapshot {
                target_duration_s: head.target_duration_s.unwrap_or_default(),
                rows: kept.rows.get(..length).unwrap_or(&kept.rows),
                ended: head.ended,
                independent: head.renditions.of(track).is_some_and(|rendition| rendition.independent),
                from_start,
                links: PLACES,
            };
            let text = Arc::new(Text::new(render_media(&snapshot), Arc::clone(&cache.press)));
            kept.text = Some((tag, Arc::clone(&text)));
            let size_bytes = kept.size_bytes();
            drop(kept);
            cache.weigh(&head.id, track, size_bytes);
            text
        };
        self.press.run(length.saturating_mul(ROW_BYTES), write).await
    }

    fn slot(&self, id: &RecordingId, track: Track) -> Arc<tokio::sync::Mutex<Kept>> {
        let mut tracks = self.tracks.lock().unwrap_or_else(PoisonError::into_inner);
        tracks.uses += 1;
        let used = tracks.uses;
        let slot = tracks.kept.entry((id.clone(), track)).or_default();
        slot.used = used;
        Arc::clone(&slot.kept)
    }

    /// Notes what a track weighs now, and lets go of what was not used for longest. Whoever uses it at this moment keeps
    /// what they hold.
    fn weigh(&self, id: &RecordingId, track: Track, size_bytes: u64) {
        let mut tracks = self.tracks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = tracks.kept.get_mut(&(id.clone(), track)) {
            let before = std::mem::replace(&mut slot.size_bytes, size_bytes);
            tracks.size_bytes = tracks.size_bytes - before + size_bytes;
        }
        while tracks.size_bytes > self.size_max || tracks.kept.len() > TRACKS_MAX {
            let oldest = tracks.kept.iter().min_by_key(|(_, slot)| slot.used).map(|(key, _)| key.clone());
            let Some(slot) = oldest.and_then(|key| tracks.kept.remove(&key)) else { break };
            tracks.size_bytes -= slot.size_bytes;
        }
    }

    /// Tracks and bytes that are kept.
    #[cfg(test)]
    fn stand(&self) -> (usize, u64) {
        let tracks = self.tracks.lock().unwrap();
        (tracks.kept.len(), tracks.size_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> RecordingId {
        RecordingId::parse(&format!("r{n}")).unwrap()
    }

    #[test]
    fn cache_lets_go_of_what_was_not_used_for_longest() {
        let cache = Cache::new(100);
        for n in 0..3 {
            cache.slot(&id(n), Track::Video);
            cache.weigh(&id(n), Track::Video, 40);
            // The first one is asked for again and again.
            cache.slot(&id(0), Track::Video);
        }
        assert_eq!(cache.stand(), (2, 80));
        let kept = cache.tracks.lock().unwrap().kept.contains_key(&(id(0), Track::Video));
        assert!(kept, "the one in use stays");
        cache.weigh(&id(0), Track::Video, 1000);
        assert_eq!(cache.stand(), (0, 0), "what is larger than everything is not kept");
    }

    #[test]
    fn cache_bounds_the_number_of_tracks() {
        let cache = Cache::new(u64::MAX);
        for n in 0..TRACKS_MAX + 5 {
            cache.slot(&id(n), Track::Audio);
            cache.weigh(&id(n), Track::Audio, 1);
        }
        assert_eq!(cache.stand(), (TRACKS_MAX, TRACKS_MAX as u64));
    }
}
