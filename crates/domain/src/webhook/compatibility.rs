//! The body that the replaced media server sent, for receivers that were written for it.
//!
//! It told of one job with a phase and a percentage, and knew neither order nor what happens to a recording after its
//! result; so some of our events have no such body and are not sent.

use serde::Serialize;
use serde_json::Value as Json;

/// The body of a delivery in the replaced system's shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The recording and its plan version: there is no media server's job any more.
    pub job_id: String,
    /// The recording.
    pub video_id: String,
    /// How far it is.
    pub phase: Phase,
    /// The same in percent.
    pub progress: u8,
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the result is; with [`Phase::Complete`] only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// The replaced system's phases, as far as something of ours corresponds to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing is being made: the recording goes on.
    Queued,
    /// The result is being made.
    Processing,
    /// There is a result.
    Complete,
    /// There will be none without a person.
    Error,
    /// Given up.
    Cancelled,
}

/// What the replaced system told of a result, and besides what it never knew: whether something is missing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Length in seconds.
    pub duration: f64,
    /// Picture width in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u64>,
    /// Picture height in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// Pictures per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// Codec of the picture, as FFmpeg names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_codec: Option<String>,
    /// Codec of the sound, as FFmpeg names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_codec: Option<String>,
    /// Bits per second of the whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<u64>,
    /// Bytes of the whole file.
    pub file_size: u64,
    /// Segments that should have been there and are not in the result.
    pub segments_missing: u64,
    /// The result has gaps.
    pub degraded: bool,
}

/// What the replaced system would have said of an event; `None` when it said nothing of the kind. `data` is the event's.
pub fn progress(kind: &str, data: &Json) -> Option<Progress> {
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let video_id = text(&data["id"]).unwrap_or_default();
    let job_id = format!("{video_id}-{}", data["plan_version"].as_u64().unwrap_or(1));
    let said =
        |phase, progress| Progress { job_id, video_id, phase, progress, message: None, error: None, metadata: None };
    match kind {
        "recording.reopened" => {
            Some(Progress { message: Some("The recording goes on".to_owned()), ..said(Phase::Queued, 0) })
        }
        "recording.finalizing" => Some(said(Phase::Processing, 60)),
        "recording.ready" => Some(Progress { metadata: metadata(data), ..said(Phase::Complete, 100) }),
        "recording.failed" => {
            let (code, message) = (text(&data["error"]["code"]), text(&data["error"]["message"]));
            Some(Progress { error: message.or_else(|| code.clone()), message: code, ..said(Phase::Error, 0) })
        }
        "recording.cancelled" => Some(said(Phase::Cancelled, 0)),
        // After its result that system said nothing; a lower percentage would take the result back.
        "recording.archived" | "recording.deleted" | "recording.preview_ready" => None,
        super::TEST => {
            let message = Some("A test of the webhook; there is no such video".to_owned());
            Some(Progress { message, ..said(Phase::Queued, 0) })
        }
        _ => None,
    }
}

fn metadata(data: &Json) -> Option<Metadata> {
    let result = data["result"].as_object()?;
    let number = |key: &str| result.get(key).and_then(Json::as_u64);
    let codec = |key: &str| result.get(key).and_then(Json::as_str).map(name_of);
    let (duration_ms, file_size) = (number("duration_ms").unwrap_or(0), number("bytes").unwrap_or(0));
    Some(Metadata {
        duration: duration_ms as f64 / 1000.0,
        width: number("width"),
        height: number("height"),
        fps: result.get("fps").and_then(Json::as_f64),
        video_codec: codec("video_codec"),
        audio_codec: codec("audio_codec"),
        bitrate: (u128::from(file_size) * 8000).checked_div(u128::from(duration_ms)).and_then(|n| n.try_into().ok()),
        file_size,
        segments_missing: data["segments_missing"].as_u64().unwrap_or(0),
        degraded: data["degraded"].as_bool().unwrap_or(false),
    })
}

/// FFmpeg's name of what RFC 6381 writes with profile and level.
fn name_of(rfc6381: &str) -> String {
    let name = match rfc6381.split('.').next().unwrap_or_default() {
        "avc1" | "avc3" => "h264",
        "hvc1" | "hev1" => "hevc",
        "av01" => "av1",
        "vp08" => "vp8",
        "vp09" => "vp9",
        "mp4a" => "aac",
        "Opus" | "opus" => "opus",
        "fLaC" | "flac" => "flac",
        other => other,
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{TEST, TOLD};
    use serde_json::json;

    /// Every event that goes out, as a line.
    #[test]
    fn progress_is_what_the_replaced_system_said() {
        let data = json!({
            "id": "r1", "plan_version": 2, "degraded": true, "segments_missing": 3,
            "error": { "code": "too-many-gaps", "message": "12 of 20 segments are missing" },
            "result": {
                "bytes": 1_000_000, "duration_ms": 8500, "width": 1280, "height": 720, "fps": 29.97,
                "video_codec": "avc1.64001f", "audio_codec": "mp4a.40.2", "sha256": "00",
            },
        });
        let mut text = String::new();
        for kind in TOLD.into_iter().chain([TEST, "segment.lost"]) {
            let said = progress(kind, &data).map(|said| serde_json::to_string(&said).unwrap());
            text += &format!("{kind}: {}\n", said.unwrap_or_else(|| "-".to_owned()));
        }
        expect_test::expect![[r#"
            recording.archived: -
            recording.cancelled: {"jobId":"r1-2","videoId":"r1","phase":"cancelled","progress":0}
            recording.deleted: -
            recording.failed: {"jobId":"r1-2","videoId":"r1","phase":"error","progress":0,"message":"too-many-gaps","error":"12 of 20 segments are missing"}
            recording.finalizing: {"jobId":"r1-2","videoId":"r1","phase":"processing","progress":60}
            recording.preview_ready: -
            recording.ready: {"jobId":"r1-2","videoId":"r1","phase":"complete","progress":100,"metadata":{"duration":8.5,"width":1280,"height":720,"fps":29.97,"videoCodec":"h264","audioCodec":"aac","bitrate":941176,"fileSize":1000000,"segmentsMissing":3,"degraded":true}}
            recording.reopened: {"jobId":"r1-2","videoId":"r1","phase":"queued","progress":0,"message":"The recording goes on"}
            webhook.test: {"jobId":"r1-2","videoId":"r1","phase":"queued","progress":0,"message":"A test of the webhook; there is no such video"}
            segment.lost: -
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn metadata_leaves_out_what_a_result_has_not() {
        let data = json!({ "id": "r1", "plan_version": 1, "result": { "bytes": 9, "duration_ms": 0, "width": null } });
        let said = serde_json::to_value(progress("recording.ready", &data).unwrap()).unwrap();
        let metadata = json!({ "duration": 0.0, "fileSize": 9, "segmentsMissing": 0, "degraded": false });
        assert_eq!(said["metadata"], metadata);
    }
}
