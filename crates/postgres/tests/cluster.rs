//! The server's life in its folder: start, stop, crash, take over, end with its owner.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use postgres::{Cluster, Options, Profile, Shutdown};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn options(dir: &Path) -> Options {
    Options { dir: dir.to_path_buf(), profile: Profile::Durable }
}

async fn connect(cluster: &Cluster) -> PgConnection {
    PgConnection::connect(&cluster.url("postgres")).await.unwrap()
}

async fn number(cluster: &Cluster, sql: &'static str) -> i32 {
    connect(cluster).await.fetch_one(sql).await.unwrap().get(0)
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_alive(pid: i32) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    !line.is_empty()
}

#[tokio::test]
async fn cluster_keeps_rows_and_address_when_it_is_stopped_and_started() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(options(dir.path())).await.unwrap();
    let url = cluster.url("postgres");
    connect(&cluster).await.execute("CREATE TABLE kept AS SELECT 7 AS n").await.unwrap();

    for how in [Shutdown::Fast, Shutdown::Immediate] {
        cluster.stop(how).await.unwrap();
        assert_eq!(cluster.pid(), None);
        assert!(PgConnection::connect(&url).await.is_err());
        cluster.start_again().await.unwrap();
        assert_eq!(cluster.url("postgres"), url);
        assert_eq!(number(&cluster, "SELECT n FROM kept").await, 7);
    }

    drop(cluster);
    assert!(PgConnection::connect(&url).await.is_err());
    let again = Cluster::start(options(dir.path())).await.unwrap();
    assert_eq!(again.url("postgres"), url);
    assert_eq!(number(&again, "SELECT n FROM kept").await, 7);
}

#[tokio::test]
async fn cluster_takes_over_the_server_an_earlier_owner_left_running() {
    let dir = tempfile::tempdir().unwrap();
    let left = Cluster::start(options(dir.path())).await.unwrap();
    let pid = left.pid().unwrap();
    // What a killed owner does: nothing.
    std::mem::forget(left);

    let mut cluster = Cluster::start(options(dir.path())).await.unwrap();
    assert_eq!(cluster.pid(), Some(pid));
    assert_eq!(number(&cluster, "SELECT 1").await, 1);
    cluster.stop(Shutdown::Fast).await.unwrap();
    assert!(!is_alive(pid));
    cluster.start_again().await.unwrap();
    assert_ne!(cluster.pid(), Some(pid));
}

/// An owner that was killed before it had written the port down, and one that found its server under another port.
#[tokio::test]
async fn cluster_takes_over_a_server_whose_port_was_not_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let left = Cluster::start(options(dir.path())).await.unwrap();
    let (pid, url) = (left.pid(), left.url("postgres"));
    std::mem::forget(left);
    let port = dir.path().join("port");

    for forgotten in [None, Some("1")] {
        match forgotten {
            None => std::fs::remove_file(&port).unwrap(),
            Some(other) => std::fs::write(&port, other).unwrap(),
        }
        let start = Cluster::start(options(dir.path()));
        let cluster = tokio::time::timeout(Duration::from_secs(10), start).await.expect("it answers").unwrap();
        assert_eq!((cluster.pid(), cluster.url("postgres")), (pid, url.clone()));
        assert!(url.contains(&format!(":{}/", std::fs::read_to_string(&port).unwrap())), "written down again");
        std::mem::forget(cluster);
    }
    Cluster::start(options(dir.path())).await.unwrap().stop(Shutdown::Fast).await.unwrap();
}

#[tokio::test]
async fn cluster_starts_over_a_pid_file_whose_process_is_gone_or_another_program() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(options(dir.path())).await.unwrap();
    let file = dir.path().join("cluster/postmaster.pid");
    let original = std::fs::read_to_string(&file).unwrap();
    cluster.stop(Shutdown::Fast).await.unwrap();

    for pid in [std::process::id().to_string(), "4194000".to_owned(), String::new()] {
        let rest: Vec<&str> = original.lines().skip(1).collect();
        std::fs::write(&file, format!("{pid}\n{}\n", rest.join("\n"))).unwrap();
        cluster.start_again().await.unwrap();
        assert_eq!(number(&cluster, "SELECT 1").await, 1);
        cluster.stop(Shutdown::Immediate).await.unwrap();
    }
}

