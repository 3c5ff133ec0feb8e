//! Names of staged bytes.

use domain::id::{OwnerId, RecordingId, Sha256};
use domain::key::Keys;
use domain::segment::{Name, Track};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;
use uuid::Uuid;

/// Longest entity tag that is kept; S3's have 34 to 40 characters.
const ETAG_MAX: usize = 128;

/// Names staged bytes. It says whose they are, so that a row that was lost can be put back, and it never holds a path
/// from outside. Each upload has a name of its own, the same bytes sent twice too: whoever gives up an upload may remove
/// its bytes without asking who else needs them, and a row that changed its bytes can be told by the name.
///
/// - `local:<recording>/<track>-<NNN|init>-<sha256>-<uuid>`
/// - `store:<owner>/<recording>/<track>-<NNN|init>-<uuid>`, and `#<entity tag>` where the store told one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Uri {
    /// The recording.
    pub recording: RecordingId,
    /// The track.
    pub track: Track,
    /// Initialization section or media segment.
    pub name: Name,
    /// Unique to one upload.
    pub nonce: Uuid,
    /// Where the bytes lie.
    pub place: Place,
}

/// Where staged bytes lie.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// In a folder, under a name that tells their digest.
    Local {
        /// Digest of the bytes.
        sha256: Sha256,
    },
    /// In the object store, below the recording's own prefix.
    Store {
        /// Whose the recording is.
        owner: OwnerId,
        /// Entity tag of the write, if the bytes came through this server: as long as the object has it, they are those
        /// that were hashed.
        etag: Option<String>,
    },
}

/// A text that names no staged bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a staging uri: local:<recording>/<track>-<NNN|init>-<sha256>-<uuid>, store:<owner>/<recording>/…")]
pub struct InvalidUri;

impl Uri {
    /// Bytes in the object store. A tag that no store would give is left out: then the bytes are read again.
    pub fn in_store(
        owner: OwnerId,
        recording: RecordingId,
        track: Track,
        name: Name,
        nonce: Uuid,
        etag: Option<String>,
    ) -> Uri {
        let etag = etag.filter(|etag| is_etag(etag));
        Uri { recording, track, name, nonce, place: Place::Store { owner, etag } }
    }

    /// Whether both name the same upload.
    pub fn is_same_upload(&self, other: &Uri) -> bool {
        (&self.recording, self.track, self.name, self.nonce) == (&other.recording, other.track, other.name, other.nonce)
    }

    /// Key of bytes that lie in the object store.
    pub fn key(&self) -> Option<String> {
        match &self.place {
            Place::Local { .. } => None,
            Place::Store { owner, .. } => {
                let nonce = self.nonce.simple().to_string();
                Some(Keys::new(owner, &self.recording).incoming(self.track, self.name, &nonce))
            }
        }
    }

    /// Reads a key of the object store back; `None` for one that is not of this recording's incoming bytes.
    pub fn of_key(owner: &OwnerId, recording: &RecordingId, key: &str) -> Option<Uri> {
        let tail = key.strip_prefix(&Keys::new(owner, recording).incoming_prefix())?;
        let (track, name, nonce) = words(tail)?;
        let uri = Uri::in_store(owner.clone(), recording.clone(), track, name, nonce_of(nonce)?, None);
        (uri.key().as_deref() == Some(key)).then_some(uri)
    }

    /// `<track>-<NNN|init>`.
    fn stem(&self) -> String {
        match self.name {
            Name::Init => format!("{}-init", self.track),
            Name::Media(index) => format!("{}-{index:03}", self.track),
        }
    }

    /// The name of its file. An id has no dot, so the two parts cannot be confused.
    pub(super) fn file_name(&self) -> Option<String> {
        match &self.place {
            Place::Local { sha256 } => {
                Some(format!("{}.{}-{sha256}-{}", self.recording, self.stem(), self.nonce.simple()))
            }
            Place::Store { .. } => None,
        }
    }

    /// Reads a file's name back; `None` for a file that is not ours.
    pub(super) fn of_file_name(text: &str) -> Option<Uri> {
        let (recording, tail) = text.split_once('.')?;
        let uri = Uri::local_of(recording, tail)?;
        (uri.file_name().as_deref() == Some(text)).then_some(uri)
    }

    fn local_of(recording: &str, tail: &str) -> Option<Uri> {
        let (track, name, rest) = words(tail)?;
        let (sha256, nonce) = rest.split_once('-')?;
        let place = Place::Local { sha256: Sha256::parse_hex(sha256)? };
        Some(Uri { recording: RecordingId::parse(recording).ok()?, track, name, nonce: nonce_of(nonce)?, place })
    }

    fn store_of(text: &str) -> Option<Uri> {
        let (path, etag) = text.split_once('#').map_or((text, None), |(path, etag)| (path, Some(etag)));
        let (owner, rest) = path.split_once('/')?;
        let (recording, tail) = rest.split_once('/')?;
        let (owner, recording) = (OwnerId::parse(owner).ok()?, RecordingId::parse(recording).ok()?);
        let (track, name, nonce) = words(tail)?;
        Some(Uri::in_store(owner, recording, track, name, nonce_of(nonce)?, etag.map(str::to_owned)))
    }
}

