//! How a command ends: the exit codes of `CONTRACTS §2`, and the one place that maps errors to them.
//!
//! A command returns the code it earned, or an error. Whatever is not told apart here is a plain failure.

use super::output::{self, Output};
use ::worker::{auth, config, context, storage, telemetry, webhook};
use sea_orm::{DbErr, RuntimeErr, SqlxError};
use serde::Serialize;
use std::fmt;
use std::process::ExitCode;
use thiserror::Error;

/// What the shell sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok,
    /// Not done.
    Failed,
    /// The command line is wrong.
    Usage,
    /// Done, and something of the recording is missing.
    Degraded,
    /// No such recording, job, queue or worker.
    NotFound,
    /// State or policy forbids it.
    Refused,
    /// Database or storage cannot be reached.
    Unreachable,
    /// A setting or a secret is missing or wrong.
    Configuration,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The number of the contract.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Degraded => 3,
            Exit::NotFound => 4,
            Exit::Refused => 5,
            Exit::Unreachable => 6,
            Exit::Configuration => 7,
            Exit::Interrupted => 130,
        }
    }

    /// The code that a process of ours, or one that keeps to the same list, ended with.
    pub(crate) fn from_code(code: i32) -> Exit {
        let all = [
            Exit::Ok,
            Exit::Usage,
            Exit::Degraded,
            Exit::NotFound,
            Exit::Refused,
            Exit::Unreachable,
            Exit::Configuration,
            Exit::Interrupted,
        ];
        all.into_iter().find(|exit| i32::from(exit.code()) == code).unwrap_or(Exit::Failed)
    }

    /// The word in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Exit::Ok => "ok",
            Exit::Failed => "failed",
            Exit::Usage => "usage",
            Exit::Degraded => "degraded",
            Exit::NotFound => "not-found",
            Exit::Refused => "refused",
            Exit::Unreachable => "unreachable",
            Exit::Configuration => "configuration",
            Exit::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// An ending that a command itself decided on, with what the person can do about it.
#[derive(Debug, Error)]
#[error("{text}")]
pub(crate) struct Failure {
    exit: Exit,
    text: String,
    hint: Option<String>,
}

impl Failure {
    /// A plain failure.
    pub(crate) fn failed(text: impl fmt::Display) -> Failure {
        Failure { exit: Exit::Failed, text: text.to_string(), hint: None }
    }

    /// The command line asks for something that cannot be.
    pub(crate) fn usage(text: impl fmt::Display) -> Failure {
        Failure { exit: Exit::Usage, ..Failure::failed(text) }
    }

    /// `what`, for example "job", has no `id`.
    pub(crate) fn not_found(what: &str, id: impl fmt::Display) -> Failure {
        let hint = Some(format!("`spool {what} ls` lists what there is"));
        Failure { exit: Exit::NotFound, hint, ..Failure::failed(format!("no {what} {id}")) }
    }

    /// A file is not there.
    pub(crate) fn missing(text: impl fmt::Display) -> Failure {
        Failure { exit: Exit::NotFound, ..Failure::failed(text) }
    }

    /// State or policy forbids it.
    pub(crate) fn refused(text: impl fmt::Display) -> Failure {
        Failure { exit: Exit::Refused, ..Failure::failed(text) }
    }

    /// A setting or a secret is missing or wrong.
    pub(crate) fn configuration(text: impl fmt::Display) -> Failure {
        Failure { exit: Exit::Configuration, ..Failure::failed(text) }
    }

    /// Says what to do about it.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Failure {
        Failure { hint: Some(hint.into()), ..self }
    }
}

/// One error, sorted.
struct Verdict {
    exit: Exit,
    hint: Option<String>,
}

impl Verdict {
    fn of(exit: Exit, hint: &str) -> Verdict {
        Verdict { exit, hint: Some(hint.to_owned()) }
    }
}

/// Sorts an error by the types in its chain, outermost first; never by its text.
fn verdict(error: &anyhow::Error) -> Verdict {
    error.chain().find_map(sort).unwrap_or(Verdict { exit: Exit::Failed, hint: None })
}

