//! What holds of every media playlist by itself, whoever answers. m3u8-rs reads it, which knows nothing of how ours are
//! made.

use m3u8_rs::{MediaPlaylist, MediaPlaylistType};

/// Reads a media playlist; panics at whatever RFC 8216 or the contract forbids.
pub fn read(text: &str) -> MediaPlaylist {
    let playlist = m3u8_rs::parse_media_playlist_res(text.as_bytes()).expect("a media playlist");
    assert_eq!(playlist.version, Some(7));
    assert_eq!(playlist.playlist_type, Some(MediaPlaylistType::Event));
    assert_eq!((playlist.media_sequence, playlist.discontinuity_sequence), (1, 0));
    assert!(playlist.start.as_ref().is_some_and(|start| start.time_offset == 0.0 && start.precise == Some(true)));
    let maps = playlist.segments.iter().filter(|segment| segment.map.is_some()).count();
    assert_eq!(maps, 1, "one initialization section a track:\n{text}");
    assert!(playlist.segments.iter().all(|segment| segment.duration > 0.0), "a segment of no duration:\n{text}");
    playlist
}
