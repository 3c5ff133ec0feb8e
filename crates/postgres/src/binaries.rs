//! Where PostgreSQL's programs are on this machine.

use crate::Error;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The schema needs `UNIQUE NULLS NOT DISTINCT`, which came with 15.
pub(crate) const OLDEST: u32 = 15;

/// A folder in which `initdb` and `postgres` are siblings and both run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binaries {
    pub(crate) dir: PathBuf,
}

impl Binaries {
    pub(crate) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    pub(crate) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }
}

/// The newest usable installation.
pub(crate) fn find() -> Result<Binaries, Error> {
    best(candidates()).ok_or(Error::NotInstalled { install: install_line() })
}

fn best(dirs: impl IntoIterator<Item = PathBuf>) -> Option<Binaries> {
    // The links of /usr/local/bin and the like are followed first: PostgreSQL finds its own files relative to where its
    // program really lies, and the same installation should be tried once.
    let real: BTreeSet<PathBuf> = dirs.into_iter().filter_map(|dir| real_dir(&dir)).collect();
    let usable = real.into_iter().filter_map(|dir| Some((version(&dir)?, dir)));
    usable.filter(|(version, _)| *version >= OLDEST).max().map(|(_, dir)| Binaries { dir })
}

fn real_dir(dir: &Path) -> Option<PathBuf> {
    let program = dir.join("postgres").canonicalize().ok()?;
    program.parent().map(Path::to_path_buf)
}

/// The major version, when both programs run and agree on it.
fn version(dir: &Path) -> Option<u32> {
    let initdb = major(&dir.join("initdb"))?;
    (major(&dir.join("postgres"))? == initdb).then_some(initdb)
}

fn major(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    // "initdb (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "postgres (PostgreSQL) 18beta1"
    let number = text.split("(PostgreSQL) ").nth(1)?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn candidates() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).output() {
        dirs.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    for (parent, below) in [
        ("/usr/lib/postgresql", "bin"),                          // Debian, Ubuntu
        ("/usr", "bin"),                                         // Fedora's /usr/pgsql-17
        ("/opt/homebrew/opt", "bin"),                            // Homebrew on Apple silicon
        ("/usr/local/opt", "bin"),                               // Homebrew on Intel
        ("/home/linuxbrew/.linuxbrew/opt", "bin"),               // Homebrew on Linux
        ("/Applications/Postgres.app/Contents/Versions", "bin"), // Postgres.app
    ] {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        dirs.extend(entries.map(|entry| entry.path().join(below)));
    }
    dirs
}

fn install_line() -> &'static str {
    if cfg!(target_os = "macos") {
        return "brew install postgresql@17";
    }
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let names: Vec<&str> = release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split(' '))
        .collect();
    let known = |name: &str| names.contains(&name);
    if known("debian") || known("ubuntu") {
        "sudo apt install postgresql"
    } else if known("fedora") || known("rhel") {
        "sudo dnf install postgresql-server"
    } else if known("arch") {
        "sudo pacman -S postgresql"
    } else if known("alpine") {
        "sudo apk add postgresql"
    } else {
        "the package manager of this system (package postgresql), or set DATABASE_URL to a server of yours"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_found_where_the_programs_are_missing_or_do_not_run() {
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(best([empty.path().to_path_buf(), PathBuf::from("/nowhere")]), None);

        // A lone server, and a pair that is no PostgreSQL.
        std::fs::copy("/bin/sh", empty.path().join("postgres")).unwrap();
        assert_eq!(best([empty.path().to_path_buf()]), None);
        std::fs::copy("/bin/sh", empty.path().join("initdb")).unwrap();
        assert_eq!(best([empty.path().to_path_buf()]), None);
    }

    #[test]
    fn not_installed_names_the_line_that_installs_it() {
        let message = Error::NotInstalled { install: install_line() }.to_string();
        assert!(message.contains(install_line()) && message.contains("15"), "{message}");
    }

    #[test]
    fn links_lead_to_the_folder_where_the_programs_are() {
        let found = find().unwrap();
        let links = tempfile::tempdir().unwrap();
        for name in ["initdb", "postgres"] {
            std::os::unix::fs::symlink(found.dir.join(name), links.path().join(name)).unwrap();
        }
        assert_eq!(best([links.path().to_path_buf()]), Some(found));
    }
}
