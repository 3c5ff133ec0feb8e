//! Secrets of receivers, and the signatures that Standard Webhooks asks for.
//!
//! A signature is the HMAC-SHA256 of `id.timestamp.body` in base64, after `v1,`. While a secret is rotated there are
//! several, one of each, parted by spaces; a receiver believes any.

use super::Error;
use crate::secret::Secret;
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox, SecretString};

/// What a secret in base64 begins with.
const PREFIX: &str = "whsec_";

/// Lengths of such a secret in bytes, as Standard Webhooks bounds them.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Shortest secret that is plain text: as long as the shortest token of the API.
const TEXT_LEN_MIN: usize = 16;

/// Reads base64 as leniently as receivers' libraries do: with or without padding, whatever the last bits say.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// One secret.
pub(super) struct Key {
    text: SecretString,
    bytes: SecretBox<[u8]>,
}

impl Key {
    /// Reads a secret: `whsec_` and base64, or plain text whose bytes are the key. The error never shows it.
    pub(super) fn parse(text: &str) -> Result<Key, &'static str> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("its secret has spaces or characters that no header can carry");
        }
        let bytes = match text.strip_prefix(PREFIX) {
            Some(encoded) => {
                let bytes = LENIENT.decode(encoded).map_err(|_| "its secret begins with whsec_ and is no base64")?;
                if !BYTES.contains(&bytes.len()) {
                    return Err("its secret has not 24 to 64 bytes behind whsec_");
                }
                bytes
            }
            None if text.len() < TEXT_LEN_MIN => return Err("its secret is shorter than 16 characters"),
            None => text.as_bytes().to_vec(),
        };
        Ok(Key { text: SecretString::from(text), bytes: SecretBox::from(bytes.into_boxed_slice()) })
    }

    /// The secret as it was configured, for the header of the replaced system.
    pub(super) fn text(&self) -> &str {
        self.text.expose_secret()
    }

    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mac = Hmac::<sha2::Sha256>::new_from_slice(self.bytes.expose_secret());
        let mut mac = mac.expect("HMAC takes a key of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// One signature of each secret, the newest first.
pub(super) fn signatures(keys: &[Key], id: &str, timestamp: i64, body: &[u8]) -> String {
    keys.iter().map(|key| key.sign(id, timestamp, body)).collect::<Vec<_>>().join(" ")
}

/// Reads `name:secret` between commas; a name that is there several times has several secrets.
pub(super) fn entries(secrets: &Secret) -> Result<Vec<(String, Key)>, Error> {
    let text = secrets.expose();
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let entry = |(position, entry): (usize, &str)| {
        let wrong = |why| Error::Unusable { entry: position + 1, why };
        let (name, secret) = entry.trim().split_once(':').ok_or_else(|| wrong("there is no colon"))?;
        Ok((name.to_owned(), Key::parse(secret).map_err(wrong)?))
    };
    text.split(',').enumerate().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn signature_is_that_of_the_specification() {
        let key = Key::parse(SECRET).unwrap();
        let signature = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        // A receiver's library decodes without padding too, and so do we.
        let unpadded = Key::parse("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(unpadded.bytes.expose_secret().len(), 25);
    }

    #[test]
    fn rotation_signs_with_every_secret() {
        let (old, new) =
            (Key::parse(SECRET).unwrap(), Key::parse("a plain one with-16-chars".replace(' ', "-").as_str()).unwrap());
        let both = signatures(&[new, old], "r:1:app", 7, b"{}");
        let parts: Vec<_> = both.split(' ').collect();
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[1], Key::parse(SECRET).unwrap().sign("r:1:app", 7, b"{}"));
        assert!(parts[0].starts_with("v1,") && parts[0] != parts[1]);
    }

    #[test]
    fn secret_that_cannot_be_used_is_told_by_its_place_and_never_shown() {
        for (text, why) in [
            ("app", "no colon"),
            ("app:short", "16 characters"),
            ("app:whsec_hunter2hunter2", "24 to 64 bytes"),
            ("app:whsec_hunter2!hunter2hunter2hunter2hunter2", "no base64"),
            ("app:hunter2 hunter2 hunter2", "spaces"),
        ] {
            let Err(error) = entries(&Secret::new(&format!("ok:0123456789abcdef,{text}"))) else { panic!("{text}") };
            let said = error.to_string();
            assert!(said.contains(why) && said.contains("entry 2") && !said.contains("hunter2"), "{text}: {said}");
        }
        assert!(entries(&Secret::default()).unwrap().is_empty());
    }
}
