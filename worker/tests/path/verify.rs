//! `spool recording verify` on a result in the store, and what a person's Ctrl-C leaves of a long decoding.

use crate::support::{PATIENCE, Running, Set, Site, wait};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

fn answer(output: &Output, code: i32) -> Value {
    let answer = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    assert_eq!(output.status.code(), Some(code), "{answer} {}", String::from_utf8_lossy(&output.stderr));
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn published_result_is_held_to_its_row_and_to_what_was_told_beside_it() {
    let site = Site::new().await;
    let (_server, api) = site.serve().await;
    let _worker = site.work();
    let set = Set::synthetic(Duration::from_secs(6));
    let recording = api.create("anna").await;
    let verify = |arguments: &[&str]| {
        let words = [&["recording", "verify", &recording.id, "--json"], arguments].concat();
        site.spool(&words).output().unwrap()
    };
    answer(&verify(&[]), 5);
    api.put_set(&recording, &set).await;
    api.end(&recording, &set).await;
    api.complete(&recording).await;
    let ready = api.until_state(&recording, "ready").await;
    let sampled = answer(&verify(&[]), 0);
    assert_eq!((&sampled["sound"], &sampled["decoded"]), (&json!(true), &json!("samples")));
    let full = answer(&verify(&["--full"]), 0);
    assert_eq!((&full["sha256"], &full["decoded"]), (&ready["result"]["sha256"], &json!("full")));
    let packets: u64 =
        told(&site, &recording.id)["tracks"].as_array().unwrap().iter().map(|t| t["packets"].as_u64().unwrap()).sum();
    assert_eq!(full["decoded_packets"], json!(packets), "every packet is decoded");
    assert_eq!(
        answer(&site.spool(&["recording", "verify", "nobody", "--json"]).output().unwrap(), 4)["sound"],
        Value::Null
    );

    // A byte of the second picture segment, where only a digest and a decoder see it.
    let result = site.objects().join(format!("anna/{}/result.mp4", recording.id));
    let good = std::fs::read(&result).unwrap();
    let mut bad = good.clone();
    let facts = told(&site, &recording.id);
    let ranges =
        facts["segments"].as_array().unwrap().iter().find(|s| s["track"] == "video" && s["index"] == 2).unwrap();
    let (at, len) =
        (ranges["ranges"][0][0].as_u64().unwrap() as usize, ranges["ranges"][0][1].as_u64().unwrap() as usize);
    bad[at..at + len].fill(0xff);
    std::fs::write(&result, &bad).unwrap();
    let defects = answer(&verify(&["--full"]), 1)["defects"].to_string();
    assert!(defects.contains("SHA-256") && defects.contains("segment 2"), "{defects}");
    std::fs::remove_file(&result).unwrap();
    assert!(answer(&verify(&[]), 1)["defects"].to_string().contains("the store has no"));
}

fn told(site: &Site, id: &str) -> Value {
    serde_json::from_slice(&std::fs::read(site.objects().join(format!("anna/{id}/result.json"))).unwrap()).unwrap()
}

/// Hours of picture, of which nobody wants to see the end.
#[tokio::test]
async fn interrupted_decoding_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    Set::synthetic(Duration::from_secs(4)).write_to(&folder.path().join("in"));
    let run = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(env!("CARGO_BIN_EXE_spool"), &["mux", "in", "-o", "short.mp4"]);
    let words =
        ["-v", "error", "-stream_loop", "999", "-i", "short.mp4", "-c", "copy", "-movflags", "+faststart", "long.mp4"];
    run("ffmpeg", &words);
    let mut command = Command::new(env!("CARGO_BIN_EXE_spool"));
    command.args(["verify", "long.mp4", "--full"]).current_dir(folder.path());
    let mut verifying = Running::start(command, &folder.path().join("log"));
    let pid = u32::try_from(verifying.pid().as_raw_nonzero().get()).unwrap();
    let decoding = wait::until("a child decodes", PATIENCE, async || children(pid).into_iter().next()).await;
    verifying.signal(Signal::INT);
    assert_eq!(verifying.wait(PATIENCE).code(), Some(130), "{}", verifying.log());
    let gone = || !Path::new(&format!("/proc/{decoding}")).exists();
    wait::until("the child is gone", PATIENCE, async || gone().then_some(())).await;
}

/// Whichever thread of the process started them.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of = |thread: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>()
    };
    threads.flat_map(of).collect()
}
