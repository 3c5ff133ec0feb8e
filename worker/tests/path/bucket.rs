//! A web app whose own uploader writes into the bucket: recording made, watched and finished over HTTP, not one segment
//! sent to the API.

use crate::support::api::Recording;
use crate::support::{PATIENCE, Set, Site, packets, wait};
use domain::segment::{Name, Track};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Puts an object as every store does: it is there whole or not at all.
fn put(site: &Site, recording: &Recording, path: &str, bytes: &[u8]) {
    let target = site.objects().join(&recording.owner).join(&recording.id).join("segments").join(path);
    let aside = site.folder().join("aside");
    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
    std::fs::write(&aside, bytes).unwrap();
    std::fs::rename(&aside, &target).unwrap();
}

fn manifest(video: u32, audio: u32, complete: bool) -> String {
    let list = |last: u32| (1..=last).map(|index| json!({ "index": index, "duration": 2.0 })).collect::<Value>();
    json!({
        "version": 2, "video_init_uploaded": true, "audio_init_uploaded": true, "video_segments": list(video),
        "audio_segments": list(audio), "is_complete": complete,
    })
    .to_string()
}

fn put_result(site: &Site, url: &str, folder: &Path) -> std::path::PathBuf {
    assert!(url.ends_with("/result.mp4"), "{url}");
    let results = site.keys().into_iter().find(|key| key.ends_with("/result.mp4")).unwrap();
    let path = folder.join("result.mp4");
    std::fs::copy(site.objects().join(results), &path).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn recording_of_another_uploader_is_watched_and_finished() {
    let mut site = Site::new().await;
    site.set("SPOOL__BUCKET__LOOK_MIN", "100ms");
    site.set("SPOOL__BUCKET__LOOK_MAX", "500ms");
    let (_serve, api) = site.serve().await;
    let _work = site.work();
    let set = Set::synthetic(Duration::from_secs(6));
    let body = json!({ "id": "theirs", "owner_id": "anna", "source": "bucket" });
    let made = api.call(Method::POST, "/api/recordings", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let playlist = made.body["playlist_url"].as_str().unwrap().replace("index.m3u8", "video.m3u8");
    let recording = Recording { id: "theirs".to_owned(), owner: "anna".to_owned(), upload_token: String::new() };

    let stored = |status: &Value| status["tracks"]["video"]["stored"].as_u64().unwrap_or(0);
    for round in 0..=3_u32 {
        for (track, (init, segments)) in &set.tracks {
            let bytes = if round == 0 { init } else { &segments[round as usize - 1] };
            put(&site, &recording, &format!("{track}/{}", Name::of_index(round)), bytes);
        }
        put(&site, &recording, "manifest.json", manifest(round, round, false).as_bytes());
        let status = api.until(&recording, "it is stored", |status| stored(status) == u64::from(round)).await;
        assert_eq!(status["state"], "live");
        if round > 0 {
            let name = Name::of_index(round).to_string();
            wait::until("viewers see it", PATIENCE, async || {
                let answer = api.request(Method::GET, &playlist).send().await.ok()?;
                Some(answer.text().await.ok()?).filter(|text| text.contains(&name) && !text.contains("ENDLIST"))
            })
            .await;
        }
    }
    put(&site, &recording, "manifest.json", manifest(3, 3, true).as_bytes());
    assert_eq!(api.complete(&recording).await, "queued");
    let ready = api.until_state(&recording, "ready").await;
    assert_eq!((&ready["tail_confirmed"], &ready["gaps"]), (&json!(true), &json!([])), "{ready}");
    assert_eq!(ready["declared"]["tracks"]["video"]["last_index"], 3, "{ready}");
    let folder = tempfile::tempdir().unwrap();
    set.write_to(&folder.path().join("sent"));
    let result = put_result(&site, ready["result"]["url"].as_str().unwrap(), folder.path());
    packets::assert_same_packets(&result, &folder.path().join("sent"));
    assert_eq!(set.last_index(Track::Video), 3);
}
