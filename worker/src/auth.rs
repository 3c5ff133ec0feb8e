//! Who may do what: service tokens of the web app, and tokens that name one recording.
//!
//! A token of a recording is stateless: `v1.<key id>.<recording>.<scope>.<expiry>.<HMAC-SHA256>`. The recording's state
//! revokes it, not a list. Without a service token and a signing key nothing is opened: [`Keyring::open`] refuses.
//! Secrets and tokens are compared in constant time and never shown.

use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use domain::id::RecordingId;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::sync::Arc;
use std::time::Duration;
use subtle::{Choice, ConstantTimeEq as _};
use thiserror::Error;

/// Shortest service token: 16 random characters cannot be guessed through a network.
const SERVICE_TOKEN_LEN_MIN: usize = 16;

/// Shortest signing key: as long as the digest, else the key is the weakest part (RFC 2104, section 3).
const SIGNING_KEY_LEN_MIN: usize = 32;

/// Longest token that is looked at: an id of 64 characters and the rest fit twice.
const TOKEN_LEN_MAX: usize = 512;

/// Settings of tokens; see `config.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What the web app and operators call with.
    pub service_tokens: Secret,
    /// What tokens of recordings are signed with.
    pub signing_keys: Secret,
    /// How long an upload token lives.
    #[serde(with = "humantime_serde")]
    pub upload_token_ttl: Duration,
    /// How long a playback token lives.
    #[serde(with = "humantime_serde")]
    pub playback_token_ttl: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service_tokens: Secret::default(),
            signing_keys: Secret::default(),
            upload_token_ttl: Duration::from_secs(24 * 3600),
            playback_token_ttl: Duration::from_secs(12 * 3600),
        }
    }
}

/// A secret that is missing or cannot be used. Ends a command with the exit code for configuration.
#[derive(Debug, Error)]
pub enum Error {
    /// Nothing is set: the API would be open to everybody or dead.
    #[error("setting {setting} is missing; set {variable}, for example to {example}, or {variable}_FILE")]
    Missing {
        /// Section and key.
        setting: &'static str,
        /// Variable to set.
        variable: &'static str,
        /// What to set it to.
        example: &'static str,
    },
    /// It is set to something that cannot be used. Never shows what.
    #[error("setting {setting}, entry {entry}: {why}; entries are {form} between commas")]
    Unusable {
        /// Section and key.
        setting: &'static str,
        /// Which entry, from 1.
        entry: usize,
        /// What is wrong with it.
        why: &'static str,
        /// What an entry looks like.
        form: &'static str,
    },
}

/// What a token of a recording allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Sending segments and telling how it goes.
    Upload,
    /// Watching.
    Playback,
}

impl Scope {
    fn as_str(self) -> &'static str {
        match self {
            Scope::Upload => "upload",
            Scope::Playback => "playback",
        }
    }
}

/// A token and the end of its life.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The text: whoever has it is let in.
    pub text: String,
    /// When it is no longer believed.
    pub expires_at: DateTime<Utc>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Denied {
    /// There is none, or it is not one of ours.
    #[error("the token is missing or not valid")]
    Unknown,
    /// It was one of ours.
    #[error("the token has expired")]
    Expired,
    /// It is one of ours, for something else.
    #[error("the token is for another recording or another use")]
    Foreign,
}

/// Every secret the API knows its callers by. Cheap to clone.
#[derive(Clone)]
pub struct Keyring {
    keys: Arc<Keys>,
}

struct Keys {
    /// Name and digest: digests have one length, so comparing them tells nothing of a token's.
    service: Vec<(String, [u8; 32])>,
    /// Id and key; the first one signs.
    signing: Vec<(String, SecretBox<[u8]>)>,
    upload_ttl: Duration,
    playback_ttl: Duration,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = |pairs: &[(String, [u8; 32])]| pairs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        f.debug_struct("Keyring").field("service", &names(&self.keys.service)).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Reads the secrets.
    ///
    /// # Errors
    /// One is missing or cannot be used; then nothing may be opened.
    pub fn open(config: &Config) -> Result<Keyring, Error> {
        let service = entries(
            &config.service_tokens,
            SERVICE_TOKEN_LEN_MIN,
            Error::Missing {
                setting: "auth.service_tokens",
                variable: "SPOOL__AUTH__SERVICE_TOKENS",
                example: "app:$(openssl rand -hex 32)",
            },
        )?;
        let signing = entries(
            &config.signing_keys,
            SIGNING_KEY_LEN_MIN,
            Error::Missing {
                setting: "auth.signing_keys",
                variable: "SPOOL__AUTH__SIGNING_KEYS",
                example: "k1:$(openssl rand -hex 32)",
            },
        )?;
        let service = service.into_iter().map(|(name, token)| (name, sha2::Sha256::digest(token).into())).collect();
        let signing =
            signing.into_iter().map(|(id, key)| (id, SecretBox::from(key.as_bytes().to_vec().into_boxed_slice())));
        let (upload_ttl, playback_ttl) = (config.upload_token_ttl, config.playback_token_ttl);
        let keys = Keys { service, signing: signing.collect(), upload_ttl, playback_ttl };
        Ok(Keyring { keys: Arc::new(keys) })
    }

