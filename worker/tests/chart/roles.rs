//! The database as docs/kubernetes.md has it made: each process of the chart with the role it gets, and no more.

use crate::Case;
use postgres::{Cluster, Profile};
use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What an administrator is told to run.
fn statements() -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kubernetes.md")).unwrap();
    let (_, rest) = page.split_once("```sql\n").expect("the page has statements");
    rest.split_once("```").unwrap().0.to_owned()
}

/// The address for one of the roles that log in.
fn address(cluster: &Cluster, role: &str, password: &str) -> String {
    let url = cluster.url("spool");
    let (_, place) = url.split_once('@').unwrap();
    format!("postgres://{role}:{password}@{place}")
}

/// The program as a pod runs it, with objects in a folder.
fn spool(folder: &Path, url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spool"));
    command.args(args).current_dir(folder).env_clear().env("DATABASE_URL", url).env("SPOOL__STAGING__MODE", "store");
    command.env("SPOOL__WORK__LISTEN", "127.0.0.1:0").env("SPOOL__STORAGE__ROOT", folder.join("objects"));
    // The file system of a pod is read-only, and here even root can make nothing.
    command.env("SPOOL__STAGING__DIR", "/proc/nowhere");
    command
}

fn ends_well(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Gone with the test, however it ends.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("the worker is a child of this process");
    }
}

#[tokio::test]
async fn every_process_does_its_work_with_the_role_it_is_given() {
    let cluster = Cluster::temporary(Profile::Throwaway).await.unwrap();
    let admin = Database::connect(cluster.url("postgres")).await.unwrap();
    for statement in statements().split_inclusive(";\n") {
        admin.execute_unprepared(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let owner = address(&cluster, "spool_migrate", "change-me-1");
    let program = address(&cluster, "spool_program", "change-me-2");
    let scaler = address(&cluster, "spool_keda", "change-me-3");

    ends_well(spool(folder.path(), &owner, &["migrate"]));
    ends_well(spool(folder.path(), &owner, &["migrate"]));
    let refused = spool(folder.path(), &program, &["migrate"]).output().unwrap();
    let db = Database::connect(&program).await.unwrap();
    let made = db.execute_unprepared("CREATE TABLE queue.mine ()").await;
    assert!(made.is_err(), "the program changes no schema (its own migrate: {})", refused.status);

    // As `helm test` does, with the pools' processes as the program.
    let _worker = Worker(spool(folder.path(), &program, &["work"]).stderr(Stdio::null()).spawn().unwrap());
    ends_well(spool(folder.path(), &program, &["job", "enqueue", "noop", "--wait", "--reason", "helm test"]));

    let case = Case::all().into_iter().find(|case| case.name == "keda-postgresql").unwrap();
    let keda = Database::connect(&scaler).await.unwrap();
    for (pool, query) in case.queries() {
        let row = keda.query_one_raw(Statement::from_string(DbBackend::Postgres, query)).await;
        let load: i64 = row.unwrap_or_else(|error| panic!("{pool}: {error}")).unwrap().try_get_by_index(0).unwrap();
        assert!((0..=1).contains(&load), "{pool}: {load}, and at most sweep is there");
    }
    let written: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(written, ["objects"], "nothing is written but objects");

    let seen = keda.execute_unprepared("SELECT payload FROM queue.job").await;
    assert!(seen.is_err(), "the autoscaler counts and reads nothing");
}
