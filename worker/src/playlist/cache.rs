//! Rows of listings and playlists made of them, kept in memory.
//!
//! A listing only grows, so what was read is never read again: a poll reads the rows behind the last one that is known,
//! one reader at a time for each track. A playlist as text, and the same compressed, are kept until something was
//! appended. All of it is bounded in bytes and in tracks; what was not used for longest goes first, and costs nothing
//! but another read.

use crate::db::Error;
use crate::db::playlists::{self, Head};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::id::RecordingId;
use domain::playlist::{ListingRow, Snapshot, render_media};
use domain::segment::Track;
use flate2::Compression;
use flate2::write::GzEncoder;
use sea_orm::DatabaseConnection;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Tracks kept at most: the bytes of a thousand short recordings are few, their number is not.
const TRACKS_MAX: usize = 2048;

/// Texts of one track kept at most. Each viewer's token makes another one.
const TEXTS_MAX: usize = 32;

/// The part of the memory that texts of one track may take: they are written again in no time, and the rows that they are
/// made of, which would go with them, are a read of the whole listing.
const TEXTS_PARTS: u64 = 4;

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

/// A playlist.
#[derive(Debug)]
pub struct Body {
    text: Bytes,
    gzip: OnceLock<Bytes>,
}

impl Body {
    pub(super) fn new(text: String) -> Body {
        Body { text: text.into(), gzip: OnceLock::new() }
    }

    /// As it is.
    pub fn text(&self) -> Bytes {
        self.text.clone()
    }

    /// Compressed, once.
    pub fn gzip(&self) -> Bytes {
        let compress = || {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&self.text).expect("memory takes every byte");
            encoder.finish().expect("memory takes every byte").into()
        };
        self.gzip.get_or_init(compress).clone()
    }

    fn size_bytes(&self) -> usize {
        self.text.len() + self.gzip.get().map_or(0, Bytes::len)
    }
}

/// What is kept. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    tracks: Arc<Mutex<Tracks>>,
    size_max: u64,
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
    texts: Vec<Text>,
}

#[derive(Debug)]
struct Text {
    links: Links,
    tag: String,
    body: Arc<Body>,
}

impl Kept {
    fn size_bytes(&self) -> u64 {
        self.texts_bytes() + (self.rows.capacity() * size_of::<ListingRow>()) as u64
    }

    fn texts_bytes(&self) -> u64 {
        self.texts.iter().map(|text| text.body.size_bytes() + text.links.suffix.len()).sum::<usize>() as u64
    }

    /// Keeps a text in place of an earlier one with the same links, and lets go of the oldest others beyond the bounds.
    fn keep(&mut self, text: Text, bytes_max: u64) {
        self.texts.retain(|known| known.links != text.links);
        self.texts.push(text);
        while self.texts.len() > 1 && (self.texts.len() > TEXTS_MAX || self.texts_bytes() > bytes_max) {
            self.texts.remove(0);
        }
    }
}

/// A media playlist that somebody wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) head: &'a Head,
    pub(super) track: Track,
    /// What tells this text from every other one with the same links.
    pub(super) tag: &'a str,
    pub(super) links: &'a Links,
    pub(super) from_start: bool,
}

impl Cache {
    pub(super) fn new(size_max: u64) -> Cache {
        Cache { tracks: Arc::default(), size_max }
    }

    /// The playlist exactly as the head says, however far others have read since.
    pub(super) async fn media(&self, db: &DatabaseConnection, wanted: Wanted<'_>) -> Result<Arc<Body>, Error> {
        let Wanted { head, track, tag, links, from_start } = wanted;
        let slot = self.slot(&head.id, track);
        let mut kept = slot.lock().await;
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
        if let Some(text) = kept.texts.iter().find(|text| text.tag == tag && text.links == *links) {
            return Ok(Arc::clone(&text.body));
        }
        let snapshot = Snapshot {
            target_duration_s: head.target_duration_s.unwrap_or_default(),
            rows: kept.rows.get(..usize::try_from(last).unwrap_or(usize::MAX)).unwrap_or(&kept.rows),
            ended: head.ended,
            independent: head.renditions.of(track).is_some_and(|rendition| rendition.independent),
            from_start,
            links: links.borrow(),
        };
        let body = Arc::new(Body::new(render_media(&snapshot)));
        let text = Text { links: links.clone(), tag: tag.to_owned(), body: Arc::clone(&body) };
        kept.keep(text, self.size_max / TEXTS_PARTS);
        let size_bytes = kept.size_bytes();
        drop(kept);
        self.weigh(&head.id, track, size_bytes);
        Ok(body)
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

    #[test]
    fn texts_of_many_viewers_take_a_bounded_part() {
        let text = |viewer: usize| Text {
            links: Links { prefix: String::new(), suffix: format!("?{viewer}") },
            tag: String::new(),
            body: Arc::new(Body::new("x".repeat(100))),
        };
        let mut kept = Kept::default();
        (0..50).for_each(|viewer| kept.keep(text(viewer), 1000));
        assert_eq!((kept.texts.len(), kept.texts.last().unwrap().links.suffix.as_str()), (9, "?49"));
        kept.keep(text(49), 1000);
        assert_eq!(kept.texts.len(), 9, "the same viewer again");
        kept.keep(text(50), 10);
        assert_eq!(kept.texts.len(), 1, "the one that is wanted stays");
    }

    #[test]
    fn body_is_compressed_once() {
        let body = Body::new("#EXTM3U\n".repeat(1000));
        let gzip = body.gzip();
        assert!(gzip.len() < 200 && gzip.as_ptr() == body.gzip().as_ptr());
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&gzip[..]), &mut text).unwrap();
        assert_eq!(text.as_bytes(), body.text());
    }
}
