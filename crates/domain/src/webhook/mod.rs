//! What a web app is told of a recording: which events go out, in which shape, and what follows an answer.
//!
//! Owns the list of events that leave Spool (`CONTRACTS §1`) and the two shapes of a body. It does not sign, send or
//! count: that is the worker's.

mod compatibility;

pub use compatibility::{Metadata, Phase, Progress, progress};

use crate::retry::{self, Decision, Failure, Fault, RetryPolicy};
use serde::Serialize;
use serde_json::Value as Json;
use std::time::Duration;

/// The events that a web app is told of. What else happens to a recording (`segment.lost` …) stays inside.
/// The database has the same list, in `spool.is_told`; a test of the migrations holds them together.
pub const TOLD: [&str; 8] = [
    "recording.archived",
    "recording.cancelled",
    "recording.deleted",
    "recording.failed",
    "recording.finalizing",
    "recording.preview_ready",
    "recording.ready",
    "recording.reopened",
];

/// The event that an operator sends to see whether a receiver listens. It belongs to no recording.
pub const TEST: &str = "webhook.test";

/// The body of a delivery in Standard Webhooks' shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Body<'a> {
    /// What happened, for example `recording.ready`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// When, RFC 3339 in UTC.
    pub timestamp: String,
    /// Number of the event within its recording, from 1. Numbers of events that stay inside are left out.
    pub seq: u64,
    /// Facts.
    pub data: Json,
}

/// What an event may tell of, and the last part of its address; a viewer adds a token.
const MADE: [(&str, &str); 3] = [("result", "result.mp4"), ("poster", "poster.jpg"), ("preview", "preview.gif")];

impl<'a> Body<'a> {
    /// The body for an event. `public_url` is where this server is reached, for the addresses of what was made.
    pub fn new(kind: &'a str, timestamp: String, seq: u64, mut data: Json, public_url: &str) -> Body<'a> {
        let base = public_url.trim_end_matches('/');
        let id = data["id"].as_str().unwrap_or_default().to_owned();
        for (key, name) in MADE {
            if let Some(made) = data.get_mut(key).and_then(Json::as_object_mut) {
                made.insert("url".to_owned(), format!("{base}/media/{id}/{name}").into());
            }
        }
        Body { kind, timestamp, seq, data }
    }
}

/// The name of a delivery: the same for every try and every replay, so that a receiver knows what it has seen. No
/// recording's id and no endpoint's name has a colon.
pub fn message_id(recording: &str, seq: u64, endpoint: &str) -> String {
    format!("{recording}:{seq}:{endpoint}")
}

/// How a receiver answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 2xx: it has the event.
    Taken,
    /// 410: it wants no more of them, says Standard Webhooks.
    Gone,
    /// Any other status, a redirect among them, or no answer in time.
    Not,
}

/// One try of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// Which try it was, from 1.
    pub tries: u32,
    /// Time since the event was first to go out.
    pub age: Duration,
    /// The receiver said when not to come back before.
    pub retry_after: Option<Duration>,
}

/// What becomes of the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is done; the next event goes out.
    Delivered,
    /// The receiver wants no more: it waits for a person, and so do the events after it.
    Disable,
    /// Given up until a person asks for it; the next event goes out.
    Park,
    /// The same event goes out again after this time; those after it wait.
    Retry(Duration),
}

/// Tries before an event may be parked: one that has waited for days for another reason, such as workers that stood
/// still, is not given up at the first hiccup of its receiver.
const TRIES_MIN: u32 = 3;

/// Decides what follows a try. `jitter` is a random number in `0.0..=1.0`.
pub fn decide(answer: Answer, tried: Tried, give_up_after: Duration, jitter: f64) -> Next {
    match answer {
        Answer::Taken => Next::Delivered,
        Answer::Gone => Next::Disable,
        Answer::Not => {
            let age_max = (tried.tries >= TRIES_MIN).then_some(give_up_after);
            let policy = RetryPolicy { age_max, ..RetryPolicy::DELIVERY };
            let Tried { tries, age, retry_after } = tried;
            let failure = Failure { attempt: tries, age, fault: Fault::Transient, class: "receiver", retry_after };
            match retry::decide(&policy, failure, jitter) {
                Decision::Retry { after, .. } => Next::Retry(after),
                Decision::Discard | Decision::Cancelled => Next::Park,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[track_caller]
    fn check(answer: Answer, tries: u32, age: Duration, retry_after: Option<Duration>, want: Next) {
        assert_eq!(decide(answer, Tried { tries, age, retry_after }, 3 * DAY, 1.0), want);
    }

    #[test]
    fn decide_goes_by_the_answer_and_the_age_of_the_event() {
        let seconds = |n| Next::Retry(Duration::from_secs(n));
        check(Answer::Taken, 1, Duration::ZERO, None, Next::Delivered);
        check(Answer::Taken, 900, 9 * DAY, None, Next::Delivered);
        check(Answer::Gone, 1, Duration::ZERO, None, Next::Disable);
        check(Answer::Not, 1, Duration::ZERO, None, seconds(5));
        check(Answer::Not, 2, HOUR, None, seconds(10));
        check(Answer::Not, 1_000_000, 3 * DAY - HOUR, None, seconds(3600));
        check(Answer::Not, 90, 3 * DAY, None, Next::Park);
        check(Answer::Not, TRIES_MIN - 1, 30 * DAY, None, seconds(10));
        check(Answer::Not, TRIES_MIN, 30 * DAY, None, Next::Park);
    }

    #[test]
    fn decide_never_comes_back_before_the_receiver_says() {
        check(Answer::Not, 1, Duration::ZERO, Some(2 * HOUR), Next::Retry(2 * HOUR));
        check(Answer::Not, 5, Duration::ZERO, Some(Duration::from_secs(1)), Next::Retry(Duration::from_secs(80)));
        check(Answer::Not, 1, Duration::ZERO, Some(Duration::MAX), Next::Retry(DAY));
    }

    #[test]
    fn jitter_takes_at_most_half() {
        let tried = Tried { tries: 3, age: Duration::ZERO, retry_after: None };
        assert_eq!(decide(Answer::Not, tried, DAY, 0.0), Next::Retry(Duration::from_secs(10)));
    }

    #[test]
    fn body_has_the_addresses_of_what_was_made_and_nothing_else_of_its_own() {
        let at = || "2023-11-14T22:13:20.123Z".to_owned();
        let data = json!({ "id": "r1", "state": "ready", "result": { "bytes": 5 } });
        let body = Body::new("recording.ready", at(), 7, data, "https://spool.example/");
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"type":"recording.ready","timestamp":"2023-11-14T22:13:20.123Z","seq":7,"data":{"id":"r1","result":{"bytes":5,"url":"https://spool.example/media/r1/result.mp4"},"state":"ready"}}"#
        );
        let data = json!({ "id": "r1", "poster": { "bytes": 1 }, "preview": { "bytes": 2 } });
        let body = Body::new("recording.preview_ready", at(), 8, data, "");
        assert_eq!(body.data["poster"], json!({ "bytes": 1, "url": "/media/r1/poster.jpg" }));
        assert_eq!(body.data["preview"]["url"], "/media/r1/preview.gif");
        let data = json!({ "id": "r1", "result": null });
        assert_eq!(Body::new("recording.failed", at(), 1, data.clone(), "").data, data);
    }

    #[test]
    fn list_is_sorted_and_of_recordings() {
        assert!(TOLD.is_sorted() && TOLD.iter().all(|kind| kind.starts_with("recording.")));
    }
}
