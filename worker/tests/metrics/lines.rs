//! Log lines for machines.

use crate::support::api::Recording;
use crate::support::{Api, PATIENCE, wait};
use crate::support::{s3, site};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Watches a little, and gives the signature of a URL that the store takes.
pub(crate) async fn watch(api: &Api, recording: &Recording) -> String {
    let path = format!("/api/recordings/{}/playback-token", recording.id);
    let token = api.call(Method::POST, &path, json!({})).await.body["token"].as_str().unwrap().to_owned();
    let playlist = format!("/hls/{}/video.m3u8?token={token}", recording.id);
    wait::until("the first segment is listed", PATIENCE, async || {
        let answer = api.request(Method::GET, &playlist).send().await.ok()?;
        answer.text().await.ok()?.contains("segment_001.m4s").then_some(())
    })
    .await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let segment = format!("{}/hls/{}/segments/video/segment_001.m4s?token={token}", api.base, recording.id);
    let answer = http.get(segment).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    let url: reqwest::Url = answer.headers()["location"].to_str().unwrap().parse().unwrap();
    let signature = url.query_pairs().find(|(key, _)| key == "X-Amz-Signature").expect("a signed URL").1.into_owned();
    assert!(signature.len() >= 32, "{url}");
    signature
}

/// Every line is one flat object; a line of a job has the job's fields; and no secret is in any.
pub(crate) fn check(logs: &[&str], secrets: &[&str]) {
    let mut messages = BTreeSet::new();
    let mut jobs = 0;
    for line in logs.iter().flat_map(|log| log.lines()) {
        let read: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let fields = read.as_object().unwrap_or_else(|| panic!("no object: {line}"));
        let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("no {key}: {line}"));
        assert!(text("timestamp").ends_with('Z') && text("timestamp").contains('T'), "{line}");
        assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&text("level")), "{line}");
        assert_ne!(text("level"), "ERROR", "{line}");
        assert!(!text("target").is_empty(), "{line}");
        assert!(fields.values().all(|value| !value.is_object() && !value.is_array()), "not flat: {line}");
        if text("target").starts_with("worker") || text("target").starts_with("queue") {
            messages.insert(text("message").to_owned());
        }
        if text("message") == "job completed" {
            jobs += 1;
            for key in ["job.id", "job.kind", "job.attempt", "queue", "duration_ms"] {
                assert!(fields.contains_key(key), "no {key}: {line}");
            }
        }
        if text("message") == "request answered" {
            for key in ["http.id", "http.method", "http.route", "http.path", "http.status", "duration_ms"] {
                assert!(fields.contains_key(key), "no {key}: {line}");
            }
        }
    }
    assert!(jobs >= 4, "upload, manifest_check, mux and preview completed: {messages:?}");
    assert!(messages.contains("request answered") && messages.len() >= 5, "{messages:?}");
    // A message is a constant: nothing that differs from run to run is in it.
    assert!(messages.iter().all(|message| !message.chars().any(|c| c.is_ascii_digit())), "{messages:?}");
    let ours =
        [site::SERVICE_TOKEN, "signing-key-of-a-test", s3::SECRET_ACCESS_KEY, "X-Amz-Signature", "token=", "forged"];
    for secret in secrets.iter().copied().chain(ours) {
        let leaks: Vec<_> = logs.iter().flat_map(|log| log.lines()).filter(|line| line.contains(secret)).collect();
        assert!(leaks.is_empty(), "{secret}: {leaks:#?}");
    }
}
