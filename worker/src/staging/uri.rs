//! Names of staged bytes.

use domain::id::{RecordingId, Sha256};
use domain::segment::{Name, Track};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Names staged bytes: `local:<recording>/<track>-<NNN|init>-<sha256>`. It says whose they are, so that a row that was
/// lost can be put back, and it never holds a path from outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Uri {
    /// The recording.
    pub recording: RecordingId,
    /// The track.
    pub track: Track,
    /// Initialization section or media segment.
    pub name: Name,
    /// Digest of the bytes.
    pub sha256: Sha256,
}

/// A text that names no staged bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a staging uri: local:<recording>/<track>-<NNN|init>-<sha256>")]
pub struct InvalidUri;

impl Uri {
    fn tail(&self) -> String {
        match self.name {
            Name::Init => format!("{}-init-{}", self.track, self.sha256),
            Name::Media(index) => format!("{}-{index:03}-{}", self.track, self.sha256),
        }
    }

    /// The name of its file. An id has no dot, so the two parts cannot be confused.
    pub(super) fn file_name(&self) -> String {
        format!("{}.{}", self.recording, self.tail())
    }

    /// Reads a file's name back; `None` for a file that is not ours.
    pub(super) fn of_file_name(text: &str) -> Option<Uri> {
        let (recording, tail) = text.split_once('.')?;
        let uri = Uri::of_parts(recording, tail)?;
        (uri.file_name() == text).then_some(uri)
    }

    fn of_parts(recording: &str, tail: &str) -> Option<Uri> {
        let mut words = tail.splitn(3, '-');
        let (track, name, sha256) = (words.next()?, words.next()?, words.next()?);
        let name = match name {
            "init" => Name::Init,
            digits => Name::parse(&format!("segment_{digits}.m4s")).ok()?,
        };
        let recording = RecordingId::parse(recording).ok()?;
        Some(Uri { recording, track: Track::parse(track)?, name, sha256: Sha256::parse_hex(sha256)? })
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local:{}/{}", self.recording, self.tail())
    }
}

impl FromStr for Uri {
    type Err = InvalidUri;

    fn from_str(text: &str) -> Result<Uri, InvalidUri> {
        let rest = text.strip_prefix("local:").ok_or(InvalidUri)?;
        let (recording, tail) = rest.split_once('/').ok_or(InvalidUri)?;
        let uri = Uri::of_parts(recording, tail).ok_or(InvalidUri)?;
        if uri.to_string() == text { Ok(uri) } else { Err(InvalidUri) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_has_one_spelling() {
        let sha256 = Sha256::of(b"x");
        for (name, word) in [(Name::Init, "init"), (Name::Media(7), "007"), (Name::Media(1234), "1234")] {
            let uri = Uri { recording: RecordingId::parse("r-1_").unwrap(), track: Track::Audio, name, sha256 };
            assert_eq!(uri.to_string(), format!("local:r-1_/audio-{word}-{sha256}"));
            assert_eq!(uri.to_string().parse(), Ok(uri.clone()));
            assert_eq!(Uri::of_file_name(&uri.file_name()), Some(uri));
        }
        for text in [
            String::new(),
            format!("local:../audio-001-{sha256}"),
            format!("local:r/audio-1-{sha256}"),
            format!("local:r/text-001-{sha256}"),
            format!("local:r/audio-001-{}", &sha256.to_string()[1..]),
            format!("local:r/audio-001-{}", sha256.to_string().to_uppercase()),
            format!("file:r/audio-001-{sha256}"),
            format!("local:r/../x/audio-001-{sha256}"),
        ] {
            assert_eq!(text.parse::<Uri>(), Err(InvalidUri), "{text}");
        }
        assert_eq!(Uri::of_file_name("spool-staging-id"), None);
    }
}
