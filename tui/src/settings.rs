//! What the environment says: the only place that reads it.
//!
//! The console has no settings file. Where the database is it learns as `spool` does, and what a terminal can show as
//! every program does.

use crate::source::Settings as Source;
use crate::view::theme::Theme;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use thiserror::Error;

/// Something in the environment cannot be used. Each ends the program with the exit code for configuration.
#[derive(Debug, Error)]
pub enum Error {
    /// Nobody says where the database is.
    #[error("no database is configured; set DATABASE_URL, or DATABASE_URL_FILE to a file with it")]
    NoDatabase,
    /// Two values for one secret.
    #[error("both {variable} and {variable}_FILE are set; unset one of them")]
    Twice {
        /// The variable.
        variable: &'static str,
    },
    /// A file that is named cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The variables of a process.
#[derive(Debug, Clone, Default)]
pub struct Environment(HashMap<String, String>);

impl Environment {
    /// Of this process. What is no text is not there.
    pub fn of_process() -> Environment {
        let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        Environment(std::env::vars_os().filter_map(text).collect())
    }

    /// These variables and no others.
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Environment {
        Environment(variables.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    /// A variable that has a value.
    pub fn get(&self, variable: &str) -> Option<&str> {
        self.0.get(variable).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Where the database is, and who asks.
    ///
    /// # Errors
    /// Nobody says so, two do, or the file with it cannot be read.
    pub fn source(&self) -> Result<Source, Error> {
        // The name that every hosting platform sets wins over ours, as in the other programs.
        let url = match self.secret("DATABASE_URL", "DATABASE_URL_FILE")? {
            Some(url) => Some(url),
            None => self.secret("SPOOL__DATABASE__URL", "SPOOL__DATABASE__URL_FILE")?,
        };
        Ok(Source { url: url.ok_or(Error::NoDatabase)?, actor: self.actor() })
    }

    fn secret(&self, variable: &'static str, file: &str) -> Result<Option<String>, Error> {
        match (self.get(variable), self.get(file)) {
            (Some(_), Some(_)) => Err(Error::Twice { variable }),
            (Some(value), None) => Ok(Some(value.to_owned())),
            (None, Some(path)) => {
                read(Path::new(path)).map(|text| Some(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
            (None, None) => Ok(None),
        }
    }

    /// Who sits here, for the audit: `user@host`. Somebody who acts under a shared login says who they are.
    fn actor(&self) -> String {
        let user = self.get("SPOOL_ACTOR").map_or_else(user, str::to_owned);
        if user.contains('@') {
            return user;
        }
        format!("{user}@{}", rustix::system::uname().nodename().to_string_lossy())
    }

    /// What the terminal can show.
    pub fn theme(&self, ascii: bool) -> Theme {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|variable| self.get(variable));
        Theme::of(self.get("NO_COLOR"), locale, ascii)
    }

    /// Nothing can be drawn on such a terminal.
    pub fn is_dumb(&self) -> bool {
        self.get("TERM").is_none_or(|term| term == "dumb")
    }

    /// Runs inside tmux, which keeps the clipboard to itself.
    pub fn in_tmux(&self) -> bool {
        self.get("TMUX").is_some()
    }

    /// The person's own keys; empty when there is no such file.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn own_keys(&self) -> Result<(PathBuf, String), Error> {
        let folder = self.get("XDG_CONFIG_HOME").map(PathBuf::from);
        let folder = folder.or_else(|| self.get("HOME").map(|home| Path::new(home).join(".config")));
        let path = folder.unwrap_or_default().join("spool/keys.toml");
        let text = if path.exists() { read(&path)? } else { String::new() };
        Ok((path, text))
    }
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// The user the process runs as, not what a variable says.
fn user() -> String {
    // `id` asks every directory the machine is set up with; an image without it still has the number.
    let named = Command::new("id").arg("-un").output().ok().filter(|output| output.status.success());
    let named = named.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("uid{}", rustix::process::getuid().as_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn the_database_is_found_as_by_the_other_programs() {
        let url = |environment: Environment| environment.source().map(|source| source.url);
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "postgres://file").unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(url(Environment::of([("DATABASE_URL_FILE", path)])).unwrap(), "postgres://file");
        let both = [("SPOOL__DATABASE__URL", "postgres://ours"), ("DATABASE_URL", "postgres://platform")];
        assert_eq!(url(Environment::of(both)).unwrap(), "postgres://platform");
        assert_eq!(url(Environment::of([("SPOOL__DATABASE__URL", "postgres://ours")])).unwrap(), "postgres://ours");
        assert!(matches!(url(Environment::of([("DATABASE_URL", "")])), Err(Error::NoDatabase)));
        let twice = [("DATABASE_URL", "a"), ("DATABASE_URL_FILE", path)];
        assert!(matches!(url(Environment::of(twice)), Err(Error::Twice { .. })));
        assert!(matches!(url(Environment::of([("DATABASE_URL_FILE", "/nowhere/url")])), Err(Error::Read { .. })));
    }

    #[test]
    fn the_actor_has_a_user_and_a_host() {
        let actor =
            |name: &str| Environment::of([("DATABASE_URL", "x"), ("SPOOL_ACTOR", name)]).source().unwrap().actor;
        assert!(actor("kim").starts_with("kim@") && actor("kim").len() > 4);
        assert_eq!(actor("kim@desk"), "kim@desk");
        assert!(actor("").contains('@'));
    }
}