fn sort(cause: &(dyn std::error::Error + 'static)) -> Option<Verdict> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(Verdict { exit: failure.exit, hint: failure.hint.clone() });
    }
    if cause.is::<config::Error>() || cause.is::<telemetry::FilterError>() {
        return Some(Verdict::of(Exit::Configuration, "`spool config` shows the settings; config.toml explains them"));
    }
    if cause.is::<webhook::Error>() {
        return Some(Verdict::of(
            Exit::Configuration,
            "config.toml explains endpoints and secrets, in its section [webhook]",
        ));
    }
    if cause.is::<auth::Error>() {
        return Some(Verdict::of(Exit::Configuration, "config.toml explains the secrets, in its section [auth]"));
    }
    if let Some(error) = cause.downcast_ref::<context::Error>() {
        return match error {
            context::Error::Schema { .. } => {
                Some(Verdict::of(Exit::Configuration, "`spool migrate` brings it up to date"))
            }
            error if error.is_configuration() => Some(Verdict { exit: Exit::Configuration, hint: None }),
            // The cause below it says more.
            _ => None,
        };
    }
    if let Some(migration::Error::TooNew { .. }) = cause.downcast_ref::<migration::Error>() {
        return Some(Verdict::of(Exit::Configuration, "use the program that the database was migrated with"));
    }
    if let Some(error) = cause.downcast_ref::<storage::Error>() {
        let hint = "`spool doctor` checks the store";
        return match error {
            storage::Error::Unavailable { .. } => Some(Verdict::of(Exit::Unreachable, hint)),
            storage::Error::Refused { .. } => Some(Verdict::of(Exit::Configuration, hint)),
            _ => None,
        };
    }
    cause.downcast_ref::<DbErr>().and_then(database)
}

/// Sorts what the database said: by its five characters where it answered (PostgreSQL, appendix A), else by the layer that
/// gave up.
fn database(error: &DbErr) -> Option<Verdict> {
    const AWAY: &str = "is the database running, and is DATABASE_URL right? `spool doctor` checks it";
    let away = Some(Verdict::of(Exit::Unreachable, AWAY));
    let (DbErr::Conn(RuntimeErr::SqlxError(source))
    | DbErr::Exec(RuntimeErr::SqlxError(source))
    | DbErr::Query(RuntimeErr::SqlxError(source))) = error
    else {
        return if matches!(error, DbErr::Conn(_) | DbErr::ConnectionAcquire(_)) { away } else { None };
    };
    let code = match &**source {
        SqlxError::Database(answer) => answer.code().map(|code| code.into_owned()),
        SqlxError::Configuration(_) => return Some(Verdict::of(Exit::Configuration, "DATABASE_URL cannot be read")),
        SqlxError::Io(_) | SqlxError::Tls(_) | SqlxError::Protocol(_) | SqlxError::PoolTimedOut => return away,
        _ => return None,
    };
    match code.as_deref()? {
        // Password, role, database.
        "28P01" | "28000" | "3D000" => {
            Some(Verdict::of(Exit::Configuration, "check user, password and name in DATABASE_URL"))
        }
        "42501" => {
            Some(Verdict::of(Exit::Refused, "this role may not do it; use one that is in spool_run or spool_operate"))
        }
        "42P01" | "3F000" | "42883" => Some(Verdict::of(Exit::Configuration, "`spool migrate` makes what is missing")),
        code if code.starts_with("08") || code.starts_with("57P") || code.starts_with("53") => away,
        _ => None,
    }
}

/// The error with its causes. Some libraries print their cause themselves; what was said is not said again.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if sentence.is_empty() {
            sentence = cause;
        } else if !sentence.ends_with(&cause) {
            sentence = format!("{sentence}: {cause}");
        }
    }
    sentence
}

#[derive(Serialize)]
struct Problem<'a> {
    error: ProblemBody<'a>,
}

#[derive(Serialize)]
struct ProblemBody<'a> {
    code: &'a str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// Tells how the command ended: `error:` and `hint:` for the person, and with `--json` an object for the program.
pub(crate) fn report(result: anyhow::Result<Exit>, out: Output) -> Exit {
    let error = match result {
        Ok(exit) => return exit,
        Err(error) => error,
    };
    if output::is_broken_pipe(&error) {
        return Exit::Ok;
    }
    let Verdict { exit, hint } = verdict(&error);
    let message = sentence(&error);
    output::complain(&format!("error: {message}"));
    if let Some(hint) = &hint {
        output::complain(&format!("hint: {hint}"));
    }
    if let Output::Json = out {
        let body = ProblemBody { code: exit.word(), message, hint: hint.as_deref() };
        // The exit code stands even when nobody reads the answer.
        let _ = output::json(&Problem { error: body });
    }
    exit
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn verdict_is_found_below_any_context() {
        let refused = || -> anyhow::Result<Exit> { Err(Failure::refused("it runs").hint("cancel it first").into()) };
        let error = refused().context("retry job 1").unwrap_err();
        let Verdict { exit, hint } = verdict(&error);
        assert_eq!((exit.code(), hint.as_deref()), (5, Some("cancel it first")));
        assert_eq!(sentence(&error), "retry job 1: it runs");
    }

    #[test]
    fn sentence_says_nothing_twice() {
        let inner = anyhow::anyhow!("timed out");
        assert_eq!(
            sentence(&inner.context("connect: timed out").context("open database")),
            "open database: connect: timed out"
        );
    }

    #[test]
    fn unknown_error_is_a_plain_failure() {
        assert_eq!(verdict(&anyhow::anyhow!("unreachable, not found, refused")).exit.code(), 1);
    }
}
