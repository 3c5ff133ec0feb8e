//! Every command: exit code, what a program reads on standard output, what a person reads on standard error.

use crate::support::api::Recording;
use crate::support::{Api, PATIENCE, Set, Site, wait};
use serde_json::{Value, json};
use std::process::Output;
use std::time::Duration;

/// What a command came to.
#[derive(Debug)]
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn of(output: Output) -> Run {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let code = output.status.code().expect("it ended by itself");
        Run { code, stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The one JSON document on standard output.
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn run(site: &Site, arguments: &[&str]) -> Run {
    Run::of(site.spool(arguments).output().unwrap())
}

/// The command must succeed and answer in JSON.
#[track_caller]
fn json(site: &Site, arguments: &[&str]) -> Value {
    let run = run(site, &[arguments, &["--json"]].concat());
    assert_eq!(run.code, 0, "{arguments:?}: {run:?}");
    run.json()
}

/// The command must fail with this code, say so to a person with a hint or not, and to a program in JSON.
#[track_caller]
fn refused(site: &Site, code: i32, arguments: &[&str]) -> String {
    let text = run(site, arguments);
    assert_eq!(text.code, code, "{arguments:?}: {text:?}");
    assert!(text.stdout.is_empty() && text.stderr.contains("error: "), "{arguments:?}: {text:?}");
    let json = run(site, &[arguments, &["--json"]].concat());
    assert_eq!(json.code, code, "{arguments:?}: {json:?}");
    assert!(json.json().is_object(), "{arguments:?}");
    text.stderr
}

const NOBODY: &str = "01890000-0000-7000-8000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_listed_paused_limited_and_resumed() {
    let site = Site::new().await;
    let named = |name: &str| {
        let queues = json(&site, &["queue", "ls"]);
        queues.as_array().unwrap().iter().find(|queue| queue["name"] == name).unwrap().clone()
    };
    assert_eq!(named("mux")["paused"], json!(false));
    json(&site, &["queue", "pause", "mux", "--reason", "store is moved", "--for", "1h"]);
    let paused = named("mux");
    assert_eq!((&paused["paused"], &paused["paused_reason"]), (&json!(true), &json!("store is moved")));
    assert!(run(&site, &["queue", "ls"]).stdout.contains("store is moved"));
    json(&site, &["queue", "resume", "mux"]);
    assert!(refused(&site, 5, &["queue", "resume", "mux"]).contains("mux is running"));
    json(&site, &["queue", "limit", "mux", "--max-running", "3", "--max-per-key", "1"]);
    assert_eq!((&named("mux")["max_running"], &named("mux")["key_max"]), (&json!(3), &json!(1)));
    json(&site, &["queue", "limit", "mux"]);
    assert_eq!(named("mux")["max_running"], Value::Null);
    refused(&site, 4, &["queue", "pause", "nowhere"]);

    let audited = site.texts("SELECT action || ' ' || via FROM queue.op_log ORDER BY at", []).await;
    assert_eq!(audited, ["pause cli", "resume cli", "limit cli", "limit cli"]);
    let actors = site.texts("SELECT DISTINCT actor FROM queue.op_log", []).await;
    assert!(actors.len() == 1 && actors[0].contains('@'), "{actors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_enqueued_listed_steered_and_followed() {
    let site = Site::new().await;
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    let later = id(&json(&site, &["job", "enqueue", "noop", r#"{"wait_ms": 1}"#, "--in", "1h"]));
    let listed = json(&site, &["job", "ls", "--state", "scheduled"]);
    assert_eq!((id(&listed["rows"][0]), &listed["next"]), (later.clone(), &Value::Null));
    assert!(run(&site, &["job", "ls"]).stdout.contains(&later));
    let shown = json(&site, &["job", "show", &later]);
    assert_eq!(
        (&shown["kind"], &shown["state"], &shown["attempts"]),
        (&json!("noop"), &json!("scheduled"), &json!([]))
    );

    assert!(refused(&site, 5, &["job", "retry", &later]).contains("is scheduled"));
    json(&site, &["job", "snooze", &later, "--for", "2h"]);
    json(&site, &["job", "run-now", &later]);
    assert_eq!(json(&site, &["job", "show", &later])["state"], json!("available"));
    assert!(refused(&site, 5, &["job", "run-now", &later]).contains("is available"));
    json(&site, &["job", "cancel", &later, "--reason", "not wanted"]);
    assert_eq!(json(&site, &["job", "show", &later])["reason"], json!("not wanted"));
    refused(&site, 5, &["job", "cancel", &later]);
    json(&site, &["job", "retry", &later]);
    assert!(refused(&site, 5, &["job", "retry", &later]).contains("is available"));
    let other = id(&json(&site, &["job", "enqueue", "noop", "--in", "1h"]));
    json(&site, &["job", "discard", &other]);
    assert_eq!(id(&json(&site, &["job", "ls", "--state", "discarded"])["rows"][0]), other);

    // One that is not there does not keep the verb from the other.
    let mixed = run(&site, &["job", "cancel", NOBODY, &later, "--json"]);
    assert_eq!(mixed.code, 4);
    let answers: Vec<_> =
        mixed.json()["outcomes"].as_array().unwrap().iter().map(|one| one["answer"].clone()).collect();
    assert_eq!(answers, ["not-found", "ok"]);

    for verb in ["show", "retry", "run-now", "cancel", "discard", "follow"] {
        refused(&site, 4, &["job", verb, NOBODY]);
    }
    refused(&site, 4, &["job", "snooze", NOBODY, "--for", "1m"]);
    refused(&site, 4, &["job", "enqueue", "manifest_check", r#"{"recording": "nobody"}"#]);
    refused(&site, 5, &["job", "enqueue", "probe", r#"{"recording": "r"}"#]);
    refused(&site, 2, &["job", "enqueue", "mux", "{}"]);
    for arguments in
        [vec!["job", "enqueue", "nonsense"], vec!["job", "show", "x"], vec!["job", "ls", "--state", "gone"]]
    {
        assert_eq!(run(&site, &arguments).code, 2, "{arguments:?}");
    }
    assert_eq!(site.count("SELECT count(*) FROM queue.op_log WHERE action = 'enqueue'", []).await, 2);

    let short = id(&json(&site, &["job", "enqueue", "noop", r#"{"wait_ms": 200}"#]));
    let _work = site.work();
    let followed = run(&site, &["job", "follow", &short]);
    assert_eq!(followed.code, 0, "{followed:?}");
    assert!(followed.stdout.lines().last().unwrap().starts_with("noop completed"), "{followed:?}");
    let waited = run(&site, &["job", "enqueue", "noop", "--wait"]);
    assert_eq!(waited.code, 0, "{waited:?}");
    assert!(waited.stdout.lines().last().unwrap().starts_with("noop completed"), "{waited:?}");
    let cancelled = run(&site, &["job", "follow", &later]);
    assert_eq!(cancelled.code, 1, "a cancelled job has not done its work: {cancelled:?}");
}

async fn one_ready(site: &Site) -> (Api, Recording, [crate::support::Running; 2]) {
    let (serve, api) = site.serve().await;
    let work = site.work();
    let set = Set::synthetic(Duration::from_secs(3));
    let recording = api.create("owner-1").await;
    api.put_set(&recording, &set).await;
    api.end(&recording, &set).await;
    api.complete(&recording).await;
    api.until_state(&recording, "ready").await;
    (api, recording, [serve, work])
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_workers_and_tokens_are_shown_and_made() {
    let site = Site::new().await;
    let (api, recording, _running) = one_ready(&site).await;
    let id = recording.id.as_str();
    let empty = api.create("owner-2").await;

    let listed = json(&site, &["recording", "ls"]);
    let ids: Vec<_> = listed["recordings"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, [json!(empty.id), json!(id)], "newest first");
    assert_eq!(json(&site, &["recording", "ls", "--state", "ready"])["recordings"].as_array().unwrap().len(), 1);
    assert_eq!(json(&site, &["recording", "ls", "--owner", "nobody"])["recordings"], json!([]));
    let first = json(&site, &["recording", "ls", "--limit", "1"]);
    assert_eq!(first["next"], json!(empty.id));
    let second = json(&site, &["recording", "ls", "--limit", "1", "--after", &empty.id]);
    assert_eq!(second["recordings"][0]["id"], json!(id));

    let shown = json(&site, &["recording", "show", id]);
    assert_eq!((&shown["state"], &shown["tracks"]["video"]["stored"]), (&json!("ready"), &json!(2)), "{shown}");
    assert_eq!(shown["result"]["key"], json!(format!("owner-1/{id}/result.mp4")));
    let kinds: Vec<_> = shown["jobs"].as_array().unwrap().iter().map(|job| job["kind"].as_str().unwrap()).collect();
    assert!(["upload", "manifest_check", "mux"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    let text = run(&site, &["recording", "show", id]);
    assert!(text.stdout.contains("recording.ready") && text.stdout.contains("result.mp4"), "{text:?}");
    refused(&site, 4, &["recording", "show", "nobody"]);
    refused(&site, 4, &["recording", "ls", "--after", "nobody"]);
    assert_eq!(run(&site, &["recording", "show", "../x"]).code, 2);

    let minted = json(&site, &["token", "mint", id, "--scope", "playback"]);
    let path = format!("/api/recordings/{id}?token={}", minted["token"].as_str().unwrap());
    assert_eq!(api.send(api.request(reqwest::Method::GET, &path)).await.status, 200);
    let upload = run(&site, &["token", "mint", id, "--scope", "upload", "--for", "1h"]).stdout;
    let path = format!("/api/recordings/{id}?token={}", upload.trim());
    assert_eq!(
        api.send(api.request(reqwest::Method::GET, &path)).await.status,
        403,
        "an upload token is not for watching"
    );
    refused(&site, 4, &["token", "mint", "nobody", "--scope", "upload"]);

    let workers = json(&site, &["worker", "ls"]);
    let worker = workers.as_array().unwrap().iter().find(|worker| worker["slots"].as_i64() > Some(10)).unwrap();
    let worker = worker["id"].as_str().unwrap();
    assert!(run(&site, &["worker", "ls"]).stdout.contains(worker));
    json(&site, &["worker", "drain", worker]);
    wait::until("the worker has left", PATIENCE, async || {
        let still = json(&site, &["worker", "ls"]).as_array().unwrap().iter().any(|row| row["id"] == worker);
        (!still).then_some(())
    })
    .await;
    refused(&site, 4, &["worker", "drain", NOBODY]);
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_is_shown_without_secrets_and_refused_when_wrong() {
    let mut site = Site::new().await;
    let shown = json(&site, &["config", "--set", "cleanup.grace=77s"]);
    assert_eq!(shown["cleanup"]["grace"], json!("1m 17s"), "flags win");
    let text = run(&site, &["config"]).stdout + &shown.to_string();
    assert!(!text.contains("service-token-of-a-test") && !text.contains("signing-key-of-a-test"), "{text}");
    assert!(refused(&site, 7, &["config", "--set", "cleanup.grase=1s"]).contains("cleanup.grace"));
    assert_eq!(run(&site, &["config", "--set", "nonsense"]).code, 2);

    site.set("SPOOL__HTTP__LISTN", "x");
    for arguments in [&["config"][..], &["serve"], &["work"], &["migrate"], &["job", "ls"], &["doctor"]] {
        assert_eq!(run(&site, arguments).code, 7, "{arguments:?}");
    }
    site.unset("SPOOL__HTTP__LISTN");
    site.unset("SPOOL__AUTH__SIGNING_KEYS");
    for arguments in [&["serve"][..], &["token", "mint", "r", "--scope", "upload"], &["doctor"]] {
        let run = run(&site, arguments);
        assert_eq!(run.code, 7, "{arguments:?}: {run:?}");
        assert!((run.stdout + &run.stderr).contains("SPOOL__AUTH__SIGNING_KEYS"), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn database_that_is_away_empty_or_closed_to_us_has_a_code() {
    let mut site = Site::new().await;
    let commands =
        [&["job", "ls"][..], &["recording", "ls"], &["queue", "ls"], &["worker", "ls"], &["work"], &["serve"]];
    let empty = postgres::testing::TestDb::empty().await.unwrap();
    site.set("DATABASE_URL", empty.url());
    for arguments in commands {
        assert!(refused(&site, 7, arguments).contains("spool migrate"), "{arguments:?}");
    }
    assert_eq!(json(&site, &["migrate"])["from"], json!(0));
    assert!(run(&site, &["migrate"]).stdout.contains("up to date"));
    json(&site, &["job", "ls"]);

    let wrong = empty.url().replacen(':', "\u{0}", 2).replacen('\u{0}', ":", 1);
    let (scheme, rest) = wrong.split_once('\u{0}').unwrap();
    let (_, host) = rest.split_once('@').unwrap();
    site.set("DATABASE_URL", &format!("{scheme}:wrong@{host}"));
    assert_eq!(run(&site, &["job", "ls"]).code, 7, "the password is wrong");
    let nobody = crate::support::site::free_port();
    site.set("SPOOL__DATABASE__ACQUIRE_TIMEOUT", "300ms");
    site.set("SPOOL__DATABASE__CONNECT_TIMEOUT", "300ms");
    site.set("DATABASE_URL", &format!("postgres://nobody:x@127.0.0.1:{nobody}/none"));
    for arguments in commands.into_iter().chain([&["migrate"][..]]) {
        refused(&site, 6, arguments);
    }
    assert_eq!(run(&site, &["doctor"]).code, 6);
    site.unset("DATABASE_URL");
    assert_eq!(run(&site, &["job", "ls"]).code, 7, "no address is a setting that is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_that_is_away_or_forbidden_has_a_code() {
    let mut site = Site::new().await;
    let folder = site.folder().join("a-file");
    std::fs::write(&folder, "").unwrap();
    site.set("SPOOL__STORAGE__ROOT", folder.join("below").to_str().unwrap());
    for arguments in [&["serve"][..], &["work"], &["doctor"]] {
        let run = run(&site, arguments);
        assert!([6, 7].contains(&run.code), "{arguments:?}: {run:?}");
    }
    let nobody = crate::support::site::free_port();
    site.set("SPOOL__STORAGE__SERVICE", "s3");
    site.set("SPOOL__STORAGE__ROOT", "");
    site.set("SPOOL__STORAGE__BUCKET", "bucket");
    site.set("SPOOL__STORAGE__ENDPOINT", &format!("http://127.0.0.1:{nobody}"));
    site.set("SPOOL__STORAGE__ACCESS_KEY_ID", "key");
    site.set("SPOOL__STORAGE__SECRET_ACCESS_KEY", "a-secret-that-nobody-sees");
    for arguments in [&["serve"][..], &["work"], &["doctor"]] {
        let run = run(&site, arguments);
        assert_eq!(run.code, 6, "{arguments:?}: {run:?}");
        assert!(!(run.stdout + &run.stderr).contains("a-secret-that-nobody-sees"), "{arguments:?}");
    }
    json(&site, &["job", "ls"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_everything_well_and_names_what_is_not() {
    let mut site = Site::new().await;
    let findings = json(&site, &["doctor"]);
    let parts: Vec<_> =
        findings["findings"].as_array().unwrap().iter().map(|one| one["part"].as_str().unwrap()).collect();
    assert_eq!(
        parts,
        ["settings", "secrets", "webhooks", "database", "schema", "roles", "storage", "store id", "staging", "ffmpeg"]
    );
    assert!(findings["findings"].as_array().unwrap().iter().all(|one| one["verdict"] != "fail"), "{findings}");
    let text = run(&site, &["doctor"]).stdout;
    assert!(
        text.lines().all(|line| line.starts_with("ok") || line.starts_with("warn") || line.starts_with(' ')),
        "{text}"
    );

    let file = site.folder().join("a-file");
    std::fs::write(&file, "").unwrap();
    site.set("SPOOL__STAGING__DIR", file.join("below").to_str().unwrap());
    let run = run(&site, &["doctor", "--json"]);
    assert_eq!(run.code, 7, "{run:?}");
    let staging =
        run.json()["findings"].as_array().unwrap().iter().find(|one| one["part"] == "staging").unwrap().clone();
    assert_eq!(staging["verdict"], json!("fail"));
    assert!(staging["cure"].as_str().unwrap().contains("staging.dir"), "{staging}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_no_failure() {
    let site = Site::new().await;
    let mut command = std::process::Command::new("sh");
    let spool = env!("CARGO_BIN_EXE_spool");
    command
        .args(["-c", &format!("{spool} config | true; {spool} --help | head -n 1 >/dev/null")])
        .current_dir(site.folder());
    let output = command.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
