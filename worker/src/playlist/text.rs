//! A media playlist as text: written once for all viewers, with places for what each viewer's links differ in.
//!
//! Eight hours are half a megabyte, and a listing that goes on changes every two seconds. Written anew for each viewer, by
//! the threads that answer requests, one long recording would slow down everybody's segments. So a text is written when
//! something was appended, each viewer's links are put in on the way out, and what is long is made on threads of its own,
//! a few at a time. Owns how much is kept of what was compressed; it knows no listing and no HTTP.

use super::Links;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::VecDeque;
use std::io::{BufWriter, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OnceCell, Semaphore};

/// Stand in a written text where a viewer's links begin and end. A playlist is made of tags, numbers and names of ours,
/// and none of them has a control character.
const BEGIN: char = '\u{1}';
const END: char = '\u{0}';

/// Links with which a text is written for everybody.
pub(super) const PLACES: domain::playlist::Links<'static> =
    domain::playlist::Links { prefix: "\u{1}", suffix: "\u{0}" };

/// A text from this length on is made on a thread of its own: shorter ones take less than a switch between threads is
/// worth, and longer ones milliseconds, in which a thread that answers requests answers nobody else.
const LONG_BYTES: usize = 32 << 10;

/// Most viewers whose compressed bytes are kept of one text, or are being made at this moment.
const COMPRESSED_MAX: usize = 32;

/// Pieces between two places are short; the compressor takes them by this many bytes.
const PIECE_BYTES: usize = 16 << 10;

/// How often what is expensive was done since the process began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Made {
    /// Media playlists that were written of rows.
    pub written: u64,
    /// Playlists that were compressed.
    pub compressed: u64,
}

/// Where long texts are made, and how often.
#[derive(Debug)]
pub(super) struct Press {
    at_once: Arc<Semaphore>,
    written: AtomicU64,
    compressed: AtomicU64,
}

impl Press {
    pub(super) fn new() -> Press {
        // As many as there are cores: more would take memory and be no faster.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let at_once = Arc::new(Semaphore::new(cores));
        Press { at_once, written: AtomicU64::new(0), compressed: AtomicU64::new(0) }
    }

    pub(super) fn made(&self) -> Made {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Made { written: count(&self.written), compressed: count(&self.compressed) }
    }

    /// Makes something of about `size_bytes`, elsewhere when that is long. It is made to its end also when nobody waits
    /// any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        size_bytes: usize,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        if size_bytes < LONG_BYTES {
            return make();
        }
        let permit = Arc::clone(&self.at_once).acquire_owned().await.expect("it is never closed");
        let made = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            make()
        });
        made.await.expect("writing into memory does not panic")
    }
}

/// A text with its places.
#[derive(Debug)]
pub(super) struct Text {
    written: String,
    compressed: Mutex<VecDeque<Compressed>>,
    press: Arc<Press>,
}

#[derive(Debug)]
struct Compressed {
    links: Links,
    /// Whoever comes while it is made waits for it.
    bytes: Arc<OnceCell<Bytes>>,
}

impl Text {
    /// A text that was written with [`PLACES`].
    pub(super) fn new(written: String, press: Arc<Press>) -> Text {
        press.written.fetch_add(1, Ordering::Relaxed);
        Text { written, compressed: Mutex::default(), press }
    }

    /// The memory that it may take: what is kept compressed takes no more than the text itself.
    pub(super) fn size_bytes(&self) -> usize {
        self.written.len() * 2
    }

    fn splice(&self, links: &Links) -> Bytes {
        let places = self.written.len() / 32 * (links.prefix.len() + links.suffix.len());
        let mut text = Vec::with_capacity(self.written.len() + places);
        for piece in self.pieces(links) {
            text.extend_from_slice(piece.as_bytes());
        }
        text.into()
    }

    fn compress(&self, links: &Links) -> Bytes {
        self.press.compressed.fetch_add(1, Ordering::Relaxed);
        gzip(self.pieces(links))
    }

    fn pieces<'a>(&'a self, links: &'a Links) -> impl Iterator<Item = &'a str> {
        self.written.split_inclusive([BEGIN, END]).flat_map(|piece| match piece.strip_suffix(BEGIN) {
            Some(before) => [before, &links.prefix],
            None => piece.strip_suffix(END).map_or([piece, ""], |before| [before, &links.suffix]),
        })
    }

    fn compressed(&self, links: &Links) -> Arc<OnceCell<Bytes>> {
        let mut kept = self.compressed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.iter().find(|known| known.links == *links) {
            return Arc::clone(&known.bytes);
        }
        if kept.len() >= COMPRESSED_MAX {
            kept.pop_front();
        }
        let bytes = Arc::default();
        kept.push_back(Compressed { links: links.clone(), bytes: Arc::clone(&bytes) });
        bytes
    }

    /// Lets go of the oldest beyond the bound.
    fn trim(&self) {
        let mut kept = self.compressed.lock().unwrap_or_else(PoisonError::into_inner);
        let weight = |known: &Compressed| known.bytes.get().map_or(0, Bytes::len) + known.links.suffix.len();
        let mut size_bytes = kept.iter().map(weight).sum::<usize>();
        while size_bytes > self.written.len()
            && let Some(oldest) = kept.pop_front()
        {
            size_bytes -= weight(&oldest);
        }
    }
}

