//! Every process that the chart starts finds its settings in order.

use crate::{Case, Process};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// Where the chart mounts secrets and settings.
const SECRETS: &str = "/run/secrets/spool";
const SETTINGS: &str = "/etc/spool/config.toml";

/// A folder with what the secrets of a release hold.
fn secrets() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("database-url", "postgres://spool:secret@db.example.com/spool"),
        ("access-key-id", "an-id"),
        ("secret-access-key", "a-key"),
        ("service-tokens", "app:a-token-of-sixteen-characters"),
        ("signing-keys", "k1:a-key-of-thirty-two-characters-and-more"),
        ("webhook-secrets", "app:whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw,legacy:a-secret-of-the-replaced-server"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Runs this program with arguments in the environment of a process of the chart.
fn spool(case: &Case, process: &Process, secrets: &Path, args: &[&str]) -> Output {
    let mut env: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in &process.env {
        let value = value.replace(SECRETS, secrets.to_str().unwrap());
        env.insert(name, value.replace(SETTINGS, case.folder.join("config.toml").to_str().unwrap()));
    }
    // In the folder of the secrets there is no config.toml, as in the image.
    Command::new(env!("CARGO_BIN_EXE_spool")).args(args).env_clear().envs(env).current_dir(secrets).output().unwrap()
}

#[test]
fn settings_of_every_process_load() {
    let secrets = secrets();
    for case in Case::all() {
        assert!(!case.processes.is_empty(), "{}", case.name);
        for process in &case.processes {
            let output = spool(&case, process, secrets.path(), &["config", "--json"]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}, {}: {said}", case.name, process.name);
            let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
            took(&case, process, &shown);
        }
    }
}

/// The settings are those that were meant, not only some that load.
fn took(case: &Case, process: &Process, shown: &Value) {
    let place = format!("{}, {}", case.name, process.name);
    let hidden = json!("********");
    assert_eq!(shown["database"]["url"], hidden, "{place}");
    let stays = matches!(process.args[0].as_str(), "serve" | "work");
    let serves = process.args[0] == "serve";
    assert_eq!(shown["auth"]["service_tokens"] == hidden, serves, "{place}");
    assert_eq!(shown["auth"]["signing_keys"] == hidden, serves, "{place}");
    if !stays {
        return;
    }
    assert_eq!(shown["http"]["listen"], "0.0.0.0:8080", "{place}");
    assert_eq!(shown["work"]["listen"], "0.0.0.0:9091", "{place}");
    let local = case.name == "staging-local";
    assert_eq!(shown["staging"]["mode"], if local { "local" } else { "store" }, "{place}");
    assert_eq!(shown["log"]["format"], "json", "{place}");
    let pool = process.name.strip_suffix("/work").and_then(|name| Some(name.split_once("-work-")?.1));
    if let Some(pool) = pool {
        assert_eq!(shown["work"]["queues"], json!(case.queues(pool)), "{place}");
    }
    match (case.name.as_str(), pool) {
        ("default", Some("mux")) => assert_eq!(shown["work"]["drain"], "9m", "{place}"),
        ("all-on", Some("io")) => {
            assert_eq!(
                (&shown["work"]["slots"]["ingest"], &shown["work"]["slots"]["webhook"]),
                (&json!(32), &json!(16))
            );
        }
        ("all-on", None) => {
            assert_eq!(shown["storage"]["root"], "pre \"fix\" <&>", "{place}");
            assert_eq!(shown["http"]["connections_max"], 1_000_000, "{place}");
            assert_eq!(shown["limits"]["puts_per_recording"], 32, "a variable wins over the file");
            assert_eq!(shown["live"]["max_gap_ratio"], 0.25, "{place}");
            assert_eq!(shown["webhook"]["endpoints"]["app"]["url"], "https://app.example.com/webhooks/spool?a=1&b=2");
            assert_eq!(shown["webhook"]["endpoints"]["legacy"]["format"], "compatibility", "{place}");
        }
        ("staging-local", None) => assert_eq!(shown["work"]["slots"]["ingest"], 16, "{place}"),
        ("minimal", _) => assert_eq!(shown["storage"]["identity"], "machine", "{place}"),
        _ => {}
    }
}

#[test]
fn command_lines_of_every_process_are_ones_that_the_program_knows() {
    let secrets = secrets();
    for case in Case::all() {
        for process in &case.processes {
            let mut args: Vec<_> = process.args.iter().map(String::as_str).collect();
            // Whatever stands before it is read first.
            args.push("--help");
            let output = spool(&case, process, secrets.path(), &args);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}, {}: {said}", case.name, process.name);
        }
    }
}
