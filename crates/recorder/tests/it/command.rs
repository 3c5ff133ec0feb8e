//! The binary `spool-record`: exit codes, its JSON line, and Ctrl-C.

use crate::server::{Server, TOKEN};
use serde_json::{Value, json};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn spool_record(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spool-record"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for variable in ["SPOOL_URL", "SPOOL_RECORDING"] {
        command.env_remove(variable);
    }
    command.env("SPOOL_UPLOAD_TOKEN", TOKEN);
    command
}

async fn finished(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn json_line(output: &Output) -> Value {
    let text = str::from_utf8(&output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn command_uploads_and_ends_in_one_json_line() {
    let server = Server::start().await;
    let base = server.base();
    let words =
        ["test:320x180@30", "--fast", "--seconds", "4", "--url", &base, "--recording", "rec", "--complete", "--json"];
    let output = finished(spool_record(&words)).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let line = json_line(&output);
    assert_eq!((&line["recording"], &line["duration_ms"], &line["error"]), (&json!("rec"), &json!(4000), &Value::Null));
    assert_eq!((&line["declared"], &line["completed"]), (&json!(true), &json!("queued")));
    server.seen(|seen| {
        let bytes = |track: &str| -> usize {
            seen.stored.iter().filter(|(path, _)| path.starts_with(track)).map(|(_, bytes)| bytes.len()).sum()
        };
        let made = |bytes: usize| json!({"segments": 2, "sent": 2, "bytes": bytes});
        assert_eq!(line["tracks"], json!({"video": made(bytes("video")), "audio": made(bytes("audio"))}));
        assert_eq!((seen.ends.len(), seen.completes), (1, 1));
    });
    assert!(!String::from_utf8_lossy(&output.stderr).contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupt_finishes_what_was_begun_and_declares_it() {
    let server = Server::start().await;
    let base = server.base();
    let child = spool_record(&["test:320x180@30", "--url", &base, "--recording", "rec", "--json"]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !server.seen(|seen| seen.stored.contains_key("video/segment_001.m4s")) {
        assert!(Instant::now() < deadline, "no segment arrived");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let line = json_line(&output);
    assert!(line["duration_ms"].as_u64().unwrap() > 2000, "{line}");
    server.seen(|seen| {
        let (declared, stored) = seen.ends.first().unwrap();
        assert_eq!(declared["duration_ms"], line["duration_ms"]);
        assert_eq!(*stored, seen.stored.len(), "declared after everything had arrived");
        for track in ["video", "audio"] {
            let last = declared["tracks"][track]["last_index"].as_u64().unwrap();
            assert!(seen.stored.contains_key(&format!("{track}/segment_{last:03}.m4s")));
            assert!(!seen.stored.contains_key(&format!("{track}/segment_{:03}.m4s", last + 1)));
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn command_says_by_its_exit_code_what_was_wrong() {
    let server = Server::start().await;
    let base = server.base();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "not a recording").unwrap();
    for (words, code) in [
        (vec!["test:", "--nonsense"], 2),
        (vec!["device:0", "--out", out], 2),
        (vec!["test:7x7", "--out", out], 2),
        (vec!["/nowhere/at/all.mp4", "--out", out], 4),
        (vec![text.to_str().unwrap(), "--out", out], 1),
        (vec!["test:", "--fast", "--seconds", "1", "--url", &base, "--recording", "rec", "--token", "wrong"], 7),
    ] {
        let output = finished(spool_record(&words)).await;
        assert_eq!(output.status.code(), Some(code), "{words:?}: {output:?}");
        assert!(!output.stderr.is_empty());
    }
}
