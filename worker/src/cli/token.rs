//! `spool token`: tokens of recordings, for a person who has the signing key.

use super::connect;
use super::exit::{Exit, Failure};
use super::output::Output;
use ::worker::auth::{Keyring, Scope};
use ::worker::config::Config;
use ::worker::db::{recordings, settings};
use chrono::{DateTime, TimeDelta, Utc};
use domain::id::RecordingId;
use serde::Serialize;
use std::time::Duration;

/// What can be made.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a token for one recording.
    #[command(
        after_help = "Examples:\n  spool token mint r1 --scope playback\n  spool token mint r1 --scope upload --for 2h --json"
    )]
    Mint(Mint),
}

/// For what.
#[derive(Debug, clap::Args)]
pub(crate) struct Mint {
    /// Id of the recording.
    recording: RecordingId,
    /// What it allows.
    #[arg(long, value_enum)]
    scope: Allows,
    /// How long it is believed; else as long as the settings say.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lifetime: Option<Duration>,
}

/// What a token allows.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Allows {
    /// Sending segments and telling how it goes.
    Upload,
    /// Watching.
    Playback,
}

#[derive(Serialize)]
struct Answer {
    token: String,
    expires_at: DateTime<Utc>,
}

/// Carries it out.
pub(crate) async fn run(command: Command, config: &Config, out: Output) -> anyhow::Result<Exit> {
    let Command::Mint(mint) = command;
    let keys = Keyring::open(&config.auth)?;
    let db = connect::database(config).await?;
    if recordings::get(&db, &mint.recording).await?.is_none() {
        return Err(Failure::not_found("recording", &mint.recording).into());
    }
    let scope = match mint.scope {
        Allows::Upload => Scope::Upload,
        Allows::Playback => Scope::Playback,
    };
    let now = settings::now(&db).await?;
    let token = match mint.lifetime {
        None => keys.mint(&mint.recording, scope, now),
        Some(lifetime) => {
            let too_long = || Failure::usage("--for is too long");
            let lifetime = TimeDelta::from_std(lifetime).map_err(|_| too_long())?;
            keys.mint_until(&mint.recording, scope, now.checked_add_signed(lifetime).ok_or_else(too_long)?)
        }
    };
    out.answer(&Answer { token: token.text, expires_at: token.expires_at }, |answer| answer.token.clone())?;
    Ok(Exit::Ok)
}
