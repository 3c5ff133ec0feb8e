//! A secret: usable, never shown.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// What is shown instead of a secret that is set.
const MASK: &str = "********";

/// A secret from the environment or a file; empty when it is not set. Shows itself as stars, in `Debug` and when
/// serialized, and wipes its memory when dropped.
#[derive(Clone, Default)]
pub struct Secret(SecretString);

impl Secret {
    /// A secret from its text.
    pub fn new(text: &str) -> Self {
        Self(SecretString::from(text))
    }

    /// It has a value.
    pub fn is_set(&self) -> bool {
        !self.expose().is_empty()
    }

    /// The text itself, for the one place that uses it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { MASK } else { "unset" })
    }
}

/// For comparing settings with each other, never for checking what a client sent: it is not constant-time.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_set() { MASK } else { "" })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretString::from(text)))
    }
}
