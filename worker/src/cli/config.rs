//! `spool config`: the settings as they take effect.

use super::exit::Exit;
use super::output::{self, Output};
use worker::config::{Config, Sources, load};

/// Reads the settings of this process; `set` are the person's `section.key=value`.
pub(crate) fn settings(set: &[(String, String)]) -> anyhow::Result<Config> {
    Ok(load(&Sources::of_process(set.to_vec()))?)
}

/// Reads `section.key=value`.
pub(crate) fn parse_set(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it must be section.key=value")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// Shows them, secrets masked.
pub(crate) fn run(config: &Config, out: Output) -> anyhow::Result<Exit> {
    match out {
        Output::Json => output::json(&config.show_json())?,
        Output::Text => output::line(config.show().trim_end())?,
    }
    Ok(Exit::Ok)
}
