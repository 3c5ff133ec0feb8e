//! What an operator verb came to, told for each object, and the exit code it earns.

use super::exit::Exit;
use super::output::{self, Output};
use ::queue::operate::Answer;
use serde::Serialize;

/// What one verb came to on one object.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    id: String,
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

impl Outcome {
    /// Reads the engine's answer about `id`.
    pub(crate) fn of(id: impl ToString, answer: Answer) -> Outcome {
        let (word, detail, exit) = match answer {
            Answer::Done => ("ok", None, Exit::Ok),
            Answer::Requested => ("requested", None, Exit::Ok),
            Answer::NotFound => ("not-found", None, Exit::NotFound),
            Answer::WrongState(state) => ("wrong-state", Some(state), Exit::Refused),
            Answer::SupersededBy(newer) => ("superseded-by", Some(newer.to_string()), Exit::Refused),
            Answer::Refused(why) => ("refused", Some(why), Exit::Refused),
        };
        Outcome { id: id.to_string(), answer: word, detail, exit }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    verb: &'a str,
    what: &'a str,
    outcomes: &'a [Outcome],
}

/// Tells every outcome of `verb` on objects of the kind `what`; the first one that is not well gives the exit code.
pub(crate) fn report(verb: &str, what: &str, outcomes: &[Outcome], out: Output) -> anyhow::Result<Exit> {
    if let Output::Json = out {
        output::json(&Report { verb, what, outcomes })?;
    }
    for outcome in outcomes {
        let Outcome { id, answer, detail, exit } = outcome;
        let detail = detail.as_deref().unwrap_or_default();
        let line = match *answer {
            "ok" => format!("{what} {id}: {verb} done"),
            "requested" => format!("{what} {id}: {verb} requested, its worker ends it within 2 s"),
            "not-found" => format!("error: no {what} {id}"),
            "wrong-state" => format!("error: {what} {id} is {detail}: {verb} is not possible"),
            "superseded-by" => format!("error: {what} {id} gave way to {detail}, which does the same work"),
            _ => format!("error: {what} {id}: {detail}"),
        };
        match (exit, out) {
            (Exit::Ok, Output::Text) => output::line(&line)?,
            (Exit::Ok, Output::Json) => {}
            _ => output::complain(&line),
        }
    }
    Ok(outcomes.iter().map(|outcome| outcome.exit).find(|exit| *exit != Exit::Ok).unwrap_or(Exit::Ok))
}