/// The parts of `<track>-<NNN|init>-<rest>`.
fn words(tail: &str) -> Option<(Track, Name, &str)> {
    let mut words = tail.splitn(3, '-');
    let (track, name, rest) = (words.next()?, words.next()?, words.next()?);
    let name = match name {
        "init" => Name::Init,
        digits => Name::parse(&format!("segment_{digits}.m4s")).ok()?,
    };
    Some((Track::parse(track)?, name, rest))
}

fn nonce_of(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}

fn is_etag(text: &str) -> bool {
    (1..=ETAG_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (recording, stem, nonce) = (&self.recording, self.stem(), self.nonce.simple());
        match &self.place {
            Place::Local { sha256 } => write!(f, "local:{recording}/{stem}-{sha256}-{nonce}"),
            Place::Store { owner, etag } => {
                write!(f, "store:{owner}/{recording}/{stem}-{nonce}")?;
                etag.iter().try_for_each(|etag| write!(f, "#{etag}"))
            }
        }
    }
}

impl FromStr for Uri {
    type Err = InvalidUri;

    fn from_str(text: &str) -> Result<Uri, InvalidUri> {
        let uri = match text.split_once(':') {
            Some(("local", rest)) => rest.split_once('/').and_then(|(recording, tail)| Uri::local_of(recording, tail)),
            Some(("store", rest)) => Uri::store_of(rest),
            _ => None,
        };
        uri.filter(|uri| uri.to_string() == text).ok_or(InvalidUri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "67e5504410b1426f9247bb680e5fe0c8";

    #[test]
    fn uri_has_one_spelling() {
        let sha256 = Sha256::of(b"x");
        let (recording, owner) = (RecordingId::parse("r-1_").unwrap(), OwnerId::parse("o").unwrap());
        let nonce = Uuid::try_parse(NONCE).unwrap();
        for (name, word) in [(Name::Init, "init"), (Name::Media(7), "007"), (Name::Media(1234), "1234")] {
            let place = Place::Local { sha256 };
            let local = Uri { recording: recording.clone(), track: Track::Audio, name, nonce, place };
            assert_eq!(local.to_string(), format!("local:r-1_/audio-{word}-{sha256}-{NONCE}"));
            assert_eq!(local.to_string().parse(), Ok(local.clone()));
            assert_eq!(Uri::of_file_name(&local.file_name().unwrap()), Some(local));
            for (etag, tail) in [(None, ""), (Some("\"a-2\""), "#\"a-2\"")] {
                let etag = etag.map(str::to_owned);
                let stored = Uri::in_store(owner.clone(), recording.clone(), Track::Audio, name, nonce, etag);
                assert_eq!(stored.to_string(), format!("store:o/r-1_/audio-{word}-{NONCE}{tail}"));
                assert_eq!(stored.to_string().parse(), Ok(stored.clone()));
                let key = stored.key().unwrap();
                assert_eq!(key, format!("o/r-1_/segments/.incoming/audio-{word}-{NONCE}"));
                assert!(Uri::of_key(&owner, &recording, &key).unwrap().is_same_upload(&stored));
            }
        }
        for text in [
            String::new(),
            format!("local:../audio-001-{sha256}-{NONCE}"),
            format!("local:r/audio-1-{sha256}-{NONCE}"),
            format!("local:r/text-001-{sha256}-{NONCE}"),
            format!("local:r/audio-001-{sha256}"),
            format!("local:r/audio-001-{}-{NONCE}", &sha256.to_string()[1..]),
            format!("local:r/audio-001-{}-{NONCE}", sha256.to_string().to_uppercase()),
            format!("local:r/audio-001-{sha256}-{}", NONCE.to_uppercase()),
            format!("file:r/audio-001-{sha256}-{NONCE}"),
            format!("local:r/../x/audio-001-{sha256}-{NONCE}"),
            format!("store:r/audio-001-{NONCE}"),
            format!("store:o/r/audio-001-{NONCE}#"),
            format!("store:o/r/audio-001-{NONCE}#a b"),
            format!("store:o/r/audio-001-{NONCE}#{}", "x".repeat(ETAG_MAX + 1)),
            format!("store:o/../audio-001-{NONCE}"),
            format!("store:../r/audio-001-{NONCE}"),
            format!("store:o/r/x/audio-001-{NONCE}"),
        ] {
            assert_eq!(text.parse::<Uri>(), Err(InvalidUri), "{text}");
        }
        assert_eq!(Uri::of_file_name("spool-staging-id"), None);
        for key in
            ["o/r-1_/segments/manifest.json", "o/r/segments/.incoming/x", "o/r-1_/segments/.incoming/audio-001-x"]
        {
            assert_eq!(Uri::of_key(&owner, &recording, key), None, "{key}");
        }
    }
}