    /// The name of the service whose token this is.
    ///
    /// # Errors
    /// [`Denied::Unknown`]: there is no other reason.
    pub fn service(&self, token: &str) -> Result<&str, Denied> {
        let digest: [u8; 32] = sha2::Sha256::digest(token.as_bytes()).into();
        // Every entry is looked at, so that the time tells neither whether nor which one matched.
        let mut found = None;
        for (name, known) in &self.keys.service {
            if bool::from(digest.ct_eq(known)) {
                found = Some(name.as_str());
            }
        }
        found.ok_or(Denied::Unknown)
    }

    /// Makes a token for one recording.
    pub fn mint(&self, recording: &RecordingId, scope: Scope, now: DateTime<Utc>) -> Token {
        let ttl = match scope {
            Scope::Upload => self.keys.upload_ttl,
            Scope::Playback => self.keys.playback_ttl,
        };
        let ttl = TimeDelta::from_std(ttl).unwrap_or(TimeDelta::MAX);
        self.mint_until(recording, scope, now.checked_add_signed(ttl).unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    /// Makes a token that is believed until a given moment.
    pub fn mint_until(&self, recording: &RecordingId, scope: Scope, expires_at: DateTime<Utc>) -> Token {
        let (id, key) = self.keys.signing.first().expect("a keyring has a signing key");
        let signed = format!("v1.{id}.{recording}.{}.{}", scope.as_str(), expires_at.timestamp());
        let mac = URL_SAFE_NO_PAD.encode(sign(key, &signed));
        // What the caller is told is what the token says: whole seconds.
        let expires_at = DateTime::from_timestamp(expires_at.timestamp(), 0).unwrap_or(expires_at);
        Token { text: format!("{signed}.{mac}"), expires_at }
    }

    /// Checks that a token allows `scope` on `recording`. The signature comes first: of a token that is not ours
    /// nothing else is told.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn check(&self, token: &str, recording: &RecordingId, scope: Scope, now: DateTime<Utc>) -> Result<(), Denied> {
        let (whose, what, expiry) = self.read(token)?;
        if whose != recording.as_str() || what != scope.as_str() {
            return Err(Denied::Foreign);
        }
        if now.timestamp() >= expiry { Err(Denied::Expired) } else { Ok(()) }
    }

    /// Whether it is a token of any recording, whatever it allows.
    pub fn is_token(&self, token: &str) -> bool {
        self.read(token).is_ok()
    }

    /// Recording, scope and expiry of a token that one of our keys signed.
    fn read<'a>(&self, token: &'a str) -> Result<(&'a str, &'a str, i64), Denied> {
        if token.len() > TOKEN_LEN_MAX {
            return Err(Denied::Unknown);
        }
        let (signed, mac) = token.rsplit_once('.').ok_or(Denied::Unknown)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| Denied::Unknown)?;
        let mut words = signed.split('.');
        let mut word = || words.next().ok_or(Denied::Unknown);
        let (version, id, whose, what, expiry) = (word()?, word()?, word()?, word()?, word()?);
        if version != "v1" || word().is_ok() {
            return Err(Denied::Unknown);
        }
        let mut valid = Choice::from(0);
        for (known, key) in &self.keys.signing {
            if known == id {
                valid |= sign(key, signed).as_slice().ct_eq(&mac);
            }
        }
        let expiry: i64 = expiry.parse().map_err(|_| Denied::Unknown)?;
        if bool::from(valid) { Ok((whose, what, expiry)) } else { Err(Denied::Unknown) }
    }
}

