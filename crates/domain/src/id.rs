//! Names of things. A bare string, integer or uuid never crosses a function boundary of the domain.

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Longest id of a recording or an owner, in bytes.
pub const ID_LEN_MAX: usize = 64;

/// A text that is not an id: object keys are built from ids, so nothing but `[A-Za-z0-9_-]{1,64}` is let through.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} must be 1 to {ID_LEN_MAX} characters of A-Z a-z 0-9 _ -")]
pub struct InvalidId {
    /// Which id was being read.
    pub what: &'static str,
}

fn parse(what: &'static str, text: &str) -> Result<String, InvalidId> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if text.is_empty() || text.len() > ID_LEN_MAX || !text.bytes().all(allowed) {
        return Err(InvalidId { what });
    }
    Ok(text.to_owned())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Reads an id that came from outside.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                parse($what, text).map(Self)
            }

            /// The id as text, safe in an object key and in a URL path.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

text_id!(
    /// One capture from start to stop.
    RecordingId,
    "recording id"
);
text_id!(
    /// Whom a recording belongs to in the web app.
    OwnerId,
    "owner id"
);

/// SHA-256 of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// Hashes bytes that are in memory already.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Reads a digest of 32 bytes, as a database column gives it.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Sha256> for String {
    fn from(digest: Sha256) -> String {
        digest.to_string()
    }
}

impl TryFrom<String> for Sha256 {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse_hex(&text).ok_or("a SHA-256 is 64 hexadecimal digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recording_id_refuses_what_could_leave_its_folder() {
        for text in ["", ".", "..", "a/b", "a\\b", "a b", "ü", "a\0", "%2e", &"x".repeat(65)] {
            assert!(RecordingId::parse(text).is_err(), "{text:?}");
        }
        for text in ["a", "0", "_-", &"x".repeat(64)] {
            assert_eq!(RecordingId::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn id_is_checked_when_it_comes_out_of_json_too() {
        assert!(serde_json::from_str::<OwnerId>("\"../x\"").is_err());
        assert_eq!(serde_json::from_str::<OwnerId>("\"x\"").unwrap().as_str(), "x");
    }

    #[test]
    fn sha256_reads_what_it_writes() {
        let digest = Sha256::of(b"spool");
        assert_eq!(Sha256::parse_hex(&digest.to_string()), Some(digest));
        assert_eq!(Sha256::parse_hex("zz"), None);
        assert_eq!(Sha256::parse_hex(&"+f".repeat(32)), None);
    }
}
