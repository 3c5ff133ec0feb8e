//! The API: decode, call, encode. It decides nothing.
//!
//! Owns the routes of `CONTRACTS §1`, who may call them, and how errors look. Every limit is a setting, every wait has
//! a bound, and no token reaches the log.

mod access;
mod conditional;
mod direct;
mod events;
mod extract;
mod gate;
pub mod health;
mod hls;
pub mod listen;
mod looks;
mod pictures;
mod problem;
mod recordings;
mod result;
mod segments;
mod steering;
mod trace;
pub(crate) mod watch;

use crate::accept::Inits;
use crate::auth::Keyring;
use crate::context::Context;
use crate::playlist::Playlists;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use events::Listeners;
use gate::Gate;
use health::{Health, Readiness};
use looks::Looks;
use problem::{Code, Problem};
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
    /// Connections that may listen to events at once.
    pub listeners_max: u32,
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
    /// How viewers come to segments.
    pub segments: Segments,
    /// Whose pages may embed the player.
    #[serde(deserialize_with = "crate::config::words")]
    pub embed_origins: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: String::new(),
            connections_max: 1024,
            puts_max: 128,
            listeners_max: 256,
            header_timeout: seconds(30),
            body_timeout: seconds(20),
            put_timeout: seconds(300),
            request_timeout: seconds(30),
            drain: seconds(25),
            segments: Segments::Auto,
            embed_origins: vec!["*".to_owned()],
        }
    }
}

/// How viewers come to segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Segments {
    /// By a redirect to the store where it signs URLs, else through this process.
    Auto,
    /// Through this process.
    Proxy,
}

/// What every route may use. Cheap to clone.
#[derive(Clone)]
struct Api {
    cx: Context,
    keys: Keyring,
    gate: Gate,
    inits: Inits,
    listeners: Listeners,
    looks: Looks,
    readiness: Readiness,
    playlists: Playlists,
}

/// The routes of the API. `readiness` is told when the process stops; somebody runs `playlists`.
pub fn router(cx: Context, keys: Keyring, readiness: Readiness, playlists: Playlists) -> Router {
    let limits = &cx.config.limits;
    let gate = Gate::new(cx.config.http.puts_max, limits.puts_per_recording, limits.puts_per_second);
    // A store that is away is away for every server: if each said so, all would leave their load balancer at once, and
    // nobody would be left to show playlists and to tell recorders when to come back.
    let health = Health { db: cx.db.clone(), store: None, metrics: cx.metrics.clone(), readiness: readiness.clone() };
    let listeners = Listeners::new(cx.config.http.listeners_max, limits.listeners_per_recording);
    let api = Api { cx, keys, gate, inits: Inits::default(), playlists, listeners, looks: Looks::default(), readiness };
    let small = Router::new()
        .route("/api/recordings", post(recordings::create).get(recordings::list))
        .route("/api/recordings/{id}", get(recordings::status).delete(steering::erase))
        .route("/api/recordings/{id}/upload-token", post(recordings::upload_token))
        .route("/api/recordings/{id}/playback-token", post(recordings::playback_token))
        .route("/api/recordings/{id}/heartbeat", post(steering::heartbeat))
        .route("/api/recordings/{id}/end", post(steering::end))
        .route("/api/recordings/{id}/segments/presign", post(direct::presign))
        .route("/api/recordings/{id}/segments/report", post(direct::report))
        .route("/api/recordings/{id}/cancel", post(steering::cancel))
        .route("/api/recordings/{id}/retry", post(steering::retry))
        .route("/api/recordings/{id}/remux", post(steering::remux))
        .route("/api/recordings/{id}/reopen", post(steering::reopen))
        .route("/api/recordings/{id}/accept-gaps", post(steering::accept_gaps))
        .route("/api/upload/recording-complete", post(steering::complete))
        .route("/api/playlist", get(hls::compatible))
        .route("/hls/{id}/index.m3u8", get(hls::index))
        .route("/hls/{id}/video.m3u8", get(hls::video))
        .route("/hls/{id}/audio.m3u8", get(hls::audio))
        .merge(health::router(health))
        .route_layer(from_fn_with_state(api.clone(), trace::bound));
    let large = Router::new()
        .route("/api/recordings/{id}/segments/{track}/{name}", put(segments::put))
        .route("/hls/{id}/segments/{track}/{name}", get(hls::segment))
        .route("/media/{id}/result.mp4", get(result::get))
        .route("/media/{id}/poster.jpg", get(pictures::poster))
        .route("/media/{id}/preview.gif", get(pictures::preview))
        .route("/api/recordings/{id}/events", get(events::listen))
        .route("/watch/{id}", get(watch::page))
        .route("/watch/assets/{version}/{name}", get(watch::asset));
    small
        .merge(large)
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        // Each body has a bound of its own, where it is read.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(api.clone(), trace::watch))
        .with_state(api)
}

async fn not_found() -> Response {
    Problem::new(Code::NotFound).into_response()
}

async fn method_not_allowed() -> Response {
    Problem::new(Code::MethodNotAllowed).into_response()
}
