//! Playlists as text. A snapshot holds what each tag says; gathering it is somebody else's work.

use super::{ListingKind, ListingRow, Rendition, Renditions};
use crate::segment::Name;
use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use std::fmt::Write as _;

/// How URIs of a playlist are written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Links<'a> {
    /// Before each URI: empty, or the way from where the playlist is served to the folder of the recording.
    pub prefix: &'a str,
    /// Behind each URI: empty, or `?token=…`, since a relative URI does not inherit the query.
    pub suffix: &'a str,
}

/// A media playlist.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<'a> {
    /// `EXT-X-TARGETDURATION`; constant for the recording.
    pub target_duration_s: u32,
    /// The rows of one track in order; not empty, as an empty playlist is fatal to players.
    pub rows: &'a [ListingRow],
    /// `EXT-X-ENDLIST`: the end is final and every planned segment is listed.
    pub ended: bool,
    /// Every segment begins with a sync sample; said as `EXT-X-INDEPENDENT-SEGMENTS` when the playlist has ended, since a
    /// segment that is still to come could make it untrue, and what a playlist once said it says on.
    pub independent: bool,
    /// `EXT-X-START`: viewers begin at the first sample and not at the live edge.
    pub from_start: bool,
    /// How URIs are written.
    pub links: Links<'a>,
}

/// The multivariant playlist.
#[derive(Debug, Clone, Copy)]
pub struct Multivariant<'a> {
    /// The tracks; at least one.
    pub renditions: &'a Renditions,
    /// The listing has ended: what is said of every segment stays true.
    pub ended: bool,
    /// `EXT-X-START`.
    pub from_start: bool,
    /// How URIs are written.
    pub links: Links<'a>,
}

/// Writes a media playlist: EVENT, version 7, what was listed before unchanged.
pub fn render_media(snapshot: &Snapshot<'_>) -> String {
    let Links { prefix, suffix } = snapshot.links;
    let mut text = head(snapshot.ended && snapshot.independent, snapshot.from_start);
    let first = snapshot.rows.first().map_or(1, |row| row.seq);
    let _ = writeln!(text, "#EXT-X-TARGETDURATION:{}", snapshot.target_duration_s);
    let _ = writeln!(text, "#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-PLAYLIST-TYPE:EVENT");
    if let Some(row) = snapshot.rows.first() {
        let _ = writeln!(text, "#EXT-X-MAP:URI=\"{prefix}segments/{}/{}{suffix}\"", row.track, Name::Init);
    }
    for row in snapshot.rows {
        write_row(&mut text, row, snapshot.links);
    }
    if snapshot.ended {
        text += "#EXT-X-ENDLIST\n";
    }
    text
}

fn write_row(text: &mut String, row: &ListingRow, links: Links<'_>) {
    let Links { prefix, suffix } = links;
    if row.discontinuity {
        *text += "#EXT-X-DISCONTINUITY\n";
    }
    if let Some(at) = row.program_date_time {
        let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", date_time(at));
    }
    match row.kind {
        ListingKind::Media => {}
        ListingKind::Gap => *text += "#EXT-X-GAP\n",
    }
    let (name, seconds) = (Name::Media(row.index), Seconds::of(row));
    let _ = writeln!(text, "#EXTINF:{seconds},\n{prefix}segments/{}/{name}{suffix}", row.track);
}

/// Writes the multivariant playlist: one variant, sound as a rendition of its own.
pub fn render_multivariant(snapshot: &Multivariant<'_>) -> String {
    let Multivariant { renditions: Renditions { video, audio }, ended, from_start, links: Links { prefix, suffix } } =
        snapshot;
    let tracks: Vec<_> = video.iter().chain(audio).collect();
    let mut text = head(*ended && tracks.iter().all(|track| track.independent), *from_start);
    let both = video.is_some() && audio.is_some();
    if let (true, Some(audio)) = (both, audio) {
        let _ = writeln!(
            text,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"default\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"{}\",URI=\"{prefix}audio.m3u8{suffix}\"",
            audio.codec.channels.max(1)
        );
    }
    let codecs: Vec<_> = tracks.iter().map(|track| track.codec.codec.as_str()).collect();
    let sum = |bps: fn(&Rendition) -> u64| tracks.iter().map(|track| bps(track)).fold(0, u64::saturating_add).max(1);
    let _ = write!(
        text,
        "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"",
        sum(|track| track.peak_bps),
        sum(|track| track.average_bps),
        codecs.join(",")
    );
    if let Some(video) = video {
        let _ = write!(text, ",RESOLUTION={}x{}", video.codec.width, video.codec.height);
        if let Some(milli) = video.frame_rate_milli {
            let _ = write!(text, ",FRAME-RATE={}.{:03}", milli / 1000, milli % 1000);
        }
    }
    let playlist = if video.is_some() { "video" } else { "audio" };
    let group = if both { ",AUDIO=\"audio\"" } else { "" };
    let _ = writeln!(text, "{group}\n{prefix}{playlist}.m3u8{suffix}");
    text
}

fn head(independent: bool, from_start: bool) -> String {
    let mut text = "#EXTM3U\n#EXT-X-VERSION:7\n".to_owned();
    if independent {
        text += "#EXT-X-INDEPENDENT-SEGMENTS\n";
    }
    if from_start {
        text += "#EXT-X-START:TIME-OFFSET=0,PRECISE=YES\n";
    }
    text
}

/// Seconds with six decimals: errors of shorter ones add up over a long recording.
struct Seconds {
    us: u128,
}

impl Seconds {
    fn of(row: &ListingRow) -> Seconds {
        let timescale = u128::from(row.timescale.max(1));
        Seconds { us: (u128::from(row.duration) * 1_000_000 + timescale / 2) / timescale }
    }
}

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.us / 1_000_000, self.us % 1_000_000)
    }
}

fn date_time(at: DateTime<Utc>) -> String {
    let (date, ms) = (at.date_naive(), at.timestamp_subsec_millis().min(999));
    let (year, month, day) = (date.year(), date.month(), date.day());
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z", at.hour(), at.minute(), at.second())
}
