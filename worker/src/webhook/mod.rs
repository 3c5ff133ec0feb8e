//! Telling web apps: the receivers that the settings name, and a delivery to one of them.
//!
//! Owns their secrets, the signatures, what a delivery looks like on the wire, and the client. It reads and writes no
//! rows and decides nothing: what is delivered when is the job's, what follows an answer is `domain::webhook`'s. Only
//! addresses of the settings are ever asked.

mod config;
mod send;
mod sign;

pub use config::{Config, Endpoint, PayloadFormat};
pub use send::{Message, Sent};

use chrono::{DateTime, SecondsFormat, Utc};
use domain::webhook::{self, Body};
use reqwest::{Client, Url, redirect};
use serde_json::Value as Json;
use sign::Key;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Connections to one receiver that are kept open for the next delivery.
const IDLE_MAX: usize = 4;

/// How long such a connection is kept: shorter than what servers keep it for, or the next delivery finds it closed.
const IDLE_FOR: Duration = Duration::from_secs(4);

/// Settings with which nothing can be delivered. Ends a command with the exit code for configuration.
#[derive(Debug, Error)]
pub enum Error {
    /// A secret cannot be used. Never shows it.
    #[error("setting webhook.secrets, entry {entry}: {why}; entries are name:secret between commas")]
    Unusable {
        /// Which entry, from 1.
        entry: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The secret of endpoints in compatibility format cannot be used.
    #[error("setting webhook.compatibility_secret: {why}")]
    UnusableCompatibility {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A secret is for nobody.
    #[error("setting webhook.secrets: there is no endpoint {name:?} in webhook.endpoints")]
    Stray {
        /// Whose it would be.
        name: String,
    },
    /// An address cannot be used.
    #[error("setting {key}: {why}")]
    Address {
        /// Section and key.
        key: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nothing is delivered unsigned.
    #[error(
        "webhook endpoint {name:?} has no secret; set SPOOL__WEBHOOK__SECRETS, for example to \
         {name}:whsec_$(openssl rand -base64 32), or SPOOL__WEBHOOK__SECRETS_FILE"
    )]
    Unsigned {
        /// Its name.
        name: String,
    },
    /// The client cannot be set up.
    #[error("set up the HTTP client of webhooks")]
    Client(#[source] reqwest::Error),
}

/// Every receiver of the settings. Cheap to clone.
#[derive(Clone)]
pub struct Receivers {
    by_name: Arc<BTreeMap<String, Receiver>>,
    client: Client,
    public_url: Arc<str>,
}

struct Receiver {
    url: Url,
    format: PayloadFormat,
    /// The newest first.
    keys: Vec<Key>,
}

impl std::fmt::Debug for Receivers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

impl Receivers {
    /// Reads the settings. A receiver may lack its secret here: processes that deliver nothing need none, and those that
    /// do ask [`Receivers::require_secrets`]. `public_url` is where viewers reach this server.
    ///
    /// # Errors
    /// A secret or an address cannot be used.
    pub fn open(config: &Config, public_url: &str) -> Result<Receivers, Error> {
        let mut by_name = BTreeMap::new();
        for (name, endpoint) in &config.endpoints {
            let wrong = |why| Error::Address { key: format!("webhook.endpoints.{name}.url"), why };
            let url = config::address(&endpoint.url).map_err(wrong)?;
            by_name.insert(name.clone(), Receiver { url, format: endpoint.format, keys: Vec::new() });
        }
        for (name, key) in sign::entries(&config.secrets)? {
            let receiver = by_name.get_mut(&name).ok_or(Error::Stray { name })?;
            receiver.keys.push(key);
        }
        if config.compatibility_secret.is_set() {
            let unsigned =
                |receiver: &&mut Receiver| receiver.format == PayloadFormat::Compatibility && receiver.keys.is_empty();
            for receiver in by_name.values_mut().filter(unsigned) {
                let key = Key::parse(config.compatibility_secret.expose());
                receiver.keys.push(key.map_err(|why| Error::UnusableCompatibility { why })?);
            }
        }
        let client = client(config)?;
        Ok(Receivers { by_name: Arc::new(by_name), client, public_url: public_url.into() })
    }

    /// Refuses to go on where something could only be delivered unsigned.
    ///
    /// # Errors
    /// The first receiver without a secret.
    pub fn require_secrets(&self) -> Result<(), Error> {
        self.by_name.keys().try_for_each(|name| self.require_secret(name))
    }

    /// The same for one receiver.
    ///
    /// # Errors
    /// It has no secret.
    pub fn require_secret(&self, name: &str) -> Result<(), Error> {
        match self.by_name.get(name) {
            Some(receiver) if receiver.keys.is_empty() => Err(Error::Unsigned { name: name.to_owned() }),
            Some(_) | None => Ok(()),
        }
    }

    /// The settings name it.
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Name, address and word of the format of each, for the database.
    pub fn endpoints(&self) -> Vec<(&str, &str, &'static str)> {
        self.by_name
            .iter()
            .map(|(name, receiver)| (name.as_str(), receiver.url.as_str(), receiver.format.as_str()))
            .collect()
    }

    /// What `name` would be sent of an event; `None` when its format has no word for it, or it is no receiver of ours.
    pub fn render(&self, name: &str, kind: &str, at: DateTime<Utc>, seq: u64, data: Json) -> Option<Vec<u8>> {
        let json = match self.by_name.get(name)?.format {
            PayloadFormat::Standard => {
                let timestamp = at.to_rfc3339_opts(SecondsFormat::Millis, true);
                serde_json::to_vec(&Body::new(kind, timestamp, seq, data, &self.public_url))
            }
            PayloadFormat::Compatibility => serde_json::to_vec(&webhook::progress(kind, &data)?),
        };
        Some(json.expect("a body has text keys and plain values"))
    }

    /// Delivers a message. `None` when `name` is no receiver of ours, or has no secret: nothing is sent unsigned.
    pub async fn send(&self, name: &str, message: &Message) -> Option<Sent> {
        let receiver = self.by_name.get(name).filter(|receiver| !receiver.keys.is_empty())?;
        Some(send::send(&self.client, receiver, message).await)
    }
}

fn client(config: &Config) -> Result<Client, Error> {
    let builder = Client::builder()
        .timeout(config.timeout)
        .connect_timeout(config.connect_timeout)
        .redirect(redirect::Policy::none())
        .referer(false)
        .user_agent(concat!("spool/", env!("CARGO_PKG_VERSION")))
        .pool_max_idle_per_host(IDLE_MAX)
        .pool_idle_timeout(IDLE_FOR)
        // What the environment says of proxies is said to other programs.
        .no_proxy();
    let builder = match config.proxy.as_str() {
        "" => builder,
        proxy => builder.proxy(reqwest::Proxy::all(proxy).map_err(Error::Client)?),
    };
    builder.build().map_err(Error::Client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use serde_json::json;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn config() -> Config {
        let endpoint = |format| Endpoint { url: "https://app.example.com/hook?token=hunter2".to_owned(), format };
        let endpoints = [("app", PayloadFormat::Standard), ("old", PayloadFormat::Compatibility)];
        let endpoints = endpoints.map(|(name, format)| (name.to_owned(), endpoint(format)));
        Config { endpoints: BTreeMap::from(endpoints), ..Config::default() }
    }

    fn open(secrets: &str, compatibility: &str) -> Result<Receivers, Error> {
        let (secrets, compatibility_secret) = (Secret::new(secrets), Secret::new(compatibility));
        Receivers::open(&Config { secrets, compatibility_secret, ..config() }, "https://spool.example")
    }

    #[test]
    fn receiver_without_a_secret_is_told_by_name() {
        let unsigned = |secrets: &str, compatibility: &str| {
            open(secrets, compatibility).unwrap().require_secrets().err().map(|error| error.to_string())
        };
        assert!(unsigned("", "").unwrap().contains("\"app\""));
        assert!(unsigned(&format!("app:{SECRET}"), "").unwrap().contains("\"old\""));
        assert!(unsigned("", "a-secret-of-16-chars").unwrap().contains("\"app\""));
        assert_eq!(unsigned(&format!("app:{SECRET}"), "a-secret-of-16-chars"), None);
        assert_eq!(unsigned(&format!("app:{SECRET},old:{SECRET},app:another-of-16-chars"), ""), None);
    }

    #[test]
    fn secret_for_nobody_is_refused() {
        assert!(matches!(open(&format!("ap:{SECRET}"), ""), Err(Error::Stray { name }) if name == "ap"));
    }

    #[test]
    fn receivers_show_their_names_only() {
        let shown = format!("{:?}", open(&format!("app:{SECRET}"), "").unwrap());
        assert_eq!(shown, r#"{"app", "old"}"#);
    }

    #[test]
    fn render_follows_the_format() {
        let receivers = open("", "").unwrap();
        let at = DateTime::from_timestamp(1, 0).unwrap();
        let render = |name: &str, kind: &str| {
            let data = json!({ "id": "r1", "plan_version": 1 });
            receivers.render(name, kind, at, 3, data).map(|body| String::from_utf8(body).unwrap())
        };
        assert_eq!(
            render("app", "recording.archived").unwrap(),
            r#"{"type":"recording.archived","timestamp":"1970-01-01T00:00:01.000Z","seq":3,"data":{"id":"r1","plan_version":1}}"#
        );
        assert_eq!(render("old", "recording.archived"), None);
        assert!(render("old", "recording.finalizing").unwrap().contains(r#""phase":"processing""#));
        assert_eq!(render("nobody", "recording.ready"), None);
    }
}
