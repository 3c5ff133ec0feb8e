//! `spool migrate`: brings the schema up to date and tells the engine which kinds of jobs there are.

use super::connect;
use super::exit::Exit;
use super::output::{self, Output};
use anyhow::Context as _;
use domain::job::Kind;
use serde::Serialize;
use worker::config::Config;

#[derive(Serialize)]
struct Answer {
    from: i32,
    to: i32,
    kinds_changed: i32,
    missing_roles: Vec<String>,
}

/// Any number of processes may do this at once: one works, the others wait and find nothing to do.
pub(crate) async fn run(config: &Config, out: Output) -> anyhow::Result<Exit> {
    let db = connect::server(config).await?;
    let report = migration::run(&db).await.context("migrate")?;
    let kinds_changed = queue::kinds::sync(&db, &Kind::ALL.map(Kind::spec)).await.context("declare kinds of jobs")?;
    if !report.missing_roles.is_empty() {
        output::complain("warning: these roles are missing and may not be made by this user; an administrator runs:");
        report.role_statements().iter().for_each(|statement| output::complain(&format!("  {statement}")));
        output::complain("and then `spool migrate` gives them their rights.");
    }
    let answer = Answer { from: report.from, to: report.to, kinds_changed, missing_roles: report.missing_roles };
    out.answer(&answer, |answer| match answer {
        Answer { from, to, .. } if from == to => format!("schema is up to date at version {to}"),
        Answer { from, to, .. } => format!("schema brought from version {from} to {to}"),
    })?;
    Ok(Exit::Ok)
}