fn sign(key: &SecretBox<[u8]>, text: &str) -> [u8; 32] {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.expose_secret()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

/// Reads `name:secret` between commas.
fn entries(secret: &Secret, len_min: usize, missing: Error) -> Result<Vec<(String, &str)>, Error> {
    if secret.expose().trim().is_empty() {
        return Err(missing);
    }
    let Error::Missing { setting, .. } = missing else { return Err(missing) };
    let form = if setting == "auth.signing_keys" { "id:key" } else { "name:token" };
    let mut entries: Vec<(String, &str)> = Vec::new();
    for (position, entry) in secret.expose().split(',').enumerate() {
        let wrong = |why| Error::Unusable { setting, entry: position + 1, why, form };
        let (name, value) = entry.trim().split_once(':').ok_or_else(|| wrong("there is no colon"))?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(plain) {
            return Err(wrong("its name is not 1 to 32 characters of A-Z a-z 0-9 _ -"));
        }
        if value.len() < len_min {
            return Err(wrong(if len_min == SIGNING_KEY_LEN_MIN {
                "its key is shorter than 32 characters"
            } else {
                "its token is shorter than 16 characters"
            }));
        }
        if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("its secret has spaces or characters that no header can carry"));
        }
        if entries.iter().any(|(known, _)| known == name) {
            return Err(wrong("its name is there twice"));
        }
        entries.push((name.to_owned(), value));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(signing: &str) -> Keyring {
        Keyring::open(&Config {
            service_tokens: Secret::new("app:0123456789abcdef, ops:fedcba9876543210"),
            signing_keys: Secret::new(signing),
            ..Config::default()
        })
        .unwrap()
    }

    const A: &str = "a:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "b:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn id(text: &str) -> RecordingId {
        RecordingId::parse(text).unwrap()
    }

    #[test]
    fn token_is_believed_for_its_recording_its_scope_and_its_time() {
        let ring = keyring(A);
        let token = ring.mint(&id("r.1".replace('.', "-").as_str()), Scope::Upload, at(1000));
        let check = |recording, scope, now| ring.check(&token.text, &id(recording), scope, at(now));
        assert_eq!(token.expires_at, at(1000 + 24 * 3600));
        let shown = format!("{token:?}");
        assert!(shown.contains("expires_at") && !shown.contains(&token.text), "{shown}");
        assert_eq!(check("r-1", Scope::Upload, 1000), Ok(()));
        assert_eq!(check("r-1", Scope::Upload, 1000 + 24 * 3600 - 1), Ok(()));
        assert_eq!(check("r-1", Scope::Upload, 1000 + 24 * 3600), Err(Denied::Expired));
        assert_eq!(check("r-1", Scope::Playback, 1000), Err(Denied::Foreign));
        assert_eq!(check("r-2", Scope::Upload, 1000), Err(Denied::Foreign));
    }

    #[test]
    fn token_with_any_character_changed_is_not_believed() {
        let ring = keyring(A);
        let token = ring.mint(&id("r1"), Scope::Upload, at(1000)).text;
        for position in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[position] = if changed[position] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character of a base64 text holds spare bits, which the strict reader refuses too.
            let answer = ring.check(&changed, &id("r1"), Scope::Upload, at(1000));
            assert_eq!(answer, Err(Denied::Unknown), "{changed}");
        }
        for text in ["", ".", "v1", "v1.a.r1.upload.9999999999", &format!("{token}.x"), &"v1.".repeat(400)] {
            assert_eq!(ring.check(text, &id("r1"), Scope::Upload, at(0)), Err(Denied::Unknown), "{text}");
        }
    }

    #[test]
    fn rotation_believes_both_keys_and_signs_with_the_first() {
        let old = keyring(A).mint(&id("r1"), Scope::Playback, at(0)).text;
        let both = keyring(&format!("{B},{A}"));
        let new = both.mint(&id("r1"), Scope::Playback, at(0)).text;
        assert!(new.starts_with("v1.b."));
        for token in [&old, &new] {
            assert_eq!(both.check(token, &id("r1"), Scope::Playback, at(1)), Ok(()));
        }
        assert_eq!(keyring(B).check(&old, &id("r1"), Scope::Playback, at(1)), Err(Denied::Unknown));
    }

    #[test]
    fn service_tokens_have_names() {
        let ring = keyring(A);
        assert_eq!(ring.service("0123456789abcdef"), Ok("app"));
        assert_eq!(ring.service("fedcba9876543210"), Ok("ops"));
        for token in ["", "app", "0123456789abcde", "0123456789abcdef0", "app:0123456789abcdef"] {
            assert_eq!(ring.service(token), Err(Denied::Unknown));
        }
    }

    #[test]
    fn open_fails_closed_and_names_setting_and_cure() {
        let refusal = |service: &str, signing: &str| {
            let config = Config {
                service_tokens: Secret::new(service),
                signing_keys: Secret::new(signing),
                ..Config::default()
            };
            Keyring::open(&config).unwrap_err().to_string()
        };
        let good = "app:0123456789abcdef";
        expect_test::expect![[r#"
            setting auth.service_tokens is missing; set SPOOL__AUTH__SERVICE_TOKENS, for example to app:$(openssl rand -hex 32), or SPOOL__AUTH__SERVICE_TOKENS_FILE
            setting auth.signing_keys is missing; set SPOOL__AUTH__SIGNING_KEYS, for example to k1:$(openssl rand -hex 32), or SPOOL__AUTH__SIGNING_KEYS_FILE
            setting auth.service_tokens, entry 1: there is no colon; entries are name:token between commas
            setting auth.service_tokens, entry 2: its token is shorter than 16 characters; entries are name:token between commas
            setting auth.service_tokens, entry 2: its name is there twice; entries are name:token between commas
            setting auth.signing_keys, entry 1: its key is shorter than 32 characters; entries are id:key between commas
            setting auth.signing_keys, entry 1: its name is not 1 to 32 characters of A-Z a-z 0-9 _ -; entries are id:key between commas"#]]
        .assert_eq(
            &[
                refusal("", A),
                refusal(good, " "),
                refusal("0123456789abcdef", A),
                refusal("app:0123456789abcdef,ops:x", A),
                refusal("app:0123456789abcdef,app:0123456789abcdef", A),
                refusal(good, "a:short"),
                refusal(good, &format!("a.b:{}", "x".repeat(32))),
            ]
            .join("\n"),
        );
        let shown = format!("{:?}", keyring(A));
        assert!(!shown.contains("aaaa") && !shown.contains("0123"), "{shown}");
    }
}
