//! What viewers see of a recording that goes on.
//!
//! The listing is the truth: [`extend()`] appends to it, in the transaction that stores segments, and everything else
//! here reads it. Owns what is kept in memory of listings and of playlists made of them, and the requests that wait for
//! a beginning. It reads no object and knows nothing of HTTP; what a playlist says is written by `domain::playlist`
//! alone.
//!
//! A poll is one statement, whatever comes of it; only what was appended since is read besides.

mod cache;
mod extend;
mod held;
mod text;

pub use crate::db::playlists::Head;
pub use cache::Links;
pub use extend::{Extended, extend};
pub use text::{Body, Made};

use crate::config::Config;
use crate::db::{Error, playlists};
use cache::{Cache, Wanted};
use domain::id::{RecordingId, Sha256};
use domain::playlist::{Multivariant, render_multivariant};
use domain::recording::State;
use domain::segment::Track;
use held::Held;
use sea_orm::DatabaseConnection;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A track alone is believed to be all there is from its second segment on: the other one's initialization section may
/// come a moment later, and a player reads the multivariant playlist once.
const ALONE_SEQ: u64 = 2;

/// Which playlist of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The one that names the others.
    Multivariant,
    /// The segments of one track.
    Media(Track),
}

/// Whether there is something to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// There is.
    Now,
    /// There is, and soon perhaps more of it: worth a wait.
    Almost,
    /// Not yet.
    Later,
    /// No, and nothing will come by itself.
    Never,
}

/// Whether `head` has something to show of a playlist.
pub fn shows(head: &Head, kind: Kind) -> Shows {
    let goes_on = match head.state {
        State::Live | State::Finalizing => !head.ended,
        State::Ready | State::Failed | State::Archived | State::Cancelled | State::Deleted => false,
    };
    let there = match kind {
        Kind::Multivariant => !head.renditions.is_empty(),
        Kind::Media(track) => head.seq(track) > 0,
    };
    let both = head.renditions.video.is_some() && head.renditions.audio.is_some();
    let alone = kind == Kind::Multivariant && !both && head.video_seq.max(head.audio_seq) < ALONE_SEQ;
    match (there, goes_on) {
        (true, true) if alone => Shows::Almost,
        (true, _) => Shows::Now,
        (false, true) => Shows::Later,
        (false, false) => Shows::Never,
    }
}

/// Reads playlists. Cheap to clone; one for a process, so that viewers share what was read.
#[derive(Debug, Clone)]
pub struct Playlists {
    db: DatabaseConnection,
    cache: Cache,
    held: Held,
    hold: Duration,
    from_start: bool,
    stop: CancellationToken,
}

impl Playlists {
    /// An empty memory. Whoever waits is let go when `stop` is cancelled.
    pub fn new(db: DatabaseConnection, config: &Config, stop: CancellationToken) -> Playlists {
        let limits = &config.limits;
        Playlists {
            db,
            cache: Cache::new(limits.playlist_cache.0),
            held: Held::new(limits.playlist_hold_max, limits.playlist_holds_max),
            hold: limits.playlist_hold,
            from_start: config.live.from_start,
            stop,
        }
    }

    /// Looks for those who wait, until the process stops. Without it nobody who waits hears of anything.
    pub async fn run(&self) {
        tokio::select! {
            () = self.held.look(&self.db) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Requests that are held now.
    pub fn held(&self) -> u32 {
        self.held.count()
    }

    /// How often playlists were written and compressed since the process began.
    pub fn made(&self) -> Made {
        self.cache.made()
    }

    /// How the playlists of a recording stand: one statement. `None` when there is no such recording.
    ///
    /// # Errors
    /// The database's.
    pub async fn head(&self, id: &RecordingId) -> Result<Option<Head>, Error> {
        Ok(playlists::heads(&self.db, std::slice::from_ref(id)).await?.pop())
    }

    /// Holds a request until there is something to show or `over` says that there is no use in it. Without a place for
    /// it, or after the setting's time, it goes on with what there is. `None` when the process stops.
    pub async fn wait(&self, head: Head, kind: Kind, over: impl Fn(&Head) -> bool) -> Option<Head> {
        let done = |head: &Head| over(head) || matches!(shows(head, kind), Shows::Now | Shows::Never);
        if done(&head) {
            return Some(head);
        }
        let Some(mut place) = self.held.enter(&head.id) else { return Some(head) };
        tokio::select! {
            heard = place.until(done) => Some(heard.unwrap_or(head)),
            () = tokio::time::sleep(self.hold) => Some(place.last().unwrap_or(head)),
            () = self.stop.cancelled() => None,
        }
    }

    /// What tells a playlist from every earlier one with the same links: as strong as a digest of it, since two processes
    /// write the same of the same rows.
    pub fn tag(&self, head: &Head, kind: Kind) -> String {
        let flag = |set: bool, letter: &'static str| if set { letter } else { "" };
        match kind {
            Kind::Media(track) => {
                let independent = head.renditions.of(track).is_some_and(|rendition| rendition.independent);
                let flags = [flag(head.ended, "e"), flag(independent, "i"), flag(self.from_start, "s")].concat();
                format!("{}-{}-{flags}", head.seq(track), head.target_duration_s.unwrap_or_default())
            }
            Kind::Multivariant => {
                let plain = Links { prefix: String::new(), suffix: String::new() };
                Sha256::of(self.render(head, &plain).as_bytes()).to_string()[..16].to_owned()
            }
        }
    }

    /// A playlist as the head says. Of one that shows nothing there is none.
    ///
    /// # Errors
    /// The database's.
    pub async fn body(&self, head: &Head, kind: Kind, links: &Links) -> Result<Body, Error> {
        match kind {
            Kind::Multivariant => Ok(Body::short(self.render(head, links))),
            Kind::Media(track) => {
                let tag = self.tag(head, kind);
                let wanted = Wanted { head, track, tag: &tag, links, from_start: self.from_start };
                self.cache.media(&self.db, wanted).await
            }
        }
    }

    fn render(&self, head: &Head, links: &Links) -> String {
        let (renditions, ended, from_start) = (&head.renditions, head.ended, self.from_start);
        render_multivariant(&Multivariant { renditions, ended, from_start, links: links.borrow() })
    }
}
