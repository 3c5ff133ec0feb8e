//! `spool demo`, as a person runs it: from an empty folder to a result, once more, interrupted, killed and doubled.

use crate::support::{PATIENCE, Running, packets, wait};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// These belong to other packages, so they are not built with this test alone; the demo finds them beside the binary
/// under test.
pub(crate) fn build_beside() {
    let spool = Path::new(env!("CARGO_BIN_EXE_spool"));
    let folder = spool.parent().unwrap();
    if ["spool-record", "spool-tui"].iter().all(|name| folder.join(name).exists()) {
        return;
    }
    let release = if folder.ends_with("release") { &["--release"][..] } else { &[] };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "-p", "spool-recorder", "-p", "spool-tui", "--bins"])
        .args(release)
        .arg("--target-dir")
        .arg(folder.parent().unwrap())
        .status()
        .unwrap();
    assert!(built.success());
}

pub(crate) fn demo(folder: &Path, arguments: &[&str]) -> Command {
    build_beside();
    let mut command = Command::new(env!("CARGO_BIN_EXE_spool"));
    command.arg("demo").args(arguments).current_dir(folder).env_remove("DATABASE_URL");
    command
}

/// Runs a headless demo to its end and gives its line.
fn headless(folder: &Path, arguments: &[&str]) -> Value {
    let output = demo(folder, &[&["--headless"], arguments].concat()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let line = String::from_utf8(output.stdout).unwrap();
    assert_eq!(line.lines().count(), 1, "standard output is one line: {line}");
    serde_json::from_str(&line).unwrap()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Waits until the demo has said `words`, and gives everything it has said.
pub(crate) async fn until_told(running: &mut Running, words: &str) -> String {
    wait::until(words, PATIENCE, async || {
        assert!(running.is_alive(), "the demo has ended: {}", running.log());
        Some(running.log()).filter(|told| told.contains(words))
    })
    .await
}

/// Address of the API in what a demo has said.
fn base(told: &str) -> String {
    let (_, rest) = told.split_once("API and worker are up: ").expect("the API is up");
    rest.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn headless_demo_keeps_what_was_sent_and_leaves_the_result_alone() {
    let folder = tempfile::tempdir().unwrap();
    // Segments of somebody else's recording in the folder must not pass for this one's.
    let stale = folder.path().join("sent/video/segment_009.m4s");
    std::fs::create_dir_all(stale.parent().unwrap()).unwrap();
    std::fs::write(&stale, "stale").unwrap();

    let line = headless(folder.path(), &["--seconds", "7", "--keep", "sent", "--data", "state"]);
    assert_eq!((&line["status"], &line["segments"]), (&json!("complete"), &json!(8)), "{line}");
    assert!(line["duration_ms"].as_u64().unwrap().abs_diff(7000) <= 34, "7 s within one frame: {line}");
    assert!(line["time_to_ready_ms"].as_u64().unwrap() < 30_000, "{line}");
    let result = PathBuf::from(line["result"].as_str().unwrap());
    assert!(result.is_absolute() && result.starts_with(folder.path().canonicalize().unwrap()), "{line}");
    let boxes = packets::top_boxes(&result);
    let place = |name: &str| boxes.iter().position(|known| known == name);
    assert!(place("moov").is_some() && place("moov") < place("mdat"), "{boxes:?}");
    assert!(!stale.exists());
    packets::assert_same_packets(&result, &folder.path().join("sent"));
    packets::assert_decodes(&result);

    let left = files_below(&folder.path().join("state/objects/demo"));
    let mut names: Vec<_> = left.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    // Pictures are made after it is ready, and a demo that was asked for a result does not wait for them.
    names.retain(|name| !["screen-capture.jpg", "animated-preview.gif"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["result.json", "result.mp4"], "{left:?}");
    let staged = files_below(&folder.path().join("state/staging/received"));
    assert_eq!(staged, [] as [PathBuf; 0]);

    let again = headless(folder.path(), &["--seconds", "2", "--data", "state"]);
    assert_eq!(again["status"], json!("complete"));
    assert_ne!(again["recording"], line["recording"]);
    assert!(result.exists(), "the result of the first run stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_serves_on_until_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(demo(folder.path(), &["--seconds", "2"]), &folder.path().join("told"));
    let told = until_told(&mut running, "Serving on").await;
    let url = told.split_whitespace().find(|word| word.contains("/media/")).expect("it tells where the result is");
    let answer = reqwest::get(url).await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    assert_eq!(&answer.bytes().await.unwrap()[4..8], b"ftyp");
    running.signal(Signal::INT);
    assert_eq!(running.wait(PATIENCE).code(), Some(0), "{}", running.log());
    assert!(reqwest::get(base(&told)).await.is_err(), "nothing of it is left");
    assert!(!folder.path().join("data/pg/cluster/postmaster.pid").exists(), "its Postgres is stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_demo_takes_its_processes_along_and_the_next_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Running::start(demo(folder.path(), &["--seconds", "600"]), &folder.path().join("told"));
    let told = until_told(&mut first, "live").await;

    let second = demo(folder.path(), &["--headless", "--seconds", "2"]).output().unwrap();
    let refused = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(5), "{refused}");
    assert!(refused.contains("another demo is running in"), "{refused}");

    first.kill();
    let base = base(&told);
    wait::until("its API is gone", PATIENCE, async || reqwest::get(format!("{base}/healthz")).await.err().map(drop))
        .await;
    let line = headless(folder.path(), &["--seconds", "2"]);
    assert_eq!(line["status"], json!("complete"), "{line}");
}

#[test]
fn demo_that_cannot_begin_says_which_step_and_what_to_look_at() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = demo(folder.path(), &["--headless", "--seconds", "2"]);
    command.env("DATABASE_URL", "postgres://nobody:x@127.0.0.1:9/none");
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("migrate failed") && told.contains("migrate.log"), "{told}");
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&line["status"], &line["recording"]), (&json!("failed"), &Value::Null));
}
