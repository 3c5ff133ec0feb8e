//! Object keys: every path in the store is built and read here.
//!
//! Keys contain neither an epoch nor a worker (`CONTRACTS §5`), except those of results whose bytes are not a function
//! of the plan. Ids are checked when they are read, so no key can leave its recording's prefix.

use crate::id::{OwnerId, RecordingId};
use crate::segment::{Name, Track};

/// The keys of one recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    prefix: String,
}

/// What a key below a recording's prefix stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A segment or initialization section under its final key.
    Segment(Track, Name),
    /// `segments/manifest.json`.
    Manifest,
    /// Bytes on their way in: `segments/.incoming/…`.
    Incoming,
    /// `result.mp4`, `result.v2.mp4`: the plan's version.
    Result(u32),
    /// `result.v2-17.mp4`: the plan's version and the attempt's epoch.
    ResultOfEpoch(u32, i64),
    /// `result.json`, `result.v2.json`: facts of the result of that plan version.
    ResultJson(u32),
    /// Poster or animated preview.
    Picture,
}

impl Keys {
    /// Keys of the recording `recording` of `owner`.
    pub fn new(owner: &OwnerId, recording: &RecordingId) -> Keys {
        Keys { prefix: format!("{owner}/{recording}/") }
    }

    /// Everything of the recording begins with this; ends in `/`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Everything that `cleanup` deletes begins with this; ends in `/`.
    pub fn segments_prefix(&self) -> String {
        format!("{}segments/", self.prefix)
    }

    /// Final key of a segment or initialization section; written once, never changed (R-2).
    pub fn segment(&self, track: Track, name: Name) -> String {
        format!("{}segments/{track}/{name}", self.prefix)
    }

    /// The manifest, rewritten as the recording grows; besides the pictures nothing else is.
    pub fn manifest(&self) -> String {
        format!("{}segments/manifest.json", self.prefix)
    }

    /// All bytes on their way in begin with this; ends in `/`.
    pub fn incoming_prefix(&self) -> String {
        format!("{}segments/.incoming/", self.prefix)
    }

    /// Bytes on their way in, before they are checked. `nonce` is unique to one upload.
    pub fn incoming(&self, track: Track, name: Name, nonce: &str) -> String {
        match name {
            Name::Init => format!("{}segments/.incoming/{track}-init-{nonce}", self.prefix),
            Name::Media(index) => format!("{}segments/.incoming/{track}-{index:03}-{nonce}", self.prefix),
        }
    }

    /// Result of a plan version whose bytes are a function of the plan.
    pub fn result(&self, version: u32) -> String {
        match version {
            0 | 1 => format!("{}result.mp4", self.prefix),
            version => format!("{}result.v{version}.mp4", self.prefix),
        }
    }

    /// Result whose bytes are not a function of the plan: the attempt's epoch keeps a stale writer away from it.
    pub fn result_of_epoch(&self, version: u32, epoch: i64) -> String {
        format!("{}result.v{version}-{epoch}.mp4", self.prefix)
    }

    /// Facts beside the result of a plan version. One key a version, as the result itself has: an attempt that is late with
    /// an older plan must not overwrite what is said of the result that is served.
    pub fn result_json(&self, version: u32) -> String {
        match version {
            0 | 1 => format!("{}result.json", self.prefix),
            version => format!("{}result.v{version}.json", self.prefix),
        }
    }

    /// Poster; a remux writes over it.
    pub fn poster(&self) -> String {
        format!("{}screenshot/screen-capture.jpg", self.prefix)
    }

    /// Animated preview; a remux writes over it.
    pub fn preview(&self) -> String {
        format!("{}preview/animated-preview.gif", self.prefix)
    }

    /// What `key` stands for; `None` for a key that is not ours.
    pub fn parse(&self, key: &str) -> Option<Object> {
        let rest = key.strip_prefix(&self.prefix)?;
        match rest {
            "result.json" => return Some(Object::ResultJson(1)),
            "result.mp4" => return Some(Object::Result(1)),
            "segments/manifest.json" => return Some(Object::Manifest),
            "screenshot/screen-capture.jpg" | "preview/animated-preview.gif" => return Some(Object::Picture),
            _ => {}
        }
        if let Some(later) = rest.strip_prefix("result.v") {
            if let Some(version) = later.strip_suffix(".json") {
                return version.parse().ok().map(Object::ResultJson);
            }
            let version = later.strip_suffix(".mp4")?;
            let (number, epoch) =
                version.split_once('-').map_or((version, None), |(number, epoch)| (number, Some(epoch)));
            let number = number.parse().ok()?;
            let (spelled, object) = match epoch.map(str::parse).transpose().ok()? {
                Some(epoch) => (self.result_of_epoch(number, epoch), Object::ResultOfEpoch(number, epoch)),
                None => (self.result(number), Object::Result(number)),
            };
            return (spelled == key).then_some(object);
        }
        let path = rest.strip_prefix("segments/")?;
        if path.starts_with(".incoming/") {
            return Some(Object::Incoming);
        }
        let (track, name) = path.split_once('/')?;
        Some(Object::Segment(Track::parse(track)?, Name::parse(name).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new(&OwnerId::parse("o").unwrap(), &RecordingId::parse("r").unwrap())
    }

    #[test]
    fn key_reads_what_it_builds() {
        let keys = keys();
        for (key, text, object) in [
            (
                keys.segment(Track::Video, Name::Media(7)),
                "o/r/segments/video/segment_007.m4s",
                Object::Segment(Track::Video, Name::Media(7)),
            ),
            (
                keys.segment(Track::Audio, Name::Init),
                "o/r/segments/audio/init.mp4",
                Object::Segment(Track::Audio, Name::Init),
            ),
            (keys.manifest(), "o/r/segments/manifest.json", Object::Manifest),
            (keys.incoming(Track::Video, Name::Media(7), "u"), "o/r/segments/.incoming/video-007-u", Object::Incoming),
            (keys.incoming(Track::Video, Name::Init, "u"), "o/r/segments/.incoming/video-init-u", Object::Incoming),
            (keys.result(1), "o/r/result.mp4", Object::Result(1)),
            (keys.result(3), "o/r/result.v3.mp4", Object::Result(3)),
            (keys.result_of_epoch(3, 17), "o/r/result.v3-17.mp4", Object::ResultOfEpoch(3, 17)),
            (keys.result_json(1), "o/r/result.json", Object::ResultJson(1)),
            (keys.result_json(3), "o/r/result.v3.json", Object::ResultJson(3)),
            (keys.poster(), "o/r/screenshot/screen-capture.jpg", Object::Picture),
            (keys.preview(), "o/r/preview/animated-preview.gif", Object::Picture),
        ] {
            assert_eq!(key, text);
            assert_eq!(keys.parse(&key), Some(object), "{key}");
        }
    }

    #[test]
    fn key_of_another_recording_is_not_ours() {
        for key in
            ["o/r2/result.mp4", "o/result.mp4", "x/o/r/result.mp4", "o/r/segments/video/segment_7.m4s", "o/r/other"]
        {
            assert_eq!(keys().parse(key), None, "{key}");
        }
    }

    #[test]
    fn key_of_a_result_has_one_spelling() {
        for name in ["v0", "v1", "v+2", "v02", "v2-", "v2-x", "v2-+7", "v2-07", "v2-1-1", "v4294967296"] {
            assert_eq!(keys().parse(&format!("o/r/result.{name}.mp4")), None, "{name}");
        }
        assert_eq!(keys().parse("o/r/result.v1-7.mp4"), Some(Object::ResultOfEpoch(1, 7)));
    }
}
