//! What the self-test finds, alone and as `spool doctor` shows it.

use crate::support::S3Server;
use crate::support::s3::{ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY};
use std::process::{Command, Output};
use worker::storage::{Call, Checked, Config, Error, Fault, Faults, Service, Store};

#[tokio::test]
async fn store_that_works_is_said_to_and_left_as_it_was() {
    let server = S3Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_string_lossy().into_owned();
    let memory = Config { service: Service::Memory, ..Config::default() };
    for (config, presigns) in [(server.config(), true), (Config { root, ..Config::default() }, false), (memory, false)]
    {
        let store = Store::open(&config).await.unwrap();
        let expected = Checked { ignores_conditions: false, presigns };
        assert_eq!(store.check().await.unwrap(), expected);
        assert_eq!(store.check_all().await.unwrap(), expected);
        assert!(store.list("").await.unwrap().all().await.unwrap().is_empty());
    }
    assert!(!folder.path().join(".probe").exists() && server.unfinished_uploads().is_empty());
    assert_eq!(server.count("CompleteMultipartUpload"), 1, "parts are for whoever asks for everything");
}

#[tokio::test]
async fn every_step_that_fails_is_found() {
    let server = S3Server::start().await;
    for call in [Call::Read, Call::Write, Call::Finish, Call::Copy, Call::Stat, Call::List, Call::Delete] {
        let faults = Faults::new();
        let store = Store::open_with(&server.config(), &faults).await.unwrap();
        faults.set(call, 0..u64::MAX, Fault::Refuse);
        let error = store.check().await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{call:?}: {error:?}");
        faults.clear();
        // What one run could not delete is its own; the next one does not mind.
        store.check().await.unwrap();
    }
    // It says that it deleted and did not.
    let faults = Faults::new();
    let store = Store::open_with(&server.config(), &faults).await.unwrap();
    faults.set(Call::Read, 0..u64::MAX, Fault::Truncate(2));
    assert!(store.check().await.is_err());
}

#[tokio::test]
async fn public_address_that_leads_nowhere_is_found_by_the_whole_test_only() {
    let server = S3Server::start().await;
    let mut away = S3Server::start().await;
    away.stop().await;
    let store = Store::open(&Config { public_endpoint: away.endpoint(), ..server.config() }).await.unwrap();
    store.check().await.unwrap();
    let error = store.check_all().await.unwrap_err();
    assert!(matches!(&error, Error::Public { method, .. } if method == "PUT"), "{error:?}");
    assert!(!format!("{error:?}").contains("Signature"), "{error:?}");
    assert!(store.list("").await.unwrap().all().await.unwrap().is_empty());
}

/// `spool doctor` with these settings and nothing else that matters.
async fn doctor(folder: &std::path::Path, env: Vec<(&'static str, String)>) -> (Output, serde_json::Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spool"));
    command.args(["doctor", "--json"]).current_dir(folder).envs(env);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = answer["findings"].as_array().unwrap();
    let storage = findings.iter().find(|finding| finding["part"] == "storage").unwrap().clone();
    (output, storage)
}

#[tokio::test]
async fn doctor_tells_what_is_wrong_with_a_bucket_and_what_to_do() {
    let mut server = S3Server::start().await;
    let store = Store::open(&server.config()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let with = |changes: &[(&'static str, &str)]| {
        let mut env = server.env().to_vec();
        env.extend(changes.iter().map(|(key, value)| (*key, (*value).to_owned())));
        env
    };
    let (_, found) = doctor(folder.path(), with(&[])).await;
    assert_eq!(found["verdict"], "ok", "{found}");
    assert!(found["found"].as_str().unwrap().contains("presigned"), "{found}");
    let (_, found) = doctor(folder.path(), with(&[("SPOOL__STORAGE__BUCKET", "another-bucket")])).await;
    assert_eq!(found["verdict"], "fail", "{found}");
    assert!(found["cure"].as_str().unwrap().contains("storage.bucket"), "{found}");
    let (_, found) = doctor(folder.path(), with(&[("SPOOL__STORAGE__SECRET_ACCESS_KEY", "hunter2")])).await;
    assert!(found["cure"].as_str().unwrap().contains("SECRET_ACCESS_KEY"), "{found}");
    assert!(!found.to_string().contains("hunter2"), "{found}");
    assert!(store.list("").await.unwrap().all().await.unwrap().is_empty());
    let away = with(&[]);
    server.stop().await;
    let (_, found) = doctor(folder.path(), away).await;
    assert!(found["cure"].as_str().unwrap().contains("storage.endpoint"), "{found}");
}

/// Nothing resolves a name for the bucket here, so the server stands in as the proxy that does.
#[tokio::test]
async fn doctor_reaches_a_bucket_in_the_name_of_the_host() {
    let server = S3Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut env = server.env().to_vec();
    env.push(("SPOOL__STORAGE__ADDRESSING", "virtual".to_owned()));
    env.push(("SPOOL__STORAGE__ENDPOINT", format!("http://localhost:{}", server.address().port())));
    env.push(("SPOOL__STORAGE__ROOT", "below/this".to_owned()));
    env.push(("http_proxy", server.endpoint()));
    let (_, found) = doctor(folder.path(), env).await;
    assert_eq!(found["verdict"], "ok", "{found}");
    assert!(found["found"].as_str().unwrap().contains(BUCKET), "{found}");
    assert_eq!(server.count("UploadPart"), 2);
}

#[tokio::test]
async fn machine_lends_its_identity_only_where_that_is_asked_for() {
    let server = S3Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let ours = ["SPOOL__STORAGE__ACCESS_KEY_ID", "SPOOL__STORAGE__SECRET_ACCESS_KEY"];
    let machine = |id: &str| {
        let mut env: Vec<_> = server.env().into_iter().filter(|(key, _)| !ours.contains(key)).collect();
        env.push(("AWS_ACCESS_KEY_ID", id.to_owned()));
        env.push(("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()));
        env
    };
    let asked = ("SPOOL__STORAGE__IDENTITY", "machine".to_owned());
    let (_, found) = doctor(folder.path(), [machine(ACCESS_KEY_ID), vec![asked]].concat()).await;
    assert_eq!(found["verdict"], "ok", "{found}");
    let (_, found) = doctor(folder.path(), [machine("AKIDOFNOBODY"), server.env().to_vec()].concat()).await;
    assert_eq!(found["verdict"], "ok", "keys in the settings win: {found}");
    // Without being asked for it is no identity at all.
    let mut command = Command::new(env!("CARGO_BIN_EXE_spool"));
    command.args(["doctor"]).current_dir(folder.path()).envs(machine(ACCESS_KEY_ID));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(7) && said.contains("storage.identity"), "{said}");
}

#[tokio::test]
async fn doctor_leaves_a_folder_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("objects");
    let env = vec![("SPOOL__STORAGE__ROOT", root.to_string_lossy().into_owned())];
    let (_, found) = doctor(folder.path(), env).await;
    assert_eq!(found["verdict"], "ok", "{found}");
    let left: Vec<_> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".aside"]);
}
