//! Settings of deliveries; see `config.toml`.

use crate::secret::Secret;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest name of an endpoint.
const NAME_LEN_MAX: usize = 64;

/// Telling the web app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Signing secrets, `name:secret` between commas; the name is an endpoint's.
    pub secrets: Secret,
    /// The secret of endpoints in compatibility format that have none of their own.
    pub compatibility_secret: Secret,
    /// How long one delivery may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// How long a receiver may take to accept a connection.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// After this an event that cannot be delivered is parked.
    #[serde(with = "humantime_serde")]
    pub give_up_after: Duration,
    /// Address of a proxy that deliveries go through; empty: none.
    pub proxy: String,
    /// Where to deliver, by name; recordings name one of these.
    pub endpoints: BTreeMap<String, Endpoint>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secrets: Secret::default(),
            compatibility_secret: Secret::default(),
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            give_up_after: Duration::from_secs(3 * 24 * 3600),
            proxy: String::new(),
            endpoints: BTreeMap::new(),
        }
    }
}

/// One receiver of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Where to.
    pub url: String,
    /// What the body looks like.
    #[serde(default)]
    pub format: PayloadFormat,
}

/// What the body of a delivery looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayloadFormat {
    /// Standard Webhooks.
    #[default]
    Standard,
    /// What the replaced media server sent.
    Compatibility,
}

impl PayloadFormat {
    /// The word in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            PayloadFormat::Standard => "standard",
            PayloadFormat::Compatibility => "compatibility",
        }
    }
}

/// Longest delivery that may be set: several of them must fit into the time that one attempt of the job has.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

impl Config {
    /// Whether something could be delivered with these settings. The error is a key and what is wrong with it; it never
    /// shows an address, which may hold a secret.
    pub(crate) fn check(&self) -> Result<(), (String, &'static str)> {
        let bound = |key: &str, why| Err((format!("webhook.{key}"), why));
        if self.timeout.is_zero() || self.timeout > TIMEOUT_MAX {
            return bound("timeout", "it must be longer than zero and at most 60s");
        }
        if self.connect_timeout.is_zero() {
            return bound("connect_timeout", "it must be longer than zero");
        }
        if !self.proxy.is_empty() {
            address(&self.proxy).map_err(|why| ("webhook.proxy".to_owned(), why))?;
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        for (name, endpoint) in &self.endpoints {
            if name.is_empty() || name.len() > NAME_LEN_MAX || !name.bytes().all(plain) {
                let why = "the name of an endpoint is 1 to 64 characters of A-Z a-z 0-9 _ -";
                return bound(&format!("endpoints.{name}"), why);
            }
            address(&endpoint.url).map_err(|why| (format!("webhook.endpoints.{name}.url"), why))?;
        }
        Ok(())
    }
}

/// An address that a request can go to.
pub(super) fn address(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "it is no URL like https://app.example.com/webhooks/spool")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("it must begin with http:// or https:// and name a host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it must not hold a user or a password, which would be told to whoever reads the settings");
    }
    if url.fragment().is_some() {
        return Err("it must not end in a fragment, which is never sent");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, url: &str) -> Config {
        let endpoint = Endpoint { url: url.to_owned(), format: PayloadFormat::Standard };
        Config { endpoints: BTreeMap::from([(name.to_owned(), endpoint)]), ..Config::default() }
    }

    #[test]
    fn check_names_the_key_and_never_shows_an_address() {
        assert_eq!(of("app", "https://app.example.com/hooks?token=x").check(), Ok(()));
        assert_eq!(of("app_2-b", "http://127.0.0.1:9000").check(), Ok(()));
        for url in ["", "app.example.com", "ftp://a.example", "https://u:hunter2@a.example", "https://a.example/#x"] {
            let (key, why) = of("app", url).check().unwrap_err();
            assert!(key == "webhook.endpoints.app.url" && !why.contains("hunter2"), "{key}: {why}");
        }
        for name in ["", "a b", "a:b", "a.b", &"a".repeat(65)] {
            assert!(of(name, "https://a.example").check().is_err(), "{name}");
        }
        let long = Config { timeout: Duration::from_secs(61), ..Config::default() };
        assert_eq!(long.check().unwrap_err().0, "webhook.timeout");
        let proxied = Config { proxy: "http://u:hunter2@proxy:3128".to_owned(), ..Config::default() };
        assert_eq!(proxied.check().unwrap_err().0, "webhook.proxy");
    }
}
