//! One delivery on the wire: bounded in time and in what is read of the answer, and told without its address.

use super::{PayloadFormat, Receiver, sign};
use chrono::{DateTime, Utc};
use domain::webhook::Answer;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::error::Error as StdError;
use std::time::{Duration, Instant};

/// What is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same for every try.
    pub id: String,
    /// The moment of this try, by the database's clock: a receiver refuses what is signed for another time.
    pub at: DateTime<Utc>,
    /// The body, JSON.
    pub body: Vec<u8>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The answer, as far as it decides anything.
    pub answer: Answer,
    /// Its status; none when there was no answer.
    pub status: Option<u16>,
    /// What was wrong, for people; none when it was taken. Never an address, a secret or a word of the answer's body.
    pub error: Option<String>,
    /// When not to come back before.
    pub retry_after: Option<Duration>,
    /// From the first byte sent to the head of the answer.
    pub took: Duration,
}

/// Most that is read of an answer's body, so that its connection can be used again. Nobody looks at it: an answer may
/// repeat what was sent, with signature and all.
const BODY_MAX: usize = 16 * 1024;

/// Longest wait for the rest of such a body.
const BODY_WAIT: Duration = Duration::from_secs(1);

/// Longest text of an error.
const ERROR_CHARS_MAX: usize = 160;

/// The replaced system's header.
const COMPATIBILITY_HEADER: &str = "x-media-server-secret";

/// Sends a message and waits for the head of the answer.
pub(super) async fn send(client: &reqwest::Client, receiver: &Receiver, message: &Message) -> Sent {
    let request = client.post(receiver.url.clone()).headers(headers(receiver, message)).body(message.body.clone());
    let begun = Instant::now();
    let answered = request.send().await;
    let took = begun.elapsed();
    let response = match answered {
        Ok(response) => response,
        Err(error) => {
            let error = Some(explain(error));
            return Sent { answer: Answer::Not, status: None, error, retry_after: None, took };
        }
    };
    let status = response.status();
    let retry_after = retry_after(response.headers(), message.at);
    drain(response).await;
    let (answer, error) = match status {
        status if status.is_success() => (Answer::Taken, None),
        StatusCode::GONE => (Answer::Gone, Some("answered 410: it wants no more".to_owned())),
        status if status.is_redirection() => {
            (Answer::Not, Some(format!("answered {}: redirects are not followed", status.as_u16())))
        }
        status => (Answer::Not, Some(format!("answered {}", status.as_u16()))),
    };
    Sent { answer, status: Some(status.as_u16()), error, retry_after, took }
}

fn headers(receiver: &Receiver, message: &Message) -> HeaderMap {
    let timestamp = message.at.timestamp();
    let mut headers = HeaderMap::new();
    let mut insert = |name: &'static str, text: &str, secret: bool| {
        let mut value =
            HeaderValue::from_str(text).expect("ids, numbers, base64 and checked secrets are header values");
        value.set_sensitive(secret);
        headers.insert(name, value);
    };
    insert(header::CONTENT_TYPE.as_str(), "application/json", false);
    insert("webhook-id", &message.id, false);
    insert("webhook-timestamp", &timestamp.to_string(), false);
    let signatures = sign::signatures(&receiver.keys, &message.id, timestamp, &message.body);
    insert("webhook-signature", &signatures, true);
    if let (PayloadFormat::Compatibility, Some(key)) = (receiver.format, receiver.keys.first()) {
        insert(COMPATIBILITY_HEADER, key.text(), true);
    }
    headers
}

async fn drain(mut response: reqwest::Response) {
    let body = async {
        let mut read = 0;
        while let Ok(Some(piece)) = response.chunk().await {
            read += piece.len();
            if read > BODY_MAX {
                return;
            }
        }
    };
    // What is not read to its end closes its connection, and nothing else.
    let _ = tokio::time::timeout(BODY_WAIT, body).await;
}

/// Seconds, or a moment (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    Some((at.with_timezone(&Utc) - now).to_std().unwrap_or_default())
}

/// What went wrong before there was an answer: in which step, and the innermost cause. Its layers in between repeat the
/// address, which may hold a secret.
fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return if error.is_connect() { "no connection in time" } else { "no answer in time" }.to_owned();
    }
    let step = if error.is_connect() { "no connection" } else { "no whole answer" };
    let mut cause: &dyn StdError = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let cause: String = cause.to_string().chars().filter(|letter| !letter.is_control()).take(ERROR_CHARS_MAX).collect();
    format!("{step}: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_moment() {
        let now = DateTime::from_timestamp(784_111_777, 0).unwrap();
        let read = |text: &'static str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(text))]);
            retry_after(&headers, now)
        };
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read("Sun, 06 Nov 1994 08:51:37 GMT"), Some(Duration::from_secs(120)));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
