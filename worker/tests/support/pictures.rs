//! Pictures of a recording as somebody who has its address sees them.

use super::Api;
use super::api::Recording;
use reqwest::Method;

/// Waits until the status names both pictures, fetches them, and has FFmpeg decode them.
pub async fn assert_pictures(api: &Api, recording: &Recording) {
    let named = |status: &serde_json::Value| status["poster"].is_object() && status["preview"].is_object();
    let status = api.until(recording, "both pictures", named).await;
    let folder = tempfile::tempdir().unwrap();
    for (name, kind, codec) in [("poster", "image/jpeg", "mjpeg"), ("preview", "image/gif", "gif")] {
        let picture = &status[name];
        let request = api.request(Method::GET, picture["url"].as_str().unwrap()).bearer_auth(&api.token);
        let answer = request.send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["content-type"]), (200, &kind.parse().unwrap()));
        let bytes = answer.bytes().await.unwrap();
        assert_eq!(picture["bytes"], bytes.len());
        assert!(bytes.len() <= 1_500_000, "{name} has {} bytes", bytes.len());
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let entries = ["-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0"];
        let told = std::process::Command::new("ffprobe").args(entries).arg(&path).output().unwrap();
        let expected = format!("{codec},{},{}", picture["width"], picture["height"]);
        assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), expected, "{}", String::from_utf8_lossy(&told.stderr));
    }
}
