//! The API: decode, call, encode. It decides nothing.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// Settings of the API; see `config.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Address from outside, before the URLs in answers.
    pub public_url: String,
    /// Open connections.
    pub connections_max: u32,
    /// Segments that may come in at once.
    pub puts_max: u32,
    /// Longest wait for the head of a request.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// Longest silence inside a body.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// Longest time for the body of one segment.
    #[serde(with = "humantime_serde")]
    pub put_timeout: Duration,
    /// Longest time for any other request.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// How long open requests may go on when the process stops.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: String::new(),
            connections_max: 1024,
            puts_max: 128,
            header_timeout: seconds(30),
            body_timeout: seconds(20),
            put_timeout: seconds(300),
            request_timeout: seconds(30),
            drain: seconds(25),
        }
    }
}
