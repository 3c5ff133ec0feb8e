//! `GET /api/recordings/{id}/events`: what happens to a recording, told as it happens (server-sent events).
//!
//! Owns who listens. However many viewers a recording has, this process looks at it once a second and tells them all;
//! nothing is looked at when nobody listens. Events come from `spool.event` with their numbers, so that a listener who was
//! away goes on where it was; between them comes the recording's status whenever it changed.

use super::extract::Id;
use super::problem::{Code, Problem};
use super::{Api, access};
use crate::db::events::{self, Event};
use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use chrono::SecondsFormat;
use domain::id::RecordingId;
use domain::webhook::Body;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks at a recording that moves: what a viewer takes for "at once".
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Between two looks at one that only a person moves on.
const LOOK_SELDOM: Duration = Duration::from_secs(5);

/// A listener is let go after this and comes back by itself: its token is looked at again, and a process that is no
/// longer the nearest one loses it.
const LISTEN_MAX: Duration = Duration::from_secs(600);

/// Events read at once.
const PAGE: u32 = 100;

/// A comment this often keeps a proxy from taking the silence for a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How soon a browser comes back.
const COME_BACK: Duration = Duration::from_secs(2);

/// Everybody who listens to this process. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Listeners {
    all: Arc<Semaphore>,
    rooms: Arc<Mutex<HashMap<RecordingId, watch::Sender<Look>>>>,
    per_recording: usize,
}

/// A recording as it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    /// When it began.
    at: std::time::Instant,
    /// Number of its last event.
    seq: u64,
    /// Its status, as JSON.
    status: Arc<str>,
    /// Nothing moves it on but a person.
    calm: bool,
}

impl Listeners {
    pub(crate) fn new(all_max: u32, per_recording: u32) -> Listeners {
        let all = Arc::new(Semaphore::new(all_max as usize));
        Listeners { all, rooms: Arc::default(), per_recording: per_recording as usize }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<RecordingId, watch::Sender<Look>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat among the listeners of `id`; the first one also starts the looking.
    fn enter(&self, api: &Api, id: &RecordingId, now: Look) -> Result<watch::Receiver<Look>, Problem> {
        let mut rooms = self.rooms();
        if let Some(room) = rooms.get(id) {
            if room.receiver_count() >= self.per_recording {
                return Err(full_house(id));
            }
            // Who comes may have been told more by a status than this room has seen yet.
            tell(room, now);
            return Ok(room.subscribe());
        }
        let (room, seat) = watch::channel(now);
        rooms.insert(id.clone(), room.clone());
        tokio::spawn(look_on(api.clone(), id.clone(), room));
        Ok(seat)
    }

    /// Closes the room when nobody is left in it. Under the same lock as [`Listeners::enter`]: whoever comes a moment later
    /// opens another one.
    fn close_if_empty(&self, id: &RecordingId, room: &watch::Sender<Look>) -> bool {
        let mut rooms = self.rooms();
        let empty = room.receiver_count() == 0;
        if empty {
            rooms.remove(id);
        }
        empty
    }
}

fn full_house(id: &RecordingId) -> Problem {
    let problem = Problem::new(Code::TooManyRequests).object(id);
    problem.detail("too many listen; ask for the recording's status instead")
}

/// Looks at a recording again and again for as long as somebody listens.
async fn look_on(api: Api, id: RecordingId, room: watch::Sender<Look>) {
    loop {
        let calm = room.borrow().calm;
        sleep(if calm { LOOK_SELDOM } else { LOOK_EVERY }).await;
        if api.listeners.close_if_empty(&id, &room) {
            return;
        }
        if api.readiness.is_stopping() {
            // Without a sender every listener's stream ends, and it finds another process.
            api.listeners.rooms().remove(&id);
            return;
        }
        // What cannot be read now is read in the next look; it is logged where it failed.
        if let Ok(look) = look(&api, &id).await {
            tell(&room, look);
        }
    }
}

/// Lets a room know, unless it has seen more: two looks may end in another order than they began.
fn tell(room: &watch::Sender<Look>, look: Look) {
    room.send_if_modified(|known| {
        if (look.at, look.seq) <= (known.at, known.seq) {
            return false;
        }
        let changed = (look.seq, &look.status) != (known.seq, &known.status);
        *known = look;
        changed
    });
}

async fn look(api: &Api, id: &RecordingId) -> Result<Look, Problem> {
    // The number first: an event that comes between the two is told a look later, and never lost.
    let seq = events::last(&api.cx.db, id).await?;
    // What is told after a number must not be older than it.
    let (at, status) = api.looks.fresh(api, id).await?;
    let calm = !matches!(status["state"].as_str(), Some("live" | "finalizing"));
    Ok(Look { at, seq, status: status.to_string().into(), calm })
}

/// Tells what happens to a recording until the listener goes or is let go.
pub(crate) async fn listen(
    State(api): State<Api>,
    id: Result<Id, Problem>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let Id(id) = id?;
    access::service_or_playback(&api, &headers, &uri, &id)?;
    let place = Arc::clone(&api.listeners.all).try_acquire_owned().map_err(|_| full_house(&id))?;
    let now = look(&api, &id).await?;
    let mut seat = api.listeners.enter(&api, &id, now)?;
    let current = seat.borrow_and_update().clone();
    let heard = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let mut listener = Listener {
        seq: heard.unwrap_or(current.seq).min(current.seq),
        status: Arc::default(),
        until: Instant::now() + LISTEN_MAX,
        unsent: VecDeque::new(),
        _place: place,
        api,
        id,
        seat,
    };
    listener.unsent.push_back(sse::Event::default().retry(COME_BACK));
    listener.hear(current).await?;
    let told = stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    let mut response = Sse::new(told).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    let fields = response.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would collect events until its buffer is full.
    fields.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// One listener and what it has been told.
struct Listener {
    api: Api,
    id: RecordingId,
    seat: watch::Receiver<Look>,
    /// Last event told.
    seq: u64,
    /// Last status told.
    status: Arc<str>,
    unsent: VecDeque<sse::Event>,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// The next thing to tell; `None` when the process stops or the listener's time is up.
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            if let Some(event) = self.unsent.pop_front() {
                return Some(event);
            }
            timeout_at(self.until, self.seat.changed()).await.ok()?.ok()?;
            let look = self.seat.borrow_and_update().clone();
            // A listener that misses an event comes back with the number of the last one it heard.
            self.hear(look).await.ok()?;
        }
    }

    /// Puts what is new in `look` behind what is still to tell: events first, since the status tells where they led.
    async fn hear(&mut self, look: Look) -> Result<(), Problem> {
        while self.seq < look.seq {
            let page = events::list(&self.api.cx.db, &self.id, self.seq, PAGE).await?;
            let Some(last) = page.last() else { break };
            self.seq = last.seq;
            let base = &self.api.cx.config.http.public_url;
            self.unsent.extend(page.into_iter().map(|event| told(event, base)));
        }
        if self.status != look.status {
            self.unsent.push_back(sse::Event::default().event("status").data(&look.status));
            self.status = look.status;
        }
        Ok(())
    }
}

/// An event in the shape of a webhook's body.
fn told(event: Event, public_url: &str) -> sse::Event {
    let Event { seq, kind, body, at } = event;
    let body = Body::new(&kind, at.to_rfc3339_opts(SecondsFormat::Millis, true), seq, body, public_url);
    let text = serde_json::to_string(&body).expect("a body has text keys and plain values");
    sse::Event::default().id(seq.to_string()).event(&kind).data(text)
}