/// A playlist for one viewer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Body(Form);

#[derive(Debug, Clone)]
enum Form {
    /// A few lines.
    Short(Bytes),
    /// A text with the viewer's links.
    Linked(Arc<Text>, Links),
}

impl Body {
    pub(super) fn short(text: String) -> Body {
        Body(Form::Short(text.into()))
    }

    pub(super) fn linked(text: Arc<Text>, links: &Links) -> Body {
        Body(Form::Linked(text, links.clone()))
    }

    /// As it is.
    pub async fn plain(&self) -> Bytes {
        match &self.0 {
            Form::Short(bytes) => bytes.clone(),
            Form::Linked(text, links) => make(text, links, Text::splice).await,
        }
    }

    /// Compressed: once for all who share these links, as long as it is kept.
    pub async fn gzip(&self) -> Bytes {
        match &self.0 {
            Form::Short(bytes) => gzip([std::str::from_utf8(bytes).expect("it was made of a text")]),
            Form::Linked(text, links) => {
                let once = text.compressed(links);
                let bytes = once.get_or_init(|| make(text, links, Text::compress)).await.clone();
                text.trim();
                bytes
            }
        }
    }
}

async fn make(text: &Arc<Text>, links: &Links, how: fn(&Text, &Links) -> Bytes) -> Bytes {
    let (own, links) = (Arc::clone(text), links.clone());
    text.press.run(text.written.len(), move || how(&own, &links)).await
}

fn gzip<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Bytes {
    const MEMORY: &str = "memory takes every byte";
    let mut writer = BufWriter::with_capacity(PIECE_BYTES, GzEncoder::new(Vec::new(), Compression::default()));
    for piece in pieces {
        writer.write_all(piece.as_bytes()).expect(MEMORY);
    }
    let encoder = writer.into_inner().map_err(std::io::IntoInnerError::into_error).expect(MEMORY);
    encoder.finish().expect(MEMORY).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(viewer: usize) -> Links {
        Links { prefix: "../hls/r/".to_owned(), suffix: format!("?token={viewer}") }
    }

    fn text(lines: usize) -> (Arc<Text>, Arc<Press>) {
        let press = Arc::new(Press::new());
        let line = |n| format!("#EXTINF:2.000000,\n{BEGIN}segments/video/segment_{n:03}.m4s{END}\n");
        let written = format!("#EXTM3U\n{}#EXT-X-ENDLIST\n", (0..lines).map(line).collect::<String>());
        (Arc::new(Text::new(written, Arc::clone(&press))), press)
    }

    fn unzip(gzip: &[u8]) -> String {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(gzip), &mut text).unwrap();
        text
    }

    #[tokio::test]
    async fn links_are_put_in_at_their_places() {
        let (text, _) = text(1);
        for (links, uri) in [
            (links(7), "../hls/r/segments/video/segment_000.m4s?token=7"),
            (Links { prefix: String::new(), suffix: String::new() }, "segments/video/segment_000.m4s"),
        ] {
            let expected = format!("#EXTM3U\n#EXTINF:2.000000,\n{uri}\n#EXT-X-ENDLIST\n");
            let body = Body::linked(Arc::clone(&text), &links);
            assert_eq!(body.plain().await, expected);
            assert_eq!(unzip(&body.gzip().await), expected);
        }
    }

    /// A long one is made on another thread, so that those who come meanwhile do meet.
    #[tokio::test]
    async fn text_is_compressed_once_for_all_who_share_a_token() {
        let (text, press) = text(2000);
        assert!(text.written.len() > LONG_BYTES);
        let bodies: Vec<_> = (0..40).map(|n| Body::linked(Arc::clone(&text), &links(n % 2))).collect();
        let all = futures_util::future::join_all(bodies.iter().map(Body::gzip)).await;
        assert_eq!(press.made(), Made { written: 1, compressed: 2 });
        assert!(all.iter().step_by(2).all(|bytes| bytes.as_ptr() == all[0].as_ptr()));
        assert!(unzip(&all[1]).contains("?token=1") && !unzip(&all[1]).contains("?token=0"));
    }

    #[tokio::test]
    async fn what_is_kept_compressed_takes_no_more_than_the_text() {
        for lines in [1, 100, 2000] {
            let (text, press) = text(lines);
            for viewer in 0..50 {
                Body::linked(Arc::clone(&text), &links(viewer)).gzip().await;
            }
            assert_eq!(press.made().compressed, 50);
            let kept = text.compressed.lock().unwrap();
            let size_bytes: usize = kept.iter().map(|known| known.bytes.get().unwrap().len()).sum();
            assert!(size_bytes <= text.written.len() && kept.len() <= COMPRESSED_MAX, "{lines}: {size_bytes}");
            assert!(lines == 1 || kept.back().is_some_and(|newest| newest.links == links(49)), "{lines}");
        }
    }
}
