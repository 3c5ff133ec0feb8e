//! `spool job enqueue`: a job by hand.

use super::follow;
use crate::cli::connect;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::Output;
use ::queue::enqueue::Enqueue;
use ::queue::operate;
use ::worker::db::recordings;
use anyhow::Context as _;
use domain::job::{self, Kind, Payload};
use sea_orm::DatabaseConnection;
use serde::Serialize;
use std::io::Read as _;
use std::time::Duration;
use uuid::Uuid;

/// For `--help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  spool job enqueue sweep --wait
  spool job enqueue noop '{\"wait_ms\": 1000}' --in 30s
  spool job enqueue manifest_check '{\"recording\": \"r1\"}' --hasten";

/// Longest payload that is read from standard input: payloads carry ids only.
const PAYLOAD_BYTES_MAX: u64 = 64 * 1024;

/// What to put in.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its kind.
    #[arg(value_parser = kind)]
    kind: Kind,
    /// Its payload in JSON; - reads it from standard input.
    #[arg(default_value = "{}")]
    payload: String,
    /// Not before this time has passed, for example 30s.
    #[arg(long = "in", value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
    /// If a job of the same key waits, bring it forward instead of leaving it.
    #[arg(long)]
    hasten: bool,
    /// Tell how it goes on, and end as it ends: 0 when it was completed, else 1.
    #[arg(long = "wait")]
    follow: bool,
    /// Why, for the colleagues.
    #[arg(long)]
    reason: Option<String>,
}

fn kind(word: &str) -> Result<Kind, String> {
    let known = || Kind::ALL.map(Kind::as_str).join(", ");
    Kind::parse(word).ok_or_else(|| format!("no such kind; there are {}", known()))
}

#[derive(Serialize)]
struct Answer {
    id: Uuid,
    inserted: bool,
}

/// Puts it in.
pub(super) async fn run(db: &DatabaseConnection, args: Args, out: Output) -> anyhow::Result<Exit> {
    if !::worker::jobs::KINDS.contains(&args.kind) {
        let text = format!("this program has nothing that works {} jobs", args.kind.as_str());
        return Err(Failure::refused(text).into());
    }
    let mut job = read(args.kind, &payload(args.payload)?)?;
    if let Some(subject) = &job.subject {
        let recording = recordings::get(db, &subject.parse()?).await?;
        let recording = recording.ok_or_else(|| Failure::not_found("recording", subject))?;
        job = job.owned_by(recording.owner.as_str());
    }
    if let Some(wait) = args.wait {
        job = job.after(wait);
    }
    if args.hasten {
        job = job.hastening();
    }
    let enqueued = operate::enqueue(db, job, &connect::by(args.reason)).await?;
    let answer = Answer { id: enqueued.id, inserted: enqueued.inserted };
    out.answer(&answer, |answer| match answer.inserted {
        true => format!("job {}", answer.id),
        false => format!("job {} holds the same key already", answer.id),
    })?;
    if args.follow {
        return follow::one(db, answer.id, out).await;
    }
    Ok(Exit::Ok)
}

fn payload(given: String) -> anyhow::Result<String> {
    if given != "-" {
        return Ok(given);
    }
    let mut text = String::new();
    std::io::stdin().lock().take(PAYLOAD_BYTES_MAX).read_to_string(&mut text).context("read the payload")?;
    Ok(text)
}

/// The payload must be one that a worker can read, so it is read here.
fn read(kind: Kind, json: &str) -> Result<Enqueue, Failure> {
    fn typed<P: Payload>(json: &str) -> Result<Enqueue, Failure> {
        let wrong = |error: &dyn std::fmt::Display| {
            Failure::usage(format!("this is no payload of a {} job: {error}", P::KIND.as_str()))
        };
        let payload: P = serde_json::from_str(json).map_err(|error| wrong(&error))?;
        Enqueue::of(&payload).map_err(|error| wrong(&error))
    }
    match kind {
        Kind::Cleanup => typed::<job::Cleanup>(json),
        Kind::Control => typed::<job::Control>(json),
        Kind::Erase => typed::<job::Erase>(json),
        Kind::ManifestCheck => typed::<job::ManifestCheck>(json),
        Kind::Mux => typed::<job::Mux>(json),
        Kind::Noop => typed::<job::Noop>(json),
        Kind::Preview => typed::<job::Preview>(json),
        Kind::Probe => typed::<job::Probe>(json),
        Kind::Sweep => typed::<job::Sweep>(json),
        Kind::Upload => typed::<job::Upload>(json),
        Kind::Webhook => typed::<job::Webhook>(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_gives_every_kind_its_key_and_refuses_a_foreign_payload() {
        let json = r#"{"recording": "r1", "version": 2, "endpoint": "app", "verb": "recheck", "wait_ms": 5}"#;
        let keys: Vec<_> =
            Kind::ALL.iter().map(|kind| read(*kind, json).unwrap().unique_key.unwrap_or_default()).collect();
        let expected = [
            "cleanup:r1:2",
            "",
            "erase:r1",
            "check:r1",
            "mux:r1:2",
            "",
            "preview:r1:2",
            "probe:r1",
            "sweep",
            "upload:r1",
            "webhook:r1:app",
        ];
        assert_eq!(keys, expected);
        for (kind, json) in
            [(Kind::Mux, "{}"), (Kind::Mux, r#"{"recording": "../r", "version": 1}"#), (Kind::Noop, "nonsense")]
        {
            let refused = read(kind, json).unwrap_err().to_string();
            assert!(refused.starts_with("this is no payload of a "), "{refused}");
        }
    }
}