#[tokio::test]
async fn password_is_unreadable_for_others_and_needed() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(options(dir.path())).await.unwrap();
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(dir.path().join("password")).unwrap().permissions());
    assert_eq!(mode & 0o077, 0);

    let url = cluster.url("postgres");
    let password = std::fs::read_to_string(dir.path().join("password")).unwrap();
    assert!(password.len() >= 32 && url.contains(&password));
    assert!(PgConnection::connect(&url.replace(&password, "guess")).await.is_err());
    assert_eq!(number(&cluster, "SELECT count(*)::int4 FROM pg_hba_file_rules WHERE auth_method = 'trust'").await, 0);
}

#[tokio::test]
async fn a_folder_too_deep_for_a_socket_still_serves_tcp() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("d".repeat(100)).join("e".repeat(100));
    let cluster = Cluster::start(options(&deep)).await.unwrap();
    assert_eq!(number(&cluster, "SELECT 1").await, 1);
}

/// Runs the binary with a shell script in which the server's address is `$SPOOL_TEST_POSTGRES`.
fn with_postgres(script: &str, tmp: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_with-postgres"));
    command.args(["sh", "-c", script]).env("TMPDIR", tmp).env_remove("SPOOL_TEST_POSTGRES");
    command
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn with_postgres_ends_with_the_code_of_its_command_and_leaves_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let script = r#"case "$SPOOL_TEST_POSTGRES" in postgres://*@127.0.0.1:*) exit 7;; esac; exit 1"#;
    assert_eq!(with_postgres(script, tmp.path()).status().unwrap().code(), Some(7));
    assert!(is_empty(tmp.path()));
    assert_eq!(with_postgres("kill -KILL $$", tmp.path()).status().unwrap().code(), Some(137));
    assert!(is_empty(tmp.path()));
}

#[test]
fn with_postgres_hands_signals_on_and_cleans_up_even_when_it_is_killed() {
    for (signal, code) in [("TERM", Some(5)), ("INT", Some(5)), ("KILL", None)] {
        let tmp = tempfile::tempdir().unwrap();
        let ready = tmp.path().join("ready");
        // The command ends by itself when its parent was killed, as a test runner does when its output is closed.
        let script = format!(
            "trap 'exit 5' TERM INT; touch {}; parent=$PPID; while kill -0 $parent 2>/dev/null; do sleep 0.05; done",
            ready.display()
        );
        let mut child = with_postgres(&script, tmp.path()).stdin(std::process::Stdio::null()).spawn().unwrap();
        eventually("the command runs", || ready.exists());
        let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), code, "after SIG{signal}");
        std::fs::remove_file(&ready).unwrap();
        eventually("server and folder are gone", || is_empty(tmp.path()));
    }
}

/// Root needs another identity. Without `unshare` on the path it is the `postgres` user or nobody; elsewhere nothing changes.
#[test]
fn with_postgres_runs_where_user_namespaces_are_not_to_be_had() {
    without_user_namespaces(&[], 0o711);
}

#[test]
fn with_postgres_runs_below_a_folder_that_is_closed_to_others() {
    without_user_namespaces(&["setpriv", "true"], 0o700);
}

/// Runs `with-postgres` with nothing on PATH but what a script needs and `more`, in a folder of this mode.
fn without_user_namespaces(more: &[&str], mode: u32) {
    let tmp = tempfile::tempdir().unwrap();
    std::fs::set_permissions(tmp.path(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    let programs = tempfile::tempdir().unwrap();
    for name in ["sh", "cat", "head", "sleep", "rm", "stat"].iter().chain(more) {
        let found =
            ["/bin", "/usr/bin"].map(|dir| Path::new(dir).join(name)).into_iter().find(|path| path.exists()).unwrap();
        std::os::unix::fs::symlink(found, programs.path().join(name)).unwrap();
    }
    let script = r#"for data in "$TMPDIR"/spool-pg-*/cluster; do echo "$data $(stat -c %u "$data")"; done"#;
    let output = with_postgres(script, tmp.path()).env("PATH", programs.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let owner = String::from_utf8(output.stdout).unwrap().trim().rsplit(' ').next().unwrap().to_owned();
    assert!(owner.parse::<u32>().unwrap() > 0, "the data belongs to {owner}");
    assert!(is_empty(tmp.path()));
}
