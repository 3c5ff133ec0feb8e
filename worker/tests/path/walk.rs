//! What the documents tell a reader to type, typed: every block of commands that is marked `sh walk`, in order and in one
//! shell, beside a demo, as somebody with two terminals would.

use crate::demo::{demo, until_told};
use crate::support::api::Recording;
use crate::support::{PATIENCE, Running, Set, Site, wait};
use reqwest::Method;
use rustix::process::Signal;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A block of commands of a document.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// Where it begins, counted from 1.
    line: usize,
    /// Its lines, without the indentation of the list they stand in.
    text: String,
}

/// The blocks of `document` behind a fence that says `mark`.
fn blocks(document: &str, mark: &str) -> Vec<Block> {
    let fence = format!("```{mark}");
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for (at, line) in document.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match &mut open {
            None if line.trim() == fence => open = Some((indent, Block { line: at + 1, text: String::new() })),
            None => {}
            Some(_) if line.trim() == "```" => blocks.extend(open.take().map(|(_, block)| block)),
            Some((indent, block)) => {
                block.text += line.get(*indent..).unwrap_or_default();
                block.text.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// One script of all blocks of a document; it says where it is.
fn script(name: &str) -> String {
    let document = std::fs::read_to_string(project().join(name)).unwrap();
    let mut script = String::new();
    let blocks = blocks(&document, "sh walk");
    assert!(!blocks.is_empty(), "{name} has nothing to walk");
    for block in blocks {
        writeln!(script, "echo '== {name}:{}'\n{}", block.line, block.text).unwrap();
    }
    script
}

/// Types everything that a document tells, and gives what was said.
fn walk(folder: &Path, name: &str) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", &script(name)]).current_dir(folder);
    let log = folder.join(format!("{}.log", name.replace('/', "-")));
    let mut running = Running::start(shell, &log);
    // Some thirty commands, several of which wait for a state.
    let status = running.wait(3 * PATIENCE);
    assert!(status.success(), "{status}: {}", running.log());
    running.log()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_readme_and_tutorial_say_is_so() {
    let folder = tempfile::tempdir().unwrap();
    // A reader stands in the project's folder, where the build has put the programs.
    std::fs::create_dir(folder.path().join("target")).unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_spool")).parent().unwrap();
    std::os::unix::fs::symlink(built, folder.path().join("target/debug")).unwrap();
    let begun = demo(folder.path(), &["--seconds", "2"]);
    let mut running = Running::start(begun, &folder.path().join("told"));
    until_told(&mut running, "Serving on").await;

    let documents = [
        ("README.md", ["first", "second"].as_slice()),
        ("docs/tutorial.md", ["lesson", "repair", "patience"].as_slice()),
    ];
    for (document, recordings) in documents {
        let said = walk(folder.path(), document);
        let number = |word: &str| said.lines().filter(|line| line.starts_with(word)).count();
        assert_eq!(number("201 "), 12, "each piece is acknowledged: {said}");
        assert_eq!(said.matches(": sound").count(), recordings.len(), "every result is whole: {said}");
        assert!(said.contains("retry done"), "{said}");
        for recording in recordings {
            let spool = |arguments: &[&str]| {
                let mut shell = Command::new("sh");
                let command = format!(". data/demo.env && target/debug/spool {} --json", arguments.join(" "));
                let output = shell.args(["-c", &command]).current_dir(folder.path()).output().unwrap();
                serde_json::from_slice::<Value>(&output.stdout).unwrap()
            };
            wait::until("its segments are gone", PATIENCE, async || {
                let shown = spool(&["recording", "show", recording]);
                shown.to_string().contains("archived").then_some(())
            })
            .await;
        }
    }
    running.signal(Signal::INT);
    assert_eq!(running.wait(PATIENCE).code(), Some(0), "{}", running.log());
}

/// The statements of the integration guide, as a web app that may do nothing else gives them.
#[tokio::test(flavor = "multi_thread")]
async fn web_app_completes_a_recording_in_its_own_transaction() {
    let site = Site::new().await;
    let (_serving, api) = site.serve().await;
    let id = "meeting-17";
    let body = json!({ "id": id, "owner_id": "anna" });
    let created = api.call(Method::POST, "/api/recordings", body).await;
    let upload_token = created.body["upload_token"].as_str().unwrap().to_owned();
    let recording = Recording { id: id.to_owned(), owner: "anna".to_owned(), upload_token };
    api.put_set(&recording, &Set::synthetic(Duration::from_secs(2))).await;

    // Roles belong to the whole cluster, which other tests use too.
    let role = format!("web_app_{}", std::process::id());
    let admin = format!(
        "CREATE ROLE {role}; GRANT spool_app TO {role}; CREATE TABLE meeting (id text PRIMARY KEY, ended_at timestamptz);
         INSERT INTO meeting VALUES ('{id}'); GRANT SELECT, UPDATE ON meeting TO {role};"
    );
    site.db.execute_unprepared(&admin).await.unwrap();
    let document = std::fs::read_to_string(project().join("docs/integration.md")).unwrap();
    let told: String = blocks(&document, "sql walk").into_iter().map(|block| block.text).collect();
    let as_app = |text: String| format!("SET ROLE {role}; {text} ; RESET ROLE");
    let ended = "SELECT count(*) FROM meeting WHERE ended_at IS NOT NULL";

    // Taken back, nothing has happened on either side.
    site.db.execute_unprepared(&as_app(told.replace("COMMIT", "ROLLBACK"))).await.unwrap();
    assert_eq!((api.status(&recording).await["state"].as_str(), site.count(ended, []).await), (Some("live"), 0));
    site.db.execute_unprepared(&as_app(told)).await.unwrap();
    assert_eq!((api.status(&recording).await["state"].as_str(), site.count(ended, []).await), (Some("finalizing"), 1));

    let peek = site.db.execute_unprepared(&as_app("SELECT FROM spool.recording".to_owned())).await;
    assert!(peek.unwrap_err().to_string().contains("permission denied"));
    site.db.execute_unprepared(&format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}

#[test]
fn blocks_are_found_with_their_line_and_without_their_indentation() {
    let document =
        "a\n```sh walk\nb\n  c\n```\n```sh\nnot this\n```\n1. d\n\n   ```sh walk\n   e \\\n     f\n\n   ```\n";
    let found = blocks(document, "sh walk");
    let block = |line, text: &str| Block { line, text: text.to_owned() };
    assert_eq!(found, [block(2, "b\n  c\n"), block(11, "e \\\n  f\n\n")]);
}
